//! The end of a round: one last message in each room, everything arrives, and the server is asked for all it has.

use super::world::{Known, Place, World};
use crate::Error;
use crate::http::{Message, SeqPage};
use crate::ids::RoomId;
use crate::oracle::check::pushed;
use crate::oracle::observed::{Inbox, Observed};
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::timeout;

/// Messages of one page.
const PAGE: u32 = 200;
/// Pages of one list; a paging that never ends must not keep a run from ending.
const MAX_PAGES: usize = 100_000;

/// Sends the last message of the round to each room, waits for its arrival everywhere, and collects.
///
/// # Errors
/// The server cannot be asked; that it says something wrong is not an error.
pub(super) async fn run(world: &World, round: u32) -> Result<Observed, Error> {
    // After a restart: whoever is not watching yet when the last message is sent is told nothing of it.
    let watching =
        world.journal.until(|_| world.accounts.iter().all(|account| account.watching.load(Relaxed)));
    timeout(world.config.arrival_limit, watching)
        .await
        .map_err(|_| Error::timeout("`connected` on every /me/events", world.config.arrival_limit))?;
    for place in &world.places {
        last_word(world, place, round).await?;
    }
    let all_delivered = world.journal.until(|records| {
        records.subscribers.iter().all(|subscriber| {
            let highest = world.places.iter().find(|place| place.id == subscriber.room);
            let highest = highest.map_or(0, |place| place.highest.load(Relaxed));
            subscriber.deliveries.last().is_some_and(|delivery| delivery.seq >= highest)
        })
    });
    // What has not come by then is reported by the check, message by message.
    timeout(world.config.arrival_limit, all_delivered).await.ok();
    let observed = collect(world).await?;
    let all_pushed = world.journal.until(|records| {
        observed.watched.iter().all(|key| {
            let expected = observed.inboxes.get(key).map(|inbox| pushed(*inbox));
            records.pushes.get(key).copied() == expected
        })
    });
    timeout(world.config.arrival_limit, all_pushed).await.ok();
    Ok(observed)
}

async fn last_word(world: &World, place: &Place, round: u32) -> Result<(), Error> {
    let Some(owner) = world.accounts.get(place.owner) else { return Ok(()) };
    let key = format!("k{}-{round}-last-{}", world.config.seed, place.id);
    let body = format!("{key} good night");
    let number = world.journal.begin(place.id, owner.id, key.clone(), body.clone());
    let token = owner.token();
    match world.until_known(|| world.api.send(&token, place.id, &key, &body)).await {
        Known::Done(message) => {
            world.journal.acknowledge(number, message.seq, message.message_id);
            world.saw(place, message.seq);
            Ok(())
        }
        Known::Refused(why) | Known::Unclear(why) => {
            Err(Error::Refused(format!("the round's last send: {why}")))
        }
    }
}

async fn collect(world: &World) -> Result<Observed, Error> {
    let mut observed = Observed::default();
    let position = world.api.position();
    for place in &world.places {
        let Some(owner) = world.accounts.get(place.owner) else { continue };
        let history = whole_history(world, &owner.token(), place.id, position).await?;
        newest_page_agrees(world, &owner.token(), place.id, &history).await?;
        observed.history.insert(place.id, history);
    }
    for (index, account) in world.accounts.iter().enumerate() {
        for place in &world.places {
            observed.members.push((account.id, place.id));
            // The sender of the last message may or may not be told what they know already.
            if index != place.owner {
                observed.watched.push((account.id, place.id));
            }
        }
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = world.api.my_rooms(&account.token(), cursor.as_ref(), position).await?;
            for row in page.items {
                let inbox = Inbox { unread: row.unread, read_seq: row.read_seq, last_seq: row.room.last_seq };
                observed.inboxes.insert((account.id, row.room.room_id), inbox);
            }
            cursor = page.next.filter(|next| !next.is_null());
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(observed)
}

async fn whole_history(
    world: &World,
    token: &str,
    room: RoomId,
    position: u64,
) -> Result<Vec<Message>, Error> {
    let mut all: Vec<Message> = Vec::new();
    for _ in 0..MAX_PAGES {
        let after = all.last().map_or(0, |message| message.seq);
        let page = world.api.history(token, room, SeqPage::After(after), PAGE, position).await?;
        if page.items.is_empty() {
            break;
        }
        all.extend(page.items);
        // A page that does not lead on would be asked for again for ever; the check reports the disorder.
        if all.last().is_none_or(|message| message.seq <= after) {
            break;
        }
    }
    Ok(all)
}

/// The newest page is the end of the whole, oldest first.
async fn newest_page_agrees(world: &World, token: &str, room: RoomId, all: &[Message]) -> Result<(), Error> {
    let newest = world.api.history(token, room, SeqPage::Newest, 50, 0).await?.items;
    if !all.ends_with(&newest) || newest.len() != all.len().min(50) {
        world.journal.incident(format!("the newest page of {room} is not the end of its history"));
    }
    Ok(())
}
