//! The one thread that writes.

use super::{
    group::{self, Outcome},
    watcher::Watcher,
};
use crate::sqlite::{Purpose, Shared, WalFrames, connect};
use rusqlite::{Connection, ErrorCode};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};
use verbatim_application::ports::{AppendError, Appended, NewEvent, NewSnapshot};
use verbatim_domain::Timestamp;

/// Appends that may wait for the writer at once; more wait outside, each as long as [`super::APPEND_LIMIT`].
pub const APPEND_QUEUE: usize = 1_024;
/// Once a transaction has this many events, it takes no more appends.
const GROUP_EVENTS: usize = 4_096;
/// How long the writer waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);
/// Each time the WAL has grown by this many frames, it is copied into the database in the background: 16 MiB.
const CHECKPOINT_FRAMES: u32 = 4_000;
/// From this size the WAL is to start anew, 64 MiB. It can only while all of it is copied and nothing is added, so the
/// writer copies the few frames that came during the last copying itself.
const RESTART_FRAMES: u32 = 16_000;
/// At this size the writer no longer waits for the background.
const RESTART_NOW_FRAMES: u32 = 32_000;

/// An append on its way to the writer.
pub(super) struct Job {
    pub(super) events: Vec<NewEvent>,
    pub(super) snapshots: Vec<NewSnapshot>,
    pub(super) recorded_at: Timestamp,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
    pub(super) claim: Arc<Claim>,
}

/// Who was first: the writer, who takes the append, or the caller, who gives up waiting. So a caller who gives up knows
/// whether the append may happen.
#[derive(Debug, Default)]
pub(super) struct Claim(AtomicU8);

impl Claim {
    const TAKEN: u8 = 1;
    const WITHDRAWN: u8 = 2;

    fn settle(&self, to: u8) -> bool {
        self.0.compare_exchange(0, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The caller gives up; `false` if the writer was first.
    pub(super) fn withdraw(&self) -> bool {
        self.settle(Self::WITHDRAWN)
    }

    fn take(&self) -> bool {
        self.settle(Self::TAKEN)
    }
}

/// The writer's side.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) head: watch::Sender<u64>,
    pub(super) watcher: Watcher,
    pub(super) page_limit: Option<Arc<AtomicU32>>,
    pub(super) connection: Option<Connection>,
    /// Frames in the WAL when a checkpoint was last asked for.
    pub(super) asked_at: u32,
    pub(super) frames: WalFrames,
}

/// Opens the writer's connection.
pub(super) fn open(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, Purpose::Write, BUSY_TIMEOUT)?;
    // SQLite's own checkpointing would happen inside the commit, with the callers waiting.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    Ok(connection)
}

impl Writer {
    /// Until all senders are gone and the queue is empty.
    pub(super) fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let jobs = self.gather(first);
            if !jobs.is_empty() {
                self.write(jobs);
                self.checkpoint();
            }
        }
        // In this order: two connections that close at the same moment each take the other for one that stays, and then
        // neither moves the WAL into the file.
        drop(self.connection.take());
        drop(self.watcher);
    }

    /// What waits already goes into the same transaction; nobody waits for more to come.
    fn gather(&mut self, first: Job) -> Vec<Job> {
        let (mut jobs, mut events) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(job) = next {
            if job.claim.take() {
                events += job.events.len();
                jobs.push(job);
            }
            if events >= GROUP_EVENTS || jobs.len() >= APPEND_QUEUE {
                break;
            }
            next = self.jobs.try_recv().ok();
        }
        jobs
    }

    fn write(&mut self, jobs: Vec<Job>) {
        let (outcome, head) = match self.connection() {
            Ok(log) => group::write(log, &jobs),
            Err(error) => (Outcome::Nothing(Shared::new("opening the log", error)), None),
        };
        if let Some(head) = head {
            self.head.send_if_modified(|known| head > std::mem::replace(known, head.max(*known)));
        }
        match outcome {
            Outcome::Done(answers) => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    let _ = job.reply.send(answer);
                }
            }
            Outcome::Nothing(error) => {
                self.renew_after(&error);
                for job in jobs {
                    let _ = job.reply.send(Err(AppendError::Unavailable(Box::new(error.clone()))));
                }
            }
            Outcome::Unknown(error) => {
                self.connection = None;
                for job in jobs {
                    let _ = job.reply.send(Err(AppendError::Unknown(Box::new(error.clone()))));
                }
            }
        }
    }

    /// A full disk or a lock leaves the connection sound; after anything else a fresh one is opened for the next append.
    fn renew_after(&mut self, error: &Shared) {
        let sound = matches!(
            error.error().sqlite_error_code(),
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        );
        if !sound {
            self.connection = None;
        }
    }

    fn connection(&mut self) -> rusqlite::Result<&Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.frames = WalFrames::of(&self.path);
                open(&self.path)?
            }
        };
        if let Some(limit) = &self.page_limit {
            let pages = limit.load(Ordering::Relaxed);
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        Ok(self.connection.insert(connection))
    }

    /// Everybody has been answered; now there is time to tidy up.
    fn checkpoint(&mut self) {
        let frames = self.frames.get();
        if frames < self.asked_at {
            self.asked_at = 0;
        }
        let restart = frames >= RESTART_NOW_FRAMES || frames >= RESTART_FRAMES && self.watcher.has_copied();
        if restart {
            if let Some(log) = &self.connection {
                super::watcher::checkpoint(log);
            }
        } else if frames - self.asked_at >= CHECKPOINT_FRAMES {
            self.asked_at = frames;
            self.watcher.ask_for_checkpoint();
        }
    }
}
