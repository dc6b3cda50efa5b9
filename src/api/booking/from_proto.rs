//! From the wire inwards: published messages become the values that the application works with.
//!
//! Every message is destructured completely, so that a field that is added to the contract does not go
//! unnoticed here. All rules that a request violates are reported at once.

use super::{
    proto::v3,
    requests::{Decoded, MAX_ID_BYTES, MAX_ORDER_IDS, RequestLimits, Violations},
    violations::FieldPath,
};
use domain::{
    ids::{Token, UserId},
    order::OrderId,
};
use orders::{Cart, CreateOrder, Lookup, SlotLookup};
use store::{Fingerprint, Selection};

mod availability;
mod order;
mod payment;
mod validator;

use validator::{Validator, Violated, given_id_rule};

/// The field of a customer's id.
const USER_ID: &str = "user_id";

/// A CheckOrderFulfillability request.
///
/// # Errors
/// Every rule of requests that it violates.
pub fn check_request(
    request: Decoded<v3::CheckOrderFulfillabilityRequest>,
    limits: &RequestLimits,
    is_merchant: &dyn Fn(&str) -> bool,
) -> Result<Cart, Violations> {
    let Decoded { message, misfits } = request;
    let v3::CheckOrderFulfillabilityRequest {
        merchant_id,
        item,
        cart_id,
    } = message;
    let mut validator = Validator::new(misfits, limits);
    validator.check_merchant("merchant_id", &merchant_id, is_merchant);
    validator.check_given_id(FieldPath::field("cart_id"), &cart_id);
    let items = validator.line_items(FieldPath::field("item"), item);
    let cart = Cart {
        merchant_id: merchant_id.into(),
        items,
        cart_id: (!cart_id.is_empty()).then(|| cart_id.into()),
    };
    validator.finish(Ok(cart))
}

/// A CreateOrder request that violates rules of requests.
#[derive(Debug)]
pub struct RejectedOrder {
    /// Its token and its digest. The request may have been answered under older rules or another catalogue,
    /// and then that response stands. None if a value could not be read: the rest may be another request.
    pub answered: Option<(Token, Fingerprint)>,
    /// The rules.
    pub violations: Violations,
}

/// A CreateOrder request.
///
/// # Errors
/// Every rule of requests that it violates.
pub fn create_request(
    request: Decoded<v3::CreateOrderRequest>,
    limits: &RequestLimits,
    is_merchant: &dyn Fn(&str) -> bool,
) -> Result<Box<CreateOrder>, RejectedOrder> {
    let Decoded { message, misfits } = request;
    let is_complete = misfits.is_empty();
    // Of the message as it was decoded and before validation: stricter rules later must not change
    // it.
    let fingerprint = super::fingerprint(&message);
    let v3::CreateOrderRequest {
        order,
        payment_processing_parameters: processing,
        idempotency_token: token,
    } = message;
    let mut validator = Validator::new(misfits, limits);
    validator.require_id(FieldPath::field("idempotency_token"), &token);
    let order = match order {
        Some(order) => validator.new_order(*order, processing, is_merchant),
        None => Err(validator.require("order")),
    };
    match validator.finish(order) {
        Ok(order) => Ok(Box::new(CreateOrder {
            token: token.into(),
            fingerprint,
            order,
        })),
        Err(violations) => Err(RejectedOrder {
            answered: is_complete.then(|| (token.into(), fingerprint)),
            violations,
        }),
    }
}

/// A ListOrders request.
///
/// # Errors
/// Every rule of requests that it violates.
pub fn list_request(
    request: Decoded<v3::ListOrdersRequest>,
    limits: &RequestLimits,
) -> Result<Selection, Violations> {
    use v3::list_orders_request::{Ids, OrderIds};
    let Decoded {
        message: v3::ListOrdersRequest { ids },
        misfits,
    } = request;
    let mut validator = Validator::new(misfits, limits);
    if !validator.is_clean() {
        // The value that could not be read may be the very choice that is missing.
        return validator.finish(Err(Violated));
    }
    let selection = match ids {
        None => Err(validator.violate("ids", "needs user_id or order_ids")),
        Some(Ids::UserId(user_id)) => validator.orders_of_user(user_id),
        Some(Ids::OrderIds(OrderIds { order_id })) => validator.orders_by_id(order_id),
    };
    validator.finish(selection)
}

/// The id of a customer by itself, by the rules that ListOrders has for it.
///
/// # Errors
/// The rule that it violates.
pub fn user_id(text: String) -> Result<UserId, Violations> {
    match user_id_rule(&text, MAX_ID_BYTES) {
        Some(rule) => Err(Violations::one(USER_ID, &rule)),
        None => Ok(text.into()),
    }
}

fn user_id_rule(id: &str, max_bytes: usize) -> Option<String> {
    if id.is_empty() {
        return Some("must not be empty".to_owned());
    }
    given_id_rule(id, max_bytes)
}

impl Validator<'_> {
    fn orders_of_user(&mut self, user_id: String) -> Result<Selection, Violated> {
        match user_id_rule(&user_id, self.limits().max_id_bytes) {
            Some(rule) => Err(self.violate(USER_ID, &rule)),
            None => Ok(Selection::User(user_id.into())),
        }
    }

    fn orders_by_id(&mut self, order_ids: Vec<String>) -> Result<Selection, Violated> {
        let parent = FieldPath::field("order_ids");
        let field = parent.key("order_id");
        if order_ids.is_empty() {
            return Err(self.violate(field, "must name at least one order"));
        }
        self.limit_count(field, order_ids.len(), MAX_ORDER_IDS)?;
        for (at, id) in order_ids.iter().enumerate() {
            self.check_given_id(field.index(at), id);
        }
        Ok(Selection::Ids(
            order_ids.into_iter().map(OrderId::from).collect(),
        ))
    }
}

/// A `BatchAvailabilityLookup` request.
///
/// # Errors
/// Every rule of requests that it violates.
pub fn lookup_request(
    request: Decoded<v3::BatchAvailabilityLookupRequest>,
    limits: &RequestLimits,
    is_merchant: &dyn Fn(&str) -> bool,
) -> Result<Lookup, Violations> {
    let Decoded { message, misfits } = request;
    let v3::BatchAvailabilityLookupRequest {
        merchant_id,
        slot_time,
    } = message;
    let mut validator = Validator::new(misfits, limits);
    validator.check_merchant("merchant_id", &merchant_id, is_merchant);
    let slots = validator.slot_times(FieldPath::field("slot_time"), slot_time);
    validator.finish(slots.map(|slots| Lookup {
        merchant_id: merchant_id.into(),
        slots,
    }))
}

/// A `CheckAvailability` request.
///
/// # Errors
/// Every rule of requests that it violates.
pub fn availability_request(
    request: Decoded<v3::CheckAvailabilityRequest>,
    limits: &RequestLimits,
    is_merchant: &dyn Fn(&str) -> bool,
) -> Result<SlotLookup, Violations> {
    let Decoded {
        message: v3::CheckAvailabilityRequest { slot },
        misfits,
    } = request;
    let mut validator = Validator::new(misfits, limits);
    let lookup = match slot {
        Some(slot) => Ok(validator.slot_lookup(FieldPath::field("slot"), slot, is_merchant)),
        None => Err(validator.require("slot")),
    };
    validator.finish(lookup)
}
