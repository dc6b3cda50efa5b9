//! Entries of the availability feed.

use super::{PartySpots, Pool, SlotKey, SlotTerms};
use crate::time::{EpochSeconds, Seconds};

/// Availability of one service, single or recurring: one entry of the availability feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The slot of the first occurrence.
    pub first: SlotKey,
    /// The spots it brings.
    pub pool: Pool,
    /// Terms that differ from the service's, for the first occurrence; `None` where none does.
    pub terms: Option<Box<SlotTerms>>,
    /// Repetition.
    pub recurrence: Option<Box<Recurrence>>,
    /// The other members of the feed entry, which no rule depends on. An export writes them again.
    pub pass_through: PassThroughIx,
}

/// The index of the pass-through members of an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PassThroughIx(pub u32);

/// The recurrence of an opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// The time from one start to the next; above zero.
    pub every: Seconds,
    /// The last start, inclusive.
    pub until_sec: EpochSeconds,
    /// Half-open ranges of time in which there is no occurrence.
    pub except: Vec<(EpochSeconds, EpochSeconds)>,
}

impl Opening {
    /// The starts of all occurrences in the half-open range `[from, until)`.
    pub fn starts(
        &self,
        from: EpochSeconds,
        until: EpochSeconds,
    ) -> impl Iterator<Item = EpochSeconds> {
        let first = self.first.start_sec;
        let (every, last, except) = match &self.recurrence {
            None => (Seconds::ONE, first, &[][..]),
            Some(recurrence) => (
                // The loader rejects a period of zero; the bound keeps a hand-made recurrence from an
                // endless loop.
                recurrence.every.max(Seconds::ONE),
                recurrence.until_sec,
                &recurrence.except[..],
            ),
        };
        // Computed, not iterated: a recurrence may begin decades before the range.
        let skipped = from
            .max(first)
            .get()
            .abs_diff(first.get())
            .div_ceil(every.get().unsigned_abs());
        let begin = skipped
            // An overflow lies beyond every date, so the recurrence has no start in the range.
            .checked_mul(every.get().unsigned_abs())
            .and_then(|sec| first.get().checked_add_unsigned(sec))
            .map(EpochSeconds::new);
        let duration = Seconds::from(self.first.duration_sec);
        std::iter::successors(begin, move |start| start.checked_add(every))
            .take_while(move |&start| start <= last && start < until)
            .filter(move |&start| {
                let end = start.saturating_add(duration);
                !except
                    .iter()
                    // Overlap of half-open ranges: an occurrence that ends when an exception begins stays.
                    .any(|&(begin, stop)| start < stop && begin < end)
            })
    }

    /// The party of its spots, if the feed lists party sizes for the service.
    #[must_use]
    pub fn party(&self) -> Option<PartySpots> {
        self.terms.as_ref()?.parties.first().copied()
    }

    /// The occurrence that starts at `start_sec`: its key and its terms.
    #[must_use]
    pub fn occurrence(&self, start_sec: EpochSeconds) -> (SlotKey, SlotTerms) {
        let shift = start_sec.since(self.first.start_sec);
        let terms = self.terms.as_deref().map(|terms| terms.shifted_by(shift));
        (
            SlotKey {
                start_sec,
                ..self.first
            },
            terms.unwrap_or_default(),
        )
    }
}
