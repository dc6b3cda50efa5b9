//! The personal data of customers: exported and erased, with a line in the audit log.

use std::{ops::ControlFlow, sync::Arc};

use tokio::{runtime::Handle, sync::mpsc};

use super::{App, MerchantScope, OrderError};
use crate::{
    audit::{AuditEvent, AuditedChange, AuditedOutcome},
    update::ChangeError,
};
use domain::{ids::UserId, time::Seconds};
use kernel::{blocking, request::propagate_context};
use store::{
    EraseError, ErasureAnswer, Fingerprint, OrderUpdate, PlacedOrder, Read, ReadError,
    RequestAnswer, Store, UnitOfWork, Write,
};

/// Orders of an export that wait for its reader; beyond that the store is not read.
const ORDERS_WAITING: usize = 4;

/// How long a repetition of a request has its first answer.
const ANSWERS_KEPT: Seconds = Seconds::days(30);

/// An order with everything that is on record of it.
#[derive(Debug)]
pub struct ExportedOrder {
    /// As it was placed.
    pub placed: PlacedOrder,
    /// Payments that ended without it.
    pub failed_payments: u32,
    /// Its updates, newest first.
    pub updates: Vec<OrderUpdate>,
}

impl ExportedOrder {
    /// Reads what belongs to an order. To be called on a thread that may block, in a runtime.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(store: &dyn Store, placed: PlacedOrder) -> Result<Self, ReadError> {
        let failed_payments = match store.failed_attempts(&store.order_key(&placed.token)) {
            Read::Now(failed) => failed?,
            Read::Later(failed) => Handle::current().block_on(failed)?,
        };
        let mut updates = Vec::new();
        store.history(&placed.order.id, &mut |update| {
            updates.push(update);
            ControlFlow::Continue(())
        })?;
        Ok(Self {
            placed,
            failed_payments,
            updates,
        })
    }
}

/// A part of an export.
#[derive(Debug)]
pub enum ExportPart {
    /// An order.
    Order(Box<ExportedOrder>),
    /// The end: where orders are that are damaged and so not in the export.
    End(Vec<String>),
}

/// The export of a customer, order by order, newest first. It ends early if this is dropped.
#[derive(Debug)]
pub struct CustomerExport {
    app: Arc<App>,
    parts: mpsc::Receiver<Result<ExportPart, ReadError>>,
}

impl CustomerExport {
    /// The next part; `None` after the end.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`]. What came before is then no export.
    pub async fn next(&mut self) -> Result<Option<ExportPart>, OrderError> {
        let Some(part) = self.parts.recv().await else {
            return Ok(None);
        };
        let part = part.map_err(|error| self.app.read_failed(&error))?;
        if let ExportPart::End(unreadable) = &part {
            self.app.record_customer_export(unreadable);
        }
        Ok(Some(part))
    }
}

/// A request to erase a customer.
#[derive(Debug, Clone)]
pub struct ErasureRequest {
    /// A UUID. The same request again has the same answer, also after a restart.
    pub request_id: String,
    /// Digest of the caller and the request.
    pub fingerprint: Fingerprint,
    /// The customer.
    pub user_id: UserId,
}

/// Why a customer is not erased, or not as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The request id stands for another request.
    #[error("request_id was used for a different request")]
    RequestReused,
    /// The store has failed to erase.
    #[error(transparent)]
    Erase(#[from] EraseError),
    /// Earlier answers cannot be read, or the answer cannot be recorded. In the second case the customer is erased.
    #[error(transparent)]
    Order(#[from] OrderError),
}

impl ErasureError {
    /// From how many orders the customer was erased, if it was, and what became of the request.
    fn outcome(&self) -> (Option<u64>, AuditedOutcome) {
        match self {
            Self::RequestReused => {
                let reason = ChangeError::RequestReused.reason();
                (None, AuditedOutcome::Rejected(reason))
            }
            Self::Erase(EraseError::Partly { erased, .. }) => {
                (Some(*erased), AuditedOutcome::Changed { revision: None })
            }
            Self::Erase(_) | Self::Order(_) => (None, AuditedOutcome::Unknown),
        }
    }
}

impl App {
    /// Erases the personal data of a customer for a request. Returns of how many orders. A repetition of the request
    /// has the same answer for 30 days. Requests are answered one after the other.
    ///
    /// # Errors
    /// [`ErasureError`].
    pub async fn erase_customer_for(
        self: &Arc<Self>,
        request: ErasureRequest,
    ) -> Result<u64, ErasureError> {
        let app = Arc::clone(self);
        // In a task of its own, so that the answer is recorded for a caller who is gone and asks again.
        let erasing = tokio::spawn(propagate_context(async move {
            // Until it is answered, so that a repetition that crosses it waits for the answer.
            let _one_at_a_time = app.erasures.lock().await;
            let erased = app.answer_erasure(&request).await;
            let (orders, outcome) = match &erased {
                Ok((orders, outcome)) => (Some(*orders), *outcome),
                Err(error) => error.outcome(),
            };
            let change = AuditedChange::of(&request.request_id, outcome);
            app.audit
                .record(AuditEvent::CustomerErased { orders, change });
            erased.map(|(orders, _)| orders)
        }));
        erasing
            .await
            .unwrap_or(Err(ErasureError::Erase(EraseError::Panicked)))
    }

    /// Records that a request to erase a customer was rejected, by the reason in the table of errors, before it was one to
    /// [`App::erase_customer_for`].
    pub fn reject_erasure(&self, request_id: &str, reason: &'static str) {
        self.audit.record(AuditEvent::CustomerErased {
            orders: None,
            change: AuditedChange::of(request_id, AuditedOutcome::Rejected(reason)),
        });
    }

    /// The answer of a request: the one that it has had, or that of the erasure.
    async fn answer_erasure(
        &self,
        request: &ErasureRequest,
    ) -> Result<(u64, AuditedOutcome), ErasureError> {
        let revision = None;
        if let Some(known) = self.answered_erasure(request).await? {
            if known.answer.fingerprint != request.fingerprint {
                return Err(ErasureError::RequestReused);
            }
            return Ok((known.orders, AuditedOutcome::Repeated { revision }));
        }
        let orders = self.erase(&request.user_id).await?;
        // After the erasure: a crash in between leaves no answer, and the repetition finishes what was begun.
        let unit = UnitOfWork::write(Write::ErasureAnswered(ErasureAnswer {
            orders,
            answered_sec: self.now(),
            answer: RequestAnswer {
                request_id: request.request_id.clone(),
                fingerprint: request.fingerprint,
            },
        }));
        let committed = self.commit(&unit).await;
        committed.map_err(|error| self.commit_failed(&error).into_error())?;
        Ok((orders, AuditedOutcome::Changed { revision }))
    }

    /// The answer that a request has had, read on a blocking thread.
    async fn answered_erasure(
        &self,
        request: &ErasureRequest,
    ) -> Result<Option<ErasureAnswer>, OrderError> {
        let store = Arc::clone(&self.store);
        let oldest = self.now().saturating_sub(ANSWERS_KEPT);
        let request_id = request.request_id.clone();
        let read = move || {
            let mut found = None;
            let walked = store.erasure_answers(&mut |answer| {
                if answer.answered_sec < oldest {
                    return ControlFlow::Break(());
                }
                if answer.answer.has_id(&request_id) {
                    found = Some(answer);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            walked.map(|()| found)
        };
        let found = blocking::run(read).await?;
        found.map_err(|error| self.read_failed(&error))
    }

    /// Erases the personal data of a customer. Returns of how many orders.
    ///
    /// # Errors
    /// [`EraseError`].
    pub async fn erase_customer(self: &Arc<Self>, user_id: UserId) -> Result<u64, EraseError> {
        let app = Arc::clone(self);
        // In a task of its own, so that an erasure whose caller is gone is recorded in the audit log, too.
        let erasing = propagate_context(async move {
            let erased = app.erase(&user_id).await;
            let (orders, outcome) = match &erased {
                Ok(orders) | Err(EraseError::Partly { erased: orders, .. }) => {
                    (Some(*orders), AuditedOutcome::Changed { revision: None })
                }
                Err(_) => (None, AuditedOutcome::Unknown),
            };
            let change = AuditedChange {
                change_id: None,
                outcome,
            };
            app.audit
                .record(AuditEvent::CustomerErased { orders, change });
            erased
        });
        let erasing = tokio::spawn(erasing);
        erasing.await.unwrap_or(Err(EraseError::Panicked))
    }

    async fn erase(&self, user_id: &UserId) -> Result<u64, EraseError> {
        let erased = self.store.erase_person(user_id).await;
        if let Ok(orders) | Err(EraseError::Partly { erased: orders, .. }) = &erased {
            tracing::info!(orders, "the personal data of a customer was erased");
        }
        erased
    }

    /// Begins the export of a customer from the orders of the scope, on a thread of its own for as long as it is read.
    ///
    /// # Errors
    /// [`OrderError::NoThread`].
    pub fn export_customer(
        self: &Arc<Self>,
        user_id: UserId,
        scope: MerchantScope,
    ) -> Result<CustomerExport, OrderError> {
        let (sender, parts) = mpsc::channel(ORDERS_WAITING);
        let store = Arc::clone(&self.store);
        let read = move || {
            // A reader who is gone needs no end.
            let _ = sender.blocking_send(export(&*store, (&user_id, &scope), &sender));
        };
        blocking::start(read)?;
        let app = Arc::clone(self);
        Ok(CustomerExport { app, parts })
    }

    /// A customer was exported, apart from orders that are damaged.
    pub fn record_customer_export(&self, unreadable: &[String]) {
        if !unreadable.is_empty() {
            let damage = unreadable.join("; ");
            tracing::error!(
                damage,
                "the export of a customer lacks orders that cannot be read"
            );
        }
        self.audit.record(AuditEvent::CustomerExported);
    }
}

/// Passes on the orders of a customer that are in the scope, and returns the end of the export.
fn export(
    store: &dyn Store,
    (user_id, scope): (&UserId, &MerchantScope),
    sender: &mpsc::Sender<Result<ExportPart, ReadError>>,
) -> Result<ExportPart, ReadError> {
    let mut failure = None;
    let exported = store.export_person(user_id, &mut |placed| {
        if !scope.has(&placed.order.merchant_id) {
            return ControlFlow::Continue(());
        }
        match ExportedOrder::read(store, placed) {
            // Blocks this thread, which is the back-pressure of a slow reader.
            Ok(order) => match sender.blocking_send(Ok(ExportPart::Order(Box::new(order)))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            },
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    match exported {
        Ok(()) => Ok(ExportPart::End(Vec::new())),
        Err(ReadError::DamagedOrders(places)) => Ok(ExportPart::End(places)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::tests::{Office, note};

    fn request(number: u32, fingerprint: u8) -> ErasureRequest {
        ErasureRequest {
            request_id: number.to_string(),
            fingerprint: [fingerprint; 32],
            user_id: "ada".into(),
        }
    }

    #[tokio::test]
    async fn an_erasure_is_answered_once_also_after_a_restart() {
        let mut office = Office::new();
        office.order("a", &[1], None);
        let erase = async |office: &Office, number, fingerprint| {
            let request = request(number, fingerprint);
            office.app.erase_customer_for(request).await
        };
        assert_eq!(erase(&office, 1, 7).await.unwrap(), 1);
        assert_eq!(erase(&office, 2, 7).await.unwrap(), 0);
        for _ in 0..2 {
            assert_eq!(erase(&office, 1, 7).await.unwrap(), 1);
            assert_eq!(erase(&office, 2, 7).await.unwrap(), 0);
            let other = erase(&office, 1, 8).await;
            assert!(matches!(other, Err(ErasureError::RequestReused)));
            office = office.restarted();
        }
        // An answer is kept for 30 days.
        office.clock.advance(ANSWERS_KEPT);
        assert_eq!(erase(&office, 1, 7).await.unwrap(), 1);
        office.clock.advance(Seconds::ONE);
        assert_eq!(erase(&office, 1, 8).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_export_has_every_order_with_its_updates() {
        let office = Office::new();
        office.order("a", &[1], None);
        let second = office.order("b", &[2], None);
        office.changed(&second, note("seen")).await;
        let mut export = office
            .app
            .export_customer("ada".into(), MerchantScope::ALL)
            .unwrap();
        let mut found = Vec::new();
        while let Some(part) = export.next().await.unwrap() {
            match part {
                ExportPart::Order(order) => {
                    found.push((order.placed.token.as_str().to_owned(), order.updates.len()));
                }
                ExportPart::End(unreadable) => assert!(unreadable.is_empty()),
            }
        }
        assert_eq!(found, [("b".to_owned(), 1), ("a".to_owned(), 0)]);
    }
}
