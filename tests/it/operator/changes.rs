//! Changes of orders over both transports: repetitions, etags, dry runs, roles, errors.

use boxoffice::api::operator::proto::v1::{
    AbandonStepRequest, AddNoteRequest, CancelOrderRequest, CancelOrderResponse,
    ChangeStateRequest, ConfirmItemsRequest, CustomerActionRequest, GetOrderRequest,
    ListStepsRequest, ListStepsResponse, Order, RefundItemsRequest, RefundItemsResponse,
    RefundTerms, RetryStepRequest, WithdrawItemsRequest, WithdrawItemsResponse,
    refund_terms::{Full, Share},
    withdraw_items_request::{OrderItems, Target},
};
use serde_json::json;
use tonic::{Code, Request, Response, Status};

use super::stage::{Ordered, Stage, named_by, request_id};
use crate::support::{
    Setup, agree,
    keys::{Keys, basic},
    rest_client::{post, send},
};

async fn order(stage: &Stage, id: &str) -> Order {
    let request = GetOrderRequest {
        name: format!("orders/{id}"),
        read_mask: None,
    };
    let found = stage.orders().get_order(request).await.unwrap();
    found.into_inner().order.unwrap()
}

fn cancellation(id: &str, number: u32) -> CancelOrderRequest {
    CancelOrderRequest {
        name: format!("orders/{id}"),
        refund: Some(RefundTerms {
            share: Some(Share::Full(Full {})),
        }),
        request_id: request_id(number),
        ..CancelOrderRequest::default()
    }
}

fn note(id: &str, number: u32, text: &str) -> AddNoteRequest {
    AddNoteRequest {
        name: format!("orders/{id}"),
        note: text.into(),
        request_id: request_id(number),
        ..AddNoteRequest::default()
    }
}

#[tokio::test]
async fn a_repetition_has_the_same_answer_over_either_transport_and_changes_nothing() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let by_grpc = stage.orders().cancel_order(cancellation(&id, 1)).await;
    let by_grpc = by_grpc.map(Response::into_inner);
    let body = json!({"refund": {"full": {}}, "request_id": request_id(1)});
    let by_rest: Result<CancelOrderResponse, Status> =
        stage.post(&format!("orders/{id}:cancel"), &body).await;
    agree(&by_grpc, &by_rest);
    let cancelled = by_grpc.unwrap().order.unwrap();
    assert_eq!(cancelled.state, "cancelled");
    assert!(!cancelled.items[0].holds_spots);
    // Also once the order has changed again.
    let noted = stage.orders().add_note(note(&id, 2, "called")).await;
    let noted = noted.unwrap().into_inner().order.unwrap();
    let again = stage.orders().cancel_order(cancellation(&id, 1)).await;
    assert_eq!(again.unwrap().into_inner().order.unwrap(), cancelled);
    assert_ne!(noted.etag, cancelled.etag);
    assert_eq!(order(&stage, &id).await.etag, noted.etag);
    // The id stands for that request only.
    let other = CancelOrderRequest {
        reason: "another".into(),
        ..cancellation(&id, 1)
    };
    let rejection = stage.orders().cancel_order(other).await.unwrap_err();
    let expected = (
        Code::InvalidArgument,
        "REQUEST_ID_REUSED".to_owned(),
        vec!["request_id".to_owned()],
    );
    assert_eq!(named_by(&rejection), expected);
    stage.stop().await;
}

#[tokio::test]
async fn an_etag_of_an_earlier_revision_aborts_and_its_repetition_does_not() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let placed = order(&stage, &id).await.etag;
    let first = AddNoteRequest {
        etag: placed.clone(),
        ..note(&id, 1, "first")
    };
    let answer = stage.orders().add_note(first.clone()).await.unwrap();
    let second = AddNoteRequest {
        etag: placed,
        ..note(&id, 2, "second")
    };
    let rejection = stage.orders().add_note(second.clone()).await.unwrap_err();
    let aborted = (
        Code::Aborted,
        "ORDER_CHANGED".to_owned(),
        vec!["etag".to_owned()],
    );
    assert_eq!(named_by(&rejection), aborted);
    let again = stage.orders().add_note(first).await.unwrap();
    assert_eq!(again.into_inner(), answer.into_inner());
    // One that no revision has is no etag.
    let other = stage.order("b", 1, Ordered::Museum).await;
    for etag in [order(&stage, &other).await.etag, "x".to_owned()] {
        let request = AddNoteRequest {
            etag,
            ..second.clone()
        };
        let rejection = stage.orders().add_note(request).await.unwrap_err();
        let expected = (
            Code::InvalidArgument,
            "INVALID_REQUEST".to_owned(),
            vec!["etag".to_owned()],
        );
        assert_eq!(named_by(&rejection), expected);
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_dry_run_shows_the_outcome_and_changes_nothing() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let before = order(&stage, &id).await;
    let dry_run = CancelOrderRequest {
        validate_only: true,
        ..cancellation(&id, 1)
    };
    let shown = stage.orders().cancel_order(dry_run).await.unwrap();
    let shown = shown.into_inner().order.unwrap();
    assert_eq!(shown.state, "cancelled");
    assert_eq!(order(&stage, &id).await, before);
    // In earnest under the same id, it is what was shown.
    let made = stage.orders().cancel_order(cancellation(&id, 1)).await;
    assert_eq!(made.unwrap().into_inner().order.unwrap(), shown);
    stage.stop().await;
}

#[tokio::test]
async fn an_order_says_what_could_be_asked_for() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let next = |order: Order| {
        let short = |next: &boxoffice::api::operator::proto::v1::NextState| {
            (
                next.to_state.clone(),
                next.action.clone(),
                next.why_not.is_empty(),
            )
        };
        order.next_states.iter().map(short).collect::<Vec<_>>()
    };
    let listed = |list: &[(&str, &str, bool)]| {
        let owned = |&(to, action, is_open): &(&str, &str, bool)| {
            (to.to_owned(), action.to_owned(), is_open)
        };
        list.iter().map(owned).collect::<Vec<_>>()
    };
    let found = next(order(&stage, &id).await);
    for (expected, is_there) in [
        (("cancelled", "cancel", true), true),
        (("customer_action_required", "change_state", false), true),
        (("unavailable", "withdraw", true), true),
        (("no_show", "no_show", true), true),
        (("fulfilled", "change_state", true), true),
        (("processing", "amend", true), false),
    ] {
        let expected = listed(&[expected]).remove(0);
        assert_eq!(
            found.contains(&expected),
            is_there,
            "{expected:?}: {found:?}"
        );
    }
    let cancelled = stage.orders().cancel_order(cancellation(&id, 1)).await;
    cancelled.unwrap();
    assert_eq!(next(order(&stage, &id).await), []);
    stage.stop().await;
}

#[tokio::test]
async fn a_request_id_is_the_same_in_either_letter_case() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let lower = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
    let noted = |request_id: String, text: &str| AddNoteRequest {
        request_id,
        ..note(&id, 1, text)
    };
    let first = stage.orders().add_note(noted(lower.into(), "seen")).await;
    let first = first.unwrap().into_inner();
    let again = noted(lower.to_uppercase(), "seen");
    let again = stage.orders().add_note(again).await.unwrap();
    assert_eq!(again.into_inner(), first);
    let other = noted(lower.to_uppercase(), "not seen");
    let other = stage.orders().add_note(other).await.unwrap_err();
    assert_eq!(named_by(&other).1, "REQUEST_ID_REUSED");
    stage.stop().await;
}

#[tokio::test]
async fn a_body_with_a_member_twice_changes_nothing() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let path = format!("/operator/v1/orders/{id}:cancel");
    let body = format!(
        r#"{{"request_id": "{}", "validate_only": true, "validate_only": false}}"#,
        request_id(1)
    );
    let rejection = send(stage.address, post(&path, body)).await.rejection();
    let expected = (
        Code::InvalidArgument,
        "INVALID_REQUEST".to_owned(),
        vec!["validate_only".to_owned()],
    );
    assert_eq!(named_by(&rejection), expected);
    assert_eq!(order(&stage, &id).await.state, "processing");
    stage.stop().await;
}

#[tokio::test]
async fn an_unknown_number_of_an_enum_is_rejected_alike_over_both_transports() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let request = ConfirmItemsRequest {
        name: format!("orders/{id}"),
        decision: 77,
        request_id: request_id(1),
        ..ConfirmItemsRequest::default()
    };
    let by_grpc = stage.orders().confirm_items(request).await.unwrap_err();
    let body = format!(r#"{{"decision": 77, "request_id": "{}"}}"#, request_id(1));
    let path = format!("/operator/v1/orders/{id}:confirm");
    let by_rest = send(stage.address, post(&path, body)).await.rejection();
    assert_eq!(by_rest.message(), by_grpc.message());
    assert_eq!(named_by(&by_rest), named_by(&by_grpc));
    assert_eq!(named_by(&by_rest).2, ["decision"]);
    stage.stop().await;
}

#[tokio::test]
async fn a_role_decides_who_may_change_what_and_the_history_has_the_actor() {
    let keys = Keys::new();
    let config = keys.operator_config(&[
        ("vera", "role = 'viewer'"),
        ("agnes", "role = 'agent'"),
        ("adam", "role = 'admin'"),
    ]);
    let stage = Stage::start_with(Setup::with_config(config)).await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    for (name, note_code, state_code) in [
        ("vera", Code::PermissionDenied, Code::PermissionDenied),
        ("agnes", Code::Ok, Code::PermissionDenied),
        ("adam", Code::Ok, Code::Ok),
    ] {
        let number = u32::from(name.as_bytes()[1]);
        let mut noted = Request::new(note(&id, number, "seen"));
        let mut changed = Request::new(ChangeStateRequest {
            name: format!("orders/{id}/items/0"),
            to_state: "fulfilled".into(),
            request_id: request_id(number + 1000),
            ..ChangeStateRequest::default()
        });
        let password: tonic::metadata::MetadataValue<_> = basic(name, name).parse().unwrap();
        noted
            .metadata_mut()
            .insert("authorization", password.clone());
        changed.metadata_mut().insert("authorization", password);
        let noted = stage.orders().add_note(noted).await;
        assert_eq!(
            noted.err().map_or(Code::Ok, |it| it.code()),
            note_code,
            "{name}"
        );
        let changed = stage.orders().change_state(changed).await;
        assert_eq!(
            changed.err().map_or(Code::Ok, |it| it.code()),
            state_code,
            "{name}"
        );
    }
    let mut history = Request::new(boxoffice::api::operator::proto::v1::ListHistoryRequest {
        parent: format!("orders/{id}"),
        ..boxoffice::api::operator::proto::v1::ListHistoryRequest::default()
    });
    let password = basic("vera", "vera").parse().unwrap();
    history.metadata_mut().insert("authorization", password);
    let history = stage.orders().list_history(history).await.unwrap();
    let entries = history.into_inner().entries;
    let actors: Vec<&str> = entries.iter().map(|entry| &*entry.actor).collect();
    assert_eq!(actors, ["adam", "adam", "agnes", ""]);
    stage.stop().await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn a_rejection_names_the_field_and_the_rule() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let id = &*id;
    let (uuid, invalid) = (request_id(1), "INVALID_REQUEST");
    for (path, body, http, reason, fields) in [
        (
            ":cancel",
            json!({"request_id": "x", "items": [0, 0]}),
            400,
            invalid,
            &["request_id", "items"][..],
        ),
        (
            ":cancel",
            json!({"request_id": uuid, "items": [7]}),
            400,
            invalid,
            &["items"],
        ),
        (
            ":cancel",
            json!({"request_id": uuid, "name": "orders/b"}),
            400,
            invalid,
            &["name"],
        ),
        (
            ":cancel",
            json!({"request_id": uuid, "refund": {}}),
            400,
            invalid,
            &["refund"],
        ),
        (
            ":refund",
            json!({"request_id": uuid}),
            400,
            invalid,
            &["refund"],
        ),
        (
            ":refund",
            json!({"request_id": uuid, "refund": {"nothing": {}}}),
            400,
            invalid,
            &["refund"],
        ),
        (
            ":refund",
            json!({"request_id": uuid, "refund": {"amount": {"micros": "1", "currency_code": "XXX"}}}),
            400,
            invalid,
            &["refund.amount.currency_code"],
        ),
        (
            ":refund",
            json!({"request_id": uuid, "refund": {"amount": {"micros": "1", "currency_code": "USD"}}}),
            400,
            invalid,
            &["refund.amount"],
        ),
        (
            ":refund",
            json!({"request_id": uuid, "refund": {"full": {}}}),
            400,
            "REFUND_NOT_POSSIBLE",
            &["refund"],
        ),
        (
            ":customerAction",
            json!({"request_id": uuid}),
            400,
            invalid,
            &["decision"],
        ),
        (
            ":customerAction",
            json!({"request_id": uuid, "decision": "WAIT"}),
            400,
            invalid,
            &["decision"],
        ),
        (
            ":customerAction",
            json!({"request_id": uuid, "decision": "CUSTOMER_DECISION_AMEND"}),
            400,
            "NOT_AWAITED",
            &[],
        ),
        (
            ":confirm",
            json!({"request_id": uuid, "decision": "MERCHANT_DECISION_CONFIRM"}),
            400,
            "NOT_AWAITED",
            &[],
        ),
        (
            ":noShow",
            json!({"request_id": uuid, "items": [9]}),
            400,
            invalid,
            &["items"],
        ),
        (
            ":addNote",
            json!({"request_id": uuid}),
            400,
            invalid,
            &["note"],
        ),
        (
            ":changeState",
            json!({"request_id": uuid}),
            400,
            invalid,
            &["to_state"],
        ),
        (
            ":changeState",
            json!({"request_id": uuid, "to_state": "open"}),
            400,
            invalid,
            &["to_state"],
        ),
        (
            ":changeState",
            json!({"request_id": uuid, "to_state": "timed_out"}),
            400,
            "NO_TRANSITION",
            &[],
        ),
        (
            ":changeState",
            json!({"request_id": uuid, "to_state": "customer_action_required"}),
            400,
            "CONDITION_NOT_MET",
            &[],
        ),
        (
            ":changeState",
            json!({"request_id": uuid, "from_state": "failed", "to_state": "cancelled"}),
            409,
            "NOT_IN_STATE",
            &["from_state"],
        ),
        (
            "/pages/0:changeState",
            json!({"request_id": uuid, "to_state": "x"}),
            400,
            invalid,
            &["name"],
        ),
        (
            "/steps/1:retry",
            json!({"request_id": uuid}),
            404,
            "STEP_NOT_FOUND",
            &["name"],
        ),
        (
            "/steps/x:retry",
            json!({"request_id": uuid}),
            400,
            invalid,
            &["name"],
        ),
        (
            "/steps/1:abandon",
            json!({"request_id": uuid}),
            400,
            invalid,
            &["reason"],
        ),
    ] {
        let path = format!("orders/{id}{path}");
        let answer: Result<CancelOrderResponse, Status> = stage.post(&path, &body).await;
        let rejection = answer.unwrap_err();
        let (_, found, named) = named_by(&rejection);
        assert_eq!(
            (&*found, named),
            (reason, fields.iter().map(|&it| it.to_owned()).collect()),
            "{path} {body}"
        );
        let row = boxoffice::api::error::ERROR_TABLE
            .iter()
            .find(|row| row.reason == found);
        assert_eq!(row.unwrap().http, http, "{path} {body}");
    }
    let slot = json!({"slot": {"merchant_id": "museum", "start_time": "2026-01-16T10:00:00Z"}});
    for (body, field) in [(slot, "slot.service_id"), (json!({}), "target")] {
        let answer = stage.post_streamed::<WithdrawItemsResponse>("orders:withdraw", &body);
        let rejection = answer.await.unwrap_err();
        assert_eq!(named_by(&rejection).2, [field], "{body}");
    }
    let rejection = stage
        .orders()
        .add_note(note("nobody", 1, "x"))
        .await
        .unwrap_err();
    assert_eq!(named_by(&rejection).1, "ORDER_NOT_FOUND");
    // Nothing of all this has changed anything.
    assert_eq!(order(&stage, id).await.state, "processing");
    stage.stop().await;
}

#[tokio::test]
async fn items_are_withdrawn_as_a_stream_of_one_answer() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let request = WithdrawItemsRequest {
        target: Some(Target::OrderItems(OrderItems {
            name: format!("orders/{id}"),
            items: vec![0],
            ..OrderItems::default()
        })),
        reason: "flooded".into(),
        request_id: request_id(1),
        validate_only: false,
    };
    let answers = stage.orders().withdraw_items(request).await.unwrap();
    let mut answers = answers.into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!(answers.message().await.unwrap(), None);
    let body = json!({
        "order_items": {"name": format!("orders/{id}"), "items": [0]},
        "reason": "flooded",
        "request_id": request_id(1),
    });
    let by_rest = stage.post_streamed::<WithdrawItemsResponse>("orders:withdraw", &body);
    assert_eq!(by_rest.await.unwrap(), std::slice::from_ref(&first));
    let order = first.order.unwrap();
    assert_eq!(order.state, "customer_action_required");
    assert_eq!(order.items[0].state, "unavailable");
    assert_eq!(order.timers[0].timer_id, "customer_action");
    // Nothing is left that could stand.
    let amend = CustomerActionRequest {
        name: order.name,
        decision: boxoffice::api::operator::proto::v1::CustomerDecision::Amend.into(),
        request_id: request_id(2),
        ..CustomerActionRequest::default()
    };
    let rejection = stage.orders().customer_action(amend).await.unwrap_err();
    assert_eq!(named_by(&rejection).1, "CONDITION_NOT_MET");
    stage.stop().await;
}

#[tokio::test]
async fn a_step_that_is_not_answered_is_listed_retried_and_given_up() {
    let stage = Stage::start().await;
    let id = stage.paid_order("a", "refund-fails-3").await;
    let refund = RefundItemsRequest {
        name: format!("orders/{id}"),
        items: vec![1],
        refund: Some(RefundTerms {
            share: Some(Share::Full(Full {})),
        }),
        request_id: request_id(1),
        ..RefundItemsRequest::default()
    };
    let refunded = stage.orders().refund_items(refund).await.unwrap();
    let RefundItemsResponse { order: refunded } = refunded.into_inner();
    let step = refunded.unwrap().steps.remove(0);
    assert_eq!((&*step.kind, step.attempts), ("refund", 0));
    // The first attempt is made at once, and the clock of the test does not come to the second.
    let tried = listed_step(&stage, "", 1).await;
    assert_ne!(tried.last_error, "");
    let of_order = listed_step(&stage, &format!("orders/{id}"), 1).await;
    assert_eq!(of_order, tried);
    let retry = RetryStepRequest {
        name: step.name.clone(),
        request_id: request_id(2),
        ..RetryStepRequest::default()
    };
    stage.orders().retry_step(retry).await.unwrap();
    listed_step(&stage, "", 2).await;
    let abandon = AbandonStepRequest {
        name: step.name,
        reason: "paid back in cash".into(),
        request_id: request_id(3),
        ..AbandonStepRequest::default()
    };
    let abandoned = stage.orders().abandon_step(abandon).await.unwrap();
    let abandoned = abandoned.into_inner().order.unwrap();
    assert_eq!(abandoned.refunds[0].state, "failed");
    assert_eq!(abandoned.alerts[0].alert_id, "refund_failed");
    assert_eq!(abandoned.steps, []);
    let left: ListStepsResponse = stage.read("/operator/v1/steps").await.unwrap();
    assert_eq!(left.steps, []);
    stage.stop().await;
}

#[tokio::test]
async fn a_step_that_was_given_up_needs_a_person_and_is_listed() {
    let stage = Stage::start().await;
    let id = stage.paid_order("a", "refund-fails").await;
    let cancelled = stage.orders().cancel_order(cancellation(&id, 1)).await;
    cancelled.unwrap();
    let step = listed_step(&stage, "", 1).await;
    assert_eq!((&*step.state, &step.due_time), ("given_up", &None));
    assert_eq!(step.last_error, "the card is closed");
    assert_eq!(step.time_zone, "UTC");
    let found: serde_json::Value = stage
        .read("/operator/v1/orders?needs_attention=true")
        .await
        .unwrap();
    assert_eq!(found["orders"][0]["steps"][0]["state"], "given_up");
    let retry = RetryStepRequest {
        name: step.name,
        request_id: request_id(2),
        ..RetryStepRequest::default()
    };
    let retried = stage.orders().retry_step(retry).await.unwrap();
    let retried = retried.into_inner().order.unwrap();
    assert_eq!(retried.steps[0].state, "open");
    stage.stop().await;
}

/// The only step, once it has had that number of attempts.
async fn listed_step(
    stage: &Stage,
    parent: &str,
    attempts: u32,
) -> boxoffice::api::operator::proto::v1::Step {
    let request = ListStepsRequest {
        parent: parent.into(),
        ..ListStepsRequest::default()
    };
    let tried = async {
        loop {
            let found = stage.orders().list_steps(request.clone()).await.unwrap();
            let mut steps = found.into_inner().steps;
            if steps.len() == 1 && steps[0].attempts == attempts {
                return steps.remove(0);
            }
        }
    };
    let limit = std::time::Duration::from_secs(30);
    tokio::time::timeout(limit, tried).await.unwrap()
}
