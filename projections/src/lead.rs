//! Who writes the live projections: in a cluster the process that leads, elsewhere this one.

use crate::{Admin, diagnosis::Fault, patience::Backoff, runner::Runner, shared::Shared};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use verbatim_application::error::causes;
use verbatim_application::ports::{Broadcast, Leadership, Lease};

/// What is led.
const TASK: &str = "projections";
/// Between two tries to lead.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// The longest one may take.
const TRY_LIMIT: Duration = Duration::from_secs(5);
/// A leader who has not come on for so long lets another one try: it may be its own line to the database that is cut.
const RESIGN_AFTER: Duration = Duration::from_secs(5);
/// How long it then leaves it to the others.
const RESIGNED: Duration = Duration::from_secs(2);

/// Writes the live projections whenever this process leads, until told to stop.
pub(crate) async fn lead(
    shared: &Arc<Shared>,
    broadcast: &Arc<dyn Broadcast>,
    leadership: &Arc<dyn Leadership>,
    shutdown: &CancellationToken,
) {
    let mut unknown = false;
    while !shutdown.is_cancelled() {
        let mut pause = TRY_EVERY;
        // One who can't reach the database leaves it to those who can.
        if shared.reachable.load(Ordering::Relaxed) {
            let tried = tokio::time::timeout(TRY_LIMIT, leadership.try_lead(TASK));
            let Some(tried) = shutdown.run_until_cancelled(tried).await else { return };
            let failed = match tried {
                Ok(Ok(Some(lease))) => {
                    if term(shared, broadcast, lease, shutdown).await == End::Resigned {
                        pause = RESIGNED;
                    }
                    None
                }
                Ok(Ok(None)) => None,
                Ok(Err(error)) => Some(causes(&error)),
                Err(_) => Some(format!("no answer in {TRY_LIMIT:?}")),
            };
            if let Some(error) = &failed
                && !unknown
            {
                tracing::error!(error, "it can't be found out who leads the projections; trying again");
            }
            unknown = failed.is_some();
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Another process may lead now.
    Lost,
    /// It did not come on.
    Resigned,
    /// It was told to stop.
    Stopped,
}

/// Leads, until that is lost or it does not come on.
async fn term(
    shared: &Arc<Shared>,
    broadcast: &Arc<dyn Broadcast>,
    lease: Lease,
    shutdown: &CancellationToken,
) -> End {
    tracing::info!("this process leads the projections");
    shared.leading.send_replace(true);
    let end = tokio::select! {
        // What is being written is broken off; should it have come through, the database says so.
        () = lease.lost() => End::Lost,
        () = serve(shared, broadcast, shutdown, Some(RESIGN_AFTER)) => {
            if shutdown.is_cancelled() { End::Stopped } else { End::Resigned }
        }
    };
    shared.leading.send_replace(false);
    drop(lease);
    match end {
        End::Lost => tracing::warn!("this process does not lead the projections any more"),
        End::Resigned => {
            shared.reachable.store(false, Ordering::Relaxed);
            tracing::warn!("this process leaves the projections to another one, because it does not come on");
        }
        End::Stopped => {}
    }
    end
}

/// Writes the live projections until told to stop, or until `patience` with a failure is at its end.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    broadcast: &Arc<dyn Broadcast>,
    shutdown: &CancellationToken,
    patience: Option<Duration>,
) {
    let runner = Runner::new(Arc::clone(shared), Arc::clone(broadcast));
    tokio::select! {
        () = runner.run(shutdown.clone(), patience) => {}
        () = repair(shared) => {}
    }
}

/// What can be filled anew, and which of that is of another log. In a cluster what a newer release has written is left
/// to it: two releases would take turns otherwise.
fn repairable(
    shared: &Shared,
    closed: &BTreeMap<&'static str, Fault>,
) -> (Vec<&'static str>, BTreeSet<&'static str>) {
    let ours = |name: &str| {
        let mut models = shared.projections.iter().map(|projection| projection.model());
        models.find(|model| model.name == name).map_or(0, |model| model.schema_version)
    };
    let can = |(name, fault): (&&'static str, &Fault)| match fault {
        Fault::Log => true,
        Fault::Schema(stored) => !shared.in_cluster || *stored < ours(name),
        Fault::Unseen => false,
    };
    let names = closed.iter().filter(|entry| can(*entry)).map(|(name, _)| *name).collect();
    let foreign = closed.iter().filter(|(_, fault)| **fault == Fault::Log).map(|(name, _)| *name).collect();
    (names, foreign)
}

/// Fills anew what is of another log or release, and opens it to readers then. Never ends.
async fn repair(shared: &Arc<Shared>) {
    let admin = Admin::new(Arc::clone(shared));
    let mut gate = shared.gate.subscribe();
    let mut backoff = Backoff::new();
    let mut logged = String::new();
    loop {
        let closed = gate.borrow_and_update().clone();
        let (names, foreign) = repairable(shared, &closed);
        if names.is_empty() {
            if gate.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        }
        match admin.refill(&names, &foreign).await {
            Ok(()) => {
                tracing::info!(projection = names.join(","), "the read models are filled anew");
                backoff = Backoff::new();
                logged.clear();
                shared.gate.open(&names);
            }
            Err(error) => {
                let text = causes(&error);
                if text != logged {
                    tracing::error!(error = text, "the read models could not be filled anew; trying again");
                    logged.clone_from(&text);
                }
                if let Err(error) = admin.note_error(&names, &text).await {
                    tracing::warn!(error = causes(&error), "nor could that be written down");
                }
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}
