//! Filling a version that is not active, and making it active once it is where the active one is. Several may fill the
//! same one (a runner that goes on with what another has begun, an operator): each batch counts once.

use super::{
    Shared,
    failure::Failure,
    store::{Guard, Place, Store, Switched},
};
use crate::{
    Progress, ProjectionError, Stage, feed::Feed, projections::UnreadChanges, runner::Backoff, values,
};
use std::{sync::Arc, time::Duration};
use verbatim_application::codec::DecodeError;
use verbatim_application::error::causes;

/// Most events of one script; at about 1.5 µs each it keeps Redis for a few milliseconds at most.
pub(super) const FILL_BATCH: usize = 2_000;
/// How often a step that failed is tried again before the operation gives up.
const ATTEMPTS: u32 = 8;
/// Between two looks at whether the log has gone on.
const PAUSE: Duration = Duration::from_millis(2);

/// Calls back with the progress.
pub(super) type OnProgress<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// Where a version is that somebody else has moved.
enum Found {
    /// It is active: they have finished it.
    Active,
    /// There, and can be gone on with.
    At(Place),
}

/// Fills a version up to the active one and makes it active; gives up at the first failure.
pub(super) async fn fill(
    shared: &Shared,
    store: &mut Store,
    place: &mut Place,
    progress: OnProgress<'_>,
) -> Result<(), ProjectionError> {
    let mut feed = Feed::new(Arc::clone(&shared.log));
    loop {
        let head = (*shared.log.head_hint().borrow()).max(place.position);
        progress(Progress { stage: Stage::Fill, done: place.position, total: head });
        let mut batch = feed.next(place.position, FILL_BATCH).await?;
        if let Some(error) = batch.broken.take() {
            return Err(error.into());
        }
        let mut refused = false;
        if let Some(last) = batch.last() {
            let changes = UnreadChanges::of(&batch.events);
            let now = values::moment(shared.clock.now());
            let to = (last, batch.mark.as_str());
            if store.apply(Guard::Beside, place, to, &changes, &now).await? {
                place.position = last;
                place.mark.clone_from(&batch.mark);
            } else {
                refused = true;
            }
        }
        if !refused && !batch.full {
            match store.switch(place).await? {
                Switched::Done => {
                    let done = place.position;
                    progress(Progress { stage: Stage::Fill, done, total: done });
                    return Ok(());
                }
                Switched::Behind(_) if !batch.events.is_empty() => {}
                Switched::Behind(live) => {
                    let head = shared.log.head().await?;
                    if live > head {
                        let name = super::NAME.to_owned();
                        return Err(ProjectionError::OtherLog { name, position: live, head });
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Switched::Refused => refused = true,
            }
        }
        if refused {
            match find(store, place).await? {
                Found::Active => return Ok(()),
                Found::At(found) => *place = found,
            }
        }
    }
}

/// The same, but waits failures out that may pass.
pub(super) async fn fill_patiently(
    shared: &Shared,
    store: &mut Store,
    place: &mut Place,
    progress: OnProgress<'_>,
) -> Result<(), ProjectionError> {
    let (mut failures, mut backoff) = (0, Backoff::new());
    let mut error = match fill(shared, store, place, progress).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    while failures < ATTEMPTS && may_pass(&error) {
        failures += 1;
        tracing::warn!(
            error = causes(&error),
            attempt = failures,
            "filling the unread counts hangs; trying again"
        );
        tokio::time::sleep(backoff.next()).await;
        let before = place.position;
        error = match go_on(shared, store, place, progress).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if place.position > before {
            (failures, backoff) = (0, Backoff::new());
        }
    }
    Err(error)
}

/// With a new connection, from where the version is now: whether the last step came through is for Redis to say.
async fn go_on(
    shared: &Shared,
    store: &mut Store,
    place: &mut Place,
    progress: OnProgress<'_>,
) -> Result<(), ProjectionError> {
    *store = Store::connect(&shared.server).await?;
    match find(store, place).await? {
        Found::Active => return Ok(()),
        Found::At(found) => *place = found,
    }
    fill(shared, store, place, progress).await
}

async fn find(store: &mut Store, place: &Place) -> Result<Found, ProjectionError> {
    let state = store.state().await?;
    if state.active.is_some_and(|active| active.tag == place.tag) {
        return Ok(Found::Active);
    }
    let others = [state.latest, state.previous].into_iter().flatten();
    let found = others.into_iter().find(|version| version.tag == place.tag);
    Ok(Found::At(Place::of(&found.ok_or(ProjectionError::Superseded)?)))
}

/// Whether trying again may help: Redis or the log was not there for a moment.
fn may_pass(error: &ProjectionError) -> bool {
    match error {
        ProjectionError::Redis(error) => {
            error.downcast_ref::<Failure>().is_none_or(|failure| !matches!(failure, Failure::Unexpected(_)))
        }
        ProjectionError::Log(error) => error.downcast_ref::<DecodeError>().is_none(),
        _ => false,
    }
}
