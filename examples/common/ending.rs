//! How the examples end: text for standard output, a reason for standard error, and an exit status.

use std::io::{self, Write};
use std::process::ExitCode;

use ottla::{Error, ErrorCode};

/// Writes to standard output; a reader that has gone away wants no more, which is no failure.
pub(crate) fn print(text: &str) -> ExitCode {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            refuse(1, &format!("writing to standard output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Says something about what is printed; whether someone still reads standard error changes nothing.
pub(crate) fn note(text: &str) {
    let program = env!("CARGO_CRATE_NAME");
    let _ = writeln!(io::stderr(), "{program}: {}", text.trim_end());
}

/// Says why the program ends, and ends it with that status.
pub(crate) fn refuse(status: u8, why: &str) -> ExitCode {
    note(why);
    ExitCode::from(status)
}

/// Ends with status 2 where an option is to blame, which may only show once the cluster was asked.
pub(crate) fn fail(error: &Error) -> ExitCode {
    let code = error.broker_code();
    let option = match error {
        Error::Config { setting, .. } if &**setting == "group.id" => "--group: ",
        Error::Config { .. } | Error::UnknownSetting { .. } => "-X: ",
        Error::InvalidTopic { .. } => "--topic: ",
        _ if code == Some(ErrorCode::INVALID_TOPIC_EXCEPTION) => "--topic: ",
        _ if code == Some(ErrorCode::INVALID_GROUP_ID) => "--group: ",
        _ => "",
    };
    let status = if option.is_empty() { 1 } else { 2 };
    refuse(status, &format!("{option}{error}"))
}
