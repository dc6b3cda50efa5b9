//! Histories of the inventory, made under chosen schedules, must fit one call after another.

use std::{collections::BTreeMap, sync::Mutex};

use super::{revisions::opening, *};
use testkit::{
    histories::{History, Sequential},
    schedules::{Caught, Stage, every_schedule, point, random_schedules},
    seeds::seeds,
};

const SLOTS: usize = 2;
const CARTS: u8 = 2;
/// Holds last longer than a history.
const TIME: CartHold = CartHold {
    each: Seconds::new(600),
    whole: Seconds::new(600),
};

/// What somebody does. Each has one order in the making at a time.
#[derive(Debug, Clone)]
enum Call {
    /// Looks at all slots at one moment, as a cart or as nobody.
    Look(Option<u8>),
    /// Keeps spots of slots for a cart, in place of what it had.
    Hold {
        cart: u8,
        slots: Vec<usize>,
        count: u32,
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
    /// Gives up what a cart holds.
    ReleaseHold(u8),
    /// Puts another revision on sale, with these allotments.
    Replace([u32; SLOTS]),
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Fits(bool),
    Left([u32; SLOTS]),
}

/// An order in the making: its spots, and the cart whose hold it has used up and may give back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct InTheMaking {
    slots: Vec<usize>,
    count: u32,
    consumed: Option<u8>,
}

impl InTheMaking {
    /// Gives nothing back to a cart of which something else has been said meanwhile.
    fn forgets(&mut self, cart: u8) {
        self.consumed.take_if(|consumed| *consumed == cart);
    }
}

/// What the inventory promises, where one call follows another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Plain {
    allotments: [u32; SLOTS],
    sold: [u32; SLOTS],
    holds: BTreeMap<u8, Vec<(usize, u32)>>,
    making: BTreeMap<usize, InTheMaking>,
}

impl Plain {
    fn with(allotments: [u32; SLOTS]) -> Self {
        Self {
            allotments,
            sold: [0; SLOTS],
            holds: BTreeMap::new(),
            making: BTreeMap::new(),
        }
    }

    fn release_hold(&mut self, cart: u8) {
        self.holds.remove(&cart);
        for order in self.making.values_mut() {
            order.forgets(cart);
        }
    }

    fn left(&self, viewer: Option<u8>) -> [u32; SLOTS] {
        std::array::from_fn(|slot| {
            let others = self.holds.iter().filter(|(cart, _)| Some(**cart) != viewer);
            let held = others
                .flat_map(|(_, held)| held)
                .filter(|(at, _)| *at == slot);
            let taken = self.sold[slot] + held.map(|(_, count)| count).sum::<u32>();
            self.allotments[slot].saturating_sub(taken)
        })
    }

    fn fits(&self, cart: u8, slots: &[usize], count: u32) -> bool {
        let left = self.left(Some(cart));
        slots.iter().all(|&slot| left[slot] >= count)
    }
}

impl Sequential for Plain {
    type Call = Call;
    type Answer = Answer;

    fn answer(&mut self, call: &Call) -> Answer {
        match call {
            Call::Look(viewer) => return Answer::Left(self.left(*viewer)),
            Call::Hold { cart, slots, count } => {
                let fits = self.fits(*cart, slots, *count);
                self.release_hold(*cart);
                if fits {
                    self.holds
                        .insert(*cart, slots.iter().map(|&slot| (slot, *count)).collect());
                }
                return Answer::Fits(fits);
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
                let consumed = self.holds.remove(cart).map(|_| *cart);
                for &slot in slots {
                    self.sold[slot] += count;
                }
                self.making.insert(
                    *by,
                    InTheMaking {
                        slots: slots.clone(),
                        count: *count,
                        consumed,
                    },
                );
                return Answer::Fits(true);
            }
            Call::Confirm { by } => {
                self.making.remove(by);
            }
            Call::Release { by } => {
                let Some(InTheMaking {
                    slots,
                    count,
                    consumed,
                }) = self.making.remove(by)
                else {
                    return Answer::Done;
                };
                for &slot in &slots {
                    self.sold[slot] -= count;
                }
                if let Some(cart) = consumed {
                    self.holds
                        .insert(cart, slots.iter().map(|&slot| (slot, count)).collect());
                }
            }
            Call::ReleaseHold(cart) => {
                self.release_hold(*cart);
            }
            Call::Replace(allotments) => self.allotments = *allotments,
        }
        Answer::Done
    }
}

fn cart_key(cart: u8) -> CartKey {
    CartKey([cart; 16])
}

/// A river with what goes on at it.
struct Shop {
    river: River,
    on_sale: AtomicU32,
    making: Mutex<BTreeMap<usize, Reservation>>,
}

impl Shop {
    fn with(allotments: [u32; SLOTS]) -> Self {
        Self {
            river: River::with(&allotments),
            on_sale: AtomicU32::new(0),
            making: Mutex::default(),
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
            .map(|slot| self.river.left(slot, NOW, cart.map(cart_key)))
            .collect()
    }

    fn look(&self, cart: Option<u8>) -> Answer {
        let all: Vec<usize> = (0..SLOTS).collect();
        let look = |revision| {
            self.river
                .inventory
                .examine(revision, &self.river.asked(&all), |seen| {
                    self.left(seen, cart)
                })
        };
        Answer::Left(self.decide(look).try_into().unwrap())
    }

    fn fits(&self, seen: &[Option<&Slot>], cart: u8, count: u32) -> bool {
        let left = self.left(seen, Some(cart));
        left.into_iter().all(|left| left >= count)
    }

    fn hold(&self, cart: u8, slots: &[usize], count: u32) -> Answer {
        let (river, key) = (&self.river, cart_key(cart));
        Answer::Fits(self.decide(|revision| {
            let claim = |seen: &[Option<&Slot>]| {
                let fits = self.fits(seen, cart, count);
                let claims = if fits {
                    river.claims(slots, count)
                } else {
                    Vec::new()
                };
                (fits, claims)
            };
            let held = river
                .inventory
                .hold(revision, &river.asked(slots), key, NOW, TIME, claim);
            held.map(|(fits, expires_sec)| {
                assert_eq!(fits, expires_sec.is_some());
                fits
            })
        }))
    }

    fn reserve(&self, by: usize, cart: u8, slots: &[usize], count: u32) -> Answer {
        let (river, key) = (&self.river, cart_key(cart));
        let decision = self.decide(|revision| {
            river
                .inventory
                .reserve(revision, &river.asked(slots), key, NOW, |seen| {
                    river.sell_if(self.fits(seen, cart, count), slots, count)
                })
        });
        let reservation = reservation(decision);
        let fits = reservation.is_some();
        if let Some(reservation) = reservation {
            self.making.lock().unwrap().insert(by, reservation);
        }
        Answer::Fits(fits)
    }

    fn replace(&self, allotments: [u32; SLOTS]) {
        let river = &self.river;
        let on_sale = Revision(self.on_sale.load(Ordering::SeqCst));
        let open = |(&key, allotment)| opening(key, allotment);
        let openings: Vec<Opening> = river.keys.iter().zip(allotments).map(open).collect();
        river
            .inventory
            .stage(on_sale, on_sale.next(), &openings, NOW, EpochSeconds::MAX);
        point();
        self.on_sale.store(on_sale.next().0, Ordering::SeqCst);
        point();
        river.inventory.advance_all(on_sale.next(), |_, _| {});
    }

    fn end(&self, by: usize, end: impl FnOnce(Reservation)) {
        let reservation = self.making.lock().unwrap().remove(&by);
        reservation.map(end);
    }

    fn make(&self, call: &Call) -> Answer {
        let inventory = &self.river.inventory;
        match call {
            Call::Look(cart) => return self.look(*cart),
            Call::Hold { cart, slots, count } => return self.hold(*cart, slots, *count),
            Call::Reserve {
                by,
                cart,
                slots,
                count,
            } => return self.reserve(*by, *cart, slots, *count),
            Call::Confirm { by } => self.end(*by, |reservation| inventory.confirm(reservation)),
            Call::Release { by } => {
                self.end(*by, |reservation| inventory.release(reservation, NOW));
            }
            Call::ReleaseHold(cart) => inventory.release_hold(cart_key(*cart), NOW),
            Call::Replace(allotments) => self.replace(*allotments),
        }
        Answer::Done
    }
}

/// Random calls of one caller, which finishes an order before it begins another.
fn calls_of(by: usize, chance: &mut fastrand::Rng) -> Vec<Call> {
    let mut making = false;
    let mut call = || {
        let slots = [vec![0], vec![1], vec![0, 1], vec![1, 0]][chance.usize(..4)].clone();
        let (cart, count) = (chance.u8(..CARTS), chance.u32(1..3));
        match chance.u8(..10) {
            0 => Call::Look(Some(cart).filter(|_| chance.bool())),
            1 | 2 => Call::Hold { cart, slots, count },
            3 => Call::ReleaseHold(cart),
            _ if making => {
                making = false;
                if chance.bool() {
                    Call::Confirm { by }
                } else {
                    Call::Release { by }
                }
            }
            _ => {
                making = true;
                Call::Reserve {
                    by,
                    cart,
                    slots,
                    count,
                }
            }
        }
    };
    (0..4).map(|_| call()).collect()
}

/// Lets everybody make his calls, and judges what was answered.
fn judge(
    stage: &Stage,
    start: [u32; SLOTS],
    parts: Vec<Vec<Call>>,
    make: impl Fn(&Shop, &Call) -> Answer + Sync,
) {
    let (shop, history) = (Shop::with(start), History::<Plain>::default());
    let (shop, make, noted) = (&shop, &make, &history);
    let actor = |calls: Vec<Call>| {
        Box::new(move || {
            for call in calls {
                noted.note(call, |call| make(shop, call));
            }
        }) as _
    };
    stage.play(parts.into_iter().map(actor).collect());
    for cart in [None, Some(0), Some(1)] {
        noted.note(Call::Look(cart), |call| make(shop, call));
    }
    history.must_be_linearizable(&Plain::with(start));
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

fn histories(
    seeds: std::ops::Range<u64>,
    make: impl Fn(&Shop, &Call) -> Answer + Sync,
) -> Result<u64, Caught> {
    random_schedules(seeds, |stage, seed| {
        let mut chance = fastrand::Rng::with_seed(seed);
        let start = [chance.u32(1..4), chance.u32(1..4)];
        judge(stage, start, parts(&mut chance), &make);
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
                    cart: 0,
                    slots: both(),
                    count: 1,
                },
                Call::ReleaseHold(0),
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
    let schedules = every_schedule(3, |stage| judge(stage, [2, 2], parts(), Shop::make)).unwrap();
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
        let claims = shop.river.claims(slots, count);
        shop.river.inventory.restore(&claims);
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
            shop.river.inventory.unsell(&claims);
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
            let is_of_carts =
                |call: &Call| matches!(call, Call::Hold { .. } | Call::ReleaseHold(_));
            for calls in &mut parts {
                calls.retain(|call| !is_of_carts(call));
            }
            parts
        };
        let alone =
            |stage: &Stage, seed| judge(stage, [2, 3], vec![without_holds(seed).concat()], make);
        random_schedules(0..100, alone).unwrap();
        let together = |stage: &Stage, seed| judge(stage, [2, 3], without_holds(seed), make);
        let caught = random_schedules(0..1_000, together).unwrap_err();
        assert!(
            caught.why.contains("not linearizable"),
            "{name}: {}",
            caught.why
        );
        eprintln!("{name}: found out after {} histories", caught.schedules);
    }
}
