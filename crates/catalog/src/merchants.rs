//! The merchant feed. This server needs the id, the name and the tax of a merchant.

use super::{
    builder::CatalogBuilder,
    diagnostics::Cursor,
    ignored,
    json::{Quoted, message},
    prices::{self, TaxRateEntry},
    source_feeds::on_one_line,
};

message! {
    /// An element of the merchant feed.
    watched MerchantEntry {
        merchant_id: String,
        name: String,
        tax_rate: TaxRateEntry,
    }
}

/// Adds an element of the feed to the builder.
pub(super) fn add(builder: &mut CatalogBuilder, at: &Cursor<'_>, merchant: Quoted<MerchantEntry>) {
    let Quoted { read, text } = merchant;
    let Some(MerchantEntry {
        merchant_id,
        name,
        tax_rate,
        others,
    }) = read.required(at)
    else {
        return;
    };
    // Kept also if the merchant is invalid: errors discard the catalogue and this text with it.
    builder.source_feeds.merchants.push(on_one_line(text.get()));
    let id_at = at.key("merchant_id");
    let name = name.optional(&at.key("name"));
    let tax_rate = prices::tax_rate(tax_rate, None, &at.key("tax_rate"));
    ignored::warn(&others, at);
    if let Some(id) = merchant_id.id(&id_at) {
        // The feed may leave out the name, and messages need one.
        let name = name.unwrap_or_else(|| id.clone());
        builder.add_merchant(id.into(), name, tax_rate, &id_at);
    }
}
