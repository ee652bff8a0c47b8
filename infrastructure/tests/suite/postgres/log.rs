//! [`PostgresEventLog`] keeps the contract, and what a database promises beyond it.

use crate::contract::event_log::{self, *};
use futures_util::FutureExt;
use std::sync::Arc;
use verbatim_application::ports::EventLog;
use verbatim_infrastructure::{PostgresEventLog, PostgresLogOptions};
use verbatim_migrations::event_log::POSTGRES;
use verbatim_servers::postgres_database;

pub async fn open(url: &str) -> PostgresEventLog {
    PostgresEventLog::open(url, POSTGRES, PostgresLogOptions::default()).await.expect("open")
}

fn fixture() -> Fixture {
    let database = postgres_database();
    let url = database.url().to_owned();
    Fixture {
        open: Box::new(move || {
            let url = url.clone();
            async move { Arc::new(open(&url).await) as Arc<dyn EventLog> }.boxed()
        }),
        _keep: Box::new(database),
    }
}

event_log::event_log_contract!(fixture());
