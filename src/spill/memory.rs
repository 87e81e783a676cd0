//! A disk in memory, which remembers what was synced and fails when it is told to.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "it is for tests and for fuzzing, which needs a part of it"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::Disk;

/// What goes wrong with one call that changes something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Only so many bytes are written; another call just fails.
    Short(usize),
    /// It fails.
    Fails(io::ErrorKind),
}

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// What outlasts a loss of power.
    synced: Vec<u8>,
    /// That there is such a file does, too.
    is_entered: bool,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    /// Counts down with each call that changes something.
    faults: Vec<(usize, Fault)>,
    read_only: bool,
    unreadable: bool,
    calls: usize,
}

/// A disk in memory; clones are the same disk.
#[derive(Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().files.keys().cloned().collect()
    }

    pub(super) fn bytes(&self, file: &str) -> Vec<u8> {
        self.lock().files[file].bytes.clone()
    }

    pub(super) fn put(&self, file: &str, bytes: Vec<u8>) {
        let synced = bytes.clone();
        let is_entered = true;
        let put = File {
            bytes,
            synced,
            is_entered,
        };
        self.lock().files.insert(file.to_owned(), put);
    }

    pub(super) fn rename_folder(&self, from: &str, to: &str) {
        let mut state = self.lock();
        let files = std::mem::take(&mut state.files);
        let files = files.into_iter();
        state.files = files
            .map(|(name, file)| (name.replace(from, to), file))
            .collect();
    }

    /// The same files on another disk.
    pub(super) fn copied(&self) -> Self {
        let copy = Self::default();
        copy.lock().files.clone_from(&self.lock().files);
        copy
    }

    /// What is left when the power goes.
    pub(super) fn crashed(&self) -> Self {
        let copy = self.copied();
        copy.lock().files.retain(|_, file| {
            file.bytes.clone_from(&file.synced);
            file.is_entered
        });
        copy
    }

    /// The call after so many others fails.
    pub(super) fn fail(&self, after: usize, fault: Fault) {
        let mut state = self.lock();
        let at = state.calls + after;
        state.faults.push((at, fault));
    }

    /// Nothing fails any more.
    pub(super) fn heal(&self) {
        self.lock().faults.clear();
    }

    pub(super) fn read_only(&self, is_so: bool) {
        self.lock().read_only = is_so;
    }

    pub(super) fn unreadable(&self, is_so: bool) {
        self.lock().unreadable = is_so;
    }

    /// Counts a call that changes something; the fault that it meets.
    fn call(&self) -> (MutexGuard<'_, State>, Option<Fault>) {
        let mut state = self.lock();
        let at = state.calls;
        state.calls += 1;
        let planted = state.faults.iter().find(|(call, _)| *call == at);
        let fault = planted.map(|(_, fault)| *fault);
        let fault = fault.or(state
            .read_only
            .then_some(Fault::Fails(io::ErrorKind::ReadOnlyFilesystem)));
        (state, fault)
    }

    fn change(&self, change: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        match self.call() {
            (mut state, None) => change(&mut state),
            (_, Some(Fault::Fails(kind))) => Err(kind.into()),
            (_, Some(Fault::Short(_))) => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for MemoryDisk {
    fn files(&mut self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let state = self.lock();
        let files = state.files.iter().filter_map(|(name, file)| {
            let (in_folder, name) = name.rsplit_once('/')?;
            (in_folder == folder).then(|| (name.to_owned(), file.bytes.len() as u64))
        });
        Ok(files.collect())
    }

    fn folders(&mut self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.lock();
        let names = state.files.keys().filter_map(|name| {
            let below = name.strip_prefix(folder)?.strip_prefix('/')?;
            Some(below.split_once('/')?.0.to_owned())
        });
        let mut names: Vec<_> = names.collect();
        names.dedup();
        Ok(names)
    }

    fn make_folder(&mut self, _: &str) -> io::Result<()> {
        self.change(|_| Ok(()))
    }

    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut state, fault) = self.call();
        let (len, outcome) = match fault {
            None => (bytes.len(), Ok(())),
            Some(Fault::Short(len)) => {
                (len.min(bytes.len()), Err(io::ErrorKind::StorageFull.into()))
            }
            Some(Fault::Fails(kind)) => return Err(kind.into()),
        };
        let file = &mut state.files.entry(file.to_owned()).or_default().bytes;
        let at = usize::try_from(at).unwrap();
        file.resize(file.len().max(at + len), 0);
        file[at..at + len].copy_from_slice(&bytes[..len]);
        outcome
    }

    fn read(&mut self, file: &str, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let state = self.lock();
        if state.unreadable {
            return Err(io::ErrorKind::Other.into());
        }
        let bytes = &state.files.get(file).ok_or_else(missing)?.bytes;
        let at = usize::try_from(at).unwrap().min(bytes.len());
        Ok(bytes[at..].iter().take(most).copied().collect())
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        self.change(|state| {
            let file = state.files.get_mut(file).ok_or_else(missing)?;
            file.synced.clone_from(&file.bytes);
            Ok(())
        })
    }

    fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        self.change(|state| {
            for (name, file) in &mut state.files {
                file.is_entered |= name.rsplit_once('/').is_some_and(|(of, _)| of == folder);
            }
            Ok(())
        })
    }

    fn cut(&mut self, file: &str, len: u64) -> io::Result<()> {
        self.change(|state| {
            let file = state.files.get_mut(file).ok_or_else(missing)?;
            file.bytes.truncate(usize::try_from(len).unwrap());
            Ok(())
        })
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.change(|state| state.files.remove(file).map(drop).ok_or_else(missing))
    }
}
