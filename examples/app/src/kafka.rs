//! The cluster that an application works with: a real one, or a broker within the process.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ottla::{
    Admin, Client, Error, ErrorCode, IsolationLevel, NewTopic, OffsetAndMetadata, OffsetReset,
    OffsetSpec, TopicPartition,
};
use ottla_broker::Cluster;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{Failure, Progress, Settings};

/// How often a group's lag is asked for while it is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// A lag that stays the same for so long may be of what no application sees.
const STAYS: Duration = Duration::from_secs(1);

/// How long a cluster may be of no use before waiting ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a group may take to catch up after Ctrl-C.
const CATCH_UP: Duration = Duration::from_secs(10);

/// How long the last question may take.
const SOON: Duration = Duration::from_secs(5);

/// A partition whose end a group has not committed.
#[derive(Debug, PartialEq, Eq)]
struct Behind {
    partition: TopicPartition,
    /// What the group reads next.
    next: i64,
    lag: u64,
}

/// A cluster, connected to.
pub struct Kafka {
    client: Client,
    place: String,
    /// Ends with this.
    embedded: Option<Cluster>,
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // The broker within the process is not lost when it ends with this: it is not needed any more.
        if self.embedded.is_some() {
            self.client.close();
        }
    }
}

impl Kafka {
    /// Connects, to an embedded broker of one node where the settings name no server.
    ///
    /// # Errors
    /// When no server answers.
    pub async fn open(settings: &Settings) -> Result<Self, Failure> {
        let (embedded, place) = match &settings.bootstrap {
            Some(hosts) => (None, hosts.clone()),
            None => {
                let cluster = Cluster::builder().auto_create_topics(false).start().await;
                let cluster = cluster.map_err(Failure::of("the embedded broker"))?;
                (Some(cluster), "embedded broker".to_owned())
            }
        };
        let builder = match &embedded {
            Some(cluster) => settings
                .client()
                .bootstrap_servers(cluster.bootstrap_servers()),
            None => settings.client(),
        };
        Ok(Self {
            client: builder.connect().await?,
            place,
            embedded,
        })
    }

    /// For producers and consumers.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Makes a topic when it is missing; one that is there stays as it is. Gives its partitions.
    ///
    /// # Errors
    /// The cluster's refusal.
    pub async fn topic(&self, name: &str, partitions: i32) -> Result<usize, Failure> {
        let admin = self.client.admin();
        // How many replicas is the cluster's to say.
        let topic = NewTopic::new(name).partitions(partitions);
        for created in admin.create_topics([topic]).await? {
            match created {
                Err(error) if error.broker_code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        // The brokers know of a new topic a moment after the cluster does.
        let end = Instant::now() + PATIENCE;
        loop {
            match partitions_of(&admin, name).await {
                Err(error) if error.is_retriable() && Instant::now() < end => sleep(LOOK).await,
                told => return Ok(told?.len()),
            }
        }
    }

    /// How far behind a topic's end a group has committed, all partitions together.
    ///
    /// # Errors
    /// When the cluster does not tell.
    pub async fn lag(&self, group: &str, topic: &str) -> Result<u64, Error> {
        let behind = self.behind(group, topic).await?;
        Ok(behind.iter().map(|one| one.lag).sum())
    }

    /// The partitions whose end a group has not committed.
    async fn behind(&self, group: &str, topic: &str) -> Result<Vec<Behind>, Error> {
        let admin = self.client.admin();
        let partitions = partitions_of(&admin, topic).await?;
        let committed = admin.list_group_offsets(group).await?;
        let mut committed: HashMap<_, _> = committed.into_iter().collect();
        let ends = offsets(&admin, &partitions, OffsetSpec::Latest).await?;
        let begins = offsets(&admin, &partitions, OffsetSpec::Earliest).await?;
        let mut behind = Vec::new();
        for ((partition, end), begin) in partitions.into_iter().zip(ends).zip(begins) {
            let next = match committed.remove(&partition) {
                Some(committed) => committed?.offset.max(begin),
                None => begin,
            };
            let lag = u64::try_from(end - next).unwrap_or(0);
            if lag > 0 {
                behind.push(Behind {
                    partition,
                    next,
                    lag,
                });
            }
        }
        Ok(behind)
    }

    /// Whether no record is between what a group has committed and its topic's end, only what no application sees, such
    /// as the marks of transactions: a commit never comes behind those.
    async fn has_seen_all(&self, behind: &[Behind]) -> Result<bool, Error> {
        let partitions = behind.iter().map(|one| one.partition.clone());
        let mut reader = self
            .client
            .standalone_consumer()
            .auto_commit(false)
            .offset_reset(OffsetReset::Earliest)
            .assign(partitions)
            .build()
            .await?;
        for one in behind {
            reader.seek(&one.partition, one.next)?;
        }
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            match timeout(LOOK, reader.poll()).await {
                Ok(Ok(Some(records))) if !records.is_empty() => return Ok(false),
                Ok(polled) => drop(polled?),
                Err(_) => {}
            }
            let mut all = behind.iter().map(|one| reader.lag(&one.partition));
            if all.all(|lag| matches!(lag, Ok(Some(0)))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a group has not saved of a topic, for an account in the end; `None` when the cluster does not tell soon.
    pub async fn last_lag(&self, group: &str, topic: &str) -> Option<u64> {
        let behind = timeout(SOON, self.behind(group, topic)).await.ok()?.ok()?;
        if !behind.is_empty() && self.has_seen_all(&behind).await.ok()? {
            return Some(0);
        }
        Some(behind.iter().map(|one| one.lag).sum())
    }

    /// Commits for a group without members that all of a topic is done with.
    ///
    /// # Errors
    /// The cluster's refusal, such as while the group has members.
    pub async fn skip_to_end(&self, group: &str, topic: &str) -> Result<(), Failure> {
        let admin = self.client.admin();
        let partitions = partitions_of(&admin, topic).await?;
        let ends = offsets(&admin, &partitions, OffsetSpec::Latest).await?;
        let ends = ends.into_iter().map(OffsetAndMetadata::from);
        for altered in admin
            .alter_group_offsets(group, partitions.into_iter().zip(ends))
            .await?
        {
            altered?;
        }
        Ok(())
    }

    /// Waits until a group has committed all that is in the topic, and shows how many of `what` are left; once `interrupt`
    /// was told, not for ever.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn caught_up(
        &self,
        group: &str,
        topic: &str,
        what: &str,
        interrupt: &CancellationToken,
    ) -> Result<(), Failure> {
        let impatient = async {
            interrupt.cancelled().await;
            sleep(CATCH_UP).await;
        };
        tokio::select! {
            caught_up = self.all_committed(group, topic, what) => caught_up,
            // The account tells what is left.
            () = impatient => Ok(()),
        }
    }

    async fn all_committed(&self, group: &str, topic: &str, what: &str) -> Result<(), Failure> {
        let progress = Progress::new(0, "");
        let mut end = Instant::now() + PATIENCE;
        let (mut before, mut since) = (Vec::new(), Instant::now());
        loop {
            match self.behind(group, topic).await {
                Ok(behind) => {
                    let lag: u64 = behind.iter().map(|one| one.lag).sum();
                    progress.status(format!("{lag} {what} to be saved"));
                    if behind != before {
                        (before, since) = (behind, Instant::now());
                    }
                    let stays = since.elapsed() > STAYS;
                    if lag == 0 || (stays && self.has_seen_all(&before).await?) {
                        return Ok(());
                    }
                    if stays {
                        since = Instant::now();
                    }
                    end = Instant::now() + PATIENCE;
                }
                // A broker that comes and goes is no reason to give up.
                Err(error) if error.is_retriable() && Instant::now() < end => {}
                Err(error) => return Err(error.into()),
            }
            sleep(LOOK).await;
        }
    }
}

async fn partitions_of(admin: &Admin, topic: &str) -> Result<Vec<TopicPartition>, Error> {
    let mut described = admin.describe_topics([topic]).await?;
    let missing = Error::Closed {
        what: "the cluster",
    };
    let described = described.pop().unwrap_or(Err(missing))?;
    let partitions = described.partitions.iter();
    Ok(partitions
        .map(|partition| TopicPartition::new(topic, partition.partition))
        .collect())
}

async fn offsets(
    admin: &Admin,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<Vec<i64>, Error> {
    let asked: Vec<_> = partitions.iter().map(|p| (p.clone(), spec)).collect();
    let told = admin
        .list_offsets(asked, IsolationLevel::ReadUncommitted)
        .await?;
    told.into_iter()
        .map(|offset| offset.map(|offset| offset.offset.unwrap_or(0)))
        .collect()
}
