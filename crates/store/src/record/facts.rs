//! What an index and a summary need of each record, read without the rest.

use std::sync::Arc;

use prost::Message;

use super::{
    RecordError, RecordKind,
    decode::{
        decode_hold_id, decode_hold_released, decode_order_key, decode_slots_forgotten, slot_claims,
    },
    encode::FIRST_LIFECYCLE,
    erasures::decode_erasure_completed,
    proto,
    update::{name, part_from_record, small},
};
use crate::{
    HoldId, NamedClaim, PlacedOrder, ReleaseReason, SlotBlock, StateProfile, order_key::OrderKey,
};
use domain::{
    ids::UserId,
    lifecycle::Entity,
    time::{EpochSeconds, Seconds},
};

/// What an index and a summary need of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordFacts {
    /// An order is created.
    OrderPlaced(OrderFacts),
    /// A charge is about to be requested for this order.
    PaymentIntent(OrderKey),
    /// A payment ended without an order.
    PaymentEnded {
        /// The order that it was for.
        order: OrderKey,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Spots are held.
    HoldPlaced {
        /// The hold.
        id: HoldId,
        /// Its revision.
        revision: u32,
        /// When this revision was placed.
        placed_sec: EpochSeconds,
        /// The second at which it ends.
        expires_sec: EpochSeconds,
    },
    /// A hold ends without an order.
    HoldReleased {
        /// The hold.
        id: HoldId,
        /// When it was released.
        released_sec: EpochSeconds,
        /// Why.
        reason: ReleaseReason,
    },
    /// Prices now served.
    Prices,
    /// Slots that ended before this second are forgotten.
    SlotsForgotten(EpochSeconds),
    /// The personal data of some orders is erased.
    PersonErased,
    /// The erasure that began with the record at this position, in bits, is complete.
    ErasureCompleted(u64),
    /// An order was updated.
    OrderUpdated(UpdateFacts),
    /// A slot is blocked, or its block ends. There are few, so they are read whole.
    Blocked(Box<SlotBlock>),
    /// A step of an order was tried.
    StepRetried {
        /// The order.
        order: OrderKey,
        /// The number of the step.
        step: u16,
    },
    /// The lifecycle has this revision.
    Lifecycle(u32),
    /// The lifecycle has another draft, or none.
    LifecycleDraft,
    /// A request that has erased a person was answered.
    ErasureAnswered,
}

/// What an index and a summary need of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateFacts {
    /// The key of the order.
    pub key: OrderKey,
    /// Which change, from 1.
    pub revision: u32,
    /// Whether the order has timers, or steps that are open or were given up.
    pub has_work: bool,
    /// The states that it is in.
    pub states: Arc<StateProfile>,
    /// The spots that are given back.
    pub released: Vec<NamedClaim>,
}

/// What an index and a summary need of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFacts {
    /// The key of the order.
    pub key: OrderKey,
    /// The user; `None` after erasure.
    pub user_id: Option<UserId>,
    /// When it was created.
    pub created_sec: EpochSeconds,
    /// The spots it takes.
    pub claims: Vec<NamedClaim>,
    /// The hold that it consumes.
    pub hold: Option<HoldId>,
    /// Whether the payment's intent of the order ends with it.
    pub ends_intent: bool,
    /// How it began; `None` if that follows from its sale.
    pub begun: Option<BegunFacts>,
}

/// What an index and a summary need of an order whose beginning is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunFacts {
    /// Whether it began with timers, or steps that are open or were given up.
    pub has_work: bool,
    /// The states that it began in.
    pub states: Arc<StateProfile>,
}

impl BegunFacts {
    /// Those of an order; `None` if how it began follows from its sale.
    pub(super) fn of(placed: &PlacedOrder) -> Option<Self> {
        let tree = placed.begun.as_deref()?;
        Some(Self {
            has_work: tree.has_work(),
            states: Arc::new(StateProfile::of(placed.lifecycle, tree)),
        })
    }

    fn read(lifecycle: u32, tree: &[u8]) -> Result<Self, RecordError> {
        let tree = proto::TreeFacts::decode(tree)?;
        Ok(Self {
            has_work: has_work(&tree),
            states: Arc::new(states(lifecycle, tree)?),
        })
    }
}

/// What an index and a summary need of a record. `personal` is `None` if it was erased.
///
/// The rest of the record is skipped: only whole decoding finds all damage. Whether the bytes are those that were
/// written is for the checksums of the log to say.
///
/// # Errors
/// [`RecordError`].
pub fn decode_facts(
    kind: RecordKind,
    public: &[u8],
    personal: Option<&[u8]>,
) -> Result<RecordFacts, RecordError> {
    match kind {
        RecordKind::OrderPlaced => order_facts(public, personal).map(RecordFacts::OrderPlaced),
        RecordKind::PaymentIntent => {
            let intent = proto::IntentFacts::decode(public)?;
            decode_order_key(&intent.order_key).map(RecordFacts::PaymentIntent)
        }
        RecordKind::PaymentEnded => payment_ended_facts(public),
        RecordKind::HoldPlaced => hold_facts(public),
        RecordKind::HoldReleased => {
            let (id, released_sec, reason) = decode_hold_released(public)?;
            Ok(RecordFacts::HoldReleased {
                id,
                released_sec,
                reason,
            })
        }
        RecordKind::Prices => Ok(RecordFacts::Prices),
        RecordKind::SlotsForgotten => {
            decode_slots_forgotten(public).map(RecordFacts::SlotsForgotten)
        }
        RecordKind::PersonErased => Ok(RecordFacts::PersonErased),
        RecordKind::ErasureCompleted => {
            decode_erasure_completed(public).map(RecordFacts::ErasureCompleted)
        }
        RecordKind::OrderUpdated => update_facts(public).map(RecordFacts::OrderUpdated),
        RecordKind::Blocked => {
            let block = super::decode_block(public)?;
            Ok(RecordFacts::Blocked(Box::new(block)))
        }
        RecordKind::StepRetried => {
            let retried = proto::StepFacts::decode(public)?;
            Ok(RecordFacts::StepRetried {
                order: decode_order_key(&retried.order_key)?,
                step: small("step", retried.step)?,
            })
        }
        RecordKind::Lifecycle => {
            let published = proto::LifecycleFacts::decode(public)?;
            Ok(RecordFacts::Lifecycle(published.number))
        }
        RecordKind::LifecycleDraft => Ok(RecordFacts::LifecycleDraft),
        RecordKind::ErasureAnswered => Ok(RecordFacts::ErasureAnswered),
    }
}

/// The key of an order. The rest is skipped, as by [`decode_facts`].
///
/// # Errors
/// [`RecordError`].
pub fn order_key(public: &[u8]) -> Result<OrderKey, RecordError> {
    let order = proto::OrderCreation::decode(public)?;
    decode_order_key(&order.order_key)
}

/// When an order was created. The rest is skipped, as by [`decode_facts`].
///
/// # Errors
/// [`RecordError`].
pub fn created_sec(public: &[u8]) -> Result<EpochSeconds, RecordError> {
    let order = proto::OrderCreation::decode(public)?;
    Ok(EpochSeconds::new(order.created_sec))
}

/// Whether some claim of an order is `wanted`. The rest is skipped, as by [`decode_facts`].
///
/// # Errors
/// [`RecordError`].
pub fn has_claim(public: &[u8], wanted: impl Fn(&NamedClaim) -> bool) -> Result<bool, RecordError> {
    let order = proto::OrderFacts::decode(public)?;
    Ok(slot_claims(order.claim).iter().any(wanted))
}

/// Whether an order is of this user; never after erasure.
///
/// # Errors
/// [`RecordError`].
pub fn is_of_user(personal: Option<&[u8]>, expected: &UserId) -> Result<bool, RecordError> {
    match personal {
        Some(personal) => Ok(user_id(personal)? == *expected),
        None => Ok(false),
    }
}

/// The end of the last slot of an order; of one that takes no spots, when it was created. The rest is skipped, as by
/// [`decode_facts`].
///
/// # Errors
/// [`RecordError`].
pub fn visit_end_sec(public: &[u8]) -> Result<EpochSeconds, RecordError> {
    let order = proto::OrderFacts::decode(public)?;
    let mut last = None;
    for claim in slot_claims(order.claim) {
        // Saturating: a slot may be as far away as numbers go.
        let end = claim
            .start_sec
            .saturating_add(Seconds::from(claim.duration_sec));
        last = last.max(Some(end));
    }
    Ok(last.unwrap_or(EpochSeconds::new(order.created_sec)))
}

fn order_facts(public: &[u8], personal: Option<&[u8]>) -> Result<OrderFacts, RecordError> {
    let proto::OrderFacts {
        order_key,
        created_sec,
        claim,
        payment,
        hold_id,
        lifecycle,
        begun,
    } = proto::OrderFacts::decode(public)?;
    // Left out where it is the first.
    let lifecycle = lifecycle.max(FIRST_LIFECYCLE);
    let begun = begun.map(|tree| BegunFacts::read(lifecycle, &tree));
    Ok(OrderFacts {
        key: decode_order_key(&order_key)?,
        user_id: personal.map(user_id).transpose()?,
        created_sec: EpochSeconds::new(created_sec),
        claims: slot_claims(claim),
        hold: hold_id.as_deref().map(decode_hold_id).transpose()?,
        ends_intent: payment.is_some(),
        begun: begun.transpose()?,
    })
}

fn user_id(personal: &[u8]) -> Result<UserId, RecordError> {
    let customer = proto::PersonalFacts::decode(personal)?.customer;
    let customer = customer.ok_or(RecordError::Missing("customer"))?;
    Ok(customer.user_id.into())
}

fn payment_ended_facts(public: &[u8]) -> Result<RecordFacts, RecordError> {
    let ended = proto::PaymentEndedFacts::decode(public)?;
    let attempt = ended
        .attempt
        .ok_or(RecordError::Missing("payment attempt"))?;
    let intent = attempt
        .intent
        .ok_or(RecordError::Missing("payment intent"))?;
    Ok(RecordFacts::PaymentEnded {
        order: decode_order_key(&intent.order_key)?,
        attempt: intent.attempt,
    })
}

fn update_facts(public: &[u8]) -> Result<UpdateFacts, RecordError> {
    let proto::UpdateFacts {
        order_key,
        revision,
        tree,
        entry,
        released,
    } = proto::UpdateFacts::decode(public)?;
    let tree = tree.ok_or(RecordError::Missing("order"))?;
    let entry = entry.ok_or(RecordError::Missing("history entry"))?;
    Ok(UpdateFacts {
        key: decode_order_key(&order_key)?,
        revision,
        has_work: has_work(&tree),
        states: Arc::new(states(entry.lifecycle, tree)?),
        released: slot_claims(released),
    })
}

fn has_work(tree: &proto::TreeFacts) -> bool {
    !tree.timer.is_empty() || !tree.step.is_empty() || !tree.given_up.is_empty()
}

/// The states of an order.
fn states(lifecycle: u32, tree: proto::TreeFacts) -> Result<StateProfile, RecordError> {
    let mut states = Vec::new();
    for (entity, parts) in [
        (Entity::LineItem, tree.item),
        (Entity::Fulfillment, tree.fulfillment),
        (Entity::Refund, tree.refund),
    ] {
        for part in parts {
            states.push((entity, name(part.state)));
        }
    }
    for timer in tree.timer {
        let entity = part_from_record(timer.part)?.entity;
        states.push((entity, name(timer.to)));
    }
    Ok(StateProfile::new(lifecycle, name(tree.state), states))
}

fn hold_facts(public: &[u8]) -> Result<RecordFacts, RecordError> {
    let proto::HoldFacts {
        hold_id,
        revision,
        placed_sec,
        expires_sec,
    } = proto::HoldFacts::decode(public)?;
    Ok(RecordFacts::HoldPlaced {
        id: decode_hold_id(&hold_id)?,
        revision,
        placed_sec: EpochSeconds::new(placed_sec),
        expires_sec: EpochSeconds::new(expires_sec),
    })
}
