//! What a failed handshake means: what was wrong, whether it will be so again, and what to do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription as Alert, CertificateError, Error as TlsError, PeerIncompatible};

use super::names;
use crate::error::Error;

/// A reason, and whether the same attempt will be refused again.
type Verdict = (String, bool);

/// A handshake's failure.
pub(super) fn of_handshake(address: &Arc<str>, error: &io::Error, has_identity: bool) -> Error {
    let (reason, refused) = match tls_error(error) {
        Some(error) => verdict(error, has_identity),
        None => (ended(error), false),
    };
    failed(address, reason, refused)
}

/// A failure after the handshake, where the server has refused the client only then.
pub(super) fn of_stream(
    address: &Arc<str>,
    error: &io::Error,
    has_identity: bool,
) -> Option<Error> {
    let error = tls_error(error)?;
    let (reason, refused) = verdict(error, has_identity);
    Some(failed(address, reason, refused))
}

/// A handshake that did not end.
pub(super) fn silent(address: &Arc<str>, limit: Duration) -> Error {
    let reason = format!(
        "the handshake did not end within {limit:.1?}: does the listener speak TLS (SSL or SASL_SSL)?"
    );
    failed(address, reason, false)
}

pub(super) fn failed(address: &Arc<str>, reason: impl Into<Arc<str>>, refused: bool) -> Error {
    Error::Tls {
        address: address.clone(),
        reason: reason.into(),
        refused,
    }
}

fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// A stream that ended in its handshake is what a listener without TLS makes of it, and a broker that is going down.
fn ended(error: &io::Error) -> String {
    let how = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server hung up in the handshake".to_owned(),
        _ => format!("the handshake was cut off ({error})"),
    };
    format!(
        "{how}: is the listener SSL or SASL_SSL? To one without TLS, set security.protocol to PLAINTEXT or SASL_PLAINTEXT"
    )
}

fn verdict(error: &TlsError, has_identity: bool) -> Verdict {
    match error {
        TlsError::InvalidCertificate(error) => (certificate(error), true),
        TlsError::AlertReceived(alert) => self::alert(*alert, has_identity),
        TlsError::InvalidMessage(_) => (
            "what listens there does not speak TLS: use the port of an SSL or SASL_SSL listener, or set security.protocol to \
             PLAINTEXT or SASL_PLAINTEXT"
                .into(),
            true,
        ),
        TlsError::PeerIncompatible(lack) => (incompatible(lack), true),
        TlsError::NoCertificatesPresented => ("the broker shows no certificate".into(), true),
        TlsError::PeerMisbehaved(_)
        | TlsError::InappropriateMessage { .. }
        | TlsError::InappropriateHandshakeMessage { .. } => {
            (format!("the server breaks the protocol: {error}"), true)
        }
        other => (other.to_string(), false),
    }
}

/// What is wrong with a broker's certificate.
fn certificate(error: &CertificateError) -> String {
    let trust = names::TRUST_LOCATION;
    match error {
        CertificateError::UnknownIssuer => format!(
            "nobody who is trusted has signed the broker's certificate: set {trust} to a file with the certificate of the \
             authority that did, or with the broker's own"
        ),
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the broker's certificate expired on {}: renew it, or set this machine's clock",
            day(*not_after)
        ),
        CertificateError::Expired => "the broker's certificate has expired: renew it".into(),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the broker's certificate is valid from {} on: wait, or set this machine's clock",
            day(*not_before)
        ),
        CertificateError::NotValidYet => "the broker's certificate is not valid yet".into(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => other_host(&expected.to_str(), presented),
        CertificateError::NotValidForName => {
            "the broker's certificate is for another host".into()
        }
        CertificateError::Revoked => "the broker's certificate was revoked".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the broker's certificate is not for servers: its extendedKeyUsage lacks serverAuth".into()
        }
        CertificateError::BadSignature => format!(
            "the broker's certificate has a wrong signature: is it from another authority of the same name than the one in {trust}?"
        ),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the broker's certificate is of a kind that this build does not know, or that is too weak: RSA from 2048 bits \
             with SHA-2, ECDSA on P-256 and P-384 and Ed25519 are known"
                .into()
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
            Some(webpki::Error::CaUsedAsEndEntity) => format!(
                "the broker's certificate is an authority's (CA:TRUE), and not in {trust}: put it there, or give the broker one \
                 that an authority signed"
            ),
            Some(webpki::Error::UnsupportedCertVersion) => {
                "the broker's certificate is of X.509 version 1: issue one of version 3, with a subjectAltName (openssl x509 \
                 -req needs -extfile for it)"
                    .into()
            }
            _ => format!("the broker's certificate is not valid: {other}"),
        },
        other => format!("the broker's certificate is not valid: {other}"),
    }
}

fn other_host(expected: &str, presented: &[String]) -> String {
    if presented.is_empty() {
        return format!(
            "the broker's certificate has no subjectAltName, so that it is for no host, and not for {expected:?} (its common \
             name does not count): issue one that has"
        );
    }
    let presented: Vec<_> = presented.iter().map(|name| inner(name)).collect();
    format!(
        "the broker's certificate is not for {expected:?} but for {}: use such a name in bootstrap.servers and in the broker's \
         advertised.listeners, or issue a certificate for this one",
        presented.join(", ")
    )
}

/// The name in `DnsName("name")`.
fn inner(presented: &str) -> &str {
    let inside = presented
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(presented).trim_matches('"')
}

/// What a server refused the client for.
fn alert(alert: Alert, has_identity: bool) -> Verdict {
    let name = format!("{alert:?}");
    let wants = || {
        format!(
            "the broker wants a certificate from the client (alert {name}): set {} or {}",
            names::KEY_STORE,
            names::KEY_PEM
        )
    };
    let theirs = || {
        format!(
            "the broker does not take the client's certificate (alert {name}): is its authority in the broker's trust store, \
             and is it in date and for clients?"
        )
    };
    let reason = match alert {
        Alert::CertificateRequired => wants(),
        Alert::BadCertificate | Alert::NoCertificate | Alert::CertificateUnknown
            if !has_identity =>
        {
            wants()
        }
        Alert::DecryptError if has_identity => theirs(),
        Alert::BadCertificate
        | Alert::NoCertificate
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::UnsupportedCertificate
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::AccessDenied => theirs(),
        Alert::HandshakeFailure => format!(
            "the broker refuses the handshake (alert {name}): it and the client may have no cipher suite in common ({}), or it \
             wants a certificate from the client",
            names::SUITES
        ),
        Alert::ProtocolVersion => format!(
            "the broker speaks none of the versions that are offered (alert {name}): see {}",
            names::VERSIONS
        ),
        Alert::UnrecognisedName => format!(
            "the broker has no certificate for this host name (alert {name}): use a name that it knows"
        ),
        Alert::InternalError | Alert::UserCanceled => {
            return (
                format!("the broker gave up the handshake (alert {name}): its log has the reason"),
                false,
            );
        }
        _ => format!("the broker refuses the connection (alert {name}): its log has the reason"),
    };
    (reason, true)
}

fn incompatible(lack: &PeerIncompatible) -> String {
    match lack {
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => {
            "the broker speaks neither TLS 1.2 nor 1.3: set its ssl.enabled.protocols".into()
        }
        PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOfferedOrEnabled => format!(
            "the broker speaks none of the versions that are offered: see {}",
            names::VERSIONS
        ),
        PeerIncompatible::NoCipherSuitesInCommon => format!(
            "the broker has none of the cipher suites that are offered: see {}",
            names::SUITES
        ),
        PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            "the broker's TLS 1.2 lacks the extended master secret (RFC 7627): update its Java, or let it speak TLS 1.3".into()
        }
        other => format!("the broker's TLS and the client's have nothing in common: {other:?}"),
    }
}

/// A date in UTC.
fn day(at: UnixTime) -> String {
    let days = i64::try_from(at.as_secs() / 86_400).unwrap_or(i64::MAX);
    // Howard Hinnant's days-to-civil, in years that begin in March.
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (month, carried) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{date:02}", year + era * 400 + carried)
}
