//! Sending, and reading what was said.

use crate::kit::{Room, User, start};
use serde_json::{Value, json};

async fn count(user: &User, room: &Room, to: u64) -> crate::kit::Answer {
    let mut last = None;
    for number in 1..=to {
        let sent = user.say(room, &format!("message {number}")).ok(201).await;
        assert_eq!(sent["seq"], number);
        last = Some(sent);
    }
    last.unwrap()
}

#[tokio::test]
async fn what_is_sent_is_kept_to_the_byte() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let longest = "ä".repeat(8 * 1024);
    let bodies = [
        " leading and trailing ",
        "line\r\nbreaks\n\ttabs\u{b}",
        "\u{202e}override \u{200b} \u{feff}bom",
        "e\u{301} stays apart, é stays together",
        "👩‍👩‍👧‍👦 \u{10ffff} \u{fffd} \u{1}",
        r#"{"body": "not unpacked"} \u0041 <b>&amp;</b> '; DROP TABLE messages; --"#,
        &longest,
    ];
    for (number, body) in (1_u64..).zip(bodies) {
        let sent = ada.say(&room, body).ok(201).await;
        let expected = json!({
            "message_id": sent["message_id"], "room_id": room.id, "seq": number, "sender_id": ada.id,
            "sender_name": "Ada", "body": body, "sent_at": sent["sent_at"], "edited_at": null, "deleted": false,
        });
        assert_eq!(sent.json, expected);
        let read = ada.get(&room.at("/messages?limit=1")).seeing(&sent).ok(200).await;
        assert_eq!(read.items(), [expected]);
    }
    let too_long = format!("{longest}x");
    for bad in ["", " \n\t\u{a0}", "nul \0 inside", &too_long] {
        let refused = ada.say(&room, bad).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), ["body"]);
    }
    for bad in [json!(null), json!(1), json!(["x"]), json!({ "x": 1 })] {
        ada.post(&room.at("/messages"), json!({ "body": bad })).problem(400, "invalid_request").await;
    }
}

#[tokio::test]
async fn history_is_read_from_any_place_in_both_directions() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let empty = ada.get(&room.at("/messages")).ok(200).await;
    assert_eq!(empty.json, json!({ "items": [], "next": null }));
    let last = count(&ada, &room, 60).await;
    let page = async |query: &str| {
        let page = ada.get(&room.at(&format!("/messages?{query}"))).seeing(&last).ok(200).await;
        let seqs: Vec<u64> = page.column("seq").iter().map(|seq| seq.as_u64().unwrap()).collect();
        (seqs, page["next"].as_u64())
    };
    // The newest page, oldest first inside it; 50 unless asked otherwise.
    assert_eq!(page("").await, ((11..=60).collect(), Some(11)));
    assert_eq!(page("limit=3").await, (vec![58, 59, 60], Some(58)));
    assert_eq!(page("before=58&limit=3").await, (vec![55, 56, 57], Some(55)));
    assert_eq!(page("before=3").await, (vec![1, 2], None));
    assert_eq!(page("before=1").await, (vec![], None));
    assert_eq!(page("before=1000&limit=1").await, (vec![60], Some(60)));
    assert_eq!(page("after=0&limit=3").await, (vec![1, 2, 3], Some(3)));
    assert_eq!(page("after=57&limit=200").await, (vec![58, 59, 60], None));
    assert_eq!(page("after=60").await, (vec![], None));
    assert_eq!(page("after=1000").await, (vec![], None));
    assert_eq!(page("after=9007199254740991").await, (vec![], None));
    assert_eq!(page("limit=200").await, ((1..=60).collect(), None));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("before=0", "before"),
        ("before=-1", "before"),
        ("after=x", "after"),
        ("after=1.5", "after"),
        ("after=", "after"),
        ("before=5&after=1", "after"),
        ("after=9007199254740992", "after"),
    ] {
        let refused = ada.get(&room.at(&format!("/messages?{query}"))).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), [field], "{query}");
    }
}

#[tokio::test]
async fn all_pages_together_are_the_whole_history() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let last = count(&ada, &room, 25).await;
    let all: Vec<Value> = (1..=25).map(|seq| json!(seq)).collect();
    for limit in [1, 2, 5, 24, 25, 26] {
        let (mut forward, mut after) = (Vec::new(), Some(0));
        while let Some(seq) = after {
            let path = room.at(&format!("/messages?limit={limit}&after={seq}"));
            let page = ada.get(&path).seeing(&last).ok(200).await;
            forward.extend(page.column("seq"));
            after = page["next"].as_u64();
        }
        assert_eq!(forward, all, "limit {limit}, forward");
        let mut pages: Vec<Vec<Value>> = Vec::new();
        let mut query = String::new();
        loop {
            let path = room.at(&format!("/messages?limit={limit}{query}"));
            let page = ada.get(&path).seeing(&last).ok(200).await;
            pages.push(page.column("seq"));
            match page["next"].as_u64() {
                Some(next) => query = format!("&before={next}"),
                None => break,
            }
        }
        pages.reverse();
        assert_eq!(pages.concat(), all, "limit {limit}, back");
    }
}

#[tokio::test]
async fn twenty_who_send_at_once_see_one_order_without_gaps() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let mut everybody = vec![ada];
    for number in 1..20 {
        let user = api.user(&format!("Member {number}")).await;
        user.join(&room).ok(200).await;
        everybody.push(user);
    }
    let sending: Vec<_> = everybody
        .iter()
        .map(|user| {
            let (user, room) = (user.clone(), room.clone());
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                for number in 0..10 {
                    let sent = user.say(&room, &format!("{} says {number}", user.name)).ok(201).await;
                    seqs.push((sent.number("seq"), sent.position(), sent));
                }
                seqs
            })
        })
        .collect();
    let mut answered = Vec::new();
    for one in sending {
        let own = one.await.unwrap();
        assert!(own.is_sorted_by_key(|sent| sent.0), "one's own messages are out of order");
        answered.extend(own);
    }
    answered.sort_by_key(|sent| sent.0);
    let seqs: Vec<u64> = answered.iter().map(|sent| sent.0).collect();
    assert_eq!(seqs, (1..=200).collect::<Vec<u64>>());
    let last = answered.iter().max_by_key(|sent| sent.1).unwrap().2.clone();
    let acknowledged: Vec<Value> = answered.into_iter().map(|sent| sent.2.json).collect();
    for user in &everybody[..3] {
        let history = user.get(&room.at("/messages?limit=200")).seeing(&last).ok(200).await;
        assert_eq!(history.items(), acknowledged);
    }
}
