//! The bounds of the bus.

use std::time::Duration;

/// Most commands that wait in one shard; one more is answered `overloaded` at once.
pub const QUEUE_MAX: usize = 4_096;
/// Most commands of one batch.
pub const BATCH_MAX: usize = 512;
/// Most steps of one intent.
pub const STEPS_MAX: usize = 256;
/// Most steps of one append, unless a single intent has more. Intents of one step never come to it.
pub const BATCH_STEPS_MAX: usize = 2 * BATCH_MAX;
/// How often a batch that lost a race for a stream is decided again before its commands are answered `conflict`.
pub const CONFLICT_RETRIES: usize = 8;
/// After this many lost races in a row a batch asks for a turn of its own, if the log has turns: of two nodes that write
/// without pause into one room, the one that is quicker by a little would win every time.
pub(super) const TURN_AFTER: usize = 2;
/// For so long after another writer was last seen in such a stream each batch with it asks for a turn at once: losing
/// costs more than waiting.
pub(super) const CONTENDED_FOR: Duration = Duration::from_secs(1);
/// Most streams of one shard that are remembered for that.
pub(super) const CONTENDED_MAX: usize = 1_024;
/// How long a caller waits for an answer. Later, the outcome is unknown to it.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// Most shards; more only make batches smaller, for the log commits one at a time anyway.
const SHARDS_MAX: usize = 8;
/// How long a look at an aggregate is content with what this node remembers of it, though another node may have written
/// meanwhile. Commands never are: the append finds out.
pub const INSPECTION_TRUST: Duration = Duration::from_secs(1);
/// Most that one shard keeps in its cache, in units of about 100 bytes: some 100 MB.
pub const CACHE_WEIGHT_MAX: usize = 1_000_000;
/// A snapshot is due this many events after the last one, or four times the aggregate's weight if that is more: what
/// snapshots cost stays a small share of what events cost, also in a room of many members.
pub const SNAPSHOT_EVERY: u64 = 1_000;

/// The bounds of one bus. The defaults are the constants beside it; tests make them small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Shards; at least 1. By default one for each processor, 2 to 8.
    pub shards: usize,
    /// Most commands that wait in one shard ([`QUEUE_MAX`]).
    pub queue: usize,
    /// Most commands of one batch ([`BATCH_MAX`]).
    pub batch: usize,
    /// Most that one shard keeps in its cache, in units of about 100 bytes ([`CACHE_WEIGHT_MAX`]).
    pub cache_weight: usize,
    /// Events after which a snapshot is due ([`SNAPSHOT_EVERY`]).
    pub snapshot_every: u64,
    /// How long a look is content with what is remembered ([`INSPECTION_TRUST`]).
    pub trust: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            shards: std::thread::available_parallelism().map_or(2, usize::from).clamp(2, SHARDS_MAX),
            queue: QUEUE_MAX,
            batch: BATCH_MAX,
            cache_weight: CACHE_WEIGHT_MAX,
            snapshot_every: SNAPSHOT_EVERY,
            trust: INSPECTION_TRUST,
        }
    }
}
