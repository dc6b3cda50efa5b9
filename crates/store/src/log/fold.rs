//! What a store has in memory, folded from the summaries of sealed segments and the records after them.
//!
//! Several threads load summaries and fill the tables of the index, which takes most of the time and works in any order. Open
//! work and sums follow in the order of the log.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    panic,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use domain::time::EpochSeconds;

use super::{
    fact::Fact,
    index::{EntryLists, Index},
    open_work::{OpenWork, WorkEffects},
    planted::{PlantedFault, is_planted},
    segment_times::SegmentTimes,
    summary::{RecordSums, SegmentEffects, Summary},
};

#[cfg(test)]
mod tests;

/// How many orders a thread gathers before it inserts them: 16 MiB.
const LIST_ORDERS: usize = 1 << 20;

/// What a store has in memory when it starts.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// Where orders are.
    pub(super) index: Index,
    /// Payments and holds.
    pub(super) open_work: OpenWork,
    /// Sold spots, prices, forgotten slots.
    pub(super) sums: RecordSums,
}

/// Folds the log in its order: first summaries, then records.
#[derive(Debug)]
pub(super) struct Fold(Folded);

impl Fold {
    /// Nothing is folded yet. Holds that ended long before `now` are left out.
    pub(super) fn new(now: EpochSeconds) -> Self {
        let folded = Folded::default();
        folded.open_work.forget_holds(now);
        Self(folded)
    }

    /// Folds the summaries of these segments. `load` reads one, or makes it again from its segment; so many threads call it,
    /// about in the order of the segments.
    ///
    /// # Errors
    /// An error of `load`. What is folded is then incomplete.
    pub(super) fn add_summaries<E: Send>(
        &mut self,
        readers: usize,
        segments: RangeInclusive<u64>,
        load: impl Fn(u64) -> Result<Summary, E> + Sync,
    ) -> Result<(), E> {
        let Folded {
            index,
            open_work,
            sums,
        } = &mut self.0;
        let fold = ConcurrentFold {
            load,
            next: AtomicU64::new(*segments.start()),
            last: *segments.end(),
            index,
            in_order: Mutex::new(InOrder {
                next: *segments.start(),
                early: BTreeMap::new(),
                open_work,
                sums,
            }),
        };
        thread::scope(|scope| {
            let mut helpers = Vec::new();
            for _ in 1..readers {
                let helper = thread::Builder::new()
                    .name("fold".to_owned())
                    .spawn_scoped(scope, || fold.run());
                // Where the system has no thread to give, the others do everything.
                helpers.extend(helper);
            }
            let mut result = fold.run();
            for helper in helpers {
                let helped = helper.join();
                result =
                    result.and(helped.unwrap_or_else(|panicked| panic::resume_unwind(panicked)));
            }
            result
        })
    }

    /// Folds the next record after the summaries.
    pub(super) fn add(&mut self, fact: &Fact) {
        let Folded {
            index,
            open_work,
            sums,
        } = &mut self.0;
        if let Fact::OrderPlaced(order) = fact {
            index.insert(&order.into());
            if !is_planted(PlantedFault::RecentSlotsLost) {
                index.recent_slots.add(order.slot_entries());
            }
            let mut times = SegmentTimes::default();
            times.add(order.position.segment(), order.created_sec);
            index.add_times(&times);
        }
        let mut effects = WorkEffects::default();
        effects.add(fact);
        open_work.apply(&effects);
        sums.add(fact);
    }

    /// Everything that was folded.
    pub(super) fn finish(self) -> Folded {
        self.0
    }
}

/// The fold as its threads share it.
struct ConcurrentFold<'f, L> {
    load: L,
    /// The next segment to load.
    next: AtomicU64,
    last: u64,
    index: &'f Index,
    in_order: Mutex<InOrder<'f>>,
}

/// What is folded in the order of segments.
struct InOrder<'f> {
    next: u64,
    /// Segments whose turn has not come.
    early: BTreeMap<u64, (WorkEffects, RecordSums)>,
    open_work: &'f OpenWork,
    sums: &'f mut RecordSums,
}

impl<'f, L, E> ConcurrentFold<'f, L>
where
    L: Fn(u64) -> Result<Summary, E>,
{
    /// Folds one segment after the other until none is left.
    fn run(&self) -> Result<(), E> {
        let mut lists = EntryLists::default();
        loop {
            // Relaxed: it only deals out numbers. What is folded is passed on by locks.
            let segment = self.next.fetch_add(1, Ordering::Relaxed);
            if segment > self.last {
                self.index.insert_lists(&mut lists);
                return Ok(());
            }
            match (self.load)(segment) {
                Ok(summary) => self.add(segment, summary.effects, &mut lists),
                Err(error) => {
                    // The other threads stop, too.
                    self.next
                        .store(self.last.saturating_add(1), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    }

    fn add(&self, segment: u64, effects: SegmentEffects, lists: &mut EntryLists) {
        for entry in &effects.entries {
            lists.add(entry);
        }
        if lists.len() >= LIST_ORDERS {
            self.index.insert_lists(lists);
        }
        self.index.add_times(&effects.times);
        let mut in_order = self.lock();
        in_order.early.insert(segment, (effects.work, effects.sums));
        in_order.advance();
    }

    fn lock(&self) -> MutexGuard<'_, InOrder<'f>> {
        // Poisoned only if another thread panicked, which the caller is told by a panic of its own.
        self.in_order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InOrder<'_> {
    /// Folds the segments whose turn has come.
    fn advance(&mut self) {
        while let Some((work, sums)) = self.early.remove(&self.next) {
            self.open_work.apply(&work);
            self.sums.merge(&sums);
            self.next += 1;
        }
    }
}
