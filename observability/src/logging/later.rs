//! Lines that come in numbers are made by a thread of their own, many at a time: in the middle of other work a line costs
//! twice what it costs there, for neither finds its code and data in the processor's caches then.

use super::gathering::{self, Gathering, Guard};
use std::sync::{Arc, OnceLock};

/// Most lines that wait to be made. Who comes then makes the line at once.
const WAITING_MAX: usize = 16_384;

type Line = Box<dyn FnOnce() + Send>;

/// The one of the process, once logging is set up.
static GATHERING: OnceLock<Arc<Gathering<Line>>> = OnceLock::new();

/// Calls `tell`, which writes a line that belongs to no span, within some 20 ms, on a thread of its own; its `time` is of
/// then. At once where there is no such thread, or it has too much to do.
pub fn tell_later(tell: impl FnOnce() + Send + 'static) {
    match GATHERING.get() {
        Some(gathering) => push(gathering, tell),
        None => tell(),
    }
}

fn push(gathering: &Gathering<Line>, tell: impl FnOnce() + Send + 'static) {
    let mut state = gathering.lock();
    if state.ends || state.waiting.len() >= WAITING_MAX {
        drop(state);
        return tell();
    }
    state.waiting.push(Box::new(tell));
    let first = state.waiting.len() == 1;
    drop(state);
    if first {
        gathering.wake();
    }
}

/// Dropping it makes what waits; later lines are made at once.
pub(super) type LaterGuard = Guard<Line>;

/// Starts the thread.
pub(super) fn start() -> std::io::Result<LaterGuard> {
    let (gathering, guard) = gathering::start("log-lines", make_all)?;
    // Logging is set up once; whoever tries again is refused elsewhere.
    let _ = GATHERING.set(gathering);
    Ok(guard)
}

fn make_all(gathering: &Gathering<Line>) {
    let mut lines = Vec::new();
    loop {
        lines = gathering.take(WAITING_MAX, lines);
        if lines.is_empty() {
            return;
        }
        lines.drain(..).for_each(|tell| tell());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Duration};

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
        let gathering = Gathering::default();
        let (made, makes) = mpsc::channel();
        for number in 0..WAITING_MAX + 2 {
            let made = made.clone();
            push(&gathering, move || made.send(number).unwrap());
        }
        assert_eq!(makes.try_iter().collect::<Vec<_>>(), [WAITING_MAX, WAITING_MAX + 1]);
    }
}
