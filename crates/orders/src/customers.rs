//! The personal data of customers: exported and erased, with a line in the audit log.

use std::{collections::VecDeque, ops::ControlFlow, sync::Arc};

use tokio::{runtime::Handle, sync::mpsc};

use super::{App, MerchantScope, OrderError};
use crate::audit::AuditEvent;
use domain::ids::UserId;
use kernel::{blocking, request::propagate_context};
use store::{EraseError, Fingerprint, OrderUpdate, PlacedOrder, Read, ReadError, Store};

/// Orders of an export that wait for its reader; beyond that the store is not read.
const ORDERS_WAITING: usize = 4;

/// Erasures whose answers are kept.
const ERASURES_KEPT: usize = 1_024;

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
    /// The same request again has the same answer, until the process ends.
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
}

/// The latest erasures that were answered, the oldest first.
#[derive(Debug, Default)]
pub(super) struct AnsweredErasures(VecDeque<(String, Fingerprint, u64)>);

impl AnsweredErasures {
    /// The answer that a request has had.
    fn find(&self, request: &ErasureRequest) -> Option<Result<u64, ErasureError>> {
        let mut known = self.0.iter();
        let (_, fingerprint, orders) = known.find(|(id, ..)| *id == request.request_id)?;
        Some(if *fingerprint == request.fingerprint {
            Ok(*orders)
        } else {
            Err(ErasureError::RequestReused)
        })
    }

    fn add(&mut self, request: ErasureRequest, orders: u64) {
        if self.0.len() == ERASURES_KEPT {
            self.0.pop_front();
        }
        let ErasureRequest {
            request_id,
            fingerprint,
            user_id: _,
        } = request;
        self.0.push_back((request_id, fingerprint, orders));
    }
}

impl App {
    /// Erases the personal data of a customer for a request. Returns of how many orders. A repetition of the request
    /// has the same answer. Requests are answered one after the other.
    ///
    /// # Errors
    /// [`ErasureError`].
    pub async fn erase_customer_for(
        self: &Arc<Self>,
        request: ErasureRequest,
    ) -> Result<u64, ErasureError> {
        let app = Arc::clone(self);
        // In a task of its own, so that the answer is kept for a caller who is gone and asks again.
        let erasing = tokio::spawn(propagate_context(async move {
            // Until it is answered, so that a repetition that crosses it waits for the answer.
            let mut answered = app.erasures.lock().await;
            if let Some(answer) = answered.find(&request) {
                return answer;
            }
            let orders = app.erase_and_record(&request.user_id).await?;
            answered.add(request, orders);
            Ok(orders)
        }));
        erasing
            .await
            .unwrap_or(Err(ErasureError::Erase(EraseError::Panicked)))
    }

    /// Erases the personal data of a customer. Returns of how many orders.
    ///
    /// # Errors
    /// [`EraseError`].
    pub async fn erase_customer(self: &Arc<Self>, user_id: UserId) -> Result<u64, EraseError> {
        let app = Arc::clone(self);
        // In a task of its own, so that an erasure whose caller is gone is recorded in the audit log, too.
        let erasing = propagate_context(async move { app.erase_and_record(&user_id).await });
        let erasing = tokio::spawn(erasing);
        erasing.await.unwrap_or(Err(EraseError::Panicked))
    }

    async fn erase_and_record(&self, user_id: &UserId) -> Result<u64, EraseError> {
        let erased = self.store.erase_person(user_id).await;
        let orders = match &erased {
            Ok(orders) | Err(EraseError::Partly { erased: orders, .. }) => *orders,
            Err(_) => return erased,
        };
        tracing::info!(orders, "the personal data of a customer was erased");
        self.audit.record(AuditEvent::CustomerErased { orders });
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

    fn request(number: usize, fingerprint: u8) -> ErasureRequest {
        ErasureRequest {
            request_id: number.to_string(),
            fingerprint: [fingerprint; 32],
            user_id: "ada".into(),
        }
    }

    #[tokio::test]
    async fn an_erasure_is_answered_once() {
        let office = Office::new();
        office.order("a", &[1], None);
        let erase = async |number, fingerprint| {
            let request = request(number, fingerprint);
            office.app.erase_customer_for(request).await
        };
        assert_eq!(erase(1, 7).await.unwrap(), 1);
        assert_eq!(erase(2, 7).await.unwrap(), 0);
        assert_eq!(erase(1, 7).await.unwrap(), 1);
        let other = erase(1, 8).await;
        assert!(matches!(other, Err(ErasureError::RequestReused)));
    }

    #[test]
    fn the_oldest_answers_are_forgotten() {
        let mut answered = AnsweredErasures::default();
        for number in 0..=ERASURES_KEPT {
            answered.add(request(number, 7), 1);
        }
        assert!(answered.find(&request(0, 7)).is_none());
        assert!(answered.find(&request(1, 7)).is_some());
        assert_eq!(answered.0.len(), ERASURES_KEPT);
    }

    #[tokio::test]
    async fn an_export_has_every_order_with_its_updates() {
        let office = Office::new();
        office.order("a", &[1], None);
        let second = office.order("b", &[2], None);
        office.changed(&second, note("seen")).await;
        let mut export = office.app.export_customer("ada".into(), MerchantScope::ALL).unwrap();
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
