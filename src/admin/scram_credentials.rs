//! Passwords for SCRAM: who has any, giving them and taking them away (KIP-554).

use std::sync::Arc;

use super::advice::advised;
use super::{Admin, refusal, retry_all};
use crate::cluster::unanswered;
use crate::error::{Error, ErrorCode, Result};
use crate::sasl::{MechanismError, ScramHash, Secret, new_salt, salted_password};
use crate::wire::{
    AlterUserScramCredentials, DescribeUserScramCredentials, ScramUpsertion, ScramUser,
};

/// What Kafka's own tool takes where nothing is said.
const ITERATIONS: u32 = 4096;

/// A user's passwords for SCRAM, as far as they are told: never the password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserScramCredentials {
    /// The user.
    pub user: Arc<str>,
    /// One of each hash at most.
    pub credentials: Vec<ScramCredentialInfo>,
}

/// That there is a password of this hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScramCredentialInfo {
    /// The hash; `None` for one that this version of the library does not know.
    pub hash: Option<ScramHash>,
    /// How often the password was hashed.
    pub iterations: u32,
}

/// One change to a user's passwords for SCRAM. Kafka: `UserScramCredentialAlteration`.
///
/// ```
/// use ottla::ScramCredentialChange;
/// use ottla::sasl::ScramHash;
///
/// let given = ScramCredentialChange::upsert("alice", ScramHash::Sha512, "open sesame").iterations(8192);
/// let taken = ScramCredentialChange::delete("alice", ScramHash::Sha256);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ScramCredentialChange {
    user: Arc<str>,
    hash: ScramHash,
    /// `None` takes the password away.
    password: Option<Password>,
}

#[derive(Clone, Debug)]
struct Password {
    text: Secret,
    iterations: u32,
    salt: Option<Vec<u8>>,
}

impl ScramCredentialChange {
    /// Gives the user this password, in place of the one that there may be. It is hashed here, with a salt of the
    /// system's randomness: neither brokers nor the network see it.
    pub fn upsert(user: impl Into<Arc<str>>, hash: ScramHash, password: impl Into<Secret>) -> Self {
        Self {
            user: user.into(),
            hash,
            password: Some(Password {
                text: password.into(),
                iterations: ITERATIONS,
                salt: None,
            }),
        }
    }

    /// Takes the user's password away. Who is logged in stays so until the next login.
    pub fn delete(user: impl Into<Arc<str>>, hash: ScramHash) -> Self {
        Self {
            user: user.into(),
            hash,
            password: None,
        }
    }

    /// How often the password is hashed; more make it harder to guess, and each login slower. Kafka takes 4096 to
    /// 16384. Default 4096, as Kafka's own tool has.
    pub fn iterations(mut self, count: u32) -> Self {
        if let Some(password) = &mut self.password {
            password.iterations = count;
        }
        self
    }

    /// The salt. Default: 32 random bytes; leave it at that where it is not to be copied from elsewhere.
    pub fn salt(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Some(password) = &mut self.password {
            password.salt = Some(bytes.into());
        }
        self
    }
}

impl Admin {
    /// Which of these users have passwords for SCRAM; each has its own result, in order. Kafka:
    /// `DescribeUserScramCredentials`.
    ///
    /// # Errors
    /// When no broker could be asked, or it refused: `CLUSTER_AUTHORIZATION_FAILED`, or [`Error::Unsupported`] of a
    /// broker older than Kafka 2.7. A user's own result has the broker's error: `RESOURCE_NOT_FOUND` for one without a
    /// password.
    pub async fn describe_user_scram_credentials<N: AsRef<str>>(
        &self,
        users: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Result<UserScramCredentials>>> {
        let users: Vec<Arc<str>> = users.into_iter().map(|user| user.as_ref().into()).collect();
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let told = self.scram_users(Some(users.clone())).await?;
        let result = |user: &Arc<str>| {
            let context = || format!("describing the SCRAM credentials of {user}");
            let told = told.iter().find(|told| told.user == *user);
            let told = told.ok_or_else(|| unanswered(context()))?;
            refusal(told.code, told.message.as_ref(), context)?;
            Ok(describe(told))
        };
        Ok(users.iter().map(result).collect())
    }

    /// All users that have passwords for SCRAM, by name. Kafka: `DescribeUserScramCredentials`.
    ///
    /// # Errors
    /// As [`describe_user_scram_credentials`](Self::describe_user_scram_credentials).
    pub async fn list_user_scram_credentials(&self) -> Result<Vec<UserScramCredentials>> {
        let told = self.scram_users(None).await?;
        let known = told.iter().filter(|told| told.code.is_none());
        let mut users: Vec<_> = known.map(describe).collect();
        users.sort_by(|a, b| a.user.cmp(&b.user));
        Ok(users)
    }

    async fn scram_users(&self, users: Option<Vec<Arc<str>>>) -> Result<Vec<ScramUser>> {
        let call = &DescribeUserScramCredentials { users };
        let answer = self
            .calls
            .with_retries("describe SCRAM credentials", || async move {
                let connection = self.calls.cluster.any().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let context = || "describing SCRAM credentials".to_owned();
                advised(refusal(answer.code, answer.message.as_ref(), context))?;
                Ok(answer)
            })
            .await?;
        Ok(answer.users)
    }

    /// Gives users passwords for SCRAM and takes them away; each change has its own result, in order. Kafka:
    /// `AlterUserScramCredentials`.
    ///
    /// One change of each user at a time: brokers with KRaft refuse two of the same user, even of different hashes, with
    /// `DUPLICATE_RESOURCE`, and make neither.
    ///
    /// A broker takes a new password within moments, not at once: it reads it as all that the controller writes.
    ///
    /// # Errors
    /// When no broker could be asked, or [`Error::Unsupported`] of a broker older than Kafka 2.7. A change's own result
    /// has the broker's error: `UNACCEPTABLE_CREDENTIAL` for too few or too many iterations, `RESOURCE_NOT_FOUND` where
    /// there is no password to take away, `DUPLICATE_RESOURCE` for two changes of one user; or [`Error::Config`] for
    /// an empty password.
    pub async fn alter_user_scram_credentials(
        &self,
        changes: impl IntoIterator<Item = ScramCredentialChange>,
    ) -> Result<Vec<Result<()>>> {
        let changes: Vec<_> = changes.into_iter().collect();
        let users: Vec<_> = changes.iter().map(|one| Arc::clone(&one.user)).collect();
        let mut call = AlterUserScramCredentials {
            deletions: Vec::new(),
            upsertions: Vec::new(),
        };
        let mut unfit = vec![None; changes.len()];
        for (change, unfit) in changes.into_iter().zip(&mut unfit) {
            let mechanism = number(change.hash);
            match change.password {
                None => call.deletions.push((change.user, mechanism)),
                Some(password) => match upsertion(change.user, change.hash, password).await {
                    Ok(made) => call.upsertions.push(made),
                    Err(error) => *unfit = Some(error),
                },
            }
        }
        let told = match (call.deletions.is_empty(), call.upsertions.is_empty()) {
            (true, true) => Vec::new(),
            _ => self.alter_scram(&call).await?,
        };
        let result = |(user, unfit): (&Arc<str>, Option<Error>)| {
            if let Some(error) = unfit {
                return Err(error);
            }
            let context = || format!("changing the SCRAM credentials of {user}");
            let told = told.iter().find(|(name, ..)| name == user);
            let (_, code, message) = told.ok_or_else(|| unanswered(context()))?;
            advised(refusal(*code, message.as_ref(), context))
        };
        Ok(users.iter().zip(unfit).map(result).collect())
    }

    async fn alter_scram(
        &self,
        call: &AlterUserScramCredentials,
    ) -> Result<Vec<(Arc<str>, ErrorCode, Option<Arc<str>>)>> {
        let answer = self
            .calls
            .with_retries("alter SCRAM credentials", || async move {
                let connection = self.calls.cluster.controller().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let codes = answer.users.iter().map(|(_, code, _)| *code);
                retry_all(codes, "changing SCRAM credentials")?;
                Ok(answer)
            })
            .await?;
        Ok(answer.users)
    }
}

fn describe(told: &ScramUser) -> UserScramCredentials {
    let credentials = told.credentials.iter();
    let credentials = credentials.map(|&(mechanism, iterations)| ScramCredentialInfo {
        hash: hash(mechanism),
        iterations: u32::try_from(iterations).unwrap_or(0),
    });
    UserScramCredentials {
        user: Arc::clone(&told.user),
        credentials: credentials.collect(),
    }
}

/// Kafka's number of a hash. Kafka: `ScramMechanism`.
fn number(hash: ScramHash) -> i8 {
    match hash {
        ScramHash::Sha256 => 1,
        ScramHash::Sha512 => 2,
    }
}

fn hash(number: i8) -> Option<ScramHash> {
    match number {
        1 => Some(ScramHash::Sha256),
        2 => Some(ScramHash::Sha512),
        _ => None,
    }
}

async fn upsertion(user: Arc<str>, hash: ScramHash, password: Password) -> Result<ScramUpsertion> {
    let unfit = |error: MechanismError| Error::Config {
        setting: "password".into(),
        reason: format!("{error} (of user {user})").into(),
    };
    let salt = match password.salt {
        Some(salt) => salt,
        None => new_salt().map_err(unfit)?,
    };
    let iterations = password.iterations;
    let salted = salted_password(hash, password.text, salt.clone(), iterations).await;
    Ok(ScramUpsertion {
        salted_password: salted.map_err(unfit)?,
        mechanism: number(hash),
        iterations: i32::try_from(iterations).unwrap_or(i32::MAX),
        salt,
        user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let change = ScramCredentialChange::upsert("alice", ScramHash::Sha256, "open sesame");
        assert!(!format!("{change:?}").contains("sesame"));
    }

    #[tokio::test]
    async fn each_password_has_a_salt_of_its_own_unless_one_is_given() {
        let made = async |salt: Option<&[u8]>| {
            let password = Password {
                text: "pencil".into(),
                iterations: ITERATIONS,
                salt: salt.map(<[u8]>::to_vec),
            };
            upsertion("alice".into(), ScramHash::Sha256, password)
                .await
                .unwrap()
        };
        let (one, other) = (made(None).await, made(None).await);
        assert_eq!(one.salt.len(), 32);
        assert_ne!(one.salt, other.salt);
        assert_ne!(one.salted_password.expose(), other.salted_password.expose());
        // RFC 7677's example.
        let salt = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
        let (one, other) = (made(Some(salt)).await, made(Some(salt)).await);
        assert_eq!(one.salted_password.expose(), other.salted_password.expose());
        assert_eq!((one.mechanism, one.iterations), (1, 4096));
    }

    #[tokio::test]
    async fn an_empty_password_and_no_iterations_are_refused_by_name() {
        for (text, iterations, says) in [("", 4096, "empty"), ("x", 0, "iterations")] {
            let password = Password {
                text: text.into(),
                iterations,
                salt: None,
            };
            let made = upsertion("alice".into(), ScramHash::Sha512, password).await;
            let text = made.unwrap_err().to_string();
            assert!(text.contains(says) && text.contains("alice"), "{text}");
        }
    }
}
