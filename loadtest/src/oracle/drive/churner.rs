//! A member who keeps leaving a room and coming back.

use super::world::{Known, World};
use crate::http::CallError;
use crate::oracle::records::{Read, ReadTo, Tick};
use rand::Rng;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Times out and back in, in one round.
const TURNS: u32 = 2;
/// Longest stay, in milliseconds.
const MAX_STAY_MS: u64 = 200;

/// One round of one room's restless member, who is in the room before and after.
pub(super) async fn run(world: Arc<World>, place: usize, round: u32) {
    let mut rng = world.rng(round, 2000 + place as u64);
    let Some(place) = world.places.get(place) else { return };
    let Some(account) = world.accounts.get(place.churner) else { return };
    let (member, room) = (account.id, place.id);
    for turn in 0..TURNS {
        sleep(Duration::from_millis(rng.random_range(0..=MAX_STAY_MS))).await;
        let token = account.token();
        if let Known::Refused(why) = world.until_known(|| world.api.leave(&token, room)).await {
            world.journal.incident(format!("{member} could not leave {room}: {why}"));
            continue;
        }
        let key = format!("k{}-{round}-out-{room}-{turn}", world.config.seed);
        let number = world.journal.begin(room, member, key.clone(), format!("{key} from outside"));
        world.until_up().await;
        match world.api.send(&token, room, &key, &format!("{key} from outside")).await {
            Ok(message) => {
                world.journal.acknowledge(number, message.seq, message.message_id);
                world.journal.incident(format!("{room} took #{} from someone who had left", message.seq));
            }
            Err(CallError::Refused { .. }) => world.journal.refuse(number),
            Err(_) => {}
        }
        let started = world.journal.tick();
        let (certain, finished) = match world.until_known(|| world.api.join(&token, room)).await {
            Known::Done(()) => (true, world.journal.tick()),
            Known::Unclear(_) => (false, Tick::MAX),
            Known::Refused(why) => {
                world.journal.incident(format!("{member} could not come back to {room}: {why}"));
                continue;
            }
        };
        world.journal.read(Read { member, room, to: ReadTo::End { started, finished }, certain });
    }
}
