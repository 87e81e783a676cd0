//! The command line.

use lexopt::{Arg, Parser};
use ottla::ClientBuilder;

use crate::command_line::{Settings, text, value};

pub(crate) const USAGE: &str = "\
groups -X bootstrap.servers=HOSTS [-X name=value ...] [--topics] [--groups] [--group G ...]

Shows what there is in a cluster; without any of the options below, all topics and groups.

  --topics         every topic: its partitions, and how many brokers hold each
  --groups         every group: how its members are kept, what they are, what it is doing
  --group G        a group's partitions: what it has committed, how much is left to read, and who
                   reads it; may be given more than once
  --command-config FILE
                   the client's settings, as Kafka's own tools take them; -X counts instead
  -X name=value    a setting by its Kafka name

Exit status: 0 when everything could be told, 1 when not, 2 for wrong options.
";

pub(crate) struct Options {
    pub(crate) topics: bool,
    pub(crate) groups: bool,
    pub(crate) describe: Vec<String>,
    pub(crate) client: ClientBuilder,
}

impl Options {
    /// `None` when only the usage was asked for; an error names the option it is about.
    pub(crate) fn from_command_line() -> Result<Option<Self>, String> {
        let mut arguments = Parser::from_env();
        let (mut topics, mut groups) = (false, false);
        let mut describe = Vec::new();
        let mut settings = Settings::default();
        while let Some(argument) = arguments.next().map_err(text)? {
            match argument {
                Arg::Long("topics") => topics = true,
                Arg::Long("groups") => groups = true,
                Arg::Long("group") => describe.push(value(&mut arguments, "--group")?),
                Arg::Short('X') => settings.setting(&mut arguments)?,
                Arg::Long("command-config") => settings.file(&mut arguments)?,
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                other => return Err(other.unexpected().to_string()),
            }
        }
        if !topics && !groups && describe.is_empty() {
            (topics, groups) = (true, true);
        }
        let (client, _) = settings.finish()?;
        Ok(Some(Self {
            topics,
            groups,
            describe,
            client,
        }))
    }
}
