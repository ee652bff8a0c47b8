//! `verbatim serve`: the whole service, from start to a graceful stop.

use crate::{
    config::{Config, Stores},
    http::{self, EventStreams, HttpOptions, HttpState},
    listen::Door,
    operations::{Dependencies, Operators},
    realtime::Hub,
    telemetry::Telemetry,
    wiring::{Failure, FolderLock, Node},
    ws::{Realtime, SESSIONS_MAX, WsEndpoint},
};
use async_trait::async_trait;
use poem::{Route, Server};
use std::{io::Write, process::ExitCode, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use verbatim_application::{AppError, ports::AccessClaims};
use verbatim_domain::RoomId;

/// How long requests and sessions under way may take once the service is told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(20);

#[async_trait]
impl EventStreams for Realtime {
    async fn own(&self, claims: AccessClaims) -> Result<poem::Response, AppError> {
        self.my_events((&claims).into()).await
    }

    async fn room(
        &self,
        claims: AccessClaims,
        room: RoomId,
        after: Option<u64>,
    ) -> Result<poem::Response, AppError> {
        self.room_events((&claims).into(), room, after).await
    }
}

/// Runs the service until SIGTERM or Ctrl-C.
///
/// # Errors
/// It could not start, or a part of it failed for good.
pub(crate) async fn serve(config: Config) -> Result<ExitCode, Failure> {
    let lock = match config.stores {
        Stores::Embedded { .. } => Some(FolderLock::take(&config.data)?),
        Stores::Cluster { .. } => None,
    };
    let mut node = Node::open(&config).await?;
    let door = Door::open(config.listen)
        .map_err(Failure::while_trying(format!("can't listen on {}", config.listen)))?;
    let address = door.address().unwrap_or(config.listen);

    let (sessions_stop, runner_stop) = (CancellationToken::new(), CancellationToken::new());
    let telemetry = Arc::new(Telemetry(node.metrics.clone()));
    let (history, unread) = (node.app.history.clone(), node.app.unread.clone());
    let hub = Hub::new(node.broadcast.clone(), history, unread, telemetry.clone());
    // Subscribed before the runner starts: nothing is published that nobody hears.
    let pushes = node.pushes();
    let dispatcher = tokio::spawn(hub.clone().dispatch_from(pushes, runner_stop.clone()));
    let runner = node.project(runner_stop.clone());

    let realtime = Realtime {
        app: node.app.clone(),
        hub,
        broadcast: node.broadcast.clone(),
        stop: sessions_stop.clone(),
        observer: telemetry.clone(),
        places: Arc::new(Semaphore::new(SESSIONS_MAX)),
    };
    let places = realtime.places.clone();
    let metrics = node.metrics.clone();
    let state = HttpState {
        app: node.app.clone(),
        events: Arc::new(realtime.clone()),
        projections: Arc::new(Operators::new(node.verbs(), node.metrics.clone())),
        readiness: Arc::new(Dependencies(std::mem::take(&mut node.dependencies))),
        metrics: Arc::new(move || metrics.text()),
        observer: telemetry,
    };
    let options = HttpOptions {
        trusted_proxies: config.trusted_proxies.clone(),
        allowed_origins: config.cors_origins.clone(),
        ..HttpOptions::default()
    };
    let endpoint = http::app(state, options, Route::new().at("/ws", WsEndpoint::new(realtime)));

    // Before anybody is told that it runs: who starts it may stop it at once.
    let stop = stop_signal();
    announce(address);
    let signal = {
        let sessions_stop = sessions_stop.clone();
        async move {
            stop.await;
            tracing::info!("stopping: what was accepted is finished, clients are told to come back");
            sessions_stop.cancel();
        }
    };
    Server::new_with_acceptor(door)
        .run_with_graceful_shutdown(endpoint, signal, Some(STOP_LIMIT))
        .await
        .map_err(Failure::while_trying("the server failed"))?;
    // WebSocket sessions are no requests any more: they hold their places until they are over.
    let all = u32::try_from(SESSIONS_MAX).unwrap_or(u32::MAX);
    if tokio::time::timeout(STOP_LIMIT, places.acquire_many(all)).await.is_err() {
        tracing::warn!("some sessions did not end in time");
    }
    runner_stop.cancel();
    for task in [runner, dispatcher] {
        if tokio::time::timeout(STOP_LIMIT, task).await.is_err() {
            tracing::warn!("the projections did not stop in time; they go on from their checkpoint");
        }
    }
    if tokio::time::timeout(STOP_LIMIT, node.close()).await.is_err() {
        tracing::warn!("some commands were not answered in time");
    }
    tracing::info!("stopped");
    drop(lock);
    Ok(ExitCode::SUCCESS)
}

/// The one line that says that the service answers now, and where.
fn announce(address: std::net::SocketAddr) {
    let line = format!(
        "Verbatim is ready: http://{address}/ (API docs http://{address}/docs, STOMP ws://{address}/ws)"
    );
    if verbatim_observability::logs_to_stdout() && tracing::enabled!(tracing::Level::INFO) {
        // Standard output holds JSON lines: this is one of them.
        tracing::info!(%address, "{line}");
        return;
    }
    let mut out = std::io::stdout();
    // Nobody may be reading; the service runs all the same.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    tracing::info!(%address, "ready");
}

/// Ends with the first SIGTERM or Ctrl-C after this call, not after the first poll.
#[cfg(unix)]
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let listening = [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok());
    async move {
        let each = listening.into_iter().flatten().map(|mut signal| {
            Box::pin(async move {
                // None: no more signals can be had; then nothing but a kill ends the service.
                if signal.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
            })
        });
        let each: Vec<_> = each.collect();
        if each.is_empty() {
            return std::future::pending().await;
        }
        futures_util::future::select_all(each).await;
    }
}

/// Ends with the first Ctrl-C.
#[cfg(not(unix))]
async fn stop_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
