//! The present in lists and searches, and the first answer in replays.

use super::*;
use crate::{
    MerchantScope,
    search::{OrderPage, OrderSearch},
    tests::{create, raft_on, try_to_create},
};
use domain::{
    fixtures::NOW,
    ledger::{LedgerEntry, LedgerKind, PaidBy, PaymentLedger},
    lifecycle::OrderTree,
    money::{Currency, Money},
    order::BookingStatus,
};
use kernel::clock::ManualClock;
use store::{HistoryEntry, OrderUpdate, UnitOfWork, UpdateCause, Write, memory::MemoryStore};

#[derive(Default)]
struct Taken(Vec<Order>);

impl TakeOrders for Taken {
    fn take(&mut self, order: Order) -> ControlFlow<()> {
        self.0.push(order);
        ControlFlow::Continue(())
    }
}

/// A server with one order, which is paid.
struct Desk {
    app: Arc<App>,
    runtime: tokio::runtime::Runtime,
    first: Order,
    revision: u32,
}

impl Desk {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let app = raft_on(Arc::new(MemoryStore::default()), clock);
        let first = {
            let _timers = runtime.enter();
            *create(&app, Some("card")).unwrap()
        };
        Self {
            app,
            runtime,
            first,
            revision: 0,
        }
    }

    /// The order is in this state from now on, and its item in that one.
    fn update(&mut self, state: &str, item: &str, refunded: i64) {
        let dollars = |micros| Money::from_micros(micros, Currency::from_code("USD").unwrap());
        let entries = [
            (LedgerKind::Captured, 15_000_000),
            (LedgerKind::Refunded, refunded),
        ]
        .map(|(kind, micros)| LedgerEntry::new(kind, dollars(micros), NOW));
        let ledger =
            PaymentLedger::with_entries(PaidBy::Partner, dollars(15_000_000), entries).unwrap();
        let lifecycle = self.app.lifecycle();
        let definition = lifecycle.definition();
        let mut tree = definition.named(OrderTree::new(definition, 1, ledger));
        tree.state = state.into();
        tree.items[0].state = item.into();
        self.revision += 1;
        let update = OrderUpdate {
            order: self.first.id.clone(),
            revision: self.revision,
            updated_sec: NOW,
            tree,
            entry: HistoryEntry::new(UpdateCause::Operator, 1),
            released: Vec::new(),
            answer: None,
        };
        let unit = UnitOfWork::write(Write::OrderUpdated(Box::new(update)));
        self.runtime.block_on(self.app.commit(&unit)).unwrap();
    }

    fn listed(&self) -> Order {
        let selection = Selection::User(self.first.customer.user_id.clone());
        let listed = self.app.list(selection, None, Taken::default());
        let mut listed = self.runtime.block_on(listed).unwrap().0;
        assert_eq!(listed.len(), 1);
        listed.remove(0)
    }

    /// Whether a search finds the order.
    fn finds(&self, search: OrderSearch) -> bool {
        let page = OrderPage {
            most: 10,
            before: None,
        };
        let found = self
            .runtime
            .block_on(self.app.search(search, page, MerchantScope::ALL));
        !found.unwrap().orders.is_empty()
    }
}

#[test]
fn a_list_shows_the_present_and_a_repeated_order_the_first_answer() {
    let mut desk = Desk::new();
    assert_eq!(desk.listed(), desk.first);
    let status = |order: &Order| order.items[0].status;
    assert_eq!(status(&desk.first), BookingStatus::Confirmed);
    for (state, expected) in [
        ("cancelled", BookingStatus::Canceled),
        ("no_show", BookingStatus::NoShow),
        ("fulfilled", BookingStatus::Confirmed),
        // Callers hear nothing of the first, and the lifecycle has no other.
        ("held", BookingStatus::Confirmed),
        ("from-another-lifecycle", BookingStatus::Confirmed),
    ] {
        desk.update("processing", state, 0);
        assert_eq!(status(&desk.listed()), expected, "{state}");
        let repeated = try_to_create(&desk.app, Some("card"), 0).unwrap().unwrap();
        assert_eq!(*repeated, desk.first, "{state}");
    }
}

#[test]
fn a_prepayment_is_refunded_once_all_of_it_was_given_back() {
    let mut desk = Desk::new();
    let prepayment = |order: Order| order.payment.unwrap().prepayment;
    for (refunded, expected) in [
        (0, PrepaymentStatus::Provided),
        (14_990_000, PrepaymentStatus::Provided),
        (15_000_000, PrepaymentStatus::Refunded),
    ] {
        desk.update("cancelled", "cancelled", refunded);
        assert_eq!(prepayment(desk.listed()), Some(expected), "{refunded}");
        assert_eq!(
            prepayment(desk.first.clone()),
            Some(PrepaymentStatus::Provided)
        );
    }
}

#[test]
fn orders_are_found_by_their_present_state() {
    let mut desk = Desk::new();
    let in_state = |state: &str| OrderSearch {
        states: vec![state.to_owned()],
        ..OrderSearch::default()
    };
    let waiting = OrderSearch {
        needs_attention: true,
        ..OrderSearch::default()
    };
    assert!(desk.finds(in_state("processing")));
    assert!(!desk.finds(waiting.clone()));
    desk.update("customer_action_required", "unavailable", 0);
    assert!(desk.finds(in_state("customer_action_required")));
    assert!(!desk.finds(in_state("processing")));
    assert!(desk.finds(waiting.clone()));
    desk.update("cancelled", "cancelled", 0);
    assert!(desk.finds(in_state("cancelled")));
    assert!(!desk.finds(waiting));
}
