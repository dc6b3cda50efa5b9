//! How many orders with states on record have which. Few combinations of states are in use, so each order has only the number of
//! its own.

use std::{collections::HashMap, sync::Arc};

use crate::{StateProfile, StateSums};

/// The number of a combination of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProfileIx(u32);

/// The combinations of states that orders have or had, with the number of orders that have each.
#[derive(Debug, Default)]
pub(super) struct StateProfiles {
    numbers: HashMap<Arc<StateProfile>, ProfileIx>,
    orders: Vec<(Arc<StateProfile>, u64)>,
}

impl StateProfiles {
    /// Counts one order more.
    pub(super) fn add(&mut self, profile: &Arc<StateProfile>) -> ProfileIx {
        if let Some(number) = self.numbers.get(profile) {
            let number = *number;
            if let Some((_, orders)) = self.orders.get_mut(number.0 as usize) {
                *orders += 1;
            }
            return number;
        }
        // No memory has room for more.
        let number = ProfileIx(u32::try_from(self.orders.len()).unwrap_or(u32::MAX));
        self.orders.push((Arc::clone(profile), 1));
        self.numbers.insert(Arc::clone(profile), number);
        number
    }

    /// Counts one order less.
    pub(super) fn remove(&mut self, number: ProfileIx) {
        if let Some((_, orders)) = self.orders.get_mut(number.0 as usize) {
            // Each removal follows an addition.
            *orders = orders.saturating_sub(1);
        }
    }

    /// The number of orders by state.
    pub(super) fn sums(&self) -> StateSums {
        let mut sums = StateSums::default();
        for (profile, orders) in &self.orders {
            if *orders > 0 {
                sums.add(profile, *orders);
            }
        }
        sums
    }
}
