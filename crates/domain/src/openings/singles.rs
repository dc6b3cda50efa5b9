//! Single openings, packed into eight bytes each: there may be ten million of them.
//!
//! A row has the start, as seconds since the first start of the same service and duration, and the index of
//! a kind. All other values are in the kind, which openings share.

use indexmap::IndexSet;

use crate::{
    slot::{Opening, PassThroughIx, Pool, SlotKey, SlotTerms},
    time::EpochSeconds,
};

/// Single openings, in the order of their slots.
#[derive(Debug, Default)]
pub(super) struct Singles {
    runs: Vec<Run>,
    rows: Vec<Row>,
    kinds: Box<[Kind]>,
}

/// Rows of one service and duration whose starts are at most `u32::MAX` seconds after the first one.
#[derive(Debug)]
struct Run {
    first: SlotKey,
    /// The index of its first row; its rows end where those of the next run begin.
    begin: usize,
}

#[derive(Debug)]
struct Row {
    /// Seconds from the first start of its run.
    later_sec: u32,
    kind: u32,
}

/// The values of an opening that others may share.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    pool: Pool,
    pass_through: PassThroughIx,
    /// The terms of a slot that starts at second 0.
    terms: Option<Box<SlotTerms>>,
}

/// An opening in its packed form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Single<'a> {
    pub(super) slot: SlotKey,
    kind: &'a Kind,
}

impl Singles {
    /// Packs single openings, which must be sorted by slot.
    pub(super) fn new(openings: Vec<Opening>) -> Self {
        let mut singles = Self {
            rows: Vec::with_capacity(openings.len()),
            ..Self::default()
        };
        // An index set gives every distinct kind one index, in one pass over the openings.
        let mut kinds = IndexSet::new();
        for opening in openings {
            let (slot, kind) = Kind::of(opening);
            let (kind, _) = kinds.insert_full(kind);
            let kind =
                u32::try_from(kind).expect("memory ends before four billion kinds of openings do");
            let later_sec = singles.place(slot);
            singles.rows.push(Row { later_sec, kind });
        }
        // Rows have their exact capacity from the start; the number of runs was unknown.
        singles.runs.shrink_to_fit();
        singles.kinds = kinds.into_iter().collect();
        singles
    }

    /// The seconds from the first start of the last run. A slot that does not fit that run begins another.
    fn place(&mut self, slot: SlotKey) -> u32 {
        let later_sec = self.runs.last().and_then(|run| run.later_sec(slot));
        later_sec.unwrap_or_else(|| {
            self.runs.push(Run {
                first: slot,
                begin: self.rows.len(),
            });
            0
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Single<'_>> {
        let ends = self
            .runs
            .iter()
            .skip(1)
            .map(|run| run.begin)
            // A run ends where the next one begins, so runs store one index and not two.
            .chain([self.rows.len()]);
        self.runs.iter().zip(ends).flat_map(|(run, end)| {
            let single = |row: &Row| Single {
                slot: run.slot(row),
                kind: &self.kinds[row.kind as usize],
            };
            self.rows[run.begin..end].iter().map(single)
        })
    }

    /// The openings of a slot.
    pub(super) fn of(&self, slot: SlotKey) -> impl Iterator<Item = Single<'_>> {
        // Runs are sorted, so only the last one that begins no later can have the slot.
        let after = self.runs.partition_point(|run| run.first <= slot);
        let found = after
            .checked_sub(1)
            .and_then(|at| Some((at, self.runs[at].later_sec(slot)?)));
        let rows = found.map_or(&[][..], |(at, later_sec)| {
            let end = self
                .runs
                .get(at + 1)
                .map_or(self.rows.len(), |run| run.begin);
            let rows = &self.rows[self.runs[at].begin..end];
            // Rows of a run are sorted by start: two binary searches give all openings of the slot.
            let begin = rows.partition_point(|row| row.later_sec < later_sec);
            let same = rows[begin..].partition_point(|row| row.later_sec == later_sec);
            &rows[begin..begin + same]
        });
        rows.iter().map(move |row| Single {
            slot,
            kind: &self.kinds[row.kind as usize],
        })
    }

    /// The number of slots.
    pub(super) fn slots(&self) -> usize {
        let mut last = None;
        self.iter()
            .filter(|single| last.replace(single.slot) != Some(single.slot))
            .count()
    }
}

impl Run {
    fn later_sec(&self, slot: SlotKey) -> Option<u32> {
        // Service and duration must be equal as well: keys differ in three members.
        let same_start = SlotKey {
            start_sec: self.first.start_sec,
            ..slot
        };
        let later = slot.start_sec.since(self.first.start_sec);
        if same_start == self.first {
            u32::try_from(later.get()).ok()
        } else {
            None
        }
    }

    fn slot(&self, row: &Row) -> SlotKey {
        SlotKey {
            start_sec: self.first.start_sec.saturating_add(row.later_sec.into()),
            ..self.first
        }
    }
}

impl Kind {
    fn of(opening: Opening) -> (SlotKey, Self) {
        let Opening {
            first: slot,
            pool,
            terms,
            recurrence: _,
            pass_through,
        } = opening;
        // Wrapping, not saturating: the inverse in `unpacked` then restores every second, also extreme ones.
        let from_start =
            |at: EpochSeconds| EpochSeconds::new(at.get().wrapping_sub(slot.start_sec.get()));
        let terms = terms.map(|terms| Box::new(terms.moved(from_start)));
        (
            slot,
            Self {
                pool,
                pass_through,
                terms,
            },
        )
    }
}

impl Single<'_> {
    /// The opening that was packed.
    pub(super) fn unpacked(self) -> Opening {
        let Self {
            slot: first,
            kind:
                Kind {
                    pool,
                    pass_through,
                    terms,
                },
        } = self;
        // The inverse of `from_start` in `Kind::of`: wrapping both times restores every value.
        let to_moment = |from_start: EpochSeconds| {
            EpochSeconds::new(first.start_sec.get().wrapping_add(from_start.get()))
        };
        let terms = terms.as_ref().map(|terms| Box::new(terms.moved(to_moment)));
        Opening {
            first,
            pool: *pool,
            terms,
            recurrence: None,
            pass_through: *pass_through,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::{
        catalog::{ServiceIx, TagIx},
        slot::{Confirmation, PartySpots, PoolTickets, ResourceIx},
    };

    /// Moments close together, about as far from one another as can be distinguished in a run, and any.
    fn any_moment() -> impl Strategy<Value = EpochSeconds> {
        let far = i64::from(u32::MAX);
        prop_oneof![0..4_i64, far - 2..far + 4, any::<i64>()].prop_map(EpochSeconds::new)
    }

    prop_compose! {
        fn any_terms()(
            first_bookable_sec in option::of(any_moment()),
            last_bookable_sec in option::of(any_moment()),
            tag in option::of(any::<u16>().prop_map(TagIx)),
            party_size in option::of(0..3_u32),
            confirmation in prop_oneof![Just(Confirmation::AtOnce), Just(Confirmation::ByMerchant)],
        ) -> SlotTerms {
            let party = |party_size| PartySpots {
                tickets: PoolTickets::All,
                resource: ResourceIx(1),
                party_size,
                spots: 1,
            };
            let parties = party_size.map(party).into_iter().collect();
            SlotTerms { first_bookable_sec, last_bookable_sec, tags: Vec::from_iter(tag), parties, confirmation }
        }
    }

    prop_compose! {
        fn any_single()(
            service in prop_oneof![0..2_u32, any::<u32>()],
            duration_sec in prop_oneof![1..3_u32, any::<u32>()],
            start_sec in any_moment(),
            set: Option<u16>,
            allotment in prop_oneof![0..2_u32, any::<u32>()],
            terms in any_terms(),
            pass_through in prop_oneof![0..2_u32, any::<u32>()],
        ) -> Opening {
            Opening {
                first: SlotKey { service: ServiceIx(service), duration_sec: duration_sec.into(), start_sec },
                pool: Pool { tickets: set.map_or(PoolTickets::All, PoolTickets::Set), allotment },
                terms: terms.boxed(),
                recurrence: None,
                pass_through: PassThroughIx(pass_through),
            }
        }
    }

    fn in_order(mut openings: Vec<Opening>) -> Vec<Opening> {
        openings.sort_by_key(|opening| opening.first);
        openings
    }

    fn unpacked(singles: &Singles) -> Vec<Opening> {
        singles.iter().map(Single::unpacked).collect()
    }

    proptest! {
        #[test]
        fn openings_come_out_as_they_were_put_in(openings in vec(any_single(), 0..24).prop_map(in_order)) {
            let singles = Singles::new(openings.clone());
            let mut slots: Vec<SlotKey> = openings.iter().map(|opening| opening.first).collect();
            slots.dedup();
            prop_assert_eq!(singles.slots(), slots.len());
            for slot in slots {
                let of_slot: Vec<_> = singles.of(slot).map(Single::unpacked).collect();
                let expected: Vec<_> = openings.iter().filter(|it| it.first == slot).cloned().collect();
                prop_assert_eq!(of_slot, expected);
                let other = SlotKey { start_sec: EpochSeconds::new(slot.start_sec.get().wrapping_add(1)), ..slot };
                let is_there = openings.iter().any(|opening| opening.first == other);
                prop_assert_eq!(singles.of(other).next().is_some(), is_there);
            }
            prop_assert_eq!(unpacked(&singles), openings);
        }
    }

    fn single(start_sec: EpochSeconds, last_bookable_sec: Option<EpochSeconds>) -> Opening {
        Opening {
            first: SlotKey {
                service: ServiceIx(0),
                duration_sec: 900.into(),
                start_sec,
            },
            pool: Pool {
                tickets: PoolTickets::All,
                allotment: 5,
            },
            terms: SlotTerms {
                last_bookable_sec,
                ..SlotTerms::default()
            }
            .boxed(),
            recurrence: None,
            pass_through: PassThroughIx(3),
        }
    }

    #[test]
    fn what_does_not_fit_into_a_row_begins_another_run() {
        let far = i64::from(u32::MAX);
        for (starts, runs) in [
            (&[0, far][..], 1),
            (&[0, far + 1], 2),
            (&[-far, 0, far], 2),
            (&[i64::MIN, i64::MAX], 2),
            (&[i64::MAX - far, i64::MAX], 1),
        ] {
            let openings: Vec<Opening> = starts
                .iter()
                .map(|&start| single(EpochSeconds::new(start), None))
                .collect();
            let singles = Singles::new(openings.clone());
            assert_eq!(singles.runs.len(), runs, "{starts:?}");
            assert_eq!(unpacked(&singles), openings);
        }
    }

    #[test]
    fn openings_that_differ_in_their_starts_alone_take_eight_bytes_each() {
        let an_hour_before = (0..100)
            .map(|at| {
                single(
                    EpochSeconds::new(900 * at),
                    Some(EpochSeconds::new(900 * at - 3600)),
                )
            })
            .collect();
        let singles = Singles::new(an_hour_before);
        assert_eq!((singles.runs.len(), singles.kinds.len()), (1, 1));
        assert_eq!((singles.rows.capacity(), size_of::<Row>()), (100, 8));
    }
}
