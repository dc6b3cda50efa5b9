//! The audit log of changes that people ask for.

use super::{ChangeError, ChangeMode, ChangeRequest, ChangedOrder, change::is_uuid};
use crate::{
    App, OrderError,
    audit::{AuditEvent, AuditedChange, AuditedOutcome},
};
use domain::order::OrderId;
use store::OrderKey;

/// Who asks for a change of which order. Not of a dry run, which changes nothing.
#[derive(Debug, Clone)]
pub(super) struct AuditedRequest(ChangeRequest);

impl AuditedRequest {
    /// The request, if it is to be recorded.
    pub(super) fn of(app: &App, request: &ChangeRequest) -> Option<Self> {
        let is_recorded = app.audit.is_on() && request.mode == ChangeMode::Commit;
        is_recorded.then(|| Self(request.clone()))
    }

    /// Records that nothing has changed, if so.
    pub(super) fn record(&self, app: &App, changed: &ChangedOrder) {
        if let Err(error) = changed {
            record(app, &self.0, error.outcome());
        }
    }
}

/// Records what became of a request in earnest.
pub(super) fn record_outcome(app: &App, request: &ChangeRequest, outcome: AuditedOutcome) {
    if request.mode == ChangeMode::Commit {
        record(app, request, outcome);
    }
}

fn record(app: &App, request: &ChangeRequest, outcome: AuditedOutcome) {
    app.audit_change((&request.order, request.request_id.as_str()), outcome);
}

impl ChangeError {
    /// What became of a change that has ended with it.
    pub(crate) fn outcome(&self) -> AuditedOutcome {
        if *self == Self::Order(OrderError::StoreFailed) {
            AuditedOutcome::Unknown
        } else {
            AuditedOutcome::Rejected(self.reason())
        }
    }
}

impl<'e> AuditedChange<'e> {
    /// A request by its id, which may be anything if it is none.
    pub(crate) fn of(request_id: &'e str, outcome: AuditedOutcome) -> Self {
        Self {
            change_id: is_uuid(request_id).then_some(request_id),
            outcome,
        }
    }
}

impl App {
    /// Records that a request to change an order was rejected, by the reason in the table of errors, before it was one to
    /// [`App::change_order`].
    pub fn reject_change(&self, (order, request_id): (&OrderId, &str), reason: &'static str) {
        self.audit_change((order, request_id), AuditedOutcome::Rejected(reason));
    }

    fn audit_change(&self, (order, request_id): (&OrderId, &str), outcome: AuditedOutcome) {
        self.audit.record(AuditEvent::OrderChanged {
            // Other texts are the caller's, and may be anything.
            order_id: OrderKey::of_id(order).map(|_| order.as_str()),
            change: AuditedChange::of(request_id, outcome),
        });
    }
}
