//! The suite on stores that keep the port, and on stores that are wrong on purpose.

use super::{CHECKS, Failure, StoreHome, assert_conforms, failure};

mod memory;
mod queued;
mod wrong;

use wrong::{Fault, WrongHome};

#[test]
fn the_store_in_memory_conforms() {
    assert_conforms(&|| Box::<memory::MemoryHome>::default());
}

#[test]
fn a_store_that_answers_later_conforms() {
    assert_conforms(&|| Box::<queued::QueuedHome>::default());
}

#[test]
fn a_store_that_begins_anew_conforms() {
    assert_conforms(&|| Box::new(memory::Forgetful));
}

fn failure_of(name: &str, home: &dyn StoreHome) -> Option<Failure> {
    let (name, check) = CHECKS.iter().find(|(check, _)| *check == name).unwrap();
    failure(name, *check, home)
}

#[test]
fn every_wrong_store_is_found() {
    assert_conforms(&|| Box::new(WrongHome::with(Fault::None)));
    for (fault, check) in FAULTS {
        let failure = failure_of(check, &WrongHome::with(fault));
        assert!(failure.is_some(), "{fault:?} is not found by {check}");
    }
    let seen_early = failure_of(
        "what_is_not_durable_is_not_seen",
        &queued::QueuedHome::hasty(),
    );
    assert!(seen_early.is_some(), "a unit is seen before it is durable");
}

/// What is wrong with a store, and the check that finds it.
const FAULTS: [(Fault, &str); 101] = [
    (Fault::PreconditionsIgnored, "a_stale_unit_writes_nothing"),
    (
        Fault::PreconditionsIgnored,
        "one_of_many_orders_of_a_token_is_placed",
    ),
    (
        Fault::PreconditionsIgnored,
        "one_of_many_renewals_of_a_hold_is_placed",
    ),
    (
        Fault::PreconditionsIgnored,
        "calls_that_overlap_have_an_order",
    ),
    (Fault::StaleUnitsWritten, "a_stale_unit_writes_nothing"),
    (
        Fault::StaleUnitsPoison,
        "a_stale_unit_leaves_the_others_alone",
    ),
    (Fault::LastWriteLost, "a_unit_is_written_whole"),
    (
        Fault::WrittenWhenPolled,
        "a_dropped_future_does_not_cancel_its_unit",
    ),
    (Fault::SeenLate, "a_unit_is_there_when_its_future_is_ready"),
    (Fault::SeenLate, "calls_that_overlap_have_an_order"),
    (Fault::SeenInPart, "a_unit_is_never_seen_in_part"),
    (
        Fault::LateUnitsLost,
        "of_many_units_at_once_each_is_there_once",
    ),
    (Fault::FingerprintLost, "a_request_is_answered_as_it_was"),
    (
        Fault::OldestFirst,
        "the_orders_of_a_user_are_listed_newest_first",
    ),
    (Fault::OldestFirst, "orders_are_listed_by_time_newest_first"),
    (
        Fault::SortedByClock,
        "orders_are_listed_by_time_newest_first",
    ),
    (
        Fault::UntilIncluded,
        "orders_are_listed_by_time_newest_first",
    ),
    (
        Fault::VisitsReversed,
        "orders_are_listed_by_visit_newest_first",
    ),
    (
        Fault::VisitUntilIncluded,
        "orders_are_listed_by_visit_newest_first",
    ),
    (
        Fault::DurationIgnored,
        "orders_are_listed_by_slot_newest_first",
    ),
    (
        Fault::PlacesReversed,
        "places_are_in_the_order_of_the_commits",
    ),
    (Fault::IdsRepeated, "orders_are_listed_by_id_as_asked"),
    (Fault::IdsSorted, "orders_are_listed_by_id_as_asked"),
    (Fault::FilterIgnored, "what_may_not_be_seen_is_not_listed"),
    (Fault::BreakIgnored, "a_list_is_read_no_further_than_wanted"),
    (
        Fault::PlaceIgnored,
        "a_list_goes_on_where_it_was_broken_off",
    ),
    (
        Fault::IntentStays,
        "an_intent_is_pending_until_its_payment_has_ended",
    ),
    (Fault::AttemptsForgotten, "failed_attempts_are_counted"),
    (Fault::AttemptsLostAtRestart, "failed_attempts_are_counted"),
    (
        Fault::FirstEndStays,
        "each_of_many_holds_is_as_it_ended_last",
    ),
    (
        Fault::HoldNotConsumed,
        "a_hold_stays_readable_after_its_end",
    ),
    (
        Fault::EndedHoldForgotten,
        "a_hold_stays_readable_after_its_end",
    ),
    (Fault::AnswersKept, "a_hold_has_no_answers"),
    (
        Fault::FirstRevisionStays,
        "a_hold_is_replaced_when_it_is_placed_again",
    ),
    (Fault::ReleasesLostAtRestart, "an_ended_hold_is_placed_anew"),
    (
        Fault::EndedHoldsRecovered,
        "holds_that_have_not_ended_are_recovered",
    ),
    (
        Fault::HoldsRecoveredById,
        "holds_are_recovered_in_the_order_of_their_last_placement",
    ),
    (Fault::ClaimsNotAddedUp, "claims_are_added_up"),
    (
        Fault::PricesReplaced,
        "prices_replace_those_of_the_same_ids",
    ),
    (
        Fault::ForgottenGoesBack,
        "slots_are_forgotten_up_to_the_latest_time",
    ),
    (
        Fault::LastUnitLostAtRestart,
        "any_history_is_that_of_the_model",
    ),
    (Fault::FilterIgnored, "any_history_is_that_of_the_model"),
    (
        Fault::WritesDuringOutage,
        "nothing_is_written_during_an_outage",
    ),
    (
        Fault::OutageUnnoticed,
        "nothing_is_written_during_an_outage",
    ),
    (Fault::OrdersMiscounted, "orders_are_counted"),
    (Fault::ErasedStillListed, "an_erased_person_is_in_no_order"),
    (Fault::ErasedAnswersKept, "an_erased_person_is_in_no_order"),
    (Fault::ErasedCountedAgain, "an_erased_person_is_in_no_order"),
    (
        Fault::ErasuresLostAtRestart,
        "an_erased_person_is_in_no_order",
    ),
    (
        Fault::ErasuresLostAtRestart,
        "any_history_is_that_of_the_model",
    ),
    (Fault::ErasedStillListed, "any_history_is_that_of_the_model"),
    (
        Fault::ErasedTokenForgotten,
        "an_erased_request_is_still_recognized",
    ),
    (
        Fault::ErasuresRepeatedAtRestart,
        "orders_after_an_erasure_are_kept",
    ),
    (
        Fault::ExportOldestFirst,
        "everything_of_a_person_is_exported",
    ),
    (
        Fault::ExportWithoutPayments,
        "everything_of_a_person_is_exported",
    ),
    (Fault::ExportEndless, "everything_of_a_person_is_exported"),
    (Fault::VisitsOfTheirStart, "visits_are_erased_by_their_end"),
    (Fault::VisitsUnlimited, "visits_are_erased_by_their_end"),
    (Fault::UpdatesNotFound, "an_update_is_seen_by_every_read"),
    (Fault::UpdatesNotListed, "an_update_is_seen_by_every_read"),
    (Fault::UpdatesNotListed, "any_history_is_that_of_the_model"),
    (Fault::UpdatesReplay, "an_update_is_seen_by_every_read"),
    (
        Fault::UpdatesLostAtRestart,
        "an_update_is_seen_by_every_read",
    ),
    (
        Fault::UpdatesLostAtRestart,
        "any_history_is_that_of_the_model",
    ),
    (
        Fault::UpdatesPreconditionsIgnored,
        "a_stale_update_writes_nothing",
    ),
    (
        Fault::UpdatesPreconditionsIgnored,
        "any_history_is_that_of_the_model",
    ),
    (
        Fault::HistoryOldestFirst,
        "a_history_is_whole_and_newest_first",
    ),
    (
        Fault::HistoryOfNewest,
        "a_history_is_whole_and_newest_first",
    ),
    (Fault::HistoryEndless, "a_history_is_whole_and_newest_first"),
    (
        Fault::ReleasedStaySold,
        "released_spots_are_free_after_a_restart",
    ),
    (Fault::ReleasedStaySold, "any_history_is_that_of_the_model"),
    (
        Fault::UpdatesWithoutWorkRecovered,
        "orders_with_work_are_recovered",
    ),
    (Fault::WorkForgotten, "orders_with_work_are_recovered"),
    (
        Fault::PendingUpdatesUnseen,
        "updates_of_one_order_at_once_are_written_in_turn",
    ),
    (
        Fault::UpdatesPreconditionsIgnored,
        "updates_of_one_order_at_once_are_written_in_turn",
    ),
    (Fault::ErasedTextsKept, "an_erasure_reaches_updates"),
    (
        Fault::BlocksLostAtRestart,
        "the_last_block_of_a_slot_is_recovered",
    ),
    (
        Fault::FirstBlockCounts,
        "the_last_block_of_a_slot_is_recovered",
    ),
    (
        Fault::EndedBlocksRecovered,
        "the_last_block_of_a_slot_is_recovered",
    ),
    (
        Fault::BlocksOldestFirst,
        "a_history_of_blocks_is_whole_and_newest_first",
    ),
    (
        Fault::BlocksEndless,
        "a_history_of_blocks_is_whole_and_newest_first",
    ),
    (
        Fault::ForgottenBlocksRecovered,
        "blocks_of_forgotten_slots_are_forgotten",
    ),
    (
        Fault::BegunNotListed,
        "an_order_that_begins_with_work_is_recovered_until_it_is_updated",
    ),
    (
        Fault::BegunForgotten,
        "an_order_that_begins_with_work_is_recovered_until_it_is_updated",
    ),
    (Fault::BegunForgotten, "any_history_is_that_of_the_model"),
    (
        Fault::BegunStaysRecovered,
        "an_order_that_begins_with_work_is_recovered_until_it_is_updated",
    ),
    (
        Fault::OrderErasedWithItsUser,
        "an_erased_order_leaves_the_others_of_its_person",
    ),
    (
        Fault::ErasuresLostAtRestart,
        "an_erased_order_leaves_the_others_of_its_person",
    ),
    (
        Fault::LifecycleLostAtRestart,
        "changes_of_the_lifecycle_are_kept",
    ),
    (
        Fault::LifecycleOldestFirst,
        "changes_of_the_lifecycle_are_kept",
    ),
    (Fault::LifecycleEndless, "changes_of_the_lifecycle_are_kept"),
    (Fault::DraftsKept, "changes_of_the_lifecycle_are_kept"),
    (
        Fault::LifecyclePreconditionsIgnored,
        "a_stale_publication_writes_nothing",
    ),
    (
        Fault::LifecyclePreconditionsIgnored,
        "publications_at_once_are_written_in_turn",
    ),
    (
        Fault::StatesOfAllUpdates,
        "states_in_use_are_those_of_the_newest_updates",
    ),
    (
        Fault::StatesOfBeginningsIgnored,
        "an_order_that_began_otherwise_is_in_use_by_its_own_states",
    ),
    (
        Fault::StatesOfTimersCounted,
        "states_in_use_are_those_of_the_newest_updates",
    ),
    (
        Fault::PlacedUnderNewestRevision,
        "placed_orders_are_counted_by_their_revision",
    ),
    (
        Fault::ErasureAnswersForgotten,
        "answers_to_erasures_are_kept",
    ),
    (
        Fault::AttemptsAtStepsForgotten,
        "attempts_at_open_steps_are_recovered",
    ),
    (
        Fault::AttemptsAtEndedStepsRecovered,
        "attempts_at_open_steps_are_recovered",
    ),
];
