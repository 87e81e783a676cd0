//! What the examples' command lines have in common: `--command-config`, `-X name=value`, and what is wrong with an option.

use lexopt::{Parser, ValueExt};
use ottla::{Client, ClientBuilder, PropertiesFile};

/// What every error about an option ends with.
pub(crate) const HINT: &str = "(--help tells the options)";

/// The value of the option that was just read, as text.
pub(crate) fn value(arguments: &mut Parser, option: &str) -> Result<String, String> {
    let value = arguments.value().map_err(text)?;
    value.string().map_err(|e| format!("{option}: {e}"))
}

/// The client's settings: of a file, and above it those of `-X`, wherever each stands on the command line.
#[derive(Default)]
pub(crate) struct Settings {
    file: Option<(String, PropertiesFile)>,
    above: Vec<(String, String)>,
}

impl Settings {
    /// Reads the file behind `--command-config`.
    pub(crate) fn file(&mut self, arguments: &mut Parser) -> Result<(), String> {
        let path = value(arguments, "--command-config")?;
        if self.file.is_some() {
            return Err("--command-config: given more than once".to_owned());
        }
        let file = PropertiesFile::read(&path).map_err(|e| format!("--command-config: {e}"))?;
        self.file = Some((path, file));
        Ok(())
    }

    /// Reads the setting behind `-X`.
    pub(crate) fn setting(&mut self, arguments: &mut Parser) -> Result<(), String> {
        let setting = value(arguments, "-X")?;
        let Some((name, value)) = setting.split_once('=') else {
            return Err(format!("-X {setting}: expected name=value"));
        };
        // A mistake is told where it was made.
        let tried = Client::builder().set(name, value);
        tried.map(drop).map_err(|e| format!("-X {name}: {e}"))?;
        self.above.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The client's builder with all of it, and the group that the file names.
    pub(crate) fn finish(self) -> Result<(ClientBuilder, Option<String>), String> {
        let mut client = Client::builder();
        let mut group = None;
        if let Some((path, file)) = &self.file {
            let set = client.properties_file(file);
            client = set.map_err(|e| format!("--command-config {path}: {e}"))?;
            group = file.get("group.id").map(str::to_owned);
        }
        let client = client.properties(self.above);
        Ok((client.map_err(|e| format!("-X: {e}"))?, group))
    }
}

pub(crate) fn text(error: lexopt::Error) -> String {
    error.to_string()
}
