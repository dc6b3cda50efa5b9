//! The rules of the operator's requests: messages become values, or every violation is reported.

use pbjson_types::Timestamp;
use prost::Message;

use super::{
    masks::{OrderMask, may_see_customers},
    page_tokens::{TokenScope, WRONG_TOKEN},
    proto::v1,
};
use crate::api::{
    auth::{AuthError, User},
    booking::requests::Violations,
    error::ApiError,
};
use domain::{
    ids::MerchantId,
    order::OrderId,
    slot::SlotDuration,
    time::{EpochSeconds, Seconds},
};
use kernel::rpc::OperatorRpc;
use orders::{
    days::{AskedDay, DATES, DAY_WORDS},
    search::{OrderPage, OrderSearch},
};
use store::{OrderPlace, SlotName};

/// What the name of an order begins with.
pub(super) const ORDERS: &str = "orders/";

/// Elements of a page if the request does not say.
const PAGE_SIZE: usize = 100;

/// Most elements of a page.
const MAX_PAGE_SIZE: i32 = 1_000;

/// Most bytes of a text in a request.
const MAX_TEXT_BYTES: usize = 1_024;

/// Most states that a search may name.
const MAX_STATES: usize = 100;

/// An order that is asked for.
#[derive(Debug)]
pub(super) struct AskedOrder {
    pub(super) id: OrderId,
    pub(super) mask: OrderMask,
}

/// A search that is asked for.
#[derive(Debug)]
pub(super) struct AskedSearch {
    pub(super) search: OrderSearch,
    pub(super) page: OrderPage,
    pub(super) mask: OrderMask,
    pub(super) scope: TokenScope,
}

/// A page of a list that is made as a whole.
#[derive(Debug)]
pub(super) struct AskedPage {
    pub(super) most: usize,
    /// The element that the page before ended with.
    pub(super) after: Option<String>,
    pub(super) scope: TokenScope,
}

/// The slots of a day.
#[derive(Debug)]
pub(super) struct AskedSlots {
    pub(super) merchant_id: String,
    pub(super) service_id: Option<String>,
    pub(super) date: AskedDay,
    pub(super) page: AskedPage,
}

/// The name of an order in requests and answers.
pub(super) fn order_name(id: &OrderId) -> String {
    format!("{ORDERS}{id}")
}

pub(super) fn get_order(
    request: v1::GetOrderRequest,
    user: Option<&User>,
) -> Result<AskedOrder, ApiError> {
    let mut violations = Violations::default();
    let id = order_id(&request.name, "name", &mut violations);
    let paths = request.read_mask.unwrap_or_default().paths;
    let mask = OrderMask::read(&paths, user, &mut violations)?;
    violations.into_result()?;
    Ok(AskedOrder { id, mask })
}

pub(super) fn watch_order(
    request: v1::WatchOrderRequest,
    user: Option<&User>,
) -> Result<AskedOrder, ApiError> {
    let v1::WatchOrderRequest { name, read_mask } = request;
    get_order(v1::GetOrderRequest { name, read_mask }, user)
}

pub(super) fn list_revisions(request: &v1::ListRevisionsRequest) -> Result<AskedPage, ApiError> {
    let mut violations = Violations::default();
    let scope = scope(
        OperatorRpc::ListRevisions,
        &v1::ListRevisionsRequest::default(),
    );
    let (page_size, page_token) = (request.page_size, &request.page_token);
    let page = page(scope, page_size, page_token, &mut violations);
    violations.into_result()?;
    Ok(page)
}

pub(super) fn list_history(
    request: v1::ListHistoryRequest,
) -> Result<(OrderId, AskedPage), ApiError> {
    let mut violations = Violations::default();
    let id = order_id(&request.parent, "parent", &mut violations);
    let (page_size, page_token) = (request.page_size, request.page_token.clone());
    let scope = scope(
        OperatorRpc::ListHistory,
        &v1::ListHistoryRequest {
            page_size: 0,
            page_token: String::new(),
            ..request
        },
    );
    let page = page(scope, page_size, &page_token, &mut violations);
    violations.into_result()?;
    Ok((id, page))
}

/// The search of a request. An order is in one of `known_states`.
pub(super) fn search_orders(
    request: v1::SearchOrdersRequest,
    known_states: &[&str],
    user: Option<&User>,
) -> Result<AskedSearch, ApiError> {
    let names_customer = [&request.user_id, &request.customer_name, &request.email]
        .into_iter()
        .any(|condition| !condition.is_empty());
    // Otherwise a viewer could find out by searching what it is not shown.
    if names_customer && !may_see_customers(user) {
        return Err(AuthError::RoleOutOfScope.into());
    }
    let mut violations = Violations::default();
    let bounded = v1::SearchOrdersRequest {
        page_size: 0,
        page_token: String::new(),
        read_mask: None,
        ..request.clone()
    };
    let scope = scope(OperatorRpc::SearchOrders, &bounded);
    let AskedPage { most, after, .. } = page(
        scope,
        request.page_size,
        &request.page_token,
        &mut violations,
    );
    let before = after.and_then(|cursor| {
        let place = cursor.parse().ok().map(OrderPlace);
        if place.is_none() {
            violations.add("page_token", WRONG_TOKEN);
        }
        place
    });
    let paths = request.read_mask.clone().unwrap_or_default().paths;
    let mask = OrderMask::read(&paths, user, &mut violations)?;
    check_states(&request.states, known_states, &mut violations);
    let search = conditions(request, &mut violations);
    violations.into_result()?;
    Ok(AskedSearch {
        search,
        page: OrderPage { most, before },
        mask,
        scope,
    })
}

/// A state that no order has would find nothing, which is taken for an answer.
fn check_states(states: &[String], known: &[&str], violations: &mut Violations) {
    let unknown = states.iter().find(|state| !known.contains(&state.as_str()));
    if let Some(unknown) = unknown {
        let rule = format!(
            "has {unknown:?}, which is no state of an order; states are {}",
            known.join(", ")
        );
        violations.add("states", &rule);
    }
}

fn conditions(request: v1::SearchOrdersRequest, violations: &mut Violations) -> OrderSearch {
    let v1::SearchOrdersRequest {
        visit_date,
        merchant_id,
        service_id,
        slot_start_time,
        states,
        user_id,
        customer_name,
        email,
        order_id_prefix,
        created_from,
        created_until,
        needs_attention,
        page_size: _,
        page_token: _,
        read_mask: _,
    } = request;
    if states.len() > MAX_STATES {
        let rule = format!(
            "has {} elements; at most {MAX_STATES} are taken",
            states.len()
        );
        violations.add("states", &rule);
    }
    let visit_date = (!visit_date.is_empty())
        .then(|| date("visit_date", &visit_date, violations))
        .flatten();
    OrderSearch {
        visit_date,
        merchant_id: given("merchant_id", merchant_id, violations).map(Into::into),
        service_id: given("service_id", service_id, violations).map(Into::into),
        slot_start_sec: slot_start_time
            .and_then(|time| second("slot_start_time", time, violations)),
        states,
        user_id: given("user_id", user_id, violations).map(Into::into),
        customer_name: given("customer_name", customer_name, violations)
            .map(|name| name.to_lowercase()),
        email: given("email", email, violations).map(|email| email.to_lowercase()),
        // Ids have capital letters; who reads one over the telephone says none.
        order_id_prefix: given("order_id_prefix", order_id_prefix, violations)
            .map(|prefix| prefix.to_ascii_uppercase()),
        created_from: created_from.and_then(|time| second("created_from", time, violations)),
        created_until: created_until.and_then(|time| second("created_until", time, violations)),
        needs_attention,
    }
}

pub(super) fn list_slots(request: v1::ListSlotsRequest) -> Result<AskedSlots, ApiError> {
    let mut violations = Violations::default();
    let (page_size, page_token) = (request.page_size, request.page_token.clone());
    let bounded = v1::ListSlotsRequest {
        page_size: 0,
        page_token: String::new(),
        ..request.clone()
    };
    let page = page(
        scope(OperatorRpc::ListSlots, &bounded),
        page_size,
        &page_token,
        &mut violations,
    );
    required("merchant_id", &request.merchant_id, &mut violations);
    let date = date("date", &request.date, &mut violations);
    let service_id = given("service_id", request.service_id, &mut violations);
    violations.into_result()?;
    Ok(AskedSlots {
        merchant_id: request.merchant_id,
        service_id,
        // Absent only beside a violation.
        date: date.unwrap_or(AskedDay::InDays(0)),
        page,
    })
}

pub(super) fn list_steps(
    request: &v1::ListStepsRequest,
) -> Result<(Option<OrderId>, AskedPage), ApiError> {
    let mut violations = Violations::default();
    let (page_size, page_token) = (request.page_size, request.page_token.clone());
    let bounded = v1::ListStepsRequest {
        page_size: 0,
        page_token: String::new(),
        ..request.clone()
    };
    let page = page(
        scope(OperatorRpc::ListSteps, &bounded),
        page_size,
        &page_token,
        &mut violations,
    );
    let order =
        (!request.parent.is_empty()).then(|| order_id(&request.parent, "parent", &mut violations));
    violations.into_result()?;
    Ok((order, page))
}

pub(super) fn list_door(request: v1::ListDoorRequest) -> Result<(SlotName, AskedPage), ApiError> {
    let mut violations = Violations::default();
    let (page_size, page_token) = (request.page_size, request.page_token.clone());
    let bounded = v1::ListDoorRequest {
        page_size: 0,
        page_token: String::new(),
        ..request.clone()
    };
    let page = page(
        scope(OperatorRpc::ListDoor, &bounded),
        page_size,
        &page_token,
        &mut violations,
    );
    let slot = slot(request.slot.unwrap_or_default(), &mut violations);
    violations.into_result()?;
    Ok((slot, page))
}

pub(super) fn list_blocks(
    request: v1::ListBlocksRequest,
) -> Result<(Option<MerchantId>, AskedPage), ApiError> {
    let mut violations = Violations::default();
    let (page_size, page_token) = (request.page_size, request.page_token.clone());
    let bounded = v1::ListBlocksRequest {
        page_size: 0,
        page_token: String::new(),
        ..request.clone()
    };
    let page = page(
        scope(OperatorRpc::ListBlocks, &bounded),
        page_size,
        &page_token,
        &mut violations,
    );
    let merchant_id = given("merchant_id", request.merchant_id, &mut violations);
    violations.into_result()?;
    Ok((merchant_id.map(Into::into), page))
}

pub(super) fn slot(slot: v1::SlotName, violations: &mut Violations) -> SlotName {
    let v1::SlotName {
        merchant_id,
        service_id,
        start_time,
        duration_sec,
    } = slot;
    required("slot.merchant_id", &merchant_id, violations);
    required("slot.service_id", &service_id, violations);
    let start_sec = if let Some(time) = start_time {
        second("slot.start_time", time, violations)
    } else {
        violations.add("slot.start_time", "is required");
        None
    };
    let duration = SlotDuration::new(Seconds::new(duration_sec));
    if duration.is_none() {
        violations.add("slot.duration_sec", "is not the length of a slot");
    }
    SlotName {
        merchant_id: merchant_id.into(),
        service_id: service_id.into(),
        start_sec: start_sec.unwrap_or_default(),
        duration_sec: duration.filter(|_| duration_sec != 0),
    }
}

/// The scope of the page tokens of a request.
fn scope(rpc: OperatorRpc, request: &impl Message) -> TokenScope {
    TokenScope::of(rpc.name(), request)
}

fn page(
    scope: TokenScope,
    page_size: i32,
    page_token: &str,
    violations: &mut Violations,
) -> AskedPage {
    let most = match usize::try_from(page_size) {
        Ok(0) => PAGE_SIZE,
        Ok(most) if page_size <= MAX_PAGE_SIZE => most,
        Ok(_) | Err(_) => {
            violations.add("page_size", &format!("must be from 0 to {MAX_PAGE_SIZE}"));
            PAGE_SIZE
        }
    };
    let after = (!page_token.is_empty()).then(|| scope.cursor(page_token));
    if after == Some(None) {
        violations.add("page_token", WRONG_TOKEN);
    }
    AskedPage {
        most,
        after: after.flatten(),
        scope,
    }
}

pub(super) fn order_id(name: &str, field: &str, violations: &mut Violations) -> OrderId {
    let id = name.strip_prefix(ORDERS).unwrap_or_default();
    if id.is_empty() || id.contains('/') {
        violations.add(field, "must be `orders/` and the id of an order");
    } else {
        check_length(field, id, violations);
    }
    id.into()
}

fn date(field: &str, text: &str, violations: &mut Violations) -> Option<AskedDay> {
    let day = AskedDay::parse(text).ok();
    if day.is_none() {
        let (first, last) = DATES;
        let rule = format!("must be a date from {first} to {last}, {DAY_WORDS}");
        violations.add(field, &rule);
    }
    day
}

fn second(field: &str, time: Timestamp, violations: &mut Violations) -> Option<EpochSeconds> {
    if time.nanos == 0 {
        return Some(EpochSeconds::new(time.seconds));
    }
    violations.add(field, "must be a whole second");
    None
}

fn required(field: &str, text: &str, violations: &mut Violations) {
    if text.is_empty() {
        violations.add(field, "is required");
    } else {
        check_length(field, text, violations);
    }
}

/// An optional text; `None` if it is empty.
fn given(field: &str, text: String, violations: &mut Violations) -> Option<String> {
    check_length(field, &text, violations);
    (!text.is_empty()).then_some(text)
}

fn check_length(field: &str, text: &str, violations: &mut Violations) {
    if text.len() > MAX_TEXT_BYTES {
        let rule = format!(
            "has {} bytes; at most {MAX_TEXT_BYTES} are taken",
            text.len()
        );
        violations.add(field, &rule);
    }
}
