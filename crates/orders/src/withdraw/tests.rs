use super::*;
use crate::{
    block::tests::trip,
    tests::SPOTS,
    update::{
        MerchantDecision, RefundChoice,
        tests::{Office, cancel, far, states, with_terms},
    },
};
use domain::{
    fixtures::{NOW, START, cents},
    slot::{Claim, Claimed, Confirmation, SlotTerms},
};
use kernel::clock::ManualClock;
use store::{Precondition, UnitOfWork, Write};

fn withdrawal(number: u32) -> SlotWithdrawal {
    SlotWithdrawal {
        slot: trip(),
        reason: "storm".to_owned(),
        request_id: format!("00000000-0000-4000-a000-{number:012}"),
        fingerprint: [9; 32],
        user: None,
        mode: ChangeMode::Commit,
    }
}

/// The orders that are withdrawn, and the error at the end if there is one.
async fn withdrawn(
    office: &Office,
    withdrawal: SlotWithdrawal,
) -> (Vec<StoredOrder>, Option<ChangeError>) {
    let begun = office.app.withdraw_slot(withdrawal, far()).await;
    rest(begun.unwrap()).await
}

async fn rest(mut orders: WithdrawnOrders) -> (Vec<StoredOrder>, Option<ChangeError>) {
    let mut found = Vec::new();
    while let Some(order) = orders.recv().await {
        match order {
            Ok(stored) => found.push(*stored),
            Err(error) => return (found, Some(error)),
        }
    }
    (found, None)
}

fn ids(orders: &[StoredOrder]) -> Vec<&OrderId> {
    orders
        .iter()
        .map(|stored| &stored.placed.order.id)
        .collect()
}

#[tokio::test]
async fn everything_that_was_sold_of_a_slot_is_withdrawn_and_not_sold_again() {
    let office = Office::new();
    let first = office.order("a", &[1, 2], None);
    let second = office.order("b", &[1], Some("approve"));
    let cancelled = office.order("c", &[1], None);
    let gone = cancel(&[], RefundChoice::Policy);
    office.changed(&cancelled, gone).await;
    let (orders, error) = withdrawn(&office, withdrawal(1)).await;
    assert_eq!((ids(&orders), &error), (vec![&first, &second], &None));
    let slot = office
        .app
        .find_slot(&trip(), &MerchantScope::ALL)
        .await
        .unwrap();
    let report = office.app.slot(&slot).await.unwrap().unwrap();
    assert_eq!((report.sold, report.blocked, report.left), (0, SPOTS, 0));
    for stored in &orders {
        assert_eq!(held_spots(stored, &slot), 0);
        assert_eq!(stored.revision(), 1);
    }
    // Repeated, also after a restart, it has the same orders as they stood then, and withdraws nothing more.
    office
        .changed(&first, crate::update::tests::note("called"))
        .await;
    let office = office.restarted();
    for _ in 0..2 {
        assert_eq!(
            withdrawn(&office, withdrawal(1)).await,
            (orders.clone(), None)
        );
    }
    assert_eq!(office.stored(&first).await.revision(), 2);
    // Another request has nothing left to withdraw.
    let (orders, error) = withdrawn(&office, withdrawal(2)).await;
    assert_eq!((orders, error), (Vec::new(), None));
}

/// Orders of a trip that its merchant has to confirm, of which one is confirmed in part, and their states once the slot is
/// withdrawn.
#[tokio::test]
async fn what_waits_for_the_merchant_is_declined() {
    let clock = Arc::new(ManualClock::at(NOW));
    let books = (Arc::default(), Arc::default(), clock);
    let office = Office::opened(books, with_terms, |parts| {
        let terms = SlotTerms {
            confirmation: Confirmation::ByMerchant,
            ..SlotTerms::default()
        };
        parts.loaded.openings[0].terms = terms.boxed();
    });
    let waiting = office.order("a", &[2], Some("approve"));
    let confirmed = office.order("b", &[1, 1], Some("approve"));
    let confirm = OrderChange::Confirm {
        items: vec![1],
        decision: MerchantDecision::Confirm,
        reason: String::new(),
    };
    office.changed(&confirmed, confirm).await;
    let (orders, error) = withdrawn(&office, withdrawal(1)).await;
    assert_eq!((ids(&orders), error), (vec![&waiting, &confirmed], None));
    let expected = [
        ("cancelled", vec!["declined"]),
        ("customer_action_required", vec!["declined", "unavailable"]),
    ];
    assert_eq!(orders.iter().map(states).collect::<Vec<_>>(), expected);
    office.work().await;
    // What was declined goes back at once; the rest once the customer has decided.
    assert_eq!(office.given(&waiting), [cents(15_000)]);
    assert_eq!(office.given(&confirmed), [cents(7_500)]);
    assert_eq!(office.app.sold_of(&slot_of_trip(&office).await), 0);
    assert_eq!(withdrawn(&office, withdrawal(1)).await, (orders, None));
}

#[tokio::test]
async fn a_dry_run_shows_the_orders_and_changes_nothing() {
    let office = Office::new();
    let order = office.order("a", &[2], None);
    let dry_run = SlotWithdrawal {
        mode: ChangeMode::ValidateOnly,
        ..withdrawal(1)
    };
    let (shown, error) = withdrawn(&office, dry_run).await;
    assert_eq!((ids(&shown), error), (vec![&order], None));
    assert_eq!(office.stored(&order).await.revision(), 0);
    assert_eq!(office.open(), SPOTS - 2);
    assert_eq!(withdrawn(&office, withdrawal(1)).await, (shown, None));
}

#[tokio::test]
async fn a_dry_run_under_the_id_of_another_request_is_rejected() {
    let office = Office::new();
    withdrawn(&office, withdrawal(1)).await;
    for (fingerprint, expected) in [
        ([9; 32], Ok(())),
        ([8; 32], Err(ChangeError::RequestReused)),
    ] {
        let dry_run = SlotWithdrawal {
            fingerprint,
            mode: ChangeMode::ValidateOnly,
            ..withdrawal(1)
        };
        let begun = office.app.withdraw_slot(dry_run, far()).await;
        assert_eq!(begun.map(drop), expected);
    }
}

#[tokio::test]
async fn a_repetition_spares_what_was_sold_since_spots_were_put_on_sale_again() {
    let office = Office::new();
    office.order("a", &[2], None);
    withdrawn(&office, withdrawal(1)).await;
    let again = BlockRequest {
        slot: trip(),
        spots: BlockedSpots::NONE,
        reason: String::new(),
        request_id: withdrawal(2).request_id,
        fingerprint: [1; 32],
        user: None,
    };
    office.app.set_block(again, far()).await.unwrap();
    let later = office.order("b", &[1], None);
    let begun = office.app.withdraw_slot(withdrawal(1), far()).await;
    assert_eq!(begun.map(drop), Err(ChangeError::BlockReplaced));
    assert_eq!(office.stored(&later).await.revision(), 0);
    let (orders, error) = withdrawn(&office, withdrawal(3)).await;
    assert_eq!((ids(&orders), error), (vec![&later], None));
}

#[tokio::test]
async fn orders_that_the_lifecycle_keeps_are_named() {
    let office = Office::new();
    let kept = office.order("a", &[2], None);
    let other = office.order("b", &[1], None);
    let absent = OrderChange::MarkNoShow { items: Vec::new() };
    office.changed(&kept, absent).await;
    let (orders, error) = withdrawn(&office, withdrawal(1)).await;
    assert_eq!(ids(&orders), [&other]);
    let expected = ChangeError::OrdersKept {
        count: 1,
        named: kept.to_string(),
    };
    assert_eq!(error, Some(expected));
    assert_eq!(office.open(), 0);
}

/// Spots that an order in flight takes.
fn in_flight(office: &Office, count: u32) -> Vec<Claim> {
    let catalog = office.app.catalog();
    let merchant = catalog.merchant_ix("town").unwrap();
    let service = catalog.service_ix(merchant, "raft").unwrap();
    let ticket = catalog.ids().find_ticket(service, &"seat".into()).unwrap();
    let slot = domain::slot::SlotKey {
        service,
        duration_sec: 3_600.into(),
        start_sec: START,
    };
    vec![Claim {
        slot,
        ticket: Claimed::Ticket(ticket),
        count,
    }]
}

#[tokio::test(start_paused = true)]
async fn an_order_in_flight_is_withdrawn_once_it_is_on_record() {
    let office = Office::new();
    let first = office.order("a", &[1], None);
    // It has its spots, and is not on record.
    let claims = in_flight(&office, 2);
    office.app.inventory.restore(&claims);
    let mut orders = office
        .app
        .withdraw_slot(withdrawal(1), far())
        .await
        .unwrap();
    let told = orders.recv().await.unwrap().unwrap();
    assert_eq!(told.placed.order.id, first);
    let mut placed = office.stored(&first).await.placed;
    let key = store::Store::order_key(&*office.store, &"b".into());
    placed.token = "b".into();
    placed.order.id = key.order_id();
    placed.claims[0].count = 2;
    placed.order.items[0].line.tickets[0].count = 2;
    let unit = UnitOfWork::write(Write::OrderPlaced(Box::new(placed)))
        .requiring(Precondition::NewRequest(key));
    store::Store::commit(&*office.store, &unit).await.unwrap();
    let (orders, error) = rest(orders).await;
    assert_eq!((ids(&orders), error), (vec![&key.order_id()], None));
    assert_eq!(office.app.sold_of(&slot_of_trip(&office).await), 0);
}

async fn slot_of_trip(office: &Office) -> NamedSlot {
    office
        .app
        .find_slot(&trip(), &MerchantScope::ALL)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_order_that_stays_in_flight_ends_the_withdrawal_with_an_error() {
    let office = Office::new();
    let first = office.order("a", &[1], None);
    let claims = in_flight(&office, 2);
    office.app.inventory.restore(&claims);
    let (orders, error) = withdrawn(&office, withdrawal(1)).await;
    assert_eq!(ids(&orders), [&first]);
    assert_eq!(error, Some(ChangeError::SpotsInFlight));
    // It has failed. The repetition finds everything in order.
    office.app.inventory.unsell(&claims);
    let (again, error) = withdrawn(&office, withdrawal(1)).await;
    assert_eq!((again, error), (orders, None));
}

#[test]
fn each_order_has_an_id_of_its_own_that_is_the_same_again() {
    let request = "0192b3c4-d5e6-7f80-9a1b-2c3d4e5f6071";
    let one = id_for(request, &"A".into());
    assert_eq!(one, id_for(request, &"A".into()));
    assert_ne!(one, id_for(request, &"B".into()));
    assert_ne!(
        one,
        id_for("0192b3c4-d5e6-7f80-9a1b-2c3d4e5f6072", &"A".into())
    );
    assert!(crate::update::wrong_request_id(&one).is_none(), "{one}");
    assert_ne!(
        fingerprint_for(&[7; 32], &"A".into()),
        fingerprint_for(&[7; 32], &"B".into())
    );
}
