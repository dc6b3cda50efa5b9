//! The maximum number of tickets that fit into the pools of a slot.
//!
//! A ticket takes a spot of *every* pool that serves its type. The maximum is therefore a packing problem:
//! as many tickets as possible, and no pool gives more than it has left. Ticket types that draw on the same
//! pools are one [`Draws`]. A type that draws on all pools of another type, and on more, is never needed.
//!
//! The remaining types mostly share no pool, or their pools are nested. A greedy choice is exact there.
//! Only crossing pools need a search: branch and bound over linear programs in whole numbers, without
//! rounding. Pools, kinds and steps of a search are bounded. Beyond the bounds the result is the best
//! packing found so far, which fits and may be below the maximum.

use smallvec::{SmallVec, smallvec};

mod simplex;

/// Most pools with several ticket types that a search covers, in one group of crossing pools. The size of
/// the entries in [`simplex`] depends on this number.
const MAX_POOLS: usize = 8;

/// Most kinds of tickets in such a group.
const MAX_KINDS: usize = 24;

/// Most simplex steps of one search. They bound the time under the lock of a slot to milliseconds.
const MAX_STEPS: usize = 1_000;

/// The pools that a kind of ticket draws on, as sorted indexes.
pub(super) type Draws = SmallVec<[u16; 4]>;

/// The maximum number of tickets that fit. `left` has the spots of each pool, `types` the pools of each
/// ticket type. The order of the types makes no difference.
pub(super) fn most(left: &[u32], types: impl IntoIterator<Item = Draws>) -> u64 {
    let mut kinds: SmallVec<[Draws; 4]> = SmallVec::new();
    for draws in types {
        // A type without a pool is not sold in this slot; types with equal pools are interchangeable.
        if !draws.is_empty() && !kinds.contains(&draws) {
            kinds.push(draws);
        }
    }
    // Kinds that draw on few pools come first: a kind that contains one of them is not needed.
    kinds.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let mut needed: SmallVec<[Draws; 4]> = SmallVec::new();
    for draws in kinds {
        if !needed
            .iter()
            .any(|fewer| fewer.iter().all(|pool| draws.contains(pool)))
        {
            needed.push(draws);
        }
    }
    // Groups share no pool, so each may consume its spots of this copy.
    let mut left: SmallVec<[u32; 8]> = left.into();
    let mut sum = 0;
    while let Some(first) = needed.pop() {
        let group = connected_with(first, &mut needed);
        sum += if crosses(&group) {
            most_of_crossing(&left, &group)
        } else {
            take_in_turn(&mut left, &group)
        };
    }
    sum
}

/// Removes from `others` the kinds that share pools with `first`, directly or through others, and returns
/// them with it.
fn connected_with(first: Draws, others: &mut SmallVec<[Draws; 4]>) -> SmallVec<[Draws; 4]> {
    let mut group: SmallVec<[Draws; 4]> = smallvec![first];
    // A worklist: members found later may share pools with kinds that the earlier ones did not reach.
    let mut at = 0;
    while let Some(member) = group.get(at).cloned() {
        others.retain(|other| {
            let is_apart = !shares_pool(&member, other);
            if !is_apart {
                group.push(other.clone());
            }
            is_apart
        });
        at += 1;
    }
    group.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    group
}

fn shares_pool(one: &Draws, other: &Draws) -> bool {
    one.iter().any(|pool| other.contains(pool))
}

/// Whether two pools cross: they share a kind, and each has a kind that the other has not.
fn crosses(group: &[Draws]) -> bool {
    if group.len() < 3 {
        // Two pools that cross have three kinds between them.
        return false;
    }
    let pools = pools_of(group);
    let has = |pool: u16, kind: &Draws| kind.contains(&pool);
    pools.iter().enumerate().any(|(at, &one)| {
        pools[at + 1..].iter().any(|&other| {
            // The condition of a laminar family: without such a pair, pools are separate or nested, and
            // greedy is exact.
            let both = group.iter().any(|kind| has(one, kind) && has(other, kind));
            let only_one = group.iter().any(|kind| has(one, kind) && !has(other, kind));
            let only_other = group.iter().any(|kind| !has(one, kind) && has(other, kind));
            both && only_one && only_other
        })
    })
}

fn pools_of(group: &[Draws]) -> SmallVec<[u16; 8]> {
    let mut pools: SmallVec<[u16; 8]> = group.iter().flatten().copied().collect();
    pools.sort_unstable();
    pools.dedup();
    pools
}

/// Takes of each kind in turn as many as all of its pools have left. This is the maximum if no pools cross.
fn take_in_turn(left: &mut [u32], group: &[Draws]) -> u64 {
    let mut taken = 0;
    for draws in group {
        let spots = draws
            .iter()
            .map(|&pool| left[usize::from(pool)])
            .min()
            .unwrap_or(0);
        for &pool in draws {
            // Cannot underflow: `spots` is the minimum over these pools.
            left[usize::from(pool)] -= spots;
        }
        taken += u64::from(spots);
    }
    taken
}

fn most_of_crossing(left: &[u32], group: &[Draws]) -> u64 {
    let problem = Problem::of(left, group);
    // The greedy packing is the first bound, and the result if the group is too large for a search.
    let bound = take_in_turn(&mut left.to_vec(), group);
    if problem.shared.len() > MAX_POOLS || problem.caps.len() > MAX_KINDS {
        return bound;
    }
    problem.solve(bound)
}

/// The packing problem of one group of crossing pools.
struct Problem {
    /// The maximum of each kind alone.
    caps: Vec<i64>,
    /// The pools that several kinds draw on: the indexes of these kinds, and the spots left.
    shared: Vec<(Vec<usize>, i64)>,
}

/// A part of the solutions: those with at least `least` and at most `most` of each kind.
#[derive(Clone)]
struct Part {
    least: Vec<i64>,
    most: Vec<i64>,
}

impl Problem {
    fn of(left: &[u32], group: &[Draws]) -> Self {
        let spots = |pool: u16| i64::from(left[usize::from(pool)]);
        let cap = |draws: &Draws| draws.iter().map(|&pool| spots(pool)).min().unwrap_or(0);
        let mut shared: Vec<(Vec<usize>, i64)> = Vec::new();
        for pool in pools_of(group) {
            let kinds: Vec<usize> = (0..group.len())
                .filter(|&at| group[at].contains(&pool))
                .collect();
            // Pools of the same kinds are one constraint: the tighter one.
            match shared.iter_mut().find(|(known, _)| *known == kinds) {
                Some((_, fewest)) => *fewest = spots(pool).min(*fewest),
                // A pool of a single kind is already in the cap of that kind.
                None if kinds.len() > 1 => shared.push((kinds, spots(pool))),
                None => {}
            }
        }
        Self {
            caps: group.iter().map(cap).collect(),
            shared,
        }
    }

    /// The maximum. `known` tickets are known to fit.
    fn solve(&self, known: u64) -> u64 {
        let mut best = i64::try_from(known).unwrap_or(i64::MAX);
        let mut steps = MAX_STEPS;
        // A stack, so depth first: a first whole solution comes early and cuts off other parts.
        let mut parts = vec![Part {
            least: vec![0; self.caps.len()],
            most: self.caps.clone(),
        }];
        while let Some(part) = parts.pop() {
            let Some(program) = self.program(&part) else {
                continue;
            };
            // Out of steps: the best packing so far stands.
            let Some(optimum) = simplex::maximum(program, &mut steps) else {
                break;
            };
            let base: i64 = part.least.iter().sum();
            // The relaxed optimum bounds the whole part from above, so nothing in it is better.
            if base + optimum.whole_sum() <= best {
                continue;
            }
            let counts: Vec<i64> = part
                .least
                .iter()
                .zip(optimum.floors())
                .map(|(a, b)| a + b)
                .collect();
            // Rounding down always fits, and leaves spots that other tickets can fill.
            best = best.max(self.filled_up(&counts));
            if let Some(at) = optimum
                .fractional()
                .filter(|_| base + optimum.whole_sum() > best)
            {
                let mut fewer = part.clone();
                let mut more = part;
                // No whole solution lies between the floor and the next number, so these two parts cover
                // everything.
                fewer.most[at] = counts[at];
                more.least[at] = counts[at] + 1;
                parts.push(fewer);
                parts.push(more);
            }
        }
        u64::try_from(best).unwrap_or(0)
    }

    /// The linear program of a part, counted beyond the least of each kind; `None` if the part has no
    /// solution.
    fn program(&self, part: &Part) -> Option<simplex::Program> {
        let mut program = simplex::Program::of(part.least.len());
        for (kinds, left) in &self.shared {
            // Below zero if the least counts exceed the pool: then the part is empty.
            let room = left - kinds.iter().map(|&at| part.least[at]).sum::<i64>();
            program.at_most(kinds, room)?;
        }
        for (at, (least, most)) in part.least.iter().zip(&part.most).enumerate() {
            program.at_most(&[at], most - least)?;
        }
        Some(program)
    }

    /// The number of tickets in `counts` and of the tickets that still fit beside them.
    fn filled_up(&self, counts: &[i64]) -> i64 {
        let mut left: Vec<i64> = self.shared.iter().map(|(_, left)| *left).collect();
        for ((kinds, _), left) in self.shared.iter().zip(&mut left) {
            *left -= kinds.iter().map(|&at| counts[at]).sum::<i64>();
        }
        let mut sum: i64 = counts.iter().sum();
        for (at, count) in counts.iter().enumerate() {
            let pools = || {
                self.shared
                    .iter()
                    .enumerate()
                    .filter(|(_, (kinds, _))| kinds.contains(&at))
            };
            let fits = pools()
                .map(|(pool, _)| left[pool])
                .min()
                .unwrap_or(i64::MAX);
            let more = fits.min(self.caps[at] - count);
            for (pool, _) in pools() {
                left[pool] -= more;
            }
            sum += more;
        }
        sum
    }
}

#[cfg(test)]
mod tests;
