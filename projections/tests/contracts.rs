//! The adapters of the read ports on both databases pass the contract suites.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Backend, Bench, Running, contract};
use std::sync::Arc;
use verbatim_application::{
    codec::Event,
    ports::{HistoryReader, UnreadReader},
};

struct Filled {
    backend: Backend,
    held: Option<(Bench, Running)>,
}

impl Filled {
    fn new(backend: Backend) -> Self {
        Self { backend, held: None }
    }

    async fn with(&mut self, events: Vec<Event>) -> &Running {
        let bench = Bench::new(self.backend);
        bench.log.write(events);
        let running = bench.start().await;
        bench.settle(&running.models).await;
        let (_, running) = self.held.insert((bench, running));
        running
    }
}

#[async_trait::async_trait]
impl contract::Factory for Filled {
    async fn history(&mut self, events: Vec<Event>) -> Arc<dyn HistoryReader> {
        self.with(events).await.models.history()
    }

    async fn unread(&mut self, events: Vec<Event>) -> Arc<dyn UnreadReader> {
        self.with(events).await.models.unread()
    }
}

async fn history(backend: Backend) {
    contract::history(&mut Filled::new(backend)).await;
}

async fn unread(backend: Backend) {
    contract::unread(&mut Filled::new(backend)).await;
}

on_each_database!(history, unread);
