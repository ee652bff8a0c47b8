//! Operators over REST: who may, and what they can.

use crate::{
    common::App,
    kit::{Api, User, cli::succeed, start},
};
use reqwest::Method;
use serde_json::{Value, json};

/// Somebody who operates the service.
pub(crate) async fn operator(app: &App, api: &Api) -> User {
    let mut user = api.user("Operator").await;
    succeed(app, &["members", "grant-admin", &user.email]).await;
    let pair = api.refresh(&user.refresh).ok(200).await;
    user.token = pair.str("access_token").to_owned();
    user.refresh = pair.str("refresh_token").to_owned();
    user
}

async fn listed(user: &User, name: &str) -> Value {
    let list = user.get("/admin/projections").ok(200).await;
    list.items().iter().find(|one| one["name"] == name).unwrap().clone()
}

fn order(user: &User, name: &str, what: &str) -> crate::kit::Call {
    user.call(Method::POST, &format!("/admin/projections/{name}/{what}"))
}

#[tokio::test]
async fn the_role_is_given_and_taken_on_the_command_line() {
    let (app, api) = start().await;
    let ada = api.user("Ada").await;
    ada.get("/admin/projections").problem(403, "not_an_admin").await;
    let granted = succeed(&app, &["members", "grant-admin", " ADA@example.org "]).await;
    assert!(granted.contains(&ada.id) && granted.contains("admin"), "{granted}");
    // The running service knows at the next token; the one that is out says what it said.
    ada.get("/admin/projections").problem(403, "not_an_admin").await;
    let pair = api.refresh(&ada.refresh).ok(200).await;
    api.get("/admin/projections").bearer(pair.str("access_token")).ok(200).await;
    let pair = api.log_in(&ada.email, &ada.password).ok(200).await;
    api.get("/admin/projections").bearer(pair.str("access_token")).ok(200).await;

    succeed(&app, &["members", "revoke-admin", &ada.email]).await;
    let pair = api.refresh(pair.str("refresh_token")).ok(200).await;
    api.get("/admin/projections").bearer(pair.str("access_token")).problem(403, "not_an_admin").await;
    for nobody in ["nobody@example.org", "no address", ""] {
        let refused = app.cli(&["members", "grant-admin", nobody]).await;
        assert!(!refused.status.success() && !refused.stderr.is_empty(), "{refused:?}");
    }
}

#[tokio::test]
async fn nobody_else_operates_anything() {
    let (_app, api) = start().await;
    let ada = api.user("Ada").await;
    for what in ["rebuild", "verify", "rollback", "drop-old"] {
        order(&ada, "rooms", what).problem(403, "not_an_admin").await;
        let path = format!("/admin/projections/rooms/{what}");
        api.call(Method::POST, &path).problem(401, "missing_token").await;
    }
    api.get("/admin/projections").problem(401, "missing_token").await;
}

#[tokio::test]
async fn projections_are_operated_over_rest() {
    let (app, api) = start().await;
    let admin = operator(&app, &api).await;
    let room = admin.room("Engines").await;
    let said = admin.say(&room, "hello").ok(201).await;
    admin.get("/me/rooms").seeing(&said).ok(200).await;
    let list = admin.get("/admin/projections").ok(200).await;
    let mut names: Vec<Value> = list.column("name");
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["members", "message_history", "rooms", "unread"]);
    for one in list.items() {
        assert_eq!(
            (&one["lag"], &one["last_error"], &one["version"]),
            (&json!(0), &Value::Null, &json!(1)),
            "{one}"
        );
        assert_eq!(one["position"], said.position(), "{one}");
    }

    let verified = order(&admin, "rooms", "verify").ok(200).await;
    let expected = json!({ "name": "rooms", "position": said.position(), "differences": 0, "samples": [] });
    assert_eq!(verified.json, expected);
    order(&admin, "rooms", "rollback").problem(422, "no_previous_version").await;
    order(&admin, "rooms", "drop-old").problem(422, "no_previous_version").await;

    assert_eq!(order(&admin, "rooms", "rebuild").ok(202).await.json, json!({ "name": "rooms" }));
    crate::common::within("the new version", async {
        while listed(&admin, "rooms").await["version"] != 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(listed(&admin, "rooms").await["previous_version"], 1);
    let back = order(&admin, "rooms", "rollback").ok(200).await;
    assert_eq!((&back["version"], &back["previous_version"]), (&json!(1), &json!(2)));
    let freed = order(&admin, "rooms", "drop-old").ok(200).await;
    assert_eq!((&freed["version"], &freed["previous_version"]), (&json!(1), &Value::Null));

    let database = rusqlite::Connection::open(app.data().join("read.db")).unwrap();
    database.busy_timeout(crate::kit::LIMIT).unwrap();
    assert_eq!(database.execute("UPDATE rooms_v1 SET member_count = 7", []).unwrap(), 1);
    let verified = order(&admin, "rooms", "verify").ok(200).await;
    assert_eq!(verified["differences"], 1, "{verified}");
    assert_eq!(verified["samples"].as_array().unwrap().len(), 1, "{verified}");

    for what in ["rebuild", "verify", "rollback", "drop-old"] {
        order(&admin, "gossip", what).problem(404, "projection_not_found").await;
        order(&admin, "No-Name", what).problem(400, "invalid_request").await;
    }
    // The command line and REST are two doors to one thing.
    succeed(&app, &["projections", "rebuild", "rooms"]).await;
    assert_eq!(listed(&admin, "rooms").await["version"], 3);
    assert_eq!(order(&admin, "rooms", "verify").ok(200).await["differences"], 0);
}
