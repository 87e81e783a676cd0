//! What the examples' command lines have in common: `-X name=value`, and what is wrong with an option.

use lexopt::{Parser, ValueExt};
use ottla::ClientBuilder;

/// What every error about an option ends with.
pub(crate) const HINT: &str = "(--help tells the options)";

/// The value of the option that was just read, as text.
pub(crate) fn value(arguments: &mut Parser, option: &str) -> Result<String, String> {
    let value = arguments.value().map_err(text)?;
    value.string().map_err(|e| format!("{option}: {e}"))
}

/// The setting behind `-X`, added to the client's.
pub(crate) fn setting(
    arguments: &mut Parser,
    client: ClientBuilder,
) -> Result<ClientBuilder, String> {
    let setting = value(arguments, "-X")?;
    let wrong = |reason: String| format!("-X {setting}: {reason}");
    let Some((name, value)) = setting.split_once('=') else {
        return Err(wrong("expected name=value".to_owned()));
    };
    client.set(name, value).map_err(|e| wrong(e.to_string()))
}

pub(crate) fn text(error: lexopt::Error) -> String {
    error.to_string()
}
