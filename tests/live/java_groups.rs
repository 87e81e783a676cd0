//! Our members and Java's share a group under every assignor, whoever leads it, and go on from each other's offsets.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_cluster::{RunningTool, Version};
use libtest_mimic::Failed;
use ottla::{
    Admin, Assignor, Client, Consumer, ConsumerHandle, Error, GroupState, MemberDescription,
    OffsetReset, Record, TopicPartition,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::support::{Kafka, Outcome, SOON, Suite, until};

const PARTITIONS: usize = 6;

pub(crate) fn older_brokers(suite: &mut Suite) {
    let oldest = "java_groups::kafka_2_5_0_has_mixed_groups";
    suite.on(Version::V2_5_0, oldest, async |kafka: &Kafka| {
        mixed(kafka, Assignor::CooperativeSticky).await
    });
    let older = "java_groups::kafka_3_9_1_has_mixed_groups";
    suite.on(Version::V3_9_1, older, async |kafka: &Kafka| {
        mixed(kafka, Assignor::CooperativeSticky).await
    });
}

pub(crate) fn promises(suite: &mut Suite) {
    for (name, assignor) in [
        (
            "java_groups::members_of_both_share_by_range",
            Assignor::Range,
        ),
        (
            "java_groups::members_of_both_share_by_round_robin",
            Assignor::RoundRobin,
        ),
        (
            "java_groups::members_of_both_share_by_sticky",
            Assignor::Sticky,
        ),
        (
            "java_groups::members_of_both_share_by_cooperative_sticky",
            Assignor::CooperativeSticky,
        ),
    ] {
        suite.shared(name, async move |kafka: &Kafka| {
            mixed(kafka, assignor).await
        });
    }
}

fn java_class(assignor: Assignor) -> String {
    let name = match assignor {
        Assignor::Range => "Range",
        Assignor::RoundRobin => "RoundRobin",
        Assignor::Sticky => "Sticky",
        _ => "CooperativeSticky",
    };
    format!("org.apache.kafka.clients.consumer.{name}Assignor")
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("read {text:?}"))
}

/// A group with its topic, and what its members have read.
struct Group<'a> {
    kafka: &'a Kafka,
    client: Client,
    admin: Admin,
    assignor: Assignor,
    name: String,
    sent: u32,
    ours: Arc<Mutex<Vec<(String, u32)>>>,
    java: Option<RunningTool>,
    /// What Java's members printed that have left.
    printed: Vec<String>,
    /// What was sent before this may have been read by Java's member and again by ours.
    repeated: Cell<u32>,
}

/// One of our members, which reads until it leaves.
struct Ours {
    handle: ConsumerHandle,
    reading: JoinHandle<Result<Consumer, Error>>,
}

impl Ours {
    async fn leave(self) -> Outcome {
        self.handle.stop();
        Ok(self.reading.await??.close(SOON).await?)
    }
}

impl Group<'_> {
    async fn ours_joins(&self, client_id: &str) -> Result<Ours, Failed> {
        let client = Client::builder()
            .bootstrap_servers(self.kafka.bootstrap())
            .client_id(client_id)
            .connect()
            .await?;
        let mut consumer = client
            .consumer(self.name.as_str())
            .assignors([self.assignor])
            .offset_reset(OffsetReset::Earliest)
            .heartbeat_interval(Duration::from_millis(300))
            .subscribe([&self.name])
            .build()
            .await?;
        let (handle, read) = (consumer.handle(), self.ours.clone());
        let name = client_id.to_owned();
        let reading = tokio::spawn(async move {
            while let Some(record) = consumer.recv().await? {
                let number = number(std::str::from_utf8(record.value().unwrap()).unwrap());
                read.lock().unwrap().push((name.clone(), number));
            }
            Ok(consumer)
        });
        Ok(Ours { handle, reading })
    }

    fn java_joins(&mut self) -> Outcome {
        let version = self.kafka.version();
        let class = match version {
            Version::V2_5_0 => "kafka.tools.ConsoleConsumer",
            _ => "org.apache.kafka.tools.consumer.ConsoleConsumer",
        };
        let option = match version {
            Version::V4_3_0 => "--command-property",
            _ => "--consumer-property",
        };
        let properties = [
            format!(
                "partition.assignment.strategy={}",
                java_class(self.assignor)
            ),
            "heartbeat.interval.ms=300".to_owned(),
            "client.id=javas".to_owned(),
        ];
        let bootstrap = self.kafka.bootstrap();
        let mut arguments = vec!["--bootstrap-server", &bootstrap, "--group", &self.name];
        arguments.extend(["--topic", &self.name, "--from-beginning"]);
        arguments.extend(properties.iter().flat_map(|property| [option, property]));
        self.java = Some(self.kafka.start_tool(class, &arguments)?);
        Ok(())
    }

    fn java_leaves(&mut self) -> Outcome {
        let java = self.java.take().ok_or("Java is no member")?;
        self.printed.extend(java.terminate()?);
        Ok(())
    }

    /// Waits until the group has so many members, each with its equal part; what it is then.
    async fn balanced(&self, members: usize) -> Result<Vec<MemberDescription>, Failed> {
        let mut last = None;
        let balanced = async {
            loop {
                let group = self.admin.describe_groups([&self.name]).await?.remove(0);
                if let Ok(group) = group {
                    let has_its_part = |member: &MemberDescription| {
                        let part = member.assignment.as_ref().map(Vec::len);
                        part == Some(PARTITIONS / members)
                    };
                    if group.state == GroupState::Stable
                        && group.members.len() == members
                        && group.members.iter().all(has_its_part)
                    {
                        return Ok::<_, Error>(group.members);
                    }
                    last = Some(group);
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(SOON, balanced).await {
            Ok(found) => Ok(found?),
            Err(_) => Err(format!("{members} members with equal parts: {last:?}").into()),
        }
    }

    /// Sends records to all partitions for as long as something else goes on.
    async fn while_sending<T>(
        &mut self,
        other: impl AsyncFnOnce(&mut Self) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let (stop, stopped) = watch::channel(false);
        let (client, topic, from) = (self.client.clone(), self.name.clone(), self.sent);
        let sending = tokio::spawn(async move {
            let producer = client.producer().build()?;
            let mut number = from;
            while !*stopped.borrow() {
                let value = number.to_string();
                let record = Record::to(&topic)
                    .partition(number as i32 % PARTITIONS as i32)
                    .value(&value);
                producer.send(record).await?;
                number += 1;
            }
            Ok::<_, Error>(number)
        });
        let result = other(self).await;
        stop.send_replace(true);
        self.sent = sending.await??;
        result
    }

    /// Who read each record.
    fn read(&self) -> BTreeMap<u32, Vec<String>> {
        let mut read = BTreeMap::<_, Vec<_>>::new();
        let javas = self.java.as_ref().map(RunningTool::lines);
        for value in self.printed.iter().chain(&javas.unwrap_or_default()) {
            let by = read.entry(number(value)).or_default();
            by.push("javas".to_owned());
        }
        for (name, number) in self.ours.lock().unwrap().iter() {
            read.entry(*number).or_default().push(name.clone());
        }
        read
    }

    /// Waits until all that was sent has been read, each record by one member alone.
    ///
    /// With `java_repeats`, what Java's member read may have been read by ours again: under a cooperative assignor it
    /// commits before it joins, and hands out more before it gives partitions up.
    async fn each_once(&self, when: &str, java_repeats: bool) -> Outcome {
        let is_read = || self.read().keys().copied().eq(0..self.sent);
        let enough = until("all are read", is_read).await;
        let (read, repeated) = (self.read(), self.repeated.get());
        let is_once = |number: u32| {
            let by = read.get(&number).map_or(&[][..], |by| by);
            let may_repeat = number < repeated || java_repeats;
            by.len() == 1 || (may_repeat && matches!(by, [java, _] if java == "javas"))
        };
        if (0..self.sent).all(is_once) {
            if java_repeats {
                self.repeated.set(self.sent);
            }
            return enough;
        }
        let mut text = format!("{when}, of {}:", self.sent);
        for number in (0..self.sent).filter(|number| !is_once(*number)) {
            let by = |number: Option<u32>| number.and_then(|number| read.get(&number));
            let step = PARTITIONS as u32;
            let (before, behind) = (by(number.checked_sub(step)), by(Some(number + step)));
            text += &format!(
                "\n{} at {} was read by {:?} (before it {before:?}, behind it {behind:?})",
                number % step,
                number / step,
                by(Some(number)),
            );
        }
        let committed = self.admin.list_group_offsets(&self.name).await?;
        Err(format!("{text}\n{committed:?}").into())
    }

    /// Sends records while nobody comes or goes.
    async fn calm(&mut self, when: &str) -> Outcome {
        let from = self.sent;
        self.while_sending(async |group| {
            let is_read = || group.read().range(from..).count() >= 10 * PARTITIONS;
            until("records are read", is_read).await
        })
        .await?;
        self.each_once(when, false).await
    }

    /// Our members are shown as what they are, with what they have.
    async fn shows(&self, members: &[MemberDescription], ours: &[(&str, &Ours)]) -> Outcome {
        let all: BTreeMap<_, _> = members
            .iter()
            .map(|member| (&*member.client_id, member))
            .collect();
        assert_eq!(all.len(), members.len(), "{members:?}");
        for (client_id, ours) in ours {
            let member = all[client_id];
            assert_eq!(&*member.host, "/127.0.0.1");
            assert_eq!(
                member.topics.as_deref(),
                Some(&[self.name.as_str().into()][..])
            );
            let mut assignment = member.assignment.clone().ok_or("not read")?;
            assignment.sort();
            let has = || {
                let mut has = ours.handle.assignment();
                has.sort();
                has == assignment
            };
            until("what it was told to have", has).await?;
        }
        Ok(())
    }
}

async fn mixed(kafka: &Kafka, assignor: Assignor) -> Outcome {
    let name = format!("java-group-{assignor:?}").to_lowercase();
    kafka.topic(&name, PARTITIONS as i32, &[])?;
    let client = kafka.client().await?;
    let mut group = Group {
        kafka,
        admin: client.admin(),
        client,
        assignor,
        name,
        sent: 0,
        ours: Arc::default(),
        java: None,
        printed: Vec::new(),
        repeated: Cell::new(0),
    };
    // The first member of a group leads it.
    group.java_joins()?;
    group.balanced(1).await?;
    let (first, second) = group
        .while_sending(async |group| {
            let first = group.ours_joins("ours-1").await?;
            group.balanced(2).await?;
            let second = group.ours_joins("ours-2").await?;
            let members = group.balanced(3).await?;
            group
                .shows(&members, &[("ours-1", &first), ("ours-2", &second)])
                .await?;
            Ok((first, second))
        })
        .await?;
    let java_repeats = assignor == Assignor::CooperativeSticky;
    group.each_once("Java leads", java_repeats).await?;
    group.calm("Java leads").await?;
    assert!(!group.ours.lock().unwrap().is_empty());
    assert!(
        group
            .java
            .as_ref()
            .is_some_and(|java| !java.lines().is_empty())
    );
    java_describes(&group, &[("ours-1", &first), ("ours-2", &second)])?;

    group
        .while_sending(async |group| {
            group.java_leaves()?;
            group.balanced(2).await
        })
        .await?;
    group.each_once("Java has left", false).await?;
    group
        .while_sending(async |group| {
            group.java_joins()?;
            let members = group.balanced(3).await?;
            group
                .shows(&members, &[("ours-1", &first), ("ours-2", &second)])
                .await
        })
        .await?;
    group.each_once("one of ours leads", false).await?;
    group.calm("one of ours leads").await?;

    group
        .while_sending(async |group| {
            first.leave().await?;
            second.leave().await?;
            group.balanced(1).await
        })
        .await?;
    group
        .each_once("Java goes on from our offsets", false)
        .await?;
    group.java_leaves()?;
    let last = group
        .while_sending(async |group| {
            let last = group.ours_joins("ours-3").await?;
            group.balanced(1).await?;
            Ok(last)
        })
        .await?;
    group
        .each_once("one of ours goes on from Java's", false)
        .await?;
    last.leave().await
}

/// What Java's tool prints of the members.
fn java_describes(group: &Group<'_>, ours: &[(&str, &Ours)]) -> Outcome {
    let class = match group.kafka.version() {
        Version::V2_5_0 => "kafka.admin.ConsumerGroupCommand",
        _ => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    };
    let bootstrap = group.kafka.bootstrap();
    let arguments = ["--bootstrap-server", &bootstrap, "--group", &group.name];
    let options = ["--describe", "--members", "--verbose"];
    let output = group
        .kafka
        .tool(class, &[&arguments[..], &options].concat())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|words: &Vec<_>| words.first() == Some(&group.name.as_str()))
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    for (client_id, ours) in ours {
        let line = lines.iter().find(|words| words.contains(client_id));
        let line = line.ok_or_else(|| format!("{client_id} is not in {text}"))?;
        // GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS, and somewhere behind them the assignment.
        assert!(line[1].starts_with(client_id), "{text}");
        assert_eq!(line[2..5], ["/127.0.0.1", client_id, "2"], "{text}");
        let mut numbers: Vec<_> = ours
            .handle
            .assignment()
            .iter()
            .map(TopicPartition::partition)
            .collect();
        numbers.sort();
        let [low, high] = numbers[..] else {
            return Err(format!("{client_id} has {numbers:?}").into());
        };
        let assignment = line[5..].concat();
        // Older ones print `TOPIC(0,1)`, and 3.9.1 forgets the topic's name, Java's member's as well.
        let older = format!("({low},{high})");
        let newer = format!("{}:{low},{high}", group.name);
        assert!(
            assignment.contains(&older) || assignment.contains(&newer),
            "{low} and {high} in {text}"
        );
    }
    Ok(())
}
