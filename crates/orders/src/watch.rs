//! Orders that are watched: a watch is notified that its order has changed, and reads it then.
//!
//! A notification carries nothing, so a slow reader has no backlog: it reads the order as it stands when it is ready.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{App, MerchantScope, OrderError};
use domain::order::OrderId;
use store::{OrderKey, StoredOrder};

/// The orders that are watched.
#[derive(Debug, Default)]
pub(super) struct WatchedOrders(Mutex<HashMap<OrderKey, watch::Sender<()>>>);

impl WatchedOrders {
    /// An update of an order is on record.
    pub(super) fn note(&self, order: &OrderKey) {
        if let Some(changed) = self.lock().get(order) {
            changed.send_replace(());
        }
    }

    fn subscribe(&self, order: OrderKey) -> watch::Receiver<()> {
        let mut watched = self.lock();
        let changed = watched
            .entry(order)
            .or_insert_with(|| watch::Sender::new(()));
        changed.subscribe()
    }

    /// Ends a subscription, and forgets an order that nobody else watches.
    fn unsubscribe(&self, order: &OrderKey) {
        let mut watched = self.lock();
        // The receiver of the caller is dropped after this.
        let is_last = |changed: &watch::Sender<()>| changed.receiver_count() <= 1;
        if watched.get(order).is_some_and(is_last) {
            watched.remove(order);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrderKey, watch::Sender<()>>> {
        // Nothing that is done under the lock panics, so a panic elsewhere leaves the contents whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An order that is watched, until this is dropped.
#[derive(Debug)]
pub struct OrderWatch {
    app: Arc<App>,
    order: OrderId,
    scope: MerchantScope,
    key: OrderKey,
    changed: watch::Receiver<()>,
    /// The revision that was returned last.
    shown: Option<u32>,
}

impl App {
    /// Watches an order; `None` for an id that no order can have.
    #[must_use]
    pub fn watch_order(
        self: &Arc<Self>,
        order: OrderId,
        scope: MerchantScope,
    ) -> Option<OrderWatch> {
        let key = OrderKey::of_id(&order)?;
        Some(OrderWatch {
            app: Arc::clone(self),
            // Before the order is read for the first time: no change falls between the two.
            changed: self.watched.subscribe(key),
            order,
            scope,
            key,
            shown: None,
        })
    }
}

impl OrderWatch {
    /// The order as it stands: the first time at once, and then once it has changed since the last time. Changes in
    /// between are not returned one by one. `None` if there is no such order in the scope.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`].
    pub async fn next(&mut self) -> Result<Option<StoredOrder>, OrderError> {
        loop {
            if self.shown.is_some() && self.changed.changed().await.is_err() {
                // The sender stays for as long as this receiver does.
                return Err(OrderError::Bug);
            }
            let stored = self.app.order_for(&self.order, &self.scope).await?;
            let revision = stored.as_ref().map(StoredOrder::revision);
            // A change that was on record before the last reading may be notified after it.
            if revision.is_none() || revision != self.shown {
                self.shown = revision;
                return Ok(stored);
            }
        }
    }
}

impl Drop for OrderWatch {
    fn drop(&mut self) {
        self.app.watched.unsubscribe(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::update::tests::{Office, note};

    #[test]
    fn watches_are_notified_once_of_any_number_of_changes_and_are_forgotten() {
        let watched = WatchedOrders::default();
        let [order, other] = [1, 2].map(|byte| OrderKey([byte; 16]));
        watched.note(&order);
        let mut first = watched.subscribe(order);
        let mut second = watched.subscribe(order);
        assert_eq!(first.changed().now_or_never().map(|it| it.is_ok()), None);
        for _ in 0..3 {
            watched.note(&order);
        }
        watched.note(&other);
        assert!(first.changed().now_or_never().unwrap().is_ok());
        assert_eq!(first.changed().now_or_never().map(|it| it.is_ok()), None);
        assert!(second.changed().now_or_never().unwrap().is_ok());
        watched.unsubscribe(&order);
        drop(first);
        watched.note(&order);
        assert!(second.changed().now_or_never().unwrap().is_ok());
        watched.unsubscribe(&order);
        assert!(watched.lock().is_empty());
    }

    #[tokio::test]
    async fn a_slow_reader_gets_the_newest_state_and_no_backlog() {
        let office = Office::new();
        let order = office.order("a", &[1], None);
        let mut watch = office
            .app
            .watch_order(order.clone(), MerchantScope::ALL)
            .unwrap();
        // On record before the first reading, and notified after it.
        office.changed(&order, note("early")).await;
        let shown = async |watch: &mut OrderWatch| watch.next().await.unwrap().unwrap().revision();
        assert_eq!(shown(&mut watch).await, 1);
        assert_eq!(watch.next().now_or_never(), None);
        for text in ["one", "two", "three"] {
            office.changed(&order, note(text)).await;
        }
        assert_eq!(shown(&mut watch).await, 4);
        assert_eq!(watch.next().now_or_never(), None);
        drop(watch);
        assert!(office.app.watched.lock().is_empty());
        let unknown = OrderId::from("A".repeat(order.as_str().len()).as_str());
        let mut unknown = office.app.watch_order(unknown, MerchantScope::ALL).unwrap();
        assert_eq!(unknown.next().await, Ok(None));
        assert!(
            office
                .app
                .watch_order("nobody".into(), MerchantScope::ALL)
                .is_none()
        );
    }
}
