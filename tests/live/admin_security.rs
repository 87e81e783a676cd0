//! Access control and passwords administered: brokers act on it, and Java's tools see the same.

use std::time::Duration;

use kafka_cluster::Version;
use libtest_mimic::Failed;
use ottla::sasl::ScramHash;
use ottla::{
    AclBinding, AclBindingFilter, AclOperation, Admin, Client, ErrorCode, KafkaPrincipal, NewTopic,
    PatternType, Record, ResourcePattern, ResourceType, ScramCredentialChange,
};

use super::logins::Secured;
use super::support::{Outcome, Suite, codes, eventually};

const ACL_COMMAND: &str = "org.apache.kafka.tools.AclCommand";
const CONFIG_COMMAND: &str = "kafka.admin.ConfigCommand";
const ALICE: &str = "User:alice";

pub(crate) fn promises(suite: &mut Suite) {
    suite.alone(
        "admin_security::access_control_entries_are_what_brokers_and_java_go_by",
        entries,
    );
    suite.alone(
        "admin_security::passwords_are_what_brokers_and_java_go_by",
        credentials,
    );
}

/// A broker that asks what each one may do.
fn start() -> Result<Secured, Failed> {
    Secured::start(
        Version::V4_3_0,
        &[
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ),
            // The brokers among themselves, and the tests' own administrator.
            ("super.users", "User:ANONYMOUS"),
        ],
    )
}

async fn entries() -> Outcome {
    let secured = start()?;
    let root = Client::connect(&secured.cluster.bootstrap()).await?;
    let admin = root.admin();
    acls(&secured, &admin).await?;
    operations(&secured, &admin).await
}

async fn credentials() -> Outcome {
    let secured = start()?;
    let root = Client::connect(&secured.cluster.bootstrap()).await?;
    let admin = root.admin();
    passwords(&secured, &admin).await
}

/// What a tool of Java's prints, which must succeed.
fn java(secured: &Secured, class: &str, arguments: &[&str]) -> Result<String, Failed> {
    let bootstrap = secured.cluster.bootstrap();
    let arguments = [&["--bootstrap-server", &bootstrap], arguments].concat();
    let output = secured.cluster.tool(class, &arguments)?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{class}: {printed}{told}").into());
    }
    Ok(printed)
}

async fn acls(secured: &Secured, admin: &Admin) -> Outcome {
    let topics = [
        NewTopic::new("acl-one").partitions(1),
        NewTopic::new("acl-two").partitions(1),
    ];
    admin.create_topics(topics).await?;
    let alice = secured.named("PLAIN", "alice", "alice-secret").await?;
    let producer = alice.producer().build()?;
    let refused = producer.send(Record::to("acl-one").value("x")).await;
    let code = refused.err().and_then(|error| error.broker_code());
    assert_eq!(code, Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));

    // One topic by its name and one by a prefix; the third is none that can be.
    let one = ResourcePattern::topic("acl-one");
    let prefix = ResourcePattern::topic("acl-t").prefixed();
    let writes = AclBinding::allow(KafkaPrincipal::user("alice"), AclOperation::Write, one);
    let by_prefix = AclBinding::allow(ALICE, AclOperation::Write, prefix);
    let wrong = ResourcePattern::new(ResourceType::Cluster, "no such cluster");
    let wrong = AclBinding::allow(ALICE, AclOperation::Alter, wrong);
    let results = admin
        .create_acls([writes.clone(), by_prefix.clone(), wrong])
        .await?;
    let expected = [ErrorCode::NONE, ErrorCode::NONE, ErrorCode::INVALID_REQUEST];
    assert_eq!(codes(&results), expected);
    for topic in ["acl-one", "acl-two"] {
        let sent = async || producer.send(Record::to(topic).value("x")).await.is_ok();
        eventually("alice may write", sent).await?;
    }
    let listed = java(secured, ACL_COMMAND, &["--list", "--topic", "acl-one"])?;
    assert!(
        listed.contains("principal=User:alice") && listed.contains("operation=WRITE"),
        "{listed}"
    );
    let arguments = ["--list", "--topic", "acl-t"];
    let prefixed = ["--resource-pattern-type", "prefixed"];
    let listed = java(secured, ACL_COMMAND, &[&arguments[..], &prefixed].concat())?;
    assert!(listed.contains("patternType=PREFIXED"), "{listed}");

    // The reverse: what Java's tool adds.
    java(
        secured,
        ACL_COMMAND,
        &[
            "--add",
            "--deny-principal",
            "User:bob",
            "--deny-host",
            "10.1.2.3",
            "--operation",
            "Read",
            "--group",
            "acl-group",
        ],
    )?;
    let group = ResourcePattern::group("acl-group");
    let denied = AclBinding::deny("User:bob", AclOperation::Read, group).host("10.1.2.3");
    let of_groups = AclBindingFilter::all().resource_type(ResourceType::Group);
    let told = async || {
        let told = admin.describe_acls(of_groups.clone()).await;
        told.is_ok_and(|told| told == [denied.clone()])
    };
    eventually("Java's entry is told", told).await?;

    filters(admin, &writes, &by_prefix).await?;
    let deleted = admin
        .delete_acls([
            AclBindingFilter::exactly(&writes),
            of_groups.principal("User:nobody"),
        ])
        .await?;
    let [Ok(first), Ok(second)] = &deleted[..] else {
        return Err(format!("{deleted:?}").into());
    };
    assert!(second.is_empty(), "{second:?}");
    assert!(
        first
            .iter()
            .all(|one| one.binding == writes && one.result.is_ok())
    );
    assert_eq!(first.len(), 1);
    let refused = async || {
        let sent = producer.send(Record::to("acl-one").value("x")).await;
        sent.is_err_and(|e| e.broker_code() == Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED))
    };
    eventually("alice may no longer write", refused).await?;
    let refused = alice.admin().describe_acls(AclBindingFilter::all()).await;
    let text = refused.err().ok_or("alice may see ACLs")?.to_string();
    assert!(text.contains("CLUSTER_AUTHORIZATION_FAILED"), "{text}");
    assert!(text.contains("Describe"), "{text}");
    Ok(())
}

/// What each kind of pattern finds.
async fn filters(admin: &Admin, literal: &AclBinding, prefixed: &AclBinding) -> Outcome {
    let topics = || AclBindingFilter::all().resource_type(ResourceType::Topic);
    for (filter, expected) in [
        (topics(), vec![literal, prefixed]),
        (topics().matching("acl-one"), vec![literal]),
        (topics().matching("acl-two"), vec![prefixed]),
        (topics().named("acl-t"), vec![prefixed]),
        (
            topics().named("acl-t").pattern_type(PatternType::Literal),
            vec![],
        ),
        (topics().pattern_type(PatternType::Prefixed), vec![prefixed]),
        (topics().operation(AclOperation::Read), vec![]),
    ] {
        let mut told = admin.describe_acls(filter.clone()).await?;
        told.sort_by(|a, b| a.resource.name.cmp(&b.resource.name));
        let expected: Vec<_> = expected.into_iter().cloned().collect();
        assert_eq!(told, expected, "{filter:?}");
    }
    Ok(())
}

/// What one may do is told with what is described, of who asks for it.
async fn operations(secured: &Secured, admin: &Admin) -> Outcome {
    let topic = NewTopic::new("operations").partitions(1);
    admin.create_topics([topic]).await?;
    let on = |operation, resource| AclBinding::allow(ALICE, operation, resource);
    let results = admin
        .create_acls([
            on(AclOperation::Read, ResourcePattern::topic("operations")),
            on(AclOperation::Describe, ResourcePattern::group("operations")),
            on(AclOperation::Describe, ResourcePattern::cluster()),
        ])
        .await?;
    assert_eq!(codes(&results), [ErrorCode::NONE; 3]);
    let alice = secured.named("PLAIN", "alice", "alice-secret").await?;
    let asks = alice.admin().include_authorized_operations(true);
    let may = Some(vec![AclOperation::Read, AclOperation::Describe]);
    let told = async || {
        let topic = asks.describe_topic("operations").await;
        topic.is_ok_and(|topic| topic.authorized_operations == may)
    };
    eventually("alice is told what she may do", told).await?;
    let cluster = asks.describe_cluster().await?;
    assert_eq!(
        cluster.authorized_operations,
        Some(vec![AclOperation::Describe])
    );
    let silent = alice.admin().describe_topic("operations").await?;
    assert_eq!(silent.authorized_operations, None);
    let group = "operations";
    let root = Client::connect(&secured.cluster.bootstrap()).await?;
    let consumer = root.consumer(group).subscribe(["operations"]).build().await;
    let mut consumer = consumer?;
    let joined = async || {
        let ready = tokio::time::timeout(Duration::from_millis(100), consumer.recv()).await;
        drop(ready);
        let group = asks.describe_group(group).await;
        group.is_ok_and(|g| g.authorized_operations == Some(vec![AclOperation::Describe]))
    };
    eventually("the group tells what alice may do", joined).await
}

async fn passwords(secured: &Secured, admin: &Admin) -> Outcome {
    let carol = |hash| ScramCredentialChange::upsert("carol", hash, "carol-secret");
    let results = admin
        .alter_user_scram_credentials([
            carol(ScramHash::Sha256),
            ScramCredentialChange::upsert("dave", ScramHash::Sha256, "x").iterations(100),
            ScramCredentialChange::delete("erin", ScramHash::Sha256),
        ])
        .await?;
    let expected = [
        ErrorCode::NONE,
        ErrorCode::UNACCEPTABLE_CREDENTIAL,
        ErrorCode::RESOURCE_NOT_FOUND,
    ];
    assert_eq!(codes(&results), expected);
    let other = carol(ScramHash::Sha512).iterations(8192);
    let results = admin.alter_user_scram_credentials([other]).await?;
    assert_eq!(codes(&results), [ErrorCode::NONE]);
    // The broker takes what was hashed here.
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let logs_in = async || {
            let connected = secured.named(mechanism, "carol", "carol-secret").await;
            connected.is_ok()
        };
        eventually("carol logs in", logs_in).await?;
    }
    let users = ["--describe", "--entity-type", "users"];
    let listed = java(secured, CONFIG_COMMAND, &users)?;
    assert!(
        listed.contains("carol") && listed.contains("iterations=8192"),
        "{listed}"
    );
    // The reverse.
    java(
        secured,
        CONFIG_COMMAND,
        &[
            "--alter",
            "--add-config",
            "SCRAM-SHA-512=[iterations=5000,password=frank-secret]",
            "--entity-type",
            "users",
            "--entity-name",
            "frank",
        ],
    )?;
    let told = admin
        .describe_user_scram_credentials(["frank", "carol", "erin"])
        .await?;
    let none = ErrorCode::RESOURCE_NOT_FOUND;
    assert_eq!(codes(&told), [ErrorCode::NONE, ErrorCode::NONE, none]);
    let frank = told[0].as_ref().map_err(Clone::clone)?;
    let [credential] = &frank.credentials[..] else {
        return Err(format!("{frank:?}").into());
    };
    assert_eq!(credential.hash, Some(ScramHash::Sha512));
    assert_eq!(credential.iterations, 5000);
    let all = admin.list_user_scram_credentials().await?;
    let names: Vec<_> = all.iter().map(|one| &*one.user).collect();
    assert_eq!(names, ["carol", "frank"]);
    let results = admin
        .alter_user_scram_credentials([ScramCredentialChange::delete("carol", ScramHash::Sha256)])
        .await?;
    assert_eq!(codes(&results), [ErrorCode::NONE]);
    let refused = async || {
        let connected = secured
            .named("SCRAM-SHA-256", "carol", "carol-secret")
            .await;
        connected.is_err()
    };
    eventually("carol no longer logs in", refused).await
}
