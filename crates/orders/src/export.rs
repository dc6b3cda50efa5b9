//! Writing out what is on sale and what is left of it, slot by slot.

use std::{borrow::Cow, sync::Arc};

use smallvec::SmallVec;

use super::{ActiveCatalog, App, startup::OfflineCatalog};
use catalog::FeedRecord;
use domain::{
    catalog::Service,
    openings::{Span, deal, untouched},
    order::EpochSeconds,
    slot::{Opening, SlotKey, Viewer},
};
use inventory::Inventory;
use kernel::clock::Clock;

const DAY_SEC: i64 = 86_400;

/// More days are asked for than repeated availability is open for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("repeated availability is open for {open} days only, as `availability_horizon` says")]
pub struct TooFar {
    /// For how many days it is open.
    pub open: i64,
}

/// What is on sale, to be written out. It goes by one catalogue throughout, whatever takes its
/// place meanwhile: what is taken of a slot is the same by any of them.
#[derive(Debug)]
pub struct Export<'a> {
    active: Arc<ActiveCatalog>,
    inventory: &'a Inventory,
    clock: &'a dyn Clock,
    span: Span,
}

impl App {
    /// What is on sale at this moment: the slots that start within `days`, or all of them.
    ///
    /// # Errors
    /// [`TooFar`].
    pub fn export(&self, days: Option<u32>) -> Result<Export<'_>, TooFar> {
        let (active, repeated_until) = self.opened();
        let span = span(self.now(), repeated_until, self.limits.horizon_sec, days)?;
        Ok(Export {
            active,
            inventory: &self.inventory,
            clock: &*self.clock,
            span,
        })
    }
}

impl OfflineCatalog {
    /// The same of a server that does not run.
    ///
    /// # Errors
    /// [`TooFar`].
    pub fn export(&self, days: Option<u32>) -> Result<Export<'_>, TooFar> {
        let now = self.clock.now_sec();
        let span = span(
            now,
            now.saturating_add(self.horizon_sec),
            self.horizon_sec,
            days,
        )?;
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
    horizon_sec: i64,
    days: Option<u32>,
) -> Result<Span, TooFar> {
    let asked_sec = days.map(|days| i64::from(days) * DAY_SEC);
    if asked_sec.is_some_and(|asked_sec| asked_sec > horizon_sec) {
        return Err(TooFar {
            open: horizon_sec / DAY_SEC,
        });
    }
    let until = asked_sec.map_or(EpochSeconds::MAX, |asked_sec| now.saturating_add(asked_sec));
    Ok(Span {
        now,
        until,
        repeated_until,
    })
}

impl Export<'_> {
    /// The moment at which it began.
    #[must_use]
    pub fn begun_sec(&self) -> EpochSeconds {
        self.span.now
    }

    /// For how many days, to the nearest one, repeated availability is open.
    #[must_use]
    pub fn days(&self) -> i64 {
        let Span {
            now,
            until,
            repeated_until,
        } = self.span;
        let open_sec = until.min(repeated_until).saturating_sub(now);
        open_sec.saturating_add(DAY_SEC / 2) / DAY_SEC
    }

    /// How many elements of the availability feed it has.
    #[must_use]
    pub fn availability(&self) -> usize {
        self.active.openings.count(self.span)
    }

    /// Hands every piece to `put`. Each slot is locked for the moment in which it is looked at: the
    /// spots of its elements could be sold at that moment.
    ///
    /// # Errors
    /// The first of `put`, which ends it.
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

    /// What of a slot can be sold, by the openings that it is made of; nothing once it is forgotten, even
    /// if it is still to come by a clock that was set back.
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
        let viewer = Viewer {
            now: self.clock.now_sec(),
            cart: None,
        };
        deal(&slot, service, openings, viewer)
    }
}

#[cfg(test)]
mod tests;
