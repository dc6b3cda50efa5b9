//! Requests that change orders: messages become changes, or every violation is reported.

use std::sync::Arc;

use super::{
    proto::v1::{self, withdraw_items_request as withdraw},
    requests::{self, ORDERS, order_id},
    to_proto::revision_of,
};
use crate::api::{
    auth::User,
    booking::{requests::Violations, schema::Described},
    error::ApiError,
    responses::ResponseMessage,
};
use domain::{
    lifecycle::OrderPart,
    money::{Currency, Money},
    order::OrderId,
    slot::BlockedSpots,
};
use kernel::rpc::OperatorRpc;
use orders::{
    block::BlockRequest,
    update::{
        ChangeMode, ChangeRequest, CustomerDecision, MerchantDecision, OrderChange, RefundChoice,
        WithdrawnSpots,
    },
    withdraw::SlotWithdrawal,
};
use store::Fingerprint;

/// A request with an id, under which it is carried out once.
pub(super) trait IdentifiedRequest: Described {
    fn request_id_mut(&mut self) -> &mut String;
}

macro_rules! identified_requests {
    ($($request:ident)*) => {$(
        impl IdentifiedRequest for v1::$request {
            fn request_id_mut(&mut self) -> &mut String {
                &mut self.request_id
            }
        }
    )*};
}

identified_requests! {
    CancelOrderRequest
    RefundItemsRequest
    WithdrawItemsRequest
    CustomerActionRequest
    ConfirmItemsRequest
    MarkNoShowRequest
    ChangeStateRequest
    AddNoteRequest
    RetryStepRequest
    AbandonStepRequest
    SetBlockRequest
    EraseCustomerRequest
    PutDraftRequest
    DiscardDraftRequest
    PublishDraftRequest
}

/// What every request that changes an order has.
#[derive(Debug, Clone, Default)]
pub(super) struct ChangeTerms {
    request_id: String,
    etag: String,
    validate_only: bool,
}

/// A request that changes an order.
pub(super) trait ChangeMessage: IdentifiedRequest {
    /// The message of the answer.
    type Answer: ResponseMessage + 'static;

    /// The method.
    const RPC: OperatorRpc;

    fn terms(&self) -> ChangeTerms;

    /// The same request in earnest: what tells requests under one id apart.
    fn in_earnest(&self) -> Self;

    /// The order that it is about.
    fn order(&self, violations: &mut Violations) -> OrderId;

    /// The change; `None` beside a violation.
    fn change(&self, violations: &mut Violations) -> Option<OrderChange>;

    /// The answer.
    fn answer(order: v1::Order) -> Self::Answer;
}

/// The request and the change of a message.
pub(super) fn read<M: ChangeMessage>(
    message: &M,
    user: Option<Arc<User>>,
) -> Result<(ChangeRequest, OrderChange), ApiError> {
    let mut violations = Violations::default();
    let fingerprint = fingerprint(message, user.as_deref());
    let terms = message.terms();
    let order = message.order(&mut violations);
    let mut expected_revision = None;
    if !terms.etag.is_empty() {
        expected_revision = revision_of(&terms.etag, &order);
        if expected_revision.is_none() {
            violations.add("etag", "is none of this order");
        }
    }
    let change = message.change(&mut violations);
    violations.into_result()?;
    let change = change
        .ok_or_else(|| ApiError::Internal("a request without a change is valid".to_owned()))?;
    let request = ChangeRequest {
        order,
        request_id: terms.request_id,
        fingerprint,
        expected_revision,
        user,
        mode: mode(terms.validate_only),
    };
    Ok((request, change))
}

/// The order and the request id of a message, as they stand there; `None` for a dry run.
pub(super) fn asked<M: ChangeMessage>(message: &M) -> Option<(OrderId, String)> {
    let terms = message.terms();
    // What is wrong with the order is reported elsewhere.
    let order = message.order(&mut Violations::default());
    (!terms.validate_only).then_some((order, terms.request_id))
}

/// The withdrawal of all that was sold of a slot.
pub(super) fn slot_withdrawal(
    message: &v1::WithdrawItemsRequest,
    slot: v1::SlotName,
    user: Option<Arc<User>>,
) -> Result<SlotWithdrawal, ApiError> {
    let mut violations = Violations::default();
    let slot = requests::slot(slot, &mut violations);
    violations.into_result()?;
    let terms = message.terms();
    Ok(SlotWithdrawal {
        slot,
        reason: message.reason.clone(),
        request_id: terms.request_id,
        fingerprint: fingerprint(message, user.as_deref()),
        user,
        mode: mode(terms.validate_only),
    })
}

/// The block of a message.
pub(super) fn block(
    message: &v1::SetBlockRequest,
    user: Option<Arc<User>>,
) -> Result<BlockRequest, ApiError> {
    use v1::set_block_request::Spots;
    let mut violations = Violations::default();
    let slot = requests::slot(message.slot.clone().unwrap_or_default(), &mut violations);
    let spots = match message.spots {
        Some(Spots::Count(count)) => BlockedSpots::Count(count),
        Some(Spots::All(_)) => BlockedSpots::All,
        None => {
            violations.add("spots", "needs one of count and all");
            BlockedSpots::NONE
        }
    };
    violations.into_result()?;
    let in_earnest = v1::SetBlockRequest {
        validate_only: false,
        ..message.clone()
    };
    Ok(BlockRequest {
        slot,
        spots,
        reason: message.reason.clone(),
        request_id: message.request_id.clone(),
        fingerprint: digest(OperatorRpc::SetBlock, &in_earnest, user.as_deref()),
        user,
    })
}

fn mode(validate_only: bool) -> ChangeMode {
    if validate_only {
        ChangeMode::ValidateOnly
    } else {
        ChangeMode::Commit
    }
}

/// Digest of the caller, the method and the request in earnest.
fn fingerprint<M: ChangeMessage>(message: &M, user: Option<&User>) -> Fingerprint {
    digest(M::RPC, &message.in_earnest(), user)
}

/// Digest of the caller, the method and the request.
pub(super) fn digest(
    rpc: OperatorRpc,
    message: &impl IdentifiedRequest,
    user: Option<&User>,
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    let name = user.map_or("", |user| &**user.name());
    for part in [name, rpc.name()] {
        // With its length, so that no other parts are the same bytes.
        hasher.update(&part.len().to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(&message.encode_to_vec());
    hasher.finalize().into()
}

/// Requests whose terms are fields of their own.
macro_rules! change_messages {
    ($($request:ident $answer:ident $rpc:ident $change:ident;)*) => {$(
        impl ChangeMessage for v1::$request {
            type Answer = v1::$answer;

            const RPC: OperatorRpc = OperatorRpc::$rpc;

            fn terms(&self) -> ChangeTerms {
                ChangeTerms {
                    request_id: self.request_id.clone(),
                    etag: self.etag.clone(),
                    validate_only: self.validate_only,
                }
            }

            fn in_earnest(&self) -> Self {
                Self { validate_only: false, ..self.clone() }
            }

            fn order(&self, violations: &mut Violations) -> OrderId {
                order_of_part(&self.name, violations)
            }

            fn change(&self, violations: &mut Violations) -> Option<OrderChange> {
                $change(self, violations)
            }

            fn answer(order: v1::Order) -> Self::Answer {
                v1::$answer { order: Some(order) }
            }
        }
    )*};
}

change_messages! {
    CancelOrderRequest CancelOrderResponse CancelOrder cancel;
    RefundItemsRequest RefundItemsResponse RefundItems refund_items;
    CustomerActionRequest CustomerActionResponse CustomerAction customer_action;
    ConfirmItemsRequest ConfirmItemsResponse ConfirmItems confirm;
    MarkNoShowRequest MarkNoShowResponse MarkNoShow no_show;
    ChangeStateRequest ChangeStateResponse ChangeState change_state;
    AddNoteRequest AddNoteResponse AddNote add_note;
    RetryStepRequest RetryStepResponse RetryStep retry_step;
    AbandonStepRequest AbandonStepResponse AbandonStep abandon_step;
}

impl ChangeMessage for v1::WithdrawItemsRequest {
    // One of the stream: items of one order are one answer, and a stream of one answer is sent as that.
    type Answer = v1::WithdrawItemsResponse;

    const RPC: OperatorRpc = OperatorRpc::WithdrawItems;

    fn terms(&self) -> ChangeTerms {
        let target = order_items(self);
        ChangeTerms {
            request_id: self.request_id.clone(),
            etag: target.etag,
            validate_only: self.validate_only,
        }
    }

    fn in_earnest(&self) -> Self {
        Self {
            validate_only: false,
            ..self.clone()
        }
    }

    fn order(&self, violations: &mut Violations) -> OrderId {
        match &self.target {
            Some(withdraw::Target::OrderItems(target)) => {
                order_id(&target.name, "order_items.name", violations)
            }
            // A slot is withdrawn by another way, order by order.
            Some(withdraw::Target::Slot(_)) | None => {
                violations.add("target", "needs one of order_items and slot");
                OrderId::from("")
            }
        }
    }

    fn change(&self, _: &mut Violations) -> Option<OrderChange> {
        let target = order_items(self);
        let spots = if target.keep_off_sale {
            WithdrawnSpots::OffSale
        } else {
            WithdrawnSpots::ForSale
        };
        Some(OrderChange::Withdraw {
            items: target.items,
            spots,
            reason: self.reason.clone(),
        })
    }

    fn answer(order: v1::Order) -> Self::Answer {
        v1::WithdrawItemsResponse { order: Some(order) }
    }
}

fn order_items(request: &v1::WithdrawItemsRequest) -> withdraw::OrderItems {
    match &request.target {
        Some(withdraw::Target::OrderItems(target)) => target.clone(),
        Some(withdraw::Target::Slot(_)) | None => withdraw::OrderItems::default(),
    }
}

fn cancel(request: &v1::CancelOrderRequest, violations: &mut Violations) -> Option<OrderChange> {
    whole_order(&request.name, violations)?;
    let refund = match &request.refund {
        Some(terms) => refund(terms, violations)?,
        None => RefundChoice::Policy,
    };
    Some(OrderChange::Cancel {
        items: request.items.clone(),
        refund,
        reason: request.reason.clone(),
    })
}

fn refund_items(
    request: &v1::RefundItemsRequest,
    violations: &mut Violations,
) -> Option<OrderChange> {
    whole_order(&request.name, violations)?;
    let Some(terms) = &request.refund else {
        violations.add("refund", "is required");
        return None;
    };
    Some(OrderChange::Refund {
        items: request.items.clone(),
        refund: refund(terms, violations)?,
        reason: request.reason.clone(),
    })
}

fn refund(terms: &v1::RefundTerms, violations: &mut Violations) -> Option<RefundChoice> {
    use v1::refund_terms::Share;
    Some(match &terms.share {
        Some(Share::ByPolicy(_)) => RefundChoice::Policy,
        Some(Share::Full(_)) => RefundChoice::Full,
        Some(Share::Nothing(_)) => RefundChoice::Nothing,
        Some(Share::Amount(amount)) => {
            let Some(currency) = Currency::from_code(&amount.currency_code) else {
                violations.add("refund.amount.currency_code", "is not a currency");
                return None;
            };
            RefundChoice::Amount(Money::from_micros(amount.micros, currency))
        }
        None => {
            let rule = "needs one of by_policy, full, nothing and amount";
            violations.add("refund", rule);
            return None;
        }
    })
}

fn customer_action(
    request: &v1::CustomerActionRequest,
    violations: &mut Violations,
) -> Option<OrderChange> {
    whole_order(&request.name, violations)?;
    let decision = match request.decision() {
        v1::CustomerDecision::Amend => CustomerDecision::Amend,
        v1::CustomerDecision::Cancel => CustomerDecision::Cancel,
        v1::CustomerDecision::Unspecified => {
            let rule = "must be CUSTOMER_DECISION_AMEND or CUSTOMER_DECISION_CANCEL";
            violations.add("decision", rule);
            return None;
        }
    };
    Some(OrderChange::CustomerAction(decision))
}

fn confirm(request: &v1::ConfirmItemsRequest, violations: &mut Violations) -> Option<OrderChange> {
    whole_order(&request.name, violations)?;
    let decision = match request.decision() {
        v1::MerchantDecision::Confirm => MerchantDecision::Confirm,
        v1::MerchantDecision::Decline => MerchantDecision::Decline,
        v1::MerchantDecision::Unspecified => {
            let rule = "must be MERCHANT_DECISION_CONFIRM or MERCHANT_DECISION_DECLINE";
            violations.add("decision", rule);
            return None;
        }
    };
    Some(OrderChange::Confirm {
        items: request.items.clone(),
        decision,
        reason: request.reason.clone(),
    })
}

fn no_show(request: &v1::MarkNoShowRequest, violations: &mut Violations) -> Option<OrderChange> {
    whole_order(&request.name, violations)?;
    let items = request.items.clone();
    Some(OrderChange::MarkNoShow { items })
}

fn change_state(
    request: &v1::ChangeStateRequest,
    violations: &mut Violations,
) -> Option<OrderChange> {
    let Some(part) = part(&request.name) else {
        let rule = "must be the name of an order, or of one of its items, fulfillments or refunds";
        violations.add("name", rule);
        return None;
    };
    Some(OrderChange::ChangeState {
        part,
        from: (!request.from_state.is_empty()).then(|| request.from_state.clone()),
        to: request.to_state.clone(),
        reason: request.reason.clone(),
    })
}

fn add_note(request: &v1::AddNoteRequest, violations: &mut Violations) -> Option<OrderChange> {
    whole_order(&request.name, violations)?;
    let note = request.note.clone();
    Some(OrderChange::AddNote { note })
}

fn retry_step(request: &v1::RetryStepRequest, violations: &mut Violations) -> Option<OrderChange> {
    let step = step(&request.name, violations)?;
    Some(OrderChange::RetryStep { step })
}

fn abandon_step(
    request: &v1::AbandonStepRequest,
    violations: &mut Violations,
) -> Option<OrderChange> {
    let step = step(&request.name, violations)?;
    let reason = request.reason.clone();
    Some(OrderChange::AbandonStep { step, reason })
}

/// The order of a name, which may be that of a part of it.
fn order_of_part(name: &str, violations: &mut Violations) -> OrderId {
    let id = name.strip_prefix(ORDERS).unwrap_or_default();
    let order = id.split_once('/').map_or(id, |(order, _)| order);
    order_id(&format!("{ORDERS}{order}"), "name", violations)
}

/// Rejects the name of a part.
fn whole_order(name: &str, violations: &mut Violations) -> Option<()> {
    let is_part = name.strip_prefix(ORDERS).is_some_and(|id| id.contains('/'));
    if is_part {
        violations.add("name", "must be that of an order, and not of a part of it");
    }
    (!is_part).then_some(())
}

/// The part of a name. Fulfillments and refunds count from 1, items from 0.
fn part(name: &str) -> Option<OrderPart> {
    let Some((_, part)) = name.strip_prefix(ORDERS)?.split_once('/') else {
        return Some(OrderPart::ORDER);
    };
    let (kind, number) = part.split_once('/')?;
    let number: u16 = number.parse().ok()?;
    match kind {
        "items" => Some(OrderPart::item(number)),
        "fulfillments" => number.checked_sub(1).map(OrderPart::fulfillment),
        "refunds" => number.checked_sub(1).map(OrderPart::refund),
        _ => None,
    }
}

/// The number of the step of a name.
fn step(name: &str, violations: &mut Violations) -> Option<u16> {
    let parts = name
        .strip_prefix(ORDERS)
        .and_then(|id| id.split_once("/steps/"));
    let number = parts.and_then(|(_, number)| number.parse().ok());
    if number.is_none() {
        violations.add("name", "must be `orders/{order}/steps/{step}`");
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_names_of_answers() {
        for (name, expected) in [
            ("orders/a", Some(OrderPart::ORDER)),
            ("orders/a/items/0", Some(OrderPart::item(0))),
            ("orders/a/fulfillments/1", Some(OrderPart::fulfillment(0))),
            ("orders/a/refunds/2", Some(OrderPart::refund(1))),
            ("orders/a/refunds/0", None),
            ("orders/a/items/65536", None),
            ("orders/a/items/-1", None),
            ("orders/a/steps/1", None),
            ("orders/a/items", None),
            ("a", None),
        ] {
            assert_eq!(part(name), expected, "{name}");
        }
    }

    #[test]
    fn a_dry_run_has_the_fingerprint_of_the_request_in_earnest() {
        let request = v1::CancelOrderRequest {
            name: "orders/a".into(),
            request_id: "b".into(),
            ..v1::CancelOrderRequest::default()
        };
        let dry_run = v1::CancelOrderRequest {
            validate_only: true,
            ..request.clone()
        };
        let other = v1::CancelOrderRequest {
            items: vec![0],
            ..request.clone()
        };
        let of = |request: &v1::CancelOrderRequest, user: Option<&User>| {
            digest(OperatorRpc::CancelOrder, &request.in_earnest(), user)
        };
        let expected = of(&request, None);
        assert_eq!(of(&dry_run, None), expected);
        assert_ne!(of(&other, None), expected);
        let user = User::new("ada".into(), kernel::user::Scope::default());
        assert_ne!(of(&request, Some(&user)), expected);
    }
}
