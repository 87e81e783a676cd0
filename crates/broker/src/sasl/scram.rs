//! SCRAM (RFC 5802): the client proves that it knows the password, and the broker that it knows it, too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::credential::{Credential, Hash, ITERATIONS};
use super::reply::{Refused, Reply};
use super::users::Users;

/// Nothing that a client has to say is longer.
const MOST: usize = 4096;

/// Where an exchange is.
enum Phase {
    First,
    Final {
        user: String,
        credential: Credential,
        nonce: String,
        /// Header, then what both have said so far, which the proof is over.
        binding: String,
        said: String,
    },
    Over,
}

/// The broker's side of one login.
pub(crate) struct Scram {
    hash: Hash,
    phase: Phase,
}

impl std::fmt::Debug for Scram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scram({:?})", self.hash)
    }
}

impl Scram {
    pub(super) fn new(hash: Hash) -> Self {
        Self {
            hash,
            phase: Phase::First,
        }
    }

    /// Takes the client's next message.
    pub(super) fn step(
        &mut self,
        message: &[u8],
        users: &Users,
        nonce: &str,
    ) -> Result<Reply, Refused> {
        let text = std::str::from_utf8(message).ok();
        let text = text
            .filter(|text| text.len() <= MOST)
            .ok_or(Refused(None))?;
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::First => self.first(text, users, nonce).ok_or(Refused(None)),
            Phase::Final {
                user,
                credential,
                nonce,
                binding,
                said,
            } => {
                let last = self.last(text, &credential, &nonce, &binding, &said);
                let last = last.ok_or(Refused(None))?;
                Ok(Reply::Done { user, last })
            }
            Phase::Over => Err(Refused(None)),
        }
    }

    /// `n,[a=...],n=NAME,r=NONCE[,EXTENSIONS]`, where no channel is bound.
    fn first(&mut self, text: &str, users: &Users, nonce: &str) -> Option<Reply> {
        let mut parts = text.splitn(3, ',');
        let (flag, act_as, bare) = (parts.next()?, parts.next()?, parts.next()?);
        if flag != "n" && flag != "y" {
            return None;
        }
        let mut fields = bare.split(',');
        let user = unescaped(fields.next()?.strip_prefix("n=")?)?;
        let theirs = fields.next()?.strip_prefix("r=")?;
        let acts_as_itself = match act_as.strip_prefix("a=") {
            Some(name) => unescaped(name)? == user,
            None => act_as.is_empty(),
        };
        if theirs.is_empty() || !acts_as_itself {
            return None;
        }
        let credential = users.get(&user)?.credential(self.hash).clone();
        let nonce = format!("{theirs}{nonce}");
        let salt = STANDARD.encode(&credential.salt);
        let challenge = format!("r={nonce},s={salt},i={ITERATIONS}");
        self.phase = Phase::Final {
            user,
            credential,
            nonce,
            binding: STANDARD.encode(format!("{flag},{act_as},")),
            said: format!("{bare},{challenge}"),
        };
        Some(Reply::Challenge(challenge.into_bytes()))
    }

    /// `c=BINDING,r=NONCE,p=PROOF`; the answer is the broker's signature.
    fn last(
        &self,
        text: &str,
        credential: &Credential,
        nonce: &str,
        binding: &str,
        said: &str,
    ) -> Option<Vec<u8>> {
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut fields = without_proof.split(',');
        let same = fields.next()?.strip_prefix("c=")? == binding
            && fields.next()?.strip_prefix("r=")? == nonce;
        let proof = STANDARD.decode(proof).ok()?;
        let said = format!("{said},{without_proof}");
        let signature = self.hash.hmac(&credential.stored_key, said.as_bytes());
        if !same || proof.len() != signature.len() {
            return None;
        }
        let key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let proved = self.hash.digest(&key).ct_eq(&credential.stored_key);
        if !bool::from(proved) {
            return None;
        }
        let signature = self.hash.hmac(&credential.server_key, said.as_bytes());
        Some(format!("v={}", STANDARD.encode(signature)).into_bytes())
    }
}

/// A name as SCRAM writes it: `=2C` is a comma, `=3D` an equals sign.
fn unescaped(name: &str) -> Option<String> {
    let plain = name.replace("=2C", ",");
    let rest = plain.replace("=3D", "");
    (!name.is_empty() && !rest.contains('=')).then(|| plain.replace("=3D", "="))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's last message, by the same hashes.
    fn proof(hash: Hash, password: &str, first: &str, challenge: &str, binding: &str) -> String {
        let field = |name: &str| {
            let mut fields = challenge.split(',');
            fields.find_map(|field| field.strip_prefix(name)).unwrap()
        };
        let salt = STANDARD.decode(field("s=")).unwrap();
        let salted = hash.salted(password.as_bytes(), &salt);
        let key = hash.hmac(&salted, b"Client Key");
        let without = format!("c={},r={}", STANDARD.encode(binding), field("r="));
        let said = format!("{first},{challenge},{without}");
        let signature = hash.hmac(&hash.digest(&key), said.as_bytes());
        let proof: Vec<u8> = key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        format!("{without},p={}", STANDARD.encode(proof))
    }

    fn login(hash: Hash, password: &str) -> Result<Reply, Refused> {
        let mut users = Users::default();
        users.set("al,ice", "pencil");
        let mut scram = Scram::new(hash);
        let first = "n=al=2Cice,r=abc";
        let reply = scram.step(format!("n,,{first}").as_bytes(), &users, "xyz")?;
        let Reply::Challenge(challenge) = reply else {
            panic!("{reply:?}");
        };
        let challenge = String::from_utf8(challenge).unwrap();
        assert!(challenge.starts_with("r=abcxyz,s="));
        let last = proof(hash, password, first, &challenge, "n,,");
        scram.step(last.as_bytes(), &users, "unused")
    }

    #[test]
    fn who_knows_the_password_is_let_in_and_told_that_the_broker_knows_it_too() {
        for hash in [Hash::Sha256, Hash::Sha512] {
            let Ok(Reply::Done { user, last }) = login(hash, "pencil") else {
                panic!("refused");
            };
            assert_eq!(user, "al,ice");
            assert!(last.starts_with(b"v="));
            assert_eq!(login(hash, "pen"), Err(Refused(None)));
        }
    }

    /// The example of RFC 7677, whose salt and nonces are given.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let hash = Hash::Sha256;
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let credential = Credential::salted(hash, "pencil", salt);
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let said =
            format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let text = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let last = Scram::new(hash).last(&text, &credential, nonce, "biws", &said);
        let expected = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(last.unwrap(), expected.as_bytes());
    }

    #[test]
    fn damaged_messages_are_refused() {
        let mut users = Users::default();
        users.set("alice", "secret");
        for first in [
            "",
            "n",
            "n,,",
            "n,,n=alice",
            "n,,r=abc",
            "n,,n=bob,r=abc",
            "p=tls,,n=alice,r=abc",
            "n,a=bob,n=alice,r=abc",
            "n,,n=alice,r=",
            "n,,n=al=ice,r=abc",
            "n,,n=,r=abc",
        ] {
            let reply = Scram::new(Hash::Sha256).step(first.as_bytes(), &users, "xyz");
            assert_eq!(reply, Err(Refused(None)), "{first}");
        }
        let begun = || {
            let mut scram = Scram::new(Hash::Sha256);
            let reply = scram.step(b"n,,n=alice,r=abc", &users, "xyz");
            assert!(matches!(reply, Ok(Reply::Challenge(_))));
            scram
        };
        let long = format!("c=biws,r=abcxyz,p={}", "A".repeat(MOST));
        for last in [
            "",
            "c=biws,r=abcxyz",
            "c=biws,r=abcxyz,p=",
            "c=biws,r=abcxyz,p=*",
            "c=biws,r=abc,p=AAAA",
            &long,
        ] {
            let reply = begun().step(last.as_bytes(), &users, "unused");
            assert_eq!(reply, Err(Refused(None)), "{last}");
        }
        assert!(begun().step(&[0xff], &users, "unused").is_err());
    }
}
