//! The command line.

use std::fmt::Display;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use lexopt::{Arg, Parser};
use ottla::ClientBuilder;

use crate::command_line::{Settings, text, value};
use crate::format::Format;

pub(crate) const USAGE: &str = "\
consume --topic T [--topic U ...] [--group G] -X bootstrap.servers=HOSTS [-X name=value ...]

Prints the records of topics, each on a line, until Ctrl-C.

  --topic T            what to read; may be given more than once
  --group G            reads as a member of this group, which shares the partitions out, goes on
                       where the group was and commits what was printed; without a group, every
                       partition is read, and nothing committed

Where to begin; in a group, in partitions of which nothing is committed:
  --from-beginning     at the oldest record
  --from-end           at the next record that is written (the default)
  --from-timestamp MS  at the first record as late as this, in milliseconds since 1970

When to end:
  --count N            after so many records
  --exit-at-end        at what is each partition's end when its reading begins

What to print:
  --format TEXT        %t topic, %p partition, %o offset, %T timestamp, %k key, %v value, %h headers,
                       %% a percent sign; \\t tab, \\n new line, \\\\ backslash; null is printed as null.
                       The default is %v
  --json               an object with all of these; bytes that are no text as {\"hex\":...}

  --command-config FILE
                       the client's settings and group.id, as Kafka's own tools take them; -X and
                       --group count instead
  -X name=value        a setting by its Kafka name, such as isolation.level=read_committed

Exit status: 0 when it ended as asked, also by Ctrl-C; 1 when reading failed, 2 for wrong options.
";

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum From {
    Beginning,
    End,
    Time(SystemTime),
}

pub(crate) struct Options {
    pub(crate) topics: Vec<String>,
    pub(crate) group: Option<String>,
    pub(crate) from: Option<From>,
    pub(crate) count: Option<usize>,
    pub(crate) exit_at_end: bool,
    pub(crate) format: Format,
    pub(crate) client: ClientBuilder,
}

impl Options {
    /// `None` when only the usage was asked for; an error names the option it is about.
    pub(crate) fn from_command_line() -> Result<Option<Self>, String> {
        Self::parse(Parser::from_env())
    }

    fn parse(mut arguments: Parser) -> Result<Option<Self>, String> {
        let mut topics = Vec::new();
        let (mut group, mut from, mut count, mut format) = (None, None, None, None);
        let mut exit_at_end = false;
        let mut settings = Settings::default();
        let all = &mut arguments;
        while let Some(argument) = all.next().map_err(text)? {
            match argument {
                Arg::Long("topic") => topics.push(value(all, "--topic")?),
                Arg::Long("group") => once(&mut group, "--group", value(all, "--group")?)?,
                Arg::Long("from-beginning") => once(&mut from, "--from-", From::Beginning)?,
                Arg::Long("from-end") => once(&mut from, "--from-", From::End)?,
                Arg::Long("from-timestamp") => {
                    let millis = number(all, "--from-timestamp")?;
                    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
                    once(&mut from, "--from-", From::Time(time))?;
                }
                Arg::Long("count") => count = Some(number(all, "--count")?),
                Arg::Long("exit-at-end") => exit_at_end = true,
                Arg::Long("format") => {
                    let parsed = Format::parse(&value(all, "--format")?);
                    let parsed = parsed.map_err(|wrong| format!("--format: {wrong}"))?;
                    once(&mut format, "--format or --json", parsed)?;
                }
                Arg::Long("json") => once(&mut format, "--format or --json", Format::Json)?,
                Arg::Short('X') => settings.setting(all)?,
                Arg::Long("command-config") => settings.file(all)?,
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                other => return Err(other.unexpected().to_string()),
            }
        }
        if topics.is_empty() {
            return Err("--topic is missing".to_owned());
        }
        if count == Some(0) {
            return Err("--count: at least 1".to_owned());
        }
        let (client, named) = settings.finish()?;
        Ok(Some(Self {
            topics,
            group: group.or(named),
            from,
            count,
            exit_at_end,
            format: format.unwrap_or_default(),
            client,
        }))
    }
}

/// What can be said once.
fn once<T>(slot: &mut Option<T>, options: &str, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{options}: given more than once")),
    }
}

fn number<T: FromStr<Err: Display>>(arguments: &mut Parser, option: &str) -> Result<T, String> {
    let value = value(arguments, option)?;
    let parsed = value.parse();
    parsed.map_err(|error: T::Err| format!("{option} {value}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn options_are_what_they_say() {
        let line = "--topic a --topic b --group g --from-timestamp 1500 --count 3 --exit-at-end";
        let options = parse(line).unwrap().unwrap();
        assert_eq!(options.topics, ["a", "b"]);
        assert_eq!(options.group.as_deref(), Some("g"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        assert_eq!(options.from, Some(From::Time(time)));
        assert_eq!((options.count, options.exit_at_end), (Some(3), true));
        let options = parse("--topic=a").unwrap().unwrap();
        assert!(options.group.is_none() && options.from.is_none() && options.count.is_none());
        assert!(parse("--topic a --help").unwrap().is_none());
    }

    #[test]
    fn the_files_settings_hold_where_no_option_says_otherwise() {
        let name = format!("ottla-consume-{}.properties", std::process::id());
        let path = std::env::temp_dir().join(name);
        let text = "group.id=g\nfetch.max.wait.ms=111\nfetch.min.bytes=222\nkey.deserializer=x.Y\n";
        std::fs::write(&path, text).unwrap();
        let file = format!("--command-config {}", path.display());
        let options = parse(&format!("--topic a -X fetch.max.wait.ms=333 {file}"));
        let options = options.unwrap().unwrap();
        assert_eq!(options.group.as_deref(), Some("g"));
        let shown = format!("{:?}", options.client);
        assert!(
            shown.contains("333ms") && !shown.contains("111ms"),
            "{shown}"
        );
        assert!(shown.contains("222"), "{shown}");
        let options = parse(&format!("--topic a --group h {file}"));
        assert_eq!(options.unwrap().unwrap().group.as_deref(), Some("h"));
        std::fs::write(&path, "interceptor.classes=x.Y\n").unwrap();
        let wrong = parse(&format!("--topic a {file}")).err().unwrap();
        assert!(wrong.contains("interceptor.classes"), "{wrong}");
        std::fs::remove_file(&path).unwrap();
        let wrong = parse(&format!("--topic a {file}")).err().unwrap();
        assert!(wrong.starts_with("--command-config: "), "{wrong}");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_option() {
        for (line, told) in [
            ("", "--topic is missing"),
            ("--topic", "--topic"),
            ("--topic a b", "b"),
            ("--topic a --group g --group h", "--group"),
            ("--topic a --from-beginning --from-end", "--from-"),
            (
                "--topic a --from-timestamp yesterday",
                "--from-timestamp yesterday",
            ),
            ("--topic a --from-timestamp -1", "--from-timestamp"),
            ("--topic a --count 0", "--count"),
            ("--topic a --count x", "--count x"),
            ("--topic a --format %x", "--format: %x"),
            ("--topic a --json --format %v", "--format or --json"),
            ("--topic a -X linger", "-X linger"),
        ] {
            let Err(wrong) = parse(line) else {
                panic!("{line} is taken");
            };
            assert!(wrong.contains(told), "{line}: {wrong}");
        }
    }
}
