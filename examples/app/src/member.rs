//! Members of a group: joining and leaving it, what comes of it, and all of them together.

use std::fmt::Display;
use std::ops::AddAssign;
use std::time::Duration;

use ottla::{Client, Consumer, Error, ErrorCode, OffsetReset};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{Failure, is_unfit};

/// How long leaving the group, with the last commit, may take.
const LEAVE: Duration = Duration::from_secs(10);

/// How often saving is tried while the database fails, each time waiting longer.
const TRIES: u32 = 6;

/// What a member did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// What was saved.
    pub new: u64,
    /// What was saved before: its records came again.
    pub again: u64,
    /// Records that are nothing to save: set aside.
    pub unreadable: u64,
    /// Records that the database does not take as they are: set aside.
    pub unfit: u64,
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.again += other.again;
        self.unreadable += other.unreadable;
        self.unfit += other.unfit;
    }
}

/// Joins a group from a topic's beginning, committing nothing by itself, and leaves it when `work` has ended.
///
/// # Errors
/// Those of `work`; then the group's.
pub async fn in_group(
    client: &Client,
    group: &str,
    topic: &str,
    work: impl AsyncFnOnce(&mut Consumer) -> Result<Done, Failure>,
) -> Result<Done, Failure> {
    let mut consumer = client
        .consumer(group)
        .offset_reset(OffsetReset::Earliest)
        .auto_commit(false)
        .subscribe([topic])
        .build()
        .await?;
    let ended = work(&mut consumer).await;
    let left = consumer.close(LEAVE).await;
    let done = ended?;
    left?;
    Ok(done)
}

/// What came of receiving.
pub enum Next<T> {
    /// Something to work on.
    Come(T),
    /// Nothing, for something passing is wrong; it was told once, and the next call goes on.
    Again,
    /// Nothing any more: told to stop.
    End,
}

/// Receives, until `stop` is told.
///
/// # Errors
/// What does not pass by itself.
pub async fn next<T>(
    stop: &CancellationToken,
    receiving: impl Future<Output = Result<Option<T>, Error>>,
) -> Result<Next<T>, Failure> {
    let received = tokio::select! {
        received = receiving => received,
        () = stop.cancelled() => return Ok(Next::End),
    };
    match received {
        Ok(Some(come)) => Ok(Next::Come(come)),
        Ok(None) => Ok(Next::End),
        Err(error) if error.is_retriable() => {
            tracing::warn!(%error, "receiving");
            Ok(Next::Again)
        }
        Err(error) => Err(error.into()),
    }
}

/// What came of saving.
#[derive(Debug)]
pub enum Saved<T> {
    /// It is in the database.
    Done(T),
    /// It will never be: the database's words.
    Unfit(String),
}

/// Saves, again and again while the database fails for a moment; `what` is for the log.
///
/// # Errors
/// The database's, after six tries; but not where it refuses what is to be saved, which no try changes.
pub async fn saved<T, F>(what: impl Display, save: impl Fn() -> F) -> Result<Saved<T>, Failure>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let mut pause = Duration::from_millis(100);
    let mut tries = 1;
    loop {
        match save().await {
            Ok(saved) => return Ok(Saved::Done(saved)),
            Err(error) if is_unfit(&error) => return Ok(Saved::Unfit(error.to_string())),
            Err(error) if tries == TRIES => return Err(error.into()),
            Err(error) => tracing::warn!(%error, %what, "saving again in {pause:?}"),
        }
        sleep(pause).await;
        (tries, pause) = (tries + 1, pause * 2);
    }
}

/// What a commit means for a member that saves before it commits, and saves nothing twice.
///
/// # Errors
/// What the next commit would be told, too, such as that the group must not be written to. But not where partitions went to
/// another member, which sees their records again and finds them saved, nor what passes by itself.
pub fn committed(commit: Result<(), Error>) -> Result<(), Failure> {
    match commit {
        Err(error) if only_comes_again(&error) => {
            tracing::warn!(%error, "records may come again");
            Ok(())
        }
        commit => Ok(commit?),
    }
}

fn only_comes_again(error: &Error) -> bool {
    let moved = || {
        matches!(
            error.broker_code(),
            Some(
                ErrorCode::UNKNOWN_MEMBER_ID
                    | ErrorCode::ILLEGAL_GENERATION
                    | ErrorCode::REBALANCE_IN_PROGRESS
            )
        )
    };
    match error {
        Error::NotAssigned { .. } | Error::TopicRecreated { .. } => true,
        Error::Commit { rejoining, cause } => {
            *rejoining || cause.is_retriable() || moved() || only_comes_again(cause)
        }
        _ => false,
    }
}

/// The members of one process.
pub struct Members {
    tasks: JoinSet<Result<Done, Failure>>,
    stop: CancellationToken,
    done: Done,
}

impl Members {
    /// Starts so many; `member` is told when to stop.
    pub fn start<F>(count: usize, member: impl Fn(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<Done, Failure>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn(member(stop.clone()));
        }
        Self {
            tasks,
            stop,
            done: Done::default(),
        }
    }

    /// Waits, but no longer than until a member ends: they do when they are told to, or because something is wrong.
    ///
    /// # Errors
    /// The member's, or those of what is waited for.
    pub async fn work_until(
        &mut self,
        end: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        tokio::select! {
            ended = end => ended,
            Some(ended) = self.tasks.join_next() => {
                self.done += joined(ended)?;
                Ok(())
            }
        }
    }

    /// Tells them to stop; what they have done.
    ///
    /// # Errors
    /// A member's.
    pub async fn stop(mut self) -> Result<Done, Failure> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            self.done += joined(ended)?;
        }
        Ok(self.done)
    }
}

fn joined(ended: Result<Result<Done, Failure>, JoinError>) -> Result<Done, Failure> {
    ended.map_err(Failure::of("a member of the group"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_will_never_succeed_ends_the_member() {
        let refused = |code, rejoining| {
            let cause = Error::Broker {
                code,
                message: None,
                context: "committing".into(),
                advice: None,
            };
            let cause = cause.into();
            committed(Err(Error::Commit { rejoining, cause })).is_err()
        };
        for (code, ends) in [
            (ErrorCode::UNKNOWN_MEMBER_ID, false),
            (ErrorCode::ILLEGAL_GENERATION, false),
            (ErrorCode::REBALANCE_IN_PROGRESS, false),
            (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, false),
            (ErrorCode::NOT_COORDINATOR, false),
            (ErrorCode::REQUEST_TIMED_OUT, false),
            (ErrorCode::GROUP_AUTHORIZATION_FAILED, true),
            (ErrorCode::TOPIC_AUTHORIZATION_FAILED, true),
            (ErrorCode::OFFSET_METADATA_TOO_LARGE, true),
            (ErrorCode::FENCED_INSTANCE_ID, true),
        ] {
            assert_eq!(refused(code, false), ends, "{code}");
            assert!(!refused(code, true), "{code}");
        }
        assert!(committed(Ok(())).is_ok());
        let closed = Error::Closed {
            what: "the consumer",
        };
        assert!(committed(Err(closed)).is_err());
    }
}
