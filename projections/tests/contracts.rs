//! The SQLite adapters of the read ports pass the contract suites.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Bench, Running, contract};
use std::sync::Arc;
use verbatim_application::{
    codec::Event,
    ports::{HistoryReader, UnreadReader},
};

#[derive(Default)]
struct Sqlite(Option<(Bench, Running)>);

impl Sqlite {
    async fn with(&mut self, events: Vec<Event>) -> &Running {
        let bench = Bench::new();
        bench.log.write(events);
        let running = bench.start().await;
        bench.settle(&running.models).await;
        let (_, running) = self.0.insert((bench, running));
        running
    }
}

#[async_trait::async_trait]
impl contract::Factory for Sqlite {
    async fn history(&mut self, events: Vec<Event>) -> Arc<dyn HistoryReader> {
        self.with(events).await.models.history()
    }

    async fn unread(&mut self, events: Vec<Event>) -> Arc<dyn UnreadReader> {
        self.with(events).await.models.unread()
    }
}

#[tokio::test]
async fn history() {
    contract::history(&mut Sqlite::default()).await;
}

#[tokio::test]
async fn unread() {
    contract::unread(&mut Sqlite::default()).await;
}
