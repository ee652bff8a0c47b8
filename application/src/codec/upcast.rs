//! Bringing payloads of older versions to today's shape, one version at a time.

use std::borrow::Cow;

/// The name and version that an event was stored under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Past tense, e.g. `MessageSent`.
    pub event_type: &'static str,
    /// Version of the payload's shape.
    pub event_version: &'static str,
}

impl Version {
    fn is(&self, event_type: &str, event_version: &str) -> bool {
        (self.event_type, self.event_version) == (event_type, event_version)
    }
}

/// Rewrites one version of an event into a later one; the name may change with it.
#[derive(Debug, Clone, Copy)]
pub struct Upcaster {
    /// What it takes.
    pub from: Version,
    /// What it makes of it; another upcaster may take that further.
    pub to: Version,
    /// Rewrites the payload: JSON with the event's name as its only key, as it is stored.
    pub rewrite: fn(&str) -> Result<String, serde_json::Error>,
}

/// The upcasters of this program. All events are in version 1 still. A new version of an event gets an entry that
/// takes the version before it, and a sample of its own; neither is ever taken away again, for the log keeps all.
pub const UPCASTERS: &[Upcaster] = &[];

/// A payload after all upcasters that take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcast<'a> {
    /// The event's name now.
    pub event_type: &'a str,
    /// The version of its shape now.
    pub event_version: &'a str,
    /// JSON; borrowed if it was in this shape already.
    pub payload: Cow<'a, str>,
}

/// Takes a stored payload as far as the table goes. Whether that is today's version is for the decoder to say.
///
/// # Errors
/// An upcaster could not read the payload.
pub fn upcast<'a>(
    table: &[Upcaster],
    event_type: &'a str,
    event_version: &'a str,
    payload: &'a str,
) -> Result<Upcast<'a>, serde_json::Error> {
    let mut up = Upcast { event_type, event_version, payload: Cow::Borrowed(payload) };
    // Each upcaster is used once at most: a table that goes in circles ends here, and at the decoder.
    for _ in table {
        let next = table.iter().find(|upcaster| upcaster.from.is(up.event_type, up.event_version));
        let Some(Upcaster { to, rewrite, .. }) = next else { break };
        up = Upcast {
            event_type: to.event_type,
            event_version: to.event_version,
            payload: Cow::Owned(rewrite(&up.payload)?),
        };
    }
    Ok(up)
}
