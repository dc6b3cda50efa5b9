//! Enums that have the same variants in memory and on record.

use domain::{
    ledger::{LedgerKind, PaidBy},
    lifecycle::{Destination, Entity, SkipReason, StepResult},
    refunds::RefundCause,
    shipment::ShipmentStatus,
};

use crate::{UpdateCause, record::proto};

/// An enum whose variants have numbers on record.
pub(in crate::record) trait Mirrored: Copy {
    /// What it is, for errors.
    const FIELD: &'static str;

    /// The number on record.
    fn number(self) -> i32;

    /// The variant of a number, if some version of this program writes it.
    fn from_number(number: i32) -> Option<Self>;
}

/// Exhaustive in both directions, so that the compiler finds a variant that one side lacks.
macro_rules! mirrored {
    ($field:literal: $domain:ident = $record:ident { $($variant:ident),+ $(,)? }) => {
        impl Mirrored for $domain {
            const FIELD: &'static str = $field;

            fn number(self) -> i32 {
                let record = match self {
                    $(Self::$variant => proto::$record::$variant,)+
                };
                record.into()
            }

            fn from_number(number: i32) -> Option<Self> {
                match proto::$record::try_from(number) {
                    $(Ok(proto::$record::$variant) => Some(Self::$variant),)+
                    // Every version writes a variant, so even the default of protocol buffers is damage.
                    Ok(proto::$record::Unspecified) | Err(_) => None,
                }
            }
        }
    };
}

mirrored!("kind of part": Entity = PartKind { Order, LineItem, Fulfillment, Refund });
mirrored!("destination": Destination = Destination { Order, Email, Address });
mirrored!("shipment status": ShipmentStatus = ShipmentStatus {
    Pending, Booked, Dispatched, Delivered,
});
mirrored!("cause of a refund": RefundCause = RefundCause { Merchant, Customer, Goodwill });
mirrored!("party that takes the money": PaidBy = PaidBy { Google, Partner, Merchant, Nobody });
mirrored!("kind of ledger entry": LedgerKind = LedgerKind {
    Authorized, Captured, Declined, Voided, Reduced, RefundRequested, Refunded, RefundFailed,
    InDoubt, Settled,
});
mirrored!("result of a step": StepResult = StepResult { Done, Failed });
mirrored!("cause of a change": UpdateCause = UpdateCause {
    Operator, Customer, Merchant, Timer, Step,
});
mirrored!("reason of a skipped change": SkipReason = SkipReason {
    NoTransition, Condition, LateTimer, LateStep, LateReport,
});
