//! The reference model: what the clients were told, and what has to be on record and for sale because of it.

use std::ops::RangeInclusive;

use domain::{order::Order, slot::HoldSpan, time::EpochSeconds};
use store::{HoldRecord, NamedClaim, Replay};

use super::{
    ALLOTMENT, Counts, Finding, Moment, SLOTS,
    calls::{Answer, CallKind, Request, TOKENS, token},
    process::{Call, Record},
};
use crate::{
    Checked, Created, OrderError,
    tests::HOLD,
    update::{ChangeError, ChangedOrder},
};

/// What the clients know.
pub(super) struct Model {
    now: EpochSeconds,
    clock_changes: u64,
    tokens: Vec<TokenModel>,
}

/// What is known of one token.
#[derive(Debug, Default)]
struct TokenModel {
    /// Its order with the variant of the request, as first answered.
    order: Option<(u8, Box<Order>)>,
    /// Variants of requests without a known outcome.
    open: Vec<u8>,
    /// What the cart may hold.
    holdings: Vec<Holding>,
    /// The same before the call in flight began, if there is only one.
    before: Vec<Holding>,
    /// Whether its order is cancelled.
    cancellation: Cancellation,
    in_flight: u32,
    /// Whether calls in flight met each other, or lost their client.
    overlaps: bool,
}

/// What is known of the cancellation of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Cancellation {
    #[default]
    Unasked,
    /// It was asked for, and nobody was told the outcome.
    Open,
    Done,
}

/// What a cart may hold.
#[derive(Debug, Clone, PartialEq)]
enum Holding {
    Nothing,
    Spots(HeldSpots),
}

#[derive(Debug, Clone, PartialEq)]
struct HeldSpots {
    spots: Vec<(usize, u32)>,
    /// `None` where nobody was told.
    expires_sec: Option<EpochSeconds>,
    /// `None` where the clock was set while it was placed.
    placed_sec: Option<EpochSeconds>,
    /// Whether the clock has shown a second at which it does not last.
    may_be_over: bool,
}

/// What was observed beside an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observed {
    /// Whether the store or the disk has failed, so that calls may.
    pub(super) may_fail: bool,
    pub(super) is_damaged: bool,
}

impl HeldSpots {
    fn lasts_at(&self, now: EpochSeconds) -> bool {
        match (self.placed_sec, self.expires_sec) {
            (Some(placed), Some(expires)) => HoldSpan::new(placed, expires).is_on(now),
            _ => false,
        }
    }

    /// Whether this is the hold on record.
    fn is(&self, record: &HoldRecord) -> bool {
        let equals =
            |known: Option<EpochSeconds>, on_record| known.is_none_or(|it| it == on_record);
        equals(self.expires_sec, record.expires_sec)
            && equals(self.placed_sec, record.placed_sec)
            && self.spots == spots_of(&record.claims)
    }
}

impl Holding {
    fn see(&mut self, now: EpochSeconds) {
        if let Self::Spots(held) = self {
            held.may_be_over |= !held.lasts_at(now);
        }
    }
}

impl Model {
    pub(super) fn new(now: EpochSeconds) -> Self {
        let mut tokens = Vec::new();
        tokens.resize_with(TOKENS, || TokenModel {
            holdings: vec![Holding::Nothing],
            ..TokenModel::default()
        });
        Self {
            now,
            clock_changes: 0,
            tokens,
        }
    }

    pub(super) fn now(&self) -> EpochSeconds {
        self.now
    }

    pub(super) fn clock_changes(&self) -> u64 {
        self.clock_changes
    }

    pub(super) fn set_clock(&mut self, now: EpochSeconds) {
        self.now = now;
        self.clock_changes += 1;
        for known in &mut self.tokens {
            for holding in known.holdings.iter_mut().chain(&mut known.before) {
                holding.see(now);
            }
        }
    }

    /// The variant of the order that a token is known to have.
    pub(super) fn ordered(&self, token: usize) -> Option<u8> {
        let order = self.tokens[token].order.as_ref();
        order.map(|(variant, _)| *variant)
    }

    /// A call begins.
    pub(super) fn begin(&mut self, request: &Request) {
        let known = &mut self.tokens[request.token];
        if request.kind == CallKind::Cancel {
            // What the cart holds does not depend on it.
            if known.cancellation == Cancellation::Unasked {
                known.cancellation = Cancellation::Open;
            }
            return;
        }
        if known.in_flight == 0 && !known.overlaps {
            known.before.clone_from(&known.holdings);
        } else {
            known.overlaps = true;
        }
        known.in_flight += 1;
        match request.kind {
            CallKind::Check => {
                known.holdings.push(Holding::Spots(HeldSpots {
                    spots: request.spots(),
                    expires_sec: None,
                    placed_sec: None,
                    may_be_over: false,
                }));
                known.holdings.push(Holding::Nothing);
            }
            CallKind::Create => {
                known.open.push(request.variant);
                known.holdings.push(Holding::Nothing);
            }
            CallKind::Cancel | CallKind::Sweep => {}
        }
    }

    /// The client of a call has hung up: its outcome is unknown, and it may still be in flight.
    pub(super) fn disconnect(&mut self, request: &Request) {
        if matches!(request.kind, CallKind::Cancel | CallKind::Sweep) {
            return;
        }
        let known = &mut self.tokens[request.token];
        known.in_flight -= 1;
        known.overlaps = true;
    }

    /// The process has ended: no call is in flight.
    pub(super) fn lose_calls(&mut self) {
        for known in &mut self.tokens {
            known.in_flight = 0;
            known.overlaps = true;
        }
    }

    /// A call is answered.
    pub(super) fn answer(
        &mut self,
        call: &Call,
        answer: Answer,
        observed: Observed,
        counts: &mut Counts,
    ) -> Result<(), Finding> {
        let request = call.request;
        let result = match answer {
            Answer::Swept => return Ok(()),
            Answer::Cancelled(changed) => {
                let cancelled = self.cancelled(call, changed, observed, counts);
                return cancelled.map_err(|finding| format!("{request:?}: {finding}"));
            }
            Answer::Checked(checked) => self.checked(call, checked, observed, counts),
            Answer::Created(created) => self.created(call, created, observed, counts),
        };
        let known = &mut self.tokens[request.token];
        known.in_flight -= 1;
        result.map_err(|finding| format!("{request:?}: {finding}"))
    }

    fn checked(
        &mut self,
        call: &Call,
        checked: Result<Checked, OrderError>,
        observed: Observed,
        counts: &mut Counts,
    ) -> Result<(), Finding> {
        let checked = match checked {
            Ok(checked) => checked,
            Err(_) if observed.may_fail => {
                counts.failed += 1;
                return Ok(());
            }
            Err(error) => return Err(format!("failed: {error:?}")),
        };
        let is_same_time = call.begun.1 == self.clock_changes;
        let known = &mut self.tokens[call.request.token];
        let holding = match checked.hold_expires_sec {
            None => Holding::Nothing,
            Some(expires_sec) => {
                counts.holds += 1;
                let placed_sec = Some(call.begun.0).filter(|_| is_same_time);
                if let Some(placed_sec) = placed_sec {
                    let length = expires_sec.since(placed_sec);
                    if length > HOLD || expires_sec <= placed_sec {
                        return Err(format!("held for {length:?}"));
                    }
                }
                Holding::Spots(HeldSpots {
                    spots: call.request.spots(),
                    expires_sec: Some(expires_sec),
                    placed_sec,
                    may_be_over: placed_sec.is_none(),
                })
            }
        };
        let may_have_failed = holding == Holding::Nothing && observed.may_fail;
        if known.overlaps || may_have_failed {
            known.holdings.push(holding);
        } else {
            known.holdings = vec![holding];
        }
        Ok(())
    }

    fn cancelled(
        &mut self,
        call: &Call,
        changed: ChangedOrder,
        observed: Observed,
        counts: &mut Counts,
    ) -> Result<(), Finding> {
        let known = &mut self.tokens[call.request.token];
        match changed {
            Ok(stored) => {
                counts.cancelled += 1;
                known.cancellation = Cancellation::Done;
                // A repetition has the answer of the first time.
                if stored.revision() == 1 {
                    Ok(())
                } else {
                    Err(format!("revision {}", stored.revision()))
                }
            }
            Err(ChangeError::UnknownOrder) if call.ordered.is_none() || observed.is_damaged => {
                Ok(())
            }
            Err(_) if observed.may_fail => {
                counts.failed += 1;
                Ok(())
            }
            Err(error) => Err(format!("failed: {error:?}")),
        }
    }

    fn created(
        &mut self,
        call: &Call,
        created: Result<Created, OrderError>,
        observed: Observed,
        counts: &mut Counts,
    ) -> Result<(), Finding> {
        let request = call.request;
        let known = &mut self.tokens[request.token];
        match created {
            Ok(Ok(order)) => {
                require_asked(&order, &request)?;
                forget_one(&mut known.open, request.variant);
                known.end_hold();
                let Some((variant, first)) = &known.order else {
                    counts.orders += 1;
                    known.order = Some((request.variant, order));
                    return Ok(());
                };
                counts.replayed += 1;
                if (*variant, first) != (request.variant, &order) {
                    return Err(format!("{order:?} in place of {first:?}, {variant}"));
                }
                Ok(())
            }
            Ok(Err(cause)) => {
                counts.declined += 1;
                forget_one(&mut known.open, request.variant);
                known.keep_holdings();
                // Whatever is on record is answered again, unless damage has lost it.
                if call.ordered.is_some() && !observed.is_damaged {
                    return Err(format!(
                        "declined ({}) although it is on record",
                        cause.name()
                    ));
                }
                Ok(())
            }
            Err(OrderError::TokenReused) => {
                counts.reused += 1;
                forget_one(&mut known.open, request.variant);
                known.keep_holdings();
                let ordered = known.order.as_ref().map(|(variant, _)| *variant);
                let mut others = known.open.iter().copied().chain(ordered);
                if !others.any(|variant| variant != request.variant) {
                    return Err("rejected as another request".to_owned());
                }
                Ok(())
            }
            // The outcome stays open.
            Err(_) if observed.may_fail => {
                counts.failed += 1;
                Ok(())
            }
            Err(error) => Err(format!("failed: {error:?}")),
        }
    }

    /// Takes over what is on record, if the clients were told nothing else.
    pub(super) fn adopt(
        &mut self,
        record: Record,
        moment: Moment,
        is_damaged: bool,
        counts: &mut Counts,
    ) -> Result<(), Finding> {
        let Record {
            replays,
            holds,
            cancelled,
            listed,
        } = record;
        let now = self.now;
        let tokens = replays.into_iter().zip(holds).zip(cancelled);
        for (number, ((replay, hold), is_cancelled)) in tokens.enumerate() {
            let known = &mut self.tokens[number];
            let is_listed = |order: &Order| {
                let same: Vec<_> = listed.iter().filter(|it| it.id == order.id).collect();
                same == [order]
            };
            if let Some(replay) = &replay
                && !is_listed(&replay.order)
            {
                return Err(format!("{:?} is not listed once", replay.order));
            }
            let adopted = known
                .adopt_order(number, replay, is_damaged, counts)
                .and_then(|()| known.adopt_cancellation(is_cancelled, is_damaged))
                .and_then(|()| {
                    let hold = hold.map(|stored| stored.hold);
                    known.adopt_hold(hold, now, moment, is_damaged, counts)
                });
            adopted.map_err(|finding| format!("{:?}: {finding}", token(number)))?;
        }
        let orders = self.tokens.iter().filter(|it| it.order.is_some()).count();
        if listed.len() != orders {
            return Err(format!("{} orders are listed, of {orders}", listed.len()));
        }
        for slot in 0..SLOTS.len() {
            let sold = self.sold(slot);
            if sold > ALLOTMENT {
                return Err(format!("slot {slot} is sold {sold} times"));
            }
        }
        Ok(())
    }

    fn sold(&self, slot: usize) -> u32 {
        let standing = self
            .tokens
            .iter()
            .filter(|it| it.cancellation != Cancellation::Done);
        let orders = standing.filter_map(|it| it.order.as_ref());
        let spots = orders.flat_map(|(_, order)| &order.items);
        let of_slot = spots.filter(|item| item.line.start_sec == SLOTS[slot]);
        let tickets = of_slot.flat_map(|item| &item.line.tickets);
        tickets.map(|ticket| ticket.count.cast_unsigned()).sum()
    }

    /// How many spots of a slot may be open at a second. To be asked after [`Self::adopt`].
    pub(super) fn open_at(&self, slot: usize, second: EpochSeconds) -> RangeInclusive<u32> {
        let (mut least, mut most) = (self.sold(slot), self.sold(slot));
        for held in self.holds().filter(|held| held.lasts_at(second)) {
            let of_slot = held.spots.iter().filter(|(held, _)| *held == slot);
            let count: u32 = of_slot.map(|(_, count)| count).sum();
            most += count;
            // One that was over is no longer counted by slots that were sold from meanwhile.
            if !held.may_be_over {
                least += count;
            }
        }
        // A clock that was set back brings holds back whose spots were sold meanwhile.
        ALLOTMENT.saturating_sub(most)..=ALLOTMENT.saturating_sub(least)
    }

    /// The present second, and those before and after the end of each hold that lasts.
    pub(super) fn seconds_of_change(&self) -> Vec<EpochSeconds> {
        let mut seconds = vec![self.now];
        for held in self.holds().filter(|held| !held.may_be_over) {
            if let Some(expires_sec) = held.expires_sec {
                seconds.extend([expires_sec - 1, expires_sec]);
            }
        }
        seconds
    }

    fn holds(&self) -> impl Iterator<Item = &HeldSpots> {
        self.tokens
            .iter()
            .flat_map(|known| &known.holdings)
            .filter_map(|holding| match holding {
                Holding::Nothing => None,
                Holding::Spots(held) => Some(held),
            })
    }
}

impl TokenModel {
    /// The cart has become an order, and holds nothing.
    fn end_hold(&mut self) {
        if !self.overlaps {
            self.holdings.clear();
        }
        self.holdings.push(Holding::Nothing);
    }

    /// The cart has what it had before a call that changed nothing.
    fn keep_holdings(&mut self) {
        if !self.overlaps {
            self.holdings.clone_from(&self.before);
        }
    }

    fn adopt_order(
        &mut self,
        number: usize,
        replay: Option<Replay>,
        is_damaged: bool,
        counts: &mut Counts,
    ) -> Result<(), Finding> {
        match (replay, &self.order) {
            (None, None) => {}
            (None, Some(_)) if is_damaged => self.order = None,
            (None, Some((_, order))) => return Err(format!("{order:?} is lost")),
            (Some(replay), Some((variant, order))) => {
                if replay.order != *order || replay.fingerprint != [*variant; 32] {
                    return Err(format!("{:?} in place of {order:?}", replay.order));
                }
            }
            (Some(replay), None) => {
                let [variant, ..] = replay.fingerprint;
                if !self.open.contains(&variant) {
                    return Err(format!("{:?} was not ordered", replay.order));
                }
                let request = Request {
                    kind: CallKind::Create,
                    token: number,
                    variant,
                };
                require_asked(&replay.order, &request)?;
                counts.recovered += 1;
                self.order = Some((variant, replay.order));
            }
        }
        self.open.clear();
        Ok(())
    }

    fn adopt_cancellation(&mut self, is_cancelled: bool, is_damaged: bool) -> Result<(), Finding> {
        match (self.cancellation, is_cancelled) {
            (Cancellation::Done, false) if !is_damaged => {
                return Err("the cancellation is lost".to_owned());
            }
            (Cancellation::Unasked, true) => {
                return Err("cancelled, and nobody has asked for it".to_owned());
            }
            (_, _) => {}
        }
        self.cancellation = if is_cancelled {
            Cancellation::Done
        } else {
            Cancellation::Unasked
        };
        Ok(())
    }

    fn adopt_hold(
        &mut self,
        hold: Option<HoldRecord>,
        now: EpochSeconds,
        moment: Moment,
        is_damaged: bool,
        counts: &mut Counts,
    ) -> Result<(), Finding> {
        let adopted = match hold {
            None => {
                let may_be_nothing = self.holdings.iter().any(|holding| match holding {
                    Holding::Nothing => true,
                    Holding::Spots(held) => held.may_be_over,
                });
                if !may_be_nothing && !is_damaged {
                    return Err(format!("nothing is held, of {:?}", self.holdings));
                }
                counts.holds_ended += u64::from(self.holdings != [Holding::Nothing]);
                Holding::Nothing
            }
            Some(hold) => {
                let mut is_known = false;
                let mut was_over = false;
                for holding in &self.holdings {
                    if let Holding::Spots(held) = holding
                        && held.is(&hold)
                    {
                        is_known = true;
                        was_over |= held.may_be_over;
                    }
                }
                if !is_known && !is_damaged {
                    return Err(format!("{hold:?} is held, of {:?}", self.holdings));
                }
                let held = HeldSpots {
                    spots: spots_of(&hold.claims),
                    expires_sec: Some(hold.expires_sec),
                    placed_sec: Some(hold.placed_sec),
                    may_be_over: false,
                };
                let lasts = held.lasts_at(now);
                let may_be_over = match moment {
                    Moment::Start if !lasts => {
                        return Err(format!("{hold:?} is over and was not ended"));
                    }
                    Moment::Start => {
                        counts.holds_kept += 1;
                        false
                    }
                    // Others may have got its spots while the clock said that it was over.
                    Moment::Quiet => was_over || !lasts,
                };
                Holding::Spots(HeldSpots {
                    may_be_over,
                    ..held
                })
            }
        };
        self.holdings = vec![adopted];
        self.overlaps = false;
        Ok(())
    }
}

/// The spots of a hold on record, in the order of the slots.
fn spots_of(claims: &[NamedClaim]) -> Vec<(usize, u32)> {
    let mut spots = Vec::new();
    for claim in claims {
        let slot = SLOTS.iter().position(|start| *start == claim.start_sec);
        spots.push((slot.unwrap_or(usize::MAX), claim.count));
    }
    spots.sort_unstable();
    spots
}

/// Fails if an order is not what a request has asked for.
fn require_asked(order: &Order, request: &Request) -> Result<(), Finding> {
    let lines: Vec<_> = order.items.iter().map(|item| item.line.clone()).collect();
    if lines == request.lines() {
        return Ok(());
    }
    Err(format!("{order:?} is not what was ordered"))
}

/// Removes a variant once.
fn forget_one(open: &mut Vec<u8>, variant: u8) {
    if let Some(at) = open.iter().position(|it| *it == variant) {
        open.swap_remove(at);
    }
}
