//! Reads PEM, in lines or, as Java's properties have it, on one line with blanks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use zeroize::Zeroizing;

/// Turns an old encrypted key into one that is read.
const CONVERT: &str = "openssl pkcs8 -topk8 -in OLD.pem -out NEW.pem";

/// One `-----BEGIN X-----` with what is in it.
struct Block<'a> {
    label: &'a str,
    bytes: Zeroizing<Vec<u8>>,
}

/// The certificates of a text, of which there must be one at least.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut found = Vec::new();
    for block in blocks(text)? {
        if matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE") {
            found.push(CertificateDer::from(block.bytes.to_vec()));
        }
    }
    match found.is_empty() {
        true => Err("there is no \"-----BEGIN CERTIFICATE-----\" in it".into()),
        false => Ok(found),
    }
}

/// A private key, as it is or encrypted.
pub(super) enum Key {
    Plain(PrivateKeyDer<'static>),
    /// Encrypted PKCS#8.
    Encrypted(Zeroizing<Vec<u8>>),
}

/// The one private key of a text.
pub(super) fn private_key(text: &str) -> Result<Key, String> {
    let mut found = None;
    for block in blocks(text)? {
        let Block { label, mut bytes } = block;
        // What is taken out of its wrapper is wiped by its new owner.
        let mut take = || std::mem::take(&mut *bytes);
        let key = match label {
            "PRIVATE KEY" => Key::Plain(PrivatePkcs8KeyDer::from(take()).into()),
            "RSA PRIVATE KEY" => Key::Plain(PrivatePkcs1KeyDer::from(take()).into()),
            "EC PRIVATE KEY" => Key::Plain(PrivateSec1KeyDer::from(take()).into()),
            "ENCRYPTED PRIVATE KEY" => Key::Encrypted(bytes),
            _ => continue,
        };
        if found.replace(key).is_some() {
            return Err("there is more than one private key in it".into());
        }
    }
    found.ok_or_else(|| "there is no \"-----BEGIN PRIVATE KEY-----\" in it".into())
}

/// What stands around blocks does not matter.
fn blocks(text: &str) -> Result<Vec<Block<'_>>, String> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after
            .split_once("-----")
            .ok_or("a \"-----BEGIN\" is not closed by \"-----\"")?;
        let end = format!("-----END {label}-----");
        let (body, after) = after
            .split_once(&end)
            .ok_or_else(|| format!("\"-----BEGIN {label}-----\" is not followed by \"{end}\""))?;
        rest = after;
        blocks.push(Block {
            label,
            bytes: decode(label, body)?,
        });
    }
    Ok(blocks)
}

fn decode(label: &str, body: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    if body.contains("DEK-Info") {
        return Err(format!(
            "the {label} is encrypted in an old way that is not safe: convert it by \"{CONVERT}\""
        ));
    }
    let mut digits = Zeroizing::new(String::with_capacity(body.len()));
    digits.extend(body.chars().filter(|c| !c.is_ascii_whitespace()));
    let decoded = STANDARD.decode(digits.as_bytes());
    decoded
        .map(Zeroizing::new)
        .map_err(|_| format!("what \"-----BEGIN {label}-----\" has is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "Bag Attributes\n    friendlyName: kafka\n-----BEGIN CERTIFICATE-----\nAQID\nBAUG\n-----END CERTIFICATE-----\n";

    #[test]
    fn lines_and_javas_one_line_are_the_same_certificates() {
        let one_line = "-----BEGIN CERTIFICATE----- AQID BAUG -----END CERTIFICATE----- -----BEGIN CERTIFICATE-----  BwgJ -----END CERTIFICATE-----";
        assert_eq!(
            certificates(LINES).unwrap(),
            [CertificateDer::from(vec![1, 2, 3, 4, 5, 6])]
        );
        let both = certificates(one_line).unwrap();
        assert_eq!(both[0].as_ref(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(both[1].as_ref(), [7, 8, 9]);
        let carriage_returns = LINES.replace('\n', "\r\n");
        assert_eq!(certificates(&carriage_returns).unwrap().len(), 1);
    }

    #[test]
    fn each_kind_of_key_is_known_by_its_label() {
        let text =
            |label: &str| format!("{LINES}-----BEGIN {label}-----\nAQID\n-----END {label}-----");
        let plain = |label: &str| match private_key(&text(label)).unwrap() {
            Key::Plain(key) => Some(key),
            Key::Encrypted(_) => None,
        };
        assert!(matches!(
            plain("PRIVATE KEY"),
            Some(PrivateKeyDer::Pkcs8(_))
        ));
        assert!(matches!(
            plain("RSA PRIVATE KEY"),
            Some(PrivateKeyDer::Pkcs1(_))
        ));
        assert!(matches!(
            plain("EC PRIVATE KEY"),
            Some(PrivateKeyDer::Sec1(_))
        ));
        assert!(plain("ENCRYPTED PRIVATE KEY").is_none());
    }

    #[test]
    fn what_is_wrong_with_a_text_is_told_without_its_bytes() {
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQID\n-----END RSA PRIVATE KEY-----";
        let key = "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n";
        for (text, says) in [
            ("", "no \"-----BEGIN PRIVATE KEY-----\""),
            (LINES, "no \"-----BEGIN PRIVATE KEY-----\""),
            (old, "openssl pkcs8 -topk8"),
            ("-----BEGIN PRIVATE KEY", "is not closed"),
            ("-----BEGIN PRIVATE KEY-----\nAQID", "is not followed by"),
            (
                "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----",
                "is not base64",
            ),
            (&key.repeat(2), "more than one"),
        ] {
            let error = private_key(text).err().unwrap();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = certificates(key).err().unwrap();
        assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
    }
}
