//! `examples/groups` tells what Kafka's own tool tells.

use std::process::{Command, Output};

use kafka_cluster::Version;
use ottla::{GroupState, TopicPartition};
use tokio::time::{Duration, sleep};

use super::support::{
    JavaMember, Kafka, Message, Outcome, Suite, deliver, example, java_describes, printed,
    run_example, within,
};

const GROUP: &str = "shown-group";
const TOPIC: &str = "shown-topic";

pub(crate) fn promises(suite: &mut Suite) {
    let same = "example_groups::a_groups_table_is_what_kafka_consumer_groups_describes";
    suite.of_examples(Version::V4_3_0, same, as_java_describes);
    suite.of_examples(
        Version::V4_3_0,
        "example_groups::topics_and_groups_are_listed",
        lists,
    );
    let wrong = "example_groups::wrong_options_end_with_2_and_unknown_groups_with_1";
    suite.of_examples(Version::V4_3_0, wrong, refusals);
}

pub(crate) fn older_brokers(suite: &mut Suite) {
    let oldest = "example_groups::kafka_2_5_0_is_told_of_alike";
    suite.of_examples(Version::V2_5_0, oldest, as_java_describes);
    let older = "example_groups::kafka_3_9_1_is_told_of_alike";
    suite.of_examples(Version::V3_9_1, older, as_java_describes);
}

fn command(kafka: &Kafka, arguments: &[&str]) -> Result<Command, libtest_mimic::Failed> {
    let mut command = example("groups")?;
    let servers = format!("bootstrap.servers={}", kafka.bootstrap());
    command.args(["-X", &servers]).args(arguments);
    Ok(command)
}

async fn groups(kafka: &Kafka, arguments: &[&str]) -> Result<Output, libtest_mimic::Failed> {
    run_example(command(kafka, arguments)?).await
}

/// The words of a table's lines, titles included, in no order: Java's is by members.
fn table(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().map(|line| line.split_whitespace());
    let mut lines: Vec<Vec<_>> = lines.map(Iterator::collect).collect();
    lines.retain(|words| matches!(words.first(), Some(&(GROUP | "GROUP"))));
    lines.sort();
    lines
}

/// Both tell the same, at a moment at which nothing is committed.
async fn assert_alike(kafka: &Kafka, lines: usize) -> Outcome {
    loop {
        let before = groups(kafka, &["--group", GROUP]).await?;
        let java = java_describes(kafka, GROUP)?;
        let after = groups(kafka, &["--group", GROUP]).await?;
        assert!(before.status.success(), "{before:?}");
        let ours = printed(&before.stdout);
        if before.stdout == after.stdout {
            assert_eq!(table(&ours), table(&java));
            assert_eq!(ours.lines().count(), 1 + lines, "{ours}");
            return Ok(());
        }
    }
}

async fn as_java_describes(kafka: &Kafka) -> Outcome {
    let (topic, other) = (kafka.topic(TOPIC, 3, &[])?, "shown-other");
    kafka.topic(other, 2, &[])?;
    let client = kafka.client().await?;
    let producer = client.producer().build()?;
    for topic in [topic, other] {
        let messages: Vec<_> = Message::numbered(40);
        let messages = messages.into_iter().map(|message| message.partition(1));
        deliver(&producer, topic, &messages.collect::<Vec<_>>()).await?;
    }
    let admin = client.admin();
    // Less than there is, all there is, and more than there is.
    let at = TopicPartition::new;
    let offsets = [
        (at(topic, 1), 15.into()),
        (at(other, 1), 40.into()),
        (at(other, 0), 3.into()),
    ];
    for result in admin.alter_group_offsets(GROUP, offsets).await? {
        result?;
    }
    assert_alike(kafka, 3).await?;
    let shown = groups(kafka, &["--group", GROUP]).await?;
    let note = format!("groups: group {GROUP} has no members\n");
    assert_eq!(printed(&shown.stderr), note);

    // More members than partitions of their topic: one has none.
    let member = || JavaMember::start(kafka, GROUP, TOPIC);
    let members = [member()?, member()?, member()?, member()?];
    let settled = async {
        loop {
            let group = admin.describe_groups([GROUP]).await?.remove(0)?;
            if group.state == GroupState::Stable && group.members.len() == members.len() {
                return Ok::<_, ottla::Error>(());
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    within(Duration::from_secs(60), "four members", settled).await??;
    assert_alike(kafka, 5).await?;
    let shown = groups(kafka, &["--group", GROUP]).await?;
    let notes = printed(&shown.stderr);
    assert!(notes.ends_with(" has no partition\n"), "{notes}");
    assert_eq!(notes.lines().count(), 1, "{notes}");
    Ok(())
}

async fn lists(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("listed-topic", 3, &[])?;
    let admin = kafka.client().await?.admin();
    let offsets = [(TopicPartition::new(topic, 0), 0.into())];
    admin.alter_group_offsets("listed-group", offsets).await?;
    let topic = vec!["listed-topic", "3", "1"];
    let group = vec!["listed-group", "Classic", "-", "Empty"];
    for (arguments, topics_too, groups_too) in [
        (&["--topics"][..], true, false),
        (&["--groups"], false, true),
        (&[], true, true),
    ] {
        let output = groups(kafka, arguments).await?;
        assert!(output.status.success() && output.stderr.is_empty());
        let text = printed(&output.stdout);
        let lines = text.lines().map(|line| line.split_whitespace());
        let lines: Vec<Vec<_>> = lines.map(Iterator::collect).collect();
        for (expected, title, wanted) in
            [(&topic, "TOPIC", topics_too), (&group, "GROUP", groups_too)]
        {
            assert_eq!(lines.contains(expected), wanted, "{text}");
            let titles = lines.iter().filter(|words| words.first() == Some(&title));
            assert_eq!(titles.count(), usize::from(wanted), "{text}");
        }
    }
    Ok(())
}

async fn refusals(kafka: &Kafka) -> Outcome {
    for (arguments, status, told) in [
        (&["--nonsense"][..], 2, "--nonsense"),
        (&["--group"], 2, "--group"),
        (&["-X", "linger"], 2, "-X linger"),
        (&["-X", "cleint.id=x"], 2, "client.id"),
        (&["--group", "no-such-group"], 1, "no-such-group"),
    ] {
        let output = groups(kafka, arguments).await?;
        let text = printed(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(
            text.starts_with("groups: ") && text.contains(told),
            "{text}"
        );
        assert!(output.stdout.is_empty());
    }
    let mut help = example("groups")?;
    help.arg("--help");
    let help = run_example(help).await?;
    assert!(help.status.success() && printed(&help.stdout).contains("--topics"));
    Ok(())
}
