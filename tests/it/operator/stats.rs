//! Numbers of a server over both transports.

use boxoffice::api::operator::proto::v1::{
    AbandonStepRequest, CancelOrderRequest, CancelOrderResponse, GetStatsRequest, GetStatsResponse,
    RefundTerms, WithdrawItemsRequest,
    refund_terms::{Full, Share},
    withdraw_items_request::{OrderItems, Target},
};
use tonic::{Response, Status};

use super::stage::{Ordered, Stage, request_id};
use crate::support::agree;

async fn stats(stage: &Stage) -> GetStatsResponse {
    let by_grpc = stage.orders().get_stats(GetStatsRequest {}).await;
    let by_grpc = by_grpc.map(Response::into_inner);
    let by_rest: Result<GetStatsResponse, Status> = stage.read("/operator/v1/stats").await;
    agree(&by_grpc, &by_rest);
    by_grpc.unwrap()
}

#[tokio::test]
async fn orders_steps_and_timers_are_counted() {
    let stage = Stage::start().await;
    assert_eq!(stats(&stage).await, GetStatsResponse::default());
    let id = stage.order("a", 0, Ordered::Museum).await;
    let withdrawal = WithdrawItemsRequest {
        target: Some(Target::OrderItems(OrderItems {
            name: format!("orders/{id}"),
            ..OrderItems::default()
        })),
        request_id: request_id(1),
        ..WithdrawItemsRequest::default()
    };
    stage.orders().withdraw_items(withdrawal).await.unwrap();
    let id = stage.paid_order("b", "refund-fails-3").await;
    let cancellation = CancelOrderRequest {
        name: format!("orders/{id}"),
        refund: Some(RefundTerms {
            share: Some(Share::Full(Full {})),
        }),
        request_id: request_id(2),
        ..CancelOrderRequest::default()
    };
    let cancelled = stage.orders().cancel_order(cancellation).await.unwrap();
    let CancelOrderResponse { order } = cancelled.into_inner();
    let by_state = [("cancelled", 1), ("customer_action_required", 1)];
    let counted = GetStatsResponse {
        orders: 2,
        orders_by_state: by_state
            .map(|(state, orders)| (state.into(), orders))
            .into(),
        open_steps: 1,
        timers: 1,
        ..GetStatsResponse::default()
    };
    assert_eq!(stats(&stage).await, counted);
    let abandonment = AbandonStepRequest {
        name: order.unwrap().steps.remove(0).name,
        reason: "paid back in cash".into(),
        request_id: request_id(3),
        ..AbandonStepRequest::default()
    };
    stage.orders().abandon_step(abandonment).await.unwrap();
    let given_up = GetStatsResponse {
        open_steps: 0,
        given_up_steps: 1,
        ..counted
    };
    assert_eq!(stats(&stage).await, given_up);
    stage.stop().await;
}
