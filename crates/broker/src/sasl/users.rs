//! Who may log in, and by what.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use super::credential::{Credential, Hash};

/// A user's secrets, as each mechanism needs them.
#[derive(Clone)]
pub(crate) struct User {
    name: String,
    pub(super) password: String,
    /// Made when somebody first asks: it takes a while, and many never do.
    sha256: OnceLock<Credential>,
    sha512: OnceLock<Credential>,
}

impl User {
    pub(super) fn credential(&self, hash: Hash) -> &Credential {
        let made = match hash {
            Hash::Sha256 => &self.sha256,
            Hash::Sha512 => &self.sha512,
        };
        made.get_or_init(|| Credential::new(hash, &self.name, &self.password))
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// All users, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users {
    by_name: BTreeMap<String, User>,
}

impl Users {
    /// Lets a user log in with this password, and no other.
    pub(crate) fn set(&mut self, name: &str, password: &str) {
        let user = User {
            name: name.to_owned(),
            password: password.to_owned(),
            sha256: OnceLock::new(),
            sha512: OnceLock::new(),
        };
        self.by_name.insert(name.to_owned(), user);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether there was one.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }
}
