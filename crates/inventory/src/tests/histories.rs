//! Histories of the inventory, made under chosen schedules, must fit one call after another.

use std::{collections::BTreeMap, sync::Mutex};

use super::{revisions::opening, *};
use domain::slot::BlockedSpots;
use testkit::{
    histories::{History, Sequential},
    schedules::{Caught, Stage, every_schedule, point, point_until, random_schedules},
    seeds::seeds,
};

const SLOTS: usize = 2;
const CARTS: usize = 2;
/// Holds last longer than a history.
const TIME: CartHold = CartHold {
    each: Seconds::new(600),
    whole: Seconds::new(600),
};

/// What somebody does. Each has one order or one hold in the making at a time, and a cart has one of either.
#[derive(Debug, Clone)]
enum Call {
    /// Looks at all slots at one moment, as a cart or as nobody.
    Look(Option<u8>),
    /// Begins to keep spots of slots for a cart, in place of what it had.
    Hold {
        by: usize,
        cart: u8,
        slots: Vec<usize>,
        count: u32,
    },
    /// Begins to give up what a cart holds.
    ReleaseHold {
        by: usize,
        cart: u8,
    },
    /// Ends somebody's change of a hold, which is on record or is not.
    EndHold {
        by: usize,
        is_recorded: bool,
    },
    /// Takes spots of slots for the order of a cart.
    Reserve {
        by: usize,
        cart: u8,
        slots: Vec<usize>,
        count: u32,
    },
    /// Ends somebody's order, placed or given up.
    Confirm {
        by: usize,
    },
    Release {
        by: usize,
    },
    /// Begins to block spots of a slot, in place of what is blocked.
    Block {
        by: usize,
        slot: usize,
        spots: BlockedSpots,
    },
    /// Ends somebody's block, which is on record or is not.
    EndBlock {
        by: usize,
        is_recorded: bool,
    },
    /// Puts another revision on sale, with these allotments.
    Replace([u32; SLOTS]),
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Fits(bool),
    Left([u32; SLOTS]),
}

/// Spots of slots.
type Spots = Vec<(usize, u32)>;

/// An order in the making: its spots, and the cart with what it held before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct InTheMaking {
    spots: Spots,
    consumed: Option<(u8, Spots)>,
}

/// What the inventory promises, where one call follows another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SequentialModel {
    allotments: [u32; SLOTS],
    sold: [u32; SLOTS],
    holds: BTreeMap<u8, Spots>,
    /// What each cart is going to hold, by who changes it.
    staged: BTreeMap<usize, (u8, Spots)>,
    making: BTreeMap<usize, InTheMaking>,
    blocked: [BlockedSpots; SLOTS],
    /// What is going to be blocked, by who blocks it.
    staged_blocks: BTreeMap<usize, (usize, BlockedSpots)>,
}

fn of_slot(spots: &Spots, slot: usize) -> u32 {
    let of_it = spots.iter().filter(|(at, _)| *at == slot);
    of_it.map(|(_, count)| count).sum()
}

impl SequentialModel {
    fn with(allotments: [u32; SLOTS], holds: BTreeMap<u8, Spots>) -> Self {
        Self {
            allotments,
            sold: [0; SLOTS],
            holds,
            staged: BTreeMap::new(),
            making: BTreeMap::new(),
            blocked: [BlockedSpots::NONE; SLOTS],
            staged_blocks: BTreeMap::new(),
        }
    }

    /// What is blocked of a slot or is going to be, whichever is more.
    fn blocked(&self, slot: usize) -> u32 {
        let staged = self.staged_blocks.values().filter(|(of, _)| *of == slot);
        let most = staged.fold(self.blocked[slot], |most, (_, spots)| most.max(*spots));
        match most {
            BlockedSpots::Count(count) => count,
            BlockedSpots::All => u32::MAX,
        }
    }

    /// What a cart takes of a slot: what it holds or what it is going to hold, whichever is more.
    fn held(&self, cart: u8, slot: usize) -> u32 {
        let placed = self.holds.get(&cart).map_or(0, |held| of_slot(held, slot));
        let staged = self.staged.values().filter(|(of, _)| *of == cart);
        staged.fold(placed, |most, (_, held)| most.max(of_slot(held, slot)))
    }

    fn left(&self, viewer: Option<u8>) -> [u32; SLOTS] {
        std::array::from_fn(|slot| {
            let others = (0..).take(CARTS).filter(|cart| Some(*cart) != viewer);
            let held: u32 = others.map(|cart| self.held(cart, slot)).sum();
            let taken = self.blocked(slot).saturating_add(self.sold[slot] + held);
            self.allotments[slot].saturating_sub(taken)
        })
    }

    fn fits(&self, cart: u8, slots: &[usize], count: u32) -> bool {
        let left = self.left(Some(cart));
        slots.iter().all(|&slot| left[slot] >= count)
    }

    fn sell(&mut self, by: usize, cart: u8, spots: Spots) {
        for &(slot, count) in &spots {
            self.sold[slot] += count;
        }
        let consumed = self.holds.get(&cart).cloned().map(|held| (cart, held));
        if let Some(held) = self.holds.get_mut(&cart) {
            for (slot, count) in held {
                *count = count.saturating_sub(of_slot(&spots, *slot));
            }
        }
        self.making.insert(by, InTheMaking { spots, consumed });
    }
}

impl Sequential for SequentialModel {
    type Call = Call;
    type Answer = Answer;

    fn answer(&mut self, call: &Call) -> Answer {
        match call {
            Call::Look(viewer) => return Answer::Left(self.left(*viewer)),
            Call::Hold {
                by,
                cart,
                slots,
                count,
            } => {
                let fits = self.fits(*cart, slots, *count);
                let next = slots.iter().map(|&slot| (slot, *count)).filter(|_| fits);
                self.staged.insert(*by, (*cart, next.collect()));
                return Answer::Fits(fits);
            }
            Call::ReleaseHold { by, cart } => {
                self.staged.insert(*by, (*cart, Spots::new()));
            }
            Call::EndHold { by, is_recorded } => {
                if let Some((cart, next)) = self.staged.remove(by).filter(|_| *is_recorded) {
                    self.holds.insert(cart, next);
                }
            }
            Call::Reserve {
                by,
                cart,
                slots,
                count,
            } => {
                if !self.fits(*cart, slots, *count) {
                    return Answer::Fits(false);
                }
                self.sell(
                    *by,
                    *cart,
                    slots.iter().map(|&slot| (slot, *count)).collect(),
                );
                return Answer::Fits(true);
            }
            Call::Confirm { by } => {
                if let Some((cart, _)) = self.making.remove(by).and_then(|order| order.consumed) {
                    self.holds.remove(&cart);
                }
            }
            Call::Release { by } => {
                let Some(InTheMaking { spots, consumed }) = self.making.remove(by) else {
                    return Answer::Done;
                };
                for (slot, count) in spots {
                    self.sold[slot] -= count;
                }
                if let Some((cart, held)) = consumed {
                    self.holds.insert(cart, held);
                }
            }
            Call::Block { by, slot, spots } => {
                self.staged_blocks.insert(*by, (*slot, *spots));
            }
            Call::EndBlock { by, is_recorded } => {
                let ended = self.staged_blocks.remove(by);
                if let Some((slot, spots)) = ended.filter(|_| *is_recorded) {
                    self.blocked[slot] = spots;
                }
            }
            Call::Replace(allotments) => self.allotments = *allotments,
        }
        Answer::Done
    }
}

fn cart_key(cart: u8) -> CartKey {
    CartKey([cart; 16])
}

/// A fixture with what goes on at it.
struct Shop {
    fixture: SlotFixture,
    on_sale: AtomicU32,
    making: Mutex<BTreeMap<usize, Reservation>>,
    holding: Mutex<BTreeMap<usize, Option<HoldChange>>>,
    blocking: Mutex<BTreeMap<usize, BlockChange>>,
    /// Who changes each cart, as the application locks it.
    locks: Mutex<[Option<usize>; CARTS]>,
    /// Who blocks each slot.
    block_locks: Mutex<[Option<usize>; SLOTS]>,
}

impl Shop {
    fn with(allotments: [u32; SLOTS], holds: &BTreeMap<u8, Spots>) -> Self {
        let fixture = SlotFixture::with(&allotments);
        for (cart, spots) in holds {
            let claims = spots
                .iter()
                .flat_map(|&(at, count)| fixture.claims(&[at], count));
            fixture.inventory.restore_hold(RestoredHold {
                cart: cart_key(*cart),
                revision: 1,
                claims: claims.collect(),
                placed_sec: NOW - 60,
                expires_sec: NOW + 540,
                used: Seconds::ZERO,
                pause: TIME.each,
            });
        }
        Self {
            fixture,
            on_sale: AtomicU32::new(0),
            making: Mutex::default(),
            holding: Mutex::default(),
            blocking: Mutex::default(),
            locks: Mutex::default(),
            block_locks: Mutex::default(),
        }
    }

    /// Waits until nobody changes a cart, and becomes who does.
    fn lock(&self, by: usize, cart: u8) {
        let cart = usize::from(cart);
        point_until(|| self.locks.lock().unwrap()[cart].is_none());
        self.locks.lock().unwrap()[cart] = Some(by);
    }

    fn unlock(&self, by: usize) {
        for holder in &mut *self.locks.lock().unwrap() {
            holder.take_if(|holder| *holder == by);
        }
    }

    /// Decides as the application does: by what is on sale, and anew where that has been replaced.
    fn decide<R>(&self, decide: impl Fn(Revision) -> Result<R, Stale>) -> R {
        loop {
            let revision = Revision(self.on_sale.load(Ordering::SeqCst));
            point();
            if let Ok(decided) = decide(revision) {
                return decided;
            }
        }
    }

    fn left(&self, seen: &[Option<&Slot>], cart: Option<u8>) -> Vec<u32> {
        seen.iter()
            .flatten()
            .map(|slot| self.fixture.left(slot, NOW, cart.map(cart_key)))
            .collect()
    }

    fn look(&self, cart: Option<u8>) -> Answer {
        let all: Vec<usize> = (0..SLOTS).collect();
        let look = |revision| {
            self.fixture
                .inventory
                .examine(revision, &self.fixture.asked(&all), |seen| {
                    self.left(seen, cart)
                })
        };
        Answer::Left(self.decide(look).try_into().unwrap())
    }

    fn fits(&self, seen: &[Option<&Slot>], cart: u8, count: u32) -> bool {
        let left = self.left(seen, Some(cart));
        left.into_iter().all(|left| left >= count)
    }

    fn begin_hold(&self, cart: u8, slots: &[usize], count: u32) -> (bool, Option<HoldChange>) {
        let (fixture, key) = (&self.fixture, cart_key(cart));
        self.decide(|revision| {
            let claim = |seen: &[Option<&Slot>]| {
                let fits = self.fits(seen, cart, count);
                let claims = if fits {
                    fixture.claims(slots, count)
                } else {
                    Vec::new()
                };
                (fits, claims)
            };
            let asked = fixture.asked(slots);
            let held = fixture
                .inventory
                .hold(revision, &asked, key, NOW, Some(TIME), claim);
            held.inspect(|(fits, change)| {
                let is_held = change
                    .as_ref()
                    .is_some_and(|change| change.next().is_some());
                assert_eq!(*fits, is_held);
            })
        })
    }

    fn hold(&self, by: usize, cart: u8, slots: &[usize], count: u32) -> Answer {
        self.lock(by, cart);
        let (fits, change) = self.begin_hold(cart, slots, count);
        self.holding.lock().unwrap().insert(by, change);
        Answer::Fits(fits)
    }

    fn release_hold(&self, by: usize, cart: u8) {
        self.lock(by, cart);
        let change = self.fixture.inventory.release_hold(cart_key(cart));
        self.holding.lock().unwrap().insert(by, change);
    }

    fn end_hold(&self, by: usize, is_recorded: bool) {
        let change = self.holding.lock().unwrap().remove(&by).flatten();
        if let Some(change) = change {
            if is_recorded {
                self.fixture.inventory.apply_hold(change, NOW);
            } else {
                self.fixture.inventory.revert_hold(change, NOW);
            }
        }
        self.unlock(by);
    }

    fn reserve(&self, by: usize, cart: u8, slots: &[usize], count: u32) -> Answer {
        self.lock(by, cart);
        let (fixture, key) = (&self.fixture, cart_key(cart));
        let decision = self.decide(|revision| {
            fixture
                .inventory
                .reserve(revision, &fixture.asked(slots), key, NOW, |seen| {
                    fixture.sell_if(self.fits(seen, cart, count), slots, count)
                })
        });
        let reservation = reservation(decision);
        let fits = reservation.is_some();
        if let Some(reservation) = reservation {
            self.making.lock().unwrap().insert(by, reservation);
        } else {
            self.unlock(by);
        }
        Answer::Fits(fits)
    }

    fn block(&self, by: usize, slot: usize, spots: BlockedSpots) {
        point_until(|| self.block_locks.lock().unwrap()[slot].is_none());
        self.block_locks.lock().unwrap()[slot] = Some(by);
        let (inventory, key) = (&self.fixture.inventory, self.fixture.keys[slot]);
        let change = self.decide(|revision| inventory.stage_block(revision, key, spots));
        self.blocking.lock().unwrap().insert(by, change.unwrap());
    }

    fn end_block(&self, by: usize, is_recorded: bool) {
        let change = self.blocking.lock().unwrap().remove(&by).unwrap();
        if is_recorded {
            self.fixture.inventory.apply_block(change);
        } else {
            self.fixture.inventory.revert_block(change);
        }
        for holder in &mut *self.block_locks.lock().unwrap() {
            holder.take_if(|holder| *holder == by);
        }
    }

    fn replace(&self, allotments: [u32; SLOTS]) {
        let fixture = &self.fixture;
        let on_sale = Revision(self.on_sale.load(Ordering::SeqCst));
        let open = |(&key, allotment)| opening(key, allotment);
        let openings: Vec<Opening> = fixture.keys.iter().zip(allotments).map(open).collect();
        fixture
            .inventory
            .stage(on_sale, on_sale.next(), &openings, NOW, EpochSeconds::MAX);
        point();
        self.on_sale.store(on_sale.next().0, Ordering::SeqCst);
        point();
        fixture.inventory.advance_all(on_sale.next(), |_, _| {});
    }

    fn end(&self, by: usize, end: impl FnOnce(Reservation)) {
        let reservation = self.making.lock().unwrap().remove(&by);
        reservation.map(end);
        self.unlock(by);
    }

    fn make(&self, call: &Call) -> Answer {
        let inventory = &self.fixture.inventory;
        match call {
            Call::Look(cart) => return self.look(*cart),
            Call::Hold {
                by,
                cart,
                slots,
                count,
            } => return self.hold(*by, *cart, slots, *count),
            Call::ReleaseHold { by, cart } => self.release_hold(*by, *cart),
            Call::EndHold { by, is_recorded } => self.end_hold(*by, *is_recorded),
            Call::Reserve {
                by,
                cart,
                slots,
                count,
            } => return self.reserve(*by, *cart, slots, *count),
            Call::Confirm { by } => {
                self.end(*by, |reservation| inventory.confirm(reservation, NOW));
            }
            Call::Release { by } => {
                self.end(*by, |reservation| inventory.release(reservation, NOW));
            }
            Call::Block { by, slot, spots } => self.block(*by, *slot, *spots),
            Call::EndBlock { by, is_recorded } => self.end_block(*by, *is_recorded),
            Call::Replace(allotments) => self.replace(*allotments),
        }
        Answer::Done
    }
}

/// Random calls of one caller, which ends an order or a change of a hold before it begins another.
fn calls_of(by: usize, chance: &mut fastrand::Rng) -> Vec<Call> {
    let mut calls = Vec::new();
    let look = |chance: &mut fastrand::Rng, calls: &mut Vec<Call>| {
        if chance.u8(..4) == 0 {
            let cart = chance.u8(..2);
            calls.push(Call::Look(Some(cart).filter(|_| chance.bool())));
        }
    };
    for _ in 0..2 {
        look(chance, &mut calls);
        let slots = [vec![0], vec![1], vec![0, 1], vec![1, 0]][chance.usize(..4)].clone();
        let (cart, count) = (chance.u8(..2), chance.u32(1..3));
        let (begin, end) = match chance.u8(..9) {
            7.. => (
                Call::Block {
                    by,
                    slot: slots[0],
                    spots: [
                        BlockedSpots::All,
                        BlockedSpots::Count(chance.u32(..3)),
                        BlockedSpots::NONE,
                    ][chance.usize(..3)],
                },
                Call::EndBlock {
                    by,
                    is_recorded: chance.u8(..4) > 0,
                },
            ),
            0..3 => (
                Call::Hold {
                    by,
                    cart,
                    slots,
                    count,
                },
                Call::EndHold {
                    by,
                    is_recorded: chance.u8(..4) > 0,
                },
            ),
            3 => (
                Call::ReleaseHold { by, cart },
                Call::EndHold {
                    by,
                    is_recorded: chance.u8(..4) > 0,
                },
            ),
            ends => (
                Call::Reserve {
                    by,
                    cart,
                    slots,
                    count,
                },
                if ends == 4 {
                    Call::Confirm { by }
                } else {
                    Call::Release { by }
                },
            ),
        };
        calls.push(begin);
        look(chance, &mut calls);
        calls.push(end);
    }
    calls
}

/// Lets everybody make his calls, and judges what was answered.
fn judge(
    stage: &Stage,
    (start, holds): &([u32; SLOTS], BTreeMap<u8, Spots>),
    parts: Vec<Vec<Call>>,
    make: impl Fn(&Shop, &Call) -> Answer + Sync,
) {
    let (shop, history) = (
        Shop::with(*start, holds),
        History::<SequentialModel>::default(),
    );
    let (shop, make, noted) = (&shop, &make, &history);
    let actor = |calls: Vec<Call>| {
        Box::new(move || {
            for call in calls {
                noted.record(call, |call| make(shop, call));
            }
        }) as _
    };
    stage.play(parts.into_iter().map(actor).collect());
    for cart in [None, Some(0), Some(1)] {
        noted.record(Call::Look(cart), |call| make(shop, call));
    }
    history.must_be_linearizable(&SequentialModel::with(*start, holds.clone()));
}

/// Three with calls by chance, and now and then one who replaces what is on sale.
fn parts(chance: &mut fastrand::Rng) -> Vec<Vec<Call>> {
    let mut parts: Vec<Vec<Call>> = (0..3).map(|by| calls_of(by, chance)).collect();
    if chance.bool() {
        parts.push(
            (0..2)
                .map(|_| Call::Replace([chance.u32(..5), chance.u32(..5)]))
                .collect(),
        );
    }
    parts
}

/// What some carts held before this process began.
fn holds(chance: &mut fastrand::Rng) -> BTreeMap<u8, Spots> {
    let mut holds = BTreeMap::new();
    for cart in (0..).take(CARTS) {
        if chance.u8(..3) == 0 {
            holds.insert(cart, vec![(chance.usize(..SLOTS), chance.u32(1..3))]);
        }
    }
    holds
}

fn histories(
    seeds: std::ops::Range<u64>,
    make: impl Fn(&Shop, &Call) -> Answer + Sync,
) -> Result<u64, Caught> {
    random_schedules(seeds, |stage, seed| {
        let mut chance = fastrand::Rng::with_seed(seed);
        let start = [chance.u32(1..4), chance.u32(1..4)];
        judge(
            stage,
            &(start, holds(&mut chance)),
            parts(&mut chance),
            &make,
        );
    })
}

#[test]
fn every_history_fits_one_call_after_another() {
    histories(seeds(4_000), Shop::make).unwrap();
}

#[test]
fn a_cart_and_its_order_follow_one_another_under_every_schedule() {
    let both = || vec![0, 1];
    let parts = || {
        vec![
            vec![
                Call::Hold {
                    by: 0,
                    cart: 0,
                    slots: both(),
                    count: 1,
                },
                Call::EndHold {
                    by: 0,
                    is_recorded: true,
                },
                Call::ReleaseHold { by: 0, cart: 0 },
                Call::EndHold {
                    by: 0,
                    is_recorded: true,
                },
            ],
            vec![
                Call::Reserve {
                    by: 1,
                    cart: 0,
                    slots: vec![0],
                    count: 2,
                },
                Call::Release { by: 1 },
            ],
        ]
    };
    let start = ([2, 2], BTreeMap::new());
    let schedules = every_schedule(3, |stage| judge(stage, &start, parts(), Shop::make)).unwrap();
    eprintln!("{schedules} schedules");
}

/// A way to take spots for an order that is not one step.
type Broken = fn(&Shop, usize, &[usize], u32) -> Answer;

/// Looks, lets go of the slots, and takes.
fn look_then_take(shop: &Shop, by: usize, slots: &[usize], count: u32) -> Answer {
    let Answer::Left(left) = shop.look(None) else {
        unreachable!()
    };
    let fits = slots.iter().all(|&slot| left[slot] >= count);
    if fits {
        let claims = shop.fixture.claims(slots, count);
        shop.fixture.inventory.restore(&claims);
        shop.making.lock().unwrap().insert(
            by,
            Reservation {
                claims,
                consumed: None,
            },
        );
    }
    Answer::Fits(fits)
}

/// Takes one slot after another, and gives them back if one does not have enough.
fn one_by_one(shop: &Shop, by: usize, slots: &[usize], count: u32) -> Answer {
    let mut claims = Vec::new();
    for slot in slots {
        if shop.reserve(by, 0, &[*slot], count) == Answer::Fits(false) {
            shop.fixture.inventory.unsell(&claims);
            return Answer::Fits(false);
        }
        shop.end(by, |reservation| claims.extend(reservation.claims));
    }
    shop.making.lock().unwrap().insert(
        by,
        Reservation {
            claims,
            consumed: None,
        },
    );
    Answer::Fits(true)
}

/// The negative control: inventories that take spots in several steps are found out, and nothing is
/// wrong with them as long as nobody comes between.
#[test]
fn broken_inventories_are_found_out() {
    let broken: [(&str, Broken); 2] = [
        ("look, then take", look_then_take),
        ("one slot after another", one_by_one),
    ];
    for (name, reserve) in broken {
        let make = |shop: &Shop, call: &Call| {
            let Call::Reserve {
                by, slots, count, ..
            } = call
            else {
                return shop.make(call);
            };
            reserve(shop, *by, slots, *count)
        };
        let without_holds = |seed| {
            let mut parts = parts(&mut fastrand::Rng::with_seed(seed));
            let is_of_carts = |call: &Call| {
                matches!(
                    call,
                    Call::Hold { .. }
                        | Call::ReleaseHold { .. }
                        | Call::EndHold { .. }
                        | Call::Block { .. }
                        | Call::EndBlock { .. }
                )
            };
            for calls in &mut parts {
                calls.retain(|call| !is_of_carts(call));
            }
            parts
        };
        let start = ([2, 3], BTreeMap::new());
        let alone =
            |stage: &Stage, seed| judge(stage, &start, vec![without_holds(seed).concat()], make);
        random_schedules(0..100, alone).unwrap();
        let together = |stage: &Stage, seed| judge(stage, &start, without_holds(seed), make);
        let caught = random_schedules(0..1_000, together).unwrap_err();
        assert!(
            caught.why.contains("not linearizable"),
            "{name}: {}",
            caught.why
        );
        eprintln!("{name}: found out after {} histories", caught.schedules);
    }
}

/// The negative control of the records: a hold that gives its spots back before that is on record is found out, also
/// where one call follows another.
#[test]
fn spots_that_are_given_back_too_early_are_found_out() {
    let make = |shop: &Shop, call: &Call| {
        let answer = shop.make(call);
        if let Call::Hold { by, .. } | Call::ReleaseHold { by, .. } = call {
            let change = shop
                .holding
                .lock()
                .unwrap()
                .get_mut(by)
                .and_then(Option::take);
            if let Some(change) = change {
                shop.fixture.inventory.apply_hold(change, NOW);
            }
        }
        answer
    };
    let caught = histories(0..1_000, make).unwrap_err();
    assert!(caught.why.contains("not linearizable"), "{}", caught.why);
    eprintln!("found out after {} histories", caught.schedules);
}

/// The same for blocks: one that is in force only once it is on record is found out, and so is one that ends before that.
#[test]
fn blocks_that_are_in_force_too_late_or_too_short_are_found_out() {
    let meant = Mutex::new(BTreeMap::new());
    let too_late = |shop: &Shop, call: &Call| {
        let inventory = &shop.fixture.inventory;
        match *call {
            Call::Block { by, slot, spots } => {
                meant.lock().unwrap().insert(by, (slot, spots));
                let nothing = BlockedSpots::NONE;
                shop.make(&Call::Block {
                    by,
                    slot,
                    spots: nothing,
                })
            }
            Call::EndBlock { by, is_recorded } => {
                let is_nothing = Call::EndBlock {
                    by,
                    is_recorded: false,
                };
                if is_recorded {
                    let (slot, spots) = meant.lock().unwrap()[&by];
                    inventory.restore_block(shop.fixture.keys[slot], spots);
                }
                shop.make(&is_nothing)
            }
            Call::Look(_)
            | Call::Hold { .. }
            | Call::ReleaseHold { .. }
            | Call::EndHold { .. }
            | Call::Reserve { .. }
            | Call::Confirm { .. }
            | Call::Release { .. }
            | Call::Replace(_) => shop.make(call),
        }
    };
    let too_short = |shop: &Shop, call: &Call| {
        let answer = shop.make(call);
        if let Call::Block { by, slot, .. } = call {
            let (inventory, key) = (&shop.fixture.inventory, shop.fixture.keys[*slot]);
            let change = shop.blocking.lock().unwrap().remove(by).unwrap();
            inventory.apply_block(change);
            let now = inventory.blocked(key);
            let again = shop.decide(|revision| inventory.stage_block(revision, key, now));
            shop.blocking.lock().unwrap().insert(*by, again.unwrap());
        }
        answer
    };
    let late = histories(0..1_000, too_late).unwrap_err();
    let short = histories(0..1_000, too_short).unwrap_err();
    for caught in [late, short] {
        assert!(caught.why.contains("not linearizable"), "{}", caught.why);
        eprintln!("found out after {} histories", caught.schedules);
    }
}
