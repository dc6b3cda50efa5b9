//! The merchant feed: of all it says of a merchant, this server needs its id and its name.

use super::{
    draft::Draft,
    json::{Quoted, message},
    mistakes::Place,
    originals::on_one_line,
};

message! {
    /// An element of the merchant feed.
    MerchantEntry {
        merchant_id: String,
        name: String,
    }
}

/// Adds an element of the feed to the draft.
pub(super) fn add(draft: &mut Draft, at: &Place<'_>, merchant: Quoted<MerchantEntry>) {
    let Quoted { read, text } = merchant;
    let Some(MerchantEntry { merchant_id, name }) = read.required(at) else { return };
    draft.originals.merchants.push(on_one_line(text.get()));
    let id_at = at.key("merchant_id");
    let name = name.optional(&at.key("name"));
    if let Some(id) = merchant_id.id(&id_at) {
        let name = name.unwrap_or_else(|| id.clone());
        draft.add_merchant(id, name, &id_at);
    }
}
