//! The catalogue and the calls: those of the load generator.

use std::{fs, path::Path};

use boxoffice::api::booking::proto::v3::{
    CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse, CreateOrderRequest,
    CreateOrderResponse, LineItem, Order, Price, UserInformation, create_order_response::Result,
    line_item::OrderedTickets, order_fulfillability::OrderFulfillabilityResult,
};
use prost::Message;

/// In the year 2040.
const START_SEC: i64 = 2_208_988_800;

/// A call that is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Method {
    /// A check of a cart without an id, which holds nothing.
    Check,
    /// An order of a new token.
    Create,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Check => "CheckOrderFulfillability",
            Self::Create => "CreateOrder",
        }
    }

    /// The message of the call of this number.
    pub(crate) fn request(self, number: usize) -> Vec<u8> {
        match self {
            Self::Check => cart().encode_to_vec(),
            Self::Create => order(number).encode_to_vec(),
        }
    }

    pub(crate) fn assert_answered(self, message: &[u8]) {
        match self {
            Self::Check => {
                let answer = CheckOrderFulfillabilityResponse::decode(message).unwrap();
                let verdict = answer.fulfillability.unwrap();
                assert_eq!(verdict.result(), OrderFulfillabilityResult::CanFulfill);
            }
            Self::Create => {
                let answer = CreateOrderResponse::decode(message).unwrap();
                assert!(
                    matches!(answer.result, Some(Result::Order(_))),
                    "{answer:?}"
                );
            }
        }
    }
}

fn cart() -> CheckOrderFulfillabilityRequest {
    CheckOrderFulfillabilityRequest {
        merchant_id: "m".into(),
        item: vec![item()],
        cart_id: String::new(),
    }
}

fn order(number: usize) -> CreateOrderRequest {
    CreateOrderRequest {
        idempotency_token: format!("load-allocations-{number}"),
        payment_processing_parameters: None,
        order: Some(Box::new(Order {
            order_id: String::new(),
            user_information: Some(UserInformation {
                user_id: format!("user-{number}"),
                given_name: "Grace".into(),
                family_name: "Hopper".into(),
                email: "grace@example.com".into(),
                ..UserInformation::default()
            }),
            payment_information: None,
            merchant_id: "m".into(),
            item: vec![item()],
        })),
    }
}

fn item() -> LineItem {
    LineItem {
        service_id: "s".into(),
        start_sec: START_SEC,
        duration_sec: 900,
        tickets: vec![OrderedTickets {
            ticket_id: "t".into(),
            count: 1,
        }],
        price: Some(Price {
            price_micros: 10_000_000,
            currency_code: "USD".into(),
            pricing_option_tag: String::new(),
        }),
        ..LineItem::default()
    }
}

/// Writes a catalogue with the one slot.
pub(crate) fn write_catalog(dir: &Path) {
    let availability = format!(
        r#"{{"service_availability":[{{"availability":[{{"merchant_id":"m","service_id":"s",
        "start_sec":"{START_SEC}","duration_sec":"900","spots_total":"100000","spots_open":"100000"}}]}}]}}"#
    );
    for (file, text) in [
        (
            "merchants.json",
            r#"{"merchant":[{"merchant_id":"m","name":"Load"}]}"#,
        ),
        (
            "services.json",
            r#"{"service":[{"merchant_id":"m","service_id":"s","localized_service_name":{"value":"Load"},
            "ticket_type":[{"ticket_type_id":"t","price":{"price_micros":"10000000","currency_code":"USD"}}]}]}"#,
        ),
        ("availability.json", &availability),
    ] {
        fs::write(dir.join(file), text).unwrap();
    }
}
