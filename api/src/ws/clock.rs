//! What a session does when time passes: heart-beats, and the limits of every wait.

use super::connection::{CONNECT_LIMIT, Connection, Phase, STALL_LIMIT};
use crate::stomp::encoder;
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

/// When nothing is due, the timer looks again after this.
const IDLE_LOOK: Duration = STALL_LIMIT;

impl Connection {
    pub(super) fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        if !self.reads() {
            // Its heart-beats may well have come: it is us who do not look.
            self.last_received = now;
        }
        let due = |since: Instant, after: Option<Duration>| after.is_some_and(|after| now >= since + after);
        match &mut self.phase {
            Phase::Closing { deadline } if now >= *deadline => {
                // The client does not close; dropping the socket does.
                self.phase = Phase::Over;
                return;
            }
            Phase::Draining { deadline, .. } if now >= *deadline => self.in_flight.clear(),
            Phase::Open if self.caller.is_none() && now >= self.opened + CONNECT_LIMIT => {
                return self.close(CloseCode::Policy, "no CONNECT in time", "no_connect");
            }
            Phase::Open if due(self.last_received, self.heart_beat.receive_timeout()) => {
                return self.close(CloseCode::Policy, "no heart-beat in time", "no_heart_beat");
            }
            Phase::Open if self.flushing.is_some_and(|since| now >= since + STALL_LIMIT) => {
                return self.overflowed();
            }
            Phase::Open if due(self.last_sent, self.heart_beat.send_after()) && self.flushing.is_none() => {
                self.out.push_back(Message::text(encoder::HEART_BEAT));
            }
            _ => {}
        }
        self.set_timer();
    }

    pub(super) fn set_timer(&mut self) {
        let now = Instant::now();
        let next = match &self.phase {
            Phase::Closing { deadline } | Phase::Draining { deadline, .. } => *deadline,
            Phase::Over => now,
            Phase::Open if self.caller.is_none() => self.opened + CONNECT_LIMIT,
            Phase::Open => [
                self.heart_beat.send_after().map(|after| self.last_sent + after),
                self.heart_beat.receive_timeout().map(|after| self.last_received + after),
                self.flushing.map(|since| since + STALL_LIMIT),
            ]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + IDLE_LOOK),
        };
        // A deadline that is past but not yet acted on (a flush is under way) is looked at again shortly.
        self.timer.as_mut().reset(next.max(now + Duration::from_millis(100)));
    }
}
