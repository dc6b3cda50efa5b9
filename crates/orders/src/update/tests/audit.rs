//! Changes by chance on both stores, with ends of the process between them: spots, money and history add up.

use fastrand::Rng;
use store::{Store, log::LogStore};
use testkit::seeds::seeds;

use super::*;

/// Spots of the slot.
const ALLOTMENT: u32 = 20;

/// Orders of a run.
const ORDERS: usize = 4;

/// Changes of a run.
const CHANGES: usize = 30;

/// Batches of the log, in units.
const BATCH_MAX: usize = 64;

/// A server that ends and starts again on a store of one kind.
struct Shop {
    kind: StoreKind,
    app: Option<Arc<App>>,
    gateway: Arc<SimulatedGateway>,
    clock: Arc<ManualClock>,
    orders: Vec<OrderId>,
    /// Refunds that a policy has decided, by their orders.
    by_policy: Vec<(OrderId, u16)>,
    requests: u32,
}

enum StoreKind {
    Memory(Arc<MemoryStore>),
    Log(tempfile::TempDir),
}

impl Shop {
    async fn new(kind: StoreKind) -> Self {
        let mut shop = Self {
            kind,
            app: None,
            gateway: Arc::default(),
            clock: Arc::new(ManualClock::at(NOW)),
            orders: Vec::new(),
            by_policy: Vec::new(),
            requests: 0,
        };
        shop.start().await;
        shop
    }

    async fn start(&mut self) {
        // Before the store is opened: only one process may have it.
        self.app = None;
        let store: Arc<dyn Store> = match &self.kind {
            StoreKind::Memory(store) => store.clone(),
            StoreKind::Log(dir) => Arc::new(LogStore::open(dir.path(), BATCH_MAX).unwrap()),
        };
        let parts = Parts {
            payments: Some(self.gateway.clone()),
            ..parts_on(
                store,
                self.clock.clone(),
                raft_catalog(Some(ALLOTMENT), with_terms),
            )
        };
        self.app = Some(App::open(parts).await.unwrap());
    }

    fn app(&self) -> &Arc<App> {
        self.app.as_ref().unwrap()
    }

    async fn order(&mut self, random: &mut Rng) {
        let cards = [
            None,
            Some("approve"),
            Some("refund-fails"),
            Some("refund-fails-3"),
        ];
        let card = cards[random.usize(..cards.len())];
        let seats: Vec<i32> = (0..random.usize(1..4)).map(|_| random.i32(1..3)).collect();
        let command = Box::new(CreateOrder {
            token: Token::from(format!("order {}", self.orders.len())),
            fingerprint: [0; 32],
            order: new_order(&seats, card),
        });
        // It may not fit any more.
        if let Ok(order) = self.app().create(command, None, far()).await.unwrap() {
            self.orders.push(order.id.clone());
        }
    }

    async fn change(&mut self, random: &mut Rng) {
        let order = self.orders[random.usize(..self.orders.len())].clone();
        self.requests += 1;
        let request = ChangeRequest {
            order,
            request_id: format!("00000000-0000-4000-8000-{:012}", self.requests),
            fingerprint: [7; 32],
            expected_revision: None,
            user: None,
            mode: ChangeMode::Commit,
        };
        let change = any_change(random);
        let first = self
            .app()
            .change_order(request.clone(), change.clone(), far())
            .await;
        if let (Some(RefundChoice::Policy), Ok(stored)) = (change.refund(), &first) {
            self.note_policy(stored);
        }
        if random.bool() {
            let again = self.app().change_order(request, change, far()).await;
            match (first, again) {
                (Ok(first), Ok(again)) => assert_eq!(first, again),
                (Err(_), Err(_)) => {}
                (first, again) => panic!("{first:?}, and then {again:?}"),
            }
        }
    }

    /// Notes the refunds of a change that the policy has decided.
    fn note_policy(&mut self, stored: &StoredOrder) {
        let update = stored.update.as_ref().unwrap();
        for index in update.entry.ledger.iter().filter_map(|entry| entry.refund) {
            // After a withdrawal all of it is the merchant's doing.
            let refund = &update.tree.refunds[usize::from(index)];
            if refund.cause != RefundCause::Merchant {
                let order = stored.placed.order.id.clone();
                self.by_policy.push((order, index));
            }
        }
    }

    async fn work(&self) {
        let random = Rng::with_seed(7);
        let (settings, custom) = (StepSettings::default(), CustomSteps::new());
        let runner = StepRunner::new(self.app().clone(), settings, custom, random);
        runner.run_due().await;
    }

    async fn check(&self, case: &str) {
        let mut held = 0;
        for order in &self.orders {
            let stored = self.app().stored_order(order).await.unwrap().unwrap();
            held += held_spots(&stored);
            self.check_money(&stored, case);
            self.check_refunds(&stored, case);
            self.check_history(&stored, case);
        }
        assert_eq!(open_for_others(self.app()), ALLOTMENT - held, "{case}");
    }

    fn check_money(&self, stored: &StoredOrder, case: &str) {
        let given = self
            .gateway
            .refunds_of(&ChargeKey::new(&stored.placed.order.id, 1));
        let given: i64 = given.iter().map(|amount| amount.to_micros().unwrap()).sum();
        let captured = stored.placed.payment.as_ref();
        let captured = captured.map_or(0, |attempt| attempt.intent.amount.to_micros().unwrap());
        assert!(given <= captured, "{case}");
        let Some(update) = &stored.update else {
            assert_eq!(given, 0, "{case}");
            return;
        };
        let ledger = &update.tree.ledger;
        assert_eq!(ledger.fault(), None, "{case}");
        let refunded = ledger.balance().refunded.to_micros().unwrap();
        // What has gone back is on record, or a step that will find out is.
        assert!(refunded <= given, "{case}");
        if update.tree.steps.is_empty() {
            assert_eq!(refunded, given, "{case}");
        }
    }

    /// No item is given back beyond its price, nor beyond its share by policy.
    fn check_refunds(&self, stored: &StoredOrder, case: &str) {
        let (Some(update), Some(bill)) = (&stored.update, &stored.placed.bill) else {
            return;
        };
        let order = &stored.placed.order.id;
        let counted = |index: u16| update.tree.ledger.counts(index);
        for (item, billed) in (0_u16..).zip(&bill.bill.items) {
            let (mut given, mut by_policy) = (0, 0);
            for (index, refund) in (0_u16..).zip(&update.tree.refunds) {
                let parts = refund.amount.items.iter();
                let parts = parts.filter(|part| part.item == item && counted(index));
                let amount: i64 = parts.map(|part| part.amount.to_micros().unwrap()).sum();
                given += amount;
                if self.by_policy.contains(&(order.clone(), index)) {
                    by_policy += amount;
                }
            }
            let price = billed.total().unwrap().to_micros().unwrap();
            assert!(given <= price, "{case}, item {item}");
            assert!(by_policy <= price / 2, "{case}, item {item}");
        }
        for (index, refund) in (0_u16..).zip(&update.tree.refunds) {
            let mut entries = update.tree.ledger.entries().iter();
            let last = entries.rfind(|entry| entry.refund == Some(index));
            assert_eq!(
                last.unwrap().amount,
                refund.amount.total,
                "{case}: as it is shown"
            );
        }
    }

    fn check_history(&self, stored: &StoredOrder, case: &str) {
        let mut revisions = Vec::new();
        let mut entries = Vec::new();
        let mut released = 0;
        let read = self
            .app()
            .store
            .history(&stored.placed.order.id, &mut |update| {
                revisions.push(update.revision);
                entries.splice(0..0, update.entry.ledger);
                released += update.released.iter().map(|claim| claim.count).sum::<u32>();
                ControlFlow::Continue(())
            });
        read.unwrap();
        let expected: Vec<u32> = (1..=stored.revision()).rev().collect();
        assert_eq!(revisions, expected, "{case}");
        let claimed: u32 = stored.placed.claims.iter().map(|claim| claim.count).sum();
        assert_eq!(released, claimed - held_spots(stored), "{case}");
        if let Some(update) = &stored.update {
            // The ledger of the order is what its history adds up to, after the charge of the sale.
            let charges = usize::from(stored.placed.payment.is_some());
            assert_eq!(update.tree.ledger.entries()[charges..], entries, "{case}");
        }
    }
}

fn held_spots(stored: &StoredOrder) -> u32 {
    let items = stored.placed.order.items.iter();
    let mut held = 0;
    for (index, item) in items.enumerate() {
        let seats: i32 = item.line.tickets.iter().map(|ticket| ticket.count).sum();
        let tree = stored.update.as_ref().map(|update| &update.tree);
        if tree.is_none_or(|tree| tree.items[index].spots == domain::lifecycle::Spots::Held) {
            held += seats.cast_unsigned();
        }
    }
    held
}

fn any_change(random: &mut Rng) -> OrderChange {
    let items = match random.u8(..3) {
        0 => vec![],
        1 => vec![0],
        _ => vec![random.u32(..3)],
    };
    let choice = match random.u8(..4) {
        0 => RefundChoice::Policy,
        1 => RefundChoice::Full,
        2 => RefundChoice::Nothing,
        _ => RefundChoice::Amount(cents(random.i64(1..9_000))),
    };
    match random.u8(..7) {
        0 => cancel(&items, choice),
        1 => refund(&items, choice),
        2 => withdraw(&items),
        3 => OrderChange::CustomerAction(CustomerDecision::Amend),
        4 => OrderChange::CustomerAction(CustomerDecision::Cancel),
        5 => OrderChange::MarkNoShow { items },
        _ => note("called"),
    }
}

async fn run(seed: u64, kind: StoreKind) {
    let mut random = Rng::with_seed(seed);
    let mut shop = Shop::new(kind).await;
    for _ in 0..ORDERS {
        shop.order(&mut random).await;
    }
    for change in 0..CHANGES {
        match random.u8(..10) {
            0 => shop.start().await,
            1..=2 => shop.work().await,
            3 => shop
                .clock
                .advance(Seconds::new(random.i64(-40_000..80_000))),
            _ => shop.change(&mut random).await,
        }
        shop.check(&format!("seed {seed}, after change {change}"))
            .await;
    }
    shop.start().await;
    for _ in 0..ORDERS * 8 {
        shop.clock.advance(Seconds::HOUR);
        shop.work().await;
    }
    shop.check(&format!("seed {seed}, at the end")).await;
    assert_eq!(
        shop.app().timers_and_steps().1,
        0,
        "seed {seed}: no step is left"
    );
}

#[tokio::test]
async fn spots_money_and_history_add_up_whatever_happens_and_whenever_the_process_ends() {
    for seed in seeds(40) {
        run(seed, StoreKind::Memory(Arc::default())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_same_on_the_log() {
    for seed in seeds(8) {
        run(seed, StoreKind::Log(tempfile::tempdir().unwrap())).await;
    }
}
