//! The shortest way through all doors.

use crate::common::spawn_app;

#[tokio::test]
async fn what_is_said_is_heard_at_every_door() {
    let mut app = spawn_app().await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room_with(&[&ben]).await;
    let mut stomp = ben.stomp().await;
    stomp.subscribe("s", &room, None).await;
    let mut events = ben.room_events(&room, "").await;
    let message = ada.say(&room, "hello").await;
    assert_eq!(stomp.message("message").await["message_id"], message["message_id"]);
    assert_eq!(events.expect("message").await.json()["message_id"], message["message_id"]);
    assert_eq!(ben.whole_history(&room).await, vec![message]);
    drop((stomp, events));
    app.stop().await;
}
