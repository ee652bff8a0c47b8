//! More connections than there are files, and clients that never come to the point.

use crate::{
    common::{App, Setup, within},
    kit::{Api, cli::binary, start},
};
use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Child,
};

async fn connect(api: &Api) -> TcpStream {
    let address = api.base.strip_prefix("http://").unwrap();
    within("a connection", TcpStream::connect(address)).await.unwrap()
}

#[tokio::test]
async fn a_client_that_never_comes_to_the_point_is_let_go() {
    let (_app, api) = start().await;
    let began = Instant::now();
    let mut waiting = Vec::new();
    for begun in ["", "\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n", "POST /api/v1/rooms HTTP/1.1\r\nA: b"] {
        let mut stream = connect(&api).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        waiting.push(tokio::spawn(async move {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
        }));
    }
    // One that has asked something may be silent for longer than that.
    let mut asked = connect(&api).await;
    let request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    asked.write_all(request).await.unwrap();
    let mut buffer = [0; 4096];
    assert!(within("an answer", asked.read(&mut buffer)).await.unwrap() > 0);
    for one in waiting {
        within("the end of a connection that says nothing", one).await.unwrap();
    }
    assert!(began.elapsed() > Duration::from_secs(5), "let go at once");
    asked.write_all(request).await.unwrap();
    let read = within("an answer", asked.read(&mut buffer)).await.unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200 "));
}

/// A server that may have no more than so many files; the child ends with what is dropped.
async fn with_files(files: usize) -> (App, Child, Api) {
    let folder = Setup::default().stopped();
    let script = format!("ulimit -n {files}; exec \"$0\" serve --listen 127.0.0.1:0 --log-file log 2>errors");
    let mut command = binary(Path::new("/bin/sh"), folder.folder(), &["-c", &script]);
    let mut child = command.arg(env!("CARGO_BIN_EXE_verbatim")).stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = within("the line that says it is ready", printed.next_line()).await.unwrap().unwrap();
    let authority = ready.split(['/', ' ']).find(|part| part.starts_with("127.0.0.1:")).unwrap();
    (folder, child, Api::new(&format!("http://{authority}")))
}

#[tokio::test]
async fn more_connections_than_files_wait_for_their_turn() {
    let (folder, mut child, api) = with_files(160).await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(connect(&api).await);
    }
    // Who is in already is served as ever: there are files left to keep what is said.
    for number in 1..=20 {
        assert_eq!(ada.say(&room, "hello").ok(201).await["seq"], number);
    }
    let (other, limit) = (Api::new(&api.base), Duration::from_secs(60));
    let waiting = tokio::spawn(async move { other.page("/health/ready").ok(200).await });
    drop(crowd);
    tokio::time::timeout(limit, waiting).await.expect("an answer once the crowd has gone").unwrap();
    assert!(child.try_wait().unwrap().is_none(), "the server ended");
    let read = |name: &str| std::fs::read_to_string(folder.folder().join(name)).unwrap();
    let log = read("log") + &read("errors");
    assert!(!log.contains("can't be accepted") && !log.contains("\"level\":50"), "{log}");
}
