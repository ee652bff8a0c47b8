//! The read side of the ports, on the views.

mod cursor;
mod history;
mod members;
#[cfg(test)]
mod plans;
mod positions;
mod rooms;
mod unread;

use crate::{failures, shared::Shared};
use sea_orm::{DatabaseConnection, DbErr};
use std::{sync::Arc, time::Duration};
use verbatim_application::ports::ReadError;
use verbatim_migrations::read_models::ReadModel;

/// The longest a read may take.
pub const READ_LIMIT: Duration = Duration::from_secs(5);
/// Most items one page has, whatever is asked for.
pub const PAGE_MAX: usize = 1_000;

/// Reads the projections of one database; implements all ports of the read side.
#[derive(Clone)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
}

/// Why a read is refused though the database is there.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0} is being filled anew, or was never reached")]
    Closed(&'static str),
    #[error("the read took longer than {READ_LIMIT:?}")]
    Slow,
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ReadError {
    ReadError::Unavailable(Box::new(error))
}

impl Readers {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Runs a read of some projections, unless they are not to be read now, and not for longer than [`READ_LIMIT`].
    async fn read<T, F>(
        &self,
        models: &[&ReadModel],
        query: impl FnOnce(DatabaseConnection) -> F,
    ) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, DbErr>> + Send + 'static,
    {
        for model in models {
            if self.shared.gate.is_closed(model.name) {
                return Err(unavailable(Refused::Closed(model.name)));
            }
        }
        let db = &self.shared.db;
        let query = query(db.reader());
        let result = if db.is_mysql() {
            // On a task of its own, which nobody breaks off: a connection must not go back to the pool in the middle of
            // an answer. The server ends what takes too long.
            let query = tokio::spawn(query);
            tokio::time::timeout(READ_LIMIT, query)
                .await
                .map(|done| done.unwrap_or(Err(failures::broken_off())))
        } else {
            tokio::time::timeout(READ_LIMIT, query).await
        };
        if !matches!(&result, Ok(Ok(_))) && !matches!(&result, Ok(Err(error)) if !failures::is_away(error)) {
            db.readers_failed();
        }
        match result {
            Ok(result) => result.map_err(unavailable),
            Err(_) => Err(unavailable(Refused::Slow)),
        }
    }
}

/// How many rows to ask for: the page, within bounds.
fn page_size(limit: usize) -> usize {
    limit.clamp(1, PAGE_MAX)
}

/// A row limit for SQL.
fn rows(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}

/// Cuts the one row off that was asked for beyond the page, and makes the cursor of the last one kept.
fn paged<R, T>(
    mut found: Vec<R>,
    size: usize,
    cursor: impl Fn(&R) -> String,
    view: impl Fn(R) -> Result<T, DbErr>,
) -> Result<verbatim_application::ports::Page<T>, DbErr> {
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map(cursor);
    let items = found.into_iter().map(view).collect::<Result<_, _>>()?;
    Ok(verbatim_application::ports::Page { items, next })
}
