//! The contract of [`EventLog`]. `event_log_contract!(fixture)` runs all of it on one adapter; `fixture` is an expression
//! that gives a new [`Fixture`] on an empty log.

mod concurrency;
mod fixture;
mod model;
mod single;

pub use concurrency::*;
pub use fixture::*;
pub use model::*;
pub use single::*;

/// Makes a test of each case.
macro_rules! event_log_contract {
    ($fixture:expr) => {
        $crate::contract::contract!(event_log, $fixture;
            an_empty_log_has_nothing
            what_is_appended_is_read_back_to_the_byte
            reading_starts_after_and_stops_at_the_limit
            no_batch_is_larger_than_the_largest
            an_empty_append_changes_nothing
            a_sequence_is_taken_once
            an_idempotency_key_is_taken_once_in_the_whole_log
            an_append_with_a_conflict_leaves_nothing_and_no_gap
            events_are_found_by_their_keys
            streams_are_told_apart_by_type_and_id
            the_newest_snapshot_is_kept
            snapshots_share_the_fate_of_their_events
            a_megabyte_fits
            eight_writers_on_one_stream_leave_no_gap
            eight_writers_on_many_streams_leave_no_gap
            conflicts_in_a_crowd_hurt_nobody_else
            a_reader_at_the_tail_sees_each_event_once_in_order
            the_hint_moves_with_the_head
            a_second_handle_sees_and_is_seen
            nobody_is_before_who_has_the_turn
            a_turn_is_given_back
            any_history_is_what_a_simple_model_says
        );
    };
}
pub(crate) use event_log_contract;
