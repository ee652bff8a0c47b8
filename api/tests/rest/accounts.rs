//! Opening, looking at and changing accounts; the directory.

use crate::kit::start;
use serde_json::json;

#[tokio::test]
async fn an_account_is_opened_and_shown_to_its_owner() {
    let (_server, api) = start().await;
    let body = json!({ "email": " Ada@Example.org ", "password": "correct horse", "display_name": " Ada  Lovelace " });
    let opened = api.post("/members", body).ok(201).await;
    // Trimmed, but otherwise as typed.
    assert_eq!(opened["email"], "Ada@Example.org");
    assert_eq!(opened["display_name"], "Ada  Lovelace");
    assert_eq!(opened["role"], "member");
    assert!(opened.position() >= 1);
    assert!(!opened.text().contains("password"), "{opened}");

    // The case of the address does not matter at log-in either.
    let pair = api.log_in("ada@EXAMPLE.ORG", "correct horse").ok(200).await;
    assert_eq!(pair["token_type"], "Bearer");
    assert!(pair.number("expires_in") > 0);
    let mine = api.get("/members/me").bearer(pair.str("access_token")).ok(200).await;
    assert_eq!(mine.json, opened.json);
    api.get("/members/me").problem(401, "missing_token").await;
}

#[tokio::test]
async fn an_address_opens_one_account() {
    let (_server, api) = start().await;
    let open = |email: &str| {
        api.post("/members", json!({ "email": email, "password": "12345678", "display_name": "Ada" }))
    };
    open("ada@example.org").ok(201).await;
    for same in ["ada@example.org", "ADA@example.ORG", "  ada@example.org"] {
        open(same).problem(409, "email_taken").await;
    }
    open("ada+1@example.org").ok(201).await;
}

#[tokio::test]
async fn of_fifty_registrations_of_one_address_one_wins() {
    let (_server, api) = start().await;
    let attempts = (0..50).map(|number| {
        let (api, body) = (
            api.clone(),
            json!({
                "email": "ada@example.org", "password": "12345678", "display_name": format!("Ada {number}"),
            }),
        );
        tokio::spawn(async move {
            // Hashing is bounded: one that finds no place is told to come back, and does.
            loop {
                let answer = api.post("/members", body.clone()).send().await;
                match answer.status {
                    201 => return true,
                    503 => drop(answer.problem(503, "overloaded")),
                    _ => {
                        answer.problem(409, "email_taken");
                        return false;
                    }
                }
            }
        })
    });
    let mut winners = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        winners += u32::from(attempt.await.unwrap());
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let (_server, api) = start().await;
    let body = json!({ "email": "ada", "password": "short", "display_name": "\u{202e}Ada", "role": "admin" });
    let refused = api.post("/members", body).problem(400, "invalid_request").await;
    assert_eq!(refused.wrong_fields(), ["email", "password", "display_name", "role"]);
    // What was sent is not sent back: it may be a password.
    assert!(!refused.text().contains("short\""), "{refused}");

    let missing = api.post("/members", json!({})).problem(400, "invalid_request").await;
    assert_eq!(missing.wrong_fields(), ["email", "password", "display_name"]);

    let fine = json!({ "email": "ada@example.org", "password": "12345678", "display_name": "Ada" });
    for (field, bad) in [
        ("email", json!("a b@example.org")),
        ("email", json!("ada@")),
        ("email", json!(format!("{}@example.org", "a".repeat(250)))),
        ("email", json!(["ada@example.org"])),
        ("password", json!("1234567")),
        ("password", json!("x".repeat(257))),
        ("password", json!(12_345_678)),
        ("display_name", json!("")),
        ("display_name", json!(" \u{200b} ")),
        ("display_name", json!("A\nB")),
        ("display_name", json!("A\0B")),
        ("display_name", json!("x".repeat(65))),
        ("display_name", json!(null)),
    ] {
        let mut body = fine.clone();
        body[field] = bad.clone();
        let refused = api.post("/members", body).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), [field], "{bad}");
    }
    api.post("/members", fine).ok(201).await;
}

#[tokio::test]
async fn a_name_is_changed_everywhere() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    ada.say(&room, "before").ok(201).await;
    let changed = ada.patch("/members/me", json!({ "display_name": "Countess" })).ok(200).await;
    assert_eq!(changed["display_name"], "Countess");

    let history = ada.get(&room.at("/messages")).seeing(&changed).ok(200).await;
    assert_eq!(history.column("sender_name"), ["Countess"]);
    let members = ada.get(&room.at("/members")).seeing(&changed).ok(200).await;
    assert_eq!(members.column("display_name"), ["Countess"]);
    let found = ada.get("/members?query=count").seeing(&changed).ok(200).await;
    assert_eq!(
        found.json,
        json!({ "items": [{ "member_id": ada.id, "display_name": "Countess" }], "next": null })
    );
    assert_eq!(ada.get("/members?query=ada").ok(200).await.items(), [json!(null); 0]);
}

#[tokio::test]
async fn a_change_must_change_something_and_say_it_right() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    for (body, field) in [
        (json!({}), "body"),
        (json!({ "new_password": "another one" }), "current_password"),
        (json!({ "current_password": "correct horse battery" }), "new_password"),
        (json!({ "current_password": "correct horse battery", "new_password": "short" }), "new_password"),
        (json!({ "display_name": null }), "display_name"),
        (json!({ "email": "other@example.org" }), "email"),
    ] {
        let refused = ada.patch("/members/me", body.clone()).problem(400, "invalid_request").await;
        assert!(refused.wrong_fields().contains(&field), "{body}: {refused}");
    }
    let body =
        json!({ "current_password": "not this one", "new_password": "another one", "display_name": "Eve" });
    ada.patch("/members/me", body).problem(403, "wrong_password").await;
    assert_eq!(
        ada.get("/members/me").ok(200).await["display_name"],
        "Ada",
        "half of a refused change was done"
    );
    api.patch("/members/me", json!({ "display_name": "Eve" })).problem(401, "missing_token").await;
}

#[tokio::test]
async fn the_directory_is_searched_by_part_of_a_name() {
    let (_server, api) = start().await;
    let ada = api.user("Ada Lovelace").await;
    for (number, name) in ["Grace Hopper", "ADELE", "50% off", "a_b", "Éva", "Zoë"].into_iter().enumerate()
    {
        let email = format!("m{number}@example.org");
        api.post("/members", json!({ "email": email, "password": "12345678", "display_name": name }))
            .ok(201)
            .await;
    }
    let last = ada.patch("/members/me", json!({ "display_name": "Ada King" })).ok(200).await;
    let find = async |query: &str| {
        let page = ada.get(&format!("/members?query={query}")).seeing(&last).ok(200).await;
        assert!(page["next"].is_null());
        assert!(!page.text().contains('@'), "the directory shows addresses: {page}");
        page.column("display_name")
    };
    assert_eq!(find("AD").await, ["Ada King", "ADELE"]);
    // Nothing is a wildcard.
    assert_eq!(find("%25").await, ["50% off"]);
    assert_eq!(find("_").await, ["a_b"]);
    assert_eq!(find("%C3%A9va").await, ["Éva"]);
    // Composed or not, in any case.
    assert_eq!(find("e%CC%81").await, ["Éva"]);
    assert_eq!(find("nobody").await.len(), 0);
    assert_eq!(find("").await.len(), 7);
    ada.get(&format!("/members?query={}", "x".repeat(65))).problem(400, "invalid_request").await;
    api.get("/members").problem(401, "missing_token").await;
}
