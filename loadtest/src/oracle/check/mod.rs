//! The model: what must hold between [`Records`] and [`Observed`]. Pure, so that it can be shown to notice.

mod delivery;
mod history;
mod unread;
pub(crate) use unread::pushed;
mod versions;

#[cfg(test)]
mod tests;

use super::{Violation, observed::Observed, records::Records};
use std::collections::BTreeSet;

/// Everything that is wrong, each thing once.
pub fn check(records: &Records, observed: &Observed) -> BTreeSet<Violation> {
    let mut found: BTreeSet<Violation> = records.incidents.iter().cloned().map(Violation::Incident).collect();
    for room in observed.history.keys() {
        history::check(*room, records, observed, &mut found);
        delivery::check(*room, records, observed, &mut found);
    }
    unread::check(records, observed, &mut found);
    found
}
