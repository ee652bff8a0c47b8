//! Switching versions on MySQL, where a change of a view commits at once, so that views and checkpoints can't change
//! together.
//!
//! Whoever switches has the right to change the schema ([`Exclusive`]) all the while, and
//!
//! 1. holds the live versions where they are, by a mark in their checkpoints: from then on the live runner stands still;
//! 2. fills the new versions up to exactly there, so that both show the same;
//! 3. makes the views show the new ones, one view after the other: readers see no difference;
//! 4. makes the new ones the active ones, in one transaction. The old ones stay held: a runner that has not noticed yet
//!    can't write them.
//!
//! A process that dies in between leaves the marks, and loses the right. Whoever has it next, and finds live versions
//! held, makes the views show them again and lets them go on: [`undo`].

use crate::{db::Database, db::Exclusive, meta, projection::Projection};
use sea_orm::DbErr;
use std::sync::Arc;
use verbatim_migrations::read_models::create_views;

/// Undoes what a switch that was broken off has left. Names the projections it was about.
pub(crate) async fn undo(
    database: &Database,
    db: &Exclusive,
    projections: &[Arc<dyn Projection>],
) -> Result<Vec<&'static str>, DbErr> {
    let states = meta::load(&**db).await?;
    let mut held = Vec::new();
    for projection in projections {
        let model = projection.model();
        let Some(state) = states.get(model.name) else { continue };
        let checkpoint = state.active()?;
        if checkpoint.held_since.is_none() {
            continue;
        }
        held.push((model.name, state.active_version));
        // Tables of another release may not have what the views of this one show; nobody here reads them.
        if checkpoint.schema_version == model.schema_version {
            database.schema(create_views(&**db, model, state.active_version)).await?;
        }
    }
    if !held.is_empty() {
        meta::hold(&**db, &held, None).await?;
    }
    Ok(held.into_iter().map(|(name, _)| name).collect())
}
