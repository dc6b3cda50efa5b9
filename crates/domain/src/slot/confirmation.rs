//! Confirmation of bookings.

/// Who confirms a booking of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Confirmation {
    /// This server, with the order.
    #[default]
    AtOnce,
    /// The merchant, after the order.
    ByMerchant,
}
