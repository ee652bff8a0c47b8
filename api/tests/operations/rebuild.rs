//! Rebuilding under traffic: reads never fail, and nothing is lost.

use crate::kit::{Api, Room, User, cli::succeed, start};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Says one thing after the other until told to stop; gives how many.
async fn write(user: User, room: Room, stop: Arc<AtomicBool>) -> u64 {
    let mut seq = 0;
    while !stop.load(Ordering::Relaxed) {
        seq += 1;
        let sent = user.say(&room, &format!("message {seq}")).ok(201).await;
        assert_eq!(sent["seq"], seq);
        // One's own write is seen at once, whichever version is read.
        let page = user.get(&room.at("/messages?limit=1")).seeing(&sent).ok(200).await;
        assert_eq!(page.items(), [sent.json]);
    }
    seq
}

/// Reads everything again and again: no read fails, and none goes back behind one before.
async fn read(user: User, room: Room, stop: Arc<AtomicBool>, reads: Arc<AtomicU64>) {
    let mut seen = 0;
    while !stop.load(Ordering::Relaxed) {
        let page = user.get(&room.at("/messages?limit=5")).ok(200).await;
        let last = page.items().last().map_or(0, |message| message["seq"].as_u64().unwrap());
        assert!(last >= seen, "history went back from {seen} to {last}");
        seen = last;
        for path in ["/me/rooms", "/rooms", "/members"] {
            let list = user.get(path).ok(200).await;
            assert!(!list.items().is_empty(), "{list}: a version that is not filled is shown");
        }
        let members = user.get(&room.at("/members")).ok(200).await;
        assert_eq!(members.items().len(), 2, "{members}");
        reads.fetch_add(5, Ordering::Relaxed);
    }
}

async fn traffic(
    api: &Api,
) -> (Arc<AtomicBool>, Arc<AtomicU64>, Vec<tokio::task::JoinHandle<u64>>, Vec<Room>, User) {
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let [ada, grace] = api.users().await;
    let (mut tasks, mut rooms) = (Vec::new(), Vec::new());
    for number in 0..2 {
        let room = ada.room_with(&format!("Room {number}"), &[&grace]).await;
        let first = grace.get("/me/rooms").seeing(&grace.join(&room).ok(200).await);
        first.ok(200).await;
        tasks.push(tokio::spawn(write(ada.clone(), room.clone(), stop.clone())));
        let reading = read(grace.clone(), room.clone(), stop.clone(), reads.clone());
        tasks.push(tokio::spawn(async move {
            reading.await;
            0
        }));
        rooms.push(room);
    }
    (stop, reads, tasks, rooms, ada)
}

#[tokio::test]
async fn reads_never_fail_while_everything_is_rebuilt() {
    let (app, api) = start().await;
    let (stop, reads, tasks, rooms, ada) = traffic(&api).await;
    let mut before = 0;
    for round in 0..4 {
        succeed(&app, &["projections", "rebuild", "--all"]).await;
        if round == 2 {
            succeed(&app, &["projections", "rollback", "message_history"]).await;
            succeed(&app, &["projections", "drop-old", "unread"]).await;
        }
        // A comparison as of one moment finds nothing, though the service goes on.
        succeed(&app, &["projections", "verify", "--all"]).await;
        let now = reads.load(Ordering::Relaxed);
        assert!(now > before, "nobody could read meanwhile");
        before = now;
    }
    stop.store(true, Ordering::Relaxed);
    let mut said = Vec::new();
    for task in tasks {
        said.push(task.await.unwrap());
    }
    said.retain(|count| *count > 0);
    assert_eq!(said.len(), rooms.len());
    for (room, count) in rooms.iter().zip(said) {
        let last = ada.say(room, "the last").ok(201).await;
        assert_eq!(last["seq"], count + 1);
        let mut after = 0;
        loop {
            let page =
                ada.get(&room.at(&format!("/messages?after={after}&limit=200"))).seeing(&last).ok(200).await;
            for message in page.items() {
                after += 1;
                assert_eq!(message["seq"], after);
                assert!(after > count || message["body"] == format!("message {after}"), "{message}");
            }
            if page["next"].is_null() {
                break;
            }
        }
        assert_eq!(after, count + 1, "messages are missing");
    }
    succeed(&app, &["projections", "verify", "--all"]).await;
}
