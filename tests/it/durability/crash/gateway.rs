//! Killed around the gateway: before it is asked, while it acts, after it has answered, and again while
//! what is left of that is reversed. Whatever was taken in the end is for an order, and taken once.
//!
//! The server is this very test in a process of its own. Its gateway keeps its books in a file, because a
//! gateway survives the crash of those who ask it; the process dies at a point that it is told.

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
    domain::order::OrderId,
    payments::{
        Charge, ChargeKey, ChargeOutcome, DeclineReason, GatewayError, GatewayFuture,
        PaymentGateway, Reversal,
    },
    store::{
        CommitFuture, HoldId, OrderFilter, OrderSink, Read, ReadError, Recovered, Replay,
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
    /// Asked to charge, and nothing has been done yet.
    BeforeCharge,
    /// Charged, or refused, and not answered yet.
    AfterCharge,
    /// The order that was paid is to be written.
    BeforeOrder,
    AfterOrder,
    /// A payment without an order is to be ended.
    BeforeEnd,
    AfterEnd,
    BeforeReversal,
    AfterReversal,
}

/// What the gateway does with a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Outcome {
    Captured,
    Declined,
    /// It takes the money and cannot say so.
    Lost,
    /// It takes nothing and cannot say so.
    Silent,
}

/// What is wrong with a store, so that it is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Wrong {
    /// It says that an intent is written which it is not.
    Intents,
    /// It says that an order is written which it is not.
    Orders,
}

/// What such a server is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Plan {
    catalog: PathBuf,
    store: PathBuf,
    books: PathBuf,
    outcome: Outcome,
    dies: Option<Point>,
    wrong: Option<Wrong>,
}

const PLAN: &str = "BOXOFFICE_TEST_PLAN";

impl Plan {
    /// A server that does what it should.
    fn of(scenario: &Scenario) -> Self {
        Self {
            catalog: scenario.deployment.catalog.path().into(),
            store: scenario.deployment.store.path().join("orders"),
            books: scenario.deployment.store.path().join("books"),
            outcome: Outcome::Captured,
            dies: None,
            wrong: None,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it is no setting of the server")]
    fn told() -> Option<Self> {
        let text = std::env::var(PLAN).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    fn program(&self) -> Program {
        let plan = serde_json::to_string(self).unwrap();
        Program::this_test(
            "durability::crash::gateway::a_server_that_dies_as_it_is_told",
            PLAN,
            &plan,
        )
    }

    /// Ends the process as a crash would, if this is where.
    fn pass(&self, point: Point) {
        if self.dies == Some(point) {
            process::abort();
        }
    }

    /// The last word on a charge by the gateway's books.
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

/// A gateway with books.
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
}

/// A store in whose process there are points to die at.
#[derive(Debug)]
struct DyingStore {
    inner: LogStore,
    plan: Plan,
}

impl Store for DyingStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        let [write] = &unit.writes[..] else {
            return self.inner.commit(unit);
        };
        let lie = match write {
            Write::PaymentIntent(_) => Some(Wrong::Intents),
            Write::OrderPlaced(_) => Some(Wrong::Orders),
            Write::PaymentEnded(_)
            | Write::HoldPlaced(_)
            | Write::HoldReleased { .. }
            | Write::Prices(_)
            | Write::SlotsForgotten(_) => None,
        };
        if lie.is_some() && lie == self.plan.wrong {
            return Box::pin(std::future::ready(Ok(())));
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
            | Write::SlotsForgotten(_) => return self.inner.commit(unit),
        };
        self.plan.pass(before);
        let (plan, committed) = (self.plan.clone(), self.inner.commit(unit));
        Box::pin(async move {
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
async fn a_server_that_dies_as_it_is_told() {
    let Some(plan) = Plan::told() else { return };
    let mut config = support::config();
    config.logging = Config::from_layers(
        boxoffice::config::Flags::default(),
        [("BOXOFFICE_LOG_FORMAT".into(), "json".into())],
        |_| unreachable!("no file is named"),
    )
    .unwrap()
    .logging;
    telemetry::init(&config).unwrap();
    let store = DyingStore {
        inner: LogStore::open(&plan.store, 64).unwrap(),
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

/// What may be wrong with the money.
#[derive(Debug, PartialEq, Eq)]
enum Owed {
    /// It was taken under this key and there is no order for it, or one for another amount.
    Unearned(String),
    /// It was not taken for this order, or it was given back.
    Unpaid(String),
}

/// How the gateway's books disagree with the orders on record.
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

/// A crash at one point, and perhaps a second one while what it left is reversed.
#[derive(Debug)]
struct Crash {
    outcome: Outcome,
    first: Point,
    /// Whether the first leaves a payment open.
    leaves_open: bool,
    second: Option<Point>,
    wrong: Option<Wrong>,
}

/// What is wrong after a crash with the money, as soon as everything is reversed and once more when the
/// tokens have been sent again; and what else is wrong.
async fn found_after(crash: &Crash) -> (Vec<Owed>, Vec<Anomaly>) {
    let mut scenario = Scenario::new();
    let right = Plan::of(&scenario);
    let dying = Plan {
        outcome: crash.outcome,
        dies: Some(crash.first),
        wrong: crash.wrong,
        ..right.clone()
    };
    let server = dying.program().start().await;
    let mut client = Client::at(&server).await;
    scenario.order(&mut client, 1, "").await;
    scenario.order(&mut client, 2, "card").await;
    must_have_died(&server.ended().await);
    if let Some(second) = crash.second {
        must_have_died(
            &Plan {
                dies: Some(second),
                ..right.clone()
            }
            .program()
            .run()
            .await,
        );
    }
    let started = open(right.program()).await;
    let is_left_open = crash.leaves_open && crash.second != Some(Point::AfterEnd);
    assert_eq!(
        started.pending_payments,
        usize::from(is_left_open),
        "{crash:?}"
    );
    let client = Client::at(&started.server).await;
    let users = scenario.history.user_ids();
    let money = async || {
        let books = fs::read_to_string(&right.books).unwrap_or_default();
        owed(&books, &client.list_by_users(users.clone()).await)
    };
    let mut wrong = money().await;
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
    wrong.extend(money().await);
    started.server.kill().await;
    assert_eq!(open(right.program()).await.pending_payments, 0);
    (wrong, anomalies)
}

fn must_have_died(ended: &Ended) {
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
        move |(first, leaves_open)| Crash {
            outcome,
            first,
            leaves_open,
            second: None,
            wrong: None,
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
    // Nothing taken, money taken, money taken and given back: and then a crash while that is reversed.
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
async fn wherever_a_crash_comes_money_is_taken_once_and_for_an_order() {
    let all = crashes();
    eprintln!("{} crashes", all.len());
    let found = stream::iter(&all).map(async |crash| (crash, found_after(crash).await));
    for (crash, found) in found.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        assert_eq!(found, (vec![], vec![]), "{crash:?}");
    }
}

/// The negative control: a store that says that something is written which it is not.
#[tokio::test]
async fn a_store_that_says_too_much_is_found_out() {
    let crash = |wrong| Crash {
        outcome: Outcome::Captured,
        first: Point::AfterCharge,
        leaves_open: wrong == Wrong::Orders,
        second: None,
        wrong: Some(wrong),
    };
    let (money, anomalies) = found_after(&crash(Wrong::Intents)).await;
    assert!(
        matches!(money[..], [Owed::Unearned(_)]) && anomalies.is_empty(),
        "{money:?}, {anomalies:?}"
    );
    let (money, anomalies) = found_after(&crash(Wrong::Orders)).await;
    assert!(
        matches!(anomalies[..], [Anomaly::Lost { .. }]) && money.is_empty(),
        "{money:?}, {anomalies:?}"
    );
}

#[test]
fn books_that_do_not_fit_the_orders_are_found_out() {
    let order = |payment: Option<&str>| {
        let item = Item::museum_entry().price("USD", 5);
        let mut order = order_request("t", "museum", [item]).order.unwrap();
        order.order_id = "a".into();
        order.payment_information = payment.map(|key| v3::PaymentInformation {
            payment_transaction_id: key.into(),
            ..v3::PaymentInformation::default()
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
