//! The audit log of changes that people ask for.

use super::{ChangeError, ChangeMode, ChangeRequest, ChangedOrder, OrderChange, change::is_uuid};
use crate::{
    App, OrderError,
    audit::{AuditEvent, AuditedChange, AuditedOutcome},
};
use domain::order::OrderId;
use kernel::{rpc::OperatorRpc, user::User};
use store::OrderKey;

/// Who asks for a change of which order. Not of a dry run, which changes nothing.
#[derive(Debug, Clone)]
pub(super) struct AuditedRequest {
    request: ChangeRequest,
    method: &'static str,
}

impl AuditedRequest {
    /// The request, if it is to be recorded.
    pub(super) fn of(app: &App, request: &ChangeRequest, change: &OrderChange) -> Option<Self> {
        let is_recorded = app.audit.is_on() && request.mode == ChangeMode::Commit;
        is_recorded.then(|| Self {
            request: request.clone(),
            method: change.rpc().name(),
        })
    }

    /// Records that nothing has changed, if so.
    pub(super) fn record(&self, app: &App, changed: &ChangedOrder) {
        let Err(error) = changed else {
            return;
        };
        let outcome = if *error == ChangeError::Order(OrderError::StoreFailed) {
            AuditedOutcome::Unknown
        } else {
            AuditedOutcome::Rejected(error.reason())
        };
        record(app, self.method, &self.request, outcome);
    }
}

/// Records what became of a request in earnest.
pub(super) fn record_outcome(
    app: &App,
    (request, change): &(ChangeRequest, OrderChange),
    outcome: AuditedOutcome,
) {
    if request.mode == ChangeMode::Commit {
        record(app, change.rpc().name(), request, outcome);
    }
}

fn record(app: &App, method: &'static str, request: &ChangeRequest, outcome: AuditedOutcome) {
    app.audit_change(
        method,
        (&request.order, request.request_id.as_str()),
        request.user.as_deref(),
        outcome,
    );
}

impl App {
    /// Records that a request to change an order was rejected, by the reason in the table of errors, before it was one to
    /// [`App::change_order`].
    pub fn reject_change(
        &self,
        rpc: OperatorRpc,
        (order, request_id): (&OrderId, &str),
        user: Option<&User>,
        reason: &'static str,
    ) {
        let outcome = AuditedOutcome::Rejected(reason);
        self.audit_change(rpc.name(), (order, request_id), user, outcome);
    }

    fn audit_change(
        &self,
        method: &'static str,
        (order, request_id): (&OrderId, &str),
        user: Option<&User>,
        outcome: AuditedOutcome,
    ) {
        self.audit.record(AuditEvent::OrderChanged(AuditedChange {
            method,
            role: user.and_then(User::role),
            // Other texts are the caller's, and may be anything.
            order_id: OrderKey::of_id(order).map(|_| order.as_str()),
            change_id: is_uuid(request_id).then_some(request_id),
            outcome,
        }));
    }
}
