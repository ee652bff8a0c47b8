//! The connection that subscribes.

use super::{
    inbox::{self, Event},
    servers::{Nodes, Servers, Sink},
};
use redis::{Pipeline, RedisResult, pipe};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// How often it is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Channels to subscribe to and to unsubscribe from, each with its partition.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) subscribe: Vec<(u16, String)>,
    pub(super) unsubscribe: Vec<(u16, String)>,
}

/// A connection, or the attempt to make one. It ends with this.
#[derive(Debug)]
pub(super) struct Link {
    requests: mpsc::Sender<Request>,
    _task: AbortOnDropHandle<()>,
}

impl Link {
    /// Connects. What becomes of it goes into the inbox, with the number of the attempt.
    pub(super) fn open(servers: Servers, inbox: inbox::Sender, attempt: u64) -> Self {
        // One request is out at a time.
        let (requests, receiver) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            if let Err(error) = keep(&servers, &inbox, attempt, receiver).await {
                inbox.send(attempt, Event::Lost(error.to_string()));
            }
        });
        Self { requests, _task: AbortOnDropHandle::new(task) }
    }

    /// Sends a request; `false` if the one before is not done.
    pub(super) fn request(&self, request: Request) -> bool {
        self.requests.try_send(request).is_ok()
    }
}

async fn keep(
    servers: &Servers,
    inbox: &inbox::Sender,
    attempt: u64,
    mut requests: mpsc::Receiver<Request>,
) -> RedisResult<()> {
    let sink: Sink = {
        let inbox = inbox.clone();
        Arc::new(move |push| inbox.send(attempt, Event::Push(push)))
    };
    let nodes = servers.connect(Some(&sink)).await?;
    inbox.send(attempt, Event::Connected(nodes.names.partitions));
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => nodes.run(commands(&nodes, &request)).await?,
                None => return Ok(()),
            },
            _ = ping.tick() => nodes.ping().await?,
        }
    }
}

fn commands(nodes: &Nodes, request: &Request) -> BTreeMap<u16, Pipeline> {
    let mut pipelines: BTreeMap<u16, Pipeline> = BTreeMap::new();
    let kinds = [(nodes.subscribe(), &request.subscribe), (nodes.unsubscribe(), &request.unsubscribe)];
    for (command, channels) in kinds {
        for (partition, channel) in channels {
            // One command for each: the client counts one answer to a command.
            pipelines.entry(*partition).or_insert_with(pipe).cmd(command).arg(channel).ignore();
        }
    }
    pipelines
}
