//! Crashes around the publication of a lifecycle: before and after its record, at every call to the system, and again at
//! the next start. Afterwards one revision is in force for everybody, and the same request has the same answer.

use std::collections::BTreeSet;

use boxoffice::{
    api::{
        booking::proto::v3::{
            booking_service_client::BookingServiceClient,
            create_order_response::Result as CreateResult,
        },
        operator::proto::v1::{DescribeLifecycleResponse, ListRevisionsResponse},
    },
    lifecycle_files::DEFAULT,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    crash_points::{COMMIT, was_killed},
    open,
    scenario::Scenario,
    verify_last,
};
use crate::support::{
    back_office::BackOffice,
    booked_server::{Plan, PlannedFault, Point, assert_aborted},
    museum_visit,
    process::{Program, Running},
    request_id,
    rest_client::{send, without_body},
    sample_catalog,
};

/// The default under another name, in which confirmed items are booked.
fn booked() -> String {
    let text = DEFAULT
        .replacen("name = \"default\"", "name = \"booked\"", 1)
        .replace("\"confirmed\"", "\"booked\"")
        .replace("\nconfirmed = \"", "\nbooked = \"");
    format!("{text}\n[map.line_item]\nconfirmed = \"booked\"\n")
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InForce {
    revision: u32,
    /// The names of all revisions, newest first.
    names: Vec<String>,
    has_draft: bool,
    /// The states of all items.
    states: BTreeSet<String>,
}

impl InForce {
    fn before() -> Self {
        Self {
            revision: 1,
            names: vec!["default".into()],
            has_draft: true,
            states: BTreeSet::from(["confirmed".into()]),
        }
    }

    fn after() -> Self {
        Self {
            revision: 2,
            names: vec!["booked".into(), "default".into()],
            has_draft: false,
            states: BTreeSet::from(["booked".into()]),
        }
    }

    async fn of(office: BackOffice) -> Self {
        let described: DescribeLifecycleResponse = office.read("lifecycle").await;
        let listed: ListRevisionsResponse = office.read("lifecycle/revisions").await;
        let draft = without_body(Method::GET, "/operator/v1/lifecycle/draft");
        let orders = office.orders().await;
        let items = orders.into_iter().flat_map(|order| order.items);
        Self {
            revision: described.revision,
            names: listed.revisions.into_iter().map(|it| it.name).collect(),
            has_draft: send(office.0, draft).await.http == StatusCode::OK,
            states: items.map(|item| item.state).collect(),
        }
    }
}

async fn keep_draft(office: BackOffice) {
    let body = json!({"definition": booked(), "request_id": request_id(1)});
    let kept = office.post("lifecycle/draft:put", &body).await.unwrap();
    assert_eq!(kept.http, StatusCode::OK, "{}", kept.json());
}

/// Publishes the draft; nothing if the connection is lost.
async fn publish(office: BackOffice) -> Option<Value> {
    let body = json!({"request_id": request_id(2)});
    let answer = office.post("lifecycle/draft:publish", &body).await?;
    assert_eq!(answer.http, StatusCode::OK, "{}", answer.json());
    Some(answer.json())
}

async fn office_of(server: &mut Running) -> BackOffice {
    BackOffice(server.operator_address().await)
}

/// A server that has sold two orders, has changed one of them, and has a draft. Returns the id of the other.
async fn prepare(plan: &Plan) -> String {
    let mut server = plan.program().start().await;
    let mut client = BookingServiceClient::new(server.connect().await);
    let mut ids = Vec::new();
    for token in ["a", "b"] {
        let created = client.create_order(museum_visit(token, "approve")).await;
        let result = created.unwrap().into_inner().result;
        let Some(CreateResult::Order(order)) = result else {
            panic!("{result:?}");
        };
        ids.push(order.order_id);
    }
    let office = office_of(&mut server).await;
    let note = json!({"note": "called", "request_id": request_id(3)});
    let path = format!("orders/{}:addNote", ids[1]);
    office.change(&path, &note).await.unwrap().unwrap();
    keep_draft(office).await;
    server.kill().await;
    ids.remove(0)
}

/// Publishes at a server that aborts at that point, or is killed once it has answered.
async fn crash_at(plan: &Plan, point: Option<Point>) -> Option<Value> {
    let plan = Plan {
        aborts_at: point,
        ..plan.clone()
    };
    let mut server = plan.program().start().await;
    let office = office_of(&mut server).await;
    let answer = publish(office).await;
    if point.is_some() {
        assert_eq!(answer, None);
        assert_aborted(&server.ended().await);
    } else {
        server.kill().await;
    }
    answer
}

#[tokio::test]
async fn a_crash_around_a_publication_leaves_one_lifecycle_in_force_and_orders_whole() {
    use Point::{AfterPublication, BeforePublication};
    for points in [
        &[None][..],
        &[Some(BeforePublication)],
        &[Some(AfterPublication)],
        &[Some(BeforePublication), Some(BeforePublication)],
        &[Some(BeforePublication), Some(AfterPublication)],
        &[Some(BeforePublication), None],
    ] {
        let dir = TempDir::new().unwrap();
        let plan = Plan::of(&sample_catalog(), dir.path());
        let order = prepare(&plan).await;
        let mut answer = None;
        for point in points {
            answer = crash_at(&plan, *point).await;
        }
        let is_recorded = points.last() != Some(&Some(BeforePublication));
        let expected = if is_recorded {
            InForce::after()
        } else {
            InForce::before()
        };
        let mut server = plan.program().start().await;
        let office = office_of(&mut server).await;
        assert_eq!(InForce::of(office).await, expected, "{points:?}");
        let again = publish(office).await.unwrap();
        assert!(answer.is_none_or(|answer| answer == again), "{points:?}");
        assert_eq!(InForce::of(office).await, InForce::after(), "{points:?}");
        let body = json!({"refund": {"full": {}}, "request_id": request_id(4)});
        let path = format!("orders/{order}:cancel");
        assert_eq!(
            office.change(&path, &body).await.unwrap().unwrap().state,
            "cancelled"
        );
        server.kill().await;
        let mut server = plan.program().start().await;
        let office = office_of(&mut server).await;
        assert_eq!(publish(office).await.unwrap(), again, "{points:?}");
        assert_eq!(InForce::of(office).await.revision, 2, "{points:?}");
        let dates = ["2026-01-16".to_owned()];
        let found = office.contradictions(&plan, "museum", &dates).await;
        assert_eq!(found, [], "{points:?}");
        server.kill().await;
    }
}

/// The negative control: a store that acknowledges a publication that it has not written.
#[tokio::test]
async fn a_publication_that_is_acknowledged_too_early_is_detected() {
    let dir = TempDir::new().unwrap();
    let plan = Plan::of(&sample_catalog(), dir.path());
    prepare(&plan).await;
    let faulty = Plan {
        fault: Some(PlannedFault::Publications),
        ..plan.clone()
    };
    assert!(crash_at(&faulty, None).await.is_some());
    let mut server = plan.program().start().await;
    let office = office_of(&mut server).await;
    assert_eq!(InForce::of(office).await, InForce::before());
    server.kill().await;
}

/// The program with its operator's listener.
fn with_operators(program: Program) -> Program {
    program.env("BOXOFFICE_OPERATOR_LISTEN", "127.0.0.1:0")
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_crash_at_any_call_of_a_publication_leaves_one_lifecycle_in_force() {
    let before = Scenario::closed().await;
    let mut server = with_operators(before.deployment.program()).start().await;
    keep_draft(office_of(&mut server).await).await;
    server.stop().await;
    for kind in COMMIT {
        let mut is_published = BTreeSet::new();
        for nth in 1.. {
            let mut scenario = before.copy();
            let killed = with_operators(scenario.killed_at(kind, nth));
            let (answer, was_killed) = match killed.start_or_end().await {
                Ok(mut server) => {
                    let office = office_of(&mut server).await;
                    let answer = publish(office).await;
                    (answer, was_killed(&server.stop().await))
                }
                Err(ended) => (None, was_killed(&ended)),
            };
            let case = format!("killed at {kind:?}, number {nth}");
            let mut started = open(with_operators(scenario.deployment.program())).await;
            let office = office_of(&mut started.server).await;
            let found = InForce::of(office).await;
            is_published.insert(found.revision);
            if answer.is_some() || found.revision == 2 {
                assert_eq!(found, InForce::after(), "{case}");
            } else {
                assert_eq!(found, InForce::before(), "{case}");
            }
            let again = publish(office).await.unwrap();
            assert!(answer.is_none_or(|answer| answer == again), "{case}");
            assert_eq!(InForce::of(office).await, InForce::after(), "{case}");
            let history = std::slice::from_mut(&mut scenario.history);
            let anomalies = verify_last(&started, &scenario.deployment.workload, history).await;
            assert!(anomalies.is_empty(), "{case}: {anomalies:#?}");
            started.server.kill().await;
            if !was_killed {
                eprintln!("{kind:?}: {} crashes", nth - 1);
                break;
            }
        }
        assert!(is_published.contains(&2), "{kind:?}: {is_published:?}");
    }
}
