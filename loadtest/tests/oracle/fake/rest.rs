//! REST and SSE.

use super::state::{Event, Sending, Shared, State, pushed};
use futures_util::stream::{self, Stream, StreamExt};
use poem::http::{Method, StatusCode};
use poem::web::sse::{Event as Sse, SSE};
use poem::{IntoResponse, Request, Response};
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::sync::broadcast::Receiver;
use uuid::Uuid;

type Answer = (StatusCode, Value);

pub(super) async fn door(mut request: Request) -> poem::Result<Response> {
    let shared = request.extensions().get::<Shared>().unwrap().clone();
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let (key, last_id) = (header("Idempotency-Key"), header("Last-Event-ID"));
    let me = Uuid::parse_str(header("Authorization").trim_start_matches("Bearer ")).unwrap_or_default();
    let query: HashMap<String, String> = request.params().unwrap_or_default();
    let path: Vec<String> = request.uri().path().split('/').skip(3).map(str::to_owned).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let method = request.method().clone();
    let body: Value = request.take_body().into_json().await.unwrap_or_default();
    if let ["me", "events"] = path[..] {
        let unread = shared.lock().unwrap().unread.subscribe();
        return Ok(SSE::new(own_events(unread, me)).into_response());
    }
    if let ["rooms", room, "events"] = path[..] {
        let after = last_id.parse().unwrap_or(0);
        return Ok(SSE::new(room_events(&shared, room.parse().unwrap(), after)).into_response());
    }
    let (status, value) = answer(&mut shared.lock().unwrap(), &method, &path, me, &key, &body, &query);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    Ok(Response::builder()
        .status(status)
        .content_type(kind)
        .header("Verbatim-Position", 1)
        .body(value.to_string()))
}

fn answer(
    state: &mut State,
    method: &Method,
    path: &[&str],
    me: Uuid,
    key: &str,
    body: &Value,
    query: &HashMap<String, String>,
) -> Answer {
    let ok = |value| (StatusCode::OK, value);
    let refused = |status: StatusCode| (status, json!({ "status": status.as_u16() }));
    let id = |text: &str| Uuid::parse_str(text).unwrap();
    match (method.as_str(), path) {
        ("POST", ["members"]) => {
            let member = state.new_id();
            state.record(Event::Registered { member, email: body["email"].as_str().unwrap().to_owned() });
            (StatusCode::CREATED, json!({ "member_id": member }))
        }
        ("POST", ["auth", "login"]) => {
            let member = state.emails[body["email"].as_str().unwrap()];
            ok(json!({ "access_token": member, "expires_in": 900 }))
        }
        ("POST", ["rooms"]) => {
            let room = state.new_id();
            state.record(Event::Opened { room, name: body["name"].as_str().unwrap().to_owned() });
            state.record(Event::Joined { room, member: me });
            (StatusCode::CREATED, json!({ "room_id": room, "last_seq": 0 }))
        }
        ("POST", ["rooms", room, "members"]) => {
            let member = body["member_id"].as_str().map_or(me, id);
            if !state.rooms[&id(room)].members.contains(&member) {
                state.record(Event::Joined { room: id(room), member });
            }
            ok(json!({}))
        }
        ("DELETE", ["rooms", room, "members", "me"]) => {
            if !state.rooms[&id(room)].members.contains(&me) {
                return refused(StatusCode::NOT_FOUND);
            }
            state.record(Event::Left { room: id(room), member: me });
            (StatusCode::NO_CONTENT, Value::Null)
        }
        ("POST", ["rooms", room, "messages"]) => {
            match state.send(id(room), me, key, body["body"].as_str().unwrap()) {
                Sending::Done(message) => (StatusCode::CREATED, json!(message)),
                Sending::Outsider => refused(StatusCode::FORBIDDEN),
                Sending::Clash => refused(StatusCode::CONFLICT),
            }
        }
        ("GET", ["rooms", room, "messages"]) => ok(history(state, id(room), query)),
        ("PATCH" | "DELETE", ["rooms", room, "messages", seq]) => {
            let body = body["body"].as_str().map(str::to_owned);
            state.record(Event::Changed { room: id(room), seq: seq.parse().unwrap(), body });
            ok(json!({}))
        }
        ("PUT", ["rooms", room, "read-cursor"]) => {
            state.record(Event::Read { room: id(room), member: me, seq: body["seq"].as_u64().unwrap() });
            ok(state.row(id(room), me))
        }
        ("GET", ["me", "rooms"]) => {
            let mine = state.rooms.iter().filter(|(_, room)| room.members.contains(&me));
            let items: Vec<Value> = mine
                .map(|(id, room)| {
                    let mut row = state.row(*id, me);
                    row["room"] = json!({ "room_id": id, "name": room.name, "last_seq": room.last() });
                    row
                })
                .collect();
            ok(json!({ "items": items, "next": null }))
        }
        // What is left is /health/ready, whose path has but two parts.
        ("GET", []) => ok(Value::Null),
        _ => refused(StatusCode::NOT_FOUND),
    }
}

fn history(state: &State, room: Uuid, query: &HashMap<String, String>) -> Value {
    let limit: usize = query["limit"].parse().unwrap();
    let all = &state.rooms[&room].messages;
    let from = match query.get("after") {
        Some(after) => after.parse::<usize>().unwrap().min(all.len()),
        None => all.len().saturating_sub(limit),
    };
    json!({ "items": all[from..].iter().take(limit).collect::<Vec<_>>(), "next": null })
}

fn own_events(unread: Receiver<(Uuid, Value)>, me: Uuid) -> impl Stream<Item = Sse> {
    let connected = stream::iter([Sse::message("{}").event_type("connected")]);
    let pushes = stream::unfold(unread, |mut unread| async { Some((unread.recv().await.ok()?, unread)) })
        .filter(move |(member, _)| std::future::ready(*member == me))
        .map(|(_, row)| Sse::message(row.to_string()).event_type("unread"));
    connected.chain(pushes)
}

fn room_events(shared: &Shared, room: Uuid, after: u64) -> impl Stream<Item = Sse> + use<> {
    let state = shared.lock().unwrap();
    let live = state.topics.subscribe();
    let old: Vec<Value> = state.rooms[&room]
        .messages
        .iter()
        .skip(after as usize)
        .map(|message| pushed("message", message))
        .collect();
    let live = stream::unfold(live, |mut live| async { Some((live.recv().await.ok()?, live)) })
        .filter_map(move |(of, value)| std::future::ready((of == room).then_some(value)));
    stream::iter(old).chain(live).map(|value| {
        let event = Sse::message(value.to_string()).event_type(value["type"].as_str().unwrap());
        event.id(value["seq"].to_string())
    })
}
