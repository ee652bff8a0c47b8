//! A server's process.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to end when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at a process.
const POLL: Duration = Duration::from_millis(5);

/// A server's process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Option<Child>,
    name: &'static str,
}

impl Server {
    /// Starts it, with its output appended to a file.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &std::path::Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).expect("the server's log");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the server's log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { child: Some(child), name }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()))
    }

    /// SIGKILL, also for the processes it has started, and waits until all are gone.
    pub(crate) fn kill_9(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Stopped first, so that it starts no more of them.
        signal(child.id(), rustix::process::Signal::STOP);
        let children = children_of(child.id());
        let _ = child.kill();
        for pid in &children {
            signal(*pid, rustix::process::Signal::KILL);
        }
        let _ = child.wait();
        let began = Instant::now();
        while children.iter().any(|pid| is_alive(*pid)) {
            assert!(began.elapsed() < STOP_LIMIT, "{}: its processes do not end", self.name);
            std::thread::sleep(POLL);
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self, with: rustix::process::Signal) {
        let Some(pid) = self.pid() else { return };
        signal(pid, with);
        let began = Instant::now();
        while !self.has_ended() {
            if began.elapsed() > STOP_LIMIT {
                return self.kill_9();
            }
            std::thread::sleep(POLL);
        }
        self.child = None;
    }

    /// SIGSTOP: it hangs, its sockets stay open.
    pub(crate) fn freeze(&self) {
        self.signal_all(rustix::process::Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal_all(rustix::process::Signal::CONT);
    }

    fn signal_all(&self, with: rustix::process::Signal) {
        let Some(pid) = self.pid() else { return };
        signal(pid, with);
        for child in children_of(pid) {
            signal(child, with);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_9();
    }
}

fn signal(pid: u32, with: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, with);
    }
}

/// The state and the parent of a process, from `/proc/PID/stat` (proc(5)); the name in it may hold anything.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent))
        .collect()
}
