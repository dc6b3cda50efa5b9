//! Warnings about single entries: valid, and perhaps not intended.

use crate::diagnostics::Cursor;
use domain::{
    catalog::Service,
    slot::{Opening, Recurrence, SlotTerms},
    time::{EpochSeconds, Seconds},
};

/// Warns about an entry of `service`. The warnings do not depend on the time of day.
pub(super) fn warn(service: &Service, opening: &Opening, at: &Cursor<'_>) {
    if let Some(recurrence) = &opening.recurrence {
        warn_of_recurrence(opening, recurrence, at);
    }
    if let Some(terms) = &opening.terms {
        warn_of_terms(service, opening, terms, at);
    }
}

fn warn_of_recurrence(opening: &Opening, recurrence: &Recurrence, at: &Cursor<'_>) {
    let Recurrence {
        every,
        until_sec: _,
        except,
    } = recurrence;
    let duration = Seconds::from(opening.first.duration_sec);
    // Allowed, because a restaurant seats guests every quarter of an hour for two hours.
    if *every < duration {
        at.key("recurrence").key("repeat_every_sec").warning(
            "overlapping_recurrence",
            format!("is {every}, below the duration of {duration} s: the slots overlap in time"),
        );
    }
    let all = Recurrence {
        except: Vec::new(),
        ..*recurrence
    };
    let all = Opening {
        recurrence: Some(Box::new(all)),
        ..opening.clone()
    };
    let exceptions = at.key("schedule_exception");
    for (index, &(begin, end)) in except.iter().enumerate() {
        // A slot that ends when the range begins is not in it.
        let from = begin.saturating_sub(duration).saturating_add(Seconds::ONE);
        if all.starts(from, end).next().is_none() {
            let text = format!("from {begin} to {end} there is no slot that this could leave out");
            exceptions.index(index).warning("idle_exception", text);
        }
    }
    if has_no_slot(&all, except) {
        exceptions.warning("no_slot_left", "leaves out every slot of the entry");
    }
}

/// Whether exceptions leave no slot of a recurring opening. Steps from exception to exception and not from
/// slot to slot, of which there may be any number.
fn has_no_slot(all: &Opening, except: &[(EpochSeconds, EpochSeconds)]) -> bool {
    let mut except = except.to_vec();
    // In order, so that each exception only has to reach the next start.
    except.sort_unstable();
    let mut from = all.first.start_sec;
    for (begin, end) in except {
        match all.starts(from, EpochSeconds::MAX).next() {
            None => return true,
            Some(start) if start.saturating_add(all.first.duration_sec.into()) <= begin => {
                return false;
            }
            Some(_) => from = from.max(end),
        }
    }
    all.starts(from, EpochSeconds::MAX).next().is_none()
}

fn warn_of_terms(service: &Service, opening: &Opening, terms: &SlotTerms, at: &Cursor<'_>) {
    let start_sec = opening.first.start_sec;
    let SlotTerms {
        first_bookable_sec,
        last_bookable_sec,
        tags: _,
        parties: _,
        confirmation: _,
    } = *terms;
    let at = at.key("scheduling_rule_overrides");
    // Only the service's booking window can open a slot after its start.
    if let Some(last) = last_bookable_sec.filter(|last| *last > start_sec) {
        let text = format!("is {last}, after the start at {start_sec}, and is not heeded");
        at.key("last_bookable_sec")
            .warning("late_last_bookable", text);
    }
    let closes = service.closes_at(opening.first, terms);
    if let Some(first) = first_bookable_sec.filter(|first| *first > closes) {
        let text =
            format!("is {first}, but booking closes at {closes}: the slot can never be booked");
        at.key("first_bookable_sec").warning("never_bookable", text);
    }
}
