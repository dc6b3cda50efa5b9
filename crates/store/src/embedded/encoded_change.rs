//! Changes encoded for the disk. The caller that commits encodes them, so that the writer has little to do.

use super::{keys, state_checksum::ChecksummedBatch};
use crate::{
    Change, PlacedOrder,
    order_key::{KeyDeriver, OrderKey, UserKey},
    record,
};

pub(super) enum EncodedChange {
    /// An order. The writer gives it its sequence number.
    Order {
        order: OrderKey,
        user: UserKey,
        record: Vec<u8>,
        ends_intent: bool,
    },
    /// Any other record, and the key of the record that ends with it.
    Record {
        key: Vec<u8>,
        record: Vec<u8>,
        ends: Option<Vec<u8>>,
    },
}

impl EncodedChange {
    pub(super) fn new(change: &Change, deriver: &KeyDeriver) -> Self {
        match change {
            Change::Order(placed) => Self::order(placed, deriver),
            Change::PaymentIntent(intent) => {
                let order = deriver.order_key(&intent.token);
                Self::Record {
                    key: keys::intent(&order),
                    record: record::encode_intent(intent, &order.order_id()),
                    ends: None,
                }
            }
            Change::PaymentEnded(attempt) => {
                let order = deriver.order_key(&attempt.intent.token);
                Self::Record {
                    key: keys::ended_payment(&order, attempt.intent.attempt),
                    record: record::encode_attempt(attempt, &order.order_id()),
                    ends: Some(keys::intent(&order)),
                }
            }
            Change::Prices(book) => Self::Record {
                key: keys::PRICES.to_vec(),
                record: record::encode_prices(book),
                ends: None,
            },
            Change::SlotsForgotten(until) => Self::Record {
                key: keys::SLOTS_FORGOTTEN.to_vec(),
                record: record::encode_slots_forgotten(*until),
                ends: None,
            },
        }
    }

    fn order(placed: &PlacedOrder, deriver: &KeyDeriver) -> Self {
        Self::Order {
            order: deriver.order_key(&placed.token),
            user: deriver.user_key(&placed.order.customer.user_id),
            record: record::encode_order(placed),
            ends_intent: placed.payment.is_some(),
        }
    }

    /// Adds it to a batch. An order gets the sequence number after `last_sequence`, which advances.
    pub(super) fn add_to(self, batch: &mut ChecksummedBatch<'_>, last_sequence: &mut u64) {
        match self {
            Self::Order {
                order,
                user,
                mut record,
                ends_intent,
            } => {
                // Only the writer thread numbers orders, so a plain integer is enough, and numbers
                // have no gaps.
                *last_sequence += 1;
                record::number_order(&mut record, *last_sequence);
                let listed = keys::user_order(&user, *last_sequence);
                // The order before the key that leads to it: a reader meanwhile may see one without the
                // other, and a key that leads nowhere is damage.
                batch.insert(listed.clone(), record);
                batch.insert(keys::order(&order), listed);
                if ends_intent {
                    // In the batch of the order: a crash must not leave a paid order whose intent
                    // would be reversed.
                    batch.remove(keys::intent(&order));
                }
            }
            Self::Record { key, record, ends } => {
                batch.insert(key, record);
                if let Some(ended) = ends {
                    batch.remove(ended);
                }
            }
        }
    }
}
