//! Members of a group that come, go and die under load, while brokers are killed, paused and restarted.

mod coordinator;
pub(crate) mod ledger;
mod member;

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use ottla::{Admin, Assignor, Client, OffsetReset, TopicPartition};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::checker::Told;
use super::load::{Book as Sent, Keys, Load, Plan, read_back};
use super::world::{Live, NODES, Outcome, World, seconds, until};
use ledger::{Ledger, Survey};
use member::{Book, Group, Habit, Home, Member};

const PARTITIONS: i32 = 12;
const MEMBERS: usize = 6;

pub(crate) fn trials(world: &World) -> Vec<Trial> {
    vec![
        world.live("churn::nothing_is_lost_or_skipped_by_range", range),
        world.live(
            "churn::nothing_is_lost_or_skipped_by_cooperative_sticky",
            cooperative,
        ),
        world.live("churn::a_partition_that_stays_is_never_interrupted", steady),
        world.live(
            "churn::a_coordinator_that_dies_or_freezes_is_left",
            coordinator::left,
        ),
    ]
}

/// The members at work, and those that have gone.
struct Crowd {
    group: Group,
    /// In turn.
    habits: &'static [Habit],
    members: Vec<Member>,
    /// In which those that were dropped may still leave.
    remains: Vec<Home>,
    closing: Vec<JoinHandle<Outcome>>,
    joined: usize,
    ended: [usize; 3],
}

impl Crowd {
    fn new(group: Group) -> Self {
        Self {
            group,
            habits: &Habit::ALL,
            members: Vec::new(),
            remains: Vec::new(),
            closing: Vec::new(),
            joined: 0,
            ended: [0; 3],
        }
    }

    fn join(&mut self) -> Outcome {
        let habit = self.habits[self.joined % self.habits.len()];
        self.joined += 1;
        self.members.push(Member::start(&self.group, habit)?);
        Ok(())
    }

    /// One of them ends: closed, killed or dropped, in turn.
    async fn part(&mut self) -> Outcome {
        let member = self
            .members
            .swap_remove(fastrand::usize(..self.members.len()));
        let way = self.ended.iter().sum::<usize>() % 3;
        self.ended[way] += 1;
        tracing::info!(member = member.id, way, "a member ends");
        match way {
            // In the background: a close may take a rebalance.
            0 => self.closing.push(tokio::spawn(member.close())),
            1 => member.kill(),
            _ => self.remains.push(member.drop().await?),
        }
        Ok(())
    }

    /// Members come and go until then, and until one has ended in each way; afterwards there are as many as before.
    async fn mill(mut self, end: Instant) -> Outcome<Self> {
        while self.members.len() < MEMBERS {
            self.join()?;
        }
        while Instant::now() < end || self.ended.contains(&0) {
            sleep(Duration::from_millis(fastrand::u64(800..3000))).await;
            let is_full = self.members.len() >= MEMBERS;
            if is_full || (self.members.len() > 2 && fastrand::u32(..3) == 0) {
                self.part().await?;
            } else {
                self.join()?;
            }
        }
        while self.members.len() < MEMBERS {
            self.join()?;
        }
        Ok(self)
    }

    async fn close(self) -> Outcome {
        let closing = self.members.into_iter().map(Member::close);
        let all: Vec<_> = closing.map(tokio::spawn).chain(self.closing).collect();
        for one in all {
            one.await??;
        }
        drop(self.remains);
        Ok(())
    }
}

/// Brokers die, freeze and restart, one after the other, until then.
async fn havoc(live: &Live, end: Instant) -> Outcome<[usize; 3]> {
    const WHOLE: Duration = Duration::from_secs(60);
    let mut done = [0; 3];
    let millis = |from, to| Duration::from_millis(fastrand::u64(from..to));
    while Instant::now() < end {
        let node = fastrand::i32(1..=NODES);
        let way = done.iter().sum::<usize>() % 3;
        done[way] += 1;
        tracing::info!(node, way, "a broker suffers");
        match way {
            0 => {
                live.kill(node)?;
                sleep(millis(500, 3000)).await;
                live.start(node)?;
            }
            1 => {
                // Sometimes longer than the cluster waits for it.
                live.pause(node)?;
                sleep(millis(1000, 8000)).await;
                live.resume(node)?;
            }
            _ => {
                live.stop(node)?;
                live.start(node)?;
            }
        }
        live.wait_in_sync(WHOLE)?;
        sleep(millis(500, 2000)).await;
    }
    Ok(done)
}

/// Looks at the group's offsets, again and again.
async fn watch(admin: Admin, group: Group) {
    loop {
        // An offset may only be committed after it was handed out, and so noted: before this answer comes.
        let found = admin.list_group_offsets(&group.name).await;
        for (partition, offset) in found.into_iter().flatten() {
            if let Ok(offset) = offset {
                let mut ledger = group.book.ledger();
                ledger.committed(partition.partition(), offset.offset);
            }
        }
        sleep(Duration::from_millis(150)).await;
    }
}

/// A group at work under load.
struct Scene {
    topic: &'static str,
    group: Group,
    admin: Admin,
    producer: ottla::Producer,
    load: Load,
    watching: JoinHandle<()>,
}

impl Scene {
    async fn set(
        live: &Live,
        topic: &'static str,
        assignor: Assignor,
        rate: u32,
        ledger: Ledger,
    ) -> Outcome<Self> {
        live.topic(topic, PARTITIONS)?;
        let client = live.client(false).await?;
        let producer = client
            .producer()
            .linger(Duration::from_millis(2))
            .request_timeout(Duration::from_secs(4))
            .build()?;
        let plan = Plan {
            topic: topic.to_owned(),
            partitions: PARTITIONS,
            rate,
            keys: Keys::Half(500),
        };
        let load = Load::start(producer.clone(), plan);
        load.advance_all(10, Duration::from_secs(20)).await?;
        let group = Group {
            servers: live.bootstrap(),
            name: format!("{topic}-group"),
            topic,
            assignor,
            beat: Duration::from_secs(1),
            book: Book::new(ledger),
        };
        let admin = Client::connect(&live.bootstrap()).await?.admin();
        let watching = tokio::spawn(watch(admin.clone(), group.clone()));
        Ok(Self {
            topic,
            group,
            admin,
            producer,
            load,
            watching,
        })
    }

    /// Waits until everything that was acknowledged was handed out, and judges.
    async fn end(self, live: &Live, crowd: Crowd) -> Outcome<Survey> {
        let sent = self
            .load
            .finish(&self.producer, Duration::from_secs(60))
            .await?;
        let mut ends = [0; PARTITIONS as usize];
        for one in sent.sent() {
            if let (Some(partition), Told::Acked(Some(offset))) = (one.partition, one.told) {
                let end = &mut ends[partition as usize];
                *end = offset.max(*end - 1) + 1;
            }
        }
        let book = self.group.book.clone();
        let drained = || {
            let ledger = book.ledger();
            (0..).zip(ends).all(|(p, end)| ledger.handed_to(p) >= end)
        };
        let limit = Duration::from_secs(90);
        let draining = until("everything is handed out", limit, drained).await;
        let closed = match draining {
            Ok(_) => crowd.close().await,
            Err(_) => Ok(()),
        };
        self.watching.abort();
        println!("{}: told {:?}", self.topic, book.errors.lock().unwrap());
        let survey = judge(live, self.topic, &sent, book.close())?;
        draining?;
        closed?;
        let committed = self.admin.list_group_offsets(&self.group.name).await?;
        for (partition, offset) in committed {
            let end = ends[partition.partition() as usize];
            assert_eq!(offset?.offset, end, "committed at the end: {partition}");
        }
        live.delete_topic(self.topic)?;
        Ok(survey)
    }
}

fn judge(live: &Live, topic: &str, sent: &Sent, ledger: Ledger) -> Outcome<Survey> {
    let log = read_back(topic, &live.consume_all(topic)?);
    let violations = match ledger.judge(sent.sent(), &log) {
        Ok(survey) => return Ok(survey),
        Err(violations) => violations,
    };
    let mut text = format!("{} violations:", violations.len());
    for violation in violations.iter().take(20) {
        text += &format!("\n  {violation}");
    }
    Err(text.into())
}

async fn range(live: &Live) -> Outcome {
    churn(live, "churn-range", Assignor::Range).await
}

async fn cooperative(live: &Live) -> Outcome {
    churn(live, "churn-cooperative", Assignor::CooperativeSticky).await
}

async fn churn(live: &Live, topic: &'static str, assignor: Assignor) -> Outcome {
    let scene = Scene::set(live, topic, assignor, 3000, Ledger::default()).await?;
    let end = Instant::now() + seconds("OTTLA_CHURN_SECONDS", 25);
    let milling = tokio::spawn(Crowd::new(scene.group.clone()).mill(end));
    let suffered = havoc(live, end).await;
    live.heal()?;
    let crowd = milling.await??;
    let [closed, killed, dropped] = crowd.ended;
    let joined = crowd.joined;
    let suffered = suffered?;
    let survey = scene.end(live, crowd).await?;
    println!(
        "{topic}: {joined} members joined, {closed} closed, {killed} killed, {dropped} dropped; \
         brokers killed, paused, restarted: {suffered:?}; {survey:?}"
    );
    assert!(suffered.iter().sum::<usize>() > 0, "no broker suffered");
    Ok(())
}

/// Notes when each record can be read, by reading it outside of the group.
async fn see(client: Client, topic: &'static str, book: Arc<Book>) -> Outcome {
    let partitions = (0..PARTITIONS).map(|number| TopicPartition::new(topic, number));
    let mut consumer = client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .assign(partitions)
        .build()
        .await?;
    while let Some(records) = consumer.poll().await? {
        let now = book.began.elapsed();
        let mut ledger = book.ledger();
        for record in &records {
            ledger.seen(record.partition(), record.offset(), now);
        }
    }
    Ok(())
}

/// Members come and go in an orderly way: what the others keep, they go on reading.
async fn steady(live: &Live) -> Outcome {
    const PATIENCE: Duration = Duration::from_millis(1200);
    let ledger = Ledger::steady(PATIENCE);
    let topic = "churn-steady";
    let scene = Scene::set(live, topic, Assignor::CooperativeSticky, 3000, ledger).await?;
    let beat = PATIENCE * 2;
    let mut crowd = Crowd::new(Group {
        beat,
        ..scene.group.clone()
    });
    // None that waits for a commit of its own.
    crowd.habits = &[Habit::Polls, Habit::Receives];
    let book = scene.group.book.clone();
    let settled = async |crowd: &Crowd| {
        let ids: Vec<_> = crowd.members.iter().map(|member| member.id).collect();
        let whole = PARTITIONS as usize;
        until("the group is settled", Duration::from_secs(30), || {
            let owned = book.ledger().owned(&ids);
            owned.iter().sum::<usize>() == whole
                && owned.iter().all(|own| *own == whole / ids.len())
        })
        .await
    };
    let seeing = tokio::spawn(see(live.client(false).await?, topic, book.clone()));
    for _ in 0..3 {
        crowd.join()?;
    }
    settled(&crowd).await?;
    for _ in 0..2 {
        crowd.join()?;
        let coming = settled(&crowd).await?;
        let going = crowd.members.pop().ok_or("nobody is there")?;
        going.close().await?;
        let going = settled(&crowd).await?;
        println!(
            "one came in {coming:.1?}, and its partitions were back {going:.1?} after it left"
        );
    }
    let survey = scene.end(live, crowd).await?;
    seeing.abort();
    println!("{survey:?}");
    assert!(survey.tenures > PARTITIONS as usize + 8, "nothing moved");
    Ok(())
}
