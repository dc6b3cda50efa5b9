use super::*;
use crate::api::booking::{
    proto::v3::{
        BatchAvailabilityLookupRequest, CheckOrderFulfillabilityRequest, CreateOrderRequest,
        LineItem, ListOrdersRequest, PaymentProcessingParameters, Price, SlotTime,
        TokenizationConfig,
        line_item::{OrderedTickets, WarningReason},
        list_orders_request::Ids,
    },
    requests::acts_on,
    schema::{FieldKind, MessageSchema},
};

fn item(json: &str) -> Result<LineItem, String> {
    read(json.as_bytes()).map_err(|error: ApiError| error.message())
}

#[test]
fn a_number_of_64_bits_is_text_in_answers_and_either_in_requests() {
    let price = Price {
        price_micros: i64::MAX,
        ..Price::default()
    };
    assert_eq!(
        write(&price).unwrap(),
        br#"{"price_micros":"9223372036854775807"}"#
    );
    for form in ["9223372036854775807", r#""9223372036854775807""#] {
        assert_eq!(
            read::<Price>(format!(r#"{{"price_micros": {form}}}"#).as_bytes()).unwrap(),
            price
        );
    }
}

#[test]
fn an_enum_is_a_name_in_answers_and_a_name_or_a_number_in_requests() {
    let warned = LineItem {
        warning_reason: WarningReason::PriceIncrease.into(),
        ..LineItem::default()
    };
    assert_eq!(
        write(&warned).unwrap(),
        br#"{"warning_reason":"PRICE_INCREASE"}"#
    );
    for form in [r#""PRICE_INCREASE""#, "1"] {
        assert_eq!(
            item(&format!(r#"{{"warning_reason": {form}}}"#)).unwrap(),
            warned
        );
    }
}

#[test]
fn default_values_are_not_written() {
    assert_eq!(write(&LineItem::default()).unwrap(), b"{}");
    let empty = LineItem {
        price: Some(Price::default()),
        ..LineItem::default()
    };
    assert_eq!(
        write(&empty).unwrap(),
        br#"{"price":{}}"#,
        "a message that is there is"
    );
}

#[test]
fn fields_go_by_either_name_and_null_is_no_value() {
    let expected = LineItem {
        service_id: "s".into(),
        start_sec: 7,
        ..LineItem::default()
    };
    for json in [
        r#"{"service_id": "s", "start_sec": "7"}"#,
        r#"{"serviceId": "s", "startSec": 7}"#,
        r#"{"service_id": "s", "start_sec": 7, "tickets": null, "price": null, "duration_sec": null}"#,
        r#"{"service_id": "s", "start_sec": 7, "status": null, "stranger": [{"x": null}, true]}"#,
    ] {
        assert_eq!(item(json), Ok(expected.clone()), "{json}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_named_by_the_path_of_its_field() {
    for (json, path) in [
        (
            r#"{"order": {"item": [{}, {"start_sec": "soon"}]}}"#,
            "order.item[1].start_sec",
        ),
        (
            r#"{"order": {"item": [{"start_sec": 9223372036854775808}]}}"#,
            "order.item[0].start_sec",
        ),
        (
            r#"{"order": {"item": [{"start_sec": 1.5}]}}"#,
            "order.item[0].start_sec",
        ),
        (
            r#"{"order": {"item": [{"status": "SOLD"}]}}"#,
            "order.item[0].status",
        ),
        (
            r#"{"order": {"item": [{"tickets": [{"count": 2147483648}]}]}}"#,
            "order.item[0].tickets[0].count",
        ),
        (r#"{"order": {"item": {}}}"#, "order.item"),
        (r#"{"order": "museum"}"#, "order"),
        (r#"{"idempotency_token": 7}"#, "idempotency_token"),
    ] {
        let error = read::<CreateOrderRequest>(json.as_bytes()).unwrap_err();
        let ApiError::Invalid(violations) = &error else {
            panic!("{json}: {error:?}")
        };
        let fields: Vec<_> = violations.iter().map(|found| &*found.field).collect();
        assert_eq!(fields, [path], "{json}");
        is_for_people(&error.message());
    }
}

#[test]
fn a_callers_text_is_not_sent_back_at_any_length() {
    let json = format!(r#"{{"item": "{}"}}"#, "é".repeat(100_000));
    let error = read::<CheckOrderFulfillabilityRequest>(json.as_bytes()).unwrap_err();
    assert!(error.message().len() < 1000, "{error:?}");
}

#[test]
fn broken_json_is_reported_with_line_and_column() {
    for (json, place) in [
        ("", "line 1 column 1"),
        ("{", "line 1 column 1"),
        ("{\n\"item\": [}", "line 2 column 10"),
        ("{} {}", "line 1 column 4"),
        ("{\"cart_id\": \"\u{7}\"}", "line 1 column 14"),
    ] {
        let error = read::<CheckOrderFulfillabilityRequest>(json.as_bytes()).unwrap_err();
        let ApiError::Malformed(text) = &error else {
            panic!("{json:?}: {error:?}")
        };
        assert!(text.contains(place), "{json:?}: {text}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(
        read::<CheckOrderFulfillabilityRequest>(format!(r#"{{"stranger": {deep}"#).as_bytes()),
        Err(ApiError::Malformed(_))
    ));
}

/// Fails where a text speaks of how something is read and not of what is to be written.
fn is_for_people(text: &str) {
    for word in [
        "invalid type",
        "struct",
        "sequence",
        "untagged",
        "variant",
        "EOF",
        "expected expected",
        "i64",
    ] {
        assert!(!text.contains(word), "{text}");
    }
}

fn misfits<M: Described>(json: &str) -> Vec<(String, String)> {
    let Decoded { misfits, .. } = decode::<M>(json.as_bytes()).unwrap();
    is_for_people(&misfits.to_string());
    misfits
        .iter()
        .map(|found| (found.field.clone(), found.rule.clone()))
        .collect()
}

#[test]
fn a_number_may_be_written_in_any_way_that_makes_it_whole() {
    for (form, seconds) in [
        ("1795946400.0", 1_795_946_400),
        ("7.2e3", 7200),
        ("5E7", 50_000_000),
        (r#""2.0""#, 2),
        (r#""5e+1""#, 50),
        (r#""\u0037""#, 7),
        ("-0", 0),
        ("-0.0", 0),
        ("1e18", 1_000_000_000_000_000_000),
        ("9223372036854775807.0", i64::MAX),
        (r#""-9.223372036854775808e18""#, i64::MIN),
    ] {
        assert_eq!(
            item(&format!(r#"{{"start_sec": {form}}}"#))
                .unwrap()
                .start_sec,
            seconds,
            "{form}"
        );
    }
    let tickets = item(r#"{"tickets": [{"count": 2147483647.0}, {"count": "-2.147483648e9"}]}"#)
        .unwrap()
        .tickets;
    assert_eq!(
        tickets
            .iter()
            .map(|ticket| ticket.count)
            .collect::<Vec<_>>(),
        [i32::MAX, i32::MIN]
    );
    for form in [
        "1.5",
        "9223372036854775808.0",
        "1e19",
        "1e400",
        r#""NaN""#,
        r#""Infinity""#,
        r#""""#,
        r#"" 1""#,
        r#""1,000""#,
        r#""0x10""#,
        "true",
        "[]",
        "{}",
    ] {
        let json = format!(r#"{{"start_sec": {form}}}"#);
        let found = misfits::<LineItem>(&json);
        let [(field, rule)] = &found[..] else {
            panic!("{form}: {found:?}")
        };
        assert_eq!(field, "start_sec", "{form}");
        assert!(
            rule.contains("expected a whole number of 64 bits, found "),
            "{form}: {rule}"
        );
    }
}

#[test]
fn all_values_of_the_wrong_type_are_reported_at_once() {
    let json = r#"{"order": {"item": [7, {"start_sec": "soon", "duration_sec": 7200,
        "tickets": [{"ticket_id": 5, "count": "two"}, null], "price": []}, {"service_id": "s"}],
        "user_information": {"given_name": {}, "address": "here"}}, "idempotency_token": "t"}"#;
    let Decoded { message, misfits } = decode::<CreateOrderRequest>(json.as_bytes()).unwrap();
    let found: Vec<String> = misfits
        .iter()
        .map(|found| format!("{} {}", found.field, found.rule))
        .collect();
    assert_eq!(
        found,
        [
            "order.item[0] does not fit: expected an object, found 7",
            "order.item[1].start_sec does not fit: expected a whole number of 64 bits, found \"soon\"",
            "order.item[1].tickets[0].ticket_id does not fit: expected a text, found 5",
            "order.item[1].tickets[0].count does not fit: expected a whole number of 32 bits, found \"two\"",
            "order.item[1].tickets[1] does not fit: expected an object, found null",
            "order.item[1].price does not fit: expected an object, found a list",
            "order.user_information.given_name does not fit: expected a text, found an object",
            "order.user_information.address does not fit: expected an object, found \"here\"",
        ]
    );
    let order = message.order.unwrap();
    assert_eq!(order.item.len(), 3, "what does not fit keeps its place");
    assert_eq!(
        (order.item[1].duration_sec, &*order.item[2].service_id),
        (7200, "s"),
        "what fits is read"
    );
    let many = format!(r#"{{"item": [{}]}}"#, ["1"; 1000].join(","));
    let Decoded { misfits, .. } =
        decode::<CheckOrderFulfillabilityRequest>(many.as_bytes()).unwrap();
    assert_eq!((misfits.iter().count(), misfits.more()), (20, 980));
}

#[test]
fn a_member_is_given_once_under_one_of_its_names() {
    for (json, field) in [
        (
            r#"{"order": {"merchant_id": "a", "merchant_id": "a"}}"#,
            "order.merchant_id",
        ),
        (
            r#"{"order": {"merchant_id": "a", "merchantId": "b"}}"#,
            "order.merchant_id",
        ),
        (
            r#"{"order": {"item": [{"tickets": [{"count": 3, "count": 1}]}]}}"#,
            "order.item[0].tickets[0].count",
        ),
        (
            r#"{"order": {"item": [{"start_sec": null, "startSec": 1}]}}"#,
            "order.item[0].start_sec",
        ),
        (r#"{"order": {"item": []}, "order": {}}"#, "order"),
        (r#"{"order": {"item": [{}], "item": [{}]}}"#, "order.item"),
    ] {
        assert_eq!(
            misfits::<CreateOrderRequest>(json),
            [(field.to_owned(), "is given twice".to_owned())],
            "{json}"
        );
    }
    let json =
        r#"{"tokenization_config": {"tokenization_parameter": {"a": "1", "b": 2, "a": "3"}}}"#;
    let found = misfits::<PaymentProcessingParameters>(json);
    let field = "tokenization_config.tokenization_parameter";
    assert_eq!(
        found,
        [
            (
                field.to_owned(),
                "does not fit: expected a text as \"b\", found 2".to_owned()
            ),
            (field.to_owned(), "has \"a\" twice".to_owned()),
        ]
    );
}

#[test]
fn of_a_choice_one_field_is_given() {
    let both = "is given as user_id and as order_ids; only one of them may be";
    for json in [
        r#"{"user_id": "u", "order_ids": {"order_id": ["a"]}}"#,
        r#"{"orderIds": {}, "userId": ""}"#,
        r#"{"order_ids": {}, "user_id": 7}"#,
    ] {
        let found = misfits::<ListOrdersRequest>(json);
        assert!(
            found.contains(&("ids".to_owned(), both.to_owned())),
            "{json}: {found:?}"
        );
    }
    let chosen = read::<ListOrdersRequest>(br#"{"user_id": "u", "order_ids": null}"#).unwrap();
    assert_eq!(chosen.ids, Some(Ids::UserId("u".into())));
}

#[test]
fn enums_are_open() {
    let json = r#"{"processor": 99, "tokenization_config": {"billing_information_format": "WHOLE",
        "allowed_auth_methods": [9, "IRIS_SCAN", "PAN_ONLY", 2.0],
        "card_network_parameters": [{"card_network": "MIR", "acquirer_bin": "1"}]}}"#;
    let read: PaymentProcessingParameters = read(json.as_bytes()).unwrap();
    #[expect(deprecated, reason = "callers may still send it")]
    let processor = read.processor;
    let TokenizationConfig {
        allowed_auth_methods,
        card_network_parameters,
        billing_information_format,
        ..
    } = read.tokenization_config.unwrap();
    assert_eq!((processor, billing_information_format), (99, 0));
    assert_eq!(allowed_auth_methods, [9, 1, 2]);
    assert_eq!(
        (
            card_network_parameters[0].card_network,
            &*card_network_parameters[0].acquirer_bin
        ),
        (0, "1")
    );
    for (value, rule) in [
        (
            r#""SOLD""#,
            "has the name \"SOLD\", which the contract does not know",
        ),
        (
            "2147483648",
            "does not fit: expected a name or a number of 32 bits, found 2147483648",
        ),
        (
            "1.5",
            "does not fit: expected a name or a number of 32 bits, found 1.5",
        ),
        (
            "true",
            "does not fit: expected a name or a number of 32 bits, found true",
        ),
        (
            "[]",
            "does not fit: expected a name or a number of 32 bits, found a list",
        ),
    ] {
        let found = misfits::<LineItem>(&format!(r#"{{"status": {value}}}"#));
        assert_eq!(found, [("status".to_owned(), rule.to_owned())], "{value}");
    }
    assert_eq!(
        item(r#"{"status": 99}"#).unwrap().status,
        99,
        "rules of requests see to it"
    );
}

#[test]
fn enums_that_are_acted_on_exist() {
    let mut found = Vec::new();
    for message in [
        CreateOrderRequest::SCHEMA,
        BatchAvailabilityLookupRequest::SCHEMA,
    ] {
        add_enums(message, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    let is_acted_on = |at: &&(&str, &str)| acts_on(at.0, at.1);
    assert_eq!(found.iter().filter(is_acted_on).count(), 5, "{found:?}");
}

/// Every field with an enum within a message.
fn add_enums(message: &'static MessageSchema, found: &mut Vec<(&'static str, &'static str)>) {
    for field in message.fields {
        match field.kind {
            FieldKind::Enum(_) => found.push((message.name, field.name)),
            FieldKind::Message(within) => add_enums(within, found),
            FieldKind::Text
            | FieldKind::Boolean
            | FieldKind::Int32
            | FieldKind::Int64
            | FieldKind::Uint32
            | FieldKind::Time
            | FieldKind::Mask
            | FieldKind::Texts => {}
        }
    }
}

#[test]
fn a_number_without_a_name_is_written_as_a_number() {
    let slot = |confirmation_mode| SlotTime {
        service_id: "s".into(),
        start_sec: 7,
        confirmation_mode,
        ..SlotTime::default()
    };
    let request = BatchAvailabilityLookupRequest {
        merchant_id: "m".into(),
        slot_time: vec![slot(1), slot(99)],
    };
    let written: Value = serde_json::from_slice(&write(&request).unwrap()).unwrap();
    assert_eq!(
        written,
        json!({ "merchant_id": "m", "slot_time": [
        { "service_id": "s", "start_sec": "7", "confirmation_mode": "CONFIRMATION_MODE_SYNCHRONOUS" },
        { "service_id": "s", "start_sec": "7", "confirmation_mode": 99 },
    ] })
    );
    assert_eq!(
        read::<BatchAvailabilityLookupRequest>(written.to_string().as_bytes()).unwrap(),
        request
    );
}

#[test]
fn both_writers_write_the_same() {
    let item = LineItem {
        tickets: vec![
            OrderedTickets {
                ticket_id: "a".into(),
                count: -3,
            },
            OrderedTickets::default(),
        ],
        price: Some(Price {
            price_micros: -1,
            currency_code: "\"é".into(),
            ..Price::default()
        }),
        status: 1,
        ..LineItem::default()
    };
    let tokenization = TokenizationConfig {
        tokenization_parameter: [("b".into(), String::new()), (String::new(), "c".into())].into(),
        allowed_auth_methods: vec![1, 2],
        ..TokenizationConfig::default()
    };
    same_by_both_writers(&item);
    same_by_both_writers(&tokenization);
    same_by_both_writers(&CheckOrderFulfillabilityRequest {
        item: vec![item],
        ..Default::default()
    });
}

fn same_by_both_writers<M: Described + Serialize>(message: &M) {
    let rare = writer::write(message.encode_to_vec().into(), M::SCHEMA).unwrap();
    assert_eq!(serde_json::to_value(message).unwrap(), rare);
}

#[test]
fn a_byte_order_mark_is_skipped_and_other_encodings_are_named() {
    let marked = "\u{feff}{\"cart_id\": \"c\"}";
    assert_eq!(
        read::<CheckOrderFulfillabilityRequest>(marked.as_bytes())
            .unwrap()
            .cart_id,
        "c"
    );
    let utf16: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, what) in [
        (&utf16[..], "UTF-16"),
        (&[0x1f, 0x8b, 8], "gzip"),
        (b"{\n\"\xff\"}", "line 2 column 2"),
    ] {
        let error = read::<CheckOrderFulfillabilityRequest>(bytes).unwrap_err();
        assert!(
            matches!(error, ApiError::Malformed(_)) && error.message().contains(what),
            "{error:?}"
        );
    }
}
