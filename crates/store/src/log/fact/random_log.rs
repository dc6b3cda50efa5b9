//! Random logs for tests: few keys, so that everything that can happen to one does, in any order.

use std::{collections::HashMap, sync::Arc};

use domain::{
    lifecycle::{Entity, Name},
    time::{EpochSeconds, Seconds},
};
use fastrand::Rng;

use crate::{
    HOLD_RETENTION, HoldId, NamedClaim, ReleaseReason, StateProfile,
    log::{
        fact::{Fact, OrderFact, UpdateFact},
        index::PREFIX_BYTES,
        open_work::{BlockEntry, HoldPlacement, UpdateEntry},
        position::{ALIGNMENT, Position},
    },
    order_key::{BlockKey, KEY_BYTES, OrderKey, SlotKeys, UserKey},
    record::BegunFacts,
};

/// The time of a server that reads the logs: some of the holds ended too long ago to be kept, some did not.
pub(in crate::log) const NOW: EpochSeconds = EpochSeconds::new(1_800_000_000);

/// The keys of orders in random logs: three of them for each of four prefixes.
pub(in crate::log) fn order_keys() -> Vec<OrderKey> {
    (0..12).map(|number| OrderKey(key(number))).collect()
}

/// The keys of users in random logs: three of them for each of two prefixes.
pub(in crate::log) fn user_keys() -> Vec<UserKey> {
    (0..6).map(|number| UserKey(key(number * 2))).collect()
}

/// The holds in random logs.
pub(in crate::log) fn hold_ids() -> Vec<HoldId> {
    (0..5).map(|number| HoldId([number; 16])).collect()
}

/// The slots that are blocked in random logs.
pub(in crate::log) fn block_keys() -> Vec<BlockKey> {
    (0..4).map(|number| BlockKey([number; KEY_BYTES])).collect()
}

/// A key with one of four prefixes, which share a shard of the index.
fn key(number: u8) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[PREFIX_BYTES - 1] = number % 4;
    key[KEY_BYTES - 1] = number;
    key
}

/// The facts of a random log, by segments. The first segment has the number 1; any may be empty.
pub(in crate::log) fn random_log(seed: u64) -> Vec<Vec<Fact>> {
    let mut random = Rng::with_seed(seed);
    let mut segments = Vec::new();
    for segment in 1..=random.u64(1..6) {
        let mut facts = Vec::new();
        for record in 0..random.u64(0..30) {
            let position = Position::new(segment, 4096 + record * ALIGNMENT).unwrap();
            facts.push(random_fact(&mut random, position));
        }
        segments.push(facts);
    }
    segments
}

/// Where the last payment of each order is that ended without it.
pub(in crate::log) fn last_ends<'f>(
    facts: impl IntoIterator<Item = &'f Fact>,
) -> HashMap<OrderKey, Position> {
    let mut ends = HashMap::new();
    for fact in facts {
        if let Fact::PaymentEnded { key, position } = fact {
            ends.insert(*key, *position);
        }
    }
    ends
}

fn random_fact(random: &mut Rng, position: Position) -> Fact {
    let key = random.choice(order_keys()).unwrap();
    let id = random.choice(hold_ids()).unwrap();
    match random.u32(0..16) {
        15 => Fact::ErasureAnswered { position },
        14 => Fact::Blocked {
            key: random.choice(block_keys()).unwrap(),
            newest: BlockEntry {
                position,
                end_sec: random_second(random),
                is_on: random.bool(),
            },
        },
        10 | 11 => Fact::OrderUpdated(random_update(random, key, position)),
        12 => Fact::StepRetried {
            key,
            step: random.u16(1..4),
            position,
        },
        13 if random.bool() => Fact::LifecycleDrafted { position },
        13 => Fact::LifecyclePublished {
            number: random.u32(1..9),
            position,
        },
        0..3 => Fact::OrderPlaced(OrderFact {
            key,
            user: random_user(random),
            position,
            created_sec: random_second(random),
            slots: SlotKeys::new(),
            claims: random_claims(random),
            consumes: random.bool().then_some(id),
            ends_intent: random.bool(),
            begun: random.bool().then(|| random_beginning(random)),
        }),
        3 => Fact::PaymentIntent { key, position },
        4 => Fact::PaymentEnded { key, position },
        5 => Fact::HoldPlaced {
            id,
            placement: HoldPlacement {
                position,
                revision: random.u32(1..4),
                expires_sec: random_second(random),
            },
        },
        6 => Fact::HoldReleased {
            id,
            released_sec: random_second(random),
            reason: random
                .choice([ReleaseReason::Released, ReleaseReason::Expired])
                .unwrap(),
        },
        7 => Fact::Prices { position },
        8 if random.bool() => Fact::ErasureBegun { position },
        8 => Fact::ErasureCompleted {
            erasure: random_erasure(random, position),
        },
        _ => Fact::SlotsForgotten {
            until: random_second(random),
        },
    }
}

/// One of few states.
fn random_states(random: &mut Rng) -> Arc<StateProfile> {
    let state = random.choice(["processing", "cancelled"]).unwrap();
    let states = random.choice([
        Vec::new(),
        // As of a timer that leads there.
        vec![(Entity::Order, Name::from("timed_out"))],
    ]);
    let states = states.unwrap_or_default();
    Arc::new(StateProfile::new(random.u32(1..3), state.into(), states))
}

fn random_beginning(random: &mut Rng) -> BegunFacts {
    BegunFacts {
        has_work: random.bool(),
        states: random_states(random),
    }
}

/// An update of an order in one of few states.
fn random_update(random: &mut Rng, key: OrderKey, position: Position) -> UpdateFact {
    UpdateFact {
        key,
        newest: UpdateEntry {
            position,
            revision: random.u32(1..9),
            has_work: random.bool(),
        },
        states: random_states(random),
        released: random_claims(random),
    }
}

/// The position of an earlier record, which may be the beginning of an erasure.
fn random_erasure(random: &mut Rng, position: Position) -> Position {
    let segment = random.u64(1..=position.segment());
    Position::new(segment, 4096 + random.u64(0..30) * ALIGNMENT).unwrap()
}

/// A user, who is erased now and then.
fn random_user(random: &mut Rng) -> Option<UserKey> {
    let users = user_keys().into_iter().map(Some);
    random.choice(users.chain([None]).collect::<Vec<_>>())?
}

/// A second around the oldest one at which a hold may have ended that is kept. The clock goes back now and then.
fn random_second(random: &mut Rng) -> EpochSeconds {
    NOW.saturating_sub(HOLD_RETENTION)
        .saturating_add(Seconds::new(random.i64(-5..5)))
}

fn random_claims(random: &mut Rng) -> Vec<NamedClaim> {
    let mut claims = Vec::new();
    for _ in 0..random.u32(0..3) {
        claims.push(NamedClaim {
            merchant_id: random.choice(["museum", "tower"]).unwrap().into(),
            service_id: random.choice(["entry", "tour"]).unwrap().into(),
            start_sec: EpochSeconds::new(random.i64(0..2)),
            duration_sec: 3_600.into(),
            ticket_id: random.choice([None, Some("adult".into())]).unwrap(),
            count: random.u32(1..5),
        });
    }
    claims
}
