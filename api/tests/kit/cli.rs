//! Commands of the binary, beside a server or without one.

use crate::common::{App, Output};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// The binary under test, with nothing of this process's settings.
pub fn binary(program: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a program to its end.
pub async fn run(mut command: Command, limit: Duration) -> Output {
    let what = format!("{:?}", command.as_std());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = timeout(limit, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("{what} did not end within {limit:?}")).unwrap();
    Output {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A command that goes on until this is dropped.
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts it on the data of `app`.
    pub fn start(app: &App, arguments: &[&str]) -> Self {
        let mut command = binary(Path::new(env!("CARGO_BIN_EXE_verbatim")), app.folder(), arguments);
        let mut child = command.arg("--data").arg(app.data()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line that it prints.
    pub async fn line(&mut self) -> String {
        let line = crate::common::within("a line of a command", self.lines.next_line()).await;
        line.unwrap().expect("the command ended")
    }

    /// Waits for its end, which must be a good one.
    pub async fn ended(mut self) {
        let status = crate::common::within("the end of a command", self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Runs a command on the data of `app`; it must succeed.
#[track_caller]
pub fn succeed(app: &App, arguments: &[&str]) -> impl Future<Output = String> {
    let place = std::panic::Location::caller();
    async move {
        let output = app.cli(arguments).await;
        assert!(output.status.success(), "{place}: {output:?}");
        assert!(output.stderr.is_empty(), "{place}: {output:?}");
        output.stdout
    }
}
