//! Lines that come in numbers are made by a thread of their own, many at a time: in the middle of other work a line costs
//! twice what it costs there, for neither finds its code and data in the processor's caches then.

use super::queue::{GATHER, poisoned};
use std::{
    sync::{
        Arc, Condvar, Mutex, OnceLock,
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

/// Most lines that wait to be made. Who comes then makes the line at once.
const WAITING_MAX: usize = 16_384;
/// How long the last ones may take when the process ends.
const LAST_LIMIT: Duration = Duration::from_secs(1);

type Line = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    ends: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

/// The one of the process, once logging is set up.
static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();

/// Calls `tell`, which writes a line that belongs to no span, within some 20 ms, on a thread of its own; its `time` is of
/// then. At once where there is no such thread, or it has too much to do.
pub fn tell_later(tell: impl FnOnce() + Send + 'static) {
    match SHARED.get() {
        Some(shared) => shared.push(tell),
        None => tell(),
    }
}

impl Shared {
    fn push(&self, tell: impl FnOnce() + Send + 'static) {
        let mut state = poisoned(self.state.lock());
        if state.ends || state.lines.len() >= WAITING_MAX {
            drop(state);
            return tell();
        }
        state.lines.push(Box::new(tell));
        let first = state.lines.len() == 1;
        drop(state);
        // Else the thread is awake already.
        if first {
            self.more.notify_one();
        }
    }

    /// Lines to be made now; none at the end.
    fn gathered(&self, spare: Vec<Line>) -> Vec<Line> {
        let state = poisoned(self.state.lock());
        let waits = |state: &mut State| state.lines.is_empty() && !state.ends;
        let state = poisoned(self.more.wait_while(state, waits));
        let gathers = |state: &mut State| state.lines.len() < WAITING_MAX && !state.ends;
        let (mut state, _) = poisoned(self.more.wait_timeout_while(state, GATHER, gathers));
        std::mem::replace(&mut state.lines, spare)
    }

    fn run(&self) {
        let mut lines = Vec::new();
        loop {
            lines = self.gathered(lines);
            if lines.is_empty() {
                return;
            }
            lines.drain(..).for_each(|tell| tell());
        }
    }
}

/// Dropping it makes what waits, within [`LAST_LIMIT`]; later lines are made at once.
#[derive(Debug)]
pub(super) struct LaterGuard(Receiver<()>);

/// Starts the thread.
pub(super) fn start() -> std::io::Result<LaterGuard> {
    let shared = Arc::new(Shared::default());
    let (end, ended) = mpsc::channel();
    let of_thread = shared.clone();
    thread::Builder::new().name("log-lines".to_owned()).spawn(move || {
        of_thread.run();
        drop(end);
    })?;
    // Logging is set up once; whoever tries again is refused elsewhere.
    let _ = SHARED.set(shared);
    Ok(LaterGuard(ended))
}

impl Drop for LaterGuard {
    fn drop(&mut self) {
        let Some(shared) = SHARED.get() else { return };
        poisoned(shared.state.lock()).ends = true;
        shared.more.notify_one();
        // Disconnected: all are made.
        let _ = self.0.recv_timeout(LAST_LIMIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// The one of the process is used by one test only.
    #[test]
    fn every_line_is_made_once_in_order_also_at_the_end_and_after_it() {
        let (made, makes) = mpsc::channel();
        let tell = |number: usize| {
            let made = made.clone();
            tell_later(move || made.send(number).unwrap());
        };
        tell(0);
        assert_eq!(makes.try_recv(), Ok(0), "without a thread it is made at once");
        let guard = start().unwrap();
        tell(1);
        assert_eq!(makes.recv_timeout(LIMIT), Ok(1));
        for number in 2..1_000 {
            tell(number);
        }
        drop(guard);
        tell(1_000);
        assert_eq!(makes.try_iter().collect::<Vec<_>>(), (2..=1_000).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_too_much_is_made_by_who_comes() {
        let shared = Shared::default();
        let (made, makes) = mpsc::channel();
        for number in 0..WAITING_MAX + 2 {
            let made = made.clone();
            shared.push(move || made.send(number).unwrap());
        }
        assert_eq!(makes.try_iter().collect::<Vec<_>>(), [WAITING_MAX, WAITING_MAX + 1]);
    }
}
