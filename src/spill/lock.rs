//! One producer a directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use super::store::told;
use crate::error::{Error, Result};

/// The directory is this producer's alone for as long as it lives; a process that is killed gives it up.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the directory where it is missing, and takes it.
    pub(crate) fn take(directory: &Path) -> Result<Self> {
        let file = directory.join("lock");
        let failed = |doing, error| told(directory, doing, "lock", error);
        fs::create_dir_all(directory).map_err(|error| failed("making the folder of", error))?;
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(false).open(&file);
        let lock = opened.map_err(|error| failed("opening", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _file: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::SpillLocked {
                directory: directory.display().to_string().into(),
            }),
            Err(TryLockError::Error(error)) => Err(failed("locking", error)),
        }
    }
}
