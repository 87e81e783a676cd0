//! Takes up keys and certificates that have changed on disk.

use std::fs;
use std::path::PathBuf;
use std::sync::Weak;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::error::Result;

/// What the files hold, or that they cannot be read.
pub(super) type Fingerprint = [u8; 32];

/// Files that are looked at again and again: nothing tells of a change inside Kubernetes' mounts.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) paths: Vec<PathBuf>,
    pub(super) interval: Duration,
    /// For how long they must stay as they are: a key and its certificate are written one after the other.
    pub(super) debounce: Duration,
}

impl Files {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        for path in &self.paths {
            add(&mut hash, path.clone());
        }
        hash.finalize().into()
    }
}

/// A file, or those of a folder.
fn add(hash: &mut Sha256, path: PathBuf) {
    let mut paths: Vec<_> = match fs::read_dir(&path) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => vec![path],
    };
    paths.sort();
    for path in paths {
        // The names' and contents' own hashes, so that no two different folders are one.
        hash.update(Sha256::digest(path.as_os_str().as_encoded_bytes()));
        match fs::read(&path).map(zeroize::Zeroizing::new) {
            Ok(content) => hash.update(Sha256::digest(&*content)),
            Err(_) => hash.update([0]),
        }
    }
}

/// What has been seen of the files.
#[derive(Debug)]
struct Watched {
    used: Fingerprint,
    /// Something else that was there the last time.
    changing: Option<Fingerprint>,
}

/// What is to be done after a look.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Same,
    /// To be looked at again soon.
    Changing,
    /// As the last time, and not as it is used: to be read.
    Settled,
}

impl Watched {
    fn look(&mut self, now: Fingerprint) -> Look {
        if now == self.used {
            self.changing = None;
            return Look::Same;
        }
        if self.changing != Some(now) {
            self.changing = Some(now);
            return Look::Changing;
        }
        // Also when they turn out to be of no use: they are tried once.
        self.used = now;
        self.changing = None;
        Look::Settled
    }
}

/// Looks at the files for as long as somebody uses what is made of them, and has them read when they have changed.
pub(super) async fn watch<T>(
    user: Weak<T>,
    reload: fn(&T) -> Result<()>,
    files: Files,
    used: Fingerprint,
) {
    let mut watched = Watched {
        used,
        changing: None,
    };
    let mut wait = files.interval;
    let mut files = files;
    loop {
        sleep(wait).await;
        if user.strong_count() == 0 {
            return;
        }
        let looking = tokio::task::spawn_blocking(move || (files.fingerprint(), files));
        let Ok((now, back)) = looking.await else {
            return;
        };
        files = back;
        wait = match watched.look(now) {
            Look::Same => files.interval,
            Look::Changing => files.debounce,
            Look::Settled => {
                let Some(user) = user.upgrade() else { return };
                match reload(&user) {
                    Ok(()) => {
                        info!("TLS keys and certificates were read anew, for new connections")
                    }
                    Err(error) => {
                        warn!(%error, "changed TLS keys or certificates are not used: the old ones stay")
                    }
                }
                files.interval
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_once_and_when_it_has_come_to_rest() {
        let print = |n| [n; 32];
        let mut watched = Watched {
            used: print(1),
            changing: None,
        };
        for (now, expected) in [
            (1, Look::Same),
            (2, Look::Changing),
            (3, Look::Changing),
            (3, Look::Settled),
            (3, Look::Same),
            (4, Look::Changing),
            // It was undone.
            (3, Look::Same),
            (4, Look::Changing),
            (4, Look::Settled),
        ] {
            assert_eq!(watched.look(print(now)), expected, "{now}");
        }
    }
}
