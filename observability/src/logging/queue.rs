//! Lines on their way to a slow place. Whoever logs never waits for it; a thread gathers lines for a moment and writes
//! them at once, which costs a quarter of writing one by one. (tracing-appender, which wakes its thread for each line,
//! took 1.8 µs a line where this takes 0.8, and lost lines without a word when the disk was full.)

use super::{
    LOG_LINES_LOST,
    gathering::{self, Gathering, Guard},
};
use std::{
    io::{self, Write},
    sync::Arc,
};

/// Most bytes that wait; lines that come then are lost, and counted.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// So much is written without gathering more; a buffer that has grown beyond is let go.
const GATHERED_MAX: usize = 1024 * 1024;

/// The way in.
pub(super) struct Queue(Arc<Gathering<u8>>);

/// Dropping it writes what waits.
pub(super) type QueueGuard = Guard<u8>;

impl Queue {
    /// Starts the thread that writes to `out`.
    pub(super) fn start(name: &str, out: impl Write + Send + 'static) -> io::Result<(Self, QueueGuard)> {
        let (gathering, guard) = gathering::start(name, |gathering| write_all(gathering, out))?;
        Ok((Self(gathering), guard))
    }

    /// Queues a line in parts; never waits for more than the memory.
    pub(super) fn push(&self, parts: &[&[u8]]) {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let mut state = self.0.lock();
        let before = state.waiting.len();
        if before + size > BYTES_MAX {
            LOG_LINES_LOST.inc();
            return;
        }
        for part in parts {
            state.waiting.extend_from_slice(part);
        }
        drop(state);
        if before == 0 || (before < GATHERED_MAX && before + size >= GATHERED_MAX) {
            self.0.wake();
        }
    }
}

/// What was left when writing failed.
struct Unwritten {
    bytes: usize,
    error: io::Error,
}

fn write(out: &mut impl Write, lines: &[u8]) -> Result<(), Unwritten> {
    let mut rest = lines;
    while !rest.is_empty() {
        let written = match out.write(rest) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            other => other,
        };
        match written {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) => return Err(Unwritten { bytes: rest.len(), error }),
        }
    }
    out.flush().map_err(|error| Unwritten { bytes: 0, error })
}

fn write_all(gathering: &Gathering<u8>, mut out: impl Write) {
    let mut spare = Vec::new();
    let mut failing = false;
    loop {
        let mut lines = gathering.take(GATHERED_MAX, std::mem::take(&mut spare));
        if lines.is_empty() {
            return;
        }
        if let Err(Unwritten { bytes, error }) = write(&mut out, &lines) {
            let lost = lines.iter().rev().take(bytes).filter(|byte| **byte == b'\n').count();
            LOG_LINES_LOST.inc_by(lost as u64);
            if !failing {
                // The log can't tell it. If standard error is gone too, nothing can.
                let _ = writeln!(io::stderr(), "verbatim: log lines can't be written: {error}");
            }
            failing = true;
        } else {
            failing = false;
        }
        if lines.capacity() <= GATHERED_MAX {
            lines.clear();
            spare = lines;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::mpsc::{self, Receiver},
        time::Duration,
    };

    /// Hands on what is written, and waits for leave to go on.
    struct Slow {
        written: mpsc::Sender<Vec<u8>>,
        leave: Receiver<bool>,
    }

    impl Write for Slow {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.written.send(lines.to_vec()).map_err(io::Error::other)?;
            match self.leave.recv() {
                Ok(true) => Ok(lines.len()),
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Queue, QueueGuard, Receiver<Vec<u8>>, mpsc::Sender<bool>) {
        let ((written, reads), (leave, waits)) = (mpsc::channel(), mpsc::channel());
        let (queue, guard) = Queue::start("test", Slow { written, leave: waits }).unwrap();
        (queue, guard, reads, leave)
    }

    #[test]
    fn lines_come_out_whole_in_order_and_all_at_the_end() {
        let (queue, guard, written, leave) = slow();
        queue.push(&[b"first", b"\n"]);
        let mut all = written.recv_timeout(Duration::from_secs(10)).unwrap();
        for number in 0..1000 {
            queue.push(&[format!("{number}").as_bytes(), b"\n"]);
        }
        leave.send(true).unwrap();
        leave.send(true).unwrap();
        drop(guard);
        all.extend(written.try_iter().flatten());
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(all).unwrap(), format!("first\n{expected}"));
    }

    /// One test, for both look at the one counter of lost lines.
    #[test]
    fn what_does_not_fit_or_can_t_be_written_is_counted_and_nobody_waits() {
        let before = LOG_LINES_LOST.get();
        let (queue, guard, written, leave) = slow();
        queue.push(&[b"first\n"]);
        written.recv_timeout(Duration::from_secs(10)).unwrap();
        let line = vec![b'\n'; 1024 * 1024];
        for _ in 0..10 {
            queue.push(&[&line]);
        }
        assert_eq!(LOG_LINES_LOST.get() - before, 2);
        drop(leave);
        drop(guard);
        assert_eq!(LOG_LINES_LOST.get() - before, 2 + 1 + 8 * 1024 * 1024);
    }
}
