//! The live runner: keeps the active version at the head of the log, and sees to it that there is one.

use super::{
    NAME, Shared,
    diagnosis::{Finding, diagnose, is_of},
    fill::{FILL_BATCH, fill},
    keys::Tag,
    store::{Guard, Place, SCHEMA_VERSION, State, Store},
    trouble::Trouble,
};
use crate::{BatchReport, ProjectionError, feed::Feed, projections::UnreadChanges, runner::Backoff, values};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verbatim_application::error::causes;
use verbatim_application::ports::{Leadership, Lease};

/// Most events of one script while the runner keeps up.
const LIVE_BATCH: usize = 1_000;
/// How often log and Redis are looked at when no hint comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often leading is tried while another process leads.
const STAND_BY: Duration = Duration::from_millis(500);
/// The longest that may take to answer.
const LEADERSHIP_LIMIT: Duration = Duration::from_secs(5);
/// The longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// After somebody else was first.
const TURN: Duration = Duration::from_millis(20);
/// A leader that gets nothing done for so long lets others try: Redis may be away for this process only.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Runner {
    shared: Arc<Shared>,
    leadership: Option<Arc<dyn Leadership>>,
    backoff: Backoff,
    /// So that what lasts is logged once.
    trouble: Option<Trouble>,
    /// Since when nothing went well.
    failing_since: Option<Instant>,
    /// The version that it was said is filled.
    filling: Option<Tag>,
    /// Whether it was said that this process leads.
    announced: bool,
}

impl Runner {
    pub(super) fn new(shared: Arc<Shared>, leadership: Option<Arc<dyn Leadership>>) -> Self {
        Self {
            shared,
            leadership,
            backoff: Backoff::new(),
            trouble: None,
            failing_since: None,
            filling: None,
            announced: false,
        }
    }

    /// Runs until told to stop. A step under way may still take place then; it counts once all the same.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.run_on()).await;
    }

    async fn run_on(&mut self) {
        loop {
            let lease = self.campaign().await;
            let lost = async {
                match &lease {
                    Some(lease) => lease.lost().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = lost => {
                    tracing::info!(projection = NAME, "this process leads no longer");
                    self.announced = false;
                    self.shared.observer.leads(false);
                }
                () = self.lead() => {
                    // Nothing went well: given back, and time for others to take it.
                    drop(lease);
                    tokio::time::sleep(2 * STAND_BY).await;
                }
            }
        }
    }

    /// Waits until this process leads.
    async fn campaign(&mut self) -> Option<Lease> {
        let leadership = self.leadership.clone()?;
        loop {
            match tokio::time::timeout(LEADERSHIP_LIMIT, leadership.try_lead(NAME)).await {
                Ok(Ok(Some(lease))) => return Some(lease),
                Ok(Ok(None)) => {
                    self.announced = false;
                    self.shared.observer.leads(false);
                    // Whether Redis works is for whoever leads to find out.
                    if self.trouble == Some(Trouble::EventStore) {
                        self.trouble_is_over();
                    }
                }
                Ok(Err(error)) => self.report(Trouble::EventStore, &error),
                Err(error) => self.report(Trouble::EventStore, &error),
            }
            tokio::time::sleep(STAND_BY).await;
        }
    }

    /// Goes on again and again, until nothing goes well for too long and others could do better.
    async fn lead(&mut self) {
        self.failing_since = None;
        loop {
            let Err(error) = self.session().await else { continue };
            self.shared.observer.failed(&error);
            self.report(Trouble::of(&error), &error);
            let failing_since = *self.failing_since.get_or_insert_with(Instant::now);
            let of_redis = matches!(error, ProjectionError::Redis(_));
            if self.leadership.is_some() && of_redis && failing_since.elapsed() > PATIENCE {
                return;
            }
            tokio::time::sleep(self.backoff.next().min(PAUSE_MAX)).await;
        }
    }

    fn report(&mut self, trouble: Trouble, error: &(dyn std::error::Error + 'static)) {
        if self.trouble.as_ref() != Some(&trouble) {
            let (error, redis) = (causes(error), &self.shared.server);
            tracing::error!(error, address = %redis, projection = NAME, "the projection does not go on; trying again");
            self.trouble = Some(trouble);
        }
    }

    fn trouble_is_over(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!(address = %self.shared.server, projection = NAME, "the projection goes on");
        }
    }

    fn went_well(&mut self) {
        self.backoff = Backoff::new();
        self.failing_since = None;
        if self.leadership.is_some() && !std::mem::replace(&mut self.announced, true) {
            tracing::info!(projection = NAME, "this process leads");
            self.shared.observer.leads(true);
        }
        self.trouble_is_over();
    }

    /// Goes on from what Redis says, until something fails.
    async fn session(&mut self) -> Result<(), ProjectionError> {
        let mut store = Store::connect(&self.shared.server).await?;
        let mut feed = Feed::new(Arc::clone(&self.shared.log));
        let mut hint = self.shared.log.head_hint();
        let mut place = self.live(&mut store).await?;
        let mut behind = false;
        loop {
            hint.borrow_and_update();
            let head = *hint.borrow();
            let limit = if behind { FILL_BATCH } else { LIVE_BATCH };
            let mut batch = feed.next(place.position, limit).await?;
            let started = Instant::now();
            let Some(last) = batch.last() else {
                if let Some(error) = batch.broken.take() {
                    // An event that can't be read is never skipped.
                    store.note(&place.tag, &causes(&error)).await?;
                    return Err(error.into());
                }
                self.went_well();
                let looked = tokio::time::timeout(LOOK_EVERY, hint.changed()).await;
                // A log that is gone gives no more hints.
                if !matches!(looked, Ok(Ok(()))) {
                    tokio::time::sleep_until(started + LOOK_EVERY).await;
                    // Redis may have been wiped, and the log restored from a backup.
                    place = self.live(&mut store).await?;
                }
                continue;
            };
            let changes = UnreadChanges::of(&batch.events);
            let now = values::moment(self.shared.clock.now());
            if !store.apply(Guard::Live, &place, (last, &batch.mark), &changes, &now).await? {
                let found = self.live(&mut store).await?;
                if found == place {
                    tokio::time::sleep(TURN).await;
                }
                place = found;
                continue;
            }
            place.position = last;
            place.mark.clone_from(&batch.mark);
            behind = batch.full;
            self.went_well();
            self.shared.applied.send_replace(last);
            let took = started.elapsed();
            self.shared.observer.applied(BatchReport {
                events: batch.events.len(),
                pushes: 0,
                took,
                position: last,
                head: head.max(last),
            });
            self.shared.observer.projected(&batch.events, took);
        }
    }

    /// The active version, once there is one that is sound.
    async fn live(&mut self, store: &mut Store) -> Result<Place, ProjectionError> {
        loop {
            let state = store.state().await?;
            self.shared.saw(&state);
            match diagnose(&state, &self.shared.log).await? {
                Finding::Sound(place) => return Ok(place),
                Finding::Foreign(place) => {
                    tracing::warn!(
                        position = place.position,
                        projection = NAME,
                        "Redis holds the counts of another event log than this one; it is filled anew"
                    );
                    if !store.condemn(&place).await? {
                        tokio::time::sleep(TURN).await;
                    }
                }
                Finding::Missing => {
                    self.refill(store, &state, "Redis holds no counts; it is filled").await?;
                }
                Finding::Schema => {
                    self.refill(store, &state, "Redis holds counts of another release; it is filled anew")
                        .await?;
                }
            }
        }
    }

    /// Fills a version and makes it active; goes on with one that somebody has begun. If somebody else is first with a
    /// new one, that is looked at next.
    async fn refill(
        &mut self,
        store: &mut Store,
        state: &State,
        why: &'static str,
    ) -> Result<(), ProjectionError> {
        let active = state.active.as_ref().map(|active| &active.tag);
        let previous = state.previous.as_ref().map(|previous| &previous.tag);
        let begun = state.latest.as_ref().filter(|latest| {
            latest.schema == SCHEMA_VERSION && Some(&latest.tag) != active && Some(&latest.tag) != previous
        });
        let mut place = match begun {
            Some(begun) if is_of(begun, &self.shared.log).await? => Place::of(begun),
            _ => match store.begin_after(state.latest_tag.as_ref()).await? {
                Some(place) => place,
                None => {
                    tokio::time::sleep(TURN).await;
                    return Ok(());
                }
            },
        };
        if self.filling.replace(place.tag.clone()).as_ref() != Some(&place.tag) {
            tracing::info!(projection = NAME, position = place.position, "version {}: {why}", place.tag);
        }
        match fill(&self.shared, store, &mut place, &mut |_| {}).await {
            Err(ProjectionError::Superseded) => {
                tokio::time::sleep(TURN).await;
                return Ok(());
            }
            filled => filled?,
        }
        self.filling = None;
        tracing::info!(position = place.position, projection = NAME, "Redis is filled");
        Ok(store.sweep().await?)
    }
}
