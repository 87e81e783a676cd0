//! Where keys and certificates are to be read from, once it is clear that no two settings contradict each other.

use std::path::PathBuf;
use std::time::Duration;

use super::names;
use super::options::{StoreFormat, TlsConfig, TlsVersion};
use crate::error::{Error, Result};
use crate::sasl::Secret;

const DEFAULT_RELOAD_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_RELOAD_DEBOUNCE: Duration = Duration::from_secs(5);

/// Settings that go together.
#[derive(Debug)]
pub(super) struct Sources {
    /// None is the operating system's.
    pub(super) trust: Option<Trust>,
    pub(super) identity: Option<Identity>,
    pub(super) checks_host: bool,
    pub(super) checks_certificates: bool,
    pub(super) versions: Vec<TlsVersion>,
    /// None is all.
    pub(super) suites: Option<Vec<String>>,
    /// How often files are looked at, and how long a change must rest; none is never.
    pub(super) reload: Option<(Duration, Duration)>,
}

/// Whom to trust.
#[derive(Debug)]
pub(super) enum Trust {
    File(StoreFile),
    Pem(String),
}

/// A key with its certificates.
#[derive(Debug)]
pub(super) enum Identity {
    /// Both in one file.
    File {
        file: StoreFile,
        key_password: Option<Secret>,
    },
    Files {
        chain: PathBuf,
        key: PathBuf,
        key_password: Option<Secret>,
    },
    Pem {
        chain: String,
        key: Secret,
        key_password: Option<Secret>,
    },
}

/// A file of whatever format, with the name of the setting that it is from.
#[derive(Debug)]
pub(super) struct StoreFile {
    pub(super) path: PathBuf,
    /// As it was said to be; none asks the file.
    pub(super) format: Option<StoreFormat>,
    pub(super) password: Option<Secret>,
    pub(super) setting: &'static str,
}

impl Sources {
    pub(super) fn of(config: &TlsConfig) -> Result<Self> {
        let checks_certificates = config.checks_certificates.unwrap_or(true);
        if !checks_certificates {
            let contrary = [
                (config.checks_host == Some(true), names::CHECKS_HOST),
                (config.trust_location.is_some(), names::TRUST_LOCATION),
                (config.trust_pem.is_some(), names::TRUST_PEM),
            ];
            if let Some((_, setting)) = contrary.into_iter().find(|(set, _)| *set) {
                let reason = "no effect: nothing of a broker's certificate is checked then; leave one of them out";
                return Err(conflict(setting, names::CHECKS_CERTIFICATES, reason));
            }
        }
        Ok(Self {
            trust: trust(config)?,
            identity: identity(config)?,
            checks_host: config.checks_host.unwrap_or(true),
            checks_certificates,
            versions: versions(config)?,
            suites: config.suites.clone(),
            reload: reload(config)?,
        })
    }

    /// The files that are read.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let Some(Trust::File(file)) = &self.trust {
            files.push(file.path.clone());
        }
        match &self.identity {
            Some(Identity::File { file, .. }) => files.push(file.path.clone()),
            Some(Identity::Files { chain, key, .. }) => files.extend([chain.clone(), key.clone()]),
            Some(Identity::Pem { .. }) | None => {}
        }
        files
    }
}

fn reload(config: &TlsConfig) -> Result<Option<(Duration, Duration)>> {
    let times = [
        (config.reload_interval, names::RELOAD_INTERVAL),
        (config.reload_debounce, names::RELOAD_DEBOUNCE),
    ];
    if let Some((_, setting)) = times.iter().find(|(time, _)| *time == Some(Duration::ZERO)) {
        return Err(Error::config(
            setting,
            "0 is out of bounds: at least 1 millisecond",
        ));
    }
    if config.reloads == Some(false) {
        return match times.iter().find(|(time, _)| time.is_some()) {
            Some((_, setting)) => Err(conflict(setting, names::RELOADS, "leave one of them out")),
            None => Ok(None),
        };
    }
    Ok(Some((
        config.reload_interval.unwrap_or(DEFAULT_RELOAD_INTERVAL),
        config.reload_debounce.unwrap_or(DEFAULT_RELOAD_DEBOUNCE),
    )))
}

fn trust(config: &TlsConfig) -> Result<Option<Trust>> {
    let is_pem = config.trust_format == Some(StoreFormat::Pem);
    if config.trust_password.is_some() && (is_pem || config.trust_pem.is_some()) {
        let reason = "certificates in PEM have no password: leave it out";
        return Err(Error::config(names::TRUST_PASSWORD, reason));
    }
    match (&config.trust_location, &config.trust_pem) {
        (Some(_), Some(_)) => Err(twice(names::TRUST_PEM, names::TRUST_LOCATION)),
        (None, Some(pem)) => match config.trust_format {
            None | Some(StoreFormat::Pem) => Ok(Some(Trust::Pem(pem.clone()))),
            Some(format) => Err(not_text(names::TRUST_TYPE, format, names::TRUST_PEM)),
        },
        (Some(path), None) => Ok(Some(Trust::File(StoreFile {
            path: path.clone(),
            format: config.trust_format,
            password: config.trust_password.clone(),
            setting: names::TRUST_LOCATION,
        }))),
        (None, None) => {
            let rest = [
                (config.trust_format.is_some(), names::TRUST_TYPE),
                (config.trust_password.is_some(), names::TRUST_PASSWORD),
            ];
            needs(rest, names::TRUST_LOCATION)?;
            Ok(None)
        }
    }
}

fn identity(config: &TlsConfig) -> Result<Option<Identity>> {
    let store = config
        .identity_location
        .as_ref()
        .map(|path| (path, names::KEY_STORE));
    let files = (&config.chain_location, &config.key_location);
    let text = (&config.chain_pem, &config.key_pem);
    let key_password = config.key_password.clone();
    // The first of each way that is set.
    let ways = [
        store.map(|(_, name)| name),
        named(files.0, names::CHAIN_LOCATION).or(named(files.1, names::KEY_LOCATION)),
        named(text.0, names::CHAIN_PEM).or(named(text.1, names::KEY_PEM)),
    ];
    let mut set = ways.into_iter().flatten();
    if let (Some(first), Some(second)) = (set.next(), set.next()) {
        return Err(twice(second, first));
    }
    let is_store = store.is_some();
    if config.store_password.is_some() && !is_store {
        return Err(lacks(names::STORE_PASSWORD, names::KEY_STORE));
    }
    if config.store_password.is_some() && config.key_format == Some(StoreFormat::Pem) {
        let key = names::KEY_PASSWORD;
        let reason = format!("a PEM file has no password of its own: the key's is {key}");
        return Err(Error::config(names::STORE_PASSWORD, reason));
    }
    if let (Some((path, setting)), format) = (store, config.key_format) {
        let file = StoreFile {
            path: path.clone(),
            format,
            password: config.store_password.clone(),
            setting,
        };
        return Ok(Some(Identity::File { file, key_password }));
    }
    if let Some(format) = config.key_format.filter(|f| *f != StoreFormat::Pem) {
        return Err(
            match named(text.1, names::KEY_PEM).or(named(files.1, names::KEY_LOCATION)) {
                Some(setting) => not_text(names::KEY_TYPE, format, setting),
                None => lacks(names::KEY_TYPE, names::KEY_STORE),
            },
        );
    }
    match (files, text) {
        ((Some(chain), Some(key)), _) => Ok(Some(Identity::Files {
            chain: chain.clone(),
            key: key.clone(),
            key_password,
        })),
        ((Some(_), None), _) => Err(lacks(names::CHAIN_LOCATION, names::KEY_LOCATION)),
        ((None, Some(_)), _) => Err(lacks(names::KEY_LOCATION, names::CHAIN_LOCATION)),
        (_, (Some(chain), Some(key))) => Ok(Some(Identity::Pem {
            chain: chain.clone(),
            key: key.clone(),
            key_password,
        })),
        (_, (Some(_), None)) => Err(lacks(names::CHAIN_PEM, names::KEY_PEM)),
        (_, (None, Some(_))) => Err(lacks(names::KEY_PEM, names::CHAIN_PEM)),
        (_, (None, None)) => {
            let rest = [
                (config.key_format.is_some(), names::KEY_TYPE),
                (config.key_password.is_some(), names::KEY_PASSWORD),
            ];
            needs(rest, names::KEY_STORE)?;
            Ok(None)
        }
    }
}

/// `ssl.protocol` is the highest one, `ssl.enabled.protocols` all of them.
fn versions(config: &TlsConfig) -> Result<Vec<TlsVersion>> {
    let enabled = match &config.versions {
        Some(none) if none.is_empty() => {
            let reason = "none is named: give TLSv1.2, TLSv1.3 or both";
            return Err(Error::config(names::VERSIONS, reason));
        }
        Some(versions) => versions.clone(),
        None => vec![TlsVersion::V1_2, TlsVersion::V1_3],
    };
    let highest = config.protocol.unwrap_or(TlsVersion::V1_3);
    let offered: Vec<_> = enabled.into_iter().filter(|v| *v <= highest).collect();
    if offered.is_empty() {
        let reason = "it is below every version of that: raise it, or leave it out";
        return Err(conflict(names::PROTOCOL, names::VERSIONS, reason));
    }
    Ok(offered)
}

fn named<T>(value: &Option<T>, name: &'static str) -> Option<&'static str> {
    value.as_ref().map(|_| name)
}

fn conflict(setting: &str, other: &str, reason: &str) -> Error {
    Error::config(setting, format!("conflicts with {other}: {reason}"))
}

fn twice(setting: &str, other: &str) -> Error {
    conflict(setting, other, "leave one of them out")
}

fn lacks(setting: &str, other: &str) -> Error {
    Error::config(
        setting,
        format!("no effect without {other}: set both, or neither"),
    )
}

fn not_text(setting: &str, format: StoreFormat, text: &str) -> Error {
    let name = format.name();
    Error::config(
        setting,
        format!("{text} is PEM text, not {name}: set PEM, or leave it out"),
    )
}

/// Refuses the first of these that is set, which means nothing without `other`.
fn needs<const N: usize>(rest: [(bool, &'static str); N], other: &str) -> Result<()> {
    match rest.into_iter().find(|(set, _)| *set) {
        Some((_, setting)) => Err(lacks(setting, other)),
        None => Ok(()),
    }
}
