//! PLAIN: whom to act as, the name and the password, with a zero byte between them.

use std::borrow::Cow;

use subtle::ConstantTimeEq;

use super::reply::{Refused, Reply};
use super::users::Users;

pub(super) fn check(message: &[u8], users: &Users) -> Result<Reply, Refused> {
    let refuse = |why| Err(Refused(Some(Cow::Borrowed(why))));
    let text = String::from_utf8_lossy(message);
    let parts: Vec<&str> = text.splitn(4, '\0').collect();
    let [act_as, name, password] = parts[..] else {
        let got = parts.len();
        let why = format!("Invalid SASL/PLAIN response: expected 3 tokens, got {got}");
        return Err(Refused(Some(Cow::Owned(why))));
    };
    if name.is_empty() {
        return refuse("Authentication failed: username not specified");
    }
    if password.is_empty() {
        return refuse("Authentication failed: password not specified");
    }
    let known = users.get(name);
    let right = known.is_some_and(|user| {
        let same = user.password.as_bytes().ct_eq(password.as_bytes());
        bool::from(same)
    });
    if !right {
        return refuse("Authentication failed: Invalid username or password");
    }
    if !act_as.is_empty() && act_as != name {
        return refuse(
            "Authentication failed: Client requested an authorization id that is different from username",
        );
    }
    Ok(Reply::Done {
        user: name.to_owned(),
        last: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_name_with_the_right_password_is_let_in() {
        let mut users = Users::default();
        users.set("alice", "secret");
        let told = |message: &str| match check(message.as_bytes(), &users) {
            Ok(reply) => format!("{reply:?}"),
            Err(Refused(why)) => why.unwrap().into_owned(),
        };
        let done = "Done { user: \"alice\", last: [] }";
        let wrong = "Authentication failed: Invalid username or password";
        for (message, expected) in [
            ("\0alice\0secret", done),
            ("alice\0alice\0secret", done),
            ("\0alice\0wrong", wrong),
            ("\0bob\0secret", wrong),
            (
                "\0\0secret",
                "Authentication failed: username not specified",
            ),
            ("\0alice\0", "Authentication failed: password not specified"),
        ] {
            assert_eq!(told(message), expected, "{message:?}");
        }
        assert!(told("bob\0alice\0secret").contains("different from username"));
        for message in ["", "alice", "alice\0secret", "\0alice\0secret\0"] {
            assert!(told(message).contains("expected 3 tokens"), "{message:?}");
        }
    }
}
