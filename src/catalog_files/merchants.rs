//! The merchant feed: of all it says of a merchant, this server needs its id and its name.

use super::{
    draft::Draft,
    json::{Field, message},
    mistakes::Place,
};

message! {
    /// An element of the merchant feed.
    MerchantEntry {
        merchant_id: String,
        name: String,
    }
}

/// Adds an element of the feed to the draft.
pub(super) fn add(draft: &mut Draft, at: &Place<'_>, merchant: Field<MerchantEntry>) {
    let Some(MerchantEntry { merchant_id, name }) = merchant.required(at) else { return };
    let id_at = at.key("merchant_id");
    let name = name.optional(&at.key("name"));
    if let Some(id) = merchant_id.id(&id_at) {
        let name = name.unwrap_or_else(|| id.clone());
        draft.add_merchant(id, name, &id_at);
    }
}
