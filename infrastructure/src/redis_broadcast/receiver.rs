//! Taking changes from Redis, and from the read models whatever Redis did not bring.

use super::{
    RedisObserver,
    backoff::Backoff,
    health::{Health, Part},
    inbox::{self, Event, Inbox},
    link::{Link, Request},
    servers::Servers,
    table::Table,
    window::Window,
    wire::{Channel, Names},
};
use crate::broadcast::FanOut;
use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use verbatim_application::ports::ReadError;

/// How often the read models are looked at while Redis brings nothing, or not all.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// After so many of these times they are looked at even if Redis seems to bring everything.
const LOOK_EVERY: u32 = 4;
/// Most channels in one request.
pub(super) const TURN_MAX: usize = 512;

/// How it stands with Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is no connection.
    Away,
    /// There is one, and not everything is subscribed to yet.
    Joining,
    /// Everything is subscribed to, and what came before that is still to be replayed.
    Behind,
    /// Everything comes over Redis.
    Live,
}

pub(super) struct Receiver {
    pub(super) servers: Servers,
    pub(super) table: Arc<Table>,
    pub(super) fan_out: FanOut,
    pub(super) health: Arc<Health>,
    pub(super) observer: Arc<dyn RedisObserver>,
    pub(super) phase: Phase,
    pub(super) window: Window,
    pub(super) names: Names,
    inbox: Inbox,
    sender: inbox::Sender,
    link: Option<Link>,
    attempt: u64,
    backoff: Backoff,
    connect_at: Instant,
    /// Confirmations that are to come, and how many of them are of an end.
    pub(super) awaited: usize,
    pub(super) parting: usize,
    /// Whether who publishes is heard. If not, the read models are looked at more often.
    pub(super) trusted: bool,
    /// How far the read models were when they were looked at last.
    pub(super) last_look: u64,
    /// Whether they could not be read last time.
    pub(super) blind: bool,
}

impl Receiver {
    pub(super) fn new(
        servers: Servers,
        table: Arc<Table>,
        fan_out: FanOut,
        health: Arc<Health>,
        observer: Arc<dyn RedisObserver>,
    ) -> Self {
        let (sender, inbox) = inbox::inbox();
        Self {
            names: Names { database: servers.database(), partitions: 0 },
            servers,
            table,
            fan_out,
            health,
            observer,
            phase: Phase::Away,
            window: Window::default(),
            inbox,
            sender,
            link: None,
            attempt: 0,
            backoff: Backoff::default(),
            connect_at: Instant::now(),
            awaited: 0,
            parting: 0,
            trusted: true,
            last_look: 0,
            blind: false,
        }
    }

    /// Hands changes on until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut poll = interval(POLL_EVERY);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let table = self.table.clone();
        let mut polls = 0;
        // Beside the rest: read models that do not answer hold nothing up as long as Redis brings everything.
        let mut looking: Option<BoxFuture<'static, Result<u64, ReadError>>> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                item = self.inbox.next() => {
                    if let Some((_, event)) = item.filter(|(attempt, _)| *attempt == self.attempt) {
                        self.take(event).await;
                    }
                }
                () = table.changed.notified() => self.subscribe().await,
                () = sleep_until(self.connect_at), if self.link.is_none() => self.connect(),
                _ = poll.tick() => {
                    polls += 1;
                    if self.phase != Phase::Live || !self.trusted {
                        self.catch_up().await;
                    } else if polls % LOOK_EVERY == 0 {
                        let memory = self.fan_out.memory().clone();
                        looking.get_or_insert_with(|| Box::pin(async move { memory.applied().await }));
                    }
                }
                applied = async {
                    match &mut looking {
                        Some(looking) => looking.await,
                        None => std::future::pending().await,
                    }
                } => {
                    looking = None;
                    self.looked(applied).await;
                }
            }
            if self.phase == Phase::Live && self.inbox.dropped() {
                self.observer.hole();
                self.catch_up().await;
            }
        }
    }

    fn connect(&mut self) {
        self.attempt += 1;
        self.link = Some(Link::open(self.servers.clone(), self.sender.clone(), self.attempt));
    }

    pub(super) fn lost(&mut self, error: &str) {
        self.link = None;
        // What still comes from it is none of ours.
        self.attempt += 1;
        self.connect_at = Instant::now() + self.backoff.next();
        self.phase = Phase::Away;
        self.table.go_down();
        self.health.down(Part::Receiver, error);
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Connected(partitions) => self.join(partitions),
            Event::Lost(error) => self.lost(&error),
            Event::Push(push) => self.pushed(push).await,
        }
    }

    fn join(&mut self, partitions: u16) {
        self.names.partitions = partitions;
        self.window.reset(partitions, self.table.position().unwrap_or_default());
        self.phase = Phase::Joining;
        (self.awaited, self.parting) = (0, 0);
        let controls = (0..partitions).map(|partition| (partition, self.names.control(partition)));
        self.request(Request { subscribe: controls.collect(), unsubscribe: Vec::new() });
    }

    fn request(&mut self, request: Request) {
        self.awaited = request.subscribe.len() + request.unsubscribe.len();
        self.parting = request.unsubscribe.len();
        if self.link.as_ref().is_some_and(|link| !link.request(request)) {
            self.lost("the last request is not done, though it was confirmed");
        }
    }

    /// Asks for what is new and not for what nobody wants any more, once the last request is confirmed.
    pub(super) async fn subscribe(&mut self) {
        while self.phase != Phase::Away && self.awaited == 0 {
            let turn = self.table.next_turn(TURN_MAX);
            if !turn.is_empty() {
                let channel = |interest| (self.names.partition(interest), self.names.of(interest));
                let subscribe = turn.subscribe.into_iter().map(channel).collect();
                let unsubscribe = turn.unsubscribe.into_iter().map(channel).collect();
                return self.request(Request { subscribe, unsubscribe });
            }
            if self.phase != Phase::Joining {
                return;
            }
            if self.table.go_up() {
                self.joined().await;
            } else if self.table.position().is_none() {
                // As soon as it is known where to begin.
                return;
            }
        }
    }

    async fn joined(&mut self) {
        self.backoff = Backoff::default();
        self.trusted = true;
        self.phase = Phase::Behind;
        self.health.up(Part::Receiver);
        self.catch_up().await;
    }

    /// A subscription began or ended.
    pub(super) async fn confirmed(&mut self, channel: Option<Channel>, ended: bool) {
        if self.awaited == 0 || (ended && self.parting == 0) {
            // A cluster does so when it moves a slot to another server.
            return self.lost("Redis ended a subscription");
        }
        self.awaited -= 1;
        if ended {
            self.parting -= 1;
        } else if let Some(Channel::Of(interest)) = channel {
            self.table.confirmed(interest, self.window.covered(self.names.partition(interest)));
        }
        if self.awaited == 0 {
            self.subscribe().await;
        }
    }

    /// Forgets whether something was dropped, because all that was sent before this is going to be replayed.
    pub(super) fn forgive(&mut self) {
        self.inbox.dropped();
    }
}
