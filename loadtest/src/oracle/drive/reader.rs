//! A member who reads: moves the cursor forward, tries to move it back, and past the end.

use super::session::Session;
use super::world::{Known, World};
use crate::http::CallError;
use crate::oracle::records::{Read, ReadTo, Tick};
use crate::stomp::Frame;
use rand::Rng;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::sleep;

/// Marks of one member in one round.
const MARKS: u32 = 12;
/// Longest pause between two of them, in milliseconds; readers should still be at it when the server dies.
const MAX_PAUSE_MS: u64 = 80;
/// How far beyond the end a client marks that just says "all".
const BEYOND: u64 = 1_000_000;

/// One round of one member.
pub(super) async fn run(world: Arc<World>, who: usize, round: u32) {
    let mut rng = world.rng(round, 1000 + who as u64);
    let mut session = Session::default();
    let Some(account) = world.accounts.get(who) else { return };
    let (member, places) = (account.id, world.stable_places(who));
    for _ in 0..MARKS {
        sleep(Duration::from_millis(rng.random_range(0..=MAX_PAUSE_MS))).await;
        let Some(place) = places.get(rng.random_range(0..places.len().max(1))) else { return };
        let highest = place.highest.load(Relaxed);
        if highest == 0 {
            continue;
        }
        let to_end = rng.random_range(0..10) == 0;
        let seq = if to_end { highest + BEYOND } else { rng.random_range(1..=highest) };
        let (token, room, started) = (account.token(), place.id, world.journal.tick());
        world.until_up().await;
        let certain = if rng.random_bool(0.5) {
            let frame = Frame::new("SEND")
                .with("destination", format!("/publish/{room}/read"))
                .with("content-type", "application/json")
                .with_body(format!("{{\"seq\":{seq}}}"));
            match session.commands(&world, &token, vec![frame]).await.into_iter().next() {
                Some(Ok(_)) => true,
                Some(Err(CallError::Unknown(_))) | None => false,
                Some(Err(error)) => {
                    world.journal.incident(format!("reading {room} up to #{seq} over STOMP: {error}"));
                    continue;
                }
            }
        } else {
            match world.until_known(|| world.api.mark_read(&token, room, seq)).await {
                Known::Done(cursor) => {
                    if cursor.read_seq < seq && !to_end {
                        world.journal.incident(format!("marked {room} #{seq} as read, answered {cursor:?}"));
                    }
                    true
                }
                Known::Unclear(_) => false,
                Known::Refused(why) => {
                    world.journal.incident(format!("reading {room} up to #{seq}: {why}"));
                    continue;
                }
            }
        };
        let finished = if certain { world.journal.tick() } else { Tick::MAX };
        let to = if to_end { ReadTo::End { started, finished } } else { ReadTo::Seq(seq) };
        world.journal.read(Read { member, room, to, certain });
    }
}
