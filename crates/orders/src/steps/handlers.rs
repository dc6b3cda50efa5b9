//! What steps do in the outside world.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc};

use domain::{
    lifecycle::{Name, OpenStep, StepKind},
    money::Money,
    order::OrderId,
};
use payments::{ChangeOutcome, ChargeChange, ChargeKey, GatewayError, PaymentGateway};
use store::PlacedOrder;

/// A step to be done. Its handler has to do it once for each key, however often it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct StepCall {
    /// The idempotency key.
    pub key: String,
    /// The order.
    pub order: OrderId,
    /// What is to be done.
    pub kind: StepKind,
    /// The amount, if money moves.
    pub amount: Option<Money>,
    /// The charge of the order, if this server charged.
    pub charge: Option<ChargeKey>,
    /// Which attempt since the step was opened, from 1.
    pub attempt: u32,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// It is done.
    Done,
    /// It is not done and never will be by itself; why, for operators. As below, it has nothing of the customer.
    Failed(String),
    /// It may be done or not, and is to be tried again under the same key; why, for operators. The reason stays on record
    /// for good, so it has nothing of the customer.
    Retry(String),
}

/// The future of a step.
pub type StepFuture<'a> = Pin<Box<dyn Future<Output = StepOutcome> + Send + 'a>>;

/// Does the steps that a partner has named.
pub trait StepHandler: Send + Sync + fmt::Debug {
    /// Does the step. One that is in doubt has to be answered with [`StepOutcome::Retry`].
    fn call<'a>(&'a self, step: &'a StepCall) -> StepFuture<'a>;
}

/// The handlers of the steps that a partner has named, by name.
pub type CustomSteps = BTreeMap<Name, Arc<dyn StepHandler>>;

impl StepCall {
    pub(super) fn new(placed: &PlacedOrder, step: &OpenStep, attempt: u32) -> Self {
        let order = &placed.order.id;
        let charge = placed.payment.as_ref();
        Self {
            key: key(order, step),
            order: order.clone(),
            kind: step.kind.clone(),
            amount: step.amount,
            charge: charge.map(|charged| ChargeKey::new(order, charged.intent.attempt)),
            attempt,
        }
    }
}

/// The idempotency key of a step. That of a refund follows from the refund and not from the step: when it is tried again
/// after it was given up, the money may have gone back already.
fn key(order: &OrderId, step: &OpenStep) -> String {
    let (order, number) = (order.as_str(), step.number);
    match &step.kind {
        StepKind::Refund => format!("{order}:refund:r{}", step.part.index + 1),
        StepKind::Charge => format!("{order}:charge:{number}"),
        StepKind::ReverseCharge => format!("{order}:reverse_charge:{number}"),
        StepKind::Capture => format!("{order}:capture:{number}"),
        StepKind::Void => format!("{order}:void:{number}"),
        StepKind::BookDelivery => format!("{order}:book_delivery:{number}"),
        StepKind::CancelDelivery => format!("{order}:cancel_delivery:{number}"),
        StepKind::EraseCustomer => format!("{order}:erase_personal_data:{number}"),
        StepKind::Custom(name) => format!("{order}:{name}:{number}"),
    }
}

/// Does a step in the outside world.
pub(super) async fn call(
    gateway: Option<&dyn PaymentGateway>,
    custom: &CustomSteps,
    step: &StepCall,
) -> StepOutcome {
    match &step.kind {
        StepKind::Refund | StepKind::Void => change_charge(gateway, step).await,
        StepKind::Custom(name) => match custom.get(name) {
            Some(handler) => handler.call(step).await,
            // Perhaps after a start with other settings.
            None => StepOutcome::Retry(format!("this server has no handler of step {name:?}")),
        },
        StepKind::Charge
        | StepKind::ReverseCharge
        | StepKind::Capture
        | StepKind::BookDelivery
        | StepKind::CancelDelivery
        // Done by the runner, which has the store.
        | StepKind::EraseCustomer => {
            StepOutcome::Failed("this server does not do steps of this kind".to_owned())
        }
    }
}

async fn change_charge(gateway: Option<&dyn PaymentGateway>, step: &StepCall) -> StepOutcome {
    let (Some(charge), Some(amount)) = (&step.charge, step.amount) else {
        return StepOutcome::Failed("nothing was charged".to_owned());
    };
    let Some(gateway) = gateway else {
        return StepOutcome::Retry("payments are off".to_owned());
    };
    let change = ChargeChange {
        key: step.key.clone(),
        charge: charge.clone(),
        amount,
    };
    let answer = if step.kind == StepKind::Void {
        gateway.void(&change).await
    } else {
        gateway.refund(&change).await
    };
    match answer {
        Ok(ChangeOutcome::Done) => StepOutcome::Done,
        Ok(ChangeOutcome::Rejected(why)) => StepOutcome::Failed(why),
        Err(GatewayError(why)) => StepOutcome::Retry(why),
    }
}
