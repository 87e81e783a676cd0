//! Java's clients beside ours: a member of a group, and what Kafka's own tool says of one.

use std::process::{Child, Stdio};

use kafka_cluster::{Version, tool_command};
use libtest_mimic::Failed;

use super::Kafka;

/// What `kafka-consumer-groups --describe` prints of a group.
pub(crate) fn java_describes(kafka: &Kafka, group: &str) -> Result<String, Failed> {
    java_describes_with(kafka, group, &[])
}

/// As `java_describes`, with more options.
pub(crate) fn java_describes_with(
    kafka: &Kafka,
    group: &str,
    options: &[&str],
) -> Result<String, Failed> {
    let class = match kafka.version() {
        Version::V2_5_0 => "kafka.admin.ConsumerGroupCommand",
        _ => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    };
    let bootstrap = kafka.bootstrap();
    let arguments = [
        "--bootstrap-server",
        &bootstrap,
        "--describe",
        "--group",
        group,
        // Its own five seconds are short on a busy machine.
        "--timeout",
        "60000",
    ];
    let output = kafka.tool(class, &[&arguments[..], options].concat())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Java's console consumer as a member of a group, until dropped.
pub(crate) struct JavaMember(Child);

impl JavaMember {
    pub(crate) fn start(kafka: &Kafka, group: &str, topic: &str) -> Result<Self, Failed> {
        let class = match kafka.version() {
            Version::V2_5_0 => "kafka.tools.ConsoleConsumer",
            _ => "org.apache.kafka.tools.consumer.ConsoleConsumer",
        };
        Self::of(kafka, class, group, topic, &[])
    }

    /// A member whose group's coordinator shares out (KIP-848).
    pub(crate) fn modern(kafka: &Kafka, group: &str, topic: &str) -> Result<Self, Failed> {
        let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
        let protocol = ["--consumer-property", "group.protocol=consumer"];
        Self::of(kafka, class, group, topic, &protocol)
    }

    /// A member of a share group (KIP-932).
    pub(crate) fn sharing(kafka: &Kafka, group: &str, topic: &str) -> Result<Self, Failed> {
        let class = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";
        Self::of(kafka, class, group, topic, &[])
    }

    fn of(
        kafka: &Kafka,
        class: &str,
        group: &str,
        topic: &str,
        options: &[&str],
    ) -> Result<Self, Failed> {
        let bootstrap = kafka.bootstrap();
        let mut command = tool_command(kafka.version(), class)?;
        command.args(["--bootstrap-server", &bootstrap, "--group", group]);
        command.args(["--topic", topic]).args(options);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(quiet.stderr(Stdio::null()).spawn()?))
    }
}

impl Drop for JavaMember {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
