//! The messages of a server, read as strictly as they are simple: attributes of one letter, split by commas.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::sasl::error::MechanismError;

/// The largest message that is read; those of Kafka have some 200 bytes.
const LONGEST: usize = 16 * 1024;
/// Fewer than Kafka allows (`ScramMechanism.minIterations`) would make the password cheap to guess.
pub(super) const LEAST_ITERATIONS: u32 = 4096;
/// More would keep a processor busy for a second; Kafka itself allows 16384.
pub(super) const MOST_ITERATIONS: u32 = 1_000_000;

/// What the server says to the first message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerFirst {
    /// Ours and what the server added.
    pub(super) nonce: String,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl ServerFirst {
    /// Reads the server's first message, which goes on from `nonce`.
    pub(super) fn read(message: &[u8], nonce: &str) -> Result<Self, MechanismError> {
        let mut attributes = attributes(message)?;
        let full = attributes.next_named('r', "nonce")?;
        if full.len() <= nonce.len() || !full.starts_with(nonce) {
            return Err(untrusted("its nonce does not go on from ours"));
        }
        let salt = attributes.next_named('s', "salt")?;
        let salt = STANDARD
            .decode(salt)
            .ok()
            .filter(|salt| !salt.is_empty())
            .ok_or_else(|| untrusted("its salt is not base64"))?;
        let iterations = attributes.next_named('i', "iteration count")?;
        let iterations: u32 = iterations
            .parse()
            .map_err(|_| untrusted("its iteration count is not a number"))?;
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(untrusted(&format!(
                "it asks for {iterations} iterations, and {LEAST_ITERATIONS} to {MOST_ITERATIONS} are accepted"
            )));
        }
        Ok(Self {
            nonce: full.to_owned(),
            salt,
            iterations,
        })
    }
}

/// Reads the server's last message: its signature, or the error that it gives instead.
pub(super) fn server_signature(message: &[u8]) -> Result<Vec<u8>, MechanismError> {
    let mut attributes = attributes(message)?;
    match attributes.0.next() {
        Some(first) if first.starts_with("e=") => {
            let words: String = first
                .chars()
                .skip(2)
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            Err(MechanismError::refused(format!(
                "the broker refused the login: {words}"
            )))
        }
        Some(first) => first
            .strip_prefix("v=")
            .and_then(|signature| STANDARD.decode(signature).ok())
            .ok_or_else(|| untrusted("its last message has no signature")),
        None => Err(untrusted("its last message has no signature")),
    }
}

/// A user's name as a message carries it: `,` and `=` have a meaning there.
pub(super) fn escaped(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

struct Attributes<'a>(std::str::Split<'a, char>);

impl<'a> Attributes<'a> {
    fn next_named(&mut self, letter: char, what: &str) -> Result<&'a str, MechanismError> {
        self.0
            .next()
            .and_then(|attribute| attribute.strip_prefix(letter)?.strip_prefix('='))
            .ok_or_else(|| untrusted(&format!("its message lacks the {what} where it is due")))
    }
}

fn attributes(message: &[u8]) -> Result<Attributes<'_>, MechanismError> {
    if message.len() > LONGEST {
        return Err(untrusted(&format!(
            "it sent a message of {} bytes",
            message.len()
        )));
    }
    let text = std::str::from_utf8(message).map_err(|_| untrusted("its message is not UTF-8"))?;
    Ok(Attributes(text.split(',')))
}

/// A server that does not keep to the protocol gets no proof of the password.
pub(super) fn untrusted(reason: &str) -> MechanismError {
    MechanismError::refused(format!("the broker cannot be trusted: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_first_message_is_read() {
        let first = ServerFirst::read(b"r=abcdef,s=QUJD,i=8192,x=later", "abc").unwrap();
        assert_eq!(
            first,
            ServerFirst {
                nonce: "abcdef".into(),
                salt: b"ABC".to_vec(),
                iterations: 8192
            }
        );
    }

    #[test]
    fn whatever_is_wrong_with_a_first_message_is_named() {
        for (message, reason) in [
            (&b""[..], "lacks the nonce"),
            (b"m=ext,r=abcdef,s=QUJD,i=4096", "lacks the nonce"),
            (b"r=abc,s=QUJD,i=4096", "does not go on from ours"),
            (b"r=xbcdef,s=QUJD,i=4096", "does not go on from ours"),
            (b"r=abcdef,i=4096", "lacks the salt"),
            (b"r=abcdef,s=,i=4096", "not base64"),
            (b"r=abcdef,s=*,i=4096", "not base64"),
            (b"r=abcdef,s=QUJD", "lacks the iteration count"),
            (b"r=abcdef,s=QUJD,i=", "not a number"),
            (b"r=abcdef,s=QUJD,i=-1", "not a number"),
            (b"r=abcdef,s=QUJD,i=99999999999", "not a number"),
            (b"r=abcdef,s=QUJD,i=4095", "4095 iterations"),
            (b"r=abcdef,s=QUJD,i=1000001", "1000001 iterations"),
            (b"r=\xff\xfe", "not UTF-8"),
            (&[b'r'; LONGEST + 1], "16385 bytes"),
        ] {
            let error = ServerFirst::read(message, "abc").unwrap_err();
            assert!(error.to_string().contains(reason), "{error}: {reason}");
            assert!(error.is_refused());
        }
    }

    #[test]
    fn a_servers_last_message_is_its_signature_or_its_error() {
        assert_eq!(server_signature(b"v=QUJD,x=y").unwrap(), b"ABC");
        for (message, reason) in [
            (&b"e=invalid-proof"[..], "invalid-proof"),
            (b"v=*", "no signature"),
            (b"", "no signature"),
        ] {
            let error = server_signature(message).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn a_name_is_escaped_once() {
        assert_eq!(escaped("a,b=c"), "a=2Cb=3Dc");
    }
}
