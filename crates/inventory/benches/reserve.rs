//! Reserving spots and releasing them again: one slot, four slots, and threads on one hot slot.
//!
//! `cargo bench -p boxoffice-inventory`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use boxoffice_inventory::{Decision, Inventory};
use divan::Bencher;
use domain::{
    fixtures::{Fixture, HOUR, NOW, START},
    slot::{
        CartKey, Claim, Claimed, Opening, PassThroughIx, Pool, PoolTickets, Revision, Slot, SlotKey,
    },
    time::EpochSeconds,
};

const REVISION: Revision = Revision(0);
const CART: CartKey = CartKey([1; 16]);

fn main() {
    divan::main();
}

/// An inventory of the first slots of a service, which never sell out, and their keys.
fn slots(count: usize) -> (Inventory, Vec<SlotKey>) {
    let fixture = Fixture::new();
    let keys: Vec<SlotKey> = (0..)
        .take(count)
        .map(|hours| fixture.key("raft", START + hours * HOUR))
        .collect();
    let openings: Vec<Opening> = keys.iter().map(|&first| opening(first)).collect();
    let inventory = Inventory::default();
    inventory
        .open(REVISION, &openings, NOW, EpochSeconds::MAX)
        .unwrap();
    (inventory, keys)
}

fn opening(first: SlotKey) -> Opening {
    Opening {
        first,
        pool: Pool {
            tickets: PoolTickets::All,
            allotment: u32::MAX,
        },
        terms: None,
        recurrence: None,
        pass_through: PassThroughIx::default(),
    }
}

fn reserve_and_release(inventory: &Inventory, keys: &[SlotKey]) {
    let asked: Vec<Option<SlotKey>> = keys.iter().copied().map(Some).collect();
    let claim = |&slot: &SlotKey| Claim {
        slot,
        ticket: Claimed::Appointment,
        count: 1,
    };
    let claims = keys.iter().map(claim).collect();
    let decide = |_: &[Option<&Slot>]| Decision::<_, ()>::Sell(((), claims));
    let reserved = inventory.reserve(REVISION, &asked, CART, NOW, decide);
    let Decision::Sell(((), reservation)) = reserved.unwrap() else {
        unreachable!("the decision is always to sell")
    };
    inventory.release(reservation, NOW);
}

#[divan::bench(args = [1, 4])]
fn of_slots(bencher: Bencher<'_, '_>, count: usize) {
    let (inventory, keys) = slots(count);
    bencher.bench(|| reserve_and_release(&inventory, &keys));
}

#[divan::bench(threads = [1, 2])]
fn of_one_hot_slot(bencher: Bencher<'_, '_>) {
    let (inventory, keys) = slots(1);
    bencher.bench(|| reserve_and_release(&inventory, &keys));
}
