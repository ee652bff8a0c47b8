//! The password of the database stands in no line of the log, however much is logged.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Errors, FixedClock, LIMIT, Running, eventually, log::MemoryLog, world::World};
use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use verbatim_projections::{Admin, ReadModels};
use verbatim_servers::MariaDb;

/// Keeps all that anybody logs.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0.lock().unwrap(), " {field}={value:?}");
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_is_not_logged() {
    let log = Everything::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let mut server = MariaDb::start();
    server.create_database("verbatim");
    let grant = "GRANT ALL ON verbatim.* TO chat@'127.0.0.1' IDENTIFIED BY 'pass%word'";
    assert!(server.sql("", grant).status.success());
    let url = server.url("verbatim").replace("root@", "chat:pass%25word@");
    let events = MemoryLog::new();
    let mut world = World::populated(2, 1);
    events.write(world.take());
    let errors = Arc::new(Errors::default());
    let clock = Arc::new(FixedClock);
    let broadcast = common::Collector::new();
    let models = ReadModels::open_observed(&url, events.clone(), broadcast, clock.clone(), errors.clone())
        .await
        .unwrap();
    let running = Running::new(models);
    assert!(running.models.positions().wait_for(events.len(), LIMIT).await);
    running.models.admin().rebuild(&["rooms"], &mut |_| {}).await.unwrap();
    server.kill_9();
    world.send(world.room(0), world.member(0));
    events.write(world.take());
    eventually("the runner has met it", async || !errors.0.lock().unwrap().is_empty()).await;
    assert!(running.models.admin().rebuild(&["rooms"], &mut |_| {}).await.is_err());
    assert!(Admin::open(&url.replace("pass%25word", "pass%25word2"), events, clock).await.is_err());
    running.stop().await;
    let logged = log.0.lock().unwrap().clone();
    assert!(logged.contains("the projections do not go on"), "it was logged what happened");
    for secret in ["pass%word", "pass%25word"] {
        let at = logged.find(secret);
        assert!(at.is_none(), "{:?}", at.map(|at| &logged[at.saturating_sub(300)..at + 50]));
    }
}
