use prost::Message;

use super::*;
use crate::api::booking::{
    json,
    proto::v3::{
        BatchAvailabilityLookupRequest, CheckOrderFulfillabilityRequest, CreateOrderRequest,
        IntakeFormAnswers, IntakeFormFieldAnswer, LineItem, ListOrdersRequest, Order,
        PaymentProcessingParameters, SlotTime, TokenizationConfig,
        line_item::OrderedTickets,
        list_orders_request::{Ids, OrderIds},
        tokenization_config::CardNetworkParameters,
    },
};

const LIMITS: RequestLimits = RequestLimits {
    max_items_per_order: 100,
    max_slots_per_lookup: 20_000,
    max_id_bytes: 1024,
};

const VERY_MANY: usize = 50_000;

/// The violations of a message, which are the same in both encodings.
fn violations_of<M: Counted + crate::api::booking::schema::Described + serde::Serialize>(
    message: &M,
) -> Vec<(String, String)> {
    let by_wire = check_protobuf::<M>(&message.encode_to_vec(), &LIMITS);
    let by_json = check_json::<M>(&json::write(message).unwrap(), &LIMITS);
    assert_eq!(by_wire.clone().map_err(ApiError::from), by_json);
    let violations = by_wire.err().unwrap_or_default();
    violations
        .iter()
        .map(|found| (found.field.clone(), found.rule.clone()))
        .collect()
}

fn cart(item: Vec<LineItem>) -> CheckOrderFulfillabilityRequest {
    CheckOrderFulfillabilityRequest {
        item,
        ..Default::default()
    }
}

fn order(item: Vec<LineItem>) -> CreateOrderRequest {
    CreateOrderRequest {
        order: Some(Box::new(Order {
            item,
            ..Order::default()
        })),
        ..Default::default()
    }
}

fn with_answers(answer: Vec<IntakeFormFieldAnswer>) -> LineItem {
    LineItem {
        intake_form_answers: Some(IntakeFormAnswers { answer }),
        ..LineItem::default()
    }
}

#[test]
fn each_repeated_field_is_counted_and_named() {
    let many_tickets = LineItem {
        tickets: vec![OrderedTickets::default(); VERY_MANY],
        ..LineItem::default()
    };
    let many_answers = with_answers(vec![IntakeFormFieldAnswer::default(); VERY_MANY]);
    let many_responses = with_answers(vec![
        IntakeFormFieldAnswer::default(),
        IntakeFormFieldAnswer {
            response: vec![String::new(); VERY_MANY],
            ..Default::default()
        },
    ]);
    let config = TokenizationConfig {
        tokenization_parameter: (0..VERY_MANY)
            .map(|number| (number.to_string(), "x".to_owned()))
            .collect(),
        card_network_parameters: vec![CardNetworkParameters::default(); VERY_MANY],
        allowed_auth_methods: vec![1; VERY_MANY],
        ..TokenizationConfig::default()
    };
    let processing = PaymentProcessingParameters {
        tokenization_config: Some(config),
        ..Default::default()
    };
    let payment = CreateOrderRequest {
        payment_processing_parameters: Some(Box::new(processing)),
        ..CreateOrderRequest::default()
    };
    let ids = OrderIds {
        order_id: vec![String::new(); VERY_MANY],
    };
    let slots = vec![SlotTime::default(); VERY_MANY];
    let tokenization = "payment_processing_parameters.tokenization_config";
    for (found, fields, most) in [
        (
            violations_of(&cart(vec![LineItem::default(); VERY_MANY])),
            vec!["item".to_owned()],
            100,
        ),
        (
            violations_of(&cart(vec![LineItem::default(), many_tickets.clone()])),
            vec!["item[1].tickets".into()],
            100,
        ),
        (
            violations_of(&order(vec![LineItem::default(); VERY_MANY])),
            vec!["order.item".into()],
            100,
        ),
        (
            violations_of(&order(vec![many_tickets])),
            vec!["order.item[0].tickets".into()],
            100,
        ),
        (
            violations_of(&order(vec![LineItem::default(), many_answers])),
            vec!["order.item[1].intake_form_answers.answer".into()],
            1000,
        ),
        (
            violations_of(&order(vec![many_responses])),
            vec!["order.item[0].intake_form_answers.answer[1].response".into()],
            100,
        ),
        (
            violations_of(&payment),
            [
                "tokenization_parameter",
                "card_network_parameters",
                "allowed_auth_methods",
            ]
            .map(|field| format!("{tokenization}.{field}"))
            .to_vec(),
            100,
        ),
        (
            violations_of(&ListOrdersRequest {
                ids: Some(Ids::OrderIds(ids)),
            }),
            vec!["order_ids.order_id".into()],
            1000,
        ),
        (
            violations_of(&BatchAvailabilityLookupRequest {
                slot_time: slots,
                ..Default::default()
            }),
            vec!["slot_time".into()],
            20_000,
        ),
    ] {
        let rule = format!("has {VERY_MANY} elements; at most {most} are taken");
        let expected: Vec<_> = fields
            .into_iter()
            .map(|field| (field, rule.clone()))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_message_with_few_elements_has_no_violation_yet() {
    let tickets = |count| LineItem {
        tickets: vec![OrderedTickets::default(); count],
        ..LineItem::default()
    };
    for message in [
        cart(vec![LineItem::default(); 150]),
        cart(vec![tickets(19_000)]),
        cart(Vec::new()),
    ] {
        assert_eq!(violations_of(&message), []);
    }
    let long = OrderedTickets {
        ticket_id: "x".repeat(100_000),
        ..OrderedTickets::default()
    };
    assert_eq!(
        violations_of(&cart(vec![LineItem {
            tickets: vec![long; 5],
            ..LineItem::default()
        }])),
        []
    );
}

#[test]
fn very_many_elements_are_valid_if_no_field_has_too_many() {
    let item = LineItem {
        tickets: vec![OrderedTickets::default(); 100],
        ..LineItem::default()
    };
    let full = with_answers(vec![IntakeFormFieldAnswer::default(); 1000]);
    assert_eq!(violations_of(&cart(vec![item; 100])), []);
    assert_eq!(violations_of(&cart(vec![full; 50])), []);
}

#[test]
fn few_of_many_violations_are_reported() {
    let item = LineItem {
        tickets: vec![OrderedTickets::default(); 1000],
        ..LineItem::default()
    };
    assert_eq!(violations_of(&cart(vec![item; 100])).len(), MAX_REPORTED);
}

#[test]
fn parts_of_a_single_message_count_together() {
    let part = order(vec![LineItem::default(); 60]).encode_to_vec();
    let filler = order(vec![with_answers(vec![
        IntakeFormFieldAnswer::default();
        900
    ])])
    .encode_to_vec();
    let bytes = [&part[..], &filler.repeat(24), &part].concat();
    let violations = check_protobuf::<CreateOrderRequest>(&bytes, &LIMITS).unwrap_err();
    let found: Vec<_> = violations
        .iter()
        .map(|found| (&*found.field, &*found.rule))
        .collect();
    assert_eq!(
        found,
        [("order.item", "has 144 elements; at most 100 are taken")]
    );
}

#[test]
fn json_goes_by_either_name_and_by_what_is_there() {
    let slots = format!(r#"{{"slotTime": [{}{{}}]}}"#, "{},".repeat(VERY_MANY - 1));
    for text in [slots.clone(), format!("\u{feff}{slots}")] {
        let found = check_json::<BatchAvailabilityLookupRequest>(text.as_bytes(), &LIMITS);
        assert!(matches!(found, Err(ApiError::Invalid(_))), "{found:?}");
    }
    let elsewhere = format!(
        r#"{{"stranger": [{}{{}}], "item": 7, "cart_id": null}}"#,
        "{},".repeat(VERY_MANY)
    );
    assert_eq!(
        check_json::<CheckOrderFulfillabilityRequest>(elsewhere.as_bytes(), &LIMITS),
        Ok(())
    );
}

#[test]
fn malformed_messages_are_left_to_their_decoder() {
    let good = cart(vec![LineItem::default(); VERY_MANY]).encode_to_vec();
    for bytes in [
        [&good[..30_000], b"\xff\xff\xff"].concat(),
        vec![0xff; 50_000],
        vec![0x0b; 50_000],
    ] {
        let _ = check_protobuf::<CheckOrderFulfillabilityRequest>(&bytes, &LIMITS);
    }
    let broken = format!(r#"{{"item": [{}"#, "{},".repeat(VERY_MANY));
    let found = check_json::<CheckOrderFulfillabilityRequest>(broken.as_bytes(), &LIMITS);
    assert!(matches!(found, Err(ApiError::Malformed(_))), "{found:?}");
}
