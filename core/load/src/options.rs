//! Command-line options, all of them `--name value`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// What was said, by name.
pub(crate) struct Options(BTreeMap<String, String>);

impl Options {
    /// Reads `--name value` pairs; a name that is in no list of `known` ones is an error.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>, known: &[&[&str]]) -> Result<Self, String> {
        let known = known.concat();
        let mut said = BTreeMap::new();
        while let Some(argument) = arguments.next() {
            let name = argument.strip_prefix("--").filter(|name| known.contains(name));
            let name = name.ok_or_else(|| format!("{argument} is no option; there are --{}", known.join(", --")))?;
            let value = arguments.next().ok_or_else(|| format!("--{name} needs a value"))?;
            said.insert(name.to_owned(), value);
        }
        Ok(Self(said))
    }

    /// The value of an option that may be left out.
    pub(crate) fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, String> {
        let parse = |text: &String| text.parse().map_err(|error| format!("--{name} {text}: {error}"));
        self.0.get(name).map(parse).transpose()
    }

    /// The value of an option that may not.
    pub(crate) fn required<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, String> {
        self.value(name)?.ok_or_else(|| format!("--{name} is required"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned), &[&["logins"], &["target"]])
    }

    #[test]
    fn reads_values_as_the_type_that_is_asked_for() {
        let options = parse("--logins 12 --target 127.0.0.1:143").unwrap();
        assert_eq!(options.required::<u32>("logins"), Ok(12));
        assert_eq!(options.value::<String>("target"), Ok(Some("127.0.0.1:143".to_owned())));
    }

    #[test]
    fn names_the_option_that_is_unknown_missing_or_malformed() {
        assert!(parse("--login 12").err().unwrap().starts_with("--login is no option"));
        assert_eq!(parse("--logins").err().unwrap(), "--logins needs a value");
        assert_eq!(parse("").unwrap().required::<u32>("logins").unwrap_err(), "--logins is required");
        assert!(parse("--logins many").unwrap().required::<u32>("logins").unwrap_err().starts_with("--logins many: "));
    }
}
