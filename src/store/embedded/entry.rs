//! A change as it will stand on disk, made by whoever commits it, so that little is left to the one who
//! writes.

use super::{keys, tally::TalliedBatch};
use crate::store::{
    Change, PlacedOrder,
    names::{self, Name, Names},
    record,
};

/// What a change writes.
pub(super) enum Entry {
    /// An order, which gets its number when it is put into a batch.
    Order {
        name: Name,
        user: Name,
        record: Vec<u8>,
        ends_intent: bool,
    },
    /// Anything else, and the key of the record that ends with it.
    Other {
        key: Vec<u8>,
        record: Vec<u8>,
        ends: Option<Vec<u8>>,
    },
}

impl Entry {
    pub(super) fn new(change: &Change, names: &Names) -> Self {
        match change {
            Change::Order(placed) => Self::order(placed, names),
            Change::PaymentIntent(intent) => {
                let name = names.of_token(&intent.token);
                let record = record::encode_intent(intent, &names::order_id(&name));
                Self::Other {
                    key: keys::intent(&name),
                    record,
                    ends: None,
                }
            }
            Change::PaymentEnded(attempt) => {
                let name = names.of_token(&attempt.intent.token);
                let key = keys::ended_payment(&name, attempt.intent.attempt);
                let record = record::encode_attempt(attempt, &names::order_id(&name));
                Self::Other {
                    key,
                    record,
                    ends: Some(keys::intent(&name)),
                }
            }
            Change::Prices(book) => Self::Other {
                key: keys::PRICES.to_vec(),
                record: record::encode_prices(book),
                ends: None,
            },
            Change::SlotsForgotten(until) => {
                let record = record::encode_slots_forgotten(*until);
                Self::Other {
                    key: keys::SLOTS_FORGOTTEN.to_vec(),
                    record,
                    ends: None,
                }
            }
        }
    }

    fn order(placed: &PlacedOrder, names: &Names) -> Self {
        Self::Order {
            name: names.of_token(&placed.token),
            user: names.of_user(&placed.order.customer.user_id),
            record: record::encode_order(placed),
            ends_intent: placed.payment.is_some(),
        }
    }

    /// Puts it into a batch. An order becomes the one after the `last_sequence`-th.
    pub(super) fn put(self, batch: &mut TalliedBatch<'_>, last_sequence: &mut u64) {
        match self {
            Self::Order {
                name,
                user,
                mut record,
                ends_intent,
            } => {
                *last_sequence += 1;
                record::number_order(&mut record, *last_sequence);
                let place = keys::user_order(&user, *last_sequence);
                // First what the other leads to: whoever reads meanwhile may see one without the other.
                batch.insert(place.clone(), record);
                batch.insert(keys::order(&name), place);
                if ends_intent {
                    batch.remove(keys::intent(&name));
                }
            }
            Self::Other { key, record, ends } => {
                batch.insert(key, record);
                if let Some(ended) = ends {
                    batch.remove(ended);
                }
            }
        }
    }
}
