//! Linearizability: histories of the inventory under chosen schedules must match a sequential order of
//! their calls.

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

/// A call. Each caller has one pending order at a time.
#[derive(Debug, Clone)]
enum Call {
    /// Examines all slots at one moment, for a cart or without one.
    Examine(Option<u8>),
    /// Holds spots of slots for a cart, in place of its earlier hold.
    Hold {
        cart: u8,
        slots: Vec<usize>,
        count: u32,
    },
    /// Reserves spots of slots for the order of a cart.
    Reserve {
        by: usize,
        cart: u8,
        slots: Vec<usize>,
        count: u32,
    },
    /// Ends the caller's order with success.
    Confirm { by: usize },
    /// Ends the caller's order with a failure.
    Release { by: usize },
    /// Releases the hold of a cart.
    ReleaseHold(u8),
    /// Activates another revision with these allotments.
    Activate([u32; SLOTS]),
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Fits(bool),
    Left([u32; SLOTS]),
}

/// A pending order: its spots, and the cart whose hold it has consumed and may restore.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PendingOrder {
    slots: Vec<usize>,
    count: u32,
    consumed: Option<u8>,
}

impl PendingOrder {
    /// Restores nothing to a cart that has had a later call.
    fn forget_hold(&mut self, cart: u8) {
        self.consumed.take_if(|consumed| *consumed == cart);
    }
}

/// The sequential specification of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SequentialModel {
    allotments: [u32; SLOTS],
    sold: [u32; SLOTS],
    holds: BTreeMap<u8, Vec<(usize, u32)>>,
    pending: BTreeMap<usize, PendingOrder>,
}

impl SequentialModel {
    fn with(allotments: [u32; SLOTS]) -> Self {
        Self {
            allotments,
            sold: [0; SLOTS],
            holds: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }

    fn release_hold(&mut self, cart: u8) {
        self.holds.remove(&cart);
        for order in self.pending.values_mut() {
            order.forget_hold(cart);
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

impl Sequential for SequentialModel {
    type Call = Call;
    type Answer = Answer;

    fn answer(&mut self, call: &Call) -> Answer {
        match call {
            Call::Examine(viewer) => return Answer::Left(self.left(*viewer)),
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
                self.pending.insert(
                    *by,
                    PendingOrder {
                        slots: slots.clone(),
                        count: *count,
                        consumed,
                    },
                );
                return Answer::Fits(true);
            }
            Call::Confirm { by } => {
                self.pending.remove(by);
            }
            Call::Release { by } => {
                let Some(PendingOrder {
                    slots,
                    count,
                    consumed,
                }) = self.pending.remove(by)
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
            Call::Activate(allotments) => self.allotments = *allotments,
        }
        Answer::Done
    }
}

fn cart_key(cart: u8) -> CartKey {
    CartKey([cart; 16])
}

/// The inventory under test, with its active revision and the pending orders.
struct InventoryUnderTest {
    fixture: SlotFixture,
    active: AtomicU32,
    pending: Mutex<BTreeMap<usize, Reservation>>,
}

impl InventoryUnderTest {
    fn with(allotments: [u32; SLOTS]) -> Self {
        Self {
            fixture: SlotFixture::with(&allotments),
            active: AtomicU32::new(0),
            pending: Mutex::default(),
        }
    }

    /// Decides as the application does: by the active revision, and again if it is stale.
    fn decide<R>(&self, decide: impl Fn(Revision) -> Result<R, Stale>) -> R {
        loop {
            let revision = Revision(self.active.load(Ordering::SeqCst));
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

    fn examine_all(&self, cart: Option<u8>) -> Answer {
        let all: Vec<usize> = (0..SLOTS).collect();
        let examine = |revision| {
            self.fixture
                .inventory
                .examine(revision, &self.fixture.asked(&all), |seen| {
                    self.left(seen, cart)
                })
        };
        Answer::Left(self.decide(examine).try_into().unwrap())
    }

    fn fits(&self, seen: &[Option<&Slot>], cart: u8, count: u32) -> bool {
        let left = self.left(seen, Some(cart));
        left.into_iter().all(|left| left >= count)
    }

    fn hold(&self, cart: u8, slots: &[usize], count: u32) -> Answer {
        let (fixture, key) = (&self.fixture, cart_key(cart));
        Answer::Fits(self.decide(|revision| {
            let claim = |seen: &[Option<&Slot>]| {
                let fits = self.fits(seen, cart, count);
                let claims = if fits {
                    fixture.claims(slots, count)
                } else {
                    Vec::new()
                };
                (fits, claims)
            };
            let held =
                fixture
                    .inventory
                    .hold(revision, &fixture.asked(slots), key, NOW, TIME, claim);
            held.map(|(fits, expires_sec)| {
                assert_eq!(fits, expires_sec.is_some());
                fits
            })
        }))
    }

    fn reserve(&self, by: usize, cart: u8, slots: &[usize], count: u32) -> Answer {
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
            self.pending.lock().unwrap().insert(by, reservation);
        }
        Answer::Fits(fits)
    }

    fn activate(&self, allotments: [u32; SLOTS]) {
        let fixture = &self.fixture;
        let active = Revision(self.active.load(Ordering::SeqCst));
        let open = |(&key, allotment)| opening(key, allotment);
        let openings: Vec<Opening> = fixture.keys.iter().zip(allotments).map(open).collect();
        fixture
            .inventory
            .stage(active, active.next(), &openings, NOW, EpochSeconds::MAX);
        point();
        self.active.store(active.next().0, Ordering::SeqCst);
        point();
        fixture.inventory.advance_all(active.next(), |_, _| {});
    }

    fn end(&self, by: usize, end: impl FnOnce(Reservation)) {
        let reservation = self.pending.lock().unwrap().remove(&by);
        reservation.map(end);
    }

    fn perform(&self, call: &Call) -> Answer {
        let inventory = &self.fixture.inventory;
        match call {
            Call::Examine(cart) => return self.examine_all(*cart),
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
            Call::Activate(allotments) => self.activate(*allotments),
        }
        Answer::Done
    }
}

/// Random calls of one caller, which finishes an order before it begins another.
fn calls_of(by: usize, chance: &mut fastrand::Rng) -> Vec<Call> {
    let mut pending = false;
    let mut call = || {
        let slots = [vec![0], vec![1], vec![0, 1], vec![1, 0]][chance.usize(..4)].clone();
        let (cart, count) = (chance.u8(..CARTS), chance.u32(1..3));
        match chance.u8(..10) {
            0 => Call::Examine(Some(cart).filter(|_| chance.bool())),
            1 | 2 => Call::Hold { cart, slots, count },
            3 => Call::ReleaseHold(cart),
            _ if pending => {
                pending = false;
                if chance.bool() {
                    Call::Confirm { by }
                } else {
                    Call::Release { by }
                }
            }
            _ => {
                pending = true;
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

/// Runs the calls of all callers, and fails unless the answers are linearizable.
fn check(
    stage: &Stage,
    start: [u32; SLOTS],
    callers: Vec<Vec<Call>>,
    perform: impl Fn(&InventoryUnderTest, &Call) -> Answer + Sync,
) {
    let (subject, history) = (
        InventoryUnderTest::with(start),
        History::<SequentialModel>::default(),
    );
    let (subject, perform, recorder) = (&subject, &perform, &history);
    let actor = |calls: Vec<Call>| {
        Box::new(move || {
            for call in calls {
                recorder.record(call, |call| perform(subject, call));
            }
        }) as _
    };
    stage.play(callers.into_iter().map(actor).collect());
    for cart in [None, Some(0), Some(1)] {
        recorder.record(Call::Examine(cart), |call| perform(subject, call));
    }
    history.must_be_linearizable(&SequentialModel::with(start));
}

/// Three callers with random calls, and sometimes one that activates revisions.
fn callers(chance: &mut fastrand::Rng) -> Vec<Vec<Call>> {
    let mut callers: Vec<Vec<Call>> = (0..3).map(|by| calls_of(by, chance)).collect();
    if chance.bool() {
        callers.push(
            (0..2)
                .map(|_| Call::Activate([chance.u32(..5), chance.u32(..5)]))
                .collect(),
        );
    }
    callers
}

fn histories(
    seeds: std::ops::Range<u64>,
    perform: impl Fn(&InventoryUnderTest, &Call) -> Answer + Sync,
) -> Result<u64, Caught> {
    random_schedules(seeds, |stage, seed| {
        let mut chance = fastrand::Rng::with_seed(seed);
        let start = [chance.u32(1..4), chance.u32(1..4)];
        check(stage, start, callers(&mut chance), &perform);
    })
}

#[test]
fn every_history_is_linearizable() {
    histories(seeds(4_000), InventoryUnderTest::perform).unwrap();
}

#[test]
fn a_cart_and_its_order_are_linearizable_under_every_schedule() {
    let both = || vec![0, 1];
    let callers = || {
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
    let schedules = every_schedule(3, |stage| {
        check(stage, [2, 2], callers(), InventoryUnderTest::perform);
    })
    .unwrap();
    eprintln!("{schedules} schedules");
}

/// A reservation in several steps.
type BrokenReserve = fn(&InventoryUnderTest, usize, &[usize], u32) -> Answer;

/// Examines the slots, unlocks them, and sells.
fn examine_then_sell(
    subject: &InventoryUnderTest,
    by: usize,
    slots: &[usize],
    count: u32,
) -> Answer {
    let Answer::Left(left) = subject.examine_all(None) else {
        unreachable!()
    };
    let fits = slots.iter().all(|&slot| left[slot] >= count);
    if fits {
        let claims = subject.fixture.claims(slots, count);
        subject.fixture.inventory.restore(&claims);
        subject.pending.lock().unwrap().insert(
            by,
            Reservation {
                claims,
                consumed: None,
            },
        );
    }
    Answer::Fits(fits)
}

/// Reserves one slot after another, and reverses if one does not have enough.
fn one_by_one(subject: &InventoryUnderTest, by: usize, slots: &[usize], count: u32) -> Answer {
    let mut claims = Vec::new();
    for slot in slots {
        if subject.reserve(by, 0, &[*slot], count) == Answer::Fits(false) {
            subject.fixture.inventory.unsell(&claims);
            return Answer::Fits(false);
        }
        subject.end(by, |reservation| claims.extend(reservation.claims));
    }
    subject.pending.lock().unwrap().insert(
        by,
        Reservation {
            claims,
            consumed: None,
        },
    );
    Answer::Fits(true)
}

/// The negative control: reservations in several steps are detected, and are correct as long as calls do
/// not overlap.
#[test]
fn broken_inventories_are_detected() {
    let broken: [(&str, BrokenReserve); 2] = [
        ("examine, then sell", examine_then_sell),
        ("one slot after another", one_by_one),
    ];
    for (name, reserve) in broken {
        let perform = |subject: &InventoryUnderTest, call: &Call| {
            let Call::Reserve {
                by, slots, count, ..
            } = call
            else {
                return subject.perform(call);
            };
            reserve(subject, *by, slots, *count)
        };
        let without_holds = |seed| {
            let mut callers = callers(&mut fastrand::Rng::with_seed(seed));
            let is_of_carts =
                |call: &Call| matches!(call, Call::Hold { .. } | Call::ReleaseHold(_));
            for calls in &mut callers {
                calls.retain(|call| !is_of_carts(call));
            }
            callers
        };
        let alone =
            |stage: &Stage, seed| check(stage, [2, 3], vec![without_holds(seed).concat()], perform);
        random_schedules(0..100, alone).unwrap();
        let together = |stage: &Stage, seed| check(stage, [2, 3], without_holds(seed), perform);
        let caught = random_schedules(0..1_000, together).unwrap_err();
        assert!(
            caught.why.contains("not linearizable"),
            "{name}: {}",
            caught.why
        );
        eprintln!("{name}: detected after {} histories", caught.schedules);
    }
}
