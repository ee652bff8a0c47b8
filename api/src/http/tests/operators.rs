use super::{super::HttpOptions, client::Client, ports::Admin, service};
use std::sync::Arc;

#[tokio::test]
async fn operating_is_for_admins() {
    let client = service().await;
    let (_, token) = client.member("ada").await;
    client.get("/admin/projections").by(&token).await.assert_problem(403, "not_an_admin");
    client.get("/admin/projections").await.assert_problem(401, "missing_token");
    for verb in ["rebuild", "verify", "rollback", "drop-old"] {
        let order = client.send("POST", &format!("/api/v1/admin/projections/rooms/{verb}"));
        order.by(&token).await.assert_problem(403, "not_an_admin");
    }
}

#[tokio::test]
async fn the_verbs_of_the_command_line_are_there() {
    let admin = Arc::new(Admin::default());
    let client = Client::start(HttpOptions::default(), admin.clone());
    let token = client.admin().await;
    let list = client.get("/admin/projections").by(&token).await;
    assert_eq!((list.status, list.json["items"][0]["lag"].as_u64()), (200, Some(2)));
    assert!(list.json["items"][0]["previous_version"].is_null());
    let order = |name: &str, verb: &str| {
        client.send("POST", &format!("/api/v1/admin/projections/{name}/{verb}")).by(&token)
    };
    assert_eq!(order("rooms", "rebuild").await.status, 202);
    assert_eq!(*admin.started.lock().unwrap(), ["rooms"]);
    order("rooms", "rebuild").await.assert_problem(409, "projection_busy");
    order("nothing", "rebuild").await.assert_problem(404, "projection_not_found");
    assert_eq!(order("rooms", "verify").await.json["differences"], 1);
    order("rooms", "rollback").await.assert_problem(422, "no_previous_version");
    *admin.previous.lock().unwrap() = Some(1);
    assert_eq!(order("rooms", "drop-old").await.status, 200);
    assert_eq!(order("Rooms!", "verify").await.wrong(), ["name"]);
}
