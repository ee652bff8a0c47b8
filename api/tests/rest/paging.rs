//! Lists, page by page: complete, in order, without duplicates, whatever the size of a page.

use crate::kit::{Answer, Api, User, start};
use serde_json::{Value, json};

/// Reads a list in pages of every interesting size, and checks that all readings are the same.
async fn in_pages(user: &User, path: &str, after: &Answer, expected: usize) -> Vec<Value> {
    let whole = user.all(path, 200, after).await;
    assert_eq!(whole.len(), expected, "{path}");
    for limit in [1, 2, expected - 1, expected, expected + 1] {
        assert_eq!(user.all(path, limit, after).await, whole, "{path}, {limit} a page");
    }
    whole
}

fn ids(items: &[Value], field: &str) -> Vec<String> {
    let mut ids: Vec<String> = items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect();
    ids.sort();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "something is listed twice");
    ids
}

async fn register(api: &Api, number: usize, name: &str) -> Answer {
    let email = format!("n{number}@example.org");
    let body = json!({ "email": email, "password": "12345678", "display_name": name });
    api.post("/members", body).ok(201).await
}

#[tokio::test]
async fn the_directory_is_paged_also_among_namesakes() {
    let (_server, api) = start().await;
    let ada = api.user("Zoe").await;
    let mut known = vec![ada.id.clone()];
    let mut last = None;
    for number in 0..11 {
        // Many of one name, in another case too: the name alone does not say where a page begins.
        let name = ["Ada", "ada", "Ada", "Bob", "%"][number % 5];
        let account = register(&api, number, name).await;
        known.push(account.str("member_id").to_owned());
        last = Some(account);
    }
    known.sort();
    let last = last.unwrap();
    let all = in_pages(&ada, "/members", &last, 12).await;
    assert_eq!(ids(&all, "member_id"), known);
    let names: Vec<String> =
        all.iter().map(|item| item["display_name"].as_str().unwrap().to_lowercase()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let found = in_pages(&ada, "/members?query=aDa", &last, 7).await;
    assert!(found.iter().all(|item| item["display_name"].as_str().unwrap().eq_ignore_ascii_case("ada")));
}

#[tokio::test]
async fn rooms_to_discover_are_paged_newest_first() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let mut opened = Vec::new();
    for number in 0..7 {
        opened.push(ada.post("/rooms", json!({ "name": format!("Room {number}") })).ok(201).await);
    }
    let last = opened.last().unwrap().clone();
    let all = in_pages(&ada, "/rooms", &last, 7).await;
    opened.reverse();
    assert_eq!(all, opened.iter().map(|room| room.json.clone()).collect::<Vec<_>>());

    // What is opened while somebody turns the pages neither doubles nor hides what was there.
    let first = ada.get("/rooms?limit=3").seeing(&last).ok(200).await;
    let newer = ada.post("/rooms", json!({ "name": "Newer" })).ok(201).await;
    let next = first.str("next");
    let rest = ada.get(&format!("/rooms?limit=200&cursor={next}")).seeing(&newer).ok(200).await;
    assert_eq!([first.items(), rest.items()].concat(), all);
}

#[tokio::test]
async fn members_of_a_room_are_paged_longest_standing_first() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let mut expected = vec![ada.id.clone()];
    let mut last = None;
    for number in 0..7 {
        let account = register(&api, number, "Same name").await;
        let member = account["member_id"].clone();
        last = Some(ada.post(&room.at("/members"), json!({ "member_id": member })).ok(200).await);
        expected.push(member.as_str().unwrap().to_owned());
    }
    let all = in_pages(&ada, &room.at("/members"), &last.unwrap(), 8).await;
    let order: Vec<&str> = all.iter().map(|item| item["member_id"].as_str().unwrap()).collect();
    assert_eq!(order, expected);
}

#[tokio::test]
async fn ones_own_rooms_are_paged_latest_activity_first() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let mut rooms = Vec::new();
    for number in 0..6 {
        rooms.push(ada.room(&format!("Room {number}")).await);
    }
    ada.put(&format!("/direct-rooms/{}", grace.id), json!({})).ok(200).await;
    let last = ada.say(&rooms[2], "hello").ok(201).await;
    let all = in_pages(&ada, "/me/rooms", &last, 7).await;
    let names: Vec<&Value> = all.iter().map(|item| &item["room"]["name"]).collect();
    assert_eq!(
        names,
        ["Room 2", "null", "Room 5", "Room 4", "Room 3", "Room 1", "Room 0"]
            .map(|name| { if name == "null" { json!(null) } else { json!(name) } })
            .iter()
            .collect::<Vec<_>>()
    );
    assert_eq!(all[0]["last_message"], last.json);
    assert_eq!(ids(&all.iter().map(|item| item["room"].clone()).collect::<Vec<_>>(), "room_id").len(), 7);
}

#[tokio::test]
async fn a_cursor_that_a_list_did_not_give_out_is_refused() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let last = ada.room("Others").await;
    let joined = ada.join(&last).ok(200).await;
    let cursor = ada.get("/rooms?limit=1").seeing(&joined).ok(200).await.str("next").to_owned();
    let long = "x".repeat(513);
    for path in ["/members", "/rooms", "/me/rooms", &room.at("/members")] {
        for bad in ["x", "AAAA", "%F0%9F%98%80", "' OR 1=1", "-1", &long, &cursor, "", "a&cursor=b"] {
            if path == "/rooms" && bad == cursor {
                continue;
            }
            let refused = ada.get(&format!("{path}?cursor={bad}")).send().await;
            let code = refused["code"].as_str().unwrap_or_default().to_owned();
            assert!(["invalid_request", "invalid_field"].contains(&code.as_str()), "{refused}");
            assert_eq!(refused.problem(400, &code).wrong_fields(), ["cursor"], "{path} {bad}");
        }
        for bad in ["0", "201", "-1", "x", "", "1e1", "%2B5"] {
            let refused = ada.get(&format!("{path}?limit={bad}")).problem(400, "invalid_request").await;
            assert_eq!(refused.wrong_fields(), ["limit"], "{path} {bad}");
        }
    }
}
