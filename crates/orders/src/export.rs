//! Export of the active catalogue with the spots left, slot by slot.

use std::{borrow::Cow, sync::Arc};

use smallvec::SmallVec;

use super::{ActiveCatalog, App, startup::OfflineCatalog};
use catalog::FeedRecord;
use domain::{
    catalog::Service,
    openings::{Span, deal, untouched},
    slot::{Opening, SlotKey, Viewer},
    time::{EpochSeconds, Seconds},
};
use inventory::Inventory;
use kernel::clock::Clock;

/// The days of an export exceed the horizon of repeated availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("repeated availability is open for {open} days only, as `availability_horizon` says")]
pub struct TooFar {
    /// The horizon in days.
    pub open: i64,
}

/// An export. It has one revision of the catalogue from beginning to end; sales and holds are the same in all
/// revisions.
#[derive(Debug)]
pub struct Export<'a> {
    active: Arc<ActiveCatalog>,
    inventory: &'a Inventory,
    clock: &'a dyn Clock,
    span: Span,
}

impl App {
    /// An export of the active catalogue: the slots that start within `days`, or all of them.
    ///
    /// # Errors
    /// [`TooFar`].
    pub fn export(&self, days: Option<u32>) -> Result<Export<'_>, TooFar> {
        // Taken together under the calendar's lock, so that the catalogue and its range belong
        // together.
        let (active, repeated_until) = self.opened();
        let span = span(self.now(), repeated_until, self.limits.horizon, days)?;
        Ok(Export {
            active,
            inventory: &self.inventory,
            clock: &*self.clock,
            span,
        })
    }
}

impl OfflineCatalog {
    /// An export of a server that does not run: the slots that start within `days`, or all of them.
    ///
    /// # Errors
    /// [`TooFar`].
    pub fn export(&self, days: Option<u32>) -> Result<Export<'_>, TooFar> {
        let now = self.clock.now_sec();
        let span = span(now, now.saturating_add(self.horizon), self.horizon, days)?;
        Ok(Export {
            active: Arc::clone(&self.active),
            inventory: &self.inventory,
            clock: &*self.clock,
            span,
        })
    }
}

fn span(
    now: EpochSeconds,
    repeated_until: EpochSeconds,
    horizon: Seconds,
    days: Option<u32>,
) -> Result<Span, TooFar> {
    let asked = days.map(Seconds::days);
    if asked.is_some_and(|asked| asked > horizon) {
        return Err(TooFar {
            open: horizon.get() / Seconds::DAY.get(),
        });
    }
    let until = asked.map_or(EpochSeconds::MAX, |asked| now.saturating_add(asked));
    Ok(Span {
        now,
        until,
        repeated_until,
    })
}

impl Export<'_> {
    /// The time at which the export began.
    #[must_use]
    pub fn begun_sec(&self) -> EpochSeconds {
        self.span.now
    }

    /// The number of days, rounded, for which repeated availability is open.
    #[must_use]
    pub fn days(&self) -> i64 {
        let Span {
            now,
            until,
            repeated_until,
        } = self.span;
        let open_sec = until.min(repeated_until).since(now).get();
        let day_sec = Seconds::DAY.get();
        open_sec.saturating_add(day_sec / 2) / day_sec
    }

    /// The number of elements in the availability feed.
    #[must_use]
    pub fn availability(&self) -> usize {
        self.active.openings.count(self.span)
    }

    /// Calls `put` with every record. Each slot is locked separately, so the spots of its elements are those of
    /// one moment.
    ///
    /// # Errors
    /// The first error of `put`, which ends the export.
    pub fn write<E>(&self, mut put: impl FnMut(FeedRecord<'_>) -> Result<(), E>) -> Result<(), E> {
        let ActiveCatalog {
            catalog,
            openings,
            source_feeds,
            ..
        } = &*self.active;
        source_feeds.pieces().try_for_each(&mut put)?;
        for (key, openings) in openings.slots(self.span) {
            let shares = self.shares(catalog.service(key.service), key, &openings);
            for (opening, spots_open) in openings.into_iter().zip(shares) {
                put(source_feeds.availability(catalog, &opening, key.start_sec, spots_open))?;
            }
        }
        Ok(())
    }

    /// The spots that can be sold, by opening; none of a forgotten slot, even if it is still to come by a clock
    /// that was set back.
    fn shares(
        &self,
        service: &Service,
        key: SlotKey,
        openings: &[Cow<'_, Opening>],
    ) -> SmallVec<[u32; 2]> {
        if key.end_sec() < self.inventory.forgotten_until() {
            return openings.iter().map(|_| 0).collect();
        }
        let slot = self.inventory.with_taken(key, untouched(openings));
        // The time of each slot and not of the beginning: an export may take minutes, and holds
        // expire meanwhile.
        let viewer = Viewer {
            now: self.clock.now_sec(),
            cart: None,
        };
        deal(&slot, service, openings, viewer)
    }
}

#[cfg(test)]
mod tests;
