//! A running `verbatim` with members and rooms for `stompbench`.

use super::options::Options;
use super::runner::strings;
use crate::Error;
use crate::http::{Api, CallError, Room};
use crate::ids::RoomId;
use crate::process::{Launch, Server};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

const PASSWORD: &str = "correct horse battery staple";
/// No answer may take longer; a hundred joins may wait for one another.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The server is ready within this, also with a long log.
const START_LIMIT: Duration = Duration::from_secs(120);
/// It ends within this after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Requests in flight while rooms are filled.
const PARALLEL: usize = 16;
/// Attempts at a call that is put off (429, 503), a second apart: log-ins are limited per address.
const MAX_ATTEMPTS: usize = 90;
/// Last lines of the log, newest first, that a failed command is reported with.
const LOG_TAIL: usize = 10;
/// Pages of the list of rooms that are searched for one.
const MAX_PAGES: usize = 1000;

/// The server, its folder, and who may talk to it.
pub(super) struct Stand {
    pub(super) launch: Launch,
    pub(super) api: Api,
    server: Option<Server>,
    /// Processes that are measured besides.
    pub(super) pids: Vec<u32>,
    emails: Vec<String>,
    tokens: Vec<String>,
    renew_at: Instant,
    folder: TempDir,
}

/// A fresh folder under `--data-dir`, or wherever temporary folders go.
pub(super) fn fresh_folder(options: &Options) -> Result<TempDir, Error> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("verbatim-bench-");
    match &options.data_dir {
        Some(folder) => builder.tempdir_in(folder),
        None => builder.tempdir(),
    }
    .map_err(Error::io("temporary folder"))
}

impl Stand {
    /// A stand on a folder that may already hold data; nothing is started yet.
    pub(super) fn new(options: &Options, folder: TempDir) -> Result<Self, Error> {
        Self::of(Launch::new(&options.binary("verbatim")?, folder.path())?, folder)
    }

    /// A stand in front of what somebody else starts and stops.
    pub(super) fn of(launch: Launch, folder: TempDir) -> Result<Self, Error> {
        let api = Api::new(&launch.base(), CALL_LIMIT)?;
        let (emails, tokens, renew_at) = (Vec::new(), Vec::new(), Instant::now());
        Ok(Self { launch, api, server: None, pids: Vec::new(), emails, tokens, renew_at, folder })
    }

    /// Starts the server; answers how long it took to be ready.
    pub(super) async fn start(&mut self) -> Result<Duration, Error> {
        let mut server = self.launch.spawn()?;
        let took = server.ready(START_LIMIT).await?;
        self.server = Some(server);
        Ok(took)
    }

    /// Stops the server, if it runs.
    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        match self.server.take() {
            Some(server) => server.terminate(STOP_LIMIT).await.map(drop),
            None => Ok(()),
        }
    }

    /// Registers the members and logs them in.
    pub(super) async fn register(&mut self, members: usize) -> Result<(), Error> {
        for index in 0..members {
            let email = format!("bench-{index}@example.org");
            let name = format!("Bench {index}");
            patiently(|| self.api.register(&email, PASSWORD, &name)).await?;
            self.emails.push(email);
        }
        self.log_in().await
    }

    /// Gives every member a new token, which lasts for a run and survives a restart of the server.
    pub(super) async fn log_in(&mut self) -> Result<(), Error> {
        self.tokens.clear();
        let mut life = u64::MAX;
        for email in &self.emails {
            let login = patiently(|| self.api.login(email, PASSWORD)).await?;
            life = life.min(login.expires_in);
            self.tokens.push(login.access_token);
        }
        self.renew_at = Instant::now() + Duration::from_secs(life / 2);
        Ok(())
    }

    /// The first member's token.
    pub(super) async fn token(&mut self) -> Result<String, Error> {
        if Instant::now() >= self.renew_at {
            self.log_in().await?;
        }
        Ok(self.tokens.first().cloned().unwrap_or_default())
    }

    /// Opens rooms that every member is in.
    pub(super) async fn open_rooms(&mut self, count: usize) -> Result<Vec<RoomId>, Error> {
        let owner = self.token().await?;
        let mut rooms = Vec::with_capacity(count);
        for index in 0..count {
            let name = format!("Bench room {index}");
            rooms.push(patiently(|| self.api.create_room(&owner, &name)).await?.room_id);
        }
        self.join(&rooms).await?;
        Ok(rooms)
    }

    /// Lets every member join rooms; being in already is fine.
    pub(super) async fn join(&self, rooms: &[RoomId]) -> Result<(), Error> {
        let pairs = rooms.iter().flat_map(|room| self.tokens.iter().map(move |token| (*room, token)));
        stream::iter(pairs)
            .map(|(room, token)| patiently(move || self.api.join(token, room)))
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await
    }

    /// A group room by its name.
    pub(super) async fn find_room(&mut self, name: &str) -> Result<Room, Error> {
        let token = self.token().await?;
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = patiently(|| self.api.rooms(&token, cursor.as_ref())).await?;
            if let Some(room) = page.items.into_iter().find(|room| room.name.as_deref() == Some(name)) {
                return Ok(room);
            }
            cursor = page.next.filter(|next| !next.is_null());
            if cursor.is_none() {
                break;
            }
        }
        Err(Error::Setup(format!("GET /rooms does not list {name:?}")))
    }

    /// What `stompbench` needs to know.
    pub(super) fn args(&self, rooms: &[RoomId]) -> Result<Vec<String>, Error> {
        let tokens = self.write("tokens", &self.tokens)?;
        let ids = self.write("ids", &rooms.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let mut args =
            strings(&["--sub", "/topic/{d}", "--send", "/publish/{d}", "--body", r#"{"body":"{m}"}"#]);
        args.extend([
            "--url".to_owned(),
            self.launch.ws(),
            "--tokens".to_owned(),
            tokens,
            "--ids".to_owned(),
            ids,
        ]);
        let pids = self.server.as_ref().and_then(Server::pid).into_iter().chain(self.pids.iter().copied());
        let pids: Vec<String> = pids.map(|pid| pid.to_string()).collect();
        if !pids.is_empty() {
            args.push(format!("--pid={}", pids.join(",")));
        }
        Ok(args)
    }

    /// Runs a command of the binary; answers stdout and how long it took.
    pub(super) async fn cli(&self, args: &[&str], limit: Duration) -> Result<(String, Duration), Error> {
        let began = Instant::now();
        let (status, output) = self.launch.cli(args, limit).await?;
        if !status.success() {
            // The folder is gone when this is read.
            let log = std::fs::read_to_string(&self.launch.log).unwrap_or_default();
            let tail = log.lines().rev().take(LOG_TAIL).map(|line| format!("\n  {line}")).collect::<String>();
            return Err(Error::Setup(format!("verbatim {}: {status}: {output}{tail}", args.join(" "))));
        }
        Ok((output, began.elapsed()))
    }

    /// The folder around the data folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, lines: &[String]) -> Result<String, Error> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, lines.join("\n")).map_err(Error::io(path.display().to_string()))?;
        Ok(path.display().to_string())
    }
}

/// Repeats a call that was put off; any other failure is final.
async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut last = None;
    for _ in 0..MAX_ATTEMPTS {
        match call().await {
            Err(error) if error.is_unknown() => last = Some(error),
            other => return Ok(other?),
        }
        sleep(Duration::from_secs(1)).await;
    }
    Err(last.map_or_else(|| Error::Setup("no attempt".into()), Error::from))
}
