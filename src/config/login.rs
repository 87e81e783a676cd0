//! How a client proves who it is: what was set by either way, and the login that comes of it.

use std::sync::Arc;

use super::properties as p;
use super::security::{MechanismName, SecurityProtocol};
use crate::error::{Error, Result};
use crate::sasl::{JaasLine, Mechanism, MechanismError, Plain, Scram, Secret};

/// What was set about the login; `None` is not set.
#[derive(Clone, Debug, Default)]
pub(super) struct LoginOptions {
    pub(super) protocol: Option<SecurityProtocol>,
    pub(super) mechanism: Option<MechanismName>,
    pub(super) jaas: Option<JaasLine>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    /// The application's own, by [`ClientBuilder::sasl`](super::ClientBuilder::sasl).
    pub(super) given: Option<Arc<dyn Mechanism>>,
}

/// Name and password by one of the two ways.
struct NameAndPassword<'a> {
    username: &'a str,
    password: &'a Secret,
    token: bool,
    /// The setting to name when they do not do.
    setting: &'static str,
}

impl LoginOptions {
    /// The login of each connection; none on a listener that takes none.
    pub(super) fn check(&self) -> Result<Option<Arc<dyn Mechanism>>> {
        let protocol = self.protocol.unwrap_or_default();
        if !protocol.has_login() {
            return match self.first_set() {
                None => Ok(None),
                Some(setting) => Err(Error::config(
                    setting,
                    format!(
                        "no effect with {} = {}: leave it out, or set {0}={}",
                        p::SECURITY_PROTOCOL.name,
                        protocol.name(),
                        protocol.with_login().name(),
                    ),
                )),
            };
        }
        match (&self.given, self.mechanism) {
            (Some(given), named) => self.given(given, named).map(Some),
            (None, Some(named)) => self.named(named).map(Some),
            (None, None) => Err(Error::config(
                p::SASL_MECHANISM.name,
                format!(
                    "not set, and {} = {} needs it: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
                    p::SECURITY_PROTOCOL.name,
                    protocol.name(),
                ),
            )),
        }
    }

    fn first_set(&self) -> Option<&'static str> {
        [
            (self.given.is_some(), p::SASL_MECHANISM.name),
            (self.mechanism.is_some(), p::SASL_MECHANISM.name),
            (self.jaas.is_some(), p::SASL_JAAS.name),
            (self.username.is_some(), p::SASL_USERNAME.name),
            (self.password.is_some(), p::SASL_PASSWORD.name),
        ]
        .into_iter()
        .find_map(|(set, name)| set.then_some(name))
    }

    /// The application's own mechanism, beside which nothing else may say otherwise.
    fn given(
        &self,
        given: &Arc<dyn Mechanism>,
        named: Option<MechanismName>,
    ) -> Result<Arc<dyn Mechanism>> {
        if let Some(named) = named.filter(|named| named.name() != given.name()) {
            return Err(Error::config(
                p::SASL_MECHANISM.name,
                format!(
                    "{} conflicts with the mechanism that was given, {}: leave one of them out",
                    named.name(),
                    given.name()
                ),
            ));
        }
        let jaas = self
            .jaas
            .as_ref()
            .filter(|line| line.names().next().is_some());
        let other = [
            (jaas.is_some(), p::SASL_JAAS.name),
            (self.username.is_some(), p::SASL_USERNAME.name),
            (self.password.is_some(), p::SASL_PASSWORD.name),
        ];
        match other.into_iter().find(|(set, _)| *set) {
            Some((_, setting)) => Err(Error::config(
                setting,
                "conflicts with the mechanism that was given, which has credentials of its own: leave one of them out",
            )),
            None => Ok(given.clone()),
        }
    }

    /// The mechanism that Kafka's names ask for.
    fn named(&self, named: MechanismName) -> Result<Arc<dyn Mechanism>> {
        if let Some(line) = self.jaas.as_ref()
            && line.module != named.module()
        {
            return Err(Error::config(
                p::SASL_JAAS.name,
                format!(
                    "its login module is not that of {} = {}: they must go together",
                    p::SASL_MECHANISM.name,
                    named.name()
                ),
            ));
        }
        let hash = match named {
            MechanismName::OAuthBearer => {
                return Err(Error::config(
                    p::SASL_MECHANISM.name,
                    "OAUTHBEARER needs somebody who gives tokens: ClientBuilder::sasl(OAuthBearer::new(...))",
                ));
            }
            MechanismName::Plain => None,
            MechanismName::Scram(hash) => Some(hash),
        };
        let with = self.credentials(named)?;
        let (username, password) = (with.username, with.password.clone());
        let refuse = |error: MechanismError| Error::config(with.setting, error.reason());
        Ok(match hash {
            None => Arc::new(Plain::new(username, password).map_err(refuse)?),
            Some(hash) if with.token => {
                Arc::new(Scram::delegation_token(hash, username, password).map_err(refuse)?)
            }
            Some(hash) => Arc::new(Scram::new(hash, username, password).map_err(refuse)?),
        })
    }

    fn credentials(&self, named: MechanismName) -> Result<NameAndPassword<'_>> {
        match (&self.jaas, &self.username, &self.password) {
            (Some(line), None, None) => of_line(line, named),
            (Some(_), Some(_), _) => Err(twice(p::SASL_USERNAME.name)),
            (Some(_), None, Some(_)) => Err(twice(p::SASL_PASSWORD.name)),
            (None, Some(username), Some(password)) => Ok(NameAndPassword {
                username,
                password,
                token: false,
                setting: p::SASL_USERNAME.name,
            }),
            (None, Some(_), None) => Err(missing(p::SASL_PASSWORD.name, named)),
            (None, None, Some(_)) => Err(missing(p::SASL_USERNAME.name, named)),
            (None, None, None) => Err(Error::config(
                p::SASL_JAAS.name,
                format!(
                    "not set, and {} = {} needs a name and a password: give them there, or by {} and {}",
                    p::SASL_MECHANISM.name,
                    named.name(),
                    p::SASL_USERNAME.name,
                    p::SASL_PASSWORD.name,
                ),
            )),
        }
    }
}

fn of_line(line: &JaasLine, named: MechanismName) -> Result<NameAndPassword<'_>> {
    let refuse = |reason: String| Error::config(p::SASL_JAAS.name, reason);
    let known = |name: &str| {
        matches!(name, "username" | "password")
            || (name == "tokenauth" && matches!(named, MechanismName::Scram(_)))
    };
    if let Some(other) = line.names().find(|name| !known(name)) {
        return Err(refuse(format!(
            "{} has no option {other:?}: username and password are its own",
            named.name()
        )));
    }
    let lacks = |name: &str| refuse(format!("{name} is missing: write {name}=\"...\""));
    Ok(NameAndPassword {
        username: line.option("username").ok_or_else(|| lacks("username"))?,
        password: line.secret("password").ok_or_else(|| lacks("password"))?,
        token: line
            .option("tokenauth")
            .is_some_and(|value| value.eq_ignore_ascii_case("true")),
        setting: p::SASL_JAAS.name,
    })
}

fn twice(setting: &str) -> Error {
    Error::config(
        setting,
        format!(
            "conflicts with {}, which has name and password too: leave one of them out",
            p::SASL_JAAS.name
        ),
    )
}

fn missing(setting: &str, named: MechanismName) -> Error {
    Error::config(
        setting,
        format!(
            "not set, and {} = {} needs it",
            p::SASL_MECHANISM.name,
            named.name()
        ),
    )
}
