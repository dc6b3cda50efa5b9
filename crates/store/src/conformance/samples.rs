//! Values by chance, with every field and every variant, and with texts of all lengths that are encoded differently.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fastrand::Rng;

use crate::{
    ErasureAnswer, HistoryEntry, HoldId, HoldRecord, LifecycleDraft, LifecycleRevision, NamedClaim,
    NamedSlot, OrderUpdate, PaymentAttempt, PaymentIntent, PaymentOutcome, PlacedBill, PlacedOrder,
    PriceBook, PriceEntry, RequestAnswer, SlotBlock, StateChange, StepRetry, UpdateCause,
    UpdateTexts,
};
use domain::{
    ids::Token,
    ledger::{LedgerEntry, LedgerKind, PaidBy, PaymentLedger},
    lifecycle::{
        Entity, GivenUpStep, Name, NamedTree, OpenStep, OrderPart, Spots, StateMap, StepKind,
        Timer, TreeItem,
    },
    money::{Currency, Money, Percent},
    order::{
        BookedItem, BookingStatus, Customer, Deposit, IntakeAnswer, LineItem, NoShowFee, Order,
        OrderId, OrderedTickets, PaymentDetails, PaymentOption, PaymentProcessor, PostalAddress,
        PrepaymentStatus, PriceTag, PriceType,
    },
    refunds::{Bill, BillItem, RefundCondition, RefundFees, RefundTerms},
    slot::BlockedSpots,
    time::{EpochSeconds, Seconds},
};

/// One of the values.
pub(crate) fn one_of<T: Clone>(random: &mut Rng, values: &[T]) -> T {
    values[random.usize(..values.len())].clone()
}

/// An order with everything of its commit. Its token has not been seen before, as good as surely.
pub(crate) fn placed(random: &mut Rng, order_id: impl FnOnce(&Token) -> OrderId) -> PlacedOrder {
    let token = token(random);
    PlacedOrder {
        fingerprint: bytes(random),
        created_sec: second(random),
        created_by: maybe(random, name),
        order: Box::new(Order {
            id: order_id(&token),
            merchant_id: text(random).into(),
            customer: customer(random),
            payment: maybe(random, details).map(Box::new),
            items: several(random, item),
        }),
        claims: several(random, claim),
        payment: random.bool().then(|| attempt(random, token.clone())),
        hold: maybe(random, |random| HoldId(bytes(random))),
        bill: maybe(random, bill).map(Box::new),
        begun: maybe(random, |random| tree(random, &"processing".into(), 1)).map(Box::new),
        lifecycle: one_of(random, &[1, 1, 2, u32::MAX]),
        token,
    }
}

/// The update of an order to this revision. It gives nothing back.
pub(crate) fn update(random: &mut Rng, order: OrderId, revision: u32) -> OrderUpdate {
    let state: Name = one_of(
        random,
        &["processing", "cancelled", "customer_action_required"],
    )
    .into();
    let ledger_entry = LedgerEntry::new(LedgerKind::Captured, dollars(random), second(random));
    OrderUpdate {
        order,
        revision,
        updated_sec: second(random),
        tree: tree(random, &state, revision),
        entry: HistoryEntry {
            cause: one_of(
                random,
                &[
                    UpdateCause::Operator,
                    UpdateCause::Customer,
                    UpdateCause::Timer,
                ],
            ),
            actor: maybe(random, name),
            lifecycle: random.u32(..),
            changes: several(random, |random| StateChange {
                part: OrderPart::item(random.u16(..)),
                from: name(random).as_ref().into(),
                to: state.clone(),
            }),
            skipped: Vec::new(),
            events: Vec::new(),
            ledger: maybe(random, |_| ledger_entry).into_iter().collect(),
            released_items: several(random, |random| random.u16(..)),
            texts: UpdateTexts {
                note: text(random),
                reason: text(random),
            },
        },
        released: Vec::new(),
        answer: maybe(random, request_answer),
    }
}

/// An order in this state. One of two has a timer.
fn tree(random: &mut Rng, state: &Name, version: u32) -> NamedTree {
    let timer = Timer {
        name: "customer_action".into(),
        part: OrderPart::ORDER,
        due: second(random),
        to: "timed_out".into(),
    };
    let item = TreeItem {
        state: Name::from("confirmed"),
        spots: one_of(random, &[Spots::Held, Spots::Released]),
        fulfillment: None,
    };
    NamedTree {
        state: state.clone(),
        items: [item].into_iter().collect(),
        fulfillments: Vec::new(),
        refunds: Vec::new(),
        reductions: Vec::new(),
        ledger: PaymentLedger::new(PaidBy::Partner, dollars(random)),
        timers: maybe(random, |_| timer).into_iter().collect(),
        steps: maybe(random, open_step).into_iter().collect(),
        given_up: maybe(random, given_up).into_iter().collect(),
        ended: Vec::new(),
        launches: 0,
        reason: maybe(random, |_| "weather".into()),
        information: BTreeMap::new(),
        alerts: BTreeMap::new(),
        emitted: BTreeSet::new(),
        events: 0,
        version,
    }
}

fn given_up(random: &mut Rng) -> GivenUpStep {
    GivenUpStep {
        step: open_step(random),
        attempts: random.u32(..),
        error: "busy".into(),
    }
}

/// A step that has not been there before, as good as surely: orders number their steps from 1 on.
fn open_step(random: &mut Rng) -> OpenStep {
    OpenStep {
        number: random.u16(1..),
        kind: one_of(
            random,
            &[StepKind::Capture, StepKind::Custom(Name::from("tell"))],
        ),
        part: OrderPart::ORDER,
        due: second(random),
        amount: None,
    }
}

/// An attempt of any content at a step.
pub(crate) fn step_retry(random: &mut Rng, order: OrderId, step: u16) -> StepRetry {
    StepRetry {
        order,
        step,
        step_due_sec: second(random),
        attempts: random.u32(..),
        due_sec: second(random),
        error: text(random),
    }
}

/// A revision of the lifecycle. Its text is none that the server would accept, which is not for the store to know.
pub(crate) fn revision(random: &mut Rng, number: u32) -> LifecycleRevision {
    LifecycleRevision {
        number,
        digest: bytes(random),
        name: text(random),
        text: text(random),
        published_sec: second(random),
        by: maybe(random, name),
        maps: several(random, |random| StateMap {
            entity: one_of(random, &Entity::ALL),
            from: name(random).as_ref().into(),
            to: name(random).as_ref().into(),
        }),
        answer: maybe(random, request_answer),
    }
}

/// A draft of the lifecycle, or none.
pub(crate) fn draft(random: &mut Rng) -> LifecycleDraft {
    LifecycleDraft {
        text: maybe(random, text),
        drafted_sec: second(random),
        by: maybe(random, name),
        answer: maybe(random, request_answer),
    }
}

/// An answer to an erasure.
pub(crate) fn erasure_answer(random: &mut Rng) -> ErasureAnswer {
    ErasureAnswer {
        orders: random.u64(..9),
        answered_sec: second(random),
        answer: request_answer(random),
    }
}

fn request_answer(random: &mut Rng) -> RequestAnswer {
    RequestAnswer {
        request_id: text(random),
        fingerprint: bytes(random),
    }
}

fn dollars(random: &mut Rng) -> Money {
    let currency = Currency::from_code("USD").unwrap();
    Money::from_micros(random.i64(0..1_000) * 10_000, currency)
}

/// A bill of any content in one currency.
fn bill(random: &mut Rng) -> PlacedBill {
    let currency = money(random).currency();
    PlacedBill {
        bill: Bill {
            items: several(random, |random| bill_item(random, currency)),
            order_fees: Money::from_micros(number(random), currency),
        },
        refund_fees: one_of(
            random,
            &[RefundFees::WithPrice, RefundFees::Never, RefundFees::Always],
        ),
    }
}

fn bill_item(random: &mut Rng, currency: Currency) -> BillItem {
    let conditions: Vec<RefundCondition> = several(random, |random| RefundCondition {
        min_before_start: Seconds::new(number(random)),
        percent: Percent::new(random.u8(..=100)).unwrap_or(Percent::FULL),
    });
    BillItem {
        price: Money::from_micros(number(random), currency),
        taxes: Money::from_micros(number(random), currency),
        fees: Money::from_micros(number(random), currency),
        terms: if conditions.is_empty() {
            RefundTerms::Unstated
        } else {
            RefundTerms::Stated(conditions.into())
        },
    }
}

/// A hold of any content.
/// A block of a slot.
pub(crate) fn block(random: &mut Rng) -> SlotBlock {
    let count = one_of(random, &[0, 1, 7, u32::MAX]);
    SlotBlock {
        slot: NamedSlot {
            start_sec: second(random),
            merchant_id: text(random).into(),
            service_id: text(random).into(),
            duration_sec: random.u32(..).into(),
        },
        spots: one_of(random, &[BlockedSpots::All, BlockedSpots::Count(count)]),
        reason: text(random),
        actor: maybe(random, name),
        blocked_sec: second(random),
        answer: maybe(random, |random| RequestAnswer {
            request_id: text(random),
            fingerprint: bytes(random),
        }),
    }
}

pub(crate) fn hold(random: &mut Rng) -> HoldRecord {
    HoldRecord {
        id: HoldId(bytes(random)),
        revision: random.u32(..),
        owner: maybe(random, name),
        merchant_id: text(random).into(),
        lines: several(random, line),
        claims: several(random, claim),
        placed_sec: second(random),
        expires_sec: second(random),
        used: Seconds::new(number(random)),
    }
}

/// Prices of any content. Their ids are few, so that later books replace entries of earlier ones.
pub(crate) fn prices(random: &mut Rng) -> PriceBook {
    let mut entries: Vec<PriceEntry> = Vec::new();
    for entry in several(random, price_entry) {
        let ids = |entry: &PriceEntry| (entry.service_id.clone(), entry.ticket_id.clone());
        // A book has one entry of the same ids.
        if entries.iter().all(|other| ids(other) != ids(&entry)) {
            entries.push(entry);
        }
    }
    PriceBook { entries }
}

/// The charge of this token, about to be requested.
pub(crate) fn intent(random: &mut Rng, token: Token) -> PaymentIntent {
    PaymentIntent {
        token,
        attempt: random.u32(..),
        amount: money(random),
        started_sec: second(random),
        claims: several(random, claim),
        hold: maybe(random, |random| HoldId(bytes(random))),
    }
}

/// A payment of this token with an outcome.
pub(crate) fn attempt(random: &mut Rng, token: Token) -> PaymentAttempt {
    let outcomes = [
        PaymentOutcome::Captured,
        PaymentOutcome::Declined,
        PaymentOutcome::Voided,
        PaymentOutcome::Refunded,
    ];
    PaymentAttempt {
        intent: intent(random, token),
        outcome: one_of(random, &outcomes),
        transaction_id: text(random),
        finished_sec: second(random),
    }
}

/// A token that has not been seen before, as good as surely.
pub(crate) fn token(random: &mut Rng) -> Token {
    format!("{}{:032x}", text(random), random.u128(..)).into()
}

/// Texts whose lengths take one, two and three bytes; most are short.
fn text(random: &mut Rng) -> String {
    let length = match random.u8(..40) {
        0..=7 => 0,
        8 => random.usize(120..140),
        9 if random.u8(..10) == 0 => random.usize(16_370..16_400),
        _ => random.usize(1..20),
    };
    std::iter::repeat_with(|| one_of(random, &['a', 'B', '7', ' ', '\0', 'ü', '漢']))
        .take(length)
        .collect()
}

fn name(random: &mut Rng) -> Arc<str> {
    text(random).into()
}

fn number(random: &mut Rng) -> i64 {
    let extremes = [0, 1, -1, i64::MIN, i64::MAX];
    match random.u8(..4) {
        0 => one_of(random, &extremes),
        1 => random.i64(..),
        _ => random.i64(-1_000..2_000_000_000),
    }
}

/// Any second.
pub(crate) fn second(random: &mut Rng) -> EpochSeconds {
    EpochSeconds::new(number(random))
}

/// Any bytes.
pub(crate) fn bytes<const N: usize>(random: &mut Rng) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

fn maybe<T>(random: &mut Rng, make: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    random.bool().then(|| make(random))
}

fn several<T>(random: &mut Rng, make: impl Fn(&mut Rng) -> T) -> Vec<T> {
    (0..random.usize(..4)).map(|_| make(random)).collect()
}

fn money(random: &mut Rng) -> Money {
    let code = one_of(random, &["USD", "JPY", "KWD"]);
    let currency = Currency::from_code(code).unwrap();
    Money::from_micros(number(random), currency)
}

fn price_entry(random: &mut Rng) -> PriceEntry {
    let current = money(random);
    let previous = maybe(random, number);
    PriceEntry {
        merchant_id: "museum".into(),
        service_id: one_of(random, &["", "entry", "tour"]).into(),
        ticket_id: one_of(random, &[None, Some("adult"), Some("ü")]).map(Into::into),
        current,
        previous: previous.map(|micros| Money::from_micros(micros, current.currency())),
    }
}

fn claim(random: &mut Rng) -> NamedClaim {
    NamedClaim {
        merchant_id: text(random).into(),
        service_id: text(random).into(),
        start_sec: second(random),
        duration_sec: random.u32(..).into(),
        ticket_id: maybe(random, text).map(Into::into),
        count: random.u32(..),
    }
}

fn item(random: &mut Rng) -> BookedItem {
    let states = [
        BookingStatus::Confirmed,
        BookingStatus::PendingMerchantConfirmation,
        BookingStatus::Canceled,
        BookingStatus::NoShow,
        BookingStatus::NoShowPenalized,
        BookingStatus::Failed,
        BookingStatus::DeclinedByMerchant,
    ];
    BookedItem {
        line: line(random),
        status: one_of(random, &states),
    }
}

fn line(random: &mut Rng) -> LineItem {
    LineItem {
        service_id: text(random).into(),
        start_sec: second(random),
        duration_sec: Seconds::new(number(random)),
        tickets: several(random, |random| OrderedTickets {
            ticket_id: text(random).into(),
            count: random.i32(..),
        }),
        price: maybe(random, price),
        answers: maybe(random, |random| several(random, answer)),
    }
}

fn answer(random: &mut Rng) -> IntakeAnswer {
    IntakeAnswer {
        question_id: text(random),
        responses: several(random, text),
    }
}

fn price(random: &mut Rng) -> PriceTag {
    PriceTag {
        micros: number(random),
        currency_code: text(random),
        pricing_option_tag: text(random),
    }
}

fn customer(random: &mut Rng) -> Customer {
    Customer {
        user_id: text(random).into(),
        given_name: text(random),
        family_name: text(random),
        address: maybe(random, address),
        telephone: text(random),
        email: text(random),
        language_code: text(random),
    }
}

fn address(random: &mut Rng) -> PostalAddress {
    PostalAddress {
        country: text(random),
        locality: text(random),
        region: text(random),
        postal_code: text(random),
        street_address: text(random),
    }
}

fn details(random: &mut Rng) -> PaymentDetails {
    let prepayments = [
        None,
        Some(PrepaymentStatus::Provided),
        Some(PrepaymentStatus::NotProvided),
        Some(PrepaymentStatus::Refunded),
        Some(PrepaymentStatus::Credited),
    ];
    let processors = [
        None,
        Some(PaymentProcessor::Google),
        Some(PaymentProcessor::Partner),
    ];
    PaymentDetails {
        prepayment: one_of(random, &prepayments),
        transaction_id: text(random),
        price: maybe(random, price),
        tax_amount: maybe(random, price),
        fees: maybe(random, price),
        fees_and_taxes: maybe(random, price),
        deposit: maybe(random, deposit),
        no_show_fee: maybe(random, no_show_fee),
        processed_by: one_of(random, &processors),
        option: maybe(random, option),
    }
}

fn option(random: &mut Rng) -> PaymentOption {
    let id = text(random);
    if random.bool() {
        PaymentOption::Merchant(id)
    } else {
        PaymentOption::Customer(id)
    }
}

fn deposit(random: &mut Rng) -> Deposit {
    Deposit {
        amount: maybe(random, price),
        min_advance_cancellation_sec: Seconds::new(number(random)),
        kind: price_type(random),
    }
}

fn no_show_fee(random: &mut Rng) -> NoShowFee {
    NoShowFee {
        amount: maybe(random, price),
        kind: price_type(random),
    }
}

fn price_type(random: &mut Rng) -> PriceType {
    one_of(random, &[PriceType::Fixed, PriceType::PerPerson])
}
