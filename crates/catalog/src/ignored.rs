//! Members of the feeds that concern money or permission and have no effect here. They are searched for at
//! every level, so that the partner learns of them before a customer does.

use serde_json::Value;

use super::{diagnostics::Cursor, json::Others};

/// A member without effect.
struct Member {
    name: &'static str,
    /// Enum values that require nothing, in the order of their numbers from 0.
    harmless: &'static [&'static str],
    /// The consequence for the partner.
    meaning: &'static str,
}

const fn member(
    name: &'static str,
    harmless: &'static [&'static str],
    meaning: &'static str,
) -> Member {
    Member {
        name,
        harmless,
        meaning,
    }
}

/// The members, for all levels of the feeds. A level that reads a member never has it among its unknown
/// ones.
const MEMBERS: [Member; 18] = [
    member(
        "deposit",
        &[],
        "is not acted on: no deposit is taken, only whole orders are charged",
    ),
    member(
        "no_show_fee",
        &[],
        "is not acted on: nobody is charged for not coming",
    ),
    member(
        "noshow_fee",
        &[],
        "is not acted on: nobody is charged for not coming",
    ),
    member(
        "late_cancellation_fee",
        &[],
        "is not acted on: nobody is charged for cancelling",
    ),
    member(
        "require_credit_card",
        &["REQUIRE_CREDIT_CARD_UNSPECIFIED"],
        "is not acted on: orders are taken without a credit card",
    ),
    member(
        "price_interpretation",
        &["PRICE_INTERPRETATION_UNSPECIFIED", "EXACT_AMOUNT"],
        "is not acted on: prices are sold as exact amounts",
    ),
    member(
        "confirmation_mode",
        &[
            "CONFIRMATION_MODE_UNSPECIFIED",
            "CONFIRMATION_MODE_SYNCHRONOUS",
        ],
        "is not acted on here, only as a member of an availability",
    ),
    member(
        "prepayment_terms",
        &["CHARGE_TIMING_UNSPECIFIED", "CHARGE_NOW"],
        "is not acted on: what is charged is charged when the order is created",
    ),
    member(
        "payment_option",
        &[],
        "is not acted on: payment options are neither sold nor redeemed",
    ),
    member(
        "payment_option_id",
        &[],
        "is not acted on: payment options are neither sold nor redeemed",
    ),
    member(
        "payment_restrictions",
        &[],
        "is not acted on: the payment gateway alone says which cards it takes",
    ),
    member(
        "prepayment_type",
        &["PREPAYMENT_TYPE_UNSPECIFIED"],
        "is not acted on here, only as a member of a service",
    ),
    member(
        "tax_rate",
        &[],
        "is not acted on here, only as a member of a merchant or a service",
    ),
    member(
        "price",
        &[],
        "is not acted on here, only as a member of a service or a ticket type",
    ),
    member(
        "per_ticket_fee",
        &[],
        "is not acted on here, only as a member of a ticket type",
    ),
    member(
        "per_order_fee",
        &[],
        "is not acted on here, only as a member of a service",
    ),
    member(
        "cancellation_policy",
        &[],
        "is not acted on here, only as a member of the `rules` of a service",
    ),
    member(
        "min_advance_online_canceling",
        &[],
        "is not acted on here, only as a member of the `rules` of a service",
    ),
];

/// Warns about the members among these that require something that is not done.
pub(super) fn warn(others: &Others, at: &Cursor<'_>) {
    for (name, value) in others {
        let Some(member) = MEMBERS.iter().find(|member| is_called(name, member.name)) else {
            continue;
        };
        // A value that cannot be parsed by itself, such as a huge number, is not known to be harmless.
        let asks =
            serde_json::from_str(value.get()).map_or(true, |value| asks(&value, member.harmless));
        if asks {
            at.key(member.name).warning(member.name, member.meaning);
        }
    }
}

/// Warns about every member with a value: all members here are amounts to be charged.
pub(super) fn warn_of_fees(others: &Others, at: &Cursor<'_>) {
    for (name, value) in others {
        if serde_json::from_str(value.get()).map_or(true, |value| asks(&value, &[])) {
            at.key(name).warning(
                "unknown_fee",
                "is a fee that is not known here and not charged",
            );
        }
    }
}

/// Warns about every member of a tax rate that is not read.
pub(super) fn warn_of_rates(others: &Others, at: &Cursor<'_>) {
    for (name, _) in others {
        at.key(name).warning(
            "unknown_tax_member",
            "is not a member of a tax rate and not read; `micro_percent` is",
        );
    }
}

/// Warns about every member of refund terms that is not read. `message` is what it would be a member of.
pub(super) fn warn_of_refunds(others: &Others, message: &str, at: &Cursor<'_>) {
    for (name, _) in others {
        let text = format!("is not a member of a {message} and not read");
        at.key(name).warning("unknown_refund_member", text);
    }
}

/// Whether a member has this name, in `snake_case` or `lowerCamelCase`.
fn is_called(written: &str, name: &str) -> bool {
    let plain = |text: &str| text.replace('_', "").to_ascii_lowercase();
    written == name || !written.contains('_') && plain(written) == plain(name)
}

/// Whether a value requires anything: empty, default and harmless values do not.
fn asks(value: &Value, harmless: &[&str]) -> bool {
    // Enums may come as numbers, and 0 is the default of every protobuf type.
    let is_harmless_number =
        |number: u64| usize::try_from(number).is_ok_and(|number| number < harmless.len().max(1));
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => !number.as_u64().is_some_and(is_harmless_number),
        Value::String(text) => {
            !text.is_empty()
                && !harmless.contains(&text.as_str())
                && !text.parse().is_ok_and(is_harmless_number)
        }
        Value::Array(list) => list.iter().any(|value| asks(value, harmless)),
        // A currency asks for nothing without an amount.
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| !is_called(name, "currency_code") && asks(value, harmless)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_and_default_values_ask_for_nothing() {
        let modes = &["MODE_UNSPECIFIED", "MODE_PLAIN"];
        for (value, expected) in [
            (json!(null), false),
            (json!(false), false),
            (json!(true), true),
            (json!(0), false),
            (json!(1), false),
            (json!(2), true),
            (json!(-1), true),
            (json!(0.5), true),
            (json!(""), false),
            (json!("0"), false),
            (json!("2"), true),
            (json!("MODE_PLAIN"), false),
            (json!("MODE_SPECIAL"), true),
            (json!([]), false),
            (json!([null, 0]), false),
            (json!([0, true]), true),
            (json!({}), false),
            (
                json!({"deposit": {"price_micros": "0", "currency_code": "USD"}}),
                false,
            ),
            (
                json!({"deposit": {"priceMicros": 5_000_000, "currencyCode": "USD"}}),
                true,
            ),
        ] {
            assert_eq!(asks(&value, modes), expected, "{value}");
        }
        assert!(asks(&json!(1), &[]), "a number of no enum");
    }

    #[test]
    fn members_go_by_both_names() {
        for (written, expected) in [
            ("no_show_fee", true),
            ("noShowFee", true),
            ("no_showFee", false),
            ("show_fee", false),
        ] {
            assert_eq!(is_called(written, "no_show_fee"), expected, "{written}");
        }
    }
}
