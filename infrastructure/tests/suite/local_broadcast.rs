//! [`LocalBroadcast`] keeps the contract.

use crate::{
    contract::broadcast::{Fixture, broadcast_contract},
    told::Told,
};
use std::sync::Arc;
use verbatim_infrastructure::LocalBroadcast;

fn fixture() -> Fixture {
    let (broadcast, told) = (Arc::new(LocalBroadcast::new()), Arc::new(Told::default()));
    broadcast.replay_from(told.clone());
    Fixture { broadcast, told, _keep: Box::new(()) }
}

broadcast_contract!(fixture());
