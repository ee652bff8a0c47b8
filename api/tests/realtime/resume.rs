//! Coming back: `after-seq`, `Last-Event-ID`, `?after=`. No gap and no duplicate, whatever is said meanwhile.

use crate::common::{Handshake, Heard, Member, SseStream, Stomp, frame, spawn_app, within};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;
use verbatim_api::stomp::{Command, Frame};

/// The number of a new message; `None` for anything else.
fn seq(frame: &Frame) -> Option<u64> {
    let new = frame.command == Command::Message && frame.header("type") == Some("message");
    new.then(|| frame.header("seq").unwrap().parse().unwrap())
}

/// Reads new messages until `last`, which must come one after the other from `after` on.
async fn reads_on(stomp: &mut Stomp, after: u64, last: u64) {
    for expected in after + 1..=last {
        let frame = stomp.wait_for(|frame| seq(frame).is_some()).await;
        assert_eq!(seq(&frame), Some(expected));
    }
}

/// Sends `count` messages as fast as receipts come, a few at a time.
async fn sends(member: &Member, room: &str, count: usize) {
    let mut stomp = member.stomp().await;
    let destination = format!("/publish/{room}");
    for n in 0..count {
        let headers = [("destination", &*destination), ("receipt", "r")];
        stomp.send(&frame(Command::Send, &headers, &format!(r#"{{"body":"message {n}"}}"#))).await;
        if n % 4 == 3 {
            for _ in 0..4 {
                assert_eq!(stomp.expect(Command::Receipt).await.header("receipt-id"), Some("r"));
            }
        }
    }
}

#[tokio::test]
async fn what_was_missed_comes_first_then_what_is_new() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    ada.count(&room, 1, 10).await;
    for after in [0, 1, 9, 10] {
        let mut stomp = ada.stomp().await;
        stomp.subscribe("s", &room, Some(after)).await;
        reads_on(&mut stomp, after, 10).await;
    }
    let mut new_only = ada.stomp().await;
    new_only.subscribe("s", &room, None).await;
    ada.count(&room, 11, 11).await;
    assert_eq!(new_only.message("message").await["seq"], 11);
    // Nobody has seen what has not been said: beyond the room's end is its end.
    let mut ahead = ada.stomp().await;
    ahead.subscribe("s", &room, Some(12)).await;
    let mut far_ahead = ada.stomp().await;
    far_ahead.subscribe("s", &room, Some(u64::MAX)).await;
    let mut stream_ahead = ada.room_events(&room, "after=9007199254740991").await;
    ada.count(&room, 12, 12).await;
    assert_eq!(ahead.message("message").await["seq"], 12);
    assert_eq!(far_ahead.message("message").await["seq"], 12);
    assert_eq!(stream_ahead.expect("message").await.json()["seq"], 12);
}

/// The receipt comes before the push: a client may subscribe after its own message before the hub has seen it.
#[tokio::test]
async fn what_one_has_a_receipt_for_is_not_pushed_again() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let (mut sender, mut listener) = (ada.stomp().await, ada.stomp().await);
    let destination = format!("/topic/{room}");
    for round in 1..=60_u64 {
        let receipt = sender.say(&room, "x").await;
        let seq = receipt.header("seq").unwrap();
        let headers = [("id", "s"), ("destination", &*destination), ("after-seq", seq)];
        listener.send(&frame(Command::Subscribe, &headers, "")).await;
        sender.say(&room, "y").await;
        assert_eq!(listener.message("message").await["seq"], 2 * round);
        listener.confirmed(Command::Unsubscribe, &[("id", "s")], "").await;
    }
}

/// Subscribers come and go while four members talk; each sees every message once and in order.
#[tokio::test]
async fn nothing_is_lost_or_doubled_between_history_and_live() {
    const MESSAGES: usize = 400;
    const LAST: u64 = 4 * MESSAGES as u64;
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let senders = join_all((0..4).map(|_| sends(&ada, &room, MESSAGES)));
    // Comes back after every few messages, always with the last one seen.
    let restless = |step: u64| {
        let (ada, room) = (&ada, &room);
        async move {
            let mut seen = 0;
            while seen < LAST {
                let mut stomp = ada.stomp().await;
                stomp.subscribe("s", room, Some(seen)).await;
                let until = LAST.min(seen + step);
                reads_on(&mut stomp, seen, until).await;
                seen = until;
            }
        }
    };
    // Subscribes again and again in one session, from the start or from anywhere.
    let curious = async {
        let mut stomp = ada.stomp().await;
        let mut from = 0;
        while from < LAST {
            stomp.subscribe("s", &room, Some(from)).await;
            reads_on(&mut stomp, from, LAST.min(from + 60)).await;
            stomp.confirmed(Command::Unsubscribe, &[("id", "s")], "").await;
            while stomp.heard_already().is_some() {}
            from += 60;
        }
    };
    let over_sse = async {
        let mut seen = 0;
        while seen < LAST {
            let mut stream = ada.room_events(&room, &format!("after={seen}")).await;
            for expected in seen + 1..=LAST.min(seen + 50) {
                let event = stream.expect("message").await;
                assert_eq!(event.id.as_deref(), Some(&*expected.to_string()));
                assert_eq!(event.json()["seq"], expected);
                seen = expected;
            }
        }
    };
    let patient = async {
        let mut stomp = ada.stomp().await;
        stomp.subscribe("s", &room, Some(0)).await;
        reads_on(&mut stomp, 0, LAST).await;
    };
    tokio::join!(senders, restless(7), restless(33), restless(211), curious, over_sse, patient);
    let history = ada.whole_history(&room).await;
    assert!(history.iter().map(|message| message["seq"].as_u64().unwrap()).eq(1..=LAST));
}

/// A long history is read page by page, also where the client acknowledges each message.
#[tokio::test]
async fn a_long_history_reaches_a_client_that_acknowledges() {
    const LAST: u64 = 5_000;
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let mut sender = ada.stomp().await;
    let destination = format!("/publish/{room}");
    for batch in 0..LAST / 250 {
        let mut octets = Vec::new();
        for n in 0..250 {
            let receipt = (n == 249).then_some(("receipt", "batch"));
            let headers: Vec<_> = [("destination", &*destination)].into_iter().chain(receipt).collect();
            octets.extend(sender.encode(&frame(Command::Send, &headers, r#"{"body":"x"}"#)));
        }
        sender.send_binary(&octets).await;
        assert_eq!(sender.receipt("batch").await.header("seq"), Some(&*((batch + 1) * 250).to_string()));
    }
    let mut stomp = ada.stomp().await;
    let topic = format!("/topic/{room}");
    let headers = [("id", "s"), ("destination", &*topic), ("ack", "client"), ("after-seq", "0")];
    stomp.confirmed(Command::Subscribe, &headers, "").await;
    for expected in 1..=LAST {
        let message = stomp.expect(Command::Message).await;
        assert_eq!(seq(&message), Some(expected));
        if expected == 200 {
            // The server holds still until it is told to go on, however long the client takes.
            for _ in 0..40 {
                stomp.confirmed(Command::Begin, &[("transaction", "t")], "").await;
                stomp.confirmed(Command::Abort, &[("transaction", "t")], "").await;
            }
        }
        if expected % 100 == 0 {
            let ack = message.header("ack").unwrap();
            stomp.send(&frame(Command::Ack, &[("id", ack)], "")).await;
        }
    }
}

#[tokio::test]
async fn a_stream_resumes_by_header_and_by_either_query() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    ada.count(&room, 1, 5).await;
    let path = format!("/rooms/{room}/events");
    let doors = [
        ada.request(Method::GET, &path).header("Last-Event-ID", "3"),
        ada.request(Method::GET, &path).query(&[("lastEventId", "3")]),
        ada.request(Method::GET, &path).query(&[("after", "3")]),
        // What the browser knows counts, not what the page was opened with.
        ada.request(Method::GET, &path).header("Last-Event-ID", "3").query(&[("after", "1")]),
        ada.request(Method::GET, &path).query(&[("lastEventId", "3"), ("after", "1")]),
    ];
    for door in doors {
        let mut stream = SseStream::open(door).await;
        for expected in 4..=5 {
            let event = stream.expect("message").await;
            assert_eq!(event.id, Some(expected.to_string()));
            let body: Value = event.json();
            assert_eq!((&body["seq"], &body["type"]), (&Value::from(expected), &Value::from("message")));
        }
    }
    let mut new_only = ada.room_events(&room, "").await;
    ada.count(&room, 6, 6).await;
    assert_eq!(new_only.expect("message").await.id.as_deref(), Some("6"));
    for bad in ["after=-1", "after=x", "lastEventId=1.5"] {
        ada.get(&format!("/rooms/{room}/events?{bad}")).await.problem(400, "invalid_request");
    }
}

/// A session that is cut in the middle of a frame, of a message or of nothing: the next one goes on.
#[tokio::test]
async fn a_session_that_breaks_off_goes_on_where_it_was() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let mut stomp = ada.stomp().await;
    stomp.subscribe("s", &room, None).await;
    ada.count(&room, 1, 3).await;
    reads_on(&mut stomp, 0, 2).await;
    stomp.send_text("SEND\ndestination:/publ").await;
    drop(stomp);
    ada.count(&room, 4, 6).await;
    let mut stomp = Stomp::open(&app.server, &Handshake::default()).await;
    stomp.connect("1.1", &ada.token).await;
    stomp.subscribe("t", &room, Some(2)).await;
    reads_on(&mut stomp, 2, 6).await;
    ada.count(&room, 7, 7).await;
    reads_on(&mut stomp, 6, 7).await;
    // Nothing comes twice: the next thing heard is the answer to this.
    let unread = frame(
        Command::Subscribe,
        &[("id", "u"), ("destination", "/user/queue/unread"), ("receipt", "r")],
        "",
    );
    stomp.send(&unread).await;
    let next = within("the receipt", stomp.next()).await;
    assert!(matches!(next, Heard::Frame(frame) if frame.command == Command::Receipt));
}
