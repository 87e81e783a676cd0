//! A group of our members and one of Java's, which tells who read what.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_cluster::{RunningTool, Version};
use libtest_mimic::Failed;
use ottla::{
    Admin, Assignor, Client, Consumer, ConsumerHandle, Error, GroupState, MemberDescription,
    OffsetReset, Record,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Kafka, Outcome, SOON, until};

/// What a group's topic has, to be shared by one, two or three members alike.
pub(crate) const PARTITIONS: usize = 6;

/// Longest wait for a rebalance, before which Java may have to start.
pub(crate) const REBALANCED: Duration = Duration::from_secs(40);

/// Who proposes which assignors.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) ours: &'static [Assignor],
    pub(crate) javas: &'static [Assignor],
}

fn java_class(assignor: &Assignor) -> String {
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
pub(crate) struct Group<'a> {
    pub(crate) kafka: &'a Kafka,
    pub(crate) client: Client,
    pub(crate) admin: Admin,
    pub(crate) case: Case,
    pub(crate) name: String,
    pub(crate) sent: u32,
    pub(crate) ours: Arc<Mutex<Vec<(String, u32)>>>,
    pub(crate) java: Option<RunningTool>,
    /// What Java's members printed that have left.
    pub(crate) printed: Vec<String>,
    /// What was sent before this may have been read by Java's member and again by ours.
    pub(crate) repeated: Cell<u32>,
}

/// One of our members, which reads until it leaves.
pub(crate) struct Ours {
    pub(crate) handle: ConsumerHandle,
    pub(crate) reading: JoinHandle<Result<Consumer, Error>>,
}

impl Ours {
    pub(crate) async fn leave(self) -> Outcome {
        self.handle.stop();
        Ok(self.reading.await??.close(SOON).await?)
    }
}

impl<'a> Group<'a> {
    pub(crate) async fn new(kafka: &'a Kafka, case: Case, partitions: i32) -> Result<Self, Failed> {
        let name = format!("java-group-{}", case.name);
        kafka.topic(&name, partitions, &[])?;
        let client = kafka.client().await?;
        Ok(Self {
            kafka,
            admin: client.admin(),
            client,
            case,
            name,
            sent: 0,
            ours: Arc::default(),
            java: None,
            printed: Vec::new(),
            repeated: Cell::new(0),
        })
    }

    pub(crate) async fn ours_joins(&self, client_id: &str) -> Result<Ours, Failed> {
        let client = Client::builder()
            .bootstrap_servers(self.kafka.bootstrap())
            .client_id(client_id)
            .metadata_max_age(Duration::from_secs(1))
            .connect()
            .await?;
        let mut consumer = client
            .consumer(self.name.as_str())
            .assignors(self.case.ours.iter().copied())
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

    pub(crate) fn java_joins(&mut self) -> Outcome {
        self.java_joins_for(&self.name.clone())
    }

    pub(crate) fn java_joins_for(&mut self, topic: &str) -> Outcome {
        let version = self.kafka.version();
        let class = match version {
            Version::V2_5_0 => "kafka.tools.ConsoleConsumer",
            _ => "org.apache.kafka.tools.consumer.ConsoleConsumer",
        };
        let option = match version {
            Version::V4_3_0 => "--command-property",
            _ => "--consumer-property",
        };
        let assignors: Vec<_> = self.case.javas.iter().map(java_class).collect();
        let properties = [
            format!("partition.assignment.strategy={}", assignors.join(",")),
            "heartbeat.interval.ms=300".to_owned(),
            "client.id=javas".to_owned(),
        ];
        let bootstrap = self.kafka.bootstrap();
        let mut arguments = vec!["--bootstrap-server", &bootstrap, "--group", &self.name];
        arguments.extend(["--topic", topic, "--from-beginning"]);
        arguments.extend(properties.iter().flat_map(|property| [option, property]));
        self.java = Some(self.kafka.start_tool(class, &arguments)?);
        Ok(())
    }

    pub(crate) fn java_leaves(&mut self) -> Outcome {
        let java = self.java.take().ok_or("Java is no member")?;
        self.printed.extend(java.terminate()?);
        Ok(())
    }

    /// Waits until the group has so many members, each with its equal part; what it is then.
    pub(crate) async fn balanced(&self, members: usize) -> Result<Vec<MemberDescription>, Failed> {
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
        match timeout(REBALANCED, balanced).await {
            Ok(found) => Ok(found?),
            Err(_) => Err(format!("{members} members with equal parts: {last:?}").into()),
        }
    }

    /// Sends records to all partitions for as long as something else goes on.
    pub(crate) async fn while_sending<T>(
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
    pub(crate) fn read(&self) -> BTreeMap<u32, Vec<String>> {
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
    pub(crate) async fn each_once(&self, when: &str, java_repeats: bool) -> Outcome {
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
    pub(crate) async fn calm(&mut self, when: &str) -> Outcome {
        let from = self.sent;
        self.while_sending(async |group| {
            let is_read = || group.read().range(from..).count() >= 10 * PARTITIONS;
            until("records are read", is_read).await
        })
        .await?;
        self.each_once(when, false).await
    }

    /// Our members are shown as what they are, with what they have.
    pub(crate) async fn shows(
        &self,
        members: &[MemberDescription],
        ours: &[(&str, &Ours)],
    ) -> Outcome {
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
