//! Unread counts as they are pushed: the present ones first, then every change, and always what REST says.

use crate::common::{App, Member, SseStream, Stomp, spawn_app, within};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use verbatim_api::stomp::Command;

/// Room to `(unread, last_seq, read_seq)`.
type Counts = BTreeMap<String, (u64, u64, u64)>;

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no {field} in {value}"))
}

fn room_of(value: &Value) -> String {
    value["room_id"].as_str().unwrap().to_owned()
}

/// What a listener believes, from nothing but what it was told.
#[derive(Debug, Default)]
struct Belief(Counts);

impl Belief {
    fn take(&mut self, kind: &str, body: &Value) {
        let room = room_of(body);
        match kind {
            "unread" => {
                let count = (number(body, "unread"), number(body, "last_seq"), number(body, "read_seq"));
                self.0.insert(room, count);
            }
            "room_left" => {
                self.0.remove(&room);
            }
            "room_joined" => {}
            other => panic!("{other}: {body}"),
        }
    }
}

/// A member who listens at both doors.
struct Listener {
    member: Member,
    stomp: Stomp,
    by_stomp: Belief,
    events: SseStream,
    by_sse: Belief,
}

impl Listener {
    async fn new(member: &Member) -> Self {
        let mut stomp = member.stomp().await;
        stomp.subscribe_unread().await;
        let mut events = member.my_events().await;
        assert_eq!(events.expect("connected").await.json()["member_id"], *member.id);
        let member = member.clone();
        Self { member, stomp, by_stomp: Belief::default(), events, by_sse: Belief::default() }
    }

    /// What REST says.
    async fn truth(&self) -> Counts {
        let rooms = self.member.my_rooms().await;
        let count = |room: &Value| {
            (number(room, "unread"), number(&room["room"], "last_seq"), number(room, "read_seq"))
        };
        rooms.iter().map(|room| (room_of(&room["room"]), count(room))).collect()
    }

    /// Listens until a message of the room `fence` has arrived at both doors: by then, so has all before it. Then both
    /// must believe what REST says.
    async fn agrees(&mut self, speaker: &Member, fence: &str) -> Counts {
        let seq = speaker.say(fence, "so far").await["seq"].as_u64().unwrap();
        within("the fence over STOMP", async {
            loop {
                let frame = self.stomp.expect(Command::Message).await;
                assert_eq!(frame.header("destination"), Some("/user/queue/unread"));
                let body: Value = serde_json::from_slice(&frame.body).unwrap();
                let kind = frame.header("type").unwrap();
                self.by_stomp.take(kind, &body);
                if kind == "unread" && body["room_id"] == fence && number(&body, "last_seq") == seq {
                    break;
                }
            }
        })
        .await;
        within("the fence over SSE", async {
            loop {
                let event = self.events.next().await.expect("the stream goes on");
                let body = event.json();
                self.by_sse.take(&event.kind, &body);
                if event.kind == "unread" && body["room_id"] == fence && number(&body, "last_seq") == seq {
                    break;
                }
            }
        })
        .await;
        let truth = self.truth().await;
        assert_eq!(self.by_stomp.0, truth, "over STOMP");
        assert_eq!(self.by_sse.0, truth, "over SSE");
        truth
    }
}

async fn two(app: &App) -> (Member, Member) {
    (app.member("Ada").await, app.member("Ben").await)
}

#[tokio::test]
async fn the_present_counts_come_first() {
    let app = spawn_app().await;
    let (ada, ben) = two(&app).await;
    let (room, quiet) = (ada.room_with(&[&ben]).await, ada.room_with(&[&ben]).await);
    ada.count(&room, 1, 5).await;
    ben.read(&room, 2).await;
    ben.my_rooms().await;
    let mut stomp = ben.stomp().await;
    let headers = [("id", "u"), ("destination", "/user/queue/unread")];
    stomp.send(&crate::common::frame(Command::Subscribe, &headers, "")).await;
    let mut told = BTreeMap::new();
    for _ in 0..2 {
        let frame = stomp.expect(Command::Message).await;
        assert_eq!(frame.header("subscription"), Some("u"));
        assert_eq!(frame.header("type"), Some("unread"));
        let body: Value = serde_json::from_slice(&frame.body).unwrap();
        told.insert(room_of(&body), body);
    }
    assert_eq!(told[&room], json!({ "room_id": room, "unread": 3, "last_seq": 5, "read_seq": 2 }));
    assert_eq!(told[&quiet], json!({ "room_id": quiet, "unread": 0, "last_seq": 0, "read_seq": 0 }));
}

#[tokio::test]
async fn every_change_is_told_and_agrees_with_rest() {
    let app = spawn_app().await;
    let (ada, ben) = two(&app).await;
    let (room, fence) = (ada.room_with(&[&ben]).await, ada.room_with(&[&ben]).await);
    let mut ears = Listener::new(&ben).await;
    let mut says = ada.stomp().await;

    ada.count(&room, 1, 6).await;
    assert_eq!(ears.agrees(&ada, &fence).await[&room], (6, 6, 0));
    ben.read(&room, 4).await;
    assert_eq!(ears.agrees(&ada, &fence).await[&room], (2, 6, 4));
    // Never back.
    assert_eq!(ben.read(&room, 1).await["read_seq"], 4);
    assert_eq!(ears.agrees(&ada, &fence).await[&room], (2, 6, 4));
    // A deleted message is not to be read: one after the cursor counts, one before it does not.
    let path = |seq: u64| format!("/rooms/{room}/messages/{seq}");
    assert!(ada.delete(&path(5)).await.status < 300);
    assert!(ada.delete(&path(2)).await.status < 300);
    assert_eq!(ears.agrees(&ada, &fence).await[&room], (1, 6, 4));
    // An edit changes no count.
    assert!(ada.patch(&path(6), &json!({ "body": "edited" })).await.status < 300);
    assert_eq!(ears.agrees(&ada, &fence).await[&room], (1, 6, 4));
    // Sending reads up to one's own message.
    ben.say(&room, "mine").await;
    assert_eq!(ears.agrees(&ada, &fence).await[&room], (0, 7, 7));
    // Over STOMP as over REST; beyond the end is the end.
    says.say(&room, "8").await;
    says.say(&room, "9").await;
    let publish = format!("/publish/{room}/read");
    ears.stomp.confirmed(Command::Send, &[("destination", &publish)], r#"{"seq":8}"#).await;
    assert_eq!(ears.agrees(&ada, &fence).await[&room], (1, 9, 8));
    ears.stomp.confirmed(Command::Send, &[("destination", &publish)], r#"{"seq":1000000}"#).await;
    assert_eq!(ears.agrees(&ada, &fence).await[&room], (0, 9, 9));
    // Rooms come and go.
    let other = ada.room("another").await;
    ada.count(&other, 1, 3).await;
    ben.join(&other).await;
    ada.say(&other, "4").await;
    assert_eq!(ears.agrees(&ada, &fence).await[&other], (1, 4, 3), "joining starts at the room's end");
    ben.leave(&other).await;
    ada.say(&other, "5").await;
    assert!(!ears.agrees(&ada, &fence).await.contains_key(&other));
    ada.remove(&room, &ben).await;
    assert!(!ears.agrees(&ada, &fence).await.contains_key(&room));
    let direct = ben.put(&format!("/direct-rooms/{}", ada.id), &json!({})).await.ok(200);
    let direct = room_of(&direct);
    ada.say(&direct, "hello").await;
    assert_eq!(ears.agrees(&ada, &fence).await[&direct], (1, 1, 0));
}

#[tokio::test]
async fn coming_into_a_room_and_going_are_told_with_their_names() {
    let app = spawn_app().await;
    let (ada, ben) = two(&app).await;
    let room = ada.room("a room").await;
    let mut events = ben.my_events().await;
    events.expect("connected").await;
    ada.post(&format!("/rooms/{room}/members"), &json!({ "member_id": ben.id })).await.ok(200);
    let joined = events.expect("room_joined").await;
    assert_eq!(joined.json()["room_id"], *room);
    assert_eq!(joined.id, None, "there is no cursor in one's own stream");
    assert_eq!(events.expect("unread").await.json()["room_id"], *room);
    ada.remove(&room, &ben).await;
    assert_eq!(events.expect("room_left").await.json()["room_id"], *room);
}

/// Sessions of one member that open and close while counts change: each is told the truth in the end.
#[tokio::test]
async fn counts_are_right_however_the_sessions_come_and_go() {
    let app = spawn_app().await;
    let (ada, ben) = two(&app).await;
    let (room, fence) = (ada.room_with(&[&ben]).await, ada.room_with(&[&ben]).await);
    let talk = async {
        let mut says = ada.stomp().await;
        for n in 0..150_u64 {
            let seq = says.say(&room, "x").await.header("seq").unwrap().to_owned();
            if n % 3 == 0 {
                assert!(ada.delete(&format!("/rooms/{room}/messages/{seq}")).await.status < 300);
            }
            if n % 20 == 0 {
                ben.read(&room, n / 2).await;
            }
        }
    };
    let come_and_go = async {
        let mut kept = Vec::new();
        for n in 0..40 {
            let listener = Listener::new(&ben).await;
            if n % 10 == 0 {
                kept.push(listener);
            }
        }
        kept
    };
    let ((), kept) = tokio::join!(talk, come_and_go);
    for mut listener in kept {
        listener.agrees(&ada, &fence).await;
    }
    // From here on, one listener at a time: the counts are read anew for each.
    for _ in 0..5 {
        Listener::new(&ben).await.agrees(&ada, &fence).await;
    }
}
