//! Payments: pending from their intent to their end, and counted if they ended without an order.

use super::{
    StoreHome,
    driver::{Driver, ended, intent, place},
};
use crate::{PaymentOutcome, PlacedOrder, Write};

fn end(driver: &Driver<'_>, token: &str, attempt: u32, outcome: PaymentOutcome) {
    driver.commit(Write::PaymentEnded(ended(intent(token, attempt), outcome)));
}

pub(super) fn an_intent_is_pending_until_its_payment_has_ended(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for token in ["open", "declined", "paid", "again"] {
        driver.commit(Write::PaymentIntent(intent(token, 1)));
    }
    end(&driver, "declined", 1, PaymentOutcome::Declined);
    end(&driver, "again", 1, PaymentOutcome::Voided);
    driver.commit(Write::PaymentIntent(intent("again", 2)));
    let paid = PlacedOrder {
        payment: Some(ended(intent("paid", 1), PaymentOutcome::Captured)),
        ..driver.placed("paid", "ada")
    };
    driver.commit(place(paid));
    // Nothing was charged for this one, so that there was no intent.
    driver.order("free", "ada");
    let Some(recovered) = driver.reopen() else {
        return;
    };
    let mut pending = recovered.pending.clone();
    pending.sort_by(|left, right| left.token.cmp(&right.token));
    assert_eq!(pending, [intent("again", 2), intent("open", 1)]);
    // What was pending before the restart ends after it.
    end(&driver, "open", 1, PaymentOutcome::Refunded);
    let recovered = driver.reopen().unwrap();
    assert_eq!(recovered.pending, [intent("again", 2)]);
}

pub(super) fn failed_attempts_are_counted(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for attempt in 1..=3 {
        driver.commit(Write::PaymentIntent(intent("token", attempt)));
        assert_eq!(driver.failed_attempts("token"), attempt - 1);
        end(&driver, "token", attempt, PaymentOutcome::Declined);
        assert_eq!(driver.failed_attempts("token"), attempt);
    }
    driver.commit(Write::PaymentIntent(intent("token", 4)));
    let paid = PlacedOrder {
        payment: Some(ended(intent("token", 4), PaymentOutcome::Captured)),
        ..driver.placed("token", "ada")
    };
    driver.commit(place(paid));
    let assert_counted = |driver: &Driver<'_>, failed| {
        assert_eq!(driver.failed_attempts("token"), 3);
        assert_eq!(driver.failed_attempts("unpaid"), failed);
        assert_eq!(driver.failed_attempts("another"), 0);
    };
    assert_counted(&driver, 0);
    for failed in 1..=3 {
        driver.commit(Write::PaymentIntent(intent("unpaid", failed)));
        end(&driver, "unpaid", failed, PaymentOutcome::Refunded);
        assert_counted(&driver, failed);
        // A charge has a key of its own also after a restart: a gateway would answer with the outcome of the earlier one.
        if driver.reopen().is_some() {
            assert_counted(&driver, failed);
        }
    }
}
