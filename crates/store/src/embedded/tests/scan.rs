//! Reading a store by several threads gives what reading it by one does.

use std::collections::HashMap;

use super::*;
use domain::time::EpochSeconds;
use testkit::seeds::seeds;

/// `FullScan`, with what comes in no particular order by its key.
fn by_key(contents: FullScan) -> impl PartialEq + std::fmt::Debug {
    let FullScan {
        checksum,
        last_sequence,
        recovered,
    } = contents;
    let Recovered {
        orders,
        sold,
        pending,
        prices,
        newest_order_sec,
        slots_forgotten_until,
    } = recovered;
    let claims = sold.len();
    let sold: HashMap<_, _> = sold
        .into_iter()
        .map(|claim| {
            (
                NamedClaim {
                    count: 0,
                    ..claim.clone()
                },
                claim.count,
            )
        })
        .collect();
    assert_eq!(sold.len(), claims, "added up");
    let times = (newest_order_sec, slots_forgotten_until);
    (
        checksum,
        last_sequence,
        orders,
        sold,
        pending,
        prices,
        times,
    )
}

/// A change by chance, and whether it is an order.
fn any_change(random: &mut fastrand::Rng, store: &EmbeddedStore, number: u32) -> (Change, bool) {
    let token = format!("token-{number}");
    match random.u8(..10) {
        0 => (Change::PaymentIntent(intent(&token)), false),
        1 => (
            Change::PaymentEnded(ended(&token, PaymentOutcome::Declined)),
            false,
        ),
        2 => (prices(number.into()), false),
        3 => (
            Change::SlotsForgotten(EpochSeconds::new(number.into())),
            false,
        ),
        _ => {
            let user = format!("user-{}", random.u8(..4));
            let claims = vec![NamedClaim {
                start_sec: EpochSeconds::new(random.i64(..3)),
                ..claim(random.u32(1..9))
            }];
            let created_sec = random.i64(..1_000);
            let order = PlacedOrder {
                created_sec: EpochSeconds::new(created_sec),
                claims,
                ..placed(store, &token, &user)
            };
            (Change::Order(Arc::new(order)), true)
        }
    }
}

#[tokio::test]
async fn a_store_read_by_several_threads_is_the_same_as_read_by_one() {
    for seed in seeds(20) {
        let (mut random, dir, mut orders) = (fastrand::Rng::with_seed(seed), scratch(), 0);
        let store = open(&dir);
        for number in 0..random.u32(..80) {
            let (change, is_order) = any_change(&mut random, &store, number);
            store.commit(change).await.unwrap();
            orders += u64::from(is_order);
            if random.u8(..20) == 0 {
                store.records.rotate_memtable_and_wait().unwrap();
            }
        }
        let read = |threads| FullScan::read_by(threads, &store.records).unwrap();
        let alone = read(1);
        assert_eq!(
            (alone.last_sequence, alone.recovered.orders),
            (orders, orders),
            "seed {seed}"
        );
        let (threads, alone) = (random.usize(2..9), by_key(alone));
        assert_eq!(
            by_key(read(threads)),
            alone,
            "seed {seed}, {threads} threads"
        );
    }
}
