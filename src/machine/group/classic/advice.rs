//! What to change so that a group takes a member that it has refused.

use super::settings::Settings;
use crate::error::{Error, ErrorCode};
use crate::machine::group::member::Grounds;

/// The error with what to change, where that can be known.
pub(super) fn advised(error: Error, settings: &Settings, grounds: Option<&Grounds>) -> Error {
    let is_told = matches!(
        error,
        Error::Broker {
            advice: Some(_),
            ..
        }
    );
    let advice = error
        .broker_code()
        .filter(|_| !is_told)
        .and_then(|code| advice(code, settings, grounds));
    match advice {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

fn advice(code: ErrorCode, settings: &Settings, grounds: Option<&Grounds>) -> Option<String> {
    let name = &settings.group;
    Some(match code {
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL => inconsistent(settings, grounds),
        ErrorCode::INVALID_SESSION_TIMEOUT => session(settings, grounds),
        ErrorCode::GROUP_MAX_SIZE_REACHED => {
            "the group has as many members as the brokers' group.max.size allows: start fewer, or raise it".into()
        }
        ErrorCode::GROUP_AUTHORIZATION_FAILED => {
            format!("the client's user needs the right READ for group {name}")
        }
        ErrorCode::INVALID_GROUP_ID => format!("group.id = {name:?} is none that the brokers take"),
        ErrorCode::FENCED_INSTANCE_ID => {
            let id = settings.instance_id.as_deref().unwrap_or_default();
            format!("another member has taken group.instance.id = {id:?}: each needs its own")
        }
        _ => return None,
    })
}

fn session(settings: &Settings, grounds: Option<&Grounds>) -> String {
    let (least, most) = match grounds {
        Some(Grounds::Sessions { least, most }) => (format!(" = {least}"), format!(" = {most}")),
        _ => (" (6000 by default)".into(), " (1800000 by default)".into()),
    };
    format!(
        "session.timeout.ms = {} must lie between the brokers' group.min.session.timeout.ms{least} and \
         group.max.session.timeout.ms{most}",
        settings.session_timeout.as_millis()
    )
}

fn inconsistent(settings: &Settings, grounds: Option<&Grounds>) -> String {
    let own: Vec<_> = settings.assignors.iter().map(|a| a.name()).collect();
    let own = own.join(", ");
    let has = |name: &str| settings.assignors.iter().any(|a| a.name() == name);
    match grounds {
        Some(Grounds::Group(group)) if !matches!(&*group.kind, "consumer" | "") => format!(
            "group {} is one of {:?} members, not of consumers: use another group.id",
            settings.group, group.kind
        ),
        Some(Grounds::Group(group)) if !group.assignor.is_empty() && !has(&group.assignor) => {
            format!(
                "the group's members use {:?}, and partition.assignment.strategy of this one has {own}: let all have one in \
             common",
                group.assignor
            )
        }
        _ => format!(
            "partition.assignment.strategy of this member has {own}, none of which every member of the group has: let all \
             have one in common"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;
    use crate::config::Assignor;
    use crate::machine::group::member::Described;

    #[test]
    fn a_refusal_says_what_to_change() {
        let mut settings = settings(&[Assignor::Range, Assignor::CooperativeSticky]);
        settings.instance_id = Some("i1".into());
        let described = |kind: &str, assignor: &str| {
            Grounds::Group(Described {
                kind: kind.into(),
                assignor: assignor.into(),
            })
        };
        let sessions = Grounds::Sessions {
            least: 20_000,
            most: 30_000,
        };
        let sticky = described("consumer", "sticky");
        let connect = described("connect", "compatible");
        let common = described("consumer", "range");
        let between =
            "partition.assignment.strategy of this member has range, cooperative-sticky, none";
        for (code, grounds, expected) in [
            (
                ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                Some(&sticky),
                "use \"sticky\", and partition.assignment.strategy of this one has range, cooperative-sticky",
            ),
            (
                ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                Some(&connect),
                "use another group.id",
            ),
            (
                ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                Some(&common),
                between,
            ),
            (ErrorCode::INCONSISTENT_GROUP_PROTOCOL, None, between),
            (
                ErrorCode::INVALID_SESSION_TIMEOUT,
                None,
                "session.timeout.ms = 10000 must lie between the brokers' group.min.session.timeout.ms (6000 by default)",
            ),
            (
                ErrorCode::INVALID_SESSION_TIMEOUT,
                Some(&sessions),
                "group.min.session.timeout.ms = 20000 and group.max.session.timeout.ms = 30000",
            ),
            (ErrorCode::GROUP_MAX_SIZE_REACHED, None, "group.max.size"),
            (
                ErrorCode::GROUP_AUTHORIZATION_FAILED,
                None,
                "READ for group g",
            ),
            (ErrorCode::INVALID_GROUP_ID, None, "group.id = \"g\""),
            (
                ErrorCode::FENCED_INSTANCE_ID,
                None,
                "group.instance.id = \"i1\"",
            ),
        ] {
            let refusal = Error::broker(code, None, "joining group g");
            let told = advised(refusal, &settings, grounds).to_string();
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn advice_that_knows_more_is_kept() {
        let settings = settings(&[Assignor::Range]);
        let refusal = Error::broker(ErrorCode::INVALID_GROUP_ID, None, "x").with_advice("y");
        assert!(
            advised(refusal, &settings, None)
                .to_string()
                .ends_with(": y")
        );
    }
}
