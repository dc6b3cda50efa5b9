//! Crashes around a charge: before it, during it, after its outcome, and again during the reversal at the
//! next start. In the end all captured money belongs to an order, once.
//!
//! The process aborts at a planned point; the books of its gateway outlive it.

use boxoffice::api::booking::proto::v3;
use futures_util::{StreamExt, stream};

use super::{client::Client, history::Anomaly, open, scenario::Scenario, verify_last};
use crate::support::{
    Item,
    booked_server::{Books, Outcome, Plan, PlannedFault, Point, assert_aborted},
    order_request,
};

/// Crashes at once.
const AT_ONCE: usize = 4;

/// A contradiction between the books and the orders.
#[derive(Debug, PartialEq, Eq)]
enum Owed {
    /// A captured charge without an order of its amount.
    Unearned(String),
    /// An order without a captured charge.
    Unpaid(String),
}

/// The contradictions between the gateway's books and the orders on record.
fn owed(books: &str, orders: &[v3::Order]) -> Vec<Owed> {
    let mut standing = Books::read(books).charges;
    let mut owed = Vec::new();
    for order in orders {
        let Some(payment) = &order.payment_information else {
            continue;
        };
        let due: i64 = order
            .item
            .iter()
            .map(|item| item.price.as_ref().unwrap().price_micros)
            .sum();
        let key = payment.payment_transaction_id.as_str();
        if standing.get(key) == Some(&due) {
            standing.remove(key);
        } else {
            owed.push(Owed::Unpaid(order.order_id.clone()));
        }
    }
    owed.extend(standing.into_keys().map(Owed::Unearned));
    owed
}

/// A crash at one point, and perhaps a second one during the reversal.
#[derive(Debug)]
struct Crash {
    outcome: Outcome,
    first: Point,
    /// Whether the first crash leaves a payment pending.
    leaves_pending: bool,
    second: Option<Point>,
    fault: Option<PlannedFault>,
}

/// The contradictions of the money after a crash, both after the reversals and after the tokens were sent
/// again; and all other anomalies.
async fn found_after(crash: &Crash) -> (Vec<Owed>, Vec<Anomaly>) {
    let mut scenario = Scenario::new();
    let deployment = &scenario.deployment;
    let right = Plan::of(deployment.catalog.path(), deployment.store.path());
    let crashing = Plan {
        outcome: crash.outcome,
        aborts_at: Some(crash.first),
        fault: crash.fault,
        ..right.clone()
    };
    let server = crashing.program().start().await;
    let mut client = Client::at(&server).await;
    scenario.order(&mut client, 1, "").await;
    scenario.order(&mut client, 2, "card").await;
    assert_aborted(&server.ended().await);
    if let Some(second) = crash.second {
        assert_aborted(&right.aborting_at(second).program().run().await);
    }
    let started = open(right.program()).await;
    let is_pending = crash.leaves_pending && crash.second != Some(Point::AfterEnd);
    assert_eq!(
        started.pending_payments,
        usize::from(is_pending),
        "{crash:?}"
    );
    let client = Client::at(&started.server).await;
    let users = scenario.history.user_ids();
    let money = async || owed(&right.entries(), &client.list_by_users(users.clone()).await);
    let mut contradictions = money().await;
    let anomalies = verify_last(
        &started,
        &scenario.deployment.workload,
        std::slice::from_mut(&mut scenario.history),
    )
    .await;
    assert_eq!(
        scenario.history.orders().count(),
        scenario.history.operations.len(),
        "each token leads to an order"
    );
    contradictions.extend(money().await);
    started.server.kill().await;
    assert_eq!(open(right.program()).await.pending_payments, 0);
    (contradictions, anomalies)
}

/// Every point by every outcome that leads there.
fn crashes() -> Vec<Crash> {
    use Outcome::{Captured, Declined, Lost, Silent};
    use Point::{
        AfterCharge, AfterEnd, AfterIntent, AfterOrder, AfterReversal, BeforeCharge, BeforeEnd,
        BeforeIntent, BeforeOrder, BeforeReversal,
    };
    let once = |outcome| {
        move |(first, leaves_pending)| Crash {
            outcome,
            first,
            leaves_pending,
            second: None,
            fault: None,
        }
    };
    let paid = [
        (BeforeIntent, false),
        (AfterIntent, true),
        (BeforeCharge, true),
        (AfterCharge, true),
        (BeforeOrder, true),
        (AfterOrder, false),
    ];
    let declined = [(AfterCharge, true), (BeforeEnd, true), (AfterEnd, false)];
    let unknown = [
        (AfterCharge, true),
        (BeforeReversal, true),
        (AfterReversal, true),
        (BeforeEnd, true),
        (AfterEnd, false),
    ];
    let mut crashes: Vec<Crash> = paid.map(once(Captured)).into();
    crashes.extend(declined.map(once(Declined)));
    crashes.extend(unknown.map(once(Lost)));
    crashes.extend(unknown.map(once(Silent)));
    // Not captured, captured, captured and refunded; then a crash during the reversal.
    for (outcome, first) in [
        (Captured, BeforeCharge),
        (Captured, BeforeOrder),
        (Lost, AfterReversal),
    ] {
        let again = [BeforeReversal, AfterReversal, BeforeEnd, AfterEnd].map(|second| Crash {
            second: Some(second),
            ..once(outcome)((first, true))
        });
        crashes.extend(again);
    }
    crashes
}

#[tokio::test]
async fn money_is_captured_once_and_for_an_order_wherever_a_crash_happens() {
    let all = crashes();
    eprintln!("{} crashes", all.len());
    let found = stream::iter(&all).map(async |crash| (crash, found_after(crash).await));
    for (crash, found) in found.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        assert_eq!(found, (vec![], vec![]), "{crash:?}");
    }
}

/// The negative control: a store that acknowledges what it has not written.
#[tokio::test]
async fn a_store_that_acknowledges_too_early_is_detected() {
    let crash = |fault| Crash {
        outcome: Outcome::Captured,
        first: Point::AfterCharge,
        leaves_pending: fault == PlannedFault::Orders,
        second: None,
        fault: Some(fault),
    };
    let (money, anomalies) = found_after(&crash(PlannedFault::Intents)).await;
    assert!(
        matches!(money[..], [Owed::Unearned(_)]) && anomalies.is_empty(),
        "{money:?}, {anomalies:?}"
    );
    let (money, anomalies) = found_after(&crash(PlannedFault::Orders)).await;
    assert!(
        matches!(anomalies[..], [Anomaly::Lost { .. }]) && money.is_empty(),
        "{money:?}, {anomalies:?}"
    );
}

#[test]
fn books_that_contradict_the_orders_are_detected() {
    let order = |payment: Option<&str>| {
        let item = Item::museum_entry().price("USD", 5);
        let mut order = order_request("t", "museum", [item]).order.unwrap();
        order.order_id = "a".into();
        order.payment_information = payment.map(|key| {
            Box::new(v3::PaymentInformation {
                payment_transaction_id: key.into(),
                ..v3::PaymentInformation::default()
            })
        });
        order
    };
    let unearned = |key: &str| Owed::Unearned(key.into());
    let unpaid = || Owed::Unpaid("a".into());
    for (books, payment, expected) in [
        ("", None, vec![]),
        ("charge a-1 5\n", Some("a-1"), vec![]),
        (
            "charge a-1 5\nreverse a-1\ncharge a-2 5\n",
            Some("a-2"),
            vec![],
        ),
        (
            "charge a-1 5\ncharge a-2 5\n",
            Some("a-2"),
            vec![unearned("a-1")],
        ),
        ("charge a-1 5\n", None, vec![unearned("a-1")]),
        (
            "charge a-1 6\n",
            Some("a-1"),
            vec![unpaid(), unearned("a-1")],
        ),
        ("charge a-1 5\nreverse a-1\n", Some("a-1"), vec![unpaid()]),
        ("", Some("a-1"), vec![unpaid()]),
    ] {
        assert_eq!(
            owed(books, &[*order(payment)]),
            expected,
            "{books:?}, {payment:?}"
        );
    }
}
