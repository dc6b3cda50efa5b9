//! Keys of orders and of users' lists, derived by a hash under the store's own secret.

use smallvec::SmallVec;

use crate::{NamedClaim, NamedSlot};
use domain::{
    ids::{MerchantId, ServiceId, Token, UserId},
    order::OrderId,
    time::EpochSeconds,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a key: 128 bits of a hash, so that no two keys collide.
pub(crate) const KEY_BYTES: usize = 16;

/// The key of an order. It follows from the order's token, and in letters it is the order's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct OrderKey(pub [u8; KEY_BYTES]);

/// The key of a user's list of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserKey(pub [u8; KEY_BYTES]);

/// The key of the blocks of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockKey(pub [u8; KEY_BYTES]);

/// What the index of slots knows a slot by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotKey {
    /// Start.
    pub start_sec: EpochSeconds,
    /// Merchant and service.
    pub service: ServiceTag,
}

/// Four bytes of a hash of a merchant and a service. Others may have the same: the records tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceTag(pub u32);

/// The slots of an order, each once.
pub(crate) type SlotKeys = SmallVec<[SlotKey; 2]>;

impl OrderKey {
    /// The id by which callers know the order.
    #[must_use]
    pub fn order_id(&self) -> OrderId {
        OrderId::from(data_encoding::BASE32_NOPAD.encode(&self.0))
    }

    /// The key behind an order id; `None` for an id that no store gives out.
    #[must_use]
    pub fn of_id(id: &OrderId) -> Option<Self> {
        let letters = id.as_str().as_bytes();
        let base32 = data_encoding::BASE32_NOPAD;
        if base32.decode_len(letters.len()) != Ok(KEY_BYTES) {
            return None;
        }
        // Without an allocation: every order that is encoded comes by here.
        let mut key = [0; KEY_BYTES];
        base32.decode_mut(letters, &mut key).ok()?;
        Some(Self(key))
    }

    /// The keys behind order ids, each once and in the order of its first mention. Ids that no store
    /// gives out are left out.
    pub(crate) fn of_each_id(ids: &[OrderId]) -> Vec<Self> {
        let mut seen = std::collections::HashSet::new();
        let mut keys = Vec::with_capacity(ids.len());
        for key in ids.iter().filter_map(Self::of_id) {
            if seen.insert(key) {
                keys.push(key);
            }
        }
        keys
    }
}

/// Derives keys under the secret of a store. Without the secret nobody can compute an order's id from its
/// token.
#[derive(Clone)]
pub struct KeyDeriver {
    secret: [u8; 32],
}

impl std::fmt::Debug for KeyDeriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyDeriver(secret withheld)")
    }
}

impl KeyDeriver {
    /// Derives keys under this secret.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The key of the order that a token leads to.
    #[must_use]
    pub fn order_key(&self, token: &Token) -> OrderKey {
        OrderKey(self.hash("token", token.as_str()))
    }

    /// The key of the list of a user's orders.
    #[must_use]
    pub fn user_key(&self, user_id: &UserId) -> UserKey {
        UserKey(self.hash("user", user_id.as_str()))
    }

    /// The key of the blocks of a slot.
    #[must_use]
    pub fn block_key(&self, slot: &NamedSlot) -> BlockKey {
        let (merchant_id, service_id) = (slot.merchant_id.as_str(), slot.service_id.as_str());
        // With the length of the first id, so that no other two ids are the same text.
        let text = format!(
            "{}:{merchant_id}{service_id}@{}+{}",
            merchant_id.len(),
            slot.start_sec,
            u32::from(slot.duration_sec),
        );
        BlockKey(self.hash("block", &text))
    }

    /// The tag of a merchant's service.
    #[must_use]
    pub fn service_tag(&self, merchant_id: &MerchantId, service_id: &ServiceId) -> ServiceTag {
        let [first, second, third, fourth, ..] = self.secret;
        let secret = u32::from_le_bytes([first, second, third, fourth]);
        // A hash of a hash, so that no other two ids are the same text. A fast one, because every order comes by here, and
        // because ids are the merchant's own: equal tags make a list slower and never wrong.
        let merchant = xxh3_64_with_seed(merchant_id.as_str().as_bytes(), secret.into());
        let hash = xxh3_64_with_seed(service_id.as_str().as_bytes(), merchant);
        let [first, second, third, fourth, ..] = hash.to_le_bytes();
        ServiceTag(u32::from_le_bytes([first, second, third, fourth]))
    }

    /// The slots that these claims are on.
    pub(crate) fn slot_keys(&self, claims: &[NamedClaim]) -> SlotKeys {
        let mut slots: SlotKeys = claims
            .iter()
            .map(|claim| SlotKey {
                start_sec: claim.start_sec,
                service: self.service_tag(&claim.merchant_id, &claim.service_id),
            })
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn hash(&self, kind: &str, text: &str) -> [u8; KEY_BYTES] {
        // Put together first: a hash of one short piece takes half the time of one of three.
        let mut bytes: SmallVec<[u8; 128]> = SmallVec::new();
        bytes.extend_from_slice(kind.as_bytes());
        // Separates the two: no kind contains a zero byte, so no two pairs hash the same bytes.
        bytes.push(0);
        bytes.extend_from_slice(text.as_bytes());
        let hash = blake3::keyed_hash(&self.secret, &bytes);
        std::array::from_fn(|at| hash.as_bytes()[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_leads_back_to_its_key_and_nothing_else_does() {
        let key = KeyDeriver::new([7; 32]).order_key(&"token".into());
        assert_eq!(OrderKey::of_id(&key.order_id()), Some(key));
        for stranger in ["", "x", "ORDER-1", "AAAAAAAA", "ümlaut"] {
            let id = OrderId::from(stranger);
            assert_eq!(OrderKey::of_id(&id), None, "{stranger:?}");
        }
    }

    #[test]
    fn a_key_is_what_it_has_always_been() {
        // On disk and in the ids of orders: 16 bytes of BLAKE3 under the secret, over kind, zero byte and text.
        let mut hasher = blake3::Hasher::new_keyed(&[7; 32]);
        hasher.update(b"token\0a token");
        let mut expected = [0; KEY_BYTES];
        hasher.finalize_xof().fill(&mut expected);
        let key = KeyDeriver::new([7; 32]).order_key(&"a token".into());
        assert_eq!(key, OrderKey(expected));
    }

    #[test]
    fn keys_depend_on_the_secret_the_kind_and_the_text() {
        let deriver = KeyDeriver::new([7; 32]);
        let all = [
            deriver.order_key(&"a".into()).0,
            deriver.order_key(&"b".into()).0,
            deriver.user_key(&"a".into()).0,
            KeyDeriver::new([8; 32]).order_key(&"a".into()).0,
        ];
        for (at, key) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(key));
        }
    }
}
