//! Claims added up by slot and ticket type, of which there are far fewer than orders.

use std::borrow::Borrow;

use domain::{slot::SlotDuration, time::EpochSeconds};
use indexmap::{IndexMap, IndexSet};

use super::NamedClaim;

/// Claims added up by slot and ticket type. Iterators give ids and totals in the order of their first mention.
#[derive(Debug, Clone, Default)]
pub(super) struct ClaimTotals {
    /// Every id once: of merchants, services and ticket types.
    ids: IndexSet<String>,
    counts: IndexMap<ClaimKey, u32>,
}

/// A slot and a ticket type. Ids are numbers: their place among the ids of the same totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClaimKey {
    pub(super) merchant: u32,
    pub(super) service: u32,
    pub(super) ticket: Option<u32>,
    pub(super) start_sec: EpochSeconds,
    pub(super) duration_sec: SlotDuration,
}

impl ClaimKey {
    /// The key with each of its ids changed, unless one of them cannot be.
    fn map_ids(self, change: impl Fn(u32) -> Option<u32>) -> Option<Self> {
        let ticket = match self.ticket {
            Some(ticket) => Some(change(ticket)?),
            None => None,
        };
        Some(Self {
            merchant: change(self.merchant)?,
            service: change(self.service)?,
            ticket,
            ..self
        })
    }
}

impl ClaimTotals {
    /// Adds claims.
    pub(super) fn add<C: Borrow<NamedClaim>>(&mut self, claims: impl IntoIterator<Item = C>) {
        for claim in claims {
            let claim = claim.borrow();
            let key = ClaimKey {
                merchant: self.add_id(claim.merchant_id.as_str()),
                service: self.add_id(claim.service_id.as_str()),
                ticket: claim.ticket_id.as_ref().map(|id| self.add_id(id.as_str())),
                start_sec: claim.start_sec,
                duration_sec: claim.duration_sec,
            };
            self.add_count(key, claim.count);
        }
    }

    /// Adds the totals of others.
    pub(super) fn merge(&mut self, others: &Self) {
        let numbers: Vec<u32> = others.ids.iter().map(|id| self.add_id(id)).collect();
        for (key, count) in &others.counts {
            let number_here = |id| numbers.get(usize::try_from(id).ok()?).copied();
            if let Some(key) = key.map_ids(number_here) {
                self.add_count(key, *count);
            }
        }
    }

    /// Adds an id and returns its number.
    pub(super) fn add_id(&mut self, id: &str) -> u32 {
        let index = match self.ids.get_index_of(id) {
            Some(index) => index,
            None => self.ids.insert_full(id.to_owned()).0,
        };
        // Memory ends long before the numbers: each id takes 32 bytes at least.
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Adds to the total of a slot and ticket type. `false` if one of its ids is missing; then nothing is added.
    pub(super) fn add_total(&mut self, key: ClaimKey, count: u32) -> bool {
        let known = |id: u32| {
            let index = usize::try_from(id).ok()?;
            self.ids.get_index(index).map(|_| id)
        };
        let is_known = key.map_ids(known).is_some();
        if is_known {
            self.add_count(key, count);
        }
        is_known
    }

    fn add_count(&mut self, key: ClaimKey, count: u32) {
        let total = self.counts.entry(key).or_default();
        // At the limit it is more than any slot has; nothing more is sold of it either way.
        *total = total.saturating_add(count);
    }

    /// The ids by their numbers.
    pub(super) fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    /// The totals.
    pub(super) fn totals(&self) -> impl ExactSizeIterator<Item = (ClaimKey, u32)> {
        self.counts.iter().map(|(key, count)| (*key, *count))
    }

    /// The totals less those of spots that were given back. A total that is used up is left out.
    pub(super) fn less(mut self, released: &Self) -> Self {
        let mut numbers = Vec::with_capacity(released.ids.len());
        for id in &released.ids {
            numbers.push(self.add_id(id));
        }
        for (key, count) in &released.counts {
            let number_here = |id| numbers.get(usize::try_from(id).ok()?).copied();
            if let Some(key) = key.map_ids(number_here)
                && let Some(total) = self.counts.get_mut(&key)
            {
                // Never more than was sold: no store has an update that gives back what its order did not take.
                *total = total.saturating_sub(*count);
            }
        }
        self.counts.retain(|_, total| *total > 0);
        self
    }

    /// The totals as claims.
    pub(super) fn into_claims(self) -> Vec<NamedClaim> {
        let mut claims = Vec::with_capacity(self.counts.len());
        for (key, count) in self.totals() {
            claims.extend(self.claim(key, count));
        }
        claims
    }

    /// A total as a claim; `None` if one of its ids is missing.
    fn claim(&self, key: ClaimKey, count: u32) -> Option<NamedClaim> {
        let id = |number| self.ids.get_index(usize::try_from(number).ok()?);
        let ticket_id = match key.ticket {
            Some(ticket) => Some(id(ticket)?.as_str().into()),
            None => None,
        };
        Some(NamedClaim {
            merchant_id: id(key.merchant)?.as_str().into(),
            service_id: id(key.service)?.as_str().into(),
            start_sec: key.start_sec,
            duration_sec: key.duration_sec,
            ticket_id,
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn claim(ids: [&str; 3], start_sec: i64, count: u32) -> NamedClaim {
        let [merchant, service, ticket] = ids;
        NamedClaim {
            merchant_id: merchant.into(),
            service_id: service.into(),
            start_sec: EpochSeconds::new(start_sec),
            duration_sec: 3_600.into(),
            ticket_id: (!ticket.is_empty()).then(|| ticket.into()),
            count,
        }
    }

    fn totals(claims: &[NamedClaim]) -> ClaimTotals {
        let mut totals = ClaimTotals::default();
        totals.add(claims);
        totals
    }

    /// The same sums by another way.
    fn counted(claims: &[NamedClaim]) -> HashMap<NamedClaim, u32> {
        let mut counts = HashMap::new();
        for claim in claims {
            let slot = NamedClaim {
                count: 0,
                ..claim.clone()
            };
            *counts.entry(slot).or_default() += claim.count;
        }
        counts
    }

    fn claims_of(seed: u64, count: usize) -> Vec<NamedClaim> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut claims = Vec::new();
        for _ in 0..count {
            // The same text may name a merchant and a ticket type.
            let merchant = random.choice(["m1", "m2", "adult"]).unwrap();
            let service = random.choice(["s1", "s2"]).unwrap();
            let ticket = random.choice(["", "adult", "child"]).unwrap();
            let start_sec = random.i64(0..3);
            claims.push(claim(
                [merchant, service, ticket],
                start_sec,
                random.u32(1..5),
            ));
        }
        claims
    }

    #[test]
    fn totals_are_the_sums_of_claims_also_where_they_are_merged() {
        for seed in testkit::seeds::seeds(50) {
            let claims = claims_of(seed, 60);
            let (one, other) = claims.split_at(25);
            let mut merged = totals(one);
            merged.merge(&totals(other));
            for totals in [merged, totals(&claims)] {
                let sums = totals.into_claims();
                assert_eq!(sums.len(), counted(&claims).len());
                assert_eq!(counted(&sums), counted(&claims), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_total_stops_at_its_limit() {
        let much = claim(["m", "s", ""], 0, u32::MAX - 1);
        let sums = totals(&[much.clone(), much]).into_claims();
        assert_eq!(sums[0].count, u32::MAX);
    }

    #[test]
    fn a_total_of_an_id_that_is_missing_is_refused() {
        let mut totals = totals(&[claim(["m", "s", ""], 0, 1)]);
        let (key, _) = totals.totals().next().unwrap();
        let ticket = Some(2);
        for missing in [
            ClaimKey { merchant: 2, ..key },
            ClaimKey { service: 2, ..key },
            ClaimKey { ticket, ..key },
        ] {
            assert!(!totals.add_total(missing, 1), "{missing:?}");
        }
        assert!(totals.add_total(key, 1));
        assert_eq!(totals.into_claims()[0].count, 2);
    }
}
