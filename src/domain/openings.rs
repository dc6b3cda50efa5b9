//! All openings of a catalogue, to be gone through slot by slot.

use std::{cmp::Reverse, collections::BinaryHeap};

use smallvec::SmallVec;

use super::{
    catalog::Service,
    order::EpochSeconds,
    slot::{Opening, Pool, Slot, SlotKey, SlotTerms, Viewer},
};

/// The openings of a catalogue.
#[derive(Debug, Default)]
pub struct Openings {
    /// Single ones in the order of their slots, then repeated ones; otherwise as in the feed.
    all: Vec<Opening>,
    singles: usize,
}

/// Which slots to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Those that are not over at this second,
    pub now: EpochSeconds,
    /// that start before this one,
    pub until: EpochSeconds,
    /// and, where they are repeated, before this one, too.
    pub repeated_until: EpochSeconds,
}

impl Span {
    /// The slots in the span that an opening is part of.
    fn keys(self, opening: &Opening, after: Option<EpochSeconds>) -> impl Iterator<Item = SlotKey> {
        let not_over = self.now.saturating_sub(i64::from(opening.first.duration_sec)).saturating_add(1);
        let from = after.map_or(not_over, |after| after.saturating_add(1));
        let repeated = opening.recurrence.is_some();
        let until = if repeated { self.until.min(self.repeated_until) } else { self.until };
        opening.starts(from, until).map(|start_sec| SlotKey { start_sec, ..opening.first })
    }
}

/// A slot and the openings that it is made of, in the order in which they open it.
pub type MadeOf<'a> = (SlotKey, SmallVec<[&'a Opening; 2]>);

impl Openings {
    /// These openings.
    #[must_use]
    pub fn new(mut all: Vec<Opening>) -> Self {
        let single = |opening: &Opening| opening.recurrence.is_none().then_some(opening.first);
        all.sort_by_key(|opening| (opening.recurrence.is_some(), single(opening)));
        let singles = all.partition_point(|opening| single(opening).is_some());
        Self { all, singles }
    }

    /// Those that open one slot each.
    #[must_use]
    pub fn single(&self) -> &[Opening] {
        &self.all[..self.singles]
    }

    /// Those that open slots again and again.
    #[must_use]
    pub fn repeated(&self) -> &[Opening] {
        &self.all[self.singles..]
    }

    /// How many openings all slots of a span are made of.
    #[must_use]
    pub fn count(&self, span: Span) -> usize {
        self.all.iter().map(|opening| span.keys(opening, None).count()).sum()
    }

    /// All slots of a span, each once, by service, length and start.
    pub fn slots(&self, span: Span) -> impl Iterator<Item = MadeOf<'_>> {
        let mut singles =
            self.single().iter().filter(move |it| span.keys(it, None).next().is_some()).peekable();
        let next =
            move |at: usize, after| Some(Reverse((span.keys(&self.repeated()[at], after).next()?, at)));
        // The next slot of each repeated opening.
        let mut due: BinaryHeap<_> = (0..self.repeated().len()).filter_map(|at| next(at, None)).collect();
        std::iter::from_fn(move || {
            let single = singles.peek().map(|single| single.first);
            let repeated = due.peek().map(|Reverse((key, _))| *key);
            let key = single.into_iter().chain(repeated).min()?;
            let mut openings: SmallVec<[&Opening; 2]> = SmallVec::new();
            while let Some(single) = singles.next_if(|single| single.first == key) {
                openings.push(single);
            }
            while due.peek().is_some_and(|Reverse((next, _))| *next == key) {
                let at = due.pop().map_or(0, |Reverse((_, at))| at);
                openings.push(&self.repeated()[at]);
                due.extend(next(at, Some(key.start_sec)));
            }
            Some((key, openings))
        })
    }
}

/// The slot that openings make, untouched.
#[must_use]
pub fn untouched(openings: &[&Opening]) -> Slot {
    let mut slot = Slot::default();
    for opening in openings {
        slot.open(opening.pool, &SlotTerms::default());
    }
    slot
}

/// What of a slot can be sold, dealt out to the openings that it is made of. Openings for the same
/// ticket types share what is left, and the first ones get theirs first: nothing says from which of
/// them something was sold.
#[must_use]
pub fn deal(slot: &Slot, service: &Service, openings: &[&Opening], viewer: Viewer) -> SmallVec<[u32; 2]> {
    let mut left: SmallVec<[(Pool, u32); 2]> = slot.left(service, viewer).collect();
    let mut share = |opening: &&Opening| {
        let (_, left) = left.iter_mut().find(|(pool, _)| pool.tickets == opening.pool.tickets)?;
        let share = opening.pool.allotment.min(*left);
        *left -= share;
        Some(share)
    };
    openings.iter().map(|opening| share(opening).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests;
