//! Names that follow from what they name, by a hash under the store's own secret.

use crate::domain::order::OrderId;

/// Bytes of a name: enough that two never meet.
pub(super) const NAME_BYTES: usize = 16;

/// A name as it stands in keys.
pub(super) type Name = [u8; NAME_BYTES];

/// The secret that a store is born with. Without it nobody can tell an order's id from its token.
#[derive(Clone)]
pub(super) struct Names {
    secret: [u8; 32],
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names(secret withheld)")
    }
}

impl Names {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The name of the order that a token leads to.
    pub(super) fn of_token(&self, token: &str) -> Name {
        self.hash("token", token)
    }

    /// The name of a user's list.
    pub(super) fn of_user(&self, user_id: &str) -> Name {
        self.hash("user", user_id)
    }

    fn hash(&self, kind: &str, text: &str) -> Name {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher
            .update(kind.as_bytes())
            .update(&[0])
            .update(text.as_bytes());
        let mut name = Name::default();
        hasher.finalize_xof().fill(&mut name);
        name
    }
}

/// The id by which callers know the order of that name.
pub(super) fn order_id(name: &Name) -> OrderId {
    OrderId(data_encoding::BASE32_NOPAD.encode(name))
}

/// The name behind an order id, if it is one of ours.
pub(super) fn order_name(id: &OrderId) -> Option<Name> {
    let bytes = data_encoding::BASE32_NOPAD.decode(id.0.as_bytes()).ok()?;
    bytes.try_into().ok()
}

/// The names behind order ids, each once and in the order of its first mention. Ids that no store
/// gives out are left out.
pub(super) fn each_once(ids: &[OrderId]) -> Vec<Name> {
    let mut seen = std::collections::HashSet::new();
    ids.iter()
        .filter_map(order_name)
        .filter(|name| seen.insert(*name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_leads_back_to_its_name_and_nothing_else_does() {
        let name = Names::new([7; 32]).of_token("token");
        assert_eq!(order_name(&order_id(&name)), Some(name));
        for stranger in ["", "x", "ORDER-1", "AAAAAAAA", "ümlaut"] {
            assert_eq!(order_name(&OrderId(stranger.into())), None, "{stranger:?}");
        }
    }

    #[test]
    fn names_depend_on_the_secret_the_kind_and_the_text() {
        let names = Names::new([7; 32]);
        let all = [
            names.of_token("a"),
            names.of_token("b"),
            names.of_user("a"),
            Names::new([8; 32]).of_token("a"),
        ];
        for (at, name) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(name));
        }
    }
}
