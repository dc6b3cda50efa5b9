//! The personal data of customers on the admin listener, exported and erased, and the client.
//!
//! A request names the customer in its body: addresses of requests are logged by proxies, and bodies are not.

use std::{convert::Infallible, ops::ControlFlow};

use http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    booking::{json as messages, to_proto},
    error::ApiError,
    feeds::{FetchError, post_bytes},
};
use domain::ids::UserId;
use orders::customers::ExportedOrder;
use store::{
    ErrorChain, OrderUpdate, PaymentAttempt, PaymentIntent, PaymentOutcome, PlacedOrder, ReadError,
    Store,
};

mod handler;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use handler::CustomersHandler;
pub(in crate::api) use handler::erase_failed;

/// The path at which a customer is erased.
pub const ERASE: &str = "/customers/erase";

/// The path at which the data of a customer is exported.
pub const EXPORT: &str = "/customers/export";

/// The version of the export: another number is another form.
const FORM: u32 = 1;

/// The answer to an erasure.
#[derive(Debug, Serialize, Deserialize)]
struct ErasedJson {
    orders: u64,
}

/// Why a running server does not export or erase a customer.
#[derive(Debug, thiserror::Error)]
pub enum CustomersFetchError {
    /// The request has failed.
    #[error(transparent)]
    Fetch(#[from] FetchError<Infallible>),
    /// The answer is none of this version.
    #[error("the server does not answer as this program does; are they of one version?")]
    Malformed,
}

/// Has the server with this admin listener erase a customer. Returns of how many orders.
///
/// # Errors
/// [`CustomersFetchError`].
pub async fn erase_at(server: &Uri, user_id: &UserId) -> Result<u64, CustomersFetchError> {
    let answer = post_bytes(server, ERASE, request(user_id)).await?;
    let answer: Option<ErasedJson> = serde_json::from_slice(&answer).ok();
    let erased = answer.ok_or(CustomersFetchError::Malformed)?;
    Ok(erased.orders)
}

/// The export of a customer by the server with this admin listener.
///
/// # Errors
/// [`CustomersFetchError`].
pub async fn export_at(
    server: &Uri,
    user_id: &UserId,
) -> Result<ExportedCustomer, CustomersFetchError> {
    let json = post_bytes(server, EXPORT, request(user_id)).await?;
    // A server that fails halfway ends its answer early.
    let end: UnreadableJson =
        serde_json::from_slice(&json).map_err(|_| CustomersFetchError::Malformed)?;
    Ok(ExportedCustomer {
        json,
        unreadable: end.unreadable,
    })
}

/// The export of a customer.
#[derive(Debug)]
pub struct ExportedCustomer {
    /// As JSON.
    pub json: Vec<u8>,
    /// The places of orders that are damaged, and so not in it.
    pub unreadable: Vec<String>,
}

/// The end of an export, if orders are damaged.
#[derive(Debug, Deserialize)]
struct UnreadableJson {
    #[serde(default)]
    unreadable: Vec<String>,
}

fn request(user_id: &UserId) -> Vec<u8> {
    json!({ "user_id": user_id.as_str() })
        .to_string()
        .into_bytes()
}

/// Why an export is not complete.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error("{}", ErrorChain(.0))]
    Read(#[from] ReadError),
    /// An order cannot be written as JSON: a bug.
    #[error("{0:?}")]
    Order(ApiError),
}

/// Passes everything that a store has of a customer to `put`, piece by piece, as one JSON object, until `put` breaks. To
/// be called on a thread that may block, in a runtime. Returns the places of orders that are damaged; all others were passed,
/// and the object ends with these places as `unreadable`.
///
/// # Errors
/// [`ExportError`]. What was passed is then no export.
pub fn export(
    store: &dyn Store,
    user_id: &UserId,
    put: &mut dyn FnMut(String) -> ControlFlow<()>,
) -> Result<Vec<String>, ExportError> {
    let customer = Value::from(user_id.as_str());
    let begin = format!("{{\"format\":{FORM},\"user_id\":{customer},\"orders\":[");
    if put(begin).is_break() {
        return Ok(Vec::new());
    }
    let mut failure = None;
    let mut separator = "\n";
    let exported = store.export_person(user_id, &mut |placed| match order_json(store, placed) {
        Ok(order) => {
            let piece = format!("{separator}{order}");
            separator = ",\n";
            put(piece)
        }
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    let unreadable = match exported {
        Ok(()) => Vec::new(),
        Err(ReadError::DamagedOrders(places)) => places,
        Err(error) => return Err(error.into()),
    };
    let end = if unreadable.is_empty() {
        "\n]}\n".to_owned()
    } else {
        format!("\n],\"unreadable\":{}}}\n", Value::from(unreadable.clone()))
    };
    // A break above ended the list early, and `put` has said so; the end does no harm.
    let _ = put(end);
    Ok(unreadable)
}

fn order_json(store: &dyn Store, placed: PlacedOrder) -> Result<Value, ExportError> {
    let ExportedOrder {
        placed,
        failed_payments,
        updates,
    } = ExportedOrder::read(store, placed)?;
    let PlacedOrder {
        token,
        // A digest of what is here anyway.
        fingerprint: _,
        created_sec,
        created_by,
        order,
        // Follow from the items.
        claims: _,
        payment,
        hold,
        // Follows from the items and the terms of their services.
        bill: _,
        // States, timers and steps: nothing of the person.
        begun: _,
        // Says nothing of the customer.
        lifecycle: _,
    } = placed;
    let history: Vec<Value> = updates.into_iter().map(update_json).collect();
    // As ListOrders answers it over REST: a form that is documented and complete.
    let order = messages::write(&to_proto::order(*order)).map_err(ExportError::Order)?;
    let order: Value = serde_json::from_slice(&order)
        .map_err(|error| ExportError::Order(ApiError::Internal(error.to_string())))?;
    Ok(json!({
        "order": order,
        "created_sec": created_sec.get(),
        "created_by": created_by.as_deref(),
        "idempotency_token": token.as_str(),
        "hold_id": hold.map(|hold| hold.to_string()),
        "payment": payment.map(payment_json),
        "failed_payments": failed_payments,
        "history": history,
    }))
}

/// What happened to an order after it was placed, with what people have written about it.
fn update_json(update: OrderUpdate) -> Value {
    let OrderUpdate {
        order: _,
        revision,
        updated_sec,
        tree,
        entry,
        // Follow from the items.
        released: _,
        answer: _,
    } = update;
    json!({
        "revision": revision,
        "updated_sec": updated_sec.get(),
        "state": tree.state.as_str(),
        "actor": entry.actor.as_deref(),
        "note": entry.texts.note,
        "reason": entry.texts.reason,
    })
}

fn payment_json(payment: PaymentAttempt) -> Value {
    let PaymentAttempt {
        intent:
            PaymentIntent {
                token: _,
                attempt,
                amount,
                started_sec,
                claims: _,
                hold: _,
            },
        outcome,
        transaction_id,
        finished_sec,
    } = payment;
    let outcome = match outcome {
        PaymentOutcome::Captured => "captured",
        PaymentOutcome::Declined => "declined",
        PaymentOutcome::Voided => "voided",
        PaymentOutcome::Refunded => "refunded",
    };
    json!({
        "attempt": attempt,
        "amount_micros": amount.to_micros().ok(),
        "currency_code": amount.currency().code(),
        "outcome": outcome,
        "transaction_id": transaction_id,
        "started_sec": started_sec.get(),
        "finished_sec": finished_sec.get(),
    })
}
