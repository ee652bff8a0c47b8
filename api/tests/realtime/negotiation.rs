//! Opening a session: subprotocol, version, who one is.

use crate::common::{App, Handshake, Heard, Stomp, code, frame, spawn_app};
use tokio_tungstenite::tungstenite::Error;
use verbatim_api::stomp::Command;

async fn open(app: &App, protocols: Option<&'static str>) -> Stomp {
    Stomp::open(&app.server, &Handshake { protocols, ..Handshake::default() }).await
}

#[tokio::test]
async fn the_highest_subprotocol_is_chosen_wherever_it_stands() {
    let app = spawn_app().await;
    for (offered, chosen) in [
        (Some("v10.stomp, v11.stomp, v12.stomp"), Some("v12.stomp")),
        (Some("v12.stomp,v11.stomp"), Some("v12.stomp")),
        (Some("v10.stomp, v11.stomp"), Some("v11.stomp")),
        (Some("mqtt, v10.stomp"), Some("v10.stomp")),
        (None, None),
    ] {
        assert_eq!(open(&app, offered).await.subprotocol.as_deref(), chosen, "{offered:?}");
    }
}

#[tokio::test]
async fn the_highest_common_version_is_agreed_on() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    for (accepted, agreed) in [
        ("1.0", "1.0"),
        ("1.0,1.1", "1.1"),
        ("1.1,1.0", "1.1"),
        ("1.0,1.1,1.2", "1.2"),
        ("1.2,2.0", "1.2"),
        (" 1.1 , 1.2 ", "1.2"),
    ] {
        let connected = open(&app, None).await.connect(accepted, &ada.token).await;
        assert_eq!(connected.header("version"), Some(agreed), "{accepted}");
        assert!(connected.header("session").is_some_and(|id| !id.is_empty()));
        assert!(connected.header("server").is_some_and(|name| name.starts_with("verbatim/")));
        assert_eq!(connected.header("heart-beat").is_some(), agreed != "1.0", "{accepted}");
    }
}

/// 1.2, Protocol Negotiation: a client that says nothing speaks 1.0.
#[tokio::test]
async fn a_client_that_names_no_version_speaks_1_0() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let mut stomp = open(&app, None).await;
    let connected = stomp.connect_with(&[("login", "ada"), ("passcode", &ada.token)]).await;
    assert_eq!(connected.header("version"), Some("1.0"));
}

/// 1.2, Protocol Negotiation: the ERROR lists what the server speaks.
#[tokio::test]
async fn without_a_common_version_the_answer_names_ours() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let mut stomp = open(&app, None).await;
    let headers = [("accept-version", "3.0"), ("host", "h"), ("passcode", &*ada.token)];
    stomp.send(&frame(Command::Connect, &headers, "")).await;
    let (error, close) = stomp.refused().await;
    assert_eq!(error.header("version"), Some("1.0,1.1,1.2"));
    assert_eq!(close, 1002);
}

#[tokio::test]
async fn a_token_is_taken_from_either_header_and_from_connect_or_stomp() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let bearer = format!("Bearer {}", ada.token);
    for command in [Command::Connect, Command::Stomp] {
        for header in [("Authorization", &*bearer), ("authorization", &*bearer), ("passcode", &*ada.token)] {
            let mut stomp = open(&app, Some("v12.stomp")).await;
            let headers = [("accept-version", "1.2"), ("host", "verbatim"), header];
            stomp.send(&frame(command, &headers, "")).await;
            stomp.connected().await;
            stomp.subscribe_unread().await;
        }
    }
}

#[tokio::test]
async fn a_ticket_in_the_url_opens_one_session_only() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let query = format!("ticket={}", ada.ticket().await);
    let handshake = Handshake { query, ..Handshake::default() };
    let mut stomp = Stomp::open(&app.server, &handshake).await;
    stomp.connect_with(&[("accept-version", "1.2"), ("host", "verbatim")]).await;
    assert_eq!(stomp.say(&room, "with a ticket").await.header("seq"), Some("1"));
    match Stomp::try_open(&app.server, &handshake).await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 401),
        other => panic!("a ticket is good for one use: {:?}", other.err()),
    }
}

#[tokio::test]
async fn an_access_token_is_no_ticket() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let handshake = Handshake { query: format!("ticket={}", ada.token), ..Handshake::default() };
    assert!(Stomp::try_open(&app.server, &handshake).await.is_err());
}

#[tokio::test]
async fn who_one_is_must_be_said_and_be_true() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let forged = format!("{}x", ada.token);
    for (header, reason) in [
        (("login", "ada"), "token_missing"),
        (("passcode", "let me in"), "invalid_token"),
        (("passcode", &*forged), "invalid_token"),
        (("Authorization", "Basic YWRhOng="), "token_missing"),
        (("Authorization", "Bearer nonsense"), "invalid_token"),
    ] {
        for version in ["1.0", "1.1", "1.2"] {
            let mut stomp = open(&app, None).await;
            let headers = [("accept-version", version), ("host", "h"), header];
            stomp.send(&frame(Command::Connect, &headers, "")).await;
            let (error, close) = stomp.refused().await;
            assert_eq!((code(&error).as_str(), close), (reason, 1008), "{version} {header:?}");
            assert_eq!(error.header("content-type"), Some("application/problem+json"));
            assert!(!String::from_utf8_lossy(&error.body).contains(&*ada.token));
        }
    }
}

#[tokio::test]
async fn nothing_works_before_connect_and_connect_works_once() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let (topic, publish) = (format!("/topic/{room}"), format!("/publish/{room}"));
    for first in [
        frame(Command::Subscribe, &[("id", "s"), ("destination", &topic)], ""),
        frame(Command::Send, &[("destination", &publish)], r#"{"body":"early"}"#),
        frame(Command::Begin, &[("transaction", "t")], ""),
        frame(Command::Disconnect, &[], ""),
    ] {
        let mut stomp = open(&app, None).await;
        stomp.send(&first).await;
        assert_eq!(stomp.refused().await.1, 1002, "{}", first.command);
    }
    let mut stomp = ada.stomp().await;
    stomp.send(&frame(Command::Connect, &[("accept-version", "1.2"), ("passcode", &ada.token)], "")).await;
    assert_eq!(stomp.refused().await.1, 1002);
    assert!(ada.whole_history(&room).await.is_empty());
}

/// A socket that says nothing does not hold its place for ever.
#[tokio::test]
async fn a_client_that_never_connects_is_let_go() {
    let app = spawn_app().await;
    let mut stomp = open(&app, None).await;
    assert!(matches!(stomp.next().await, Heard::Closed(Some((1008, _)))));
}
