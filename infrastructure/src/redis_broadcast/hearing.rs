//! What the receiver makes of what Redis sends, and how it makes good what it does not.

use super::{
    receiver::{Phase, Receiver},
    window::Heard,
    wire::{self, Channel, Control},
};
use redis::{PushInfo, PushKind, Value};
use verbatim_application::{
    error::causes,
    ports::{REPLAY_MAX, ReadError},
    push::Push,
};

impl Receiver {
    pub(super) async fn pushed(&mut self, PushInfo { kind, data }: PushInfo) {
        let mut texts = data.iter().map(|value| match value {
            Value::BulkString(text) => text.as_slice(),
            _ => &[],
        });
        let (channel, text) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        let channel = self.names.parse(channel);
        match (kind, channel) {
            (PushKind::Message | PushKind::SMessage, Some(Channel::Of(_))) => self.changes(text).await,
            (PushKind::Message | PushKind::SMessage, Some(Channel::Control(partition))) => {
                self.control(partition, text).await;
            }
            (PushKind::Subscribe | PushKind::SSubscribe, channel) => self.confirmed(channel, false).await,
            (PushKind::Unsubscribe | PushKind::SUnsubscribe, channel) => self.confirmed(channel, true).await,
            (PushKind::Disconnection, _) => self.lost("the connection has ended"),
            _ => {}
        }
    }

    async fn changes(&mut self, text: &[u8]) {
        let pushes = match wire::decode(text) {
            Ok(pushes) => pushes,
            Err(error) => return self.unreadable(&error).await,
        };
        self.observer.received(pushes.len());
        let (ephemeral, pushes): (Vec<_>, Vec<_>) =
            pushes.into_iter().partition(|(_, push)| push.position == 0);
        for (_, push) in ephemeral {
            self.fan_out.ephemeral(push);
        }
        // Otherwise a replay brings them.
        if self.phase == Phase::Live {
            let position = self.table.position().unwrap_or_default();
            if !self.window.put(position, pushes, text.len()) {
                self.window.clear();
                self.hole().await;
            }
        }
    }

    async fn control(&mut self, partition: u16, text: &[u8]) {
        if self.phase != Phase::Live {
            return;
        }
        let control: Control = match serde_json::from_slice(text) {
            Ok(control) => control,
            Err(error) => return self.unreadable(&error).await,
        };
        match self.window.hear(partition, control) {
            Heard::Old => {}
            Heard::Hole => self.hole().await,
            Heard::Next => {
                self.trusted = true;
                let settled = self.window.settled();
                if self.table.position().is_some_and(|position| settled > position) {
                    let pushes = self.window.take(settled);
                    self.hand_on(settled, pushes);
                }
            }
        }
    }

    /// Of another version, perhaps: nodes are upgraded one by one.
    async fn unreadable(&mut self, error: &serde_json::Error) {
        tracing::warn!(%error, "what came over Redis can't be read; it is read from the read models instead");
        if self.phase == Phase::Live {
            self.hole().await;
        }
    }

    async fn hole(&mut self) {
        self.observer.hole();
        self.catch_up().await;
    }

    /// Whether the read models have gone on without this node's hearing of it: who publishes may be cut off from Redis, or
    /// the last of what was published was lost and nothing came after it.
    pub(super) async fn looked(&mut self, applied: Result<u64, ReadError>) {
        let Some(applied) = self.seen(applied) else { return };
        let last = std::mem::replace(&mut self.last_look, applied);
        if self.phase == Phase::Live && self.table.position().is_some_and(|position| position < last) {
            self.trusted = false;
            self.hole().await;
        }
    }

    /// Replays everything that the read models have and that was not handed on.
    pub(super) async fn catch_up(&mut self) {
        self.forgive();
        // From here on, whatever was sent before is in the read models.
        let replayed = self.replay().await;
        let whole = self.seen(replayed).unwrap_or(false);
        let joining = self.phase == Phase::Joining;
        match self.phase {
            Phase::Behind if whole => self.phase = Phase::Live,
            Phase::Live if !whole => self.phase = Phase::Behind,
            _ => {}
        }
        if joining && whole {
            // It may have waited for the beginning.
            self.table.changed.notify_one();
        }
        if let Some(position) = self.table.position() {
            self.window.skip_to(position);
        }
    }

    /// Whether everything that was sent before this has been handed on then.
    async fn replay(&mut self) -> Result<bool, ReadError> {
        let memory = self.fan_out.memory().clone();
        let applied = memory.applied().await?;
        let Some(position) = self.table.position() else {
            self.table.skip_to(applied);
            self.fan_out.hand_on(applied, applied, Vec::new());
            return Ok(true);
        };
        if applied < position {
            // An older version was made the live one, and is not as far yet.
            return Ok(false);
        }
        if applied > position && self.table.skip_if_idle(applied) {
            self.fan_out.hand_on(position, applied, Vec::new());
            return Ok(true);
        }
        if applied - position > REPLAY_MAX {
            tracing::warn!(position, upto = applied, "too much was missed to be told again");
            self.table.skip_to(applied);
            self.fan_out.missed(applied);
            self.observer.missed();
            return Ok(true);
        }
        let mut next = position;
        while next < applied {
            let replayed = memory.after(next).await?;
            if replayed.upto <= next {
                return Ok(false);
            }
            self.observer.replayed(replayed.pushes.len());
            next = replayed.upto;
            self.hand_on(next, replayed.pushes);
        }
        Ok(true)
    }

    fn hand_on(&self, upto: u64, pushes: Vec<Push>) {
        let (after, pushes) = self.table.advance(upto, pushes);
        self.fan_out.hand_on(after, upto, pushes);
    }

    /// Tells once when the read models can't be read, and once when they can again.
    fn seen<T>(&mut self, read: Result<T, ReadError>) -> Option<T> {
        let (blind, read) = match read {
            Ok(read) => (false, Some(read)),
            Err(error) => {
                if !self.blind && self.fan_out.memory().is_there() {
                    let error = causes(&error);
                    tracing::error!(error, "changes that Redis did not bring can't be read; trying again");
                }
                (self.fan_out.memory().is_there(), None)
            }
        };
        if self.blind && !blind {
            tracing::info!("changes that Redis did not bring can be read again");
        }
        self.blind = blind;
        read
    }
}
