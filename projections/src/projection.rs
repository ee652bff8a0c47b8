//! What a projection is.

use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr};
use verbatim_application::{codec::Envelope, push::Push};
use verbatim_migrations::read_models::ReadModel;

/// A read model that is folded from the log.
///
/// [`Projection::fold`] is pure; what it gives must be the same however the log is cut into batches: writing the
/// changes of two batches one after the other leaves the same rows as writing those of both together.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// Its name, tables and views.
    fn model(&self) -> &'static ReadModel;

    /// What a batch changes. The events come in log order and follow those of the batch before.
    fn fold(&self, events: &[Envelope]) -> Box<dyn Changes>;

    /// What subscribers are told about these events. It is asked once they are applied and reads the live version,
    /// by the views; in log order. Asking again later is fine: the answer then shows later names and counts.
    ///
    /// # Errors
    /// The database failed.
    async fn pushes(&self, _events: &[Envelope], _db: &DatabaseTransaction) -> Result<Vec<Push>, DbErr> {
        Ok(Vec::new())
    }
}

/// What a batch changes in one projection.
#[async_trait]
pub trait Changes: Send {
    /// Writes it into one version of the tables, with a number of statements that does not depend on the number of
    /// events.
    ///
    /// # Errors
    /// The database failed.
    async fn write(self: Box<Self>, db: &DatabaseTransaction, version: i32) -> Result<(), DbErr>;
}
