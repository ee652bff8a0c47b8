//! Noticing what another process of the cluster writes.

use crate::shared::Shared;
use crate::{ProjectionError, diagnosis::Fault, diagnosis::diagnose, meta, shared};
use std::{sync::atomic::Ordering, time::Duration};
use tokio_util::sync::CancellationToken;
use verbatim_application::error::causes;

/// How often the database is asked while somebody waits for a position.
const WAITED_FOR: Duration = Duration::from_millis(8);
/// How often it is asked otherwise: it bounds how old what is known here may be.
const OTHERWISE: Duration = Duration::from_millis(500);

/// Keeps what is known of the live projections as the database says, while another process writes them; one look at a
/// time, however many wait.
pub(crate) async fn follow(shared: &Shared, shutdown: &CancellationToken) {
    let mut leading = shared.leading.subscribe();
    let mut waiters = shared.waiters.subscribe();
    let mut failing = false;
    while !shutdown.is_cancelled() {
        if *leading.borrow_and_update() {
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = leading.changed() => {}
            }
            continue;
        }
        let waited_for = *waiters.borrow_and_update() > 0 && !failing;
        let pause = tokio::time::sleep(if waited_for { WAITED_FOR } else { OTHERWISE });
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = leading.changed() => continue,
            () = pause => {}
            // The first one who waits is not kept until the next look.
            _ = waiters.wait_for(|waiters| *waiters > 0), if !waited_for && !failing => {}
        }
        let looked = look(shared).await;
        shared.reachable.store(looked.is_ok(), Ordering::Relaxed);
        match looked {
            Ok(()) if failing => tracing::info!("the read models can be reached again"),
            Ok(()) => {}
            Err(error) => {
                shared.db.readers_failed();
                if !failing {
                    tracing::error!(error = causes(&error), "the read models can't be reached; trying again");
                }
                failing = true;
                continue;
            }
        }
        failing = false;
    }
}

async fn look(shared: &Shared) -> Result<(), ProjectionError> {
    let states = meta::load(&shared.db.reader()).await?;
    if shared.gate.closed().is_empty() {
        // A newer release may have switched to tables that this one can't read.
        for projection in &shared.projections {
            let model = projection.model();
            let Some(state) = states.get(model.name) else { continue };
            let stored = state.active()?.schema_version;
            if stored != model.schema_version {
                shared.gate.close(model.name, Fault::Schema(stored));
            }
        }
    } else {
        shared.gate.set(diagnose(&states, &shared.projections, &shared.log).await?);
    }
    let applied = shared::applied(&states, &shared.gate.closed())?;
    shared.applied.send_if_modified(|known| std::mem::replace(known, applied) != applied);
    Ok(())
}
