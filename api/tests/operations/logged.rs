//! A server of which every log line is read, and checked against what the index of the stack expects.

use crate::{
    common::{App, Setup, within},
    kit::{Api, cli::binary},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value};
use std::{path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    task::JoinHandle,
};
use verbatim_observability::check_line;

/// One line.
pub(crate) type Line = Map<String, Value>;

/// The server.
pub(crate) struct Logged {
    pub(crate) app: App,
    pub(crate) api: Api,
    child: Child,
    printed: JoinHandle<Vec<String>>,
}

async fn rest(mut all: Vec<String>, mut lines: Lines<BufReader<ChildStdout>>) -> Vec<String> {
    while let Ok(Some(line)) = lines.next_line().await {
        all.push(line);
    }
    all
}

impl Logged {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let app = Setup::default().stopped();
        let arguments = ["serve", "--listen", "127.0.0.1:0"];
        let mut command = binary(Path::new(env!("CARGO_BIN_EXE_verbatim")), app.folder(), &arguments);
        command.arg("--data").arg(app.data()).env("VERBATIM_NODE", "node-7").envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut first = Vec::new();
        while !first.last().is_some_and(|line: &String| line.contains("Verbatim is ready")) {
            let line = within("the line that says it is ready", lines.next_line()).await.unwrap();
            first.push(line.expect("it ended"));
        }
        let ready = first.last().unwrap();
        let url = ready.split(['/', ' ']).find(|part| part.starts_with("127.0.0.1:")).unwrap();
        let api = Api::new(&format!("http://{url}"));
        app.server.moved_to(&api.base);
        Self { api, app, child, printed: tokio::spawn(rest(first, lines)) }
    }

    /// Stops it; gives all that it has printed, line by line.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let printed = within("the end of what it prints", self.printed).await.unwrap();
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        within("the end of standard error", stderr.read_to_string(&mut errors)).await.unwrap();
        let status = within("the end of the server", self.child.wait()).await.unwrap();
        assert!(status.success() && errors.is_empty(), "{status}: {errors}");
        printed
    }
}

/// Lines as what they say. Each must be one that the index takes.
pub(crate) fn parsed(lines: &[String]) -> Vec<Line> {
    let parse = |line: &String| check_line(line).unwrap_or_else(|wrong| panic!("{wrong} in {line}"));
    lines.iter().map(parse).collect()
}

/// The lines whose field has this value.
pub(crate) fn having<'a>(lines: &'a [Line], field: &str, value: impl Into<Value>) -> Vec<&'a Line> {
    let value = value.into();
    lines.iter().filter(|line| line.get(field) == Some(&value)).collect()
}

/// The only line whose field has this value.
#[track_caller]
pub(crate) fn only<'a>(lines: &'a [Line], field: &str, value: impl Into<Value>) -> &'a Line {
    let found = having(lines, field, value);
    assert_eq!(found.len(), 1, "{field}: {found:?}");
    found[0]
}
