//! What operators ask for, by chance.

use fastrand::Rng;

use super::{
    after_sale::{
        ModelChange, ModelDecision, ModelOrder, ModelPart, ModelRefund, ModelSpots, RENAMED, state,
    },
    blocks::Blocked,
    steps::one_of,
};

/// Something that operators do, or that happens meanwhile. Numbers choose among what there is when its turn comes.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Change {
        /// Counted from the newest order.
        order: usize,
        change: ModelChange,
        /// What is decided instead, if the order waits for a decision, or has something to decide.
        awaited: Option<ModelDecision>,
        terms: AskTerms,
    },
    /// Sends a request again that has changed an order.
    Again(usize),
    /// Sends another request under the id of one that has changed an order.
    Otherwise(usize),
    Block(usize, Blocked),
    /// Everything that was sold of a slot is withdrawn.
    WithdrawSlot(usize),
    /// The slots of the day of all tours.
    ListSlots,
    Publish(Publication),
    /// So many seconds pass.
    Pass(i64),
}

/// How a change is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskTerms {
    Plain,
    /// It is decided, and nothing changes.
    DryRun,
    /// The order has to stand as it was seen first.
    WithFirstEtag,
}

/// Another definition of the lifecycle: the default, in which some states have other names.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    /// By [`RENAMED`].
    pub(super) renamed: Vec<usize>,
    /// One of them of which the definition does not say which state it was.
    pub(super) unsaid: Option<usize>,
    /// Whether states get their first names back.
    pub(super) goes_back: bool,
}

/// How far a plan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlanPhase {
    Early,
    Late,
}

/// Something to ask for; hours pass only late in a plan, because they close the slots.
pub(super) fn ask(chance: &mut Rng, phase: PlanPhase) -> Ask {
    match chance.u8(..if phase == PlanPhase::Late { 100 } else { 96 }) {
        0..=69 => Ask::Change {
            order: {
                // Rather a newer order, of which more is left.
                let most = one_of(chance, &[2, 4, 40]);
                chance.usize(..most)
            },
            change: change(chance),
            awaited: chance.bool().then(|| decision(chance)),
            terms: one_of(
                chance,
                &[
                    AskTerms::Plain,
                    AskTerms::Plain,
                    AskTerms::Plain,
                    AskTerms::DryRun,
                    AskTerms::WithFirstEtag,
                ],
            ),
        },
        70..=74 => Ask::Again(chance.usize(..)),
        75..=77 => Ask::Otherwise(chance.usize(..)),
        78..=83 => {
            let blocked = match chance.u8(..6) {
                0 => Blocked::All,
                1 | 2 => Blocked::Count(0),
                _ => Blocked::Count(chance.i64(1..8)),
            };
            Ask::Block(chance.usize(..7), blocked)
        }
        84 => Ask::WithdrawSlot(chance.usize(..5)),
        85..=88 => Ask::ListSlots,
        89..=95 => Ask::Publish(publication(chance)),
        _ => Ask::Pass(one_of(chance, &[HOUR, 3 * HOUR, 20 * HOUR, 24 * HOUR])),
    }
}

const HOUR: i64 = 3600;

fn publication(chance: &mut Rng) -> Publication {
    let mut all: Vec<usize> = (0..RENAMED.len()).collect();
    chance.shuffle(&mut all);
    all.truncate(chance.usize(1..4));
    Publication {
        unsaid: (chance.u8(..3) == 0).then(|| chance.usize(..)),
        goes_back: chance.u8(..4) == 0,
        renamed: all,
    }
}

fn change(chance: &mut Rng) -> ModelChange {
    let items = items(chance);
    match chance.u8(..20) {
        0..=2 => ModelChange::Cancel(items, refund(chance)),
        3 => ModelChange::Cancel(Vec::new(), refund(chance)),
        4 | 5 => {
            let refund = refund(chance);
            if refund == ModelRefund::Nothing {
                return ModelChange::Refund(items, ModelRefund::Policy);
            }
            ModelChange::Refund(items, refund)
        }
        6..=8 => {
            let spots = one_of(
                chance,
                &[
                    ModelSpots::ForSale,
                    ModelSpots::ForSale,
                    ModelSpots::OffSale,
                ],
            );
            ModelChange::Withdraw(items, spots)
        }
        9 | 10 => ModelChange::Customer(decision(chance)),
        11 => ModelChange::NoShow(items),
        12..=14 => {
            // Mostly all that wait.
            let items = if chance.u8(..3) == 0 {
                items
            } else {
                Vec::new()
            };
            let decision = one_of(chance, &[ModelDecision::Keep, ModelDecision::Drop]);
            ModelChange::Merchant(items, decision)
        }
        15..=17 => change_of_state(chance),
        _ => ModelChange::Note,
    }
}

fn decision(chance: &mut Rng) -> ModelDecision {
    one_of(
        chance,
        &[
            ModelDecision::Keep,
            ModelDecision::Keep,
            ModelDecision::Drop,
        ],
    )
}

/// Some items, mostly of those that there are.
fn items(chance: &mut Rng) -> Vec<usize> {
    let few: &[&[usize]] = &[
        &[],
        &[0],
        &[0],
        &[0],
        &[1],
        &[1],
        &[0, 1],
        &[1, 0],
        &[2],
        &[7],
    ];
    one_of(chance, few).to_vec()
}

fn refund(chance: &mut Rng) -> ModelRefund {
    match chance.u8(..7) {
        0 => ModelRefund::Nothing,
        1 | 2 => ModelRefund::Full,
        3 | 4 => ModelRefund::Policy,
        5 => ModelRefund::Amount(chance.i64(1..900) * 10_000),
        _ => ModelRefund::Amount(chance.i64(1..9_000) * 10_000),
    }
}

fn change_of_state(chance: &mut Rng) -> ModelChange {
    let (part, states): (ModelPart, &[&'static str]) = match chance.u8(..7) {
        0 | 1 => (
            ModelPart::Order,
            &[
                state::PROCESSING,
                state::WAITING,
                state::CANCELLED,
                state::TIMED_OUT,
            ],
        ),
        2 | 3 => (
            ModelPart::Refund(one_of(chance, &[0, 0, 0, 1])),
            &[
                state::REQUESTED,
                state::REQUESTED,
                state::REQUESTED,
                state::DONE,
            ],
        ),
        _ => (
            ModelPart::Item(one_of(chance, &[0, 0, 1, 1, 2])),
            &[
                state::CONFIRMED,
                state::FULFILLED,
                state::FULFILLED,
                state::FULFILLED,
                state::DECLINED,
                state::UNAVAILABLE,
                state::CANCELLED,
                state::NO_SHOW,
            ],
        ),
    };
    let from = (chance.u8(..4) == 0).then(|| one_of(chance, states));
    ModelChange::State(part, from, one_of(chance, states))
}

impl ModelChange {
    /// The same change of items that the order has, but for one that no order has.
    pub(super) fn of_items_of(&self, order: &ModelOrder) -> Self {
        let mut change = self.clone();
        let (Self::Cancel(items, _)
        | Self::Refund(items, _)
        | Self::Withdraw(items, _)
        | Self::NoShow(items)
        | Self::Merchant(items, _)) = &mut change
        else {
            return change;
        };
        items.retain(|at| *at < order.items.len() || *at == UNKNOWN);
        change
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Cancel(items, _) if items.is_empty() => "an order is cancelled",
            Self::Cancel(..) => "items are cancelled",
            Self::Refund(..) => "money is given back",
            Self::Withdraw(_, ModelSpots::ForSale) => "items are withdrawn",
            Self::Withdraw(_, ModelSpots::OffSale) => "items are withdrawn and kept off sale",
            Self::Customer(ModelDecision::Keep) => "a customer amends",
            Self::Customer(ModelDecision::Drop) => "a customer cancels",
            Self::NoShow(_) => "nobody comes",
            Self::Merchant(_, ModelDecision::Keep) => "a merchant confirms",
            Self::Merchant(_, ModelDecision::Drop) => "a merchant declines",
            Self::State(ModelPart::Refund(_), ..) => "a refund is asked for again",
            Self::State(..) => "a state is changed",
            Self::Note => "a note",
        }
    }
}

/// An item that no order has.
const UNKNOWN: usize = 7;
