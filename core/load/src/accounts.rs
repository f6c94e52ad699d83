//! Who comes: accounts of a list, or numbered ones.

use std::borrow::Cow;

use crate::options::Options;

pub(crate) const OPTIONS: &[&str] = &["account", "accounts", "password", "account-file"];

/// Taken in turn.
pub(crate) enum Accounts {
    /// Each with a password of its own.
    Listed(Vec<(String, String)>),
    /// As many as said, `{}` in the name standing for the number, all with one password.
    Numbered {
        /// The name.
        pattern: String,
        /// How many.
        count: u64,
        /// Of all.
        password: String,
    },
}

impl Accounts {
    /// As the options say.
    pub(crate) fn new(options: &Options) -> Result<Self, String> {
        if let Some(file) = options.value::<String>("account-file")? {
            return Self::listed(&file).map_err(|error| format!("--account-file {file}: {error}"));
        }
        Ok(Self::Numbered {
            pattern: options.required("account")?,
            count: options.value("accounts")?.unwrap_or(1).max(1),
            password: options.value("password")?.unwrap_or_else(|| "demo".to_owned()),
        })
    }

    /// Where the options name somebody.
    pub(crate) fn if_any(options: &Options) -> Result<Option<Self>, String> {
        let names = ["account", "account-file"].map(|name| options.value::<String>(name));
        let [pattern, file] = names;
        if pattern?.is_some() || file?.is_some() { Self::new(options).map(Some) } else { Ok(None) }
    }

    /// A JSON list of names and passwords: `[["siti@example.com", "secret"], …]`.
    fn listed(file: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let accounts: Vec<(String, String)> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if accounts.is_empty() { Err("nobody is in it".to_owned()) } else { Ok(Self::Listed(accounts)) }
    }

    /// Name and password of who takes the turn of this number.
    pub(crate) fn of(&self, number: u64) -> (Cow<'_, str>, &str) {
        match self {
            Self::Listed(accounts) => {
                let place = number % accounts.len() as u64;
                let (name, password) = &accounts[usize::try_from(place).expect("less than the length")];
                (name.into(), password)
            }
            Self::Numbered { pattern, count, password } => {
                (pattern.replace("{}", &(number % count).to_string()).into(), password)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_come_in_turn() {
        let siti = ("siti".to_owned(), "a".to_owned());
        let budi = ("budi".to_owned(), "b".to_owned());
        let listed = Accounts::Listed(vec![siti, budi]);
        let numbered = Accounts::Numbered { pattern: "user{}@a".to_owned(), count: 2, password: "demo".to_owned() };
        for (number, (name, password), user) in
            [(0, ("siti", "a"), "user0@a"), (1, ("budi", "b"), "user1@a"), (2, ("siti", "a"), "user0@a")]
        {
            assert_eq!(listed.of(number), (name.into(), password));
            assert_eq!(numbered.of(number), (user.into(), "demo"));
        }
    }
}
