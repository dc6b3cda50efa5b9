//! The pools of a slot, in a compact form.

use super::Pool;

/// The pools of a slot. Few slots have more than two, and two take no more memory than one.
#[derive(Debug, Default)]
pub(super) enum Pools {
    #[default]
    None,
    One(Pool),
    Two([Pool; 2]),
    More(Box<More>),
}

/// Three and more pools. Boxed, because a `Vec` in place is larger than two pools.
#[derive(Debug)]
pub(super) struct More(Vec<Pool>);

impl Pools {
    /// All pools, in the order in which they were added.
    pub(super) fn as_slice(&self) -> &[Pool] {
        match self {
            Self::None => &[],
            Self::One(pool) => std::slice::from_ref(pool),
            Self::Two(pools) => pools,
            Self::More(pools) => &pools.0,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Pool] {
        match self {
            Self::None => &mut [],
            Self::One(pool) => std::slice::from_mut(pool),
            Self::Two(pools) => pools,
            Self::More(pools) => &mut pools.0,
        }
    }

    pub(super) fn push(&mut self, pool: Pool) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(pool),
            Self::One(first) => Self::Two([first, pool]),
            Self::Two([first, second]) => Self::More(Box::new(More(vec![first, second, pool]))),
            Self::More(mut pools) => {
                pools.0.push(pool);
                Self::More(pools)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::slot::PoolTickets;

    proptest! {
        #[test]
        fn pools_are_what_was_put_into_them(
            all in vec((any::<Option<u16>>(), any::<u32>()), 0..6), at in 0..6_usize, allotment: u32,
        ) {
            let pool = |(set, allotment): (Option<u16>, u32)| Pool {
                tickets: set.map_or(PoolTickets::All, PoolTickets::Set),
                allotment,
            };
            let mut expected: Vec<Pool> = all.into_iter().map(pool).collect();
            let mut pools = Pools::default();
            for pool in &expected {
                pools.push(*pool);
            }
            prop_assert_eq!(pools.as_slice(), &expected);
            for pools in [pools.as_mut_slice(), &mut expected] {
                if let Some(pool) = pools.get_mut(at) {
                    pool.allotment = allotment;
                }
            }
            prop_assert_eq!(pools.as_slice(), &expected);
        }
    }

    #[test]
    fn two_pools_have_room_where_one_has() {
        assert_eq!(size_of::<Pools>(), 2 * size_of::<Pool>());
    }
}
