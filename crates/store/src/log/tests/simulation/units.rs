//! Units of work by chance: few users, tokens and holds, so that everything meets everything.

use domain::{
    ids::{Token, UserId},
    time::{EpochSeconds, Seconds},
};
use fastrand::Rng;

use super::model::Model;
use crate::{
    HoldId, NamedSlot, Precondition, ReleaseReason, SlotBlock, UnitOfWork, Write,
    conformance::samples::{self, one_of},
};

/// Users with orders.
pub(super) const USERS: [&str; 3] = ["ada", "grace", "lin"];

/// Holds.
const HOLDS: u8 = 4;

/// A second of this run.
pub(super) const NOW: EpochSeconds = EpochSeconds::new(1_800_000_000);

/// All holds that units may have.
pub(super) fn holds() -> impl Iterator<Item = HoldId> {
    (0..HOLDS).map(|number| HoldId([number; 16]))
}

/// A unit that a server may commit now. Some are decided on what is not so, and have to be rejected.
pub(super) fn random_unit(random: &mut Rng, model: &Model) -> UnitOfWork {
    match random.u8(..19) {
        18 => UnitOfWork::write(Write::ErasureAnswered(samples::erasure_answer(random))),
        15 => retry(random, model),
        16 => lifecycle(random, model),
        17 => UnitOfWork::write(Write::LifecycleDraft(Box::new(samples::draft(random)))),
        10..13 => update(random, model),
        13..15 => block(random),
        0..4 => order(random, model),
        4 => UnitOfWork::write(Write::PaymentIntent({
            let token = token(random, model);
            samples::intent(random, token)
        })),
        5 => UnitOfWork::write(Write::PaymentEnded({
            let token = token(random, model);
            samples::attempt(random, token)
        })),
        6 | 7 => hold(random, model),
        8 => hold_released(random, model),
        _ => background(random),
    }
}

/// A new token, or one that has been seen.
fn token(random: &mut Rng, model: &Model) -> Token {
    let tokens = model.tokens();
    let index = random.usize(..tokens.len() + 2);
    match tokens.get(index) {
        Some(token) => token.clone(),
        None => format!("token {:x}", random.u32(..)).as_str().into(),
    }
}

fn order(random: &mut Rng, model: &Model) -> UnitOfWork {
    // Most are new. One that is not will be rejected.
    let token = if random.u8(..4) == 0 {
        token(random, model)
    } else {
        format!("order {:x}", random.u64(..)).as_str().into()
    };
    let key = model.order_key(&token);
    let mut placed = samples::placed(random, |_| key.order_id());
    placed.order.customer.user_id = UserId::from(one_of(random, &USERS));
    placed.order.customer.email = format!("{:016x}@example.com", random.u64(..));
    placed.created_sec = second(random);
    placed.payment = random
        .bool()
        .then(|| samples::attempt(random, token.clone()));
    placed.hold = None;
    placed.token = token;
    for claim in &mut placed.claims {
        claim.merchant_id = "museum".into();
        claim.service_id = one_of(random, &["entry", "tour"]).into();
        claim.start_sec = NOW.saturating_add(Seconds::new(random.i64(..3)));
        claim.duration_sec = 3600.into();
        claim.ticket_id = one_of(random, &[None, Some("adult")]).map(Into::into);
        claim.count = random.u32(1..5);
    }
    let unit = UnitOfWork::default().requiring(Precondition::NewRequest(key));
    if random.u8(..3) > 0 {
        return unit.and(Write::OrderPlaced(Box::new(placed)));
    }
    let (id, revision) = hold_revision(random, model);
    placed.hold = Some(id);
    unit.requiring(active(id, revision))
        .and(Write::OrderPlaced(Box::new(placed)))
}

/// An update of an order, which may be unknown. Some give spots back; now and then it is decided on another revision.
fn update(random: &mut Rng, model: &Model) -> UnitOfWork {
    let order = model.order_key(&token(random, model));
    let id = order.order_id();
    let current = model.revision_of(&id);
    let mut update = samples::update(random, id.clone(), current + 1);
    update.entry.texts.note = format!("note {:016x}", random.u64(..));
    if random.bool() {
        update.released = model.unreleased(&id);
        update.released.truncate(random.usize(..3));
    }
    // Beyond those of units in flight, or it would be committed after them with what they have given back already.
    let revision = if random.u8(..8) == 0 {
        current + 7
    } else {
        current
    };
    UnitOfWork::write(Write::OrderUpdated(Box::new(update)))
        .requiring(Precondition::OrderRevision { order, revision })
}

/// An attempt at a step that is open; without one, a draft.
fn retry(random: &mut Rng, model: &Model) -> UnitOfWork {
    let order = model.order_key(&token(random, model));
    let id = order.order_id();
    let Some(step) = model.open_step(&id) else {
        return UnitOfWork::write(Write::LifecycleDraft(Box::new(samples::draft(random))));
    };
    let revision = model.revision_of(&id);
    let retry = samples::step_retry(random, id, step);
    UnitOfWork::write(Write::StepRetried(Box::new(retry)))
        .requiring(Precondition::OrderRevision { order, revision })
}

/// The next revision of the lifecycle. Now and then it is decided on another one.
fn lifecycle(random: &mut Rng, model: &Model) -> UnitOfWork {
    let current = model.lifecycle_revision();
    let revision = samples::revision(random, current + 1);
    let expected = current + u32::from(random.u8(..8) == 0);
    UnitOfWork::write(Write::Lifecycle(Box::new(revision)))
        .requiring(Precondition::LifecycleRevision(expected))
}

/// A hold with its revision, or now and then another one.
fn hold_revision(random: &mut Rng, model: &Model) -> (HoldId, u32) {
    let id = HoldId([random.u8(..HOLDS); 16]);
    let revision = model.active_revision(id);
    let is_wrong = random.u8(..10) == 0;
    (id, revision + u32::from(is_wrong))
}

/// The hold has this revision, and is active.
fn active(id: HoldId, revision: u32) -> Precondition {
    let revision = revision.max(1);
    Precondition::HoldRevision { id, revision }
}

fn hold(random: &mut Rng, model: &Model) -> UnitOfWork {
    let (id, revision) = hold_revision(random, model);
    let mut hold = samples::hold(random);
    hold.id = id;
    hold.revision = revision + 1;
    hold.placed_sec = second(random);
    hold.expires_sec = second(random);
    UnitOfWork::write(Write::HoldPlaced(Box::new(hold)))
        .requiring(Precondition::HoldRevision { id, revision })
}

fn hold_released(random: &mut Rng, model: &Model) -> UnitOfWork {
    let (id, revision) = hold_revision(random, model);
    let release = Write::HoldReleased {
        id,
        released_sec: second(random),
        reason: one_of(random, &[ReleaseReason::Released, ReleaseReason::Expired]),
    };
    UnitOfWork::write(release).requiring(active(id, revision))
}

/// All slots that units may block: some are forgotten by and by, and one never is.
pub(super) fn slots() -> impl Iterator<Item = NamedSlot> {
    [-20, 10, 100].into_iter().map(|seconds| NamedSlot {
        start_sec: NOW.saturating_add(Seconds::new(seconds)),
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        duration_sec: 10.into(),
    })
}

/// One or two blocks, so that some replace another of the same frame.
fn block(random: &mut Rng) -> UnitOfWork {
    let slots: Vec<_> = slots().collect();
    let mut unit = UnitOfWork::default();
    for _ in 0..random.u8(1..3) {
        let block = SlotBlock {
            slot: one_of(random, &slots),
            ..samples::block(random)
        };
        unit = unit.and(Write::Blocked(Box::new(block)));
    }
    unit
}

/// Units of several writes that need nothing.
fn background(random: &mut Rng) -> UnitOfWork {
    let mut unit = UnitOfWork::write(Write::Prices(samples::prices(random)));
    for _ in 0..random.u8(..3) {
        unit = unit.and(Write::SlotsForgotten(second(random)));
    }
    unit
}

/// A second near the beginning of the run, so that no hold has ended too long ago to be kept.
fn second(random: &mut Rng) -> EpochSeconds {
    NOW.saturating_add(Seconds::new(random.i64(-50..50)))
}
