//! What waits for a thread that takes all that has gathered for a moment at once.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

/// How long things are gathered.
const GATHER: Duration = Duration::from_millis(20);
/// How long the last ones may take when the process ends: nobody may be reading.
const LAST_LIMIT: Duration = Duration::from_secs(1);

pub(super) struct State<T> {
    pub(super) waiting: Vec<T>,
    /// Nothing is taken any more once nothing waits.
    pub(super) ends: bool,
}

pub(super) struct Gathering<T> {
    state: Mutex<State<T>>,
    more: Condvar,
}

impl<T> Default for Gathering<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { waiting: Vec::new(), ends: false }), more: Condvar::new() }
    }
}

/// What a lock guards, also after a panic while it was held: that left whole lines behind, or parts of one at worst.
fn poisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

impl<T> Gathering<T> {
    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        poisoned(self.state.lock())
    }

    /// Wakes the thread: something waits again, or enough to be taken at once. Else it is awake already: it gathers, or is
    /// at work and then looks again.
    pub(super) fn wake(&self) {
        self.more.notify_one();
    }

    /// What waits, gathered until there is `enough`; nothing at the end. `spare` takes its place.
    pub(super) fn take(&self, enough: usize, spare: Vec<T>) -> Vec<T> {
        let waits = |state: &mut State<T>| state.waiting.is_empty() && !state.ends;
        let state = poisoned(self.more.wait_while(self.lock(), waits));
        let gathers = |state: &mut State<T>| state.waiting.len() < enough && !state.ends;
        let (mut state, _) = poisoned(self.more.wait_timeout_while(state, GATHER, gathers));
        std::mem::replace(&mut state.waiting, spare)
    }
}

/// Dropping it lets the thread do what waits, within [`LAST_LIMIT`].
pub(super) struct Guard<T> {
    gathering: Arc<Gathering<T>>,
    ended: Receiver<()>,
}

impl<T> std::fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

/// Starts a thread that does `work` until nothing is taken any more.
pub(super) fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&Gathering<T>) + Send + 'static,
) -> io::Result<(Arc<Gathering<T>>, Guard<T>)> {
    let gathering = Arc::new(Gathering::default());
    let (end, ended) = mpsc::channel();
    let of_thread = gathering.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        work(&of_thread);
        drop(end);
    })?;
    Ok((gathering.clone(), Guard { gathering, ended }))
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        self.gathering.lock().ends = true;
        self.gathering.wake();
        // Disconnected: all is done. Too late: nobody reads, and the process must end all the same.
        let _ = self.ended.recv_timeout(LAST_LIMIT);
    }
}
