//! A member's own event stream: unread counts as they are pushed.

use super::world::World;
use crate::ids::RoomId;
use crate::oracle::records::Push;
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A stream without even a heart-beat for this long is opened anew.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Unread {
    room_id: RoomId,
    unread: u64,
    last_seq: u64,
    read_seq: u64,
}

/// Watches until aborted.
pub(super) async fn run(world: Arc<World>, who: usize) {
    let Some(account) = world.accounts.get(who) else { return };
    loop {
        world.until_up().await;
        if let Ok(mut stream) = world.api.my_events(&account.token()).await {
            while let Ok(event) = stream.next(SILENCE).await {
                if event.name == "connected" {
                    account.watching.store(true, Relaxed);
                    world.journal.arrival();
                }
                if event.name != "unread" {
                    continue;
                }
                let Ok(Unread { room_id, unread, last_seq, read_seq }) = serde_json::from_str(&event.data)
                else {
                    world.journal.incident(format!("malformed unread event: {}", event.data));
                    continue;
                };
                // Deleted messages make it less, nothing makes it more.
                if read_seq > last_seq || unread > last_seq - read_seq {
                    world.journal.incident(format!("{} was pushed {}", account.id, event.data));
                }
                world.journal.push(account.id, room_id, Push { unread, last_seq, read_seq });
            }
            account.watching.store(false, Relaxed);
        }
        world.pause().await;
    }
}
