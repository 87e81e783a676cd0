//! Settings from a TOML file, Kafka's under their own names, all checked before anything is begun.

use std::collections::BTreeMap;
use std::fs;

use ottla::{Client, ClientBuilder, PropertiesFile};
use serde::Deserialize;
use toml::{Table, Value};

use crate::{Failure, Parts};

/// Kafka's name of the setting that `--bootstrap` gives.
const BOOTSTRAP: &str = "bootstrap.servers";

/// What to connect to, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Kafka's servers; `None` for the embedded broker.
    pub bootstrap: Option<String>,
    /// The database's URL; `None` for SQLite in memory.
    pub database: Option<String>,
    /// Redis' URL, where the file names one.
    pub redis: Option<String>,
    kafka: ClientBuilder,
}

/// A settings file: what holds in every profile, and what each profile adds to it or replaces.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    kafka: Table,
    database: Option<String>,
    redis: Option<String>,
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    #[serde(default)]
    kafka: Table,
    database: Option<String>,
    redis: Option<String>,
}

impl File {
    /// The options' file, else the included one; and how to call it.
    fn read(parts: &Parts, included: &str) -> Result<(String, Self), Failure> {
        let (source, text) = match &parts.config {
            Some(path) => {
                let source = format!("--config {}", path.display());
                let text = fs::read_to_string(path);
                let text = text.map_err(|error| Failure::option(&source, error))?;
                (source, text)
            }
            None => ("the included settings".to_owned(), included.to_owned()),
        };
        match toml::from_str(&text) {
            Ok(file) => Ok((source, file)),
            Err(error) => Err(Failure::option(source, error.to_string().trim_end())),
        }
    }

    /// Those that this run does not use are checked all the same: a mistake is told before it matters.
    fn check_profiles(&self, source: &str) -> Result<(), Failure> {
        for (name, profile) in &self.profile {
            let source = format!("{source}, profile {name}");
            let _ = checked(
                &source,
                Client::builder(),
                flatten(&source, &profile.kafka)?,
            )?;
        }
        Ok(())
    }
}

impl Settings {
    /// Reads the file that the options name, else `included`, and puts the options above it.
    ///
    /// # Errors
    /// What is wrong with the file or an option, by its name.
    pub fn load(parts: &Parts, included: &str) -> Result<Self, Failure> {
        let (source, mut file) = File::read(parts, included)?;
        let mut kafka = flatten(&source, &file.kafka)?;
        let (mut database, mut redis) = (file.database.take(), file.redis.take());
        if let Some(name) = &parts.profile {
            let Some(profile) = file.profile.remove(name) else {
                let known: Vec<_> = file.profile.keys().map(String::as_str).collect();
                let reason = format!("{source} has no such profile; it has: {}", known.join(", "));
                return Err(Failure::option(format!("--profile {name}"), reason));
            };
            let source = format!("{source}, profile {name}");
            kafka.extend(flatten(&source, &profile.kafka)?);
            database = profile.database.or(database);
            redis = profile.redis.or(redis);
        }
        file.check_profiles(&source)?;
        let named = kafka.remove(BOOTSTRAP);
        let named = named.map(|hosts| (source.clone(), hosts));
        let (builder, bootstrap) =
            above(parts, checked(&source, Client::builder(), kafka)?, named)?;
        // The embedded broker's address is not known yet; any will do to find conflicts.
        let probe = match &bootstrap {
            Some(_) => builder.clone(),
            None => builder.clone().bootstrap_servers("127.0.0.1:9092"),
        };
        probe
            .check()
            .map_err(|error| Failure::option(&source, error))?;
        Ok(Self {
            bootstrap: bootstrap.map(|(_, hosts)| hosts),
            database: parts.database.clone().or(database),
            redis,
            kafka: builder,
        })
    }

    /// A client's builder with all of Kafka's settings but, for the embedded broker, its address.
    pub fn client(&self) -> ClientBuilder {
        self.kafka.clone()
    }
}

/// What options say above the settings, and which servers were named last, and where.
fn above(
    parts: &Parts,
    mut builder: ClientBuilder,
    mut bootstrap: Option<(String, String)>,
) -> Result<(ClientBuilder, Option<(String, String)>), Failure> {
    if let Some(path) = &parts.command_config {
        let option = format!("--command-config {}", path.display());
        let file = PropertiesFile::read(path);
        let file = file.map_err(|error| Failure::option("--command-config", error))?;
        let set = builder.properties_file(&file);
        builder = set.map_err(|error| Failure::option(&option, error))?;
        if let Some(hosts) = file.get(BOOTSTRAP) {
            bootstrap = Some((option, hosts.to_owned()));
        }
    }
    for setting in &parts.set {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Failure::option(
                format!("-X {setting}"),
                "expected name=value",
            ));
        };
        let set = builder.set(name, value);
        builder = set.map_err(|error| Failure::option("-X", error))?;
        if name == BOOTSTRAP {
            bootstrap = Some(("-X".to_owned(), value.to_owned()));
        }
    }
    if let Some(hosts) = &parts.bootstrap {
        bootstrap = Some(("--bootstrap".to_owned(), hosts.clone()));
    }
    if let Some((option, hosts)) = &bootstrap {
        let set = builder.set(BOOTSTRAP, hosts);
        builder = set.map_err(|error| Failure::option(option, error))?;
    }
    Ok((builder, bootstrap))
}

fn checked(
    source: &str,
    builder: ClientBuilder,
    kafka: BTreeMap<String, String>,
) -> Result<ClientBuilder, Failure> {
    let set = builder.properties(kafka);
    set.map_err(|error| Failure::option(source, error))
}

/// `linger.ms = 20` is a table within a table to TOML, and one name to Kafka.
fn flatten(source: &str, table: &Table) -> Result<BTreeMap<String, String>, Failure> {
    let mut flat = BTreeMap::new();
    let mut open: Vec<(String, &Value)> = table
        .iter()
        .map(|(name, value)| (name.clone(), value))
        .collect();
    while let Some((name, value)) = open.pop() {
        let text = match value {
            Value::Table(table) => {
                let inner = table.iter();
                open.extend(inner.map(|(part, value)| (format!("{name}.{part}"), value)));
                continue;
            }
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                let items: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
                let refused = || Failure::option(source, format!("{name}: expected texts"));
                items.ok_or_else(refused)?.join(",")
            }
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Datetime(_) => {
                let reason = format!("{name}: no setting of Kafka is a date");
                return Err(Failure::option(source, reason));
            }
        };
        flat.insert(name, text);
    }
    Ok(flat)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    const INCLUDED: &str = r#"
        [kafka]
        linger.ms = 20
        retry.backoff.ms = 50
        retry.backoff.max.ms = 500

        [profile.local]
        database = "mysql://root@localhost/coupon_example"
        kafka."bootstrap.servers" = "localhost:9092"

        [profile.docker]
        redis = "redis://redis:6379"
        [profile.docker.kafka]
        bootstrap.servers = ["kafka:9092", "kafka2:9092"]
        linger.ms = 5
    "#;

    fn parts(profile: Option<&str>, bootstrap: Option<&str>) -> Parts {
        Parts {
            profile: profile.map(str::to_owned),
            bootstrap: bootstrap.map(str::to_owned),
            ..Parts::default()
        }
    }

    fn refused(text: &str) -> String {
        match Settings::load(&parts(None, None), text) {
            Ok(settings) => panic!("{settings:?}"),
            Err(failure) => {
                assert_eq!(failure.status(), 2);
                failure.to_string()
            }
        }
    }

    #[test]
    fn without_options_everything_is_embedded_and_the_common_settings_hold() {
        let settings = Settings::load(&parts(None, None), INCLUDED).unwrap();
        assert_eq!((settings.bootstrap, settings.database), (None, None));
        assert!(format!("{:?}", settings.kafka).contains("20ms"));
    }

    #[test]
    fn a_profile_goes_above_the_common_settings_and_an_option_above_both() {
        let settings = Settings::load(&parts(Some("docker"), None), INCLUDED).unwrap();
        assert_eq!(
            settings.bootstrap.as_deref(),
            Some("kafka:9092,kafka2:9092")
        );
        assert_eq!(settings.redis.as_deref(), Some("redis://redis:6379"));
        assert!(!format!("{:?}", settings.kafka).contains("20ms"));
        let settings = Settings::load(&parts(Some("local"), Some("a:1")), INCLUDED).unwrap();
        assert_eq!(settings.bootstrap.as_deref(), Some("a:1"));
        assert!(settings.database.unwrap().contains("coupon_example"));
    }

    #[test]
    fn a_mistyped_name_is_refused_with_the_one_that_was_meant() {
        let told = refused("[kafka]\nlinger.mns = 20");
        let meant = r#"unknown setting "linger.mns": did you mean "linger.ms"?"#;
        assert_eq!(told, format!("the included settings: {meant}"));
        // Also in a profile that this run does not use.
        let told = refused("[profile.docker.kafka]\nlinger.mns = 20");
        assert_eq!(
            told,
            format!("the included settings, profile docker: {meant}")
        );
        assert!(refused("[kafak]\n").contains("unknown field `kafak`"));
        assert!(refused("databse = \"x\"\n").contains("unknown field `databse`"));
    }

    #[test]
    fn what_does_not_parse_or_go_together_is_refused_by_its_name() {
        assert!(refused("[kafka]\nlinger.ms = \"soon\"").contains("linger.ms"));
        assert!(refused("[kafka]\nlinger.ms = [1]").contains("linger.ms"));
        assert!(refused("[kafka]\ndelivery.timeout.ms = 10").contains("delivery.timeout.ms"));
        assert!(
            refused("[kafka]\nheartbeat.interval.ms = 90000").contains("heartbeat.interval.ms")
        );
        assert!(refused("[kafka\n").contains("the included settings"));
        let wrong = Settings::load(&parts(Some("dokcer"), None), INCLUDED).unwrap_err();
        assert!(
            wrong.to_string().starts_with("--profile dokcer: "),
            "{wrong}"
        );
        assert!(wrong.to_string().ends_with("docker, local"), "{wrong}");
        let wrong = Settings::load(&parts(None, Some("nowhere")), INCLUDED).unwrap_err();
        assert!(wrong.to_string().starts_with("--bootstrap: "), "{wrong}");
    }

    #[test]
    fn a_properties_file_goes_above_the_settings_and_an_option_above_both() {
        let name = format!("ottla-app-{}.properties", std::process::id());
        let path = std::env::temp_dir().join(name);
        let text = "bootstrap.servers=file:1\nlinger.ms=33\nretry.backoff.ms=44\ngroup.id=g\n\
                    value.serializer=x.Y\n";
        fs::write(&path, text).unwrap();
        let with = |set: &[&str], bootstrap: Option<&str>| {
            let parts = Parts {
                command_config: Some(path.clone()),
                set: set.iter().map(|text| (*text).to_owned()).collect(),
                ..parts(Some("local"), bootstrap)
            };
            Settings::load(&parts, INCLUDED)
        };
        let settings = with(&["linger.ms=55"], None).unwrap();
        assert_eq!(settings.bootstrap.as_deref(), Some("file:1"));
        let shown = format!("{:?}", settings.kafka);
        assert!(shown.contains("55ms") && shown.contains("44ms"), "{shown}");
        assert!(!shown.contains("33ms"), "{shown}");
        let settings = with(&["bootstrap.servers=x:1"], None).unwrap();
        assert_eq!(settings.bootstrap.as_deref(), Some("x:1"));
        let settings = with(&["bootstrap.servers=x:1"], Some("b:1")).unwrap();
        assert_eq!(settings.bootstrap.as_deref(), Some("b:1"));
        let wrong = with(&["linger"], None).unwrap_err().to_string();
        assert!(wrong.starts_with("-X linger: "), "{wrong}");
        fs::write(&path, "metric.reporters=x.Y\n").unwrap();
        let wrong = with(&[], None).unwrap_err().to_string();
        assert!(wrong.contains("metric.reporters"), "{wrong}");
        fs::remove_file(&path).unwrap();
        let wrong = with(&[], None).unwrap_err().to_string();
        assert!(wrong.starts_with("--command-config: "), "{wrong}");
    }

    #[test]
    fn a_file_that_is_not_there_is_told_by_its_name() {
        let parts = Parts {
            config: Some(PathBuf::from("/nowhere/settings.toml")),
            ..Parts::default()
        };
        assert!(!Path::new("/nowhere").exists());
        let wrong = Settings::load(&parts, INCLUDED).unwrap_err().to_string();
        assert!(
            wrong.starts_with("--config /nowhere/settings.toml: "),
            "{wrong}"
        );
    }
}
