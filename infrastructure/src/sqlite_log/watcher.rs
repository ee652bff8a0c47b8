//! The thread that notices what other processes append, and moves the WAL into the database in the background.

use super::rows;
use rusqlite::Connection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};
use tokio::sync::watch;

/// How often the log is asked whether another process has written. It is a look at shared memory, no disk access.
const POLL: Duration = Duration::from_millis(50);

/// The handle of the thread. It ends when this is dropped.
pub(super) struct Watcher {
    wishes: mpsc::SyncSender<()>,
    copied: Arc<AtomicBool>,
}

impl Watcher {
    /// Starts the thread, which keeps `alive` as long as it lives.
    pub(super) fn start(
        log: Connection,
        head: watch::Sender<u64>,
        alive: mpsc::Sender<()>,
    ) -> std::io::Result<Self> {
        // One wish is as good as many.
        let (wishes, wished) = mpsc::sync_channel(1);
        let copied = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&copied);
        std::thread::Builder::new().name("log-watcher".to_owned()).spawn(move || {
            run(&log, &head, &wished, &done);
            drop(log);
            drop(alive);
        })?;
        Ok(Self { wishes, copied })
    }

    /// The WAL has grown.
    pub(super) fn ask_for_checkpoint(&self) {
        self.copied.store(false, Ordering::Release);
        let _ = self.wishes.try_send(());
    }

    /// Whether what was last asked for has been done.
    pub(super) fn has_copied(&self) -> bool {
        self.copied.load(Ordering::Acquire)
    }
}

fn run(log: &Connection, head: &watch::Sender<u64>, wished: &mpsc::Receiver<()>, copied: &AtomicBool) {
    let mut seen = None;
    loop {
        match wished.recv_timeout(POLL) {
            Ok(()) => {
                checkpoint(log);
                copied.store(true, Ordering::Release);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        // An error here will show where the log is used.
        let version = log.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0)).ok();
        if version.is_some() && version != seen {
            let newest =
                log.prepare_cached(rows::HEAD).and_then(|mut q| q.query_row((), |r| rows::number(r, 0)));
            if let Ok(newest) = newest {
                seen = version;
                head.send_if_modified(|known| newest > std::mem::replace(known, newest.max(*known)));
            }
        }
    }
}

/// Copies as much of the WAL into the database as possible without making anybody wait. It can fail when the disk is
/// full, and then the WAL is kept, and it is tried again after the next commit.
pub(super) fn checkpoint(log: &Connection) {
    let outcome = log.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()));
    if let Err(error) = outcome {
        tracing::warn!(%error, "the event log's WAL can't be moved into the database now");
    }
}
