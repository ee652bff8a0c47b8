//! [`RedisBroadcast`] keeps the contract, on one Redis and on a Redis Cluster, and its promises when Redis does not.

mod node;
mod torment;
mod trouble;

use crate::{
    contract::broadcast::{Fixture, broadcast_contract},
    told::Told,
};
use node::Node;
use std::sync::Arc;
use verbatim_servers::{Redis, RedisCluster};

async fn fixture() -> Fixture {
    let redis = Redis::start();
    let told = Arc::new(Told::default());
    let node = Node::start(&redis.url(), told.clone()).await;
    Fixture { broadcast: node.broadcast.clone(), told, _keep: Box::new((node, redis)) }
}

broadcast_contract!(fixture().await);

/// Each case starts three servers.
mod sharded {
    use super::*;

    async fn fixture() -> Fixture {
        let cluster = RedisCluster::start();
        let told = Arc::new(Told::default());
        let node = Node::start(&cluster.url(), told.clone()).await;
        Fixture { broadcast: node.broadcast.clone(), told, _keep: Box::new((node, cluster)) }
    }

    broadcast_contract!(fixture().await);
}
