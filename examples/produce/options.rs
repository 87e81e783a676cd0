//! The command line.

use lexopt::{Arg, Parser, ValueExt};
use ottla::{Client, ClientBuilder};

pub(crate) const USAGE: &str = "\
produce --topic T -X bootstrap.servers=HOSTS [-X name=value ...] < lines

Sends each line of standard input as a record, key<TAB>value or a value alone.

  --topic T        where the records go
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
        let mut client = Client::builder();
        while let Some(argument) = arguments.next().map_err(text)? {
            match argument {
                Arg::Long("topic") => {
                    let value = arguments.value().map_err(text)?;
                    topic = Some(value.string().map_err(|e| format!("--topic: {e}"))?);
                }
                Arg::Short('X') => {
                    let value = arguments.value().map_err(text)?;
                    let setting = value.string().map_err(|e| format!("-X: {e}"))?;
                    let wrong = |reason: String| format!("-X {setting}: {reason}");
                    let Some((name, value)) = setting.split_once('=') else {
                        return Err(wrong("expected name=value".to_owned()));
                    };
                    client = client.set(name, value).map_err(|e| wrong(e.to_string()))?;
                }
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                other => return Err(other.unexpected().to_string()),
            }
        }
        let topic = topic.ok_or("--topic is missing")?;
        Ok(Some(Self { topic, client }))
    }
}

fn text(error: lexopt::Error) -> String {
    error.to_string()
}
