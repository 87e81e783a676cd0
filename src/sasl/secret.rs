//! Bytes that nobody may see, and that are wiped when they are dropped.

use std::fmt;

use zeroize::Zeroizing;

use super::error::MechanismError;

/// A password, a token or a key: its `Debug` shows none of it, and its memory is wiped when it is dropped.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes themselves; keep them as short as possible.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing to hide.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Refuses a name or a password that is empty or that no message can carry.
pub(super) fn check_credentials(username: &str, password: &Secret) -> Result<(), MechanismError> {
    for (what, bytes) in [
        ("username", username.as_bytes()),
        ("password", password.expose()),
    ] {
        if bytes.is_empty() {
            return Err(MechanismError::refused(format!("the {what} is empty")));
        }
        if bytes.contains(&0) {
            return Err(MechanismError::refused(format!(
                "the {what} has a NUL character"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let secret = Secret::from("open sesame");
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.expose(), b"open sesame");
    }
}
