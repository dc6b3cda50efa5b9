//! Crashes around a change of an order after its sale: before and after its record, at the gateway, at the outcome of the
//! refund, at a timer; and again at the next start. In the end it was decided once, money and spots with it.

use boxoffice::api::{
    booking::proto::v3::{
        booking_service_client::BookingServiceClient, create_order_response::Result as CreateResult,
    },
    operator::proto::v1::ListStepsResponse,
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::crash_points::{COMMIT, was_killed};
use crate::support::{
    back_office::{BackOffice, Contradiction, refunded},
    booked_server::{Plan, PlannedFault, Point, assert_aborted},
    museum_visit,
    process::{Running, with_timeout},
    request_id, sample_catalog,
};

/// Crashes at once.
const AT_ONCE: usize = 3;

const DAY: i64 = 86_400;

/// What the order has cost, in micros.
const PRICE: i64 = 75_000_000;

/// What happens to the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// An operator cancels it, with a full refund.
    Cancel,
    /// An item was withdrawn, and the customer does not answer in time.
    TimeOut,
}

/// A crash, and perhaps a second one after the next start.
#[derive(Debug, Clone, Copy)]
struct Crash {
    change: Change,
    /// `None` stands for a kill once the client has its answer.
    first: Option<Point>,
    second: Option<Point>,
    fault: Option<PlannedFault>,
}

/// What is left of an order after crashes.
#[derive(Debug, PartialEq, Eq)]
struct Aftermath {
    state: String,
    refunded: i64,
    /// Causes of its changes, oldest first.
    causes: Vec<String>,
    contradictions: Vec<Contradiction>,
}

impl Change {
    fn cancellation(order: &str) -> (String, Value) {
        let body = json!({"refund": {"full": {}}, "request_id": request_id(1)});
        (format!("orders/{order}:cancel"), body)
    }

    async fn ask(self, office: BackOffice, order: &str) {
        let (path, body) = match self {
            Self::Cancel => Self::cancellation(order),
            Self::TimeOut => {
                let items = json!({"name": format!("orders/{order}"), "items": [1]});
                let body = json!({"order_items": items, "request_id": request_id(2)});
                ("orders:withdraw".to_owned(), body)
            }
        };
        if let Some(answer) = office.change(&path, &body).await {
            answer.unwrap();
        }
    }

    fn expected(self) -> Aftermath {
        let (state, causes) = match self {
            Self::Cancel => ("cancelled", &["created", "operator", "step"][..]),
            Self::TimeOut => ("timed_out", &["created", "withdrawal", "timer", "step"][..]),
        };
        Aftermath {
            state: state.into(),
            refunded: PRICE,
            causes: causes.iter().map(|&cause| cause.into()).collect(),
            contradictions: vec![],
        }
    }
}

async fn office_of(server: &mut Running) -> BackOffice {
    BackOffice(server.operator_address().await)
}

/// Sells an order, and has it withdrawn where that comes before the crash. Returns its id.
async fn prepare(plan: &Plan, change: Change) -> String {
    let mut server = plan.program().start().await;
    let mut client = BookingServiceClient::new(server.connect().await);
    let created = client.create_order(museum_visit("a", "approve")).await;
    let result = created.unwrap().into_inner().result;
    let Some(CreateResult::Order(order)) = result else {
        panic!("{result:?}");
    };
    if change == Change::TimeOut {
        let office = office_of(&mut server).await;
        change.ask(office, &order.order_id).await;
    }
    server.kill().await;
    order.order_id
}

/// Crashes as planned, starts again, and has the client repeat what it has no answer to.
async fn aftermath(crash: Crash) -> Aftermath {
    let dir = TempDir::new().unwrap();
    let mut plan = Plan::of(&sample_catalog(), dir.path());
    let order = prepare(&plan, crash.change).await;
    if crash.change == Change::TimeOut {
        plan.now_sec += DAY;
    }
    let faulty = Plan {
        fault: crash.fault,
        ..plan.clone()
    };
    crash_at(&faulty, crash.first, crash.change, &order).await;
    if crash.second.is_some() {
        crash_at(&faulty, crash.second, crash.change, &order).await;
    }
    if crash.fault == Some(PlannedFault::RefundKeys) {
        plan = faulty;
    }
    let mut server = plan.program().start().await;
    let office = office_of(&mut server).await;
    if crash.change == Change::Cancel && crash.fault != Some(PlannedFault::Updates) {
        crash.change.ask(office, &order).await;
    }
    let found = found(&plan, office, &order).await;
    server.kill().await;
    found
}

/// What is left of an order.
async fn found(plan: &Plan, office: BackOffice, order: &str) -> Aftermath {
    let dates = ["2026-01-16".to_owned()];
    let contradictions = office.contradictions(plan, "museum", &dates).await;
    let name = format!("orders/{order}");
    let found = office.order(&name).await;
    let history = office.history(&name).await;
    Aftermath {
        state: found.state.clone(),
        refunded: refunded(&found),
        causes: history.into_iter().rev().map(|entry| entry.cause).collect(),
        contradictions,
    }
}

/// Starts a server and has it come to the point at which it aborts, or kills it after the answer.
async fn crash_at(plan: &Plan, point: Option<Point>, change: Change, order: &str) {
    let plan = Plan {
        aborts_at: point,
        ..plan.clone()
    };
    let mut server = match plan.program().start_or_end().await {
        Ok(server) => server,
        // What is due happens right after the start.
        Err(ended) => return assert_aborted(&ended),
    };
    if change == Change::Cancel {
        let office = office_of(&mut server).await;
        change.ask(office, order).await;
    }
    if point.is_some() {
        assert_aborted(&server.ended().await);
    } else {
        server.kill().await;
    }
}

/// Every point by the change that leads there, alone and before another one.
fn crashes() -> Vec<Crash> {
    use Point::{
        AfterRefund, AfterRequest, AfterStepEnd, AfterTimer, BeforeRefund, BeforeRequest,
        BeforeStepEnd, BeforeTimer,
    };
    let cancel = [
        BeforeRequest,
        AfterRequest,
        BeforeRefund,
        AfterRefund,
        BeforeStepEnd,
        AfterStepEnd,
    ];
    let time_out = [
        BeforeTimer,
        AfterTimer,
        BeforeRefund,
        AfterRefund,
        BeforeStepEnd,
        AfterStepEnd,
    ];
    let mut crashes = Vec::new();
    for (change, points) in [(Change::Cancel, cancel), (Change::TimeOut, time_out)] {
        let once = Crash {
            change,
            first: None,
            second: None,
            fault: None,
        };
        crashes.push(once);
        for first in points {
            let first = Some(first);
            crashes.push(Crash { first, ..once });
            // Whatever the first crash was, the money has not gone back on record, but after the last point.
            if first != Some(AfterStepEnd) {
                crashes.extend([AfterRefund, BeforeStepEnd].map(|second| Crash {
                    first,
                    second: Some(second),
                    ..once
                }));
            }
        }
    }
    crashes
}

#[tokio::test]
async fn a_change_is_decided_once_with_money_and_spots_wherever_a_crash_happens() {
    let all = crashes();
    eprintln!("{} crashes", all.len());
    let found = stream::iter(all).map(async |crash| (crash, aftermath(crash).await));
    for (crash, found) in found.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        assert_eq!(found, crash.change.expected(), "{crash:?}");
    }
}

/// The negative controls: a gateway that gives money back whenever it is asked, and a store that acknowledges what it has
/// not written.
#[tokio::test]
async fn a_gateway_without_keys_and_a_store_that_acknowledges_too_early_are_detected() {
    let crash = |first, fault| Crash {
        change: Change::Cancel,
        first,
        second: None,
        fault: Some(fault),
    };
    let twice = aftermath(crash(Some(Point::AfterRefund), PlannedFault::RefundKeys)).await;
    assert!(
        matches!(
            twice.contradictions[..],
            [Contradiction::Books {
                captured: [PRICE, PRICE],
                refunded: [PRICE, given],
                ..
            }] if given == 2 * PRICE
        ),
        "{twice:?}"
    );
    let lost = aftermath(crash(None, PlannedFault::Updates)).await;
    assert_eq!((&*lost.state, lost.refunded), ("processing", 0), "{lost:?}");
}

/// Cancels an order and waits for its refund; nothing if the connection is lost on the way.
async fn cancel_and_settle(office: BackOffice, order: &str) -> Option<()> {
    let (path, body) = Change::cancellation(order);
    office.change(&path, &body).await?.unwrap();
    let settled = async {
        loop {
            let steps: ListStepsResponse = office.try_read("steps").await?;
            if steps.steps.is_empty() {
                return Some(());
            }
        }
    };
    with_timeout("the refund", settled).await
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_crash_at_any_call_of_a_change_leaves_it_whole_or_not_at_all() {
    for kind in COMMIT {
        for nth in 1.. {
            let dir = TempDir::new().unwrap();
            let plan = Plan::of(&sample_catalog(), dir.path());
            let order = prepare(&plan, Change::Cancel).await;
            let words = kind.killing_at(nth, &plan.store);
            let killed = plan.program_under("strace", &words);
            let is_done = match killed.start_or_end().await {
                Ok(mut server) => {
                    let office = office_of(&mut server).await;
                    let done = cancel_and_settle(office, &order).await;
                    server.kill().await;
                    done.is_some()
                }
                Err(ended) => {
                    assert!(was_killed(&ended));
                    false
                }
            };
            let mut server = plan.program().start().await;
            let office = office_of(&mut server).await;
            let case = format!("killed at {kind:?}, number {nth}");
            // Before anybody asks again: it is as it was, or changed with its spots and its money.
            let left = found(&plan, office, &order).await;
            assert_eq!(left.contradictions, [], "{case}");
            let is_whole = (&*left.state, left.refunded) == ("cancelled", PRICE);
            assert!(
                is_whole || (&*left.state, left.refunded) == ("processing", 0),
                "{case}"
            );
            assert!(is_whole || !is_done, "{case}");
            Change::Cancel.ask(office, &order).await;
            let left = found(&plan, office, &order).await;
            assert_eq!(left, Change::Cancel.expected(), "{case}");
            server.kill().await;
            if is_done {
                eprintln!("{kind:?}: {} crashes", nth - 1);
                // The change and the outcome of its refund.
                assert!(nth > 2, "{kind:?}");
                break;
            }
        }
    }
}
