//! Requests from either transport, up to where the application takes over.

use boxoffice::{
    api::{
        booking::{
            fingerprint, from_proto, json,
            proto::v3::{
                BatchAvailabilityLookupRequest, CheckAvailabilityRequest,
                CheckOrderFulfillabilityRequest, CreateOrderRequest, LineItem, ListOrdersRequest,
            },
            requests::{
                MAX_ADDRESS_CHARS, MAX_EMAIL_CHARS, MAX_NAME_CHARS, MAX_TELEPHONE_CHARS,
                RequestLimits, Violations,
            },
            schema::Described,
            to_proto,
        },
        error::ApiError,
    },
    domain::{
        ids::Token,
        order::{BookedItem, BookingStatus, NewOrder, Order},
        time::EpochSeconds,
    },
    store::{
        KeyDeriver, PlacedOrder, Selection, Write,
        record::{decode_order_if, encode},
    },
};
use serde::Serialize;

use crate::contract;

/// Small enough to be exceeded by small requests.
const LIMITS: RequestLimits = RequestLimits {
    max_items_per_order: 3,
    max_slots_per_lookup: 3,
    max_id_bytes: 12,
};

/// The most broken rules that are listed, and the longest text of each with its path, in characters.
const MAX_LISTED: usize = 20;
const MAX_RULE_CHARS: usize = 300;

/// One digit says which request it is; the rest is the request as gRPC callers write it.
pub fn protobuf(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind {
        b'0' => decode::<CheckOrderFulfillabilityRequest>(bytes),
        b'1' => decode::<CreateOrderRequest>(bytes),
        b'2' => decode::<ListOrdersRequest>(bytes),
        b'3' => decode::<BatchAvailabilityLookupRequest>(bytes),
        _ => decode::<CheckAvailabilityRequest>(bytes),
    }
}

/// One digit says which request it is; the rest is the request as REST callers write it.
pub fn json(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind {
        b'0' => read::<CheckOrderFulfillabilityRequest>(bytes),
        b'1' => read::<CreateOrderRequest>(bytes),
        b'2' => read::<ListOrdersRequest>(bytes),
        b'3' => read::<BatchAvailabilityLookupRequest>(bytes),
        _ => read::<CheckAvailabilityRequest>(bytes),
    }
}

/// A request of the contract.
trait Request: Described + Clone + PartialEq + Serialize {
    const NAME: &'static str;

    /// Takes it in, and looks whether what is taken in keeps the rules.
    fn take_in(self) -> Result<(), Violations>;
}

fn decode<R: Request>(bytes: &[u8]) {
    match R::decode(bytes) {
        Ok(request) => {
            let json = written(&request);
            assert_eq!(
                json::read::<R>(&json),
                Ok(request.clone()),
                "the other transport reads the same"
            );
            judge(request);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn read<R: Request>(bytes: &[u8]) {
    match json::read::<R>(bytes) {
        Ok(request) => {
            let json = written(&request);
            assert_eq!(
                json::read::<R>(&json),
                Ok(request.clone()),
                "{}",
                String::from_utf8_lossy(&json)
            );
            judge(request);
        }
        Err(error) => assert_error::<R>(&error),
    }
}

/// The request as JSON.
fn written<R: Request>(request: &R) -> Vec<u8> {
    json::write(request).expect("every message can be written as JSON")
}

fn assert_error<R: Request>(error: &ApiError) {
    assert_eq!(error.mapping().http, 400);
    let said = error.message().chars().count();
    assert!(
        (1..MAX_LISTED * MAX_RULE_CHARS).contains(&said),
        "{error:?}"
    );
    assert_eq!(
        json::error_body(error)["error"]["status"],
        "INVALID_ARGUMENT"
    );
    match error {
        ApiError::Invalid(violations) => {
            assert!(
                (1..=MAX_LISTED).contains(&violations.iter().count()),
                "{error:?}"
            );
            for violation in violations.iter() {
                assert!(contract::has_field(R::NAME, &violation.field), "{error:?}");
            }
        }
        error => assert!(matches!(error, ApiError::Malformed(_)), "{error:?}"),
    }
}

fn judge<R: Request>(request: R) {
    let encoded = request.encode_to_vec();
    assert_eq!(encoded.len(), request.encoded_len());
    let again = R::decode(&*encoded).expect("what is encoded can be decoded");
    assert_eq!(again, request);
    assert_eq!(fingerprint(&again), fingerprint(&request));
    let Err(violations) = request.take_in() else {
        return;
    };
    assert!(violations.iter().next().is_some(), "a rejection says why");
    for violation in violations.iter() {
        assert!(
            contract::has_field(R::NAME, &violation.field),
            "{violation:?}"
        );
        assert!(!violation.rule.is_empty(), "{violation:?}");
    }
}

/// All merchants of the sample are known, and all but one of others.
fn is_merchant(id: &str) -> bool {
    !["", "nobody"].contains(&id)
}

fn assert_fits(id: &str) {
    assert!(id.len() <= LIMITS.max_id_bytes, "{id:?}");
    assert!(!id.contains(char::is_control), "{id:?}");
    assert!(id.is_empty() || !id.trim().is_empty(), "{id:?}");
}

fn assert_items(asked: &[LineItem], taken: usize) {
    assert!(asked.len() == taken && taken <= LIMITS.max_items_per_order);
    assert!(asked.iter().all(|item| item.status == 0));
}

impl Request for CheckOrderFulfillabilityRequest {
    const NAME: &'static str = "CheckOrderFulfillabilityRequest";

    fn take_in(self) -> Result<(), Violations> {
        let cart = from_proto::check_request(self.clone().into(), &LIMITS, &is_merchant)?;
        assert!(is_merchant(cart.merchant_id.as_str()));
        let cart_id = cart.cart_id.as_ref().map_or("", |id| id.as_str());
        assert_eq!(cart_id, self.cart_id);
        assert_fits(&self.cart_id);
        assert_items(&self.item, cart.items.len());
        Ok(())
    }
}

impl Request for CreateOrderRequest {
    const NAME: &'static str = "CreateOrderRequest";

    fn take_in(self) -> Result<(), Violations> {
        let digest = fingerprint(&self);
        match from_proto::create_request(self.clone().into(), &LIMITS, &is_merchant) {
            Ok(command) => {
                assert_eq!(
                    (command.token.as_str(), command.fingerprint),
                    (self.idempotency_token.as_str(), digest)
                );
                let asked = self.order.expect("a request without an order is rejected");
                assert!(
                    asked.order_id.is_empty() && is_merchant(command.order.merchant_id.as_str())
                );
                assert_items(&asked.item, command.order.items.len());
                stands_on_record(&command.order);
                let customer = &command.order.customer;
                for id in [command.token.as_str(), customer.user_id.as_str()] {
                    assert!(!id.is_empty());
                    assert_fits(id);
                }
                for (text, most) in [
                    (&customer.given_name, MAX_NAME_CHARS),
                    (&customer.family_name, MAX_NAME_CHARS),
                    (&customer.email, MAX_EMAIL_CHARS),
                    (&customer.telephone, MAX_TELEPHONE_CHARS),
                ] {
                    assert!(text.chars().count() <= most);
                }
                let address = customer.address.iter();
                assert!(
                    address
                        .clone()
                        .all(|it| it.country.chars().count() <= MAX_ADDRESS_CHARS)
                );
                assert!(
                    address
                        .clone()
                        .all(|it| it.street_address.chars().count() <= MAX_ADDRESS_CHARS)
                );
                Ok(())
            }
            Err(rejected) => {
                assert_eq!(
                    rejected.answered,
                    Some((self.idempotency_token.into(), digest))
                );
                Err(rejected.violations)
            }
        }
    }
}

/// An order reads back from its record as it was.
fn stands_on_record(new: &NewOrder) {
    let items = new.items.iter().cloned().map(|line| BookedItem {
        line,
        status: BookingStatus::Confirmed,
    });
    let (keys, token) = (KeyDeriver::new([7; 32]), Token::from("token"));
    let order = Order {
        id: keys.order_key(&token).order_id(),
        merchant_id: new.merchant_id.clone(),
        customer: new.customer.clone(),
        payment: new.payment.clone(),
        items: items.collect(),
    };
    let placed = PlacedOrder {
        token,
        fingerprint: [7; 32],
        created_sec: EpochSeconds::new(7),
        created_by: None,
        order: Box::new(order.clone()),
        claims: Vec::new(),
        payment: None,
        hold: None,
        bill: None,
        begun: None,
        lifecycle: 1,
    };
    let record = encode(&Write::OrderPlaced(Box::new(placed)), &keys);
    let read = decode_order_if(&record.public, Some(&record.personal), &|_| true);
    assert_eq!(
        read.map(|read| read.map(|placed| *placed.order)),
        Ok(Some(order))
    );
}

impl Request for ListOrdersRequest {
    const NAME: &'static str = "ListOrdersRequest";

    fn take_in(self) -> Result<(), Violations> {
        match from_proto::list_request(self.into(), &LIMITS)? {
            Selection::User(user_id) => {
                assert!(!user_id.as_str().is_empty());
                assert_fits(user_id.as_str());
            }
            Selection::Ids(ids) => {
                assert!(!ids.is_empty());
                ids.iter().for_each(|id| assert_fits(id.as_str()));
            }
            Selection::Created { .. } | Selection::Slot(_) | Selection::Visit { .. } => {
                panic!("no request asks for a time or a slot")
            }
        }
        Ok(())
    }
}

impl Request for BatchAvailabilityLookupRequest {
    const NAME: &'static str = "BatchAvailabilityLookupRequest";

    fn take_in(self) -> Result<(), Violations> {
        let slots = self.slot_time.len();
        let lookup = from_proto::lookup_request(self.into(), &LIMITS, &is_merchant)?;
        assert!(is_merchant(lookup.merchant_id.as_str()));
        assert!(lookup.slots.len() == slots && slots <= LIMITS.max_slots_per_lookup);
        Ok(())
    }
}

impl Request for CheckAvailabilityRequest {
    const NAME: &'static str = "CheckAvailabilityRequest";

    fn take_in(self) -> Result<(), Violations> {
        let lookup = from_proto::availability_request(self.clone().into(), &LIMITS, &is_merchant)?;
        assert!(is_merchant(lookup.merchant_id.as_str()));
        let answer = to_proto::availability_response(lookup, 0);
        assert_eq!(answer.slot, self.slot, "the slot comes back as it was sent");
        Ok(())
    }
}
