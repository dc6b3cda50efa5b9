//! The openings of a catalogue, in the order of their slots. Exports and look-ups read them here; sales do
//! not.

use std::{
    borrow::{Borrow, Cow},
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    ops::Range,
};

use smallvec::SmallVec;

use super::{
    catalog::{Service, ServiceIx},
    slot::{Opening, PartySpots, Pool, Slot, SlotDuration, SlotKey, SlotTerms, Viewer},
    time::{EpochSeconds, Seconds},
};

mod singles;

use singles::{Single, Singles};

/// The openings of a catalogue.
#[derive(Debug, Default)]
pub struct Openings {
    singles: Singles,
    repeated: Vec<Opening>,
    /// The indexes of the recurring openings of a service and duration: a look-up of one slot must not scan
    /// all of them.
    repeated_of: HashMap<(ServiceIx, SlotDuration), Vec<usize>>,
}

/// A range of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Slots that are not over at this second,
    pub now: EpochSeconds,
    /// that start before this one,
    pub until: EpochSeconds,
    /// and, where they are repeated, before this one, too.
    pub repeated_until: EpochSeconds,
}

impl Span {
    /// The slots of a recurring opening in the span that start after `after`.
    fn keys(
        self,
        repeated: &Opening,
        after: Option<EpochSeconds>,
    ) -> impl Iterator<Item = SlotKey> {
        let Range {
            start: not_over,
            end,
        } = self.starts(repeated.first.duration_sec);
        // Each step searches from the last start: a recurrence is never expanded as a whole.
        let from = after.map_or(not_over, |after| after.saturating_add(Seconds::ONE));
        repeated
            .starts(from, end.min(self.repeated_until))
            .map(|start_sec| SlotKey {
                start_sec,
                ..repeated.first
            })
    }

    /// Whether the slot of a single opening is in the span.
    fn has(self, slot: SlotKey) -> bool {
        self.starts(slot.duration_sec).contains(&slot.start_sec)
    }

    /// The range of starts of slots with that duration that are not over.
    fn starts(self, duration_sec: SlotDuration) -> Range<EpochSeconds> {
        self.now
            .saturating_sub(duration_sec.into())
            .saturating_add(Seconds::ONE)..self.until
    }
}

/// A slot and its openings, in the order in which they add spots.
pub type MadeOf<'a> = (SlotKey, SmallVec<[Cow<'a, Opening>; 2]>);

impl Openings {
    /// Sorts openings by slot; openings of one slot stay in the order of the feed.
    #[must_use]
    pub fn new(mut all: Vec<Opening>) -> Self {
        let single = |opening: &Opening| opening.recurrence.is_none().then_some(opening.first);
        // A stable sort: openings of one slot stay in the order of the feed.
        all.sort_by_key(|opening| (opening.recurrence.is_some(), single(opening)));
        // Single openings sort before recurring ones, so one split separates them.
        let repeated = all.split_off(all.partition_point(|opening| single(opening).is_some()));
        let mut repeated_of = HashMap::<_, Vec<usize>>::new();
        for (at, opening) in repeated.iter().enumerate() {
            repeated_of
                .entry((opening.first.service, opening.first.duration_sec))
                .or_default()
                .push(at);
        }
        Self {
            singles: Singles::new(all),
            repeated,
            repeated_of,
        }
    }

    /// A slot of the catalogue with no spots left; `None` if no opening has it. Recurring openings count
    /// only for slots that start before `repeated_until`.
    #[must_use]
    pub fn nothing_left(&self, key: SlotKey, repeated_until: EpochSeconds) -> Option<Slot> {
        let mut slot = Slot::default();
        for single in self.singles.of(key) {
            open_empty(&mut slot, &single.unpacked(), key);
        }
        // A range of one second: the recurrence has this start or it has not.
        let end = key
            .start_sec
            .saturating_add(Seconds::ONE)
            .min(repeated_until);
        let repeated = self.repeated_of.get(&(key.service, key.duration_sec));
        for &at in repeated.into_iter().flatten() {
            let opening = &self.repeated[at];
            if opening.starts(key.start_sec, end).next().is_some() {
                open_empty(&mut slot, opening, key);
            }
        }
        slot.is_open().then_some(slot)
    }

    /// The single openings, in the order of their slots.
    pub fn single(&self) -> impl Iterator<Item = Opening> {
        self.singles.iter().map(Single::unpacked)
    }

    /// The number of slots that single openings open.
    #[must_use]
    pub fn single_slots(&self) -> usize {
        self.singles.slots()
    }

    /// The repeated openings.
    #[must_use]
    pub fn repeated(&self) -> &[Opening] {
        &self.repeated
    }

    /// The number of openings of all slots of a span.
    #[must_use]
    pub fn count(&self, span: Span) -> usize {
        let repeated = self
            .repeated
            .iter()
            .map(|opening| span.keys(opening, None).count());
        self.singles_of(span).count() + repeated.sum::<usize>()
    }

    fn singles_of(&self, span: Span) -> impl Iterator<Item = Single<'_>> {
        self.singles
            .iter()
            .filter(move |single| span.has(single.slot))
    }

    /// All slots of a span, each once, by service, length and start.
    pub fn slots(&self, span: Span) -> impl Iterator<Item = MadeOf<'_>> {
        let mut singles = self.singles_of(span).peekable();
        let next = move |at: usize, after| {
            Some(Reverse((span.keys(&self.repeated[at], after).next()?, at)))
        };
        // A merge: the heap has the next slot of each repeated opening.
        let mut due: BinaryHeap<_> = (0..self.repeated.len())
            .filter_map(|at| next(at, None))
            .collect();
        std::iter::from_fn(move || {
            // The smallest key of both sources is next, and every opening of that slot is taken with it.
            let single = singles.peek().map(|single| single.slot);
            let repeated = due.peek().map(|Reverse((key, _))| *key);
            let key = single.into_iter().chain(repeated).min()?;
            let mut openings: SmallVec<[Cow<'_, Opening>; 2]> = SmallVec::new();
            while let Some(single) = singles.next_if(|single| single.slot == key) {
                openings.push(Cow::Owned(single.unpacked()));
            }
            while due.peek().is_some_and(|Reverse((next, _))| *next == key) {
                let at = due.pop().map_or(0, |Reverse((_, at))| at);
                openings.push(Cow::Borrowed(&self.repeated[at]));
                // A recurrence that has no further start in the span leaves the heap.
                due.extend(next(at, Some(key.start_sec)));
            }
            Some((key, openings))
        })
    }
}

/// Adds an opening to a slot, without its spots.
fn open_empty(slot: &mut Slot, opening: &Opening, key: SlotKey) {
    let (_, terms) = opening.occurrence(key.start_sec);
    let pool = Pool {
        // The pool is there without spots, so callers can tell a past slot from an unknown one.
        allotment: 0,
        ..opening.pool
    };
    slot.open(pool, &terms);
}

/// The slot of these openings, without sales and holds. Its terms have the parties only.
#[must_use]
pub fn untouched(openings: &[impl Borrow<Opening>]) -> Slot {
    let mut slot = Slot::default();
    for opening in openings {
        let opening: &Opening = opening.borrow();
        let Opening { pool, terms, .. } = opening;
        // Booking windows and tags depend on the occurrence; the division of spots needs the parties only.
        let parties = terms
            .as_ref()
            .map_or_else(Vec::new, |terms| terms.parties.clone());
        slot.open(
            *pool,
            &SlotTerms {
                parties,
                ..SlotTerms::default()
            },
        );
    }
    slot
}

/// Divides the open spots of a slot among its openings. Openings for the same ticket types share what is
/// left, the first ones first, because a sale does not record the opening. Openings of one resource for
/// different parties have one share, of which each has at most its own allotment.
#[must_use]
pub fn deal(
    slot: &Slot,
    service: &Service,
    openings: &[impl Borrow<Opening>],
    viewer: Viewer,
) -> SmallVec<[u32; 2]> {
    let mut left = Undealt(slot.left(service, viewer).collect());
    let mut shares: SmallVec<[u32; 2]> = SmallVec::with_capacity(openings.len());
    let mut stocks: SmallVec<[(PartySpots, u32); 2]> = SmallVec::new();
    for opening in openings {
        let opening: &Opening = opening.borrow();
        let pool = opening.pool;
        // The feed lists no party sizes for this service, so the opening has spots of its own.
        let Some(party) = opening.party() else {
            shares.push(left.deal(pool));
            continue;
        };
        // The spots of a resource are dealt once; each further size shows the same spots.
        let known = stocks
            .iter()
            .find(|(known, _)| known.is_same_stock(&party))
            .map(|&(_, stock)| stock);
        let stock = if let Some(stock) = known {
            stock
        } else {
            let allotment = spots_of_resource(openings, party);
            let stock = left.deal(Pool { allotment, ..pool });
            stocks.push((party, stock));
            stock
        };
        shares.push(stock.min(pool.allotment));
    }
    shares
}

/// The open spots of each pool that no opening has yet.
struct Undealt(SmallVec<[(Pool, u32); 2]>);

impl Undealt {
    /// Deals spots for the ticket types of `pool`: at most its allotment, because the rest belongs to the
    /// openings after it.
    fn deal(&mut self, pool: Pool) -> u32 {
        for (of_slot, left) in &mut self.0 {
            if of_slot.tickets == pool.tickets {
                let share = pool.allotment.min(*left);
                *left -= share;
                return share;
            }
        }
        0
    }
}

/// The spots of the resource of a party. The largest size counts, as in the pool: smaller sizes are part of
/// it.
fn spots_of_resource(openings: &[impl Borrow<Opening>], party: PartySpots) -> u32 {
    let mut spots = 0;
    for opening in openings {
        let opening: &Opening = opening.borrow();
        if let Some(other) = opening.party()
            && other.is_same_stock(&party)
        {
            spots = spots.max(other.spots);
        }
    }
    spots
}

#[cfg(test)]
mod tests;
