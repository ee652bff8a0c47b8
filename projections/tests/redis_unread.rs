//! What the unread counts in Redis show, and to whom they leave it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod redis_unread_common;

use common::{
    Bench, contract, eventually,
    log::MemoryLog,
    model::Model,
    world::{Act, World},
};
use proptest::{collection::vec, prelude::*};
use redis_unread_common::{Relational, Running, assert_shows, assert_verified, open, other_process};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use verbatim_application::{
    codec::Event,
    ports::{HistoryReader, Positions, ReadError, UnreadReader},
};
use verbatim_domain::{MemberId, RoomId, room::RoomEvent, text::RoomName};
use verbatim_servers::{Redis, RedisCluster};

/// Makes readers over a Redis of their own, with nobody to fall back to.
#[derive(Default)]
struct Filled {
    url: Option<String>,
    kept: Vec<(Option<Redis>, Running)>,
}

#[async_trait::async_trait]
impl contract::Factory for Filled {
    async fn history(&mut self, _: Vec<Event>) -> Arc<dyn HistoryReader> {
        unreachable!("Redis holds no history")
    }

    async fn unread(&mut self, events: Vec<Event>) -> Arc<dyn UnreadReader> {
        let redis = self.url.is_none().then(Redis::start);
        let url = self.url.clone().unwrap_or_else(|| redis.as_ref().unwrap().url());
        let log = MemoryLog::new();
        log.write(events);
        let running = Running::start(&url, &log, &Relational::broken(&log));
        running.settle(&log).await;
        let reader = running.unread.reader();
        self.kept.push((redis, running));
        reader
    }
}

#[tokio::test]
async fn the_contract_of_unread_readers() {
    contract::unread(&mut Filled::default()).await;
}

#[tokio::test]
async fn the_contract_of_unread_readers_on_a_cluster() {
    let cluster = RedisCluster::start();
    let mut factory = Filled { url: Some(cluster.url()), ..Filled::default() };
    contract::unread(&mut factory).await;
}
