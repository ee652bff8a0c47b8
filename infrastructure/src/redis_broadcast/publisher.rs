//! Sending changes to Redis, in a task of its own: the projections never wait for it. What it can't send is left out; the
//! next stretch that is sent shows the nodes that they have missed something.

use super::{
    RedisObserver,
    backoff::Backoff,
    health::{Health, Part},
    servers::{Nodes, Servers},
    wire::{self, Control, Piece},
};
use redis::{Pipeline, RedisError, RedisResult, pipe};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    ports::Stretch,
    push::{Change, Push},
};

/// The longest Redis may take to take changes. Then it counts as lost.
const PUBLISH_LIMIT: Duration = Duration::from_millis(500);
/// How often it is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(1);
/// Most bytes that wait to be sent. What comes beyond is left out.
const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most stretches that are sent together.
const TOGETHER_MAX: usize = 64;
/// About what a change costs beside its text.
const PUSH_OVERHEAD: usize = 512;

#[derive(Debug)]
enum Out {
    Stretch(Stretch),
    Ephemeral(Push),
}

impl Out {
    fn pushes(&self) -> &[Push] {
        match self {
            Self::Stretch(stretch) => &stretch.pushes,
            Self::Ephemeral(push) => std::slice::from_ref(push),
        }
    }

    fn bytes(&self) -> usize {
        let each = self.pushes().iter().map(|push| match &push.change {
            Change::Sent(message) | Change::Edited(message) => message.body.len(),
            _ => 0,
        });
        PUSH_OVERHEAD * (1 + self.pushes().len()) + each.sum::<usize>()
    }
}

/// The way to the task.
pub(super) struct Publisher {
    queue: mpsc::UnboundedSender<Out>,
    level: Arc<Level>,
    observer: Arc<dyn RedisObserver>,
}

#[derive(Debug, Default)]
struct Level {
    bytes: AtomicUsize,
    /// Whether there is anybody to send to.
    up: AtomicBool,
}

/// The task.
pub(super) struct Sending {
    queue: mpsc::UnboundedReceiver<Out>,
    level: Arc<Level>,
    servers: Servers,
    health: Arc<Health>,
    observer: Arc<dyn RedisObserver>,
}

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer in {PUBLISH_LIMIT:?}")]
    Slow,
    #[error("a change can't be written as JSON")]
    Json(#[from] serde_json::Error),
}

pub(super) fn publisher(
    servers: Servers,
    health: Arc<Health>,
    observer: Arc<dyn RedisObserver>,
) -> (Publisher, Sending) {
    // Unbounded in count: the bound is in bytes, kept by `Level`, and each item has a least cost.
    let (sender, receiver) = mpsc::unbounded_channel();
    let level = Arc::new(Level::default());
    let publisher = Publisher { queue: sender, level: level.clone(), observer: observer.clone() };
    (publisher, Sending { queue: receiver, level, servers, health, observer })
}

impl Publisher {
    /// Sends a stretch as soon as may be, or leaves it out.
    pub(super) fn publish(&self, stretch: Stretch) {
        self.send(Out::Stretch(stretch));
    }

    /// Sends something that is not from the log, or leaves it out.
    pub(super) fn publish_ephemeral(&self, push: Push) {
        self.send(Out::Ephemeral(push));
    }

    fn send(&self, out: Out) {
        let (bytes, pushes) = (out.bytes(), out.pushes().len());
        // Relaxed: both are budgets or hints, they order nothing; the channel does.
        let fits = self.level.up.load(Ordering::Relaxed)
            && self.level.bytes.load(Ordering::Relaxed) + bytes <= QUEUE_BYTES_MAX;
        if fits {
            self.level.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        if !fits || self.queue.send(out).is_err() {
            self.observer.left_out(pushes);
        }
    }
}

impl Sending {
    /// Sends what comes, and connects as often as it must, until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let error = match stop.run_until_cancelled(self.servers.connect(None)).await {
                None => return,
                Some(Err(error)) => error.to_string(),
                Some(Ok(nodes)) => {
                    backoff = Backoff::default();
                    self.level.up.store(true, Ordering::Relaxed);
                    self.health.up(Part::Publisher);
                    let Err(error) = self.send_to(&nodes, &stop).await else { return };
                    self.level.up.store(false, Ordering::Relaxed);
                    self.leave_out();
                    error.to_string()
                }
            };
            self.health.down(Part::Publisher, &error);
            if stop.run_until_cancelled(tokio::time::sleep(backoff.next())).await.is_none() {
                return;
            }
        }
    }

    /// Forgets what waits: by the time there is a connection again, the nodes have it from elsewhere.
    fn leave_out(&mut self) {
        while let Ok(out) = self.queue.try_recv() {
            self.level.bytes.fetch_sub(out.bytes(), Ordering::Relaxed);
            self.observer.left_out(out.pushes().len());
        }
    }

    /// Until told to stop; then what waits is sent first.
    async fn send_to(&mut self, nodes: &Nodes, stop: &CancellationToken) -> Result<(), SendError> {
        let mut outs = Vec::new();
        let mut ping = tokio::time::interval(PING_EVERY);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                taken = self.queue.recv_many(&mut outs, TOGETHER_MAX) => {
                    if taken == 0 {
                        return Ok(());
                    }
                }
                _ = ping.tick() => in_time(nodes.ping()).await?,
                () = stop.cancelled() => return Ok(()),
            }
            let bytes = outs.iter().map(Out::bytes).sum();
            self.level.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.send(nodes, outs.drain(..)).await?;
        }
    }

    async fn send(&self, nodes: &Nodes, outs: impl Iterator<Item = Out>) -> Result<(), SendError> {
        let mut ephemeral = Vec::new();
        let mut stretches: Vec<Stretch> = Vec::new();
        for out in outs {
            match out {
                Out::Ephemeral(push) => ephemeral.push(push),
                Out::Stretch(mut stretch) => match stretches.last_mut() {
                    Some(last) if last.upto == stretch.after => {
                        last.upto = stretch.upto;
                        last.pushes.append(&mut stretch.pushes);
                    }
                    _ => stretches.push(stretch),
                },
            }
        }
        for stretch in &stretches {
            for piece in wire::encode(&nodes.names, stretch)? {
                let pushes = piece.pushes;
                in_time(nodes.run(whole(nodes, piece)?)).await?;
                self.observer.published(pushes);
            }
        }
        if !ephemeral.is_empty() {
            let piece = wire::encode_ephemeral(&nodes.names, &ephemeral)?;
            let each = piece.messages.into_iter();
            in_time(nodes.run(each.map(|(partition, messages)| (partition, send_all(nodes, messages)))))
                .await?;
        }
        Ok(())
    }
}

async fn in_time(answer: impl Future<Output = RedisResult<()>>) -> Result<(), SendError> {
    match timeout(PUBLISH_LIMIT, answer).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(SendError::Slow),
    }
}

fn send_all(nodes: &Nodes, messages: Vec<(String, Vec<u8>)>) -> Pipeline {
    let mut pipeline = pipe();
    for (channel, text) in messages {
        pipeline.cmd(nodes.publish()).arg(channel).arg(text).ignore();
    }
    pipeline
}

/// Each partition's messages, and that this was all, in one transaction: whoever subscribes at the same time comes
/// before all of it or after all of it.
fn whole(nodes: &Nodes, mut piece: Piece) -> Result<BTreeMap<u16, Pipeline>, serde_json::Error> {
    let Piece { control: Some(Control { after, upto }), messages, .. } = &mut piece else {
        return Ok(BTreeMap::new());
    };
    let control = serde_json::to_vec(&Control { after: *after, upto: *upto })?;
    let mut pipelines = BTreeMap::new();
    for partition in 0..nodes.names.partitions {
        let mut all = messages.remove(&partition).unwrap_or_default();
        all.push((nodes.names.control(partition), control.clone()));
        let mut pipeline = send_all(nodes, all);
        pipeline.atomic();
        pipelines.insert(partition, pipeline);
    }
    Ok(pipelines)
}
