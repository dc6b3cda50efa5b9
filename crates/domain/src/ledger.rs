//! The payment ledger of an order: what was authorized, captured and given back.
//!
//! An append-only list of entries with its sums. An entry is a fact about the outside world, so it is
//! appended even if it breaks a promise; [`PaymentLedger::fault`] says which one it breaks.

use super::{
    money::{Money, MoneyError},
    time::EpochSeconds,
};

/// Who takes the money of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaidBy {
    /// Google has taken it.
    Google,
    /// This server charges.
    Partner,
    /// The merchant, at the visit.
    Merchant,
    /// Nothing is due.
    Nobody,
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerKind {
    /// The gateway keeps the amount ready.
    Authorized,
    /// The amount was taken.
    Captured,
    /// The gateway declined to take it.
    Declined,
    /// An authorization was ended without taking anything.
    Voided,
    /// Less will be captured than was authorized, by this amount.
    Reduced,
    /// A refund was decided.
    RefundRequested,
    /// The amount was given back.
    Refunded,
    /// A refund ended without giving anything back.
    RefundFailed,
    /// The outcome of a charge is not known.
    InDoubt,
    /// A charge in doubt has ended with nothing taken.
    Settled,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerEntry {
    /// What it says.
    pub kind: LedgerKind,
    /// The amount, not below zero.
    pub amount: Money,
    /// When it became known.
    pub at: EpochSeconds,
    /// The refund that it is of.
    pub refund: Option<u16>,
}

impl LedgerEntry {
    /// An entry that is of no refund.
    #[must_use]
    pub fn new(kind: LedgerKind, amount: Money, at: EpochSeconds) -> Self {
        Self {
            kind,
            amount,
            at,
            refund: None,
        }
    }
}

/// The sums of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Authorized, and neither captured nor voided.
    pub authorized: Money,
    /// Captured in all.
    pub captured: Money,
    /// Given back in all.
    pub refunded: Money,
    /// Decided to be given back, without an outcome.
    pub requested: Money,
    /// Authorized and not to be captured.
    pub reduced: Money,
    /// Whether a charge has no known outcome.
    pub in_doubt: bool,
    ended: Option<ChargeEnd>,
}

/// How the last charge ended that took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChargeEnd {
    Declined,
    Voided,
}

/// Where the payment of an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentStatus {
    /// This server charges nothing.
    NotRequired,
    /// Nothing is known of a charge yet.
    Pending,
    /// The amount is kept ready.
    Authorized,
    /// The amount was taken.
    Captured,
    /// The gateway declined.
    Declined,
    /// Everything was given back, or nothing was kept of an authorization.
    Refunded,
    /// The outcome of a charge is not known.
    InDoubt,
}

/// A promise that the entries break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerFault {
    /// More was captured than was due.
    CapturedAboveDue,
    /// More was given back, or is about to be, than was captured.
    RefundedAboveCaptured,
}

/// Why an entry could not be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The amount is below zero.
    #[error("the amount of a ledger entry is below zero")]
    Negative,
    /// Another currency, or beyond all bounds.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// What is due, and what has happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentLedger {
    paid_by: PaidBy,
    due: Money,
    entries: Vec<LedgerEntry>,
    balance: Balance,
}

impl PaymentLedger {
    /// A ledger without entries.
    #[must_use]
    pub fn new(paid_by: PaidBy, due: Money) -> Self {
        let zero = Money::zero(due.currency());
        let balance = Balance {
            authorized: zero,
            captured: zero,
            refunded: zero,
            requested: zero,
            reduced: zero,
            in_doubt: false,
            ended: None,
        };
        Self {
            paid_by,
            due,
            entries: Vec::new(),
            balance,
        }
    }

    /// A ledger with these entries.
    ///
    /// # Errors
    /// That of the first entry that cannot be appended.
    pub fn with_entries(
        paid_by: PaidBy,
        due: Money,
        entries: impl IntoIterator<Item = LedgerEntry>,
    ) -> Result<Self, LedgerError> {
        let mut ledger = Self::new(paid_by, due);
        for entry in entries {
            ledger.append(entry)?;
        }
        Ok(ledger)
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// [`LedgerError`] for an amount below zero or in another currency; nothing has changed then.
    pub fn append(&mut self, entry: LedgerEntry) -> Result<(), LedgerError> {
        if entry.amount.is_negative() {
            return Err(LedgerError::Negative);
        }
        self.balance = self.balance.after(&entry)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Sets what is due while nothing is taken; an order that is charged later may have lost items.
    pub(crate) fn bill(&mut self, due: Money) {
        if self.is_untouched() {
            self.due = due;
        }
    }

    /// Whether no money was taken, is kept ready, or may have been taken.
    pub(crate) fn is_untouched(&self) -> bool {
        let balance = &self.balance;
        balance.captured.is_zero() && balance.authorized.is_zero() && !balance.in_doubt
    }

    /// Whether a refund counts: it was given back, or is about to be.
    #[must_use]
    pub fn counts(&self, refund: u16) -> bool {
        self.is_refunded(refund) || !self.requested_of(refund).is_zero()
    }

    /// Whether a refund was given back.
    pub(crate) fn is_refunded(&self, refund: u16) -> bool {
        let mut of_refund = self.entries.iter().filter(|it| it.refund == Some(refund));
        of_refund.any(|it| it.kind == LedgerKind::Refunded)
    }

    /// Who takes the money.
    #[must_use]
    pub fn paid_by(&self) -> PaidBy {
        self.paid_by
    }

    /// What is due for the whole order.
    #[must_use]
    pub fn due(&self) -> Money {
        self.due
    }

    /// All entries, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }

    /// The sums.
    #[must_use]
    pub fn balance(&self) -> &Balance {
        &self.balance
    }

    /// What can still be given back: captured, less what was given back or is about to be. Nothing of what others have
    /// taken, which is theirs to give back.
    #[must_use]
    pub fn refundable(&self) -> Money {
        if self.paid_by != PaidBy::Partner {
            return Money::zero(self.due.currency());
        }
        let Balance {
            captured,
            refunded,
            requested,
            ..
        } = self.balance;
        less(less(captured, refunded), requested)
    }

    /// What a capture would take: what is authorized, less what is not to be captured.
    #[must_use]
    pub fn capturable(&self) -> Money {
        if self.balance.authorized.is_zero() {
            return self.balance.authorized;
        }
        less(self.balance.authorized, self.balance.reduced)
    }

    /// What is decided and not yet given back of one refund.
    #[must_use]
    pub fn requested_of(&self, refund: u16) -> Money {
        let mut open = Money::zero(self.due.currency());
        for entry in self.entries.iter().filter(|it| it.refund == Some(refund)) {
            open = match entry.kind {
                LedgerKind::RefundRequested => open.plus(entry.amount).unwrap_or(open),
                LedgerKind::Refunded | LedgerKind::RefundFailed => less(open, entry.amount),
                LedgerKind::Authorized
                | LedgerKind::Captured
                | LedgerKind::Declined
                | LedgerKind::Voided
                | LedgerKind::Reduced
                | LedgerKind::InDoubt
                | LedgerKind::Settled => open,
            };
        }
        open
    }

    /// Where the payment stands.
    #[must_use]
    pub fn status(&self) -> PaymentStatus {
        let balance = &self.balance;
        if self.paid_by != PaidBy::Partner || self.due.is_zero() {
            PaymentStatus::NotRequired
        } else if balance.in_doubt {
            PaymentStatus::InDoubt
        } else if !balance.captured.is_zero() {
            if exceeds(balance.captured, balance.refunded) {
                PaymentStatus::Captured
            } else {
                PaymentStatus::Refunded
            }
        } else if !balance.authorized.is_zero() {
            PaymentStatus::Authorized
        } else {
            match balance.ended {
                Some(ChargeEnd::Declined) => PaymentStatus::Declined,
                Some(ChargeEnd::Voided) => PaymentStatus::Refunded,
                None => PaymentStatus::Pending,
            }
        }
    }

    /// Whether the payment is in one of these, with its amount: what is authorized or captured has to be
    /// what is due, less what is not to be captured.
    #[must_use]
    pub fn is_in(&self, statuses: &[PaymentStatus]) -> bool {
        let status = self.status();
        statuses.contains(&status)
            && match status {
                PaymentStatus::Authorized => self.balance.authorized == self.due,
                PaymentStatus::Captured => {
                    self.balance.captured == less(self.due, self.balance.reduced)
                }
                PaymentStatus::NotRequired
                | PaymentStatus::Pending
                | PaymentStatus::Declined
                | PaymentStatus::Refunded
                | PaymentStatus::InDoubt => true,
            }
    }

    /// Whether goods may leave: paid, authorized, or nothing to pay here.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        self.is_in(&[
            PaymentStatus::NotRequired,
            PaymentStatus::Authorized,
            PaymentStatus::Captured,
        ])
    }

    /// The promise that the entries break, if they break one.
    #[must_use]
    pub fn fault(&self) -> Option<LedgerFault> {
        // Of most orders nothing is noted, and sums of decimals take time.
        if self.entries.is_empty() {
            return None;
        }
        let balance = &self.balance;
        if exceeds(balance.captured, self.due) {
            return Some(LedgerFault::CapturedAboveDue);
        }
        let given = balance.refunded.plus(balance.requested);
        given
            .map_or(true, |given| exceeds(given, balance.captured))
            .then_some(LedgerFault::RefundedAboveCaptured)
    }
}

impl Balance {
    /// The sums with one more entry.
    fn after(self, entry: &LedgerEntry) -> Result<Self, MoneyError> {
        let amount = entry.amount;
        // Also of kinds that add nothing: an entry in another currency has no place here.
        let nothing = Money::zero(self.captured.currency());
        amount.plus(nothing)?;
        let mut sums = self;
        match entry.kind {
            LedgerKind::Authorized => {
                sums.authorized = self.authorized.plus(amount)?;
                sums.in_doubt = false;
            }
            LedgerKind::Captured => {
                sums.captured = self.captured.plus(amount)?;
                // What is captured of an authorization ends it; the gateway lets go of the rest.
                sums.authorized = nothing;
                sums.in_doubt = false;
            }
            LedgerKind::Declined => {
                sums.ended = Some(ChargeEnd::Declined);
                sums.in_doubt = false;
            }
            LedgerKind::Voided => {
                sums.authorized = less(self.authorized, amount);
                sums.ended = Some(ChargeEnd::Voided);
                sums.in_doubt = false;
            }
            LedgerKind::Settled => {
                sums.ended = Some(ChargeEnd::Voided);
                sums.in_doubt = false;
            }
            LedgerKind::Reduced => sums.reduced = self.reduced.plus(amount)?,
            LedgerKind::RefundRequested => sums.requested = self.requested.plus(amount)?,
            LedgerKind::Refunded => {
                sums.refunded = self.refunded.plus(amount)?;
                sums.requested = less(self.requested, amount);
            }
            LedgerKind::RefundFailed => sums.requested = less(self.requested, amount),
            LedgerKind::InDoubt => sums.in_doubt = true,
        }
        Ok(sums)
    }
}

/// Whether `one` is above `other`; never between currencies.
pub(crate) fn exceeds(one: Money, other: Money) -> bool {
    one.compare(other).is_some_and(std::cmp::Ordering::is_gt)
}

/// The smaller of two amounts of one currency.
pub(crate) fn smaller(one: Money, other: Money) -> Money {
    if exceeds(one, other) { other } else { one }
}

/// `from` less `amount`, and nothing where that is below zero.
pub(crate) fn less(from: Money, amount: Money) -> Money {
    match from.minus(amount) {
        Ok(rest) if !rest.is_negative() => rest,
        Ok(_) | Err(_) => Money::zero(from.currency()),
    }
}

#[cfg(test)]
mod tests;
