//! Keys of the embedded store.

use std::{iter, ops::Bound};

use super::{NAME_BYTES, Name};

const ORDERS: [u8; 1] = *b"o";
pub(super) const USERS: [u8; 1] = *b"u";
pub(super) const INTENTS: [u8; 1] = *b"i";
const ENDED_PAYMENTS: [u8; 1] = *b"p";

pub(super) const FORMAT: &[u8] = b"mformat";
pub(super) const SECRET: &[u8] = b"msecret";
pub(super) const PRICES: &[u8] = b"mprices";
pub(super) const SLOTS_FORGOTTEN: &[u8] = b"mslots-forgotten";
pub(super) const TALLY: &[u8] = b"mtally";

/// Bytes with which the names of one piece begin.
const FIRST_BYTES_OF_A_PIECE: usize = 16;

/// Keys that follow one another.
pub(super) type Piece = (Bound<[u8; 2]>, Bound<[u8; 2]>);

/// All keys there can be, in pieces. Names are digests, so there are about as many users in one piece as in
/// another.
pub(super) fn pieces() -> impl Iterator<Item = Piece> {
    let firsts = || (0..=u8::MAX).step_by(FIRST_BYTES_OF_A_PIECE);
    let cuts = move || {
        [ORDERS, USERS]
            .into_iter()
            .flat_map(move |[kind]| firsts().map(move |at| [kind, at]))
    };
    let begins = iter::once(Bound::Unbounded).chain(cuts().map(Bound::Included));
    begins.zip(cuts().map(Bound::Excluded).chain([Bound::Unbounded]))
}

/// Whether a record of this key is never removed or replaced.
pub(super) fn is_lasting(key: &[u8]) -> bool {
    !key.starts_with(&INTENTS) && key != PRICES && key != SLOTS_FORGOTTEN
}

/// Where it stands which place an order has.
pub(super) fn order(name: &Name) -> Vec<u8> {
    [&ORDERS[..], name].concat()
}

/// What all keys of a user's list begin with.
pub(super) fn user(user: &Name) -> Vec<u8> {
    [&USERS[..], user].concat()
}

/// An order's place, which is in its user's list. The sequence is inverted, so that the newest comes first.
pub(super) fn user_order(user: &Name, sequence: u64) -> Vec<u8> {
    [&USERS[..], user, &(!sequence).to_be_bytes()].concat()
}

/// The sequence number in a key of a user's list.
pub(super) fn sequence_of(user_order: &[u8]) -> Option<u64> {
    let inverted = user_order.get(USERS.len() + NAME_BYTES..)?;
    Some(!u64::from_be_bytes(inverted.try_into().ok()?))
}

/// The payment intent of an order.
pub(super) fn intent(order: &Name) -> Vec<u8> {
    [&INTENTS[..], order].concat()
}

/// What the keys of all payments begin with that ended without this order.
pub(super) fn ended_payments(order: &Name) -> Vec<u8> {
    [&ENDED_PAYMENTS[..], order].concat()
}

/// A payment that ended without its order.
pub(super) fn ended_payment(order: &Name, attempt: u32) -> Vec<u8> {
    [&ENDED_PAYMENTS[..], order, &attempt.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use super::*;

    #[test]
    fn every_key_is_in_one_piece() {
        let name = |first| [first; NAME_BYTES];
        let of_names = [0, 1, 15, 16, 127, 128, 240, 255]
            .map(name)
            .into_iter()
            .flat_map(|name| {
                [
                    order(&name),
                    user(&name),
                    user_order(&name, 1),
                    intent(&name),
                    ended_payment(&name, 1),
                ]
            });
        let others = [
            FORMAT,
            SECRET,
            PRICES,
            SLOTS_FORGOTTEN,
            TALLY,
            b"",
            b"o",
            b"u",
            b"\xff\xff",
        ]
        .map(<[u8]>::to_vec);
        for key in of_names.chain(others) {
            let is_in = |(from, to): &Piece| {
                let bounds = (
                    from.as_ref().map(<[u8; 2]>::as_slice),
                    to.as_ref().map(<[u8; 2]>::as_slice),
                );
                RangeBounds::<[u8]>::contains(&bounds, key.as_slice())
            };
            assert_eq!(pieces().filter(is_in).count(), 1, "{key:?}");
        }
    }

    #[test]
    fn the_newest_order_of_a_user_comes_first() {
        let user = [7; NAME_BYTES];
        let keys: Vec<_> = [9, 8, 1]
            .into_iter()
            .map(|sequence| user_order(&user, sequence))
            .collect();
        assert!(keys.is_sorted());
        assert_eq!(sequence_of(&keys[0]), Some(9));
        assert_eq!(sequence_of(b"u"), None);
    }
}
