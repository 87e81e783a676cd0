//! The command line.

use lexopt::{Arg, Parser};
use ottla::ClientBuilder;

use crate::command_line::{Settings, text, value};

pub(crate) const USAGE: &str = "\
produce --topic T -X bootstrap.servers=HOSTS [-X name=value ...] < lines

Sends each line of standard input as a record, key<TAB>value or a value alone.

  --topic T        where the records go
  --command-config FILE
                   the client's settings, as Kafka's own tools take them; -X counts instead
  -X name=value    a setting by its Kafka name, such as linger.ms=20 or compression.type=zstd

Exit status: 0 when every line was delivered, 1 when one was not, 2 for wrong options.
";

pub(crate) struct Options {
    pub(crate) topic: String,
    pub(crate) client: ClientBuilder,
}

impl Options {
    /// `None` when only the usage was asked for; an error names the option it is about.
    pub(crate) fn from_command_line() -> Result<Option<Self>, String> {
        let mut arguments = Parser::from_env();
        let mut topic = None;
        let mut settings = Settings::default();
        while let Some(argument) = arguments.next().map_err(text)? {
            match argument {
                Arg::Long("topic") => topic = Some(value(&mut arguments, "--topic")?),
                Arg::Short('X') => settings.setting(&mut arguments)?,
                Arg::Long("command-config") => settings.file(&mut arguments)?,
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                other => return Err(other.unexpected().to_string()),
            }
        }
        let topic = topic.ok_or("--topic is missing")?;
        let (client, _) = settings.finish()?;
        Ok(Some(Self { topic, client }))
    }
}
