use std::sync::Arc;

use super::*;
use crate::{
    CreateOrder, Parts,
    lifecycle::{LifecycleFile, LifecycleSource},
    steps::StepOutcome,
    tests::{SPOTS, played},
    update::{
        MerchantDecision, OrderChange, RefundChoice,
        tests::{Office, cancel, far, refunds, states, with_terms, withdraw},
    },
};
use domain::{
    fixtures::{NOW, START, cents, line},
    ids::Token,
    lifecycle::{Name, OrderPart},
    order::{Customer, NewOrder, Order, OrderId, PaymentDetails, PaymentMethod},
    slot::SlotTerms,
    time::Seconds,
};
use kernel::clock::ManualClock;
use payments::simulated::SimulatedGateway;
use store::{Store, StoredOrder, memory::MemoryStore};

type Books = (Arc<MemoryStore>, Arc<SimulatedGateway>, Arc<ManualClock>);

fn books() -> Books {
    let clock = Arc::new(ManualClock::at(NOW));
    (Arc::default(), Arc::default(), clock)
}

/// A trip that its merchant has to confirm.
fn confirmed_later(parts: &mut Parts) {
    let terms = SlotTerms {
        confirmation: Confirmation::ByMerchant,
        ..SlotTerms::default()
    };
    parts.loaded.openings[0].terms = terms.boxed();
}

fn asking() -> Office {
    asking_on(books())
}

fn asking_on(books: Books) -> Office {
    Office::opened(books, with_terms, confirmed_later)
}

fn with_lifecycle(books: Books, changes: &[(&str, &str)]) -> Office {
    let mut text = lifecycle_files::DEFAULT.to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replacen(old, new, 1);
    }
    let file = LifecycleFile::of_text(&text, "lifecycle.toml").unwrap_or_else(|errors| {
        panic!("{errors}");
    });
    Office::opened(books, with_terms, |parts| {
        parts.lifecycle = LifecycleSource::File(file);
    })
}

/// A server that decides by this definition.
fn with_definition(books: Books, definition: &Definition) -> Office {
    let office = Office::opened(books, with_terms, |_| {});
    office.app.lifecycles.replace(definition.clone());
    office
}

fn decide(items: &[u32], decision: MerchantDecision) -> OrderChange {
    OrderChange::Confirm {
        items: items.to_vec(),
        decision,
        reason: "full".to_owned(),
    }
}

fn new_order(seats: &[i32], processed_by: Option<PaymentProcessor>) -> NewOrder {
    let charged = processed_by == Some(PaymentProcessor::Partner);
    NewOrder {
        merchant_id: "town".into(),
        customer: Customer::of("ada"),
        items: seats
            .iter()
            .map(|seats| line("raft", &[("seat", *seats)], i64::from(*seats) * 7_500))
            .collect(),
        payment: Some(Box::new(PaymentDetails {
            processed_by,
            ..PaymentDetails::default()
        })),
        method: charged.then(|| PaymentMethod {
            token: "approve".into(),
            challenge: None,
        }),
    }
}

fn try_to_order(
    office: &Office,
    token: &str,
    order: NewOrder,
) -> Result<crate::Created, OrderError> {
    let command = Box::new(CreateOrder {
        token: Token::from(token),
        fingerprint: [0; 32],
        order,
    });
    played(office.app.create(command, None, far()))
}

fn ordered(office: &Office, token: &str, seats: &[i32]) -> Box<Order> {
    let order = new_order(seats, Some(PaymentProcessor::Partner));
    try_to_order(office, token, order).unwrap().unwrap()
}

/// The booking statuses of an order, as ListOrders tells them.
async fn listed(office: &Office, id: &OrderId) -> Vec<BookingStatus> {
    struct Taken(Vec<Order>);
    impl crate::TakeOrders for Taken {
        fn take(&mut self, order: Order) -> std::ops::ControlFlow<()> {
            self.0.push(order);
            std::ops::ControlFlow::Continue(())
        }
    }
    let selection = store::Selection::Ids(vec![id.clone()]);
    let taken = office.app.list(selection, None, Taken(Vec::new())).await;
    let order = taken.unwrap().0.remove(0);
    order.items.iter().map(|item| item.status).collect()
}

fn begun(stored: &StoredOrder) -> (&str, Vec<&str>) {
    let tree = stored.placed.begun.as_ref().unwrap();
    let items = tree.items.iter().map(|item| item.state.as_str());
    (tree.state.as_str(), items.collect())
}

#[tokio::test]
async fn of_a_plain_order_nothing_more_is_stored() {
    for processed_by in [
        None,
        Some(PaymentProcessor::Google),
        Some(PaymentProcessor::Partner),
    ] {
        for seats in [&[1][..], &[2, 1], &[1, 1, 1, 1, 1]] {
            let office = Office::new();
            let order = new_order(seats, processed_by);
            let order = try_to_order(&office, "a", order).unwrap().unwrap();
            let stored = office.stored(&order.id).await;
            assert_eq!(stored.placed.begun, None, "{processed_by:?} {seats:?}");
            assert_eq!(office.app.timers_and_steps(), (0, 0));
            let statuses = order.items.iter().map(|item| item.status);
            assert_eq!(
                statuses.collect::<Vec<_>>(),
                vec![BookingStatus::Confirmed; seats.len()]
            );
        }
    }
}

#[tokio::test]
async fn what_is_left_out_is_what_the_lifecycle_makes_of_the_order() {
    let office = Office::new();
    for (token, processed_by, items) in [
        ("a", Some(PaymentProcessor::Partner), 1),
        ("b", None, 1),
        ("c", Some(PaymentProcessor::Google), 2),
    ] {
        let order = new_order(&vec![1; items], processed_by);
        let order = try_to_order(&office, token, order).unwrap().unwrap();
        let stored = played(office.stored(&order.id));
        let lifecycle = office.app.lifecycle();
        let placed = &stored.placed;
        let run = super::begun(&lifecycle, placed, confirmations(placed)).unwrap();
        assert_eq!(lifecycle.as_placed(placed).unwrap(), run, "{token}");
    }
}

#[test]
fn usual_beginnings_of_any_size_are_alike() {
    let office = Office::new();
    let lifecycle = office.app.lifecycle();
    for paid_by in [
        PaidBy::Google,
        PaidBy::Partner,
        PaidBy::Merchant,
        PaidBy::Nobody,
    ] {
        // Kept ones and others.
        for items in [1, 8, 100, 101] {
            let usual = lifecycle
                .usual()
                .get(lifecycle.definition(), paid_by, items);
            let usual = usual.unwrap();
            assert_eq!(usual.items.len(), usize::from(items));
            assert_eq!(matches!(usual, Cow::Borrowed(_)), items <= 100, "{items}");
            assert!(!usual.has_work());
        }
    }
}

#[tokio::test]
async fn an_item_waits_for_its_merchant_until_it_is_confirmed() {
    let office = asking();
    let order = ordered(&office, "a", &[1, 2]);
    let pending = BookingStatus::PendingMerchantConfirmation;
    assert!(order.items.iter().all(|item| item.status == pending));
    let stored = office.stored(&order.id).await;
    let waits = ["pending_confirmation", "pending_confirmation"];
    assert_eq!(begun(&stored), ("processing", waits.to_vec()));
    assert_eq!(stored.revision(), 0);
    assert_eq!(office.app.timers_and_steps(), (2, 0));
    assert_eq!(office.open(), SPOTS - 3);
    assert_eq!(listed(&office, &order.id).await, [pending, pending]);
    // One by one.
    let confirm = |items: &[u32]| decide(items, MerchantDecision::Confirm);
    let stored = office.changed(&order.id, confirm(&[1])).await;
    assert_eq!(
        states(&stored),
        ("processing", vec!["pending_confirmation", "confirmed"])
    );
    let heard = listed(&office, &order.id).await;
    assert_eq!(heard, [pending, BookingStatus::Confirmed]);
    assert_eq!(office.app.timers_and_steps(), (1, 0));
    office.changed(&order.id, confirm(&[])).await;
    assert_eq!(office.app.timers_and_steps(), (0, 0));
    // Time goes by, and nothing more happens.
    office.clock.advance(Seconds::days(2));
    office.work().await;
    let heard = listed(&office, &order.id).await;
    assert_eq!(heard, [BookingStatus::Confirmed; 2]);
    assert_eq!(office.given(&order.id), []);
    // The first answer stays.
    let again = ordered(&office, "a", &[1, 2]);
    assert_eq!(again, order);
}

#[tokio::test]
async fn what_a_merchant_declines_is_given_back() {
    let office = asking();
    let order = ordered(&office, "a", &[1, 2]);
    let decline = |items: &[u32]| decide(items, MerchantDecision::Decline);
    let stored = office.changed(&order.id, decline(&[0])).await;
    assert_eq!(
        states(&stored),
        ("processing", vec!["declined", "pending_confirmation"])
    );
    assert_eq!(office.open(), SPOTS - 2);
    office.work().await;
    assert_eq!(office.given(&order.id), [cents(7_500)]);
    let stored = office.changed(&order.id, decline(&[])).await;
    assert_eq!(states(&stored), ("cancelled", vec!["declined"; 2]));
    assert_eq!(office.open(), SPOTS);
    office.work().await;
    // The whole price: it is the merchant's doing, whatever the terms of the sale are.
    let mut given = office.given(&order.id);
    given.sort_by_key(|amount| amount.to_micros().unwrap());
    assert_eq!(given, [cents(7_500), cents(15_000)]);
    let declined = BookingStatus::DeclinedByMerchant;
    assert_eq!(listed(&office, &order.id).await, [declined, declined]);
    assert_eq!(ordered(&office, "a", &[1, 2]), order);
}

#[tokio::test]
async fn who_is_not_confirmed_in_time_is_declined() {
    let quarter = Seconds::new(900);
    // The sale before the start, and the time for the merchant.
    let two_hours = Seconds::new(7_200);
    for (before_start, expected) in [
        (Seconds::days(3), Seconds::DAY),
        (two_hours, two_hours.saturating_sub(quarter)),
    ] {
        let books = books();
        books.2.set(START.saturating_sub(before_start));
        let office = asking_on(books);
        let order = ordered(&office, "a", &[2]);
        // The timer is there after a restart.
        let office = asking_on((office.store, office.gateway, office.clock));
        assert_eq!(office.app.timers_and_steps(), (1, 0), "{before_start}");
        office.clock.advance(expected.saturating_sub(Seconds::ONE));
        office.work().await;
        let stored = office.stored(&order.id).await;
        assert_eq!(stored.update, None, "{before_start}");
        office.clock.advance(Seconds::ONE);
        office.work().await;
        let stored = office.stored(&order.id).await;
        assert_eq!(states(&stored), ("cancelled", vec!["declined"]));
        assert_eq!(refunds(&stored), [("done", cents(15_000))]);
        assert_eq!(office.given(&order.id), [cents(15_000)], "{before_start}");
        // Seen from before the booking closes.
        office.clock.set(NOW);
        assert_eq!(office.open(), SPOTS);
        let heard = listed(&office, &order.id).await;
        assert_eq!(heard, [BookingStatus::DeclinedByMerchant]);
    }
}

#[tokio::test]
async fn an_item_that_waits_is_cancelled_by_its_customer_and_declined_by_a_withdrawal() {
    let office = asking();
    let order = ordered(&office, "a", &[2]);
    let policy = cancel(&[], RefundChoice::Policy);
    let stored = office.changed(&order.id, policy).await;
    assert_eq!(states(&stored), ("cancelled", vec!["cancelled"]));
    office.work().await;
    assert_eq!(office.given(&order.id), [cents(7_500)], "by the terms");
    let order = ordered(&office, "b", &[1, 1]);
    let stored = office.changed(&order.id, withdraw(&[0])).await;
    let waits = vec!["declined", "pending_confirmation"];
    assert_eq!(states(&stored), ("processing", waits));
    office.work().await;
    // The timer of the other item. The customer is asked nothing.
    assert_eq!(office.app.timers_and_steps(), (1, 0));
    let stored = office.changed(&order.id, withdraw(&[])).await;
    assert_eq!(states(&stored), ("cancelled", vec!["declined", "declined"]));
    office.work().await;
    assert_eq!(office.given(&order.id), [cents(7_500), cents(7_500)]);
    assert_eq!(
        (office.open(), office.app.timers_and_steps()),
        (SPOTS, (0, 0))
    );
}

#[tokio::test]
async fn orders_of_a_lifecycle_with_timers_are_stored_as_they_begin() {
    use domain::lifecycle::{GuardedAction, LifecycleAction, TimerDue, TimerRule};
    let mut definition = lifecycle_files::default().unwrap();
    let items = &mut definition.entities[domain::lifecycle::Entity::LineItem.index()];
    let to = items.state("fulfilled").unwrap();
    items.on_start.push(GuardedAction {
        conditions: Vec::new(),
        action: LifecycleAction::SetTimer(TimerRule {
            name: Name::from("seen"),
            due: TimerDue::AfterEnd(Seconds::HOUR),
            not_after_start_minus: None,
            at_least: None,
            to,
        }),
    });
    let office = with_definition(books(), &definition);
    let order = ordered(&office, "a", &[2]);
    assert_eq!(order.items[0].status, BookingStatus::Confirmed);
    let stored = office.stored(&order.id).await;
    assert_eq!(begun(&stored), ("processing", vec!["confirmed"]));
    let books = (office.store, office.gateway, office.clock);
    let office = with_definition(books, &definition);
    assert_eq!(office.app.timers_and_steps(), (1, 0));
    let end = START.saturating_add(Seconds::new(2 * 3_600));
    office.clock.set(end);
    office.work().await;
    let stored = office.stored(&order.id).await;
    assert_eq!(states(&stored), ("processing", vec!["fulfilled"]));
}

#[tokio::test]
async fn an_order_that_may_not_begin_is_neither_sold_nor_charged() {
    use domain::lifecycle::{GuardedAction, LifecycleAction};
    let mut definition = lifecycle_files::default().unwrap();
    let items = &mut definition.entities[domain::lifecycle::Entity::LineItem.index()];
    items.on_start.push(GuardedAction {
        conditions: Vec::new(),
        action: LifecycleAction::ReleaseSpots,
    });
    let office = with_definition(books(), &definition);
    let order = || new_order(&[2], Some(PaymentProcessor::Partner));
    for _ in 0..2 {
        let refused = try_to_order(&office, "a", order());
        assert_eq!(refused.map(|_| ()), Err(OrderError::Bug));
        assert_eq!(office.open(), SPOTS);
    }
    let key = office.store.order_key(&"a".into());
    assert_eq!(played(office.app.stored_order(&key.order_id())), Ok(None));
    // What was taken was given back, attempt by attempt.
    let failed = office.store.failed_attempts(&key);
    assert_eq!(played(failed.get()).unwrap(), 2);
}

#[tokio::test]
async fn a_lifecycle_erases_the_personal_data_of_its_order_only() {
    let erase = (
        "  { action = \"send_notification\", name = \"order.cancelled\" },\n]",
        "  { action = \"erase_personal_data\" },\n]",
    );
    let books = books();
    let office = with_lifecycle(
        (books.0.clone(), books.1.clone(), books.2.clone()),
        &[erase],
    );
    let (order, other) = (ordered(&office, "a", &[1]), ordered(&office, "b", &[1]));
    let stored = office
        .changed(&order.id, cancel(&[], RefundChoice::Full))
        .await;
    assert_eq!(states(&stored).0, "cancelled");
    assert_eq!(
        stored.placed.order.customer.user_id.as_str(),
        "ada",
        "not yet"
    );
    // The process ends before anything is erased; while the store is down, nothing can be.
    let office = with_lifecycle((office.store, office.gateway, office.clock), &[erase]);
    office.store.begin_outage(NOW);
    office.work().await;
    office.store.end_outage();
    let is_there = |stored: &StoredOrder| !stored.placed.order.customer.user_id.as_str().is_empty();
    assert!(is_there(&office.stored(&order.id).await));
    office.clock.advance(Seconds::HOUR);
    office.work().await;
    let stored = office.stored(&order.id).await;
    assert!(!is_there(&stored));
    assert_eq!(
        stored.update.unwrap().entry.texts,
        store::UpdateTexts::default()
    );
    assert!(is_there(&office.stored(&other.id).await));
    assert_eq!(office.app.timers_and_steps(), (0, 0));
    // Erased again, as after a crash before the outcome was on record.
    let again = office.app.erase_customer_of(&order.id).await;
    assert_eq!(again, StepOutcome::Done);
    // The repeated request is recognized, and answered without the person.
    assert_eq!(ordered(&office, "a", &[1]).id, order.id);
}

#[tokio::test]
async fn a_creation_that_is_noted_late_does_not_bring_back_its_timers() {
    let office = asking();
    let order = ordered(&office, "a", &[1]);
    let confirm = decide(&[], MerchantDecision::Confirm);
    let tree = played(office.stored(&order.id)).placed.begun.unwrap();
    // Not available any more, it has another timer than at its beginning.
    let lost = OrderChange::ChangeState {
        part: OrderPart::item(0),
        from: None,
        to: "unavailable".to_owned(),
        reason: String::new(),
    };
    let stored = played(office.change(&order.id, lost)).unwrap();
    assert_eq!(office.app.timers_and_steps(), (1, 0));
    office.app.agenda.note(&order.id, 0, &tree);
    let timers = &stored.update.unwrap().tree.timers;
    assert_eq!(timers.len(), 1);
    office.clock.set(timers[0].due);
    played(office.work());
    let stored = played(office.stored(&order.id));
    assert_eq!(states(&stored).0, "timed_out");
    let late = played(office.change(&order.id, confirm));
    assert_eq!(late, Err(ChangeError::NothingToConfirm));
}
