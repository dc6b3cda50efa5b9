//! A server in a process of its own, which a test kills or has abort at a planned point.
//!
//! The process is this test binary. Its gateway keeps its books in a file, because a real gateway survives the crash of its
//! clients.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use boxoffice::{
    config::{Config, Flags},
    kernel::clock::ManualClock,
    payments::{
        ChangeOutcome, Charge, ChargeChange, ChargeKey, ChargeOutcome, DeclineReason, GatewayError,
        GatewayFuture, PaymentGateway, Reversal,
    },
    store::{
        CommitFuture, HoldId, OrderFilter, OrderKey, OrderSink, Read, ReadError, Recovered, Replay,
        Selection, Store, StoreHealth, StoreStats, StoredHold, UnitOfWork, UpdateCause, Write,
        log::LogStore,
    },
    telemetry,
};
use domain::time::EpochSeconds;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    NOW, Setup,
    doubles::reads_of,
    open_store, operator_config,
    process::{Ended, Program},
};

/// The number of the signal by which a process aborts itself.
const SIGABRT: i32 = 6;

/// Where a process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Point {
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
    /// A change of an order that somebody has asked for is about to be written.
    BeforeRequest,
    /// It is written, and its spots are not given back in memory yet.
    AfterRequest,
    /// The gateway is asked for a refund and has done nothing yet.
    BeforeRefund,
    /// It has given the money back, and not answered yet.
    AfterRefund,
    /// The outcome of a step is about to be written.
    BeforeStepEnd,
    AfterStepEnd,
    /// What a timer leads to is about to be written.
    BeforeTimer,
    AfterTimer,
    /// A revision of the lifecycle is about to be written.
    BeforePublication,
    /// It is written, and is not in force yet.
    AfterPublication,
}

/// The planned outcome of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Captured,
    Declined,
    /// Captured, and the answer is lost.
    Lost,
    /// Not captured, and the answer is lost.
    Silent,
}

/// What is wrong on purpose, for negative controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PlannedFault {
    /// The store acknowledges intents without writing them.
    Intents,
    /// The store acknowledges orders without writing them.
    Orders,
    /// The store acknowledges changes of orders without writing them.
    Updates,
    /// The store acknowledges revisions of the lifecycle without writing them.
    Publications,
    /// The gateway takes every request for a refund as a new one.
    RefundKeys,
}

/// The plan of such a server, passed in a variable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) catalog: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) books: PathBuf,
    /// The time of its clock, which stands still.
    pub(crate) now_sec: i64,
    pub(crate) outcome: Outcome,
    pub(crate) aborts_at: Option<Point>,
    pub(crate) fault: Option<PlannedFault>,
}

const PLAN: &str = "BOXOFFICE_TEST_PLAN";

/// The test that is the server.
const SERVER: &str = "support::booked_server::a_server_by_plan";

impl Plan {
    /// A server without crashes and faults that keeps its orders and its books in `dir`.
    pub(crate) fn of(catalog: &Path, dir: &Path) -> Self {
        Self {
            catalog: catalog.into(),
            store: dir.join("orders"),
            books: dir.join("books"),
            now_sec: NOW,
            outcome: Outcome::Captured,
            aborts_at: None,
            fault: None,
        }
    }

    /// The same server, which aborts at this point.
    pub(crate) fn aborting_at(&self, point: Point) -> Self {
        Self {
            aborts_at: Some(point),
            ..self.clone()
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it is no setting of the server")]
    fn from_variable() -> Option<Self> {
        let text = std::env::var(PLAN).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    pub(crate) fn program(&self) -> Program {
        let plan = serde_json::to_string(self).unwrap();
        Program::this_test(SERVER, PLAN, &plan)
    }

    /// The same under a tool with these arguments.
    pub(crate) fn program_under(&self, tool: &str, words: &[String]) -> Program {
        let plan = serde_json::to_string(self).unwrap();
        Program::this_test_under((tool, words), SERVER, (PLAN, &plan))
    }

    /// What the gateway has on record.
    pub(crate) fn books(&self) -> Books {
        Books::read(&self.entries())
    }

    /// The lines of the gateway's books.
    pub(crate) fn entries(&self) -> String {
        fs::read_to_string(&self.books).unwrap_or_default()
    }

    /// Aborts the process if this is the planned point.
    fn pass(&self, point: Point) {
        if self.aborts_at == Some(point) {
            process::abort();
        }
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
        let (key, books) = (&charge.key.0, self.books());
        if !books.charges.contains_key(key) && !books.reversed.contains(key) {
            let micros = charge.amount.to_micros().unwrap();
            self.note(&format!("charge {key} {micros}\n"));
        }
    }

    fn give_back(&self, refund: &ChargeChange) {
        let is_known = self.books().refunds.iter().any(|it| it.key == refund.key);
        if !is_known || self.fault == Some(PlannedFault::RefundKeys) {
            let (key, charge) = (&refund.key, &refund.charge.0);
            let micros = refund.amount.to_micros().unwrap();
            self.note(&format!("refund {key} {charge} {micros}\n"));
        }
    }
}

/// The gateway's books.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Books {
    /// Charges that are captured and not reversed, in micros by key.
    pub(crate) charges: BTreeMap<String, i64>,
    pub(crate) reversed: Vec<String>,
    /// Refunds in their sequence.
    pub(crate) refunds: Vec<BookedRefund>,
}

/// A refund in the gateway's books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BookedRefund {
    pub(crate) key: String,
    pub(crate) charge: String,
    pub(crate) micros: i64,
}

impl Books {
    pub(crate) fn read(entries: &str) -> Self {
        let mut books = Self::default();
        for line in entries.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["charge", key, micros] => {
                    books.charges.insert(key.into(), micros.parse().unwrap());
                }
                ["reverse", key] => {
                    books.charges.remove(key);
                    books.reversed.push(key.into());
                }
                ["refund", key, charge, micros] => books.refunds.push(BookedRefund {
                    key: key.into(),
                    charge: charge.into(),
                    micros: micros.parse().unwrap(),
                }),
                _ => panic!("{line:?} in the books"),
            }
        }
        books
    }

    /// What was captured of an order and is not reversed.
    pub(crate) fn captured(&self, order: &str) -> i64 {
        let of_order = self.charges.iter().filter(|(key, _)| is_of(key, order));
        of_order.map(|(_, micros)| micros).sum()
    }

    /// What was given back of an order.
    pub(crate) fn refunded(&self, order: &str) -> i64 {
        let of_order = self.refunds.iter().filter(|it| is_of(&it.charge, order));
        of_order.map(|it| it.micros).sum()
    }
}

/// Whether the key of a charge is that of an attempt at an order.
fn is_of(key: &str, order: &str) -> bool {
    let attempt = key
        .strip_prefix(order)
        .and_then(|rest| rest.strip_prefix('-'));
    attempt.is_some_and(|attempt| attempt.parse::<u32>().is_ok())
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
        let reversed = if plan.books().charges.contains_key(&key.0) {
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
        refund: &'a ChargeChange,
    ) -> GatewayFuture<'a, Result<ChangeOutcome, GatewayError>> {
        let plan = &self.0;
        plan.pass(Point::BeforeRefund);
        plan.give_back(refund);
        plan.pass(Point::AfterRefund);
        Box::pin(std::future::ready(Ok(ChangeOutcome::Done)))
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

/// The fault that leaves a write out.
fn fault_of(write: &Write) -> Option<PlannedFault> {
    match write {
        Write::PaymentIntent(_) => Some(PlannedFault::Intents),
        Write::OrderPlaced(_) => Some(PlannedFault::Orders),
        Write::OrderUpdated(_) => Some(PlannedFault::Updates),
        Write::Lifecycle(_) => Some(PlannedFault::Publications),
        Write::PaymentEnded(_)
        | Write::HoldPlaced(_)
        | Write::HoldReleased { .. }
        | Write::Prices(_)
        | Write::SlotsForgotten(_)
        | Write::Blocked(_)
        | Write::StepRetried(_)
        | Write::LifecycleDraft(_)
        | Write::ErasureAnswered(_) => None,
    }
}

/// The points before and after a write.
fn points_of(write: &Write) -> Option<(Point, Point)> {
    match write {
        Write::PaymentIntent(_) => Some((Point::BeforeIntent, Point::AfterIntent)),
        Write::OrderPlaced(placed) if placed.payment.is_some() => {
            Some((Point::BeforeOrder, Point::AfterOrder))
        }
        Write::PaymentEnded(_) => Some((Point::BeforeEnd, Point::AfterEnd)),
        Write::Lifecycle(_) => Some((Point::BeforePublication, Point::AfterPublication)),
        Write::OrderUpdated(update) => Some(match update.entry.cause {
            UpdateCause::Timer => (Point::BeforeTimer, Point::AfterTimer),
            UpdateCause::Step => (Point::BeforeStepEnd, Point::AfterStepEnd),
            UpdateCause::Operator | UpdateCause::Customer | UpdateCause::Merchant => {
                (Point::BeforeRequest, Point::AfterRequest)
            }
        }),
        Write::OrderPlaced(_)
        | Write::HoldPlaced(_)
        | Write::HoldReleased { .. }
        | Write::Prices(_)
        | Write::SlotsForgotten(_)
        | Write::Blocked(_)
        | Write::StepRetried(_)
        | Write::LifecycleDraft(_)
        | Write::ErasureAnswered(_) => None,
    }
}

impl Store for CrashingStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        // A publication removes its draft besides.
        let ([write] | [write @ Write::Lifecycle(_), Write::LifecycleDraft(_)]) = &unit.writes[..]
        else {
            return self.inner.commit(unit);
        };
        let fault = fault_of(write);
        if fault.is_some() && fault == self.plan.fault {
            return CommitFuture::ready(Ok(()));
        }
        let Some((before, after)) = points_of(write) else {
            return self.inner.commit(unit);
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
#[ignore = "it is the server of other tests"]
async fn a_server_by_plan() {
    let Some(plan) = Plan::from_variable() else {
        return;
    };
    let mut config = operator_config();
    config.logging = Config::from_layers(
        Flags::default(),
        [("BOXOFFICE_LOG_FORMAT".into(), "json".into())],
        |_| unreachable!("no file is named"),
    )
    .unwrap()
    .logging;
    telemetry::init(&config).unwrap();
    let store = CrashingStore {
        inner: open_store(&plan.store).unwrap(),
        plan: plan.clone(),
    };
    let setup = Setup {
        config,
        catalog: plan.catalog.clone(),
        clock: Arc::new(ManualClock::at(EpochSeconds::new(plan.now_sec))),
        store: Arc::new(store),
        payments: Arc::new(BookedGateway(plan)),
    };
    let _server = setup.open().await.unwrap();
    std::future::pending::<()>().await;
}

/// Fails if a process has not aborted itself.
pub(crate) fn assert_aborted(ended: &Ended) {
    assert_eq!(ended.status.signal(), Some(SIGABRT), "{}", ended.text());
}
