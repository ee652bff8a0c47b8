//! A member who talks: sends over both doors, repeats on purpose, edits and deletes.

use super::journal::SendNumber;
use super::session::{Session, acknowledgement};
use super::world::{Known, Place, World};
use crate::http::CallError;
use crate::oracle::records::Change;
use crate::stomp::Frame;
use rand::Rng;
use rand::rngs::StdRng;
use std::sync::Arc;

/// Sends in flight at once on one connection, at most.
const MAX_BURST: u32 = 4;
/// Of a hundred bursts, so many go over STOMP; the rest over REST.
const STOMP_PERCENT: u32 = 60;
/// Of a hundred sends of unknown outcome, so many are never asked about again.
const ABANDON_PERCENT: u32 = 15;
/// Of a hundred bursts, so many are followed by a repetition of an acknowledged send.
const REPEAT_PERCENT: u32 = 12;
/// And by one with the same key and another body.
const CLASH_PERCENT: u32 = 4;
/// And by an edit or a deletion.
const CHANGE_PERCENT: u32 = 20;

/// What people write; parts that a careless codec or database would damage.
const TEXTS: [&str; 6] = [
    "hello",
    "a: b\\n c\\d \"quoted\" 'single' {json} %s --",
    "two\nlines",
    "Grüße, 你好, שלום, ☃ and 👩‍👩‍👧",
    "MESSAGE\nseq:1\n\nx",
    "\u{feff}odd\u{200b}spaces\u{a0}inside",
];

struct Sender {
    world: Arc<World>,
    who: usize,
    rng: StdRng,
    round: u32,
    session: Session,
    count: u32,
    /// Own messages that may still be changed: room index, number, key.
    own: Vec<(usize, u64, String)>,
}

/// One round of one member.
pub(super) async fn run(world: Arc<World>, who: usize, round: u32) {
    let rng = world.rng(round, who as u64);
    let sends = world.config.sends;
    let mut sender =
        Sender { world, who, rng, round, session: Session::default(), count: 0, own: Vec::new() };
    while sender.count < sends {
        let burst = sender.burst().await;
        sender.afterwards(&burst).await;
    }
}

impl Sender {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn any_place(&mut self) -> Option<usize> {
        let (who, places) = (self.who, &self.world.places);
        let mine: Vec<usize> = (0..places.len())
            .filter(|index| places.get(*index).is_some_and(|place| place.churner != who))
            .collect();
        mine.get(self.rng.random_range(0..mine.len().max(1))).copied()
    }

    /// Sends a few messages and finds out what became of them.
    async fn burst(&mut self) -> Vec<SendNumber> {
        let world = self.world.clone();
        let over_stomp = self.chance(STOMP_PERCENT);
        let mut numbers = Vec::new();
        for _ in 0..self.rng.random_range(1..=MAX_BURST) {
            let Some(index) = self.any_place() else { continue };
            let (Some(place), Some(account)) = (world.places.get(index), world.accounts.get(self.who)) else {
                continue;
            };
            self.count += 1;
            let key = format!("k{}-{}-{}-{}", world.config.seed, self.round, self.who, self.count);
            let text = TEXTS.get(self.rng.random_range(0..TEXTS.len())).copied().unwrap_or_default();
            let body = format!("{key} {text} in message {}", self.count);
            if over_stomp {
                numbers.push((index, world.journal.begin(place.id, account.id, key, body)));
            } else {
                // One after the other: the next one starts when this one is answered.
                let number = world.journal.begin(place.id, account.id, key, body);
                self.over_rest(index, number, false).await;
                numbers.push((index, number));
            }
        }
        if over_stomp {
            self.over_stomp(&numbers).await;
        }
        numbers.into_iter().map(|(_, number)| number).collect()
    }

    async fn over_stomp(&mut self, sends: &[(usize, SendNumber)]) {
        let world = self.world.clone();
        let Some(account) = world.accounts.get(self.who) else { return };
        world.until_up().await;
        let frames =
            sends.iter().filter_map(|(_, number)| Some(frame(&world.journal.send(*number)?))).collect();
        let answers = self.session.commands(&world, &account.token(), frames).await;
        let mut open = Vec::new();
        for ((index, number), answer) in sends.iter().zip(answers) {
            match answer.and_then(|receipt| acknowledgement(&receipt)) {
                Ok((seq, message_id)) => {
                    world.journal.acknowledge(*number, seq, message_id);
                    self.acknowledged(*index, *number, seq);
                }
                Err(CallError::Refused { detail, .. }) => self.refused(*number, &detail),
                Err(CallError::Malformed(why)) => world.journal.incident(why),
                Err(CallError::Unknown(_)) => open.push((*index, *number)),
            }
        }
        for (index, number) in open {
            if !self.chance(ABANDON_PERCENT) {
                world.pause().await;
                self.over_rest(index, number, true).await;
            }
        }
    }

    /// Sends over REST until the outcome is known. `again` says that an earlier attempt may have been done.
    async fn over_rest(&mut self, index: usize, number: SendNumber, again: bool) {
        let world = self.world.clone();
        let (Some(account), Some(send)) = (world.accounts.get(self.who), world.journal.send(number)) else {
            return;
        };
        let token = account.token();
        // Abandoned at the first unknown outcome, as a client that is closed; or repeated until the end.
        let abandon = self.chance(ABANDON_PERCENT);
        let call = || world.api.send(&token, send.room, &send.key, &send.body);
        let known = if abandon {
            world.until_up().await;
            match call().await {
                Ok(message) => Known::Done(message),
                Err(error @ CallError::Refused { .. }) => Known::Refused(error.to_string()),
                Err(error) => Known::Unclear(error.to_string()),
            }
        } else {
            world.until_known(call).await
        };
        match known {
            Known::Done(message) => {
                world.journal.acknowledge(number, message.seq, message.message_id);
                if message.body.as_deref() != Some(&send.body) && !again {
                    world
                        .journal
                        .incident(format!("{} was answered with another body: {message:?}", send.key));
                }
                self.acknowledged(index, number, message.seq);
            }
            Known::Refused(why) if !again => self.refused(number, &why),
            Known::Refused(_) | Known::Unclear(_) => {}
        }
    }

    fn acknowledged(&mut self, index: usize, number: SendNumber, seq: u64) {
        if let (Some(place), Some(send)) = (self.world.places.get(index), self.world.journal.send(number)) {
            self.world.saw(place, seq);
            self.own.push((index, seq, send.key));
        }
    }

    /// A member in good standing, an ordinary text: nothing of this may be refused.
    fn refused(&self, number: SendNumber, why: &str) {
        self.world.journal.refuse(number);
        self.world.journal.incident(format!("an ordinary send was refused: {why}"));
    }

    async fn afterwards(&mut self, burst: &[SendNumber]) {
        let world = self.world.clone();
        let mut acknowledged = burst.iter().filter_map(|number| {
            let send = world.journal.send(*number)?;
            (!send.acks.is_empty()).then_some((*number, send))
        });
        if let Some((number, send)) = acknowledged.next_back() {
            if self.chance(REPEAT_PERCENT) {
                self.repeat(number, &send).await;
            }
            if self.chance(CLASH_PERCENT) {
                self.clash(&send).await;
            }
        }
        if self.chance(CHANGE_PERCENT) && !self.own.is_empty() {
            let pick = self.rng.random_range(0..self.own.len());
            let (index, seq, key) = self.own.swap_remove(pick);
            if let Some(place) = world.places.get(index) {
                self.change(place, index, seq, key).await;
            }
        }
    }

    /// The same send again must be answered as the first time.
    async fn repeat(&mut self, number: SendNumber, send: &crate::oracle::records::Send) {
        let world = self.world.clone();
        let Some(account) = world.accounts.get(self.who) else { return };
        let token = account.token();
        if self.chance(50) {
            let answers = self.session.commands(&world, &token, vec![frame(send)]).await;
            if let Some(Ok((seq, id))) = answers.into_iter().next().map(|answer| acknowledgement(&answer?)) {
                world.journal.acknowledge(number, seq, id);
            }
            return;
        }
        if let Ok(message) = world.api.send(&token, send.room, &send.key, &send.body).await {
            world.journal.acknowledge(number, message.seq, message.message_id);
        }
    }

    /// The same key with another body must be a conflict.
    async fn clash(&self, send: &crate::oracle::records::Send) {
        let Some(account) = self.world.accounts.get(self.who) else { return };
        let body = format!("{} but different", send.key);
        match self.world.api.send(&account.token(), send.room, &send.key, &body).await {
            Err(CallError::Refused { status: 409, .. } | CallError::Unknown(_)) => {}
            other => {
                self.world.journal.incident(format!("{} with another body: not 409 but {other:?}", send.key));
            }
        }
    }

    async fn change(&mut self, place: &Place, index: usize, seq: u64, key: String) {
        let world = self.world.clone();
        let Some(account) = world.accounts.get(self.who) else { return };
        let (token, room) = (account.token(), place.id);
        let delete = self.chance(40);
        let body = (!delete).then(|| format!("{key} edited {}", self.rng.random_range(0..1000)));
        let known = match &body {
            Some(body) => world.until_known(|| world.api.edit(&token, room, seq, body)).await,
            None => world.until_known(|| world.api.delete(&token, room, seq)).await,
        };
        let certain = match known {
            Known::Done(()) => true,
            Known::Unclear(_) => false,
            Known::Refused(why) => {
                world.journal.incident(format!("changing one's own {room} #{seq} was refused: {why}"));
                return;
            }
        };
        // After an unclear outcome this message is left alone: a late first attempt must not undo a later change.
        if certain && !delete {
            self.own.push((index, seq, key));
        }
        world.journal.change(Change { room, seq, body, certain });
    }
}

/// The SEND frame of a send.
fn frame(send: &crate::oracle::records::Send) -> Frame {
    Frame::new("SEND")
        .with("destination", format!("/publish/{}", send.room))
        .with("content-type", "application/json")
        .with("idempotency-key", send.key.as_str())
        .with_body(serde_json::json!({ "body": send.body }).to_string())
}
