//! Customers: everything on record about one is exported, or erased.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::Instant;

use super::{
    changes::digest,
    dispatch::{
        CallAnswer, EncodedRequest, OperatorDispatcher, StreamTerms, merchant_scope,
        stream as answer_with,
    },
    proto::v1,
    to_proto::{self, CustomerShown, TypedTexts},
};
use crate::api::{
    booking::{from_proto, requests::Violations},
    calls::user,
    customers::erase_failed,
    error::ApiError,
    responses::Encoding,
    streamed::with_first,
};
use domain::ids::UserId;
use kernel::rpc::OperatorRpc;
use orders::{
    OrderError,
    customers::{ErasureError, ErasureRequest, ExportPart, ExportedOrder},
    update::{ChangeError, is_uuid},
};

/// Exports at once. Each has a thread of its own for as long as it is read.
pub(super) const MAX_EXPORTS: usize = 2;

impl OperatorDispatcher {
    /// Answers with everything on record about a customer, order by order.
    pub(super) async fn export_customer(
        &self,
        request: EncodedRequest,
        encoding: Encoding,
        deadline: Instant,
    ) -> Result<CallAnswer, ApiError> {
        let request: v1::ExportCustomerRequest = request.read()?;
        let mut violations = Violations::default();
        let user_id = user_id(request.user_id, &mut violations);
        violations.into_result()?;
        let permit = Arc::clone(&self.exports).try_acquire_owned();
        let permit = permit.map_err(|_| OrderError::Busy)?;
        let export = self.app.export_customer(user_id, merchant_scope()?)?;
        let begun = (self.clone(), export, permit);
        let parts = stream::unfold(begun, |(this, mut export, permit)| async move {
            let answer = match export.next().await {
                Ok(Some(ExportPart::Order(order))) => Ok(this.exported(*order)),
                Ok(Some(ExportPart::End(unreadable))) if unreadable.is_empty() => return None,
                Ok(Some(ExportPart::End(unreadable))) => Ok(v1::ExportCustomerResponse {
                    unreadable,
                    ..v1::ExportCustomerResponse::default()
                }),
                Ok(None) => return None,
                Err(error) => Err(error.into()),
            };
            Some((answer, (this, export, permit)))
        })
        .boxed();
        let calls = &self.limits.calls;
        let terms = StreamTerms {
            deadline,
            until: deadline,
            encoding,
        };
        let begin = with_first(parts).boxed();
        answer_with(calls, OperatorRpc::ExportCustomer, terms, begin).await
    }

    fn exported(&self, order: ExportedOrder) -> v1::ExportCustomerResponse {
        let ExportedOrder {
            placed,
            failed_payments,
            updates,
        } = order;
        let idempotency_token = placed.token.as_str().to_owned();
        let created_by = placed.created_by.as_deref().unwrap_or_default().to_owned();
        let hold_id = placed.hold.map(|hold| hold.to_string());
        let listed = to_proto::listed(store::StoredOrder {
            placed,
            update: updates.first().cloned(),
        });
        let catalog = self.app.catalog();
        let order = self.view(&catalog, CustomerShown::Yes).order(&listed);
        let updates = updates.into_iter();
        let mut history: Vec<_> = updates
            .map(|update| to_proto::history_entry(update, TypedTexts::Shown))
            .collect();
        history.push(to_proto::creation(&listed, &self.app.lifecycle()));
        v1::ExportCustomerResponse {
            order: Some(order),
            history,
            idempotency_token,
            created_by,
            hold_id: hold_id.unwrap_or_default(),
            failed_payments,
            unreadable: Vec::new(),
        }
    }

    /// Erases a customer.
    pub(super) async fn erase_customer(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::EraseCustomerResponse, ApiError> {
        let caller = user()?;
        let request: v1::EraseCustomerRequest = request.read_identified()?;
        let fingerprint = digest(OperatorRpc::EraseCustomer, &request, caller.as_deref());
        let mut violations = Violations::default();
        let user_id = user_id(request.user_id, &mut violations);
        if !is_uuid(&request.request_id) {
            violations.add("request_id", "has to be a UUID");
        }
        let valid = violations.into_result().map_err(ApiError::from);
        valid.inspect_err(|error| {
            let reason = error.mapping().reason;
            self.app.reject_erasure(&request.request_id, reason);
        })?;
        let erasure = ErasureRequest {
            request_id: request.request_id,
            fingerprint,
            user_id,
        };
        match self.app.erase_customer_for(erasure).await {
            Ok(orders) => Ok(v1::EraseCustomerResponse { orders }),
            Err(ErasureError::RequestReused) => Err(ChangeError::RequestReused.into()),
            Err(ErasureError::Erase(error)) => Err(erase_failed(&error)),
            Err(ErasureError::Order(error)) => Err(error.into()),
        }
    }
}

/// A user id by the rules that orders have for it. No error quotes it.
fn user_id(text: String, violations: &mut Violations) -> UserId {
    match from_proto::user_id(text) {
        Ok(user_id) => user_id,
        Err(found) => {
            for violation in found.iter() {
                violations.add(&violation.field, &violation.rule);
            }
            UserId::from("")
        }
    }
}
