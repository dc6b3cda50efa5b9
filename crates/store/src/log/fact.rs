//! What a record means for the index, for open work and for sums.

use std::sync::Arc;

use domain::time::EpochSeconds;

use super::{
    index::OrderEntry,
    open_work::{BlockEntry, HoldPlacement, UpdateEntry},
    position::Position,
    slot_index::SlotEntry,
};
use crate::{
    HoldId, NamedClaim, ReleaseReason, StateProfile,
    order_key::{BlockKey, KeyDeriver, OrderKey, SlotKeys, UserKey},
    record::{BegunFacts, BlockFacts, RecordFacts, RecordKeys},
};

#[cfg(test)]
pub(super) mod random_log;

/// The meaning of one record, without what only a reader of the record needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// An order was created.
    OrderPlaced(OrderFact),
    /// A charge is about to be requested.
    PaymentIntent {
        /// The order that it is for.
        key: OrderKey,
        /// Where the record of the intent is.
        position: Position,
    },
    /// A payment ended without an order, and its intent with it.
    PaymentEnded {
        /// The order that it was for.
        key: OrderKey,
        /// Where the record of its end is.
        position: Position,
    },
    /// Spots are held.
    HoldPlaced {
        /// The hold.
        id: HoldId,
        /// How it was placed.
        placement: HoldPlacement,
    },
    /// A hold ended without an order.
    HoldReleased {
        /// The hold.
        id: HoldId,
        /// When it was released.
        released_sec: EpochSeconds,
        /// Why.
        reason: ReleaseReason,
    },
    /// Prices were served.
    Prices {
        /// Where the record of the prices is.
        position: Position,
    },
    /// Slots that ended before this second are forgotten.
    SlotsForgotten {
        /// The second.
        until: EpochSeconds,
    },
    /// An erasure began.
    ErasureBegun {
        /// Where its record is.
        position: Position,
    },
    /// An erasure is complete.
    ErasureCompleted {
        /// Where the record is with which it began.
        erasure: Position,
    },
    /// An order was updated.
    OrderUpdated(UpdateFact),
    /// A slot is blocked, or its block ends.
    Blocked {
        /// The slot.
        key: BlockKey,
        /// The block in force from now on.
        newest: BlockEntry,
    },
    /// A step of an order was tried.
    StepRetried {
        /// The order.
        key: OrderKey,
        /// The number of the step.
        step: u16,
        /// Where the record of the attempt is.
        position: Position,
    },
    /// The lifecycle has another revision.
    LifecyclePublished {
        /// Which one.
        number: u32,
        /// Where its record is.
        position: Position,
    },
    /// The lifecycle has another draft, or none.
    LifecycleDrafted {
        /// Where its record is.
        position: Position,
    },
    /// A request that has erased a person was answered.
    ErasureAnswered {
        /// Where its record is.
        position: Position,
    },
}

/// An update of an order, as far as it is more than its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UpdateFact {
    /// The order.
    pub(super) key: OrderKey,
    /// The newest update from now on.
    pub(super) newest: UpdateEntry,
    /// The states that the order is in.
    pub(super) states: Arc<StateProfile>,
    /// The spots that are given back.
    pub(super) released: Vec<NamedClaim>,
}

/// An order, as far as it is more than its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderFact {
    /// The order.
    pub(super) key: OrderKey,
    /// The user whose list it is in; `None` if the user is erased.
    pub(super) user: Option<UserKey>,
    /// Where its record is.
    pub(super) position: Position,
    /// When it was created.
    pub(super) created_sec: EpochSeconds,
    /// The slots that it is for.
    pub(super) slots: SlotKeys,
    /// The spots it takes.
    pub(super) claims: Vec<NamedClaim>,
    /// The hold that it consumes.
    pub(super) consumes: Option<HoldId>,
    /// Whether it has a payment, so that an intent ends with it.
    pub(super) ends_intent: bool,
    /// How it began; `None` if that follows from its sale.
    pub(super) begun: Option<BegunFacts>,
}

impl OrderFact {
    /// What an index of slots has of it.
    pub(super) fn slot_entries(&self) -> impl Iterator<Item = SlotEntry> {
        SlotEntry::of_order(self.position, &self.slots)
    }
}

impl From<&OrderFact> for OrderEntry {
    fn from(order: &OrderFact) -> Self {
        Self::new(&order.key, order.user.as_ref(), order.position)
    }
}

impl Fact {
    /// The meaning of a record that is being written, at this position, without the claims of an order or update.
    pub(super) fn written(keys: RecordKeys, position: Position) -> Self {
        match keys {
            RecordKeys::Order {
                order,
                user,
                created_sec,
                hold,
                ends_intent,
                begun,
                slots,
            } => Self::OrderPlaced(OrderFact {
                key: order,
                user: Some(user),
                position,
                created_sec,
                claims: Vec::new(),
                consumes: hold,
                ends_intent,
                begun,
                slots,
            }),
            RecordKeys::Intent(key) => Self::PaymentIntent { key, position },
            RecordKeys::PaymentEnded(key) => Self::PaymentEnded { key, position },
            RecordKeys::Hold {
                id,
                revision,
                expires_sec,
            } => Self::hold(id, revision, expires_sec, position),
            RecordKeys::HoldReleased {
                id,
                released_sec,
                reason,
            } => Self::HoldReleased {
                id,
                released_sec,
                reason,
            },
            RecordKeys::Prices => Self::Prices { position },
            RecordKeys::SlotsForgotten(until) => Self::SlotsForgotten { until },
            RecordKeys::PersonErased => Self::ErasureBegun { position },
            RecordKeys::ErasureCompleted(bits) => Self::completed(bits, position),
            RecordKeys::StepRetried { order, step } => Self::StepRetried {
                key: order,
                step,
                position,
            },
            RecordKeys::Lifecycle(number) => Self::LifecyclePublished { number, position },
            RecordKeys::LifecycleDraft => Self::LifecycleDrafted { position },
            RecordKeys::ErasureAnswered => Self::ErasureAnswered { position },
            RecordKeys::Update {
                order,
                revision,
                has_work,
                states,
            } => Self::OrderUpdated(UpdateFact {
                key: order,
                newest: UpdateEntry {
                    position,
                    revision,
                    has_work,
                },
                states,
                released: Vec::new(),
            }),
            RecordKeys::Block(block) => Self::blocked(block, position),
        }
    }

    /// The meaning of a record that was read at this position.
    pub(super) fn read(facts: RecordFacts, keys: &KeyDeriver, position: Position) -> Self {
        match facts {
            RecordFacts::OrderPlaced(order) => Self::OrderPlaced(OrderFact {
                key: order.key,
                user: order.user_id.as_ref().map(|user_id| keys.user_key(user_id)),
                position,
                created_sec: order.created_sec,
                slots: keys.slot_keys(&order.claims),
                claims: order.claims,
                consumes: order.hold,
                ends_intent: order.ends_intent,
                begun: order.begun,
            }),
            RecordFacts::PaymentIntent(key) => Self::PaymentIntent { key, position },
            RecordFacts::PaymentEnded { order, attempt: _ } => Self::PaymentEnded {
                key: order,
                position,
            },
            RecordFacts::HoldPlaced {
                id,
                revision,
                placed_sec: _,
                expires_sec,
            } => Self::hold(id, revision, expires_sec, position),
            RecordFacts::HoldReleased {
                id,
                released_sec,
                reason,
            } => Self::HoldReleased {
                id,
                released_sec,
                reason,
            },
            RecordFacts::Prices => Self::Prices { position },
            RecordFacts::SlotsForgotten(until) => Self::SlotsForgotten { until },
            RecordFacts::PersonErased => Self::ErasureBegun { position },
            RecordFacts::ErasureCompleted(bits) => Self::completed(bits, position),
            RecordFacts::OrderUpdated(update) => Self::OrderUpdated(UpdateFact {
                key: update.key,
                newest: UpdateEntry {
                    position,
                    revision: update.revision,
                    has_work: update.has_work,
                },
                states: update.states,
                released: update.released,
            }),
            RecordFacts::Blocked(block) => Self::blocked(BlockFacts::of(&block, keys), position),
            RecordFacts::StepRetried { order, step } => Self::StepRetried {
                key: order,
                step,
                position,
            },
            RecordFacts::Lifecycle(number) => Self::LifecyclePublished { number, position },
            RecordFacts::LifecycleDraft => Self::LifecycleDrafted { position },
            RecordFacts::ErasureAnswered => Self::ErasureAnswered { position },
        }
    }

    fn blocked(block: BlockFacts, position: Position) -> Self {
        let BlockFacts {
            key,
            end_sec,
            is_on,
        } = block;
        let newest = BlockEntry {
            position,
            end_sec,
            is_on,
        };
        Self::Blocked { key, newest }
    }

    fn completed(bits: u64, position: Position) -> Self {
        // Bits that are no position lead nowhere: with its own, the record completes nothing.
        let erasure = Position::from_bits(bits).unwrap_or(position);
        Self::ErasureCompleted { erasure }
    }

    fn hold(id: HoldId, revision: u32, expires_sec: EpochSeconds, position: Position) -> Self {
        let placement = HoldPlacement {
            position,
            revision,
            expires_sec,
        };
        Self::HoldPlaced { id, placement }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        SlotBlock,
        conformance::samples,
        record::{OrderFacts, UpdateFacts},
    };
    use domain::lifecycle::Name;

    const ID: HoldId = HoldId([3; 16]);

    fn keys() -> KeyDeriver {
        KeyDeriver::new([7; 32])
    }

    fn order() -> OrderFacts {
        OrderFacts {
            key: keys().order_key(&"token".into()),
            user_id: Some("user".into()),
            created_sec: EpochSeconds::new(5),
            claims: Vec::new(),
            hold: Some(ID),
            ends_intent: true,
            begun: Some(begun()),
        }
    }

    fn begun() -> BegunFacts {
        let states = StateProfile::new(2, Name::from("processing"), Vec::new());
        BegunFacts {
            has_work: true,
            states: Arc::new(states),
        }
    }

    fn block() -> SlotBlock {
        samples::block(&mut fastrand::Rng::with_seed(1))
    }

    /// Records without claims, as they are written and as they are read again.
    fn records() -> Vec<(RecordKeys, RecordFacts)> {
        let key = order().key;
        let (released_sec, reason) = (EpochSeconds::new(6), ReleaseReason::Expired);
        let (revision, expires_sec) = (4, EpochSeconds::new(9));
        let written_order = RecordKeys::Order {
            order: key,
            user: keys().user_key(&"user".into()),
            created_sec: order().created_sec,
            hold: Some(ID),
            ends_intent: true,
            begun: Some(begun()),
            slots: SlotKeys::new(),
        };
        let attempt = 2;
        let states = begun().states;
        vec![
            (written_order, RecordFacts::OrderPlaced(order())),
            (RecordKeys::Intent(key), RecordFacts::PaymentIntent(key)),
            (
                RecordKeys::PaymentEnded(key),
                RecordFacts::PaymentEnded {
                    order: key,
                    attempt,
                },
            ),
            (
                RecordKeys::Hold {
                    id: ID,
                    revision,
                    expires_sec,
                },
                RecordFacts::HoldPlaced {
                    id: ID,
                    revision,
                    placed_sec: released_sec,
                    expires_sec,
                },
            ),
            (
                RecordKeys::HoldReleased {
                    id: ID,
                    released_sec,
                    reason,
                },
                RecordFacts::HoldReleased {
                    id: ID,
                    released_sec,
                    reason,
                },
            ),
            (RecordKeys::Prices, RecordFacts::Prices),
            (
                RecordKeys::StepRetried {
                    order: key,
                    step: 2,
                },
                RecordFacts::StepRetried {
                    order: key,
                    step: 2,
                },
            ),
            (RecordKeys::Lifecycle(3), RecordFacts::Lifecycle(3)),
            (RecordKeys::LifecycleDraft, RecordFacts::LifecycleDraft),
            (RecordKeys::ErasureAnswered, RecordFacts::ErasureAnswered),
            (
                RecordKeys::SlotsForgotten(released_sec),
                RecordFacts::SlotsForgotten(released_sec),
            ),
            (RecordKeys::PersonErased, RecordFacts::PersonErased),
            (
                RecordKeys::ErasureCompleted(1 << 30),
                RecordFacts::ErasureCompleted(1 << 30),
            ),
            (
                RecordKeys::Update {
                    order: key,
                    revision,
                    has_work: true,
                    states: Arc::clone(&states),
                },
                RecordFacts::OrderUpdated(UpdateFacts {
                    key,
                    revision,
                    has_work: true,
                    states,
                    released: Vec::new(),
                }),
            ),
            (
                RecordKeys::Block(BlockFacts::of(&block(), &keys())),
                RecordFacts::Blocked(Box::new(block())),
            ),
        ]
    }

    #[test]
    fn a_record_means_the_same_when_it_is_written_and_when_it_is_read() {
        let position = Position::new(3, 4096).unwrap();
        for (written, read) in records() {
            let fact = Fact::written(written.clone(), position);
            assert_eq!(Fact::read(read, &keys(), position), fact, "{written:?}");
        }
    }

    #[test]
    fn an_erased_user_is_none() {
        let position = Position::new(3, 4096).unwrap();
        let erased = OrderFacts {
            user_id: None,
            ..order()
        };
        let fact = Fact::read(RecordFacts::OrderPlaced(erased), &keys(), position);
        assert!(matches!(
            fact,
            Fact::OrderPlaced(OrderFact { user: None, .. })
        ));
    }
}
