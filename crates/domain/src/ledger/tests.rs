use proptest::prelude::*;

use super::{
    LedgerKind::{
        Authorized, Captured, Declined, InDoubt, Reduced, RefundFailed, RefundRequested, Refunded,
        Settled, Voided,
    },
    *,
};
use crate::money::Currency;

fn dollars(amount: i64) -> Money {
    Money::from_micros(amount * 1_000_000, Currency::from_code("USD").unwrap())
}

fn entry(kind: LedgerKind, amount: i64) -> LedgerEntry {
    LedgerEntry::new(kind, dollars(amount), EpochSeconds::new(7))
}

fn ledger(entries: &[(LedgerKind, i64)]) -> PaymentLedger {
    let entries = entries.iter().map(|(kind, amount)| entry(*kind, *amount));
    PaymentLedger::with_entries(PaidBy::Partner, dollars(10), entries).unwrap()
}

#[test]
fn the_status_follows_from_the_entries() {
    for (entries, expected) in [
        (&[][..], PaymentStatus::Pending),
        (&[(Authorized, 10)], PaymentStatus::Authorized),
        (&[(Captured, 10)], PaymentStatus::Captured),
        (&[(Authorized, 10), (Captured, 10)], PaymentStatus::Captured),
        (&[(Declined, 10)], PaymentStatus::Declined),
        (&[(Declined, 10), (Captured, 10)], PaymentStatus::Captured),
        (&[(Authorized, 10), (Voided, 10)], PaymentStatus::Refunded),
        (&[(Captured, 10), (Refunded, 9)], PaymentStatus::Captured),
        (&[(Captured, 10), (Refunded, 10)], PaymentStatus::Refunded),
        (
            &[(Captured, 10), (RefundRequested, 10)],
            PaymentStatus::Captured,
        ),
        (&[(InDoubt, 10)], PaymentStatus::InDoubt),
        (&[(InDoubt, 10), (Captured, 10)], PaymentStatus::Captured),
        (&[(InDoubt, 10), (Settled, 10)], PaymentStatus::Refunded),
        (&[(InDoubt, 10), (Declined, 10)], PaymentStatus::Declined),
    ] {
        assert_eq!(ledger(entries).status(), expected, "{entries:?}");
    }
    for paid_by in [PaidBy::Google, PaidBy::Merchant, PaidBy::Nobody] {
        let other = PaymentLedger::new(paid_by, dollars(10));
        assert_eq!(other.status(), PaymentStatus::NotRequired);
    }
    let free = PaymentLedger::new(PaidBy::Partner, dollars(0));
    assert_eq!(free.status(), PaymentStatus::NotRequired);
}

#[test]
fn an_amount_that_is_not_the_due_one_covers_nothing() {
    for (entries, expected) in [
        (&[(Captured, 10)][..], true),
        (&[(Captured, 9)], false),
        (&[(Authorized, 10)], true),
        (&[(Authorized, 9)], false),
        (&[(Authorized, 10), (Reduced, 4)], true),
        (&[(Authorized, 10), (Reduced, 4), (Captured, 6)], true),
        (&[(Authorized, 10), (Reduced, 4), (Captured, 10)], false),
        (&[(Declined, 10)], false),
        (&[(InDoubt, 10)], false),
        (&[(Captured, 10), (Refunded, 10)], false),
        (&[], false),
    ] {
        assert_eq!(ledger(entries).is_covered(), expected, "{entries:?}");
    }
}

#[test]
fn sums_follow_from_the_entries() {
    for (entries, refundable, capturable) in [
        (&[(Captured, 10)][..], 10, 0),
        (&[(Captured, 10), (RefundRequested, 4)], 6, 0),
        (&[(Captured, 10), (RefundRequested, 4), (Refunded, 4)], 6, 0),
        (
            &[(Captured, 10), (RefundRequested, 4), (RefundFailed, 4)],
            10,
            0,
        ),
        (&[(Authorized, 10)], 0, 10),
        (&[(Authorized, 10), (Reduced, 3)], 0, 7),
        (&[(Authorized, 10), (Voided, 10)], 0, 0),
    ] {
        let ledger = ledger(entries);
        assert_eq!(ledger.refundable(), dollars(refundable), "{entries:?}");
        assert_eq!(ledger.capturable(), dollars(capturable), "{entries:?}");
    }
}

#[test]
fn broken_promises_are_named() {
    for (entries, expected) in [
        (&[(Captured, 10)][..], None),
        (&[(Captured, 11)], Some(LedgerFault::CapturedAboveDue)),
        (
            &[(Captured, 6), (Captured, 5)],
            Some(LedgerFault::CapturedAboveDue),
        ),
        (&[(Captured, 10), (Refunded, 10)], None),
        (
            &[(Captured, 10), (Refunded, 11)],
            Some(LedgerFault::RefundedAboveCaptured),
        ),
        (
            &[
                (Captured, 10),
                (RefundRequested, 6),
                (Refunded, 5),
                (RefundRequested, 5),
            ],
            Some(LedgerFault::RefundedAboveCaptured),
        ),
        (
            &[(RefundRequested, 1)],
            Some(LedgerFault::RefundedAboveCaptured),
        ),
    ] {
        assert_eq!(ledger(entries).fault(), expected, "{entries:?}");
    }
}

#[test]
fn refunds_are_told_apart() {
    let mut ledger = ledger(&[(LedgerKind::Captured, 10)]);
    for (kind, amount, refund) in [
        (LedgerKind::RefundRequested, 4, 0),
        (LedgerKind::RefundRequested, 6, 1),
        (LedgerKind::Refunded, 4, 0),
        (LedgerKind::RefundFailed, 6, 1),
        (LedgerKind::RefundRequested, 5, 1),
    ] {
        let mut entry = entry(kind, amount);
        entry.refund = Some(refund);
        ledger.append(entry).unwrap();
    }
    assert_eq!(
        (ledger.requested_of(0), ledger.requested_of(1)),
        (dollars(0), dollars(5))
    );
    assert!(ledger.is_refunded(0) && !ledger.is_refunded(1));
}

#[test]
fn an_entry_that_is_no_amount_of_this_order_changes_nothing() {
    let mut ledger = ledger(&[(LedgerKind::Captured, 10)]);
    let before = ledger.clone();
    let negative = ledger.append(entry(LedgerKind::Refunded, -1));
    assert_eq!(negative, Err(LedgerError::Negative));
    for kind in [
        LedgerKind::Captured,
        LedgerKind::Declined,
        LedgerKind::InDoubt,
    ] {
        let mut foreign = entry(kind, 1);
        foreign.amount = Money::from_micros(1, Currency::from_code("EUR").unwrap());
        assert!(ledger.append(foreign).is_err(), "{kind:?}");
    }
    assert_eq!(ledger, before);
}

fn kind() -> impl Strategy<Value = LedgerKind> {
    proptest::sample::select(vec![
        Authorized,
        Captured,
        Declined,
        Voided,
        Reduced,
        RefundRequested,
        Refunded,
        RefundFailed,
        InDoubt,
        Settled,
    ])
}

proptest! {
    #[test]
    fn sums_are_those_of_the_entries(entries in proptest::collection::vec((kind(), 0..20_i64), 0..20)) {
        let ledger = ledger(&entries);
        let sum = |kind| entries.iter().filter(|it| it.0 == kind).map(|it| it.1).sum::<i64>();
        let captured = sum(LedgerKind::Captured);
        prop_assert_eq!(ledger.balance().captured, dollars(captured));
        prop_assert_eq!(ledger.balance().refunded, dollars(sum(LedgerKind::Refunded)));
        prop_assert_eq!(ledger.entries().len(), entries.len());
        if ledger.fault().is_none() {
            prop_assert!(captured <= 10 && sum(LedgerKind::Refunded) <= captured);
            prop_assert!(!exceeds(ledger.refundable(), dollars(captured)));
        }
    }
}

#[test]
fn what_others_have_taken_is_theirs_to_give_back() {
    for paid_by in [PaidBy::Google, PaidBy::Merchant, PaidBy::Nobody] {
        let captured = entry(Captured, 10);
        let ledger = PaymentLedger::with_entries(paid_by, dollars(10), [captured]).unwrap();
        assert_eq!(ledger.refundable(), dollars(0), "{paid_by:?}");
    }
}
