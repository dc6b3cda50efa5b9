//! What has to hold of a definition whose parts are all right.

use domain::{
    ids::{MerchantId, ServiceId},
    ledger::{PaidBy, PaymentLedger},
    lifecycle::{
        Definition, Entity, Facts, ItemFacts, OrderTree, Refused, RunOutcome, StateIx, StateSet,
        StepAnswer, StepKind, StepResult, TransitionMode, Trigger, run,
    },
    money::{Currency, Money},
    order::BookingStatus,
    refunds::RefundFees,
    shipment::DeliveryType,
    slot::Confirmation,
    time::EpochSeconds,
};
use kernel::diagnostics::Cursor;

use super::{draft::EntityDraft, loops, timers, words::explain};

/// States that the program itself speaks of: every order can come to them.
const ANCHORS: [&str; 3] = ["processing", "cancelled", "failed"];

/// Checks an entity by itself.
pub(crate) fn check_entity(draft: &EntityDraft<'_>) {
    check_reachable(draft);
    check_terminal(draft);
    check_transitions(draft);
    check_anchors(draft);
    timers::check(draft);
}

/// Checks entities in what they do to each other.
pub(crate) fn check_together(drafts: &[EntityDraft<'_>; 4]) {
    loops::check(drafts);
}

fn check_reachable(draft: &EntityDraft<'_>) {
    let begin = StateSet::default().with(draft.start);
    let reached = draft.reached(begin, |_| true);
    for state in draft.all().iter().filter(|state| !reached.contains(*state)) {
        let (entity, name) = (draft.entity.name(), draft.name(state));
        let text = format!("{entity} never comes to state {name:?}: no transition leads there");
        draft.states_at.error("unreachable", text);
    }
}

fn check_terminal(draft: &EntityDraft<'_>) {
    let is_left = |state| draft.transitions.iter().any(|it| it.from.contains(state));
    if draft.all().iter().all(is_left) {
        let text = format!(
            "{} has no terminal state: every one has a transition to another",
            draft.entity.name()
        );
        draft.states_at.error("no_terminal_state", text);
    }
}

fn check_transitions(draft: &EntityDraft<'_>) {
    for (index, transition) in draft.transitions.iter().enumerate() {
        let to = draft.name(transition.to);
        if transition.mode == TransitionMode::Automatic {
            if transition.conditions.is_empty() {
                let text = format!(
                    "the automatic transition to {to:?} has no condition, so that its first state is left at once"
                );
                transition.at.error("no_condition", text);
            }
            continue;
        }
        let earlier = &draft.transitions[..index];
        for from in transition.from.iter() {
            let is_known = earlier.iter().any(|it| {
                it.mode == TransitionMode::Manual
                    && it.to == transition.to
                    && it.from.contains(from)
            });
            if is_known {
                let from = draft.name(from);
                let text = format!(
                    "there is another manual transition from {from:?} to {to:?}; only one can be meant"
                );
                transition.at.error("duplicate", text);
            }
        }
    }
}

fn check_anchors(draft: &EntityDraft<'_>) {
    if draft.entity != Entity::Order {
        return;
    }
    for anchor in ANCHORS {
        if draft
            .states
            .iter()
            .all(|state| state.name.as_str() != anchor)
        {
            let text = format!("order has no state {anchor:?}, which every lifecycle needs");
            draft.states_at.error("no_anchor", text);
        }
    }
}

/// An order of one item, in a shop that is never out of it.
struct Sample {
    merchant: MerchantId,
    service: ServiceId,
}

impl Sample {
    fn facts<'a>(&'a self, items: &'a [ItemFacts<'a>]) -> Facts<'a> {
        Facts {
            now: EpochSeconds::new(0),
            channel: "google",
            merchant: &self.merchant,
            delivery: DeliveryType::None,
            items,
            bill: None,
            refund_fees: RefundFees::WithPrice,
            authorization_ends: None,
        }
    }

    /// The item of a plain order after its creation.
    fn place(
        &self,
        definition: &Definition,
        (paid_by, confirmation): (PaidBy, Confirmation),
        due: Money,
    ) -> Result<StateIx, Refused> {
        let items = [ItemFacts {
            service: &self.service,
            start: EpochSeconds::new(1_000_000),
            end: EpochSeconds::new(1_003_600),
            spots: 1,
            spots_open: 1,
            confirmation,
            answers: &[],
        }];
        let facts = self.facts(&items);
        let tree = OrderTree::new(definition, 1, PaymentLedger::new(paid_by, due));
        let begin = Trigger::Begin {
            unavailable: Vec::new(),
        };
        let mut outcome: RunOutcome = run(definition, tree, begin, &facts)?;
        let charge = outcome.tree.steps.iter();
        let charge = charge
            .filter(|step| step.kind == StepKind::Charge)
            .map(|step| step.number);
        for number in charge.collect::<Vec<_>>() {
            let answer = StepAnswer::of(StepResult::Done);
            let ended = Trigger::StepEnded { number, answer };
            outcome = run(definition, outcome.tree, ended, &facts)?;
        }
        let mut items = outcome.tree.items.iter().map(|item| item.state);
        Ok(items
            .next()
            .unwrap_or(definition.entity(Entity::LineItem).start))
    }
}

/// Checks that a sold and paid item is confirmed to its caller, for every payer. One that its merchant has to confirm may
/// wait for that.
pub(crate) fn check_placed(definition: &Definition, at: &Cursor<'_>) {
    let sample = Sample {
        merchant: "merchant".into(),
        service: "service".into(),
    };
    let Some(currency) = Currency::from_code("USD") else {
        return;
    };
    let due = Money::from_micros(1_000_000, currency);
    for (paid_by, words) in [
        (PaidBy::Google, "paid by Google"),
        (PaidBy::Partner, "that this server has charged"),
        (PaidBy::Nobody, "without payment"),
    ] {
        for confirmation in [Confirmation::AtOnce, Confirmation::ByMerchant] {
            let placed = sample.place(definition, (paid_by, confirmation), due);
            if let Err((code, text)) = check_item(definition, placed, (confirmation, words)) {
                at.error(code, text);
                // An item that is not confirmed at once is not confirmed by its merchant either.
                break;
            }
        }
    }
}

/// Checks the state of an item that was placed. An error has its code and its text.
fn check_item(
    definition: &Definition,
    placed: Result<StateIx, Refused>,
    (confirmation, words): (Confirmation, &str),
) -> Result<(), (&'static str, String)> {
    let waits = match confirmation {
        Confirmation::AtOnce => "",
        Confirmation::ByMerchant => " and confirmed by its merchant",
    };
    let state = placed.map_err(|error| {
        let error = explain(definition, &error);
        let text = format!("an order {words}{waits} cannot be placed: {error}");
        ("not_placed", text)
    })?;
    let state = definition
        .entity(Entity::LineItem)
        .states
        .get(state.index());
    let is_right = match (state.and_then(|it| it.booking_status), confirmation) {
        (Some(BookingStatus::Confirmed), _)
        | (Some(BookingStatus::PendingMerchantConfirmation), Confirmation::ByMerchant) => true,
        (_, Confirmation::AtOnce | Confirmation::ByMerchant) => false,
    };
    if is_right {
        return Ok(());
    }
    let name = state.map_or("", |it| it.name.as_str());
    let expected = match confirmation {
        Confirmation::AtOnce => "not CONFIRMED",
        Confirmation::ByMerchant => "neither CONFIRMED nor PENDING_MERCHANT_CONFIRMATION",
    };
    let text = format!(
        "an item of an order {words}{waits} is placed in state {name:?}, whose booking status is {expected}"
    );
    Err(("not_confirmed", text))
}
