//! The same questions to the embedded broker and to real Apache Kafka 4.3.0 get the same answers, word for word.
//!
//! Left out without `OTTLA_LIVE=1`; with it a missing Java is a failure.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod both {
    pub(crate) mod admin;
    pub(crate) mod fetching;
    pub(crate) mod groups;
    pub(crate) mod logins;
    pub(crate) mod members;
    pub(crate) mod producing;
    pub(crate) mod talk;
    pub(crate) mod transactions;
}

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kafka_cluster::suite::Suite;
use libtest_mimic::Failed;

use both::talk::Talk;

/// Longest time that one conversation takes.
const LIMIT: Duration = Duration::from_secs(60);

type Conversation = for<'a> fn(&'a mut Talk) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Real Kafka, started for whoever asks first; by a listener that asks for a login, or not.
#[derive(Default)]
struct Real {
    started: OnceLock<Result<kafka_cluster::Cluster, String>>,
    login: bool,
}

/// The listener that asks for a login.
const LOGIN: &str = "LOGIN";

impl Real {
    fn address(&self) -> Result<String, Failed> {
        let start = || {
            let builder = kafka_cluster::Cluster::builder()
                .version(kafka_cluster::Version::V4_3_0)
                .property("group.initial.rebalance.delay.ms", "0")
                .property("num.partitions", "1")
                // Retention looks when the tests are over.
                .property("log.initial.task.delay.ms", "3600000")
                .property("auto.create.topics.enable", "false");
            let builder = if self.login {
                with_logins(builder)
            } else {
                builder
            };
            builder.start().map_err(|error| error.to_string())
        };
        match self.started.get_or_init(start) {
            Ok(cluster) if self.login => Ok(cluster.listener(1, LOGIN)),
            Ok(cluster) => Ok(cluster.bootstrap()),
            Err(error) => Err(error.clone().into()),
        }
    }
}

fn with_logins(builder: kafka_cluster::Builder) -> kafka_cluster::Builder {
    let module = "org.apache.kafka.common.security";
    let plain = format!(
        "{module}.plain.PlainLoginModule required user_alice=\"secret\" user_carol=\"secret\";"
    );
    let scram = format!("{module}.scram.ScramLoginModule required;");
    let named = |name: &str| format!("listener.name.login.{name}");
    let session = both::logins::SESSION.as_millis().to_string();
    builder
        .listener(LOGIN, "SASL_PLAINTEXT")
        .property(
            named("sasl.enabled.mechanisms"),
            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        )
        .property(named("plain.sasl.jaas.config"), plain)
        .property(named("scram-sha-256.sasl.jaas.config"), scram.clone())
        .property(named("scram-sha-512.sasl.jaas.config"), scram)
        .property("connections.max.reauth.ms", session)
}

fn compare(real: &Real, conversation: Conversation) -> Result<(), Failed> {
    let address = real.address()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ours, theirs) = runtime.block_on(async {
        let builder = ottla_broker::Cluster::builder().auto_create_topics(false);
        let builder = if real.login {
            let builder = builder.user("alice", "secret").user("carol", "secret");
            builder.session_lifetime(both::logins::SESSION)
        } else {
            builder
        };
        let cluster = builder.start().await?;
        let ours = hold(cluster.bootstrap_servers(), conversation).await?;
        let theirs = hold(&address, conversation).await?;
        Ok::<_, Failed>((ours, theirs))
    })?;
    let mut differences = String::new();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        if ours != theirs {
            differences += &format!("\nembedded: {ours}\n   kafka: {theirs}\n");
        }
    }
    if ours.len() != theirs.len() {
        differences += "\none has said more than the other\n";
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences.into())
    }
}

async fn hold(address: &str, conversation: Conversation) -> Result<Vec<String>, Failed> {
    let mut talk = Talk::new(address).await;
    tokio::time::timeout(LIMIT, conversation(&mut talk))
        .await
        .map_err(|_| format!("{address} took longer than {LIMIT:?}: {:#?}", talk.said()))?;
    Ok(talk.said().to_vec())
}

macro_rules! conversations {
    ($($subject:ident::$name:ident,)*) => {
        [$((
            concat!(stringify!($subject), "::", stringify!($name)),
            (|talk| Box::pin(both::$subject::$name(talk))) as Conversation,
        ),)*]
    };
}

fn main() -> ExitCode {
    let suite = Suite::from_args(&[]);
    let real = Arc::new(Real::default());
    let all = conversations![
        producing::batches_and_versions,
        producing::duplicates_gaps_and_epochs,
        producing::refused_batches,
        producing::refused_requests,
        producing::compressed_batches,
        producing::compacted_topics,
        producing::old_records,
        fetching::from_any_offset,
        fetching::refused,
        fetching::sessions,
        fetching::offsets_by_time,
        fetching::deleted_records,
        groups::a_life,
        groups::refused_members,
        groups::static_members,
        groups::offsets,
        groups::administered,
        members::leave_and_come,
        transactions::first_protocol,
        transactions::second_protocol,
        transactions::offsets,
        transactions::described,
        transactions::ended_by_hand,
        admin::topics,
        admin::partitions,
        admin::settings,
        admin::all_settings,
        admin::metadata,
        admin::versions,
    ];
    let trials = all.map(|(name, conversation)| {
        let real = real.clone();
        suite.live(name, move || compare(&real, conversation))
    });
    let secured = Arc::new(Real {
        login: true,
        ..Real::default()
    });
    let logins = conversations![logins::refused, logins::sessions,];
    let logins = logins.map(|(name, conversation)| {
        let real = secured.clone();
        suite.live(name, move || compare(&real, conversation))
    });
    let all = trials.into_iter().chain(logins).collect();
    let conclusion = suite.run(all);
    drop((real, secured));
    conclusion.exit_code()
}
