//! The binary as a process.

use super::within;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::VecDeque,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

/// Lines of a server's output that are kept.
const LINES_MAX: usize = 2_000;
/// Lines that are shown when a test fails.
const LINES_SHOWN: usize = 40;

/// What a server has printed and logged, the last lines of it.
#[derive(Debug, Default, Clone)]
pub struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub fn text(&self) -> String {
        let lines = self.0.lock().unwrap();
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// What a failed test shows: of each request, one line is enough.
    fn tail(&self) -> String {
        let lines = self.0.lock().unwrap();
        let told = lines.iter().filter(|line| !line.contains("START]") && !line.contains("END]"));
        let told: Vec<String> = told.map(|line| format!("  | {line}\n")).collect();
        told.get(told.len().saturating_sub(LINES_SHOWN)..).unwrap_or_default().concat()
    }
}

/// What a command of the binary answered.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it logged and complained of.
    pub stderr: String,
}

/// A server that runs.
pub struct Process {
    child: Child,
    pub log: Log,
}

/// The binary in `folder`, with nothing of this process's settings.
fn binary(folder: &Path, arguments: &[String], environment: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verbatim"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("RUST_BACKTRACE", "1")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command of the binary to its end.
pub async fn run(folder: &Path, arguments: &[String], environment: &[(String, String)]) -> Output {
    let child = binary(folder, arguments, environment).spawn().unwrap();
    let what = format!("verbatim {}", arguments.join(" "));
    let output = within(&what, child.wait_with_output()).await.unwrap();
    Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Process {
    /// Starts a server and waits for the line that says it is ready; gives the URL in it.
    pub async fn start(
        folder: &Path,
        arguments: &[String],
        environment: &[(String, String)],
    ) -> Result<(Self, String), Output> {
        let mut child = binary(folder, arguments, environment).spawn().unwrap();
        let log = Log::default();
        let (lines, mut printed) = mpsc::unbounded_channel();
        keep(child.stdout.take().unwrap(), log.clone(), Some(lines));
        let logged = keep(child.stderr.take().unwrap(), log.clone(), None);
        let url = within("the line that says the server is ready", async {
            while let Some(line) = printed.recv().await {
                if let Some(url) = url(&line) {
                    return Some(url);
                }
            }
            None
        });
        match url.await {
            Some(url) => Ok((Self { child, log }, url)),
            None => {
                let status = within("the end of a server that printed no URL", child.wait()).await.unwrap();
                let _ = logged.await;
                Err(Output { status, stdout: String::new(), stderr: log.text() })
            }
        }
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            kill_process(pid, signal).unwrap();
        }
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        within("the end of the server", self.child.wait()).await.unwrap()
    }

    /// Resident memory in bytes (proc(5), VmRSS).
    pub fn rss(&self) -> u64 {
        let id = self.child.id().expect("the server runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's last lines:\n{}", self.log.tail());
        }
    }
}

fn keep(
    stream: impl AsyncRead + Unpin + Send + 'static,
    log: Log,
    lines: Option<mpsc::UnboundedSender<String>>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream).lines();
        while let Ok(Some(line)) = stream.next_line().await {
            log.push(line.clone());
            if let Some(lines) = &lines {
                let _ = lines.send(line);
            }
        }
    })
}

fn url(line: &str) -> Option<String> {
    let start = line.find("http://")?;
    let rest = line.get(start + "http://".len()..)?;
    let authority: String =
        rest.chars().take_while(|c| !c.is_whitespace() && !"/,\"'".contains(*c)).collect();
    Some(format!("http://{authority}"))
}
