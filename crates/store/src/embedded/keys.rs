//! Keys of records in the embedded store.

use std::{iter, ops::Bound};

use super::{KEY_BYTES, OrderKey, UserKey};

const ORDERS: [u8; 1] = *b"o";
pub(super) const USERS: [u8; 1] = *b"u";
pub(super) const INTENTS: [u8; 1] = *b"i";
const ENDED_PAYMENTS: [u8; 1] = *b"p";

// What is on disk keeps its name, so the key of the checksum is still the word of the first version.
pub(super) const FORMAT: &[u8] = b"mformat";
pub(super) const SECRET: &[u8] = b"msecret";
pub(super) const PRICES: &[u8] = b"mprices";
pub(super) const SLOTS_FORGOTTEN: &[u8] = b"mslots-forgotten";
pub(super) const STATE_CHECKSUM: &[u8] = b"mtally";

/// How many values of a key's first byte one range covers.
const FIRST_BYTES_PER_RANGE: usize = 16;

/// Keys that follow one another, by their first two bytes.
pub(super) type KeyRange = (Bound<[u8; 2]>, Bound<[u8; 2]>);

/// All possible keys in ranges. Keys of orders and users are digests, so the ranges hold about the same
/// number of them.
pub(super) fn ranges() -> impl Iterator<Item = KeyRange> {
    let mut cuts = Vec::new();
    for [kind] in [ORDERS, USERS] {
        for first in (0..=u8::MAX).step_by(FIRST_BYTES_PER_RANGE) {
            cuts.push([kind, first]);
        }
    }
    // Unbounded at both ends: records under other first bytes are read, too, and count for the checksum.
    let ends = cuts.clone().into_iter().map(Bound::Excluded);
    let begins = iter::once(Bound::Unbounded).chain(cuts.into_iter().map(Bound::Included));
    begins.zip(ends.chain([Bound::Unbounded]))
}

/// Whether a record under this key is never removed or replaced.
pub(super) fn is_permanent(key: &[u8]) -> bool {
    !key.starts_with(&INTENTS) && key != PRICES && key != SLOTS_FORGOTTEN
}

/// The record under this key is the order's key in its user's list.
pub(super) fn order(order: &OrderKey) -> Vec<u8> {
    [&ORDERS[..], &order.0].concat()
}

/// The prefix of a user's list.
pub(super) fn user(user: &UserKey) -> Vec<u8> {
    [&USERS[..], &user.0].concat()
}

/// An order in its user's list. The sequence number is inverted, so that the newest order comes first.
pub(super) fn user_order(user: &UserKey, sequence: u64) -> Vec<u8> {
    // Big-endian, so that the order of the bytes is the order of the numbers.
    [&USERS[..], &user.0, &(!sequence).to_be_bytes()].concat()
}

/// The sequence number in a key of a user's list.
pub(super) fn sequence_of(user_order: &[u8]) -> Option<u64> {
    let inverted = user_order.get(USERS.len() + KEY_BYTES..)?;
    // Exactly eight bytes: any other length is no key of an order.
    Some(!u64::from_be_bytes(inverted.try_into().ok()?))
}

/// The payment intent of an order.
pub(super) fn intent(order: &OrderKey) -> Vec<u8> {
    [&INTENTS[..], &order.0].concat()
}

/// The prefix of all payments that ended without this order.
pub(super) fn ended_payments(order: &OrderKey) -> Vec<u8> {
    [&ENDED_PAYMENTS[..], &order.0].concat()
}

/// A payment that ended without its order.
pub(super) fn ended_payment(order: &OrderKey, attempt: u32) -> Vec<u8> {
    [&ENDED_PAYMENTS[..], &order.0, &attempt.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use super::*;

    #[test]
    fn every_key_is_in_one_range() {
        let derived = [0, 1, 15, 16, 127, 128, 240, 255]
            .into_iter()
            .flat_map(|first| {
                let (of_order, of_user) =
                    (OrderKey([first; KEY_BYTES]), UserKey([first; KEY_BYTES]));
                [
                    order(&of_order),
                    user(&of_user),
                    user_order(&of_user, 1),
                    intent(&of_order),
                    ended_payment(&of_order, 1),
                ]
            });
        let others = [
            FORMAT,
            SECRET,
            PRICES,
            SLOTS_FORGOTTEN,
            STATE_CHECKSUM,
            b"",
            b"o",
            b"u",
            b"\xff\xff",
        ]
        .map(<[u8]>::to_vec);
        for key in derived.chain(others) {
            let is_in = |(from, to): &KeyRange| {
                let bounds = (
                    from.as_ref().map(<[u8; 2]>::as_slice),
                    to.as_ref().map(<[u8; 2]>::as_slice),
                );
                RangeBounds::<[u8]>::contains(&bounds, key.as_slice())
            };
            assert_eq!(ranges().filter(is_in).count(), 1, "{key:?}");
        }
    }

    #[test]
    fn the_newest_order_of_a_user_comes_first() {
        let user = UserKey([7; KEY_BYTES]);
        let keys: Vec<_> = [9, 8, 1]
            .into_iter()
            .map(|sequence| user_order(&user, sequence))
            .collect();
        assert!(keys.is_sorted());
        assert_eq!(sequence_of(&keys[0]), Some(9));
        assert_eq!(sequence_of(b"u"), None);
    }
}
