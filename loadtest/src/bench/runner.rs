//! Running `stompbench` and `limitserver` as the processes that they are.

use super::options::Options;
use crate::Error;
use crate::process::free_address;
use crate::stompbench::Summary;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// One run of `stompbench` may take this long.
const RUN_LIMIT: Duration = Duration::from_secs(300);
/// `limitserver` listens within this.
const START_LIMIT: Duration = Duration::from_secs(5);
const START_POLL: Duration = Duration::from_millis(10);

/// The yardstick, running. Dropping it kills it.
pub(super) struct LimitServer {
    child: Child,
    address: SocketAddr,
}

impl LimitServer {
    /// Starts it on a free port.
    pub(super) async fn start(options: &Options) -> Result<Self, Error> {
        let address = free_address()?;
        let child = Command::new(options.binary("limitserver")?)
            .arg(address.to_string())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("starting limitserver"))?;
        let since = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if since.elapsed() > START_LIMIT {
                return Err(Error::timeout("limitserver to listen", START_LIMIT));
            }
            sleep(START_POLL).await;
        }
        Ok(Self { child, address })
    }

    /// What `stompbench` needs to know of it. It has no rooms but topics, so both destinations are the same.
    pub(super) fn args(&self) -> Vec<String> {
        let mut args = strings(&["--sub", "/topic/{d}", "--send", "/topic/{d}", "--url"]);
        args.push(format!("ws://{}/ws", self.address));
        args.extend(self.child.id().map(|pid| format!("--pid={pid}")));
        args
    }

    /// Ends it.
    pub(super) async fn stop(mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(Error::io("stopping limitserver"))
    }
}

/// Runs `stompbench` and reads its summary; its complaints go to our stderr.
pub(super) async fn stompbench(options: &Options, folder: &Path, args: &[String]) -> Result<Summary, Error> {
    let json = folder.join("stompbench.json");
    let status = Command::new(options.binary("stompbench")?)
        .args(args)
        .arg("--json")
        .arg(&json)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status();
    let status = timeout(RUN_LIMIT, status)
        .await
        .map_err(|_| Error::timeout("stompbench to end", RUN_LIMIT))?
        .map_err(Error::io("starting stompbench"))?;
    if !status.success() {
        return Err(Error::Setup(format!("stompbench: {status}")));
    }
    let text = std::fs::read_to_string(&json).map_err(Error::io("stompbench's summary"))?;
    serde_json::from_str(&text).map_err(|error| Error::Setup(format!("stompbench's summary: {error}")))
}

/// What must not be passed over in silence beside a good figure.
pub(super) fn faults(who: &str, summary: &Summary) -> Vec<String> {
    let counts = [
        ("lost", summary.lost()),
        ("duplicated", summary.duplicated),
        ("out of order", summary.out_of_order),
        ("failed subscribers", summary.failed_subscribers),
        ("subscribers missing", summary.asked.saturating_sub(summary.subscribers) as u64),
    ];
    counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{who}: {count} {what}"))
        .collect()
}

pub(super) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
