//! The layout of Java's own stores; what is encrypted in one is passed over.

use rustls::pki_types::CertificateDer;

/// What is wrong with a store that ends too soon.
const CUT_OFF: &str = "the store is cut off";

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*taken))
    }

    /// Text behind its length in two bytes.
    fn text(&mut self) -> Result<(), String> {
        let (length, rest) = self.0.split_first_chunk().ok_or(CUT_OFF)?;
        self.0 = rest;
        self.take(u16::from_be_bytes(*length).into()).map(drop)
    }

    /// Bytes behind their length in four.
    fn block(&mut self) -> Result<&'a [u8], String> {
        let length = self.u32()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn certificate(&mut self, version: u32) -> Result<CertificateDer<'static>, String> {
        if version == 2 {
            self.text()?;
        }
        Ok(CertificateDer::from(self.block()?.to_vec()))
    }
}

/// Those that are trusted, and the first of each key, as Java takes them.
pub(super) fn certificates(content: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    const KEY: u32 = 1;
    const TRUSTED: u32 = 2;
    let mut bytes = Bytes(content);
    let _magic = bytes.u32()?;
    let version = bytes.u32()?;
    if !matches!(version, 1 | 2) {
        return Err(format!(
            "the store has version {version}, and 1 and 2 are known"
        ));
    }
    let mut found = Vec::new();
    for _ in 0..bytes.u32()? {
        let kind = bytes.u32()?;
        bytes.text()?;
        // When it was made.
        bytes.take(8)?;
        match kind {
            TRUSTED => found.push(bytes.certificate(version)?),
            KEY => {
                bytes.block()?;
                for place in 0..bytes.u32()? {
                    let certificate = bytes.certificate(version)?;
                    if place == 0 {
                        found.push(certificate);
                    }
                }
            }
            other => {
                return Err(format!(
                    "the store has an entry of the unknown kind {other}"
                ));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with a trusted certificate and a key that has two.
    fn store() -> Vec<u8> {
        let mut store = Vec::new();
        let text = |store: &mut Vec<u8>, text: &str| {
            store.extend((text.len() as u16).to_be_bytes());
            store.extend(text.as_bytes());
        };
        let block = |store: &mut Vec<u8>, block: &[u8]| {
            store.extend((block.len() as u32).to_be_bytes());
            store.extend(block);
        };
        for number in [0xfeed_feed_u32, 2, 2] {
            store.extend(number.to_be_bytes());
        }
        for kind in [2u32, 1] {
            store.extend(kind.to_be_bytes());
            text(&mut store, "alias");
            store.extend([0; 8]);
            if kind == 1 {
                block(&mut store, b"encrypted");
                store.extend(2u32.to_be_bytes());
                text(&mut store, "X.509");
                block(&mut store, b"first of the key");
            }
            text(&mut store, "X.509");
            block(&mut store, format!("last of {kind}").as_bytes());
        }
        store
    }

    #[test]
    fn trusted_certificates_and_a_keys_first_one_are_found() {
        let found = certificates(&store()).unwrap();
        assert_eq!(found[0].as_ref(), b"last of 2");
        assert_eq!(found[1].as_ref(), b"first of the key");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_damaged_store_is_an_error_and_never_a_panic() {
        let whole = store();
        for end in 0..whole.len() {
            assert_eq!(certificates(&whole[..end]).unwrap_err(), CUT_OFF);
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0xff;
            let _ = certificates(&damaged);
        }
    }
}
