//! How an order begins: by the lifecycle in force, as soon as its spots are taken.
//!
//! Nearly all orders begin alike. How they do follows from the lifecycle, from who is paid and from the number of items, so
//! nothing of it is on record. An order that begins otherwise, or with timers or steps, is stored as it begins.

use std::{array, borrow::Cow, sync::OnceLock};

use smallvec::SmallVec;

use super::{App, CHANNEL, OrderError, lifecycle::ActiveLifecycle, update::ChangeError};
use domain::{
    ids::{MerchantId, ServiceId},
    ledger::{LedgerEntry, LedgerKind, PaidBy, PaymentLedger},
    lifecycle::{Definition, Entity, Facts, ItemFacts, OrderTree, Spots, StateIx, Trigger, run},
    money::{Currency, Money},
    order::{BookingStatus, LineItem, PaymentProcessor, PriceTag},
    refunds::RefundFees,
    shipment::DeliveryType,
    slot::Confirmation,
    time::EpochSeconds,
};
use store::PlacedOrder;

/// The usual beginnings of orders with fewer items than this are kept: of all, as long as `max_items_per_order` has its
/// default.
const KEPT_ITEMS: usize = 101;

/// A time that is far from every other.
const FAR: EpochSeconds = EpochSeconds::new(1 << 40);

/// How orders usually begin under a lifecycle, by who is paid and by their number of items. Each is made when it is needed
/// for the first time.
#[derive(Debug)]
pub(super) struct UsualBeginnings {
    /// Boxed, all and each: most are never made, and a lifecycle is moved while it is made.
    kept: Box<[[KeptBeginning; KEPT_ITEMS]; 4]>,
}

/// How orders usually begin, once it is made; `None` if there is no usual way.
type KeptBeginning = OnceLock<Option<Box<OrderTree>>>;

impl Default for UsualBeginnings {
    fn default() -> Self {
        let of_payer = |_| array::from_fn(|_| OnceLock::new());
        Self {
            kept: Box::new(array::from_fn(of_payer)),
        }
    }
}

impl UsualBeginnings {
    /// How an order usually begins, but for its ledger. `None` if it follows from more than this, if timers and steps
    /// belong to it, or if it is in other states than most.
    pub(super) fn get(
        &self,
        definition: &Definition,
        paid_by: PaidBy,
        items: u16,
    ) -> Option<Cow<'_, OrderTree>> {
        let of_payer = &self.kept[match paid_by {
            PaidBy::Google => 0,
            PaidBy::Partner => 1,
            PaidBy::Merchant => 2,
            PaidBy::Nobody => 3,
        }];
        match of_payer.get(usize::from(items)) {
            Some(kept) => {
                let make = || usual(definition, paid_by, items).map(Box::new);
                kept.get_or_init(make).as_deref().map(Cow::Borrowed)
            }
            None => usual(definition, paid_by, items).map(Cow::Owned),
        }
    }
}

/// The states of most orders and of each of their items when they begin: those of an order of one item that is paid
/// elsewhere.
pub(super) fn usual_states(definition: &Definition) -> (StateIx, StateIx) {
    if let Some(begun) = unremarkable(definition, PaidBy::Google, 1)
        && let [item] = &begun.items[..]
    {
        return (begun.state, item.state);
    }
    // No order begins so: each has its own beginning on record.
    let start = |entity| definition.entity(entity).start;
    (start(Entity::Order), start(Entity::LineItem))
}

/// How an order begins of which nothing needs to be on record.
fn usual(definition: &Definition, paid_by: PaidBy, items: u16) -> Option<OrderTree> {
    let begun = unremarkable(definition, paid_by, items)?;
    // One pair of states for all of these orders: who lists them, or counts them, knows no more of them.
    let (state, item_state) = usual_states(definition);
    let is_in_states =
        begun.state == state && begun.items.iter().all(|item| item.state == item_state);
    (is_in_states && !begun.has_work()).then_some(begun)
}

/// How an order begins of which nothing else is known.
fn unremarkable(definition: &Definition, paid_by: PaidBy, items: u16) -> Option<OrderTree> {
    let due = Money::from_micros(1_000_000, Currency::from_code("USD")?);
    let captured = LedgerEntry::new(LedgerKind::Captured, due, EpochSeconds::default());
    let entries = (paid_by == PaidBy::Partner).then_some(captured);
    let ledger = PaymentLedger::with_entries(paid_by, due, entries).ok()?;
    let (merchant, service) = (MerchantId::from(""), ServiceId::from(""));
    let item = ItemFacts {
        service: &service,
        start: FAR,
        end: FAR,
        spots: 0,
        spots_open: 0,
        confirmation: Confirmation::AtOnce,
        answers: &[],
    };
    let facts = Facts {
        now: EpochSeconds::default(),
        channel: CHANNEL,
        merchant: &merchant,
        delivery: DeliveryType::None,
        items: &vec![item; usize::from(items)],
        bill: None,
        refund_fees: RefundFees::default(),
        authorization_ends: None,
    };
    let tree = OrderTree::new(definition, items, ledger);
    Some(run(definition, tree, begin(), &facts).ok()?.tree)
}

fn begin() -> Trigger {
    Trigger::Begin {
        unavailable: Vec::new(),
    }
}

impl App {
    /// Has an order begin that is about to be recorded, by the lifecycle that it is placed under: what its caller hears of
    /// each item, and how it begins unless that is as usual. `confirmations` says who confirms each item.
    ///
    /// # Errors
    /// [`OrderError::Bug`] if the lifecycle does not let it begin. The cause is logged, at most once a second.
    pub(super) fn begin(
        &self,
        lifecycle: &ActiveLifecycle,
        placed: &mut PlacedOrder,
        confirmations: impl Iterator<Item = Confirmation>,
    ) -> Result<(), OrderError> {
        let tree = begun(lifecycle, placed, confirmations).and_then(all_held);
        let tree = tree.map_err(|error| {
            if let Some(times) = self.write_errors.due(self.now()) {
                tracing::error!(%error, times, "the lifecycle does not let an order begin");
            }
            OrderError::Bug
        })?;
        for (item, begun) in placed.order.items.iter_mut().zip(&tree.items) {
            let status = lifecycle.status_of(begun.state);
            // An item that callers hear nothing of is sold all the same.
            item.status = status.unwrap_or(BookingStatus::Confirmed);
        }
        if !lifecycle.is_usual(&tree) {
            placed.begun = Some(Box::new(lifecycle.definition().named(tree)));
        }
        Ok(())
    }
}

/// An order that has begun with all of its spots. Its claims are what is sold, so none of them may be given back before
/// there is an update that says so.
fn all_held(tree: OrderTree) -> Result<OrderTree, ChangeError> {
    if tree.items.iter().all(|item| item.spots == Spots::Held) {
        return Ok(tree);
    }
    let text = "the spots of an item would be given back with its sale";
    Err(ChangeError::Lifecycle(text.to_owned()))
}

impl ActiveLifecycle {
    /// Whether an order that has begun so needs no record of it.
    fn is_usual(&self, tree: &OrderTree) -> bool {
        let Ok(items) = u16::try_from(tree.items.len()) else {
            return false;
        };
        let paid_by = tree.ledger.paid_by();
        let usual = self.usual().get(self.definition(), paid_by, items);
        usual.is_some_and(|usual| tree.stands_like(&usual))
    }

    /// An order as it has begun that was stored without it, in the states of the definition in force.
    pub(super) fn as_placed(&self, placed: &PlacedOrder) -> Result<OrderTree, ChangeError> {
        let ledger = ledger(placed)?;
        let items = u16::try_from(placed.order.items.len()).map_err(|_| OrderError::Unreadable)?;
        if let Some(tree) = self.usual_under(placed.lifecycle, &ledger, items) {
            return Ok(tree);
        }
        match self.usual().get(self.definition(), ledger.paid_by(), items) {
            Some(usual) => Ok(OrderTree {
                ledger,
                ..usual.into_owned()
            }),
            // Placed under a definition that cannot be read any more: then as it would begin by this one.
            None => begun(self, placed, confirmations(placed)),
        }
    }

    /// How an order usually began under a revision before the one in force, by the names in force. `None` if the revision
    /// is in force, cannot be read, or has states that have no name any more.
    fn usual_under(&self, revision: u32, ledger: &PaymentLedger, items: u16) -> Option<OrderTree> {
        let (definition, usual) = self.before(revision)?;
        let usual = usual.get(definition, ledger.paid_by(), items)?;
        let tree = OrderTree {
            ledger: ledger.clone(),
            ..usual.into_owned()
        };
        let named = self.renamed(revision, definition.named(tree));
        self.definition().interned(named).ok()
    }
}

/// Who confirms each item, by what the caller has heard of it.
pub(super) fn confirmations(placed: &PlacedOrder) -> impl Iterator<Item = Confirmation> {
    placed.order.items.iter().map(|item| match item.status {
        BookingStatus::PendingMerchantConfirmation => Confirmation::ByMerchant,
        BookingStatus::Confirmed
        | BookingStatus::Canceled
        | BookingStatus::NoShow
        | BookingStatus::NoShowPenalized
        | BookingStatus::Failed
        | BookingStatus::DeclinedByMerchant => Confirmation::AtOnce,
    })
}

/// An order right after its beginning, at the moment of the sale.
fn begun(
    lifecycle: &ActiveLifecycle,
    placed: &PlacedOrder,
    confirmations: impl Iterator<Item = Confirmation>,
) -> Result<OrderTree, ChangeError> {
    let mut items: SmallVec<[ItemFacts<'_>; 4]> = SmallVec::new();
    for (booked, confirmation) in placed.order.items.iter().zip(confirmations) {
        let line = &booked.line;
        let spots = spots(line);
        items.push(ItemFacts {
            service: &line.service_id,
            start: line.start_sec,
            end: line.start_sec.saturating_add(line.duration_sec),
            spots,
            // It has what it takes: what else is open does not matter to it.
            spots_open: spots,
            confirmation,
            answers: line.answers.as_deref().unwrap_or_default(),
        });
    }
    let definition = lifecycle.definition();
    let count = u16::try_from(items.len()).map_err(|_| OrderError::Unreadable)?;
    let tree = OrderTree::new(definition, count, ledger(placed)?);
    let facts = facts(placed, &items, placed.created_sec);
    match run(definition, tree, begin(), &facts) {
        Ok(outcome) => Ok(outcome.tree),
        Err(refused) => Err(ChangeError::refused(&refused, definition)),
    }
}

fn spots(line: &LineItem) -> u32 {
    if line.tickets.is_empty() {
        // An appointment.
        return 1;
    }
    let mut spots: u32 = 0;
    for ticket in &line.tickets {
        spots = spots.saturating_add(ticket.count.unsigned_abs());
    }
    spots
}

/// What a run may know of an order at a moment.
pub(super) fn facts<'f>(
    placed: &'f PlacedOrder,
    items: &'f [ItemFacts<'f>],
    now: EpochSeconds,
) -> Facts<'f> {
    let billed = placed.bill.as_deref();
    Facts {
        now,
        channel: CHANNEL,
        merchant: &placed.order.merchant_id,
        delivery: DeliveryType::None,
        items,
        bill: billed.map(|billed| &billed.bill),
        refund_fees: billed.map_or(RefundFees::default(), |billed| billed.refund_fees),
        authorization_ends: None,
    }
}

/// What was paid at the sale.
fn ledger(placed: &PlacedOrder) -> Result<PaymentLedger, OrderError> {
    if let Some(attempt) = &placed.payment {
        // An order that is charged is placed only once the money is captured.
        let due = attempt.intent.amount;
        let captured = LedgerEntry::new(LedgerKind::Captured, due, attempt.finished_sec);
        return PaymentLedger::with_entries(PaidBy::Partner, due, [captured])
            .map_err(|_| OrderError::Unreadable);
    }
    let price = price(placed)?;
    let details = placed.order.payment.as_deref();
    let paid_by = match details.and_then(|details| details.processed_by) {
        Some(PaymentProcessor::Google) => PaidBy::Google,
        // We would have charged if anything had been due.
        Some(PaymentProcessor::Partner) => PaidBy::Nobody,
        None if price.is_zero() => PaidBy::Nobody,
        None => PaidBy::Merchant,
    };
    Ok(PaymentLedger::new(paid_by, price))
}

/// The prices of the items, added up.
fn price(placed: &PlacedOrder) -> Result<Money, OrderError> {
    let mut sum: Option<Money> = None;
    for item in &placed.order.items {
        let Some(price) = item.line.price.as_ref().and_then(PriceTag::money) else {
            continue;
        };
        sum = Some(match sum {
            Some(sum) => sum.plus(price).map_err(|_| OrderError::Unreadable)?,
            None => price,
        });
    }
    // Nothing, in whatever currency, where no item has a price.
    let none = || Currency::from_code("USD").map(Money::zero);
    sum.or_else(none).ok_or(OrderError::Bug)
}

#[cfg(test)]
mod tests;
