//! Importing conversations: each message once, in its place, however often the file is imported.

use crate::common::{Fault, World, within, world::one_shard};
use verbatim_application::{
    ErrorClass,
    bus::Limits,
    codec::{Event, Streamed},
    commands::{ImportOutcome, ImportedMessage, Importer},
};
use verbatim_domain::{MemberId, RoomId, Timestamp, room::RoomEvent};

fn line(room: &str, sender: &str, body: &str) -> ImportedMessage {
    let (room, sender, body) = (room.to_owned(), sender.to_owned(), body.to_owned());
    ImportedMessage { room, sender, body, sent_at: Timestamp::UNIX_EPOCH }
}

fn said(world: &World, room: &str) -> Vec<String> {
    world.log.check();
    let events = world.log.stream(RoomId::imported(room).stream()).into_iter();
    let said = events.filter_map(|event| match event {
        Event::Room(RoomEvent::MessageSent { body, .. }) => Some(body.to_string()),
        _ => None,
    });
    said.collect()
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_a_longer_file_adds_its_end() {
    let world = World::new();
    let node = world.node(Limits::default());
    let mut lines: Vec<_> = (0..60)
        .map(|n| line(["red", "blue"][n % 2], ["Ann", "Bob", "Cem"][n % 3], &format!("line {n}")))
        .collect();
    let first = within(Importer::new(node.app.clone()).import(&lines)).await;
    assert!(first.into_iter().all(|outcome| outcome.expect("it is imported") == ImportOutcome::Imported));
    let events = world.log.events().len();
    lines.push(line("red", "Dee", "new"));
    // Another process, with nothing in memory.
    let node = world.node(one_shard());
    let mut second = within(Importer::new(node.app.clone()).import(&lines)).await;
    let last = second.pop().expect("there is a last one").expect("it is imported");
    assert_eq!(last, ImportOutcome::Imported);
    assert!(second.into_iter().all(|outcome| outcome.expect("it was there") == ImportOutcome::Repeated));
    assert_eq!(world.log.events().len(), events + 4, "an account, its address, its coming in, its message");
    let red: Vec<_> = lines.iter().filter(|line| line.room == "red").map(|line| line.body.clone()).collect();
    assert_eq!(said(&world, "red"), red);
    assert_eq!(said(&world, "blue").len(), 30);
    let ann = MemberId::imported("Ann");
    assert_eq!(within(node.app.account(ann)).await.expect("she is registered").display_name, "Ann");
}

#[tokio::test]
async fn a_line_that_is_wrong_is_told_and_the_others_go_in() {
    let (world, node) = World::with_node();
    let lines = [
        line("red", "Ann", "one"),
        line("", "Ann", "two"),
        line("red", "\u{7}", "three"),
        line("red", "Ann", "four"),
    ];
    let outcomes = within(Importer::new(node.app.clone()).import(&lines)).await;
    let classes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.map_err(|error| error.class)).collect();
    assert_eq!(
        classes,
        [
            Ok(ImportOutcome::Imported),
            Err(ErrorClass::Invalid),
            Err(ErrorClass::Invalid),
            Ok(ImportOutcome::Imported)
        ]
    );
    assert_eq!(said(&world, "red"), ["one", "four"]);
}

#[tokio::test]
async fn a_run_that_broke_off_is_taken_up_again() {
    let (world, node) = World::with_node();
    let lines: Vec<_> = (0..10).map(|n| line("red", "Ann", &format!("line {n}"))).collect();
    let mut importer = Importer::new(node.app.clone());
    for outcome in within(importer.import(&lines[..5])).await {
        outcome.expect("it is imported");
    }
    world.log.fail_next(Fault::UnknownWritten);
    for outcome in within(importer.import(&lines[5..])).await {
        assert_eq!(outcome.expect_err("the connection died").class, ErrorClass::Unavailable);
    }
    for outcome in within(Importer::new(node.app.clone()).import(&lines)).await {
        assert_eq!(outcome.expect("it was there"), ImportOutcome::Repeated);
    }
    assert_eq!(said(&world, "red").len(), 10);
}
