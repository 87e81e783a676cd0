//! The few things that the store asks of a file system, so that tests can plant what goes wrong with one.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// Files by their path below the store's directory, with `/` between folders.
pub(crate) trait Disk: Send {
    /// Names and lengths of the files in a folder; none where there is no such folder.
    fn files(&mut self, folder: &str) -> io::Result<Vec<(String, u64)>>;
    /// Names of the folders in a folder; none where there is no such folder.
    fn folders(&mut self, folder: &str) -> io::Result<Vec<String>>;
    /// Makes a folder and those above it, so that they outlast a loss of power.
    fn make_folder(&mut self, folder: &str) -> io::Result<()>;
    /// Writes all of `bytes` from that place on; makes the file where it is missing.
    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Up to so many bytes from that place on; fewer where the file ends.
    fn read(&mut self, file: &str, at: u64, most: usize) -> io::Result<Vec<u8>>;
    /// Returns when what was written to the file outlasts a loss of power.
    fn sync(&mut self, file: &str) -> io::Result<()>;
    /// The same for which files are in a folder.
    fn sync_folder(&mut self, folder: &str) -> io::Result<()>;
    /// Cuts the file off.
    fn cut(&mut self, file: &str, len: u64) -> io::Result<()>;
    fn remove(&mut self, file: &str) -> io::Result<()>;
}

/// The operating system's files.
pub(crate) struct Directory {
    root: PathBuf,
    /// Files that are being written or read.
    open: HashMap<String, File>,
}

/// Held open at once; beyond that all are closed, to be opened again when needed.
const MOST_OPEN: usize = 64;

impl Directory {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            open: HashMap::new(),
        }
    }

    fn file(&mut self, name: &str, makes: bool) -> io::Result<&mut File> {
        if self.open.len() >= MOST_OPEN && !self.open.contains_key(name) {
            self.open.clear();
        }
        match self.open.entry(name.to_owned()) {
            std::collections::hash_map::Entry::Occupied(open) => Ok(open.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(makes);
                Ok(place.insert(options.open(self.root.join(name))?))
            }
        }
    }

    fn entries(&self, folder: &str) -> io::Result<Vec<fs::DirEntry>> {
        match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries.collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl Disk for Directory {
    fn files(&mut self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in self.entries(folder)? {
            let about = entry.metadata()?;
            if let (true, Ok(name)) = (about.is_file(), entry.file_name().into_string()) {
                files.push((name, about.len()));
            }
        }
        Ok(files)
    }

    fn folders(&mut self, folder: &str) -> io::Result<Vec<String>> {
        let mut folders = Vec::new();
        for entry in self.entries(folder)? {
            if let (true, Ok(name)) = (entry.file_type()?.is_dir(), entry.file_name().into_string())
            {
                folders.push(name);
            }
        }
        Ok(folders)
    }

    fn make_folder(&mut self, folder: &str) -> io::Result<()> {
        fs::create_dir_all(self.root.join(folder))?;
        let mut folder = folder;
        while let Some((above, _)) = folder.rsplit_once('/') {
            self.sync_folder(above)?;
            folder = above;
        }
        self.sync_folder("")
    }

    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(file, true)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    fn read(&mut self, file: &str, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let file = self.file(file, false)?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        self.file(file, false)?.sync_data()
    }

    fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        // Elsewhere a folder cannot be opened, and what is in it needs no syncing.
        if cfg!(unix) {
            File::open(self.root.join(folder))?.sync_all()?;
        }
        Ok(())
    }

    fn cut(&mut self, file: &str, len: u64) -> io::Result<()> {
        self.file(file, false)?.set_len(len)
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.open.remove(file);
        fs::remove_file(self.root.join(file))
    }
}
