//! The tests that every store has to pass, whatever keeps it.
//!
//! A store passes with [`assert_conforms`] in its own tests. The suite is itself tested with stores that are wrong on
//! purpose, each in one way: every one of them is found.

#![expect(
    clippy::unwrap_used,
    reason = "for tests only: a check that fails panics"
)]

use std::{
    any::Any,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use super::Store;

mod blocks;
mod concurrency;
mod driver;
mod erasures;
mod histories;
mod holds;
mod lifecycle;
mod lists;
mod model;
mod payments;
pub(crate) mod samples;
mod startup;
mod units;
mod updates;

/// Where one store is kept, and what can be done to it from outside.
pub trait StoreHome: Send + Sync {
    /// Opens the store: an empty one the first time, and after that the one that was opened before. All handles of that
    /// one have been dropped.
    fn open(&self) -> Arc<dyn Store>;

    /// Whether a store that is opened again has what was committed before.
    fn is_durable(&self) -> bool;

    /// Keeps units from becoming durable until the guard is dropped. `None` if the home cannot do that.
    fn hold_writes(&self) -> Option<Box<dyn Any>> {
        None
    }

    /// Makes the store unavailable until the guard is dropped. `None` if the home cannot do that.
    fn interrupt(&self) -> Option<Box<dyn Any>> {
        None
    }
}

/// A check that a store has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The name of the check.
    pub check: &'static str,
    /// What was found.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.message)
    }
}

type Check = fn(&dyn StoreHome);

macro_rules! checks {
    ($($module:ident: $($name:ident),+;)+) => {
        const CHECKS: &[(&str, Check)] = &[$($((stringify!($name), $module::$name)),+),+];
    };
}

checks! {
    units:
        a_unit_is_there_when_its_future_is_ready,
        a_unit_is_written_whole,
        a_stale_unit_writes_nothing,
        a_stale_unit_leaves_the_others_alone,
        a_dropped_future_does_not_cancel_its_unit,
        what_is_not_durable_is_not_seen,
        a_request_is_answered_as_it_was,
        nothing_is_written_during_an_outage,
        orders_are_counted;
    lists:
        the_orders_of_a_user_are_listed_newest_first,
        orders_are_listed_by_time_newest_first,
        orders_are_listed_by_slot_newest_first,
        orders_are_listed_by_visit_newest_first,
        places_are_in_the_order_of_the_commits,
        orders_are_listed_by_id_as_asked,
        what_may_not_be_seen_is_not_listed,
        a_list_is_read_no_further_than_wanted,
        a_list_goes_on_where_it_was_broken_off;
    payments:
        an_intent_is_pending_until_its_payment_has_ended,
        failed_attempts_are_counted;
    holds:
        a_hold_is_replaced_when_it_is_placed_again,
        a_hold_stays_readable_after_its_end,
        an_ended_hold_is_placed_anew,
        each_of_many_holds_is_as_it_ended_last,
        a_hold_has_no_answers;
    startup:
        an_empty_store_has_nothing,
        claims_are_added_up,
        holds_that_have_not_ended_are_recovered,
        holds_are_recovered_in_the_order_of_their_last_placement,
        prices_replace_those_of_the_same_ids,
        slots_are_forgotten_up_to_the_latest_time;
    erasures:
        an_erased_person_is_in_no_order,
        an_erased_request_is_still_recognized,
        orders_after_an_erasure_are_kept,
        everything_of_a_person_is_exported,
        visits_are_erased_by_their_end,
        an_erased_order_leaves_the_others_of_its_person;
    updates:
        an_update_is_seen_by_every_read,
        a_stale_update_writes_nothing,
        a_history_is_whole_and_newest_first,
        released_spots_are_free_after_a_restart,
        orders_with_work_are_recovered,
        updates_of_one_order_at_once_are_written_in_turn,
        an_erasure_reaches_updates,
        an_order_that_begins_with_work_is_recovered_until_it_is_updated;
    blocks:
        the_last_block_of_a_slot_is_recovered,
        a_history_of_blocks_is_whole_and_newest_first,
        blocks_of_forgotten_slots_are_forgotten;
    lifecycle:
        changes_of_the_lifecycle_are_kept,
        answers_to_erasures_are_kept,
        placed_orders_are_counted_by_their_revision,
        a_stale_publication_writes_nothing,
        publications_at_once_are_written_in_turn,
        states_in_use_are_those_of_the_newest_updates,
        an_order_that_began_otherwise_is_in_use_by_its_own_states,
        attempts_at_open_steps_are_recovered;
    concurrency:
        one_of_many_orders_of_a_token_is_placed,
        one_of_many_renewals_of_a_hold_is_placed,
        of_many_units_at_once_each_is_there_once,
        a_unit_is_never_seen_in_part,
        calls_that_overlap_have_an_order;
    histories:
        any_history_is_that_of_the_model;
}

/// Runs every check on a new home.
///
/// # Panics
/// If the store fails some of them, with all failures.
pub fn assert_conforms(home: &dyn Fn() -> Box<dyn StoreHome>) {
    let failures = failures(home);
    let lines: Vec<_> = failures.iter().map(Failure::to_string).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

/// Runs every check on a new home, and returns those that failed.
pub fn failures(home: &dyn Fn() -> Box<dyn StoreHome>) -> Vec<Failure> {
    let results = CHECKS
        .iter()
        .map(|(name, check)| failure(name, *check, &*home()));
    results.flatten().collect()
}

fn failure(name: &'static str, check: Check, home: &dyn StoreHome) -> Option<Failure> {
    let panic = panic::catch_unwind(AssertUnwindSafe(|| check(home))).err()?;
    Some(Failure {
        check: name,
        message: message_of(&*panic),
    })
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(ToString::to_string);
    let formatted = || panic.downcast_ref::<String>().cloned();
    literal
        .or_else(formatted)
        .unwrap_or_else(|| "a panic".to_owned())
}

#[cfg(test)]
mod tests;
