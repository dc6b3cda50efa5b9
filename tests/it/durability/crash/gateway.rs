//! Crashes around a charge: before it, during it, after its outcome, and again during the reversal at the
//! next start. In the end all captured money belongs to an order, once.
//!
//! The server is this test binary in a process of its own. Its gateway keeps its books in a file, because a
//! real gateway survives the crash of its clients; the process aborts at a planned point.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process,
    sync::Arc,
};

use boxoffice::{
    api::booking::proto::v3,
    config::Config,
    payments::{
        ChangeOutcome, Charge, ChargeChange, ChargeKey, ChargeOutcome, DeclineReason, GatewayError,
        GatewayFuture, PaymentGateway, Reversal,
    },
    store::{
        CommitFuture, HoldId, OrderFilter, OrderKey, OrderSink, Read, ReadError, Recovered, Replay,
        Selection, Store, StoreHealth, StoreStats, StoredHold, UnitOfWork, Write, log::LogStore,
    },
    telemetry,
};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{client::Client, history::Anomaly, open, scenario::Scenario, verify_last};
use crate::support::{
    self, Item, Setup,
    doubles::reads_of,
    order_request,
    process::{Ended, Program},
};

/// The number of the signal by which a process aborts itself.
const SIGABRT: i32 = 6;

/// Crashes at once.
const AT_ONCE: usize = 4;

/// Where a process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Point {
    BeforeIntent,
    AfterIntent,
    /// The gateway was called and has done nothing yet.
    BeforeCharge,
    /// The gateway has captured or declined, and not answered yet.
    AfterCharge,
    /// The paid order is about to be written.
    BeforeOrder,
    AfterOrder,
    /// The end of a payment without an order is about to be written.
    BeforeEnd,
    AfterEnd,
    BeforeReversal,
    AfterReversal,
}

/// The planned outcome of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Outcome {
    Captured,
    Declined,
    /// Captured, and the answer is lost.
    Lost,
    /// Not captured, and the answer is lost.
    Silent,
}

/// A fault of the store, for negative controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum StoreFault {
    /// It acknowledges intents without writing them.
    Intents,
    /// It acknowledges orders without writing them.
    Orders,
}

/// The plan of such a server, passed in a variable.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Plan {
    catalog: PathBuf,
    store: PathBuf,
    books: PathBuf,
    outcome: Outcome,
    aborts_at: Option<Point>,
    fault: Option<StoreFault>,
}

const PLAN: &str = "BOXOFFICE_TEST_PLAN";

impl Plan {
    /// A server without crashes and faults.
    fn of(scenario: &Scenario) -> Self {
        Self {
            catalog: scenario.deployment.catalog.path().into(),
            store: scenario.deployment.store.path().join("orders"),
            books: scenario.deployment.store.path().join("books"),
            outcome: Outcome::Captured,
            aborts_at: None,
            fault: None,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it is no setting of the server")]
    fn from_variable() -> Option<Self> {
        let text = std::env::var(PLAN).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    fn program(&self) -> Program {
        let plan = serde_json::to_string(self).unwrap();
        Program::this_test(
            "durability::crash::gateway::a_server_that_aborts_as_planned",
            PLAN,
            &plan,
        )
    }

    /// Aborts the process if this is the planned point.
    fn pass(&self, point: Point) {
        if self.aborts_at == Some(point) {
            process::abort();
        }
    }

    /// The last entry of a charge in the gateway's books.
    fn entry(&self, key: &ChargeKey) -> Option<&'static str> {
        let books = fs::read_to_string(&self.books).unwrap_or_default();
        let last = books
            .lines()
            .rfind(|line| line.split(' ').nth(1) == Some(&*key.0))?;
        Some(if last.starts_with("charge ") {
            "charge"
        } else {
            "reverse"
        })
    }

    fn note(&self, line: &str) {
        let mut books = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.books)
            .unwrap();
        books.write_all(line.as_bytes()).unwrap();
    }

    fn capture(&self, charge: &Charge) {
        if self.entry(&charge.key).is_none() {
            self.note(&format!(
                "charge {} {}\n",
                charge.key.0,
                charge.amount.to_micros().unwrap()
            ));
        }
    }
}

/// A gateway that records its charges in a file.
#[derive(Debug)]
struct BookedGateway(Plan);

impl PaymentGateway for BookedGateway {
    fn charge<'a>(&'a self, charge: &'a Charge) -> GatewayFuture<'a, ChargeOutcome> {
        let plan = &self.0;
        plan.pass(Point::BeforeCharge);
        let answer = match plan.outcome {
            Outcome::Declined => ChargeOutcome::Declined(DeclineReason::CardDeclined),
            Outcome::Silent => ChargeOutcome::Unknown("no answer".into()),
            Outcome::Lost => {
                plan.capture(charge);
                ChargeOutcome::Unknown("no answer".into())
            }
            Outcome::Captured => {
                plan.capture(charge);
                ChargeOutcome::Captured(charge.key.0.clone())
            }
        };
        plan.pass(Point::AfterCharge);
        Box::pin(std::future::ready(answer))
    }

    fn reverse<'a>(
        &'a self,
        key: &'a ChargeKey,
    ) -> GatewayFuture<'a, Result<Reversal, GatewayError>> {
        let plan = &self.0;
        plan.pass(Point::BeforeReversal);
        let reversed = if plan.entry(key) == Some("charge") {
            Reversal::Refunded
        } else {
            Reversal::Voided
        };
        plan.note(&format!("reverse {}\n", key.0));
        plan.pass(Point::AfterReversal);
        Box::pin(std::future::ready(Ok(reversed)))
    }

    fn refund<'a>(
        &'a self,
        _: &'a ChargeChange,
    ) -> GatewayFuture<'a, Result<ChangeOutcome, GatewayError>> {
        Box::pin(std::future::ready(Err(GatewayError("it is silent".into()))))
    }

    fn void<'a>(
        &'a self,
        _: &'a ChargeChange,
    ) -> GatewayFuture<'a, Result<ChangeOutcome, GatewayError>> {
        Box::pin(std::future::ready(Err(GatewayError("it is silent".into()))))
    }
}

/// A store with the planned points and faults.
#[derive(Debug)]
struct CrashingStore {
    inner: LogStore,
    plan: Plan,
}

impl Store for CrashingStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        let [write] = &unit.writes[..] else {
            return self.inner.commit(unit);
        };
        let fault = match write {
            Write::PaymentIntent(_) => Some(StoreFault::Intents),
            Write::OrderPlaced(_) => Some(StoreFault::Orders),
            Write::PaymentEnded(_)
            | Write::HoldPlaced(_)
            | Write::HoldReleased { .. }
            | Write::Prices(_)
            | Write::SlotsForgotten(_)
            | Write::OrderUpdated(_)
            | Write::Blocked(_) => None,
        };
        if fault.is_some() && fault == self.plan.fault {
            return CommitFuture::ready(Ok(()));
        }
        let (before, after) = match write {
            Write::PaymentIntent(_) => (Point::BeforeIntent, Point::AfterIntent),
            Write::OrderPlaced(placed) if placed.payment.is_some() => {
                (Point::BeforeOrder, Point::AfterOrder)
            }
            Write::PaymentEnded(_) => (Point::BeforeEnd, Point::AfterEnd),
            Write::OrderPlaced(_)
            | Write::HoldPlaced(_)
            | Write::HoldReleased { .. }
            | Write::Prices(_)
            | Write::SlotsForgotten(_)
            | Write::OrderUpdated(_)
            | Write::Blocked(_) => return self.inner.commit(unit),
        };
        self.plan.pass(before);
        let (plan, committed) = (self.plan.clone(), self.inner.commit(unit));
        CommitFuture::boxed(async move {
            let outcome = committed.await;
            plan.pass(after);
            outcome
        })
    }

    reads_of!(inner);

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.inner.health()
    }
}

#[tokio::test]
#[ignore = "it is the server of the tests beside it"]
async fn a_server_that_aborts_as_planned() {
    let Some(plan) = Plan::from_variable() else {
        return;
    };
    let mut config = support::config();
    config.logging = Config::from_layers(
        boxoffice::config::Flags::default(),
        [("BOXOFFICE_LOG_FORMAT".into(), "json".into())],
        |_| unreachable!("no file is named"),
    )
    .unwrap()
    .logging;
    telemetry::init(&config).unwrap();
    let store = CrashingStore {
        inner: support::open_store(&plan.store).unwrap(),
        plan: plan.clone(),
    };
    let setup = Setup {
        config,
        catalog: plan.catalog.clone(),
        store: Arc::new(store),
        payments: Arc::new(BookedGateway(plan)),
        ..Setup::default()
    };
    let _server = setup.open().await.unwrap();
    std::future::pending::<()>().await;
}

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
    let (mut standing, mut owed) = (BTreeMap::new(), Vec::new());
    for line in books.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["charge", key, micros] => {
                standing.insert(key, micros.parse::<i64>().unwrap());
            }
            ["reverse", key] => {
                standing.remove(key);
            }
            _ => panic!("{line:?} in the books"),
        }
    }
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
    owed.extend(standing.into_keys().map(|key| Owed::Unearned(key.into())));
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
    fault: Option<StoreFault>,
}

/// The contradictions of the money after a crash, both after the reversals and after the tokens were sent
/// again; and all other anomalies.
async fn found_after(crash: &Crash) -> (Vec<Owed>, Vec<Anomaly>) {
    let mut scenario = Scenario::new();
    let right = Plan::of(&scenario);
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
        assert_aborted(
            &Plan {
                aborts_at: Some(second),
                ..right.clone()
            }
            .program()
            .run()
            .await,
        );
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
    let money = async || {
        let books = fs::read_to_string(&right.books).unwrap_or_default();
        owed(&books, &client.list_by_users(users.clone()).await)
    };
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

fn assert_aborted(ended: &Ended) {
    assert_eq!(ended.status.signal(), Some(SIGABRT), "{}", ended.text());
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
        leaves_pending: fault == StoreFault::Orders,
        second: None,
        fault: Some(fault),
    };
    let (money, anomalies) = found_after(&crash(StoreFault::Intents)).await;
    assert!(
        matches!(money[..], [Owed::Unearned(_)]) && anomalies.is_empty(),
        "{money:?}, {anomalies:?}"
    );
    let (money, anomalies) = found_after(&crash(StoreFault::Orders)).await;
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
