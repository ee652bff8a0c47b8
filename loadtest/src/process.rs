//! Starting, watching and killing the server under test.

use crate::Error;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// Between two looks at `/health/ready`; it is also the resolution of [`Server::ready`]'s answer.
const READY_POLL: Duration = Duration::from_millis(10);

/// How to start `verbatim`, and its command line, against one data folder.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The binary.
    pub binary: PathBuf,
    /// The data folder, also of the command line tools.
    pub data: PathBuf,
    /// Where the server listens; the same after every restart, as clients expect.
    pub listen: SocketAddr,
    /// File that stdout and stderr of every start are appended to.
    pub log: PathBuf,
    /// Settings in the environment, for the server and the command line.
    pub env: Vec<(String, String)>,
    /// Where clients go instead: to the proxy in front of it, if there is one.
    pub front: Option<SocketAddr>,
}

impl Launch {
    /// A launch on a free port of 127.0.0.1, logging beside the data folder.
    ///
    /// # Errors
    /// No port is free.
    pub fn new(binary: &Path, folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            binary: binary.to_owned(),
            data: folder.join("data"),
            listen: free_address()?,
            log: folder.join("server.log"),
            env: Vec::new(),
            front: None,
        })
    }

    /// Starts `verbatim serve`, without waiting until it is ready.
    ///
    /// # Errors
    /// The binary or the log file cannot be opened.
    pub fn spawn(&self) -> Result<Server, Error> {
        let log = self.open_log()?;
        let copy = log.try_clone().map_err(Error::io("server log"))?;
        let child = Command::new(&self.binary)
            .arg("serve")
            .args(["--listen", &self.listen.to_string()])
            .arg("--data")
            .arg(&self.data)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(format!("starting {}", self.binary.display())))?;
        Ok(Server { child, base: format!("http://{}", self.listen), spawned: Instant::now() })
    }

    /// [`spawn`](Self::spawn) and [`ready`](Server::ready).
    ///
    /// # Errors
    /// As those two.
    pub async fn start(&self, limit: Duration) -> Result<Server, Error> {
        let mut server = self.spawn()?;
        server.ready(limit).await?;
        Ok(server)
    }

    /// Runs a command of the binary (`projections`, `import` ...) against the same data folder.
    /// Answers exit status and stdout; stderr goes to the log.
    ///
    /// # Errors
    /// It cannot be started or does not end within `limit`.
    pub async fn cli(&self, args: &[&str], limit: Duration) -> Result<(ExitStatus, String), Error> {
        let child = Command::new(&self.binary)
            .args(args)
            .env("VERBATIM_DATA", &self.data)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.open_log()?)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(format!("starting {}", self.binary.display())))?;
        let what = format!("verbatim {}", args.join(" "));
        let output = timeout(limit, child.wait_with_output())
            .await
            .map_err(|_| Error::timeout(what.clone(), limit))?
            .map_err(Error::io(what))?;
        Ok((output.status, String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// `http://127.0.0.1:port`, as clients go there.
    pub fn base(&self) -> String {
        format!("http://{}", self.front.unwrap_or(self.listen))
    }

    /// `ws://127.0.0.1:port/ws`, as clients go there.
    pub fn ws(&self) -> String {
        format!("ws://{}/ws", self.front.unwrap_or(self.listen))
    }

    fn open_log(&self) -> Result<File, Error> {
        OpenOptions::new().create(true).append(true).open(&self.log).map_err(Error::io("server log"))
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    base: String,
    spawned: Instant,
}

impl Server {
    /// Waits until `/health/ready` answers 200; the answer is the time since the start.
    ///
    /// # Errors
    /// The process ended, or was not ready within `limit`.
    pub async fn ready(&mut self, limit: Duration) -> Result<Duration, Error> {
        let http = reqwest::Client::builder().timeout(limit).pool_max_idle_per_host(0).build()?;
        let url = format!("{}/health/ready", self.base);
        loop {
            if let Some(status) = self.child.try_wait().map_err(Error::io("server"))? {
                return Err(Error::Setup(format!("the server ended before it was ready: {status}")));
            }
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(self.spawned.elapsed());
            }
            if self.spawned.elapsed() > limit {
                return Err(Error::timeout(format!("200 from {url}"), limit));
            }
            sleep(READY_POLL).await;
        }
    }

    /// The process id, for `/proc`; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Errors
    /// The system could not kill it.
    pub async fn kill(mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(Error::io("kill"))
    }

    /// SIGTERM, and waits until the process has ended by itself.
    ///
    /// # Errors
    /// It did not end within `limit` (it is killed then).
    pub async fn terminate(mut self, limit: Duration) -> Result<ExitStatus, Error> {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            rustix::process::kill_process(pid, Signal::TERM)
                .map_err(|error| Error::io("SIGTERM")(error.into()))?;
        }
        timeout(limit, self.child.wait())
            .await
            .map_err(|_| Error::timeout("the server to end after SIGTERM", limit))?
            .map_err(Error::io("server"))
    }
}

/// `target/release/verbatim` or `target/debug/verbatim` of this workspace, whichever is newer.
pub fn find_binary() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let candidates = ["release", "debug"].map(|profile| target.join(profile).join("verbatim"));
    let age = |path: &PathBuf| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    candidates.into_iter().filter(|path| path.is_file()).max_by_key(age)
}

/// A port of 127.0.0.1 that is free now.
///
/// # Errors
/// None is.
pub fn free_address() -> Result<SocketAddr, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(Error::io("a free port"))
}

/// Lifts this process's limit of open files, which children inherit, to what the system allows. Answers the limit.
///
/// # Errors
/// The system refuses, which it should not below its own maximum.
pub fn lift_open_files() -> Result<u64, Error> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .map_err(|error| Error::io("open file limit")(error.into()))?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Resident memory and processor time of some processes together, from `/proc`; zero for those that are gone.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Resident memory in KiB.
    pub rss_kib: u64,
    /// User and system time in seconds.
    pub cpu_seconds: f64,
}

/// Linux counts processor time in hundredths of a second in `/proc` on every architecture we run on (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

impl Usage {
    /// What the processes use now.
    pub fn of(pids: &[u32]) -> Self {
        let mut sum = Self::default();
        for pid in pids {
            if let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
                sum.rss_kib += rss_kib(&status).unwrap_or(0);
            }
            if let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                sum.cpu_seconds += cpu_seconds(&stat).unwrap_or(0.0);
            }
        }
        sum
    }
}

fn rss_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15 of proc(5) `stat`, counted after the command name, which may hold spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc() {
        assert_eq!(rss_kib("Name:\tx\nVmRSS:\t   1234 kB\n"), Some(1234));
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert!(Usage::of(&[std::process::id()]).rss_kib > 0);
    }
}
