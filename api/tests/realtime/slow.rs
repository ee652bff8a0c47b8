//! Slow clients: they lose their session, not their messages, and nobody else loses anything.

use crate::common::{App, Handshake, Heard, Member, Stomp, spawn_app};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use verbatim_api::stomp::Command;

/// Subscribers that never read.
const SLOW: usize = 200;
/// Subscribers that read at once.
const HEALTHY: usize = 20;
/// Bytes of a message: the outbox of a slow one overflows after some sixty.
const BODY: usize = 16 * 1024 - 64;
/// Messages by which latency is measured without slow ones.
const MEASURED: usize = 150;
/// Messages by which the slow ones must be gone.
const MESSAGES_MAX: usize = 1_500;
/// What the machine may add to a latency on a bad day.
const SLACK: Duration = Duration::from_millis(100);
/// Memory that may be added: the slow ones' queues share their text, so it is far from what they are owed, which is
/// 1 MiB each.
const MEMORY_MAX: u64 = 100 * 1024 * 1024;

/// How often sessions were closed for this reason.
async fn closed(app: &App, kind: &str, reason: &str) -> usize {
    let metrics = app.server.call(app.server.request(Method::GET, "/metrics")).await;
    let line = metrics.text.lines().find(|line| {
        line.contains("sessions_closed")
            && line.contains(&format!("kind=\"{kind}\""))
            && line.contains(&format!("reason=\"{reason}\""))
    });
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Says something; gives how long it took until each healthy one had heard it.
async fn latencies(speaker: &mut Stomp, healthy: &mut [Stomp], room: &str, text: &str) -> Vec<Duration> {
    let begin = Instant::now();
    let destination = format!("/publish/{room}");
    let body = json!({ "body": text }).to_string();
    let headers = [("destination", &*destination)];
    let send = speaker.confirmed(Command::Send, &headers, &body);
    let hear = join_all(healthy.iter_mut().map(|ears| async {
        ears.message("message").await;
        begin.elapsed()
    }));
    tokio::join!(send, hear).1
}

/// 99th percentile.
fn p99(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() * 99 / 100]
}

async fn slow_one(member: &Member, room: &str, after_seq: Option<u64>) -> Stomp {
    let handshake = Handshake { receive_buffer: Some(4_096), ..Handshake::default() };
    let mut stomp = Stomp::open(&member.server, &handshake).await;
    stomp.connect("1.2", &member.token).await;
    stomp.subscribe("s", room, after_seq).await;
    stomp
}

/// Reads on, as a client does that wakes up; gives the last message it got and whether it was told why it was cut off.
async fn wakes_up(stomp: &mut Stomp, after: u64) -> (u64, bool) {
    let (mut seen, mut told) = (after, false);
    loop {
        match stomp.next().await {
            Heard::Frame(frame) if frame.header("type") == Some("message") => {
                seen += 1;
                assert_eq!(frame.header("seq"), Some(&*seen.to_string()), "what it gets has no gap");
            }
            Heard::Frame(frame) if frame.command == Command::Error => {
                assert_eq!(crate::common::code(&frame), "slow_client");
                told = true;
            }
            // 1013, try again later, unless the server waited too long for it to be taken.
            Heard::Closed(reason) => {
                assert!(reason.is_none_or(|(code, _)| code == 1013));
                return (seen, told);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn slow_subscribers_cost_the_others_nothing_soak() {
    let app = spawn_app().await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room_with(&[&ben]).await;
    let mut speaker = ada.stomp().await;
    let text = "x".repeat(BODY);
    let mut healthy = Vec::new();
    for _ in 0..HEALTHY {
        let mut ears = ben.stomp().await;
        ears.subscribe("s", &room, None).await;
        healthy.push(ears);
    }
    let mut alone = Vec::new();
    for _ in 0..MEASURED {
        alone.extend(latencies(&mut speaker, &mut healthy, &room, &text).await);
    }
    let (alone, memory) = (p99(alone), app.rss());

    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(slow_one(&ben, &room, None).await);
    }
    let (mut beside, mut most, mut sent) = (Vec::new(), 0, MEASURED as u64);
    while closed(&app, "stomp", "slow_client").await < SLOW {
        beside.extend(latencies(&mut speaker, &mut healthy, &room, &text).await);
        most = most.max(app.rss());
        sent += 1;
        assert!((sent as usize) < MESSAGES_MAX, "{} closed", closed(&app, "stomp", "slow_client").await);
    }
    let beside = p99(beside);
    eprintln!(
        "p99 alone {alone:?}, beside {SLOW} slow ones {beside:?}; memory {} MiB, at most {} MiB; {sent} messages",
        memory >> 20,
        most >> 20
    );
    assert!(beside <= 2 * alone + SLACK, "p99 alone {alone:?}, beside slow ones {beside:?}");
    assert!(most <= memory + MEMORY_MAX, "memory grew from {memory} to {most} bytes");

    // They wake up, some of them, and go on where they were.
    let mut told = 0;
    for stomp in slow.iter_mut().take(20) {
        let (seen, reason) = wakes_up(stomp, MEASURED as u64).await;
        told += usize::from(reason);
        let mut again = ben.stomp().await;
        again.subscribe("s", &room, Some(seen)).await;
        for expected in seen + 1..=sent {
            let frame = again.wait_for(|frame| frame.header("type") == Some("message")).await;
            assert_eq!(frame.header("seq"), Some(&*expected.to_string()));
        }
    }
    eprintln!("{told} of 20 were told why");
}

/// One that is slow, and reads again before the server gives up on it, is told why and what to do.
#[tokio::test]
async fn a_slow_client_is_told_why_it_is_closed() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    // It has history to read first, and does not read that either.
    ada.count(&room, 1, 5).await;
    let mut slow = slow_one(&ada, &room, Some(0)).await;
    let mut speaker = ada.stomp().await;
    let text = "x".repeat(BODY);
    let mut sent = 5;
    // The end is counted once the session is over, so it is not the thing to wait for: it may be told until then.
    while sent < 400 {
        speaker.say(&room, &text).await;
        sent += 1;
    }
    let (seen, told) = wakes_up(&mut slow, 0).await;
    assert!(told, "it got {seen} of {sent} messages and no reason");
    let mut again = ada.stomp().await;
    again.subscribe("s", &room, Some(seen)).await;
    for expected in seen + 1..=sent {
        assert_eq!(again.message("message").await["seq"], expected);
    }
}

/// A stream that nobody reads is closed as well, and resumes.
#[tokio::test]
async fn a_slow_stream_is_told_why_it_is_closed() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let mut slow = ada.room_events(&room, "after=0").await;
    let mut speaker = ada.stomp().await;
    let text = "x".repeat(BODY);
    let mut sent = 0;
    // Beside its queue, the buffers of its socket must be full.
    while sent < 900 {
        speaker.say(&room, &text).await;
        sent += 1;
    }
    let mut seen = 0;
    loop {
        let event = slow.next().await.expect("a close event before the end");
        match event.kind.as_str() {
            "message" => {
                seen += 1;
                assert_eq!(event.id, Some(seen.to_string()));
            }
            "close" => {
                assert_eq!(event.json()["code"], "slow_client");
                break;
            }
            _ => {}
        }
    }
    assert_eq!(slow.next().await, None);
    assert!(seen < sent);
    let mut again = ada.room_events(&room, &format!("after={seen}")).await;
    for expected in seen + 1..=sent {
        assert_eq!(again.expect("message").await.id, Some(expected.to_string()));
    }
}

/// Who asks and asks, and takes no answer, is not read any more: memory stays where it is.
#[tokio::test]
async fn answers_that_nobody_takes_do_not_pile_up() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let handshake = Handshake { receive_buffer: Some(4_096), ..Handshake::default() };
    let mut stomp = Stomp::open(&app.server, &handshake).await;
    stomp.connect("1.2", &ada.token).await;
    let before = app.rss();
    // A receipt each, of the longest kind.
    let receipt = "r".repeat(7_000);
    let pair =
        format!("BEGIN\ntransaction:t\nreceipt:{receipt}\n\n\0ABORT\ntransaction:t\nreceipt:{receipt}\n\n\0");
    let mut gave_up = false;
    for _ in 0..8_000 {
        // It can't send all of it: the server does not take more than it can answer.
        gave_up = tokio::time::timeout(Duration::from_secs(5), stomp.send_text(&pair)).await.is_err();
        if gave_up {
            break;
        }
    }
    let after = app.rss();
    assert!(after < before + 48 * 1024 * 1024, "memory grew from {before} to {after} bytes");
    assert!(gave_up, "112 MB of questions were taken without an answer being read");
    // Nobody else minds.
    ada.stomp().await.subscribe_unread().await;
}
