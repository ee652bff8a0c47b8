//! [`LocalBroadcast`] keeps the contract.

use crate::contract::broadcast::broadcast_contract;
use std::sync::Arc;
use verbatim_infrastructure::LocalBroadcast;

broadcast_contract!((Arc::new(LocalBroadcast::new()), Box::new(())));
