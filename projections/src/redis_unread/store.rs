//! The versions in Redis: what there is, and every step that changes it. Each is one script, which checks what the caller
//! believes.

use super::{
    answer,
    batch::write_changes,
    connection::{Connection, Server},
    failure::Failure,
    keys::{PREFIX, Tag, VERSIONS},
    script,
};
use crate::projections::UnreadChanges;
use redis::Value;
use std::{collections::BTreeMap, time::Duration};

/// Version of the keys' shape.
pub(super) const SCHEMA_VERSION: i32 = 1;
/// The longest one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(2);
/// About how many keys one look at the key space goes over, and how many are removed at once.
const KEYS_PER_LOOK: usize = 1_000;

/// One version, as Redis has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub tag: Tag,
    /// The last event it contains.
    pub position: u64,
    /// Names that event, see [`crate::feed`]; empty at position 0.
    pub mark: String,
    pub schema: i32,
    /// RFC 3339.
    pub updated_at: Option<String>,
    /// Why it does not go on.
    pub error: Option<String>,
}

/// The versions there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The one that is read.
    pub active: Option<Version>,
    /// The one to go back to.
    pub previous: Option<Version>,
    /// The one that was begun last: active, or being filled, or left over by somebody who died.
    pub latest: Option<Version>,
    /// Its tag, even if it is too broken to be a version.
    pub latest_tag: Option<Tag>,
}

/// A version and a place in the log that it is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub tag: Tag,
    pub position: u64,
    pub mark: String,
}

impl Place {
    pub(super) fn of(version: &Version) -> Self {
        Self { tag: version.tag.clone(), position: version.position, mark: version.mark.clone() }
    }
}

/// Which version a writer believes it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// The active one.
    Live,
    /// One that is not active.
    Beside,
}

/// What became of an attempt to make a version active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switched {
    Done,
    /// The active one contains this position already.
    Behind(u64),
    /// It is not where the writer believes, or not to be made active any more.
    Refused,
}

/// A connection of somebody who writes.
pub(super) struct Store(pub(super) Connection);

impl Store {
    pub(super) async fn connect(server: &Server) -> Result<Self, Failure> {
        server.connect().await.map(Self)
    }

    pub(super) async fn state(&mut self) -> Result<State, Failure> {
        let found = script::STATE.run(&mut self.0, &[VERSIONS], |c| _ = c.arg(PREFIX), STEP_LIMIT).await?;
        let found = answer::list(found)?;
        let [active, previous, latest, latest_tag] = found.as_slice() else {
            return Err(answer::unexpected(&Value::Nil));
        };
        Ok(State {
            active: version(active)?,
            previous: version(previous)?,
            latest: version(latest)?,
            latest_tag: answer::optional(latest_tag)?.map(Tag::new),
        })
    }

    /// Begins a new version, empty, beside the others.
    pub(super) async fn begin(&mut self) -> Result<Place, Failure> {
        self.begin_if("*").await?.ok_or_else(|| answer::unexpected(&Value::Nil))
    }

    /// The same, unless somebody has begun another one since. `None`: look again.
    pub(super) async fn begin_after(&mut self, latest: Option<&Tag>) -> Result<Option<Place>, Failure> {
        self.begin_if(latest.map_or("", Tag::as_str)).await
    }

    async fn begin_if(&mut self, latest: &str) -> Result<Option<Place>, Failure> {
        let arguments = |c: &mut redis::Cmd| _ = c.arg(PREFIX).arg(SCHEMA_VERSION).arg(latest);
        let tag = script::BEGIN.run(&mut self.0, &[VERSIONS], arguments, STEP_LIMIT).await?;
        let place = |tag| Place { tag: Tag::new(tag), position: 0, mark: String::new() };
        Ok(answer::optional(&tag)?.map(place))
    }

    /// Applies what a batch changes and moves the version on. `false`: somebody else was here, look again.
    pub(super) async fn apply(
        &mut self,
        guard: Guard,
        from: &Place,
        (to, mark): (u64, &str),
        changes: &UnreadChanges,
        now: &str,
    ) -> Result<bool, Failure> {
        let tag = &from.tag;
        let keys = [VERSIONS, &tag.meta(), &tag.heads()];
        let guard = match guard {
            Guard::Live => "live",
            Guard::Beside => "beside",
        };
        let arguments = |command: &mut redis::Cmd| {
            command.arg(tag.as_str()).arg(tag.base()).arg(guard);
            command.arg(from.position).arg(&from.mark).arg(to).arg(mark).arg(now);
            write_changes(command, changes);
        };
        done(&script::APPLY.run(&mut self.0, &keys, arguments, STEP_LIMIT).await?)
    }

    /// Makes a version active, unless the active one is further.
    pub(super) async fn switch(&mut self, place: &Place) -> Result<Switched, Failure> {
        let keys = [VERSIONS, &place.tag.meta()];
        let arguments = |c: &mut redis::Cmd| {
            c.arg(PREFIX).arg(place.tag.as_str()).arg(place.position).arg(&place.mark);
        };
        let switched = answer::list(script::SWITCH.run(&mut self.0, &keys, arguments, STEP_LIMIT).await?)?;
        match switched.as_slice() {
            [Value::Int(1)] => Ok(Switched::Done),
            [Value::Int(2), live] => Ok(Switched::Behind(answer::number(live)?)),
            _ => Ok(Switched::Refused),
        }
    }

    /// Takes the active version away from the readers. `false`: it is another one, or elsewhere.
    pub(super) async fn condemn(&mut self, place: &Place) -> Result<bool, Failure> {
        let keys = [VERSIONS, &place.tag.meta()];
        let arguments = |c: &mut redis::Cmd| {
            c.arg(place.tag.as_str()).arg(place.position).arg(&place.mark);
        };
        done(&script::CONDEMN.run(&mut self.0, &keys, arguments, STEP_LIMIT).await?)
    }

    /// Gives up a version that is not active. `false`: it is.
    pub(super) async fn release(&mut self, tag: &Tag) -> Result<bool, Failure> {
        let arguments = |c: &mut redis::Cmd| _ = c.arg(tag.as_str());
        done(&script::RELEASE.run(&mut self.0, &[VERSIONS], arguments, STEP_LIMIT).await?)
    }

    /// Writes down why the active version does not go on.
    pub(super) async fn note(&mut self, tag: &Tag, error: &str) -> Result<bool, Failure> {
        let keys = [VERSIONS, &tag.meta()];
        let arguments = |c: &mut redis::Cmd| _ = c.arg(tag.as_str()).arg(error);
        done(&script::NOTE.run(&mut self.0, &keys, arguments, STEP_LIMIT).await?)
    }

    /// Removes all keys of versions that are neither active nor previous nor latest, in small steps.
    pub(super) async fn sweep(&mut self) -> Result<(), Failure> {
        let state = self.state().await?;
        let needed: Vec<Tag> = [state.active, state.previous]
            .into_iter()
            .flatten()
            .map(|v| v.tag)
            .chain(state.latest_tag)
            .collect();
        let mut cursor = None;
        loop {
            let (keys, next) = self.look(PREFIX, cursor).await?;
            let mut by_tag: BTreeMap<Tag, Vec<Vec<u8>>> = BTreeMap::new();
            for key in keys {
                if let Some((tag, _)) = super::keys::parse(&key).filter(|(tag, _)| !needed.contains(tag)) {
                    by_tag.entry(tag).or_default().push(key);
                }
            }
            for (tag, keys) in by_tag {
                for chunk in keys.chunks(KEYS_PER_LOOK) {
                    let keys: Vec<&[u8]> =
                        std::iter::once(VERSIONS.as_bytes()).chain(chunk.iter().map(Vec::as_slice)).collect();
                    let arguments = |c: &mut redis::Cmd| _ = c.arg(tag.as_str());
                    script::UNLINK.run(&mut self.0, &keys, arguments, STEP_LIMIT).await?;
                }
            }
            if next.is_none() {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Some of the keys that begin like this, and where to look on, if anywhere. A key may come twice.
    pub(super) async fn look(
        &mut self,
        prefix: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<Vec<u8>>, Option<String>), Failure> {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor.as_deref().unwrap_or("0")).arg("MATCH").arg(format!("{prefix}*"));
        command.arg("COUNT").arg(KEYS_PER_LOOK);
        let found = answer::list(self.0.call_at(VERSIONS, command, STEP_LIMIT).await?)?;
        let [next, keys] = <[Value; 2]>::try_from(found).map_err(|_| answer::unexpected(&Value::Nil))?;
        let next = answer::text(&next)?;
        let keys = answer::list(keys)?;
        let keys = keys.iter().map(|key| answer::bytes(key).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
        Ok((keys, (next != "0").then_some(next)))
    }

    /// What Redis does when its memory is full, if it tells.
    pub(super) async fn eviction_policy(&mut self) -> Option<String> {
        let mut command = redis::cmd("INFO");
        command.arg("memory");
        let info = self.0.call_at(VERSIONS, command, STEP_LIMIT).await.ok()?;
        let info = match info {
            Value::VerbatimString { text, .. } => text,
            other => answer::text(&other).ok()?,
        };
        info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(|p| p.trim().to_owned())
    }
}

fn done(value: &Value) -> Result<bool, Failure> {
    answer::number(value).map(|number| number == 1)
}

fn version(found: &Value) -> Result<Option<Version>, Failure> {
    let Value::Array(fields) = found else { return Ok(None) };
    let [tag, position, mark, schema, updated_at, error] = fields.as_slice() else {
        return Err(answer::unexpected(&Value::Array(Vec::new())));
    };
    let written = answer::optional(position)?;
    let position = written.as_ref().and_then(|position| position.parse::<u64>().ok());
    // Nonsense there is as good as no version. The scripts compare it as text.
    let Some(position) = position.filter(|position| written == Some(position.to_string())) else {
        return Ok(None);
    };
    Ok(Some(Version {
        tag: Tag::new(answer::text(tag)?),
        position,
        mark: answer::optional(mark)?.unwrap_or_default(),
        schema: answer::optional(schema)?.and_then(|schema| schema.parse().ok()).unwrap_or_default(),
        updated_at: answer::optional(updated_at)?,
        error: answer::optional(error)?,
    }))
}
