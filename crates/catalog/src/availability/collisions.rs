//! Collisions: recurring and single entries that start in the same second.
//!
//! Nothing is expanded. Whether two recurrences ever start in the same second is a matter of congruences;
//! exceptions are stepped over one by one. Entries that cannot meet are separated first, by their starts
//! modulo the greatest common divisor of all periods. The others are compared in the order of their first
//! starts, each with the entries that have not ended.

use domain::{
    slot::Opening,
    time::{EpochSeconds, Seconds},
};

/// Most pairs that are compared, beside a hundred for each entry. Real feeds have few pairs: entries that
/// overlap in time, have congruent starts and are kept apart by exceptions.
const MAX_COMPARISONS: usize = 5_000_000;

/// The number of pairs exceeds the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// The starts of one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starts<'a> {
    opening: &'a Opening,
    /// The index of the entry.
    pub(super) at: usize,
}

impl<'a> Starts<'a> {
    pub(super) fn of(at: usize, opening: &'a Opening) -> Self {
        Self { opening, at }
    }

    fn first(&self) -> EpochSeconds {
        self.opening.first.start_sec
    }

    fn last(&self) -> EpochSeconds {
        self.opening
            .recurrence
            .as_ref()
            .map_or(self.first(), |recurrence| recurrence.until_sec)
    }

    /// The time from one start to the next; none for a single one.
    fn every(&self) -> Seconds {
        self.opening
            .recurrence
            .as_ref()
            .map_or(Seconds::ZERO, |recurrence| {
                recurrence.every.max(Seconds::ZERO)
            })
    }

    fn exceptions(&self) -> &'a [(EpochSeconds, EpochSeconds)] {
        self.opening
            .recurrence
            .as_ref()
            .map_or(&[], |recurrence| &recurrence.except)
    }

    /// The first second in which both start.
    fn meets(&self, other: &Self) -> Option<EpochSeconds> {
        let (start, step) = common(self, other)?;
        let last = i128::from(self.last().min(other.last()).get());
        let mut except: Vec<_> = self
            .exceptions()
            .iter()
            .chain(other.exceptions())
            .copied()
            .collect();
        // Sorted, so that one pass over both lists finds the first start that neither excludes.
        except.sort_unstable();
        let duration = i128::from(Seconds::from(self.opening.first.duration_sec).get());
        let mut except = except.into_iter().peekable();
        let (mut start, mut excepted_until) = (start, i128::MIN);
        while start <= last {
            // Half-open ranges: an exception that begins when the slot ends does not touch it.
            while let Some((_, until)) =
                except.next_if(|&(from, _)| i128::from(from.get()) < start + duration)
            {
                excepted_until = excepted_until.max(until.get().into());
            }
            if excepted_until <= start {
                return i64::try_from(start).ok().map(EpochSeconds::new);
            }
            // Rounded up to the next common start: many starts may lie within one exception.
            start += (excepted_until - start + step - 1) / step * step;
        }
        None
    }
}

/// The first common start, if the recurrences had neither ends nor exceptions, and the seconds from one
/// common start to the next. The first common start is not before the later first start.
fn common(one: &Starts<'_>, other: &Starts<'_>) -> Option<(i128, i128)> {
    // 128 bits: products of two periods of 64 bits do not fit 64.
    let [(first, every), (other_first, other_every)]: [(i128, i128); 2] =
        [one, other].map(|starts| (starts.first().get().into(), starts.every().get().into()));
    let begin = first.max(other_first);
    match (every, other_every) {
        (0, 0) => (first == other_first).then_some((begin, 1)),
        // A single start lies on a step of the other, or the two never meet.
        (0, step) => (first == begin && (first - other_first) % step == 0).then_some((begin, step)),
        (step, 0) => {
            (other_first == begin && (other_first - first) % step == 0).then_some((begin, step))
        }
        (every, other_every) => {
            let (divisor, inverse) = extended_gcd(every, other_every);
            let apart = other_first - first;
            // The starts are never congruent, so the recurrences never meet.
            if apart % divisor != 0 {
                return None;
            }
            let modulus = other_every / divisor;
            // first + every * steps is congruent to other_first modulo other_every.
            // The inverse solves the congruence directly; `rem_euclid` gives the smallest solution that is
            // not negative.
            let steps = (apart / divisor % modulus * inverse).rem_euclid(modulus);
            let (meeting, step) = (first + every * steps, every * modulus);
            // The first solution may lie before the later start, so it moves on by whole steps.
            let late = (begin - meeting).max(0);
            Some((meeting + (late + step - 1) / step * step, step))
        }
    }
}

/// The greatest common divisor of two numbers above zero, and a factor of the first one that leaves it
/// as the rest modulo the other.
fn extended_gcd(one: i128, other: i128) -> (i128, i128) {
    let (mut rests, mut factors) = ((one, other), (1, 0));
    while rests.1 != 0 {
        let quotient = rests.0 / rests.1;
        rests = (rests.1, rests.0 - quotient * rests.1);
        factors = (factors.1, factors.0 - quotient * factors.1);
    }
    (rests.0, factors.0)
}

/// Calls `met` with every two entries that meet, and the second in which they do. Each entry is first
/// compared with the latest one that begins before it.
pub(super) fn each<'a>(
    entries: &mut [Starts<'a>],
    met: &mut impl FnMut(Starts<'a>, Starts<'a>, EpochSeconds),
) -> Result<(), TooMany> {
    // Parties of many sizes are many entries of one slot, each to be compared with the others.
    let mut comparisons = MAX_COMPARISONS + 100 * entries.len();
    within(entries, &mut comparisons, met)
}

fn within<'a>(
    entries: &mut [Starts<'a>],
    comparisons: &mut usize,
    met: &mut impl FnMut(Starts<'a>, Starts<'a>, EpochSeconds),
) -> Result<(), TooMany> {
    // Single entries have a period of 0, the neutral element of the divisor.
    let periods = entries.iter().map(|entry| entry.every().get());
    let divisor = periods.fold(0, gcd);
    if divisor > 0 && entries.len() > 1 {
        let rest = |entry: &Starts<'_>| entry.first().get().rem_euclid(divisor);
        entries.sort_unstable_by_key(rest);
        if rest(&entries[0]) != rest(&entries[entries.len() - 1]) {
            // Entries of different rests never meet, and those of one may have a larger divisor.
            return entries
                .chunk_by_mut(|one, other| rest(one) == rest(other))
                .try_for_each(|alike| within(alike, comparisons, met));
        }
    }
    entries.sort_unstable_by_key(|entry| (entry.first(), entry.at));
    let mut begun: Vec<Starts<'a>> = Vec::new();
    for entry in entries {
        // Entries are in order of their starts: what has ended can meet none of the rest.
        begun.retain(|known| known.last() >= entry.first());
        for known in begun.iter().rev() {
            *comparisons = comparisons.checked_sub(1).ok_or(TooMany)?;
            if let Some(start_sec) = known.meets(entry) {
                met(*known, *entry, start_sec);
            }
        }
        begun.push(*entry);
    }
    Ok(())
}

fn gcd(one: i64, other: i64) -> i64 {
    if other == 0 {
        one
    } else {
        gcd(other, one % other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use domain::{
        catalog::ServiceIx,
        slot::{PassThroughIx, Pool, PoolTickets, Recurrence, SlotKey},
    };

    /// Period, last start and exceptions.
    type Repeats = (i64, i64, Vec<(i64, i64)>);

    fn opening(start_sec: i64, recurrence: Option<Repeats>) -> Opening {
        Opening {
            first: SlotKey {
                service: ServiceIx(0),
                duration_sec: 3.into(),
                start_sec: EpochSeconds::new(start_sec),
            },
            pool: Pool {
                tickets: PoolTickets::All,
                allotment: 1,
            },
            terms: None,
            recurrence: recurrence.map(|(every_sec, until_sec, except)| {
                let except = except
                    .into_iter()
                    .map(|(begin, end)| (EpochSeconds::new(begin), EpochSeconds::new(end)))
                    .collect();
                Box::new(Recurrence {
                    every: Seconds::new(every_sec),
                    until_sec: EpochSeconds::new(until_sec),
                    except,
                })
            }),
            pass_through: PassThroughIx::default(),
        }
    }

    fn meetings(openings: &[Opening]) -> Vec<(usize, usize, EpochSeconds)> {
        let mut entries: Vec<Starts<'_>> = openings
            .iter()
            .enumerate()
            .map(|(at, it)| Starts::of(at, it))
            .collect();
        let mut found = Vec::new();
        each(&mut entries, &mut |one, other, at| {
            found.push((one.at.min(other.at), one.at.max(other.at), at));
        })
        .unwrap();
        found.sort_unstable();
        found
    }

    prop_compose! {
        fn any_opening()(
            start_sec in 1..60_i64,
            recurrence in option::of((1..40_i64, 0..200_i64, vec((0..200_i64, 1..60_i64), 0..3))),
        ) -> Opening {
            opening(start_sec, recurrence.map(|(every_sec, more, except)| {
                (every_sec, start_sec + more, except.into_iter().map(|(from, sec)| (from, from + sec)).collect())
            }))
        }
    }

    proptest! {
        #[test]
        fn meetings_are_those_of_the_starts_one_by_one(openings in vec(any_opening(), 0..7)) {
            let starts = |at: usize| openings[at].starts(EpochSeconds::new(0), EpochSeconds::new(1_000)).collect::<Vec<_>>();
            let mut expected = Vec::new();
            for other in 0..openings.len() {
                for one in 0..other {
                    let first = starts(one).into_iter().find(|start| starts(other).contains(start));
                    expected.extend(first.map(|start| (one, other, start)));
                }
            }
            expected.sort_unstable();
            prop_assert_eq!(meetings(&openings), expected);
        }
    }

    #[test]
    fn recurrences_to_the_end_of_time_are_not_gone_through() {
        let last = 253_402_300_799;
        let whole = |start, every| opening(start, Some((every, last, Vec::new())));
        assert_eq!(
            meetings(&[whole(1, 1), whole(2, 1)]),
            [(0, 1, EpochSeconds::new(2))]
        );
        assert_eq!(meetings(&[whole(1, 2), whole(2, 2)]), []);
        assert_eq!(meetings(&[whole(1, 100_003), whole(2, 99_991)]).len(), 1);
        assert_eq!(
            meetings(&[whole(1, last - 1), whole(last, 5)]),
            [(0, 1, EpochSeconds::new(last))]
        );
        // Every other week, and each of a year's exceptions is the other's turn.
        let except: Vec<_> = (0..10_000).map(|at| (1 + 20 * at, 4 + 20 * at)).collect();
        let often = opening(1, Some((10, 200_000, except)));
        assert_eq!(
            meetings(&[often.clone(), opening(1, Some((20, 200_000, vec![])))]),
            []
        );
        assert_eq!(
            meetings(&[often, opening(1, Some((30, 200_000, vec![])))]),
            [(0, 1, EpochSeconds::new(31))]
        );
    }

    #[test]
    fn too_many_overlapping_entries_are_an_error() {
        let all_excepted = |at: i64| opening(1 + at % 7, Some((1, 9_000, vec![(0, 10_000)])));
        let openings: Vec<Opening> = (0..50).map(all_excepted).collect();
        let mut entries: Vec<Starts<'_>> = openings
            .iter()
            .enumerate()
            .map(|(at, it)| Starts::of(at, it))
            .collect();
        for (mut comparisons, expected) in [(1_225, Ok(())), (1_224, Err(TooMany))] {
            let outcome = within(&mut entries, &mut comparisons, &mut |_, _, _| {
                panic!("none starts at all")
            });
            assert_eq!(outcome, expected);
        }
    }

    /// A year of quarters of an hour, each a series of its own, and as many single entries.
    #[test]
    fn many_entries_that_never_meet_are_hardly_compared() {
        let series =
            (0..2_000).map(|at| opening(1 + 300 * at, Some((604_800, 100_000_000, vec![]))));
        let singles = (0..20_000).map(|at| opening(2 + 300 * at, None));
        let openings: Vec<Opening> = series.chain(singles).collect();
        let mut entries: Vec<Starts<'_>> = openings
            .iter()
            .enumerate()
            .map(|(at, it)| Starts::of(at, it))
            .collect();
        let mut comparisons = 20_000;
        assert_eq!(
            within(&mut entries, &mut comparisons, &mut |_, _, _| panic!(
                "none meet"
            )),
            Ok(())
        );
    }
}
