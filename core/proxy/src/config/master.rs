//! Master users: who logs in at a backend that leaves it to us to know the client.

use std::collections::HashSet;

use zproxy_protocol::{Name, Secret};

use super::{Faults, invalid};
use crate::wire;

/// A user of backends that may log in as anybody.
#[derive(Clone, Debug)]
pub struct MasterUser {
    /// What endpoints call it by.
    pub name: Box<str>,
    /// The name to log in with.
    pub user: Name,
    /// Its password.
    pub password: Secret,
}

/// All that this edge may log in with.
#[derive(Clone, Debug, Default)]
pub struct MasterUsers(Vec<MasterUser>);

impl MasterUsers {
    pub(super) fn check(messages: Vec<wire::MasterUser>, faults: &mut Faults) -> Self {
        let mut names = HashSet::new();
        let mut all = Vec::with_capacity(messages.len());
        for (index, message) in messages.into_iter().enumerate() {
            let key = |field: &str| format!("master_users[{index}].{field}");
            if message.name.is_empty() {
                faults.push(invalid(&key("name"), "is missing: endpoints call it by this, as master_user".into()));
            } else if !names.insert(message.name.clone()) {
                faults.push(invalid(&key("name"), format!("{:?} is taken by another master user", message.name)));
            }
            if message.password.is_empty() || message.password.contains('\0') {
                let problem = "is missing, or holds a NUL: write the one that backends know, e.g. \"${MASTER}\"";
                faults.push(invalid(&key("password"), problem.into()));
            }
            match Name::new(message.user.as_bytes()) {
                Ok(user) => {
                    let password = Secret::new(message.password.as_bytes());
                    all.push(MasterUser { name: message.name.into(), user, password });
                }
                Err(error) => {
                    faults.push(invalid(&key("user"), format!("{error}: write the name that backends know it by")));
                }
            }
        }
        Self(all)
    }

    /// The one of a name; without a name the only one.
    #[must_use]
    pub fn find(&self, name: Option<&str>) -> Option<&MasterUser> {
        match (name, &self.0[..]) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), all) => all.iter().find(|master| *master.name == *name),
        }
    }
}
