//! Orders that are run by a definition.

use domain::{
    ids::{MerchantId, ServiceId},
    ledger::{LedgerEntry, LedgerKind, PaidBy, PaymentLedger},
    lifecycle::{
        Definition, Effect, Entity, Facts, ItemFacts, OrderPart, OrderTree, Refused, RunOutcome,
        StateIx, StepAnswer, StepKind, StepResult, Trigger, run, run_all,
    },
    money::{Currency, Money, Percent},
    order::IntakeAnswer,
    refunds::{Bill, BillItem, RefundCondition, RefundFees, RefundTerms},
    shipment::DeliveryType,
    slot::Confirmation,
    time::{EpochSeconds, Seconds},
};

/// When everything happens.
pub(super) const NOW: EpochSeconds = EpochSeconds::new(1_000_000);

/// The first item starts ten days later, the others a day after each other.
pub(super) const START: EpochSeconds = EpochSeconds::new(1_864_000);

/// So many dollars.
pub(super) fn dollars(amount: i64) -> Money {
    Money::from_micros(amount * 1_000_000, Currency::from_code("USD").unwrap())
}

/// A definition with all that is known of an order. Every item costs 10 dollars.
pub(super) struct World {
    pub(super) def: Definition,
    pub(super) now: EpochSeconds,
    pub(super) channel: &'static str,
    pub(super) merchant: MerchantId,
    pub(super) delivery: DeliveryType,
    pub(super) services: Vec<ServiceId>,
    pub(super) spots_open: u32,
    pub(super) answers: Vec<IntakeAnswer>,
    pub(super) terms: RefundTerms,
    pub(super) authorization_ends: Option<EpochSeconds>,
    /// Who confirms items, by turns.
    pub(super) confirmation: [Confirmation; 2],
}

impl World {
    pub(super) fn new(def: Definition) -> Self {
        Self {
            def,
            now: NOW,
            channel: "google",
            merchant: "museum".into(),
            delivery: DeliveryType::None,
            services: vec![
                "tour".into(),
                "tour".into(),
                "concert".into(),
                "concert".into(),
            ],
            spots_open: 5,
            answers: Vec::new(),
            terms: RefundTerms::Stated(
                [RefundCondition {
                    min_before_start: Seconds::DAY,
                    percent: Percent::new(50).unwrap(),
                }]
                .into(),
            ),
            authorization_ends: None,
            confirmation: [Confirmation::AtOnce; 2],
        }
    }

    pub(super) fn usual() -> Self {
        Self::new(crate::default().unwrap())
    }

    /// The bill of so many items.
    fn bill(&self, items: usize) -> Bill {
        let item = BillItem {
            price: dollars(10),
            taxes: dollars(0),
            fees: dollars(0),
            terms: self.terms.clone(),
        };
        Bill {
            items: vec![item; items],
            order_fees: dollars(0),
        }
    }

    /// Something with the facts of an order of so many items.
    pub(super) fn with_facts<T>(&self, items: usize, use_them: impl FnOnce(&Facts<'_>) -> T) -> T {
        let mut all = Vec::new();
        let mut start = START;
        for index in 0..items {
            all.push(ItemFacts {
                service: &self.services[index % self.services.len()],
                start,
                end: start.saturating_add(Seconds::HOUR),
                spots: 2,
                spots_open: self.spots_open,
                confirmation: self.confirmation[index % 2],
                answers: &self.answers,
            });
            start = start.saturating_add(Seconds::DAY);
        }
        let bill = self.bill(items);
        use_them(&Facts {
            now: self.now,
            channel: self.channel,
            merchant: &self.merchant,
            delivery: self.delivery,
            items: &all,
            bill: Some(&bill),
            refund_fees: RefundFees::WithPrice,
            authorization_ends: self.authorization_ends,
        })
    }

    pub(super) fn run(&self, tree: &OrderTree, trigger: Trigger) -> Result<RunOutcome, Refused> {
        self.with_facts(tree.items.len(), |facts| {
            run(&self.def, tree.clone(), trigger, facts)
        })
    }

    pub(super) fn run_all(
        &self,
        tree: &OrderTree,
        triggers: Vec<Trigger>,
    ) -> Result<RunOutcome, Refused> {
        self.with_facts(tree.items.len(), |facts| {
            run_all(&self.def, tree.clone(), triggers, facts)
        })
    }

    /// An order before its beginning.
    pub(super) fn sold(&self, items: u16, paid_by: PaidBy) -> OrderTree {
        let due = dollars(10 * i64::from(items));
        OrderTree::new(&self.def, items, PaymentLedger::new(paid_by, due))
    }

    pub(super) fn begin(&self, items: u16, paid_by: PaidBy) -> RunOutcome {
        self.begin_without(items, paid_by, &[])
    }

    pub(super) fn begin_without(
        &self,
        items: u16,
        paid_by: PaidBy,
        unavailable: &[u16],
    ) -> RunOutcome {
        let unavailable = unavailable.to_vec();
        let begin = Trigger::Begin { unavailable };
        self.run(&self.sold(items, paid_by), begin).unwrap()
    }

    /// An order that this server has charged.
    pub(super) fn charged(&self, items: u16) -> OrderTree {
        let begun = self.begin(items, PaidBy::Partner).tree;
        self.end_step(&begun, &StepKind::Charge, StepResult::Done)
            .tree
    }

    /// An order of which the payment is authorized.
    pub(super) fn authorized(&self, items: u16) -> OrderTree {
        let begun = self.begin(items, PaidBy::Partner).tree;
        let number = number_of(&begun, &StepKind::Charge);
        let mut answer = StepAnswer::of(StepResult::Done);
        answer.entry = Some(LedgerEntry::new(
            LedgerKind::Authorized,
            dollars(10 * i64::from(items)),
            self.now,
        ));
        self.run(&begun, Trigger::StepEnded { number, answer })
            .unwrap()
            .tree
    }

    pub(super) fn end_step(
        &self,
        tree: &OrderTree,
        kind: &StepKind,
        result: StepResult,
    ) -> RunOutcome {
        let number = number_of(tree, kind);
        let mut answer = StepAnswer::of(result);
        if *kind == StepKind::BookDelivery && result == StepResult::Done {
            answer.reference = Some(format!("R{number}"));
        }
        self.run(tree, Trigger::StepEnded { number, answer })
            .unwrap()
    }

    /// The trigger that asks for a state.
    pub(super) fn to(&self, part: OrderPart, state: &str) -> Trigger {
        Trigger::Transition {
            part,
            from: None,
            to: self.ix(part.entity, state),
            reason: None,
            refund: None,
        }
    }

    pub(super) fn to_because(&self, part: OrderPart, state: &str, reason: &str) -> Trigger {
        Trigger::Transition {
            part,
            from: None,
            to: self.ix(part.entity, state),
            reason: Some(reason.into()),
            refund: None,
        }
    }

    pub(super) fn go(&self, tree: &OrderTree, part: OrderPart, state: &str) -> RunOutcome {
        let found = self.run(tree, self.to(part, state));
        found.unwrap_or_else(|error| panic!("{part:?} to {state}: {error:?}"))
    }

    pub(super) fn ix(&self, entity: Entity, state: &str) -> StateIx {
        let found = self.def.entity(entity).state(state);
        found.unwrap_or_else(|| panic!("{} has no state {state}", entity.name()))
    }

    pub(super) fn state(&self, tree: &OrderTree, part: OrderPart) -> String {
        let state = tree.state_of(part).unwrap();
        self.def.state_name(part.entity, state).unwrap().to_string()
    }

    pub(super) fn order_state(&self, tree: &OrderTree) -> String {
        self.state(tree, OrderPart::ORDER)
    }

    /// The states of all items.
    pub(super) fn item_states(&self, tree: &OrderTree) -> Vec<String> {
        let items = 0..u16::try_from(tree.items.len()).unwrap();
        items
            .map(|index| self.state(tree, OrderPart::item(index)))
            .collect()
    }

    /// The transitions of an outcome, as `line_item0 held>confirmed`.
    pub(super) fn moves(&self, outcome: &RunOutcome) -> Vec<String> {
        let mut moves = Vec::new();
        for moved in &outcome.transitions {
            let part = moved.part;
            let name = |state| self.def.state_name(part.entity, state).unwrap();
            let (from, to) = (name(moved.from), name(moved.to));
            moves.push(format!("{}{} {from}>{to}", part.entity.name(), part.index));
        }
        moves
    }

    /// The events of an outcome.
    pub(super) fn events(&self, outcome: &RunOutcome) -> Vec<String> {
        let mut events = Vec::new();
        for effect in &outcome.effects {
            if let Effect::Emit { event, .. } = effect {
                events.push(self.def.events[event.index()].to_string());
            }
        }
        events
    }
}

/// The number of the open step of a kind.
pub(super) fn number_of(tree: &OrderTree, kind: &StepKind) -> u16 {
    let step = tree.steps.iter().find(|step| step.kind == *kind);
    step.unwrap_or_else(|| panic!("there is no open {kind:?}"))
        .number
}

/// The items that an outcome gives back.
pub(super) fn released(outcome: &RunOutcome) -> Vec<u16> {
    let mut items = Vec::new();
    for effect in &outcome.effects {
        if let Effect::Release { item } = effect {
            items.push(*item);
        }
    }
    items
}

/// The kinds of the steps that an outcome launches.
pub(super) fn launched(outcome: &RunOutcome) -> Vec<StepKind> {
    let mut kinds = Vec::new();
    for effect in &outcome.effects {
        if let Effect::Launch(step) = effect {
            kinds.push(step.kind.clone());
        }
    }
    kinds
}
