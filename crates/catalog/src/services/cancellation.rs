//! Refund terms of a service, in the feed its cancellation policy.

use std::{cmp::Reverse, collections::HashSet};

use domain::{
    money::Percent,
    refunds::{RefundCondition, RefundTerms},
    time::Seconds,
};

use crate::{
    diagnostics::Cursor,
    ignored,
    json::{Field, elements, message},
};

/// Most conditions of one service: every order that is charged has those of its items on record.
const MAX_CONDITIONS: usize = 100;

message! {
    /// What is given back to a customer who cancels.
    watched CancellationPolicy {
        refund_condition: Vec<Field<ConditionEntry>>,
    }
}

message! {
    /// The part of the price that is given back if the item is cancelled this long before its start.
    watched ConditionEntry {
        min_duration_before_start_time_sec: i64,
        refund_percent: i64,
    }
}

/// The refund terms of a policy, the longest time first. A policy without conditions states no terms.
pub(super) fn read(policy: Field<CancellationPolicy>, at: &Cursor<'_>) -> RefundTerms {
    let CancellationPolicy {
        refund_condition,
        others,
    } = policy.optional(at).unwrap_or_default();
    ignored::warn_of_refunds(&others, "cancellation policy", at);
    let at = at.key("refund_condition");
    let list = elements(refund_condition, &at);
    if list.len() > MAX_CONDITIONS {
        let text = format!(
            "has {} conditions; expected {MAX_CONDITIONS} at most",
            list.len()
        );
        at.error("too_many", text);
    }
    let mut conditions = Vec::with_capacity(list.len());
    let mut durations = HashSet::new();
    for (index, entry) in list {
        let at = at.index(index);
        let Some(condition) = read_condition(entry, &at) else {
            continue;
        };
        let least = condition.min_before_start;
        if !durations.insert(least) {
            let text = format!("is {least}, as in another condition of the policy");
            at.key("min_duration_before_start_time_sec")
                .error("duplicate", text);
        }
        conditions.push(condition);
    }
    // One order for all, so that services with the same conditions share them.
    conditions.sort_by_key(|condition: &RefundCondition| Reverse(condition.min_before_start));
    warn_of_late_gain(&conditions, &at);
    if conditions.is_empty() {
        // Exporters write an empty message for one that is not set. Money is not guessed from it.
        return RefundTerms::Unstated;
    }
    RefundTerms::Stated(conditions.into())
}

/// A condition, unless one of its numbers is invalid.
fn read_condition(entry: ConditionEntry, at: &Cursor<'_>) -> Option<RefundCondition> {
    let ConditionEntry {
        min_duration_before_start_time_sec: duration,
        refund_percent,
        others,
    } = entry;
    ignored::warn_of_refunds(&others, "refund condition", at);
    let duration_at = at.key("min_duration_before_start_time_sec");
    let duration = number(duration, &duration_at).map(Seconds::new);
    if let Some(duration) = duration
        && duration < Seconds::ZERO
    {
        let text = format!("is {duration}; expected a number of seconds, not below zero");
        duration_at.error("out_of_range", text);
    }
    let percent_at = at.key("refund_percent");
    let percent = number(refund_percent, &percent_at)?;
    let within = u8::try_from(percent).ok().and_then(Percent::new);
    if within.is_none() {
        let text = format!("expected 0 to 100 per cent, found {percent}");
        percent_at.error("out_of_range", text);
    }
    Some(RefundCondition {
        min_before_start: duration?,
        percent: within?,
    })
}

/// A number; 0 if absent, the default of protobuf.
fn number(field: Field<i64>, at: &Cursor<'_>) -> Option<i64> {
    if field.is_absent() {
        Some(0)
    } else {
        // An invalid one is not 0, or it would be a duplicate of a real 0.
        field.optional(at)
    }
}

/// Warns where cancelling later gives back more. `conditions` are in order, the longest time first.
fn warn_of_late_gain(conditions: &[RefundCondition], at: &Cursor<'_>) {
    for pair in conditions.windows(2) {
        let (early, late) = (pair[0], pair[1]);
        if early.percent < late.percent {
            let text = format!(
                "gives back {} % until {} s before the start, and more, {} %, until {} s before it",
                early.percent.get(),
                early.min_before_start,
                late.percent.get(),
                late.min_before_start
            );
            // Once a policy is enough: the first pair says what is wrong with it.
            return at.warning("late_refund_higher", text);
        }
    }
}
