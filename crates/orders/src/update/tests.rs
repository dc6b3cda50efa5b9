use std::sync::Mutex;

use super::*;
use crate::{
    steps::{CustomSteps, StepRunner, StepSettings},
    tests::{SPOTS, open_for_others, parts_on, raft_catalog},
    *,
};
use domain::{
    fixtures::{Fixture, NOW, cents},
    ids::Token,
    lifecycle::Entity,
    money::{Money, Percent},
    order::{Customer, NewOrder, PaymentDetails, PaymentMethod, PaymentProcessor},
    refunds::{RefundCause, RefundCondition, RefundTerms},
    time::Seconds,
};
use kernel::clock::ManualClock;
use payments::{ChargeKey, simulated::SimulatedGateway};
use store::memory::MemoryStore;

mod audit;

const DAY: Seconds = Seconds::DAY;

/// A server with its books.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) app: Arc<App>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) gateway: Arc<SimulatedGateway>,
    pub(crate) clock: Arc<ManualClock>,
    requests: Mutex<u32>,
}

/// Half of the price goes back until a day before the start.
pub(crate) fn with_terms(fixture: &mut Fixture) {
    let condition = RefundCondition {
        min_before_start: DAY,
        percent: Percent::new(50).unwrap(),
    };
    fixture.service_mut("raft").cancellation.refund = RefundTerms::Stated([condition].into());
}

fn without_terms(_: &mut Fixture) {}

/// An order of some seats, one item each, that is charged to a card.
pub(crate) fn command(token: &str, seats: &[i32], card: Option<&str>) -> Box<CreateOrder> {
    Box::new(CreateOrder {
        token: Token::from(token),
        fingerprint: [0; 32],
        order: new_order(seats, card),
    })
}

impl Office {
    pub(crate) fn new() -> Self {
        Self::with(with_terms)
    }

    pub(crate) fn with(change: fn(&mut Fixture)) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        Self::started(Arc::default(), Arc::default(), clock, change)
    }

    pub(crate) fn started(
        store: Arc<MemoryStore>,
        gateway: Arc<SimulatedGateway>,
        clock: Arc<ManualClock>,
        change: fn(&mut Fixture),
    ) -> Self {
        Self::opened((store, gateway, clock), change, |_| {})
    }

    /// The same, with other parts.
    pub(crate) fn opened(
        (store, gateway, clock): (Arc<MemoryStore>, Arc<SimulatedGateway>, Arc<ManualClock>),
        change: fn(&mut Fixture),
        change_parts: impl FnOnce(&mut Parts),
    ) -> Self {
        let loaded = raft_catalog(Some(SPOTS), change);
        let mut parts = Parts {
            payments: Some(gateway.clone()),
            ..parts_on(store.clone(), clock.clone(), loaded)
        };
        change_parts(&mut parts);
        let app = crate::tests::played(App::open(parts)).unwrap();
        Self {
            app,
            store,
            gateway,
            clock,
            requests: Mutex::default(),
        }
    }

    /// The server ends without a word and starts again.
    pub(crate) fn restarted(self) -> Self {
        let requests = *self.requests.lock().unwrap();
        let office = Self::started(self.store, self.gateway, self.clock, with_terms);
        *office.requests.lock().unwrap() = requests;
        office
    }

    /// An order of some seats, one item each, that is charged to a card.
    pub(crate) fn order(&self, token: &str, seats: &[i32], card: Option<&str>) -> OrderId {
        let command = command(token, seats, card);
        let created = crate::tests::played(self.app.create(command, None, far()));
        created.unwrap().unwrap().id.clone()
    }

    pub(crate) fn request(&self, order: &OrderId) -> ChangeRequest {
        let mut requests = self.requests.lock().unwrap();
        *requests += 1;
        ChangeRequest {
            order: order.clone(),
            request_id: format!("00000000-0000-4000-8000-{:012}", *requests),
            fingerprint: [7; 32],
            expected_revision: None,
            user: None,
            mode: ChangeMode::Commit,
        }
    }

    pub(crate) async fn change(&self, order: &OrderId, change: OrderChange) -> ChangedOrder {
        let request = self.request(order);
        self.app.change_order(request, change, far()).await
    }

    pub(crate) async fn changed(&self, order: &OrderId, change: OrderChange) -> StoredOrder {
        *self.change(order, change).await.unwrap()
    }

    pub(crate) async fn stored(&self, order: &OrderId) -> StoredOrder {
        self.app.stored_order(order).await.unwrap().unwrap()
    }

    /// Does what is due.
    pub(crate) async fn work(&self) {
        self.runner(CustomSteps::new()).run_due().await;
    }

    pub(crate) fn runner(&self, custom: CustomSteps) -> StepRunner {
        let random = fastrand::Rng::with_seed(7);
        StepRunner::new(self.app.clone(), StepSettings::default(), custom, random)
    }

    pub(crate) fn open(&self) -> u32 {
        open_for_others(&self.app)
    }

    /// What the gateway has given back of an order.
    pub(crate) fn given(&self, order: &OrderId) -> Vec<Money> {
        self.gateway.refunds_of(&ChargeKey::new(order, 1))
    }
}

/// An order of some seats, one item each, that is charged to a card.
fn new_order(seats: &[i32], card: Option<&str>) -> NewOrder {
    let line = |seats: &i32| {
        let cents = i64::from(*seats) * 7_500;
        domain::fixtures::line("raft", &[("seat", *seats)], cents)
    };
    NewOrder {
        merchant_id: "town".into(),
        customer: Customer::of("ada"),
        items: seats.iter().map(line).collect(),
        payment: card.map(|_| {
            Box::new(PaymentDetails {
                processed_by: Some(PaymentProcessor::Partner),
                ..PaymentDetails::default()
            })
        }),
        method: card.map(|card| PaymentMethod {
            token: card.into(),
            challenge: None,
        }),
    }
}

pub(crate) fn far() -> Instant {
    Instant::now() + std::time::Duration::from_secs(60)
}

pub(crate) fn cancel(items: &[u32], refund: RefundChoice) -> OrderChange {
    OrderChange::Cancel {
        items: items.to_vec(),
        refund,
        reason: "ill".to_owned(),
    }
}

pub(crate) fn refund(items: &[u32], refund: RefundChoice) -> OrderChange {
    OrderChange::Refund {
        items: items.to_vec(),
        refund,
        reason: String::new(),
    }
}

pub(crate) fn withdraw(items: &[u32]) -> OrderChange {
    OrderChange::Withdraw {
        spots: WithdrawnSpots::ForSale,
        items: items.to_vec(),
        reason: "storm".to_owned(),
    }
}

pub(crate) fn note(text: &str) -> OrderChange {
    OrderChange::AddNote {
        note: text.to_owned(),
    }
}

/// The states of an order and of its items.
pub(crate) fn states(stored: &StoredOrder) -> (&str, Vec<&str>) {
    let tree = &stored.update.as_ref().unwrap().tree;
    let items = tree.items.iter().map(|item| item.state.as_str());
    (tree.state.as_str(), items.collect())
}

pub(crate) fn refunds(stored: &StoredOrder) -> Vec<(&str, Money)> {
    let tree = &stored.update.as_ref().unwrap().tree;
    let refunds = tree.refunds.iter();
    refunds
        .map(|it| (it.state.as_str(), it.amount.total))
        .collect()
}

#[tokio::test]
async fn what_a_cancelled_order_gives_back_is_what_was_chosen() {
    let cases = [
        (RefundChoice::Policy, vec![cents(7_500)]),
        (RefundChoice::Full, vec![cents(15_000)]),
        (RefundChoice::Nothing, vec![]),
        (RefundChoice::Amount(cents(1_234)), vec![cents(1_234)]),
    ];
    for (choice, expected) in cases {
        let office = Office::new();
        let order = office.order("a", &[2], Some("approve"));
        assert_eq!(office.open(), SPOTS - 2);
        let stored = office.changed(&order, cancel(&[], choice)).await;
        assert_eq!(
            states(&stored),
            ("cancelled", vec!["cancelled"]),
            "{choice:?}"
        );
        assert_eq!(office.open(), SPOTS, "{choice:?}");
        let requested: Vec<Money> = refunds(&stored).iter().map(|it| it.1).collect();
        assert_eq!(requested, expected, "{choice:?}");
        assert_eq!(office.given(&order), [], "before the step has run");
        office.work().await;
        assert_eq!(office.given(&order), expected, "{choice:?}");
        let stored = office.stored(&order).await;
        let done: Vec<&str> = refunds(&stored).iter().map(|it| it.0).collect();
        assert_eq!(done, vec!["done"; expected.len()], "{choice:?}");
        assert_eq!(office.app.timers_and_steps(), (0, 0));
    }
}

#[tokio::test]
async fn money_is_not_guessed() {
    let office = Office::with(without_terms);
    let order = office.order("a", &[1, 2], Some("approve"));
    let no_policy = ChangeError::NoPolicy { item: 0 };
    let too_high = ChangeError::AmountTooHigh {
        available: cents(22_500),
    };
    let yen = domain::fixtures::yen(5);
    for (change, expected) in [
        (cancel(&[], RefundChoice::Policy), no_policy.clone()),
        (cancel(&[0], RefundChoice::Policy), no_policy.clone()),
        (refund(&[], RefundChoice::Policy), no_policy),
        (
            refund(&[], RefundChoice::Amount(cents(22_501))),
            too_high.clone(),
        ),
        (cancel(&[1], RefundChoice::Amount(cents(22_501))), too_high),
        (
            cancel(&[], RefundChoice::Amount(yen)),
            ChangeError::OtherCurrency("USD"),
        ),
    ] {
        assert_eq!(office.change(&order, change).await, Err(expected));
    }
    assert_eq!(
        office.stored(&order).await.update,
        None,
        "nothing has changed"
    );
    assert_eq!(office.open(), SPOTS - 3);
    // What others have taken is theirs to give back.
    let elsewhere = office.order("b", &[1], None);
    let amount = RefundChoice::Amount(cents(1));
    for change in [
        cancel(&[], amount),
        refund(&[], amount),
        refund(&[], RefundChoice::Full),
    ] {
        let found = office.change(&elsewhere, change).await;
        assert_eq!(found, Err(ChangeError::NothingToRefund));
    }
    let stored = office
        .changed(&elsewhere, cancel(&[], RefundChoice::Policy))
        .await;
    assert_eq!((states(&stored).0, refunds(&stored)), ("cancelled", vec![]));
}

#[tokio::test]
async fn items_are_cancelled_one_by_one_and_the_last_ends_the_order() {
    let office = Office::new();
    let order = office.order("a", &[1, 2], Some("approve"));
    assert_eq!(office.open(), SPOTS - 3);
    let stored = office
        .changed(&order, cancel(&[1], RefundChoice::Full))
        .await;
    assert_eq!(
        states(&stored),
        ("processing", vec!["confirmed", "cancelled"])
    );
    assert_eq!(refunds(&stored), [("requested", cents(15_000))]);
    assert_eq!(office.open(), SPOTS - 1);
    let again = office
        .change(&order, cancel(&[1], RefundChoice::Full))
        .await;
    assert!(
        matches!(again, Err(ChangeError::NoTransition { .. })),
        "{again:?}"
    );
    let stored = office
        .changed(&order, cancel(&[0], RefundChoice::Full))
        .await;
    assert_eq!(
        states(&stored),
        ("cancelled", vec!["cancelled", "cancelled"])
    );
    assert_eq!(office.open(), SPOTS);
    office.work().await;
    let mut given = office.given(&order);
    given.sort_by_key(|amount| amount.to_micros().unwrap());
    assert_eq!(given, [cents(7_500), cents(15_000)]);
    let office = office.restarted();
    assert_eq!(office.open(), SPOTS, "after a restart");
}

#[tokio::test]
async fn what_was_given_back_is_never_given_back_again() {
    let office = Office::new();
    let order = office.order("a", &[2], Some("approve"));
    let tenner = RefundChoice::Amount(cents(1_000));
    office.changed(&order, refund(&[], tenner)).await;
    office.changed(&order, refund(&[0], tenner)).await;
    let stored = office
        .changed(&order, cancel(&[], RefundChoice::Full))
        .await;
    let expected = [cents(1_000), cents(1_000), cents(13_000)];
    let requested: Vec<Money> = refunds(&stored).iter().map(|it| it.1).collect();
    assert_eq!(requested, expected);
    let more = office.change(&order, refund(&[], RefundChoice::Full)).await;
    assert_eq!(more, Err(ChangeError::NothingToRefund));
    office.work().await;
    let total = office.given(&order).len();
    assert_eq!(total, 3);
}

#[tokio::test]
async fn the_policy_is_paid_once_whoever_asks() {
    let office = Office::new();
    let policy = RefundChoice::Policy;
    let order = office.order("a", &[2], Some("approve"));
    office.changed(&order, refund(&[], policy)).await;
    let again = office.change(&order, refund(&[], policy)).await;
    assert_eq!(again, Err(ChangeError::NothingToRefund));
    let change = cancel(&[], policy);
    let stored = office.changed(&order, change.clone()).await;
    assert_eq!(states(&stored).0, "cancelled");
    assert_eq!(refunds(&stored), [("requested", cents(7_500))]);
    let note = change.refund_note(&stored).unwrap();
    assert!(note.starts_with("nothing is given back"), "{note}");
    let after = office.change(&order, refund(&[], policy)).await;
    assert_eq!(after, Err(ChangeError::NothingToRefund));
}

#[tokio::test]
async fn an_amount_is_bound_to_the_items_that_it_names() {
    let office = Office::new();
    let order = office.order("a", &[2, 1], Some("approve"));
    let amount = |amount| RefundChoice::Amount(cents(amount));
    for change in [refund(&[1], amount(7_501)), cancel(&[1], amount(7_501))] {
        let available = cents(7_500);
        let found = office.change(&order, change).await;
        assert_eq!(found, Err(ChangeError::AmountTooHigh { available }));
    }
    office.changed(&order, refund(&[0], amount(3_000))).await;
    let change = cancel(&[0], RefundChoice::Full);
    let stored = office.changed(&order, change.clone()).await;
    let note = change.refund_note(&stored).unwrap();
    assert!(
        note.starts_with("USD 120") || note.starts_with("120"),
        "{note}"
    );
    // The other item has all of its money.
    let change = cancel(&[1], RefundChoice::Full);
    let stored = office.changed(&order, change.clone()).await;
    assert_eq!(change.refund_note(&stored), None);
    let of: Vec<_> = stored.update.unwrap().tree.refunds;
    let of: Vec<_> = of
        .iter()
        .map(|it| (it.amount.items[0].item, it.amount.total, it.cause))
        .collect();
    let expected = [
        (0, cents(3_000), RefundCause::Goodwill),
        (0, cents(12_000), RefundCause::Merchant),
        (1, cents(7_500), RefundCause::Merchant),
    ];
    assert_eq!(of[..2], expected[..2]);
    assert_eq!(of[2].1, expected[2].1);
}

#[tokio::test]
async fn what_google_has_taken_is_not_given_back_here() {
    let office = Office::new();
    let mut command = command("a", &[1], None);
    command.order.payment = Some(Box::new(PaymentDetails {
        processed_by: Some(PaymentProcessor::Google),
        ..PaymentDetails::default()
    }));
    let created = office.app.create(command, None, far()).await;
    let order = created.unwrap().unwrap().id.clone();
    let amount = RefundChoice::Amount(cents(1));
    for change in [
        cancel(&[], RefundChoice::Full),
        cancel(&[], amount),
        refund(&[], RefundChoice::Full),
        refund(&[], RefundChoice::Policy),
    ] {
        let found = office.change(&order, change).await;
        assert_eq!(found, Err(ChangeError::PaidToGoogle));
    }
    let change = cancel(&[], RefundChoice::Policy);
    let stored = office.changed(&order, change.clone()).await;
    assert_eq!((states(&stored).0, refunds(&stored)), ("cancelled", vec![]));
    let note = change.refund_note(&stored).unwrap();
    assert!(note.starts_with("Google"), "{note}");
}

#[tokio::test]
async fn a_withdrawal_asks_the_customer_who_amends_or_cancels() {
    for (decision, state, items, given) in [
        (
            CustomerDecision::Amend,
            "processing",
            ["confirmed", "cancelled"],
            cents(15_000),
        ),
        (
            CustomerDecision::Cancel,
            "cancelled",
            ["cancelled", "cancelled"],
            cents(22_500),
        ),
    ] {
        let office = Office::new();
        let order = office.order("a", &[1, 2], Some("approve"));
        let early = office
            .change(&order, OrderChange::CustomerAction(decision))
            .await;
        assert_eq!(early, Err(ChangeError::NotAwaited));
        let stored = office.changed(&order, withdraw(&[1])).await;
        let expected = ("customer_action_required", vec!["confirmed", "unavailable"]);
        assert_eq!(states(&stored), expected);
        assert_eq!(office.open(), SPOTS - 1);
        assert_eq!(office.app.timers_and_steps(), (1, 0));
        let stored = office
            .changed(&order, OrderChange::CustomerAction(decision))
            .await;
        assert_eq!(states(&stored), (state, items.to_vec()));
        assert_eq!(office.app.timers_and_steps().0, 0, "the timer is cleared");
        office.work().await;
        assert_eq!(office.given(&order), [given]);
    }
}

#[tokio::test]
async fn a_request_id_on_record_is_known_in_either_letter_case() {
    let office = Office::new();
    let order = office.order("a", &[1], None);
    let lower = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
    let request = |request_id: String| ChangeRequest {
        request_id,
        ..office.request(&order)
    };
    let first = request(lower.to_uppercase());
    let first = office.app.change_order(first, note("seen"), far()).await;
    let again = request(lower.to_owned());
    let again = office.app.change_order(again, note("seen"), far()).await;
    assert_eq!(first.unwrap(), again.unwrap());
    assert_eq!(office.stored(&order).await.revision(), 1);
}

#[tokio::test]
async fn an_amended_order_needs_an_item_that_is_left() {
    let office = Office::new();
    let order = office.order("a", &[1, 2], Some("approve"));
    office.changed(&order, withdraw(&[])).await;
    let amend = OrderChange::CustomerAction(CustomerDecision::Amend);
    let found = office.change(&order, amend).await;
    let Err(ChangeError::Condition { condition, .. }) = found else {
        panic!("{found:?}");
    };
    assert!(condition.contains("line_item"), "{condition}");
}

#[tokio::test]
async fn a_customer_who_does_not_answer_times_out_and_no_clock_makes_that_earlier() {
    for is_restarted in [false, true] {
        let mut office = Office::new();
        let order = office.order("a", &[1, 2], Some("approve"));
        office.changed(&order, withdraw(&[0])).await;
        office.clock.set(NOW + (DAY.get() - 1));
        office.work().await;
        assert_eq!(
            states(&office.stored(&order).await).0,
            "customer_action_required"
        );
        office.clock.set(NOW.saturating_sub(DAY));
        office.work().await;
        if is_restarted {
            office = office.restarted();
        }
        office.clock.set(NOW + DAY.get());
        office.work().await;
        let stored = office.stored(&order).await;
        assert_eq!(
            states(&stored),
            ("timed_out", vec!["cancelled", "cancelled"])
        );
        assert_eq!(office.open(), SPOTS);
        assert_eq!(office.given(&order), [cents(22_500)]);
        let revision = stored.revision();
        office.clock.set(NOW);
        office.work().await;
        office.clock.set(NOW + DAY.get());
        office.work().await;
        assert_eq!(office.stored(&order).await.revision(), revision, "once");
    }
}

#[tokio::test]
async fn a_request_has_one_answer() {
    let office = Office::new();
    let order = office.order("a", &[2], Some("approve"));
    let request = office.request(&order);
    let change = || cancel(&[], RefundChoice::Policy);
    let ask = |request: ChangeRequest| office.app.change_order(request, change(), far());
    let first = ask(request.clone()).await.unwrap();
    assert_eq!(ask(request.clone()).await.unwrap(), first, "the newest");
    office.work().await;
    office.changed(&order, note("called")).await;
    assert!(office.stored(&order).await.revision() > first.revision());
    assert_eq!(ask(request.clone()).await.unwrap(), first, "an older one");
    let other = ChangeRequest {
        fingerprint: [8; 32],
        ..request
    };
    assert_eq!(ask(other).await, Err(ChangeError::RequestReused));
    assert_eq!(office.given(&order), [cents(7_500)]);
}

#[tokio::test]
async fn what_is_only_validated_changes_nothing() {
    let office = Office::new();
    let order = office.order("a", &[2], Some("approve"));
    let request = ChangeRequest {
        mode: ChangeMode::ValidateOnly,
        ..office.request(&order)
    };
    let change = cancel(&[], RefundChoice::Full);
    let would_be = office
        .app
        .change_order(request.clone(), change.clone(), far());
    let would_be = would_be.await.unwrap();
    assert_eq!(states(&would_be).0, "cancelled");
    assert_eq!(office.stored(&order).await.update, None);
    assert_eq!(
        (office.open(), office.app.timers_and_steps()),
        (SPOTS - 2, (0, 0))
    );
    let in_earnest = ChangeRequest {
        mode: ChangeMode::Commit,
        ..request
    };
    let done = office
        .app
        .change_order(in_earnest, change, far())
        .await
        .unwrap();
    assert_eq!(done, would_be);
}

#[tokio::test]
async fn an_order_that_has_changed_since_it_was_seen_is_not_changed() {
    let office = Office::new();
    let order = office.order("a", &[2], None);
    let expecting = |revision: u32| ChangeRequest {
        expected_revision: Some(revision),
        ..office.request(&order)
    };
    let ask = |request: ChangeRequest| office.app.change_order(request, note("n"), far());
    let first = expecting(0);
    assert!(ask(first.clone()).await.is_ok());
    let changed = ChangeError::RevisionChanged {
        expected: 0,
        found: 1,
    };
    assert_eq!(ask(expecting(0)).await, Err(changed));
    assert!(ask(first).await.is_ok(), "a repetition");
    assert!(ask(expecting(1)).await.is_ok());
}

#[tokio::test]
async fn notes_no_shows_and_changes_of_state_are_in_the_history() {
    let office = Office::new();
    let order = office.order("a", &[1, 1], None);
    let stored = office.changed(&order, note("called")).await;
    assert_eq!(
        states(&stored),
        ("processing", vec!["confirmed", "confirmed"])
    );
    let no_show = OrderChange::MarkNoShow { items: vec![1] };
    let stored = office.changed(&order, no_show).await;
    assert_eq!(states(&stored).1, ["confirmed", "no_show"]);
    assert_eq!(
        office.open(),
        SPOTS - 2,
        "spots that nobody came for are gone"
    );
    let fulfilled = OrderChange::ChangeState {
        part: OrderPart::item(0),
        from: Some("confirmed".to_owned()),
        to: "fulfilled".to_owned(),
        reason: "came".to_owned(),
    };
    let stored = office.changed(&order, fulfilled.clone()).await;
    assert_eq!(states(&stored).1, ["fulfilled", "no_show"]);
    let again = office.change(&order, fulfilled).await;
    assert!(
        matches!(again, Err(ChangeError::NotInState { .. })),
        "{again:?}"
    );
    let confirm = OrderChange::Confirm {
        items: vec![],
        decision: MerchantDecision::Confirm,
        reason: String::new(),
    };
    let found = office.change(&order, confirm).await;
    assert_eq!(found, Err(ChangeError::NothingToConfirm));
    let mut texts = Vec::new();
    let read = office.store.history(&order, &mut |update| {
        texts.push((
            update.revision,
            update.entry.texts.note,
            update.entry.texts.reason,
        ));
        ControlFlow::Continue(())
    });
    read.unwrap();
    let text = |revision, note: &str, reason: &str| (revision, note.to_owned(), reason.to_owned());
    let expected = [text(3, "", "came"), text(2, "", ""), text(1, "called", "")];
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn a_request_that_is_not_as_it_has_to_be_names_field_and_rule() {
    let office = Office::new();
    let order = office.order("a", &[1], Some("approve"));
    let long = "x".repeat(MAX_NOTE + 1);
    for (change, field) in [
        (cancel(&[0, 0], RefundChoice::Full), "items"),
        (cancel(&[1], RefundChoice::Full), "items"),
        (cancel(&[], RefundChoice::Amount(cents(0))), "refund.amount"),
        (
            cancel(&[], RefundChoice::Amount(cents(-1))),
            "refund.amount",
        ),
        (refund(&[], RefundChoice::Nothing), "refund"),
        (note(" "), "note"),
        (note(&long), "note"),
        (
            OrderChange::AbandonStep {
                step: 1,
                reason: String::new(),
            },
            "reason",
        ),
        (
            OrderChange::ChangeState {
                part: OrderPart::ORDER,
                from: None,
                to: "gone".to_owned(),
                reason: String::new(),
            },
            "to_state",
        ),
    ] {
        match office.change(&order, change.clone()).await {
            Err(ChangeError::Invalid(invalid)) => {
                let fields: Vec<&str> = invalid.iter().map(|it| it.field).collect();
                assert_eq!(fields, [field], "{change:?}");
            }
            other => panic!("{change:?}: {other:?}"),
        }
    }
    for request_id in ["", "1", "00000000-0000-4000-8000-00000000000g"] {
        let request = ChangeRequest {
            request_id: request_id.to_owned(),
            ..office.request(&order)
        };
        let found = office.app.change_order(request, note("n"), far()).await;
        assert!(
            matches!(found, Err(ChangeError::Invalid(_))),
            "{request_id:?}"
        );
    }
    for unknown in ["", "AAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let found = office.change(&unknown.into(), note("n")).await;
        assert_eq!(found, Err(ChangeError::UnknownOrder), "{unknown:?}");
    }
}

#[tokio::test]
async fn next_states_are_those_that_can_be_asked_for() {
    let office = Office::new();
    let order = office.order("a", &[1], Some("approve"));
    let next = office
        .app
        .next_states(&office.stored(&order).await)
        .unwrap();
    let found: Vec<(Entity, &str, OrderAction, bool)> = next
        .iter()
        .map(|it| (it.part.entity, &*it.to, it.action, it.why_not.is_none()))
        .collect();
    let refunds: Vec<RefundInput> = next.iter().map(|it| it.refund).collect();
    let expected = [
        // Only after a withdrawal.
        (
            Entity::Order,
            "customer_action_required",
            OrderAction::ChangeState,
            false,
        ),
        (Entity::Order, "cancelled", OrderAction::Cancel, true),
        (
            Entity::LineItem,
            "fulfilled",
            OrderAction::ChangeState,
            true,
        ),
        (Entity::LineItem, "unavailable", OrderAction::Withdraw, true),
        (Entity::LineItem, "cancelled", OrderAction::Cancel, true),
        (Entity::LineItem, "no_show", OrderAction::MarkNoShow, true),
    ];
    assert_eq!(found, expected);
    // Only who cancels says how much goes back.
    let said = next.iter().map(|it| it.action == OrderAction::Cancel);
    let said: Vec<RefundInput> = said
        .map(|is_said| {
            if is_said {
                RefundInput::Optional
            } else {
                RefundInput::None
            }
        })
        .collect();
    assert_eq!(refunds, said);
    assert_eq!(
        office.stored(&order).await.update,
        None,
        "nothing has changed"
    );
}

#[tokio::test]
async fn how_much_goes_back_has_to_be_said_without_terms_and_not_where_it_is_decided() {
    let refund_of_cancel = async |office: &Office, order: &OrderId| {
        let stored = office.stored(order).await;
        let next = office.app.next_states(&stored).unwrap();
        let mut cancels = next
            .into_iter()
            .filter(|it| it.part == OrderPart::ORDER && it.action == OrderAction::Cancel);
        cancels.next().unwrap().refund
    };
    let without_terms = Office::opened(Default::default(), |_| {}, |_| {});
    let charged = without_terms.order("a", &[1], Some("approve"));
    let found = refund_of_cancel(&without_terms, &charged).await;
    assert_eq!(found, RefundInput::Required);
    let paid_elsewhere = without_terms.order("b", &[1], None);
    let found = refund_of_cancel(&without_terms, &paid_elsewhere).await;
    assert_eq!(found, RefundInput::None);
    let office = Office::new();
    let order = office.order("a", &[1, 1], Some("approve"));
    office.changed(&order, withdraw(&[0])).await;
    assert_eq!(refund_of_cancel(&office, &order).await, RefundInput::None);
}

#[tokio::test]
async fn a_part_that_is_new_is_in_the_history_from_its_first_state_on() {
    let office = Office::new();
    let order = office.order("a", &[1, 1], Some("approve"));
    let stored = office
        .changed(&order, cancel(&[0], RefundChoice::Full))
        .await;
    let changes = stored.update.unwrap().entry.changes;
    let found: Vec<(OrderPart, &str, &str)> = changes
        .iter()
        .map(|change| (change.part, change.from.as_str(), change.to.as_str()))
        .collect();
    let expected = [
        (OrderPart::item(0), "confirmed", "cancelled"),
        (OrderPart::refund(0), "", "requested"),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_plain_order_costs_nothing_before_it_changes() {
    let office = Office::new();
    let order = office.order("a", &[1], None);
    let stored = office.stored(&order).await;
    assert_eq!((stored.update, stored.placed.bill), (None, None));
    let charged = office.order("b", &[1], Some("approve"));
    let bill = office.stored(&charged).await.placed.bill.unwrap();
    assert_eq!(bill.bill.total(), Ok(cents(7_500)));
}
