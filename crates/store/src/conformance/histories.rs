//! Histories by chance, with restarts, against the model.

use fastrand::Rng;

use super::{
    StoreHome,
    driver::{Driver, hold_id, order_revision, revision},
    model::{Model, sorted},
    samples::{self, one_of},
};
use crate::{
    CommitError, HoldId, HoldRecord, OrderKey, PaymentAttempt, Precondition, ReleaseReason,
    Selection, SlotBlock, UnitOfWork, Write,
};
use domain::{
    ids::{Token, UserId},
    order::OrderId,
    time::EpochSeconds,
};
use testkit::seeds::seeds;

/// Units of one history.
const UNITS: u32 = 120;

/// A history that is being made up.
struct Script {
    random: Rng,
    tokens: Vec<Token>,
    users: Vec<UserId>,
    holds: Vec<HoldId>,
}

pub(super) fn any_history_is_that_of_the_model(home: &dyn StoreHome) {
    // One home has one store, so that the histories of all seeds are one history with other tokens.
    let (mut driver, mut model) = (Driver::open(home), Model::default());
    for seed in seeds(4) {
        let mut script = Script::of(seed);
        for number in 0..UNITS {
            script.step(&mut driver, &mut model);
            if number % 40 == 39 {
                script.assert_agree(&driver, &model);
            }
        }
        reopen(&mut driver, &model);
        script.assert_agree(&driver, &model);
    }
}

fn reopen(driver: &mut Driver<'_>, model: &Model) {
    if let Some(recovered) = driver.reopen() {
        assert_eq!(sorted(recovered), model.recovered());
    }
}

impl Script {
    fn of(seed: u64) -> Self {
        let first_hold = u8::try_from(seed % 25).unwrap() * 10;
        Self {
            random: Rng::with_seed(seed),
            tokens: (0..40)
                .map(|number| format!("{seed}-{number}").as_str().into())
                .collect(),
            users: (0..4)
                .map(|number| format!("user-{number}").as_str().into())
                .collect(),
            holds: (0..6).map(|number| hold_id(first_hold + number)).collect(),
        }
    }

    fn step(&mut self, driver: &mut Driver<'_>, model: &mut Model) {
        let unit = self.unit(model, |token| driver.store().order_key(token));
        let stale: Vec<_> = unit
            .requires
            .iter()
            .filter(|required| !model.meets(required))
            .collect();
        match driver.try_commit(&unit) {
            Ok(()) => {
                assert!(
                    stale.is_empty(),
                    "{stale:?} do not hold, and the unit is committed"
                );
                model.apply(&unit);
            }
            Err(CommitError::Stale(precondition)) => {
                assert!(
                    stale.contains(&&precondition),
                    "{precondition:?} holds: {stale:?}"
                );
            }
            Err(error) => panic!("{unit:?} is not committed: {error:?}"),
        }
        match self.random.u8(..32) {
            0 | 1 => reopen(driver, model),
            2 => {
                let user = one_of(&mut self.random, &self.users);
                assert_eq!(driver.erase(user.as_str()), model.erase(&user), "{user}");
            }
            3..8 => model.assert_lists(driver, &self.selection(driver)),
            _ => {}
        }
    }

    fn assert_agree(&mut self, driver: &Driver<'_>, model: &Model) {
        model.assert_answers(driver, &self.tokens, &self.users, &self.holds);
        for _ in 0..4 {
            model.assert_lists(driver, &self.selection(driver));
        }
    }

    fn selection(&mut self, driver: &Driver<'_>) -> Selection {
        match self.random.u8(..5) {
            3 => {
                let from = self.random.i64(-10..2_000);
                Selection::Visit {
                    from: EpochSeconds::new(from),
                    until: EpochSeconds::new(i64::MAX),
                }
            }
            4 => Selection::Slot(super::lists::slot_of(&super::driver::claim(1))),
            0 => Selection::User(one_of(&mut self.random, &self.users)),
            1 => {
                let from = self.random.i64(-10..1_010);
                Selection::Created {
                    from: EpochSeconds::new(from),
                    until: EpochSeconds::new(from + self.random.i64(-10..500)),
                }
            }
            _ => {
                let mut ids = vec![OrderId::from("stranger")];
                for _ in 0..self.random.usize(..20) {
                    ids.push(
                        driver
                            .store()
                            .order_key(&one_of(&mut self.random, &self.tokens))
                            .order_id(),
                    );
                }
                self.random.shuffle(&mut ids);
                Selection::Ids(ids)
            }
        }
    }

    /// A unit that the server might commit. Some of what it requires is not so.
    fn unit(&mut self, model: &Model, order_key: impl Fn(&Token) -> OrderKey) -> UnitOfWork {
        match self.random.u8(..20) {
            15 | 16 => self.block(),
            17 => self.lifecycle(model),
            18 | 19 => self.retry(model, order_key),
            0..5 => self.order(model, order_key),
            12..15 => self.update(model, order_key),
            5 => self.payment(model, order_key),
            6..8 => self.hold(model),
            8 => self.release(model),
            9 => Write::SlotsForgotten(EpochSeconds::new(self.random.i64(..1_000))).into(),
            _ => self.any_prices(),
        }
    }

    /// Slots of which some are forgotten by and by.
    fn block(&mut self) -> UnitOfWork {
        let slot = super::blocks::slot(self.random.i64(-3_590..-2_600) / 100 * 100);
        let block = samples::block(&mut self.random);
        Write::Blocked(Box::new(SlotBlock { slot, ..block })).into()
    }

    fn order(&mut self, model: &Model, order_key: impl Fn(&Token) -> OrderKey) -> UnitOfWork {
        let token = one_of(&mut self.random, &self.tokens);
        let key = order_key(&token);
        let mut placed = samples::placed(&mut self.random, |_| key.order_id());
        placed.order.customer.user_id = one_of(&mut self.random, &self.users);
        // The clock goes back and forth.
        placed.created_sec = EpochSeconds::new(self.random.i64(..1_000));
        let creators = [None, Some("google".into()), Some("hidden".into())];
        placed.created_by = one_of(&mut self.random, &creators);
        placed.payment = self.payment_of(model, &token);
        placed.hold = None;
        let mut requires = vec![Precondition::NewRequest(key)];
        placed.token = token;
        let hold = one_of(&mut self.random, &self.holds);
        if self.random.bool() && model.revision(hold) > 0 {
            placed.hold = Some(hold);
            requires.push(self.expected(model, hold));
        }
        let order = Write::OrderPlaced(Box::new(placed));
        let mut unit = requires
            .into_iter()
            .fold(order.into(), UnitOfWork::requiring);
        if self.random.u8(..4) == 0 {
            // Another hold ends in the same unit.
            let other = self
                .holds
                .iter()
                .find(|id| **id != hold && model.revision(**id) > 0);
            if let Some(other) = other.copied() {
                let expected = self.expected(model, other);
                unit = unit.and(self.released(other)).requiring(expected);
            }
        }
        unit
    }

    /// An update of an order, which may be unknown. Some give spots back.
    fn update(&mut self, model: &Model, order_key: impl Fn(&Token) -> OrderKey) -> UnitOfWork {
        let id = order_key(&one_of(&mut self.random, &self.tokens)).order_id();
        let current = model.revision_of(&id).unwrap_or(0);
        let mut update = samples::update(&mut self.random, id.clone(), current + 1);
        if self.random.u8(..3) == 0 {
            update.released = model.unreleased(&id);
            update.released.truncate(self.random.usize(..3));
        }
        let expected = match self.random.u8(..8) {
            0 => current + 1,
            1 => current.saturating_sub(1),
            _ => current,
        };
        UnitOfWork::from(Write::OrderUpdated(Box::new(update)))
            .requiring(order_revision(&id, expected))
    }

    /// A revision of the lifecycle, a draft, or both; or the answer to an erasure.
    fn lifecycle(&mut self, model: &Model) -> UnitOfWork {
        let current = model.lifecycle_revision();
        let draft = Write::LifecycleDraft(Box::new(samples::draft(&mut self.random)));
        if self.random.bool() {
            return draft.into();
        }
        if self.random.u8(..3) == 0 {
            let answer = samples::erasure_answer(&mut self.random);
            return Write::ErasureAnswered(answer).into();
        }
        let revision = samples::revision(&mut self.random, current + 1);
        let expected = current + u32::from(self.random.u8(..4) == 0);
        let unit = UnitOfWork::from(Write::Lifecycle(Box::new(revision)))
            .requiring(Precondition::LifecycleRevision(expected));
        if self.random.bool() {
            unit.and(draft)
        } else {
            unit
        }
    }

    /// An attempt at a step that is open.
    fn retry(&mut self, model: &Model, order_key: impl Fn(&Token) -> OrderKey) -> UnitOfWork {
        for token in &self.tokens {
            let id = order_key(token).order_id();
            let (steps, revision) = model.steps_of(&id);
            if let Some(step) = steps.first()
                && self.random.bool()
            {
                let retry = samples::step_retry(&mut self.random, id.clone(), *step);
                return UnitOfWork::from(Write::StepRetried(Box::new(retry)))
                    .requiring(order_revision(&id, revision));
            }
        }
        self.any_prices()
    }

    /// The payment of an order: that of the pending intent, if there is one.
    fn payment_of(&mut self, model: &Model, token: &Token) -> Option<PaymentAttempt> {
        let pending = model.pending(token)?.clone();
        Some(PaymentAttempt {
            intent: pending,
            ..samples::attempt(&mut self.random, token.clone())
        })
    }

    /// A payment begins; one that has begun ends without an order.
    fn payment(&mut self, model: &Model, order_key: impl Fn(&Token) -> OrderKey) -> UnitOfWork {
        let token = one_of(&mut self.random, &self.tokens);
        if let Some(attempt) = self.payment_of(model, &token) {
            return Write::PaymentEnded(attempt).into();
        }
        let is_new = Precondition::NewRequest(order_key(&token));
        let intent = samples::intent(&mut self.random, token);
        UnitOfWork::from(Write::PaymentIntent(intent)).requiring(is_new)
    }

    fn hold(&mut self, model: &Model) -> UnitOfWork {
        let id = one_of(&mut self.random, &self.holds);
        let hold = HoldRecord {
            id,
            revision: model.revision(id) + 1,
            ..samples::hold(&mut self.random)
        };
        let expected = self.expected(model, id);
        UnitOfWork::from(Write::HoldPlaced(Box::new(hold))).requiring(expected)
    }

    fn release(&mut self, model: &Model) -> UnitOfWork {
        let active = self.holds.iter().find(|id| model.revision(**id) > 0);
        let Some(id) = active.copied() else {
            return self.any_prices();
        };
        let expected = self.expected(model, id);
        UnitOfWork::from(self.released(id)).requiring(expected)
    }

    fn released(&mut self, id: HoldId) -> Write {
        Write::HoldReleased {
            id,
            released_sec: EpochSeconds::new(self.random.i64(..1_000)),
            reason: one_of(
                &mut self.random,
                &[ReleaseReason::Released, ReleaseReason::Expired],
            ),
        }
    }

    fn any_prices(&mut self) -> UnitOfWork {
        Write::Prices(samples::prices(&mut self.random)).into()
    }

    /// The revision that a hold has, or now and then another one.
    fn expected(&mut self, model: &Model, id: HoldId) -> Precondition {
        let current = model.revision(id);
        let expected = match self.random.u8(..8) {
            0 => current + 1,
            1 => current.saturating_sub(1),
            _ => current,
        };
        revision(id, expected)
    }
}
