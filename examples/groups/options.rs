//! The command line.

use lexopt::{Arg, Parser};
use ottla::{Client, ClientBuilder};

use crate::command_line::{setting, text, value};

pub(crate) const USAGE: &str = "\
groups -X bootstrap.servers=HOSTS [-X name=value ...] [--topics] [--groups] [--group G ...]

Shows what there is in a cluster; without any of the options below, all topics and groups.

  --topics         every topic: its partitions, and how many brokers hold each
  --groups         every group: how its members are kept, what they are, what it is doing
  --group G        a group's partitions: what it has committed, how much is left to read, and who
                   reads it; may be given more than once
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
        let mut client = Client::builder();
        while let Some(argument) = arguments.next().map_err(text)? {
            match argument {
                Arg::Long("topics") => topics = true,
                Arg::Long("groups") => groups = true,
                Arg::Long("group") => describe.push(value(&mut arguments, "--group")?),
                Arg::Short('X') => client = setting(&mut arguments, client)?,
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                other => return Err(other.unexpected().to_string()),
            }
        }
        if !topics && !groups && describe.is_empty() {
            (topics, groups) = (true, true);
        }
        Ok(Some(Self {
            topics,
            groups,
            describe,
            client,
        }))
    }
}
