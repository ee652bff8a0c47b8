//! One server of one test.

use super::{
    Member, Server,
    process::{Output, Process, run},
};
use rustix::process::Signal;
use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
};
use tempfile::TempDir;

/// A server with an empty data folder.
pub async fn spawn_app() -> App {
    Setup::default().start().await
}

/// How a server is to be started.
#[derive(Default)]
pub struct Setup {
    data: Option<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// Keeps its data here; unless given, in a folder that goes with the [`App`].
    pub fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_owned());
        self
    }

    /// One more argument after `serve`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// One more environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> App {
        let mut app = self.stopped();
        app.start().await;
        app
    }

    /// Everything but the start.
    pub fn stopped(self) -> App {
        let folder = TempDir::new().unwrap();
        let data = self.data.unwrap_or_else(|| folder.path().join("data"));
        App {
            server: Server::new(),
            process: None,
            data,
            folder,
            arguments: self.arguments,
            environment: self.environment,
        }
    }
}

/// A server, running or not. Dropping it kills the process and removes the data.
pub struct App {
    /// Where it is; members and clients share this, so that they find it again after a restart.
    pub server: Server,
    process: Option<Process>,
    data: PathBuf,
    folder: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl App {
    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A folder that goes with the test, beside the data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it on a free port and waits until it is ready.
    pub async fn start(&mut self) {
        if let Err(output) = self.try_start().await {
            panic!("the server does not start: {}\n{}", output.status, output.stderr);
        }
    }

    /// Starts it, or gives what it says when it refuses to.
    ///
    /// # Errors
    /// It ended before it was ready.
    pub async fn try_start(&mut self) -> Result<(), Output> {
        assert!(self.process.is_none(), "the server runs already");
        let mut arguments = vec!["serve".to_owned(), "--listen".to_owned(), "127.0.0.1:0".to_owned()];
        arguments.extend(["--data".to_owned(), self.data.display().to_string()]);
        arguments.extend(self.arguments.iter().cloned());
        let (process, url) = Process::start(self.folder.path(), &arguments, &self.environment).await?;
        self.server.moved_to(&url);
        self.process = Some(process);
        Ok(())
    }

    /// Runs a command of the binary on the same data folder, e.g. `["projections", "status"]`.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        let mut all: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        all.extend(["--data".to_owned(), self.data.display().to_string()]);
        run(self.folder.path(), &all, &self.environment).await
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }

    /// Asks it to stop (SIGTERM) without waiting.
    pub fn begin_stop(&self) {
        self.process().signal(Signal::TERM);
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the server runs");
        process.ended().await
    }

    /// Stops it in order, which must end with status 0.
    pub async fn stop(&mut self) {
        self.begin_stop();
        let log = self.process().log.clone();
        let status = self.ended().await;
        assert!(status.success(), "a stop in order ended with {status}\n{}", log.text());
    }

    /// Kills it as a power cut would, as far as the process goes.
    pub async fn kill_9(&mut self) {
        self.process().signal(Signal::KILL);
        self.ended().await;
    }

    /// Starts it again on the same data, on another port; stops it first if it runs.
    pub async fn restart(&mut self) {
        if self.process.is_some() {
            self.stop().await;
        }
        self.start().await;
    }

    /// Its resident memory in bytes.
    pub fn rss(&self) -> u64 {
        self.process().rss()
    }

    /// What it has printed and logged since its start.
    pub fn log(&self) -> String {
        self.process().log.text()
    }

    /// Somebody new, logged in.
    pub async fn member(&self, name: &str) -> Member {
        Member::new(&self.server, name).await
    }
}
