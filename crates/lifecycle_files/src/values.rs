//! Values of a file: words, durations, and values of an order's information.

use domain::{
    ledger::{PaidBy, PaymentStatus},
    lifecycle::{InfoValue, Name},
    order::BookingStatus,
    shipment::DeliveryType,
    slot::Confirmation,
    time::Seconds,
};
use kernel::{diagnostics::quoted, files::toml::TomlValue};

use super::registry::suggestion;

/// A word with its meaning.
pub(crate) type Words<T> = &'static [(&'static str, T)];

pub(crate) const PAYMENT_STATUSES: Words<PaymentStatus> = &[
    ("authorized", PaymentStatus::Authorized),
    ("captured", PaymentStatus::Captured),
    ("declined", PaymentStatus::Declined),
    ("refunded", PaymentStatus::Refunded),
    ("in_doubt", PaymentStatus::InDoubt),
    ("not_required", PaymentStatus::NotRequired),
];

pub(crate) const DELIVERY_TYPES: Words<DeliveryType> = &[
    ("none", DeliveryType::None),
    ("e_ticket", DeliveryType::ETicket),
    ("will_call", DeliveryType::WillCall),
    ("post", DeliveryType::Post),
];

pub(crate) const CONFIRMATION_MODES: Words<Confirmation> = &[
    ("synchronous", Confirmation::AtOnce),
    ("asynchronous", Confirmation::ByMerchant),
];

pub(crate) const PAYERS: Words<PaidBy> = &[
    ("google", PaidBy::Google),
    ("partner", PaidBy::Partner),
    ("merchant", PaidBy::Merchant),
    ("nobody", PaidBy::Nobody),
];

/// What Google calls the states of a line item.
pub(crate) const BOOKING_STATUSES: Words<Option<BookingStatus>> = &[
    ("BOOKING_STATUS_UNSPECIFIED", None),
    ("CONFIRMED", Some(BookingStatus::Confirmed)),
    (
        "PENDING_MERCHANT_CONFIRMATION",
        Some(BookingStatus::PendingMerchantConfirmation),
    ),
    ("CANCELED", Some(BookingStatus::Canceled)),
    ("NO_SHOW", Some(BookingStatus::NoShow)),
    ("NO_SHOW_PENALIZED", Some(BookingStatus::NoShowPenalized)),
    ("FAILED", Some(BookingStatus::Failed)),
    (
        "DECLINED_BY_MERCHANT",
        Some(BookingStatus::DeclinedByMerchant),
    ),
];

/// The word for a meaning.
pub(crate) fn word_of<T: PartialEq>(words: Words<T>, meaning: &T) -> &'static str {
    let found = words.iter().find(|(_, it)| it == meaning);
    found.map_or("", |(word, _)| word)
}

/// The meaning of a word; another one is reported.
pub(crate) fn word<T: Copy>(value: &TomlValue<'_>, words: Words<T>) -> Option<T> {
    let text = value.text()?;
    let found = words.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let known = words.iter().map(|(word, _)| *word);
        let text = format!(
            "{} is not known here; {}",
            quoted(text),
            suggestion("known words", text, known)
        );
        value.at.error("wrong_value", text);
    }
    found.map(|(_, meaning)| *meaning)
}

/// One word, or a list of them that is not empty.
pub(crate) fn words<T: Copy>(value: &TomlValue<'_>, known: Words<T>) -> Option<Vec<T>> {
    texts(value)?.iter().map(|it| word(it, known)).collect()
}

/// A text, or a list of texts that is not empty, as single values.
pub(crate) fn texts<'t>(value: &TomlValue<'t>) -> Option<Vec<TomlValue<'t>>> {
    if value.scalar().is_ok() {
        return value.text().map(|_| vec![*value]);
    }
    let list = value.list()?;
    if list.is_empty() {
        value.at.error("empty", "expected one name or more");
        return None;
    }
    // All of them first, so that each wrong one is reported.
    let right: Vec<_> = list.iter().map(TomlValue::text).collect();
    right.iter().all(Option::is_some).then_some(list)
}

/// A text or a list of texts as names.
pub(crate) fn names(value: &TomlValue<'_>) -> Option<Vec<Name>> {
    let texts = texts(value)?;
    texts.iter().map(|it| it.text().map(Name::from)).collect()
}

/// A length of time such as `90s`, `1h30m`, `2d`, in whole seconds.
pub(crate) fn duration(value: &TomlValue<'_>) -> Option<Seconds> {
    let text = value.text()?;
    let length = parse_duration(text);
    if length.is_none() {
        let text = format!(
            "expected a length of time in whole seconds, like \"90s\", \"1h30m\" or \"2d\", found {}",
            quoted(text)
        );
        value.at.error("wrong_value", text);
    }
    length
}

fn parse_duration(text: &str) -> Option<Seconds> {
    let mut rest = text;
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let number: i64 = number.parse().ok()?;
        sum = sum.checked_add(number.checked_mul(seconds)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(Seconds::new(sum))
}

/// A length of time as it is written in a file.
pub(crate) fn duration_text(length: Seconds) -> String {
    let seconds = length.get();
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if seconds > 0 && seconds % size == 0 {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

/// The type of a value of an order's information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InfoType {
    Text,
    Integer,
    Flag,
}

pub(crate) const INFO_TYPES: Words<InfoType> = &[
    ("string", InfoType::Text),
    ("int", InfoType::Integer),
    ("bool", InfoType::Flag),
];

/// A value of that type.
pub(crate) fn info_of(value: &TomlValue<'_>, kind: InfoType) -> Option<InfoValue> {
    match kind {
        InfoType::Text => value.text().map(|text| InfoValue::Text(text.into())),
        InfoType::Integer => value.integer(i64::MIN..=i64::MAX).map(InfoValue::Integer),
        InfoType::Flag => value.boolean().map(InfoValue::Flag),
    }
}

/// A value of whichever type it has.
pub(crate) fn info(value: &TomlValue<'_>) -> Option<InfoValue> {
    match value.scalar().as_deref() {
        Ok("true" | "false") if !value.is_text() => info_of(value, InfoType::Flag),
        Ok(_) if value.is_text() => info_of(value, InfoType::Text),
        Ok(_) | Err(_) => info_of(value, InfoType::Integer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_seconds_and_read_back() {
        for (text, seconds) in [
            ("0s", Some(0)),
            ("90s", Some(90)),
            ("1h30m", Some(5_400)),
            ("2d", Some(172_800)),
            ("24h", Some(86_400)),
            ("", None),
            ("90", None),
            ("s", None),
            ("1ms", None),
            ("-1s", None),
            ("1 h", None),
            ("99999999999999999999s", None),
            ("9223372036854775807d", None),
        ] {
            let length = parse_duration(text);
            assert_eq!(length.map(Seconds::get), seconds, "{text:?}");
            if let Some(length) = length {
                assert_eq!(parse_duration(&duration_text(length)), Some(length));
            }
        }
        assert_eq!(duration_text(Seconds::new(90)), "90s");
        assert_eq!(duration_text(Seconds::new(7_200)), "2h");
    }
}
