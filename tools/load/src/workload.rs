//! The calls and the check of their answers. A call follows from its number alone, so a run can be
//! repeated.

use crate::proto::{
    CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse, CreateOrderRequest,
    CreateOrderResponse, LineItem, ListOrdersRequest, ListOrdersResponse, Order,
    PaymentProcessingParameters, Price, UserInformation,
    booking_service_client::BookingServiceClient, create_order_response::Result as Created,
    line_item::OrderedTickets, list_orders_request::Ids,
    order_fulfillability::OrderFulfillabilityResult as Verdict,
    payment_information::PaymentProcessedBy,
};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::catalog::{DURATION_SEC, PRICE_MICROS, start_sec};

/// Which method is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Check,
    Create,
    /// A creation that the server charges.
    Buy,
    List,
    /// 80 % checks, 15 % creations, 5 % lists.
    Mixed,
}

impl CallKind {
    const NAMES: [(&str, Self); 5] = [
        ("check", Self::Check),
        ("create", Self::Create),
        ("buy", Self::Buy),
        ("list", Self::List),
        ("mixed", Self::Mixed),
    ];

    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|&(_, call)| call)
            .ok_or_else(|| "expected check, create, buy, list or mixed".to_owned())
    }

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|&&(_, call)| call == self)
            .map_or("", |(name, _)| name)
    }
}

/// The result of a call, by the text of its answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Success(&'static str),
    Rejected(String),
}

/// The answer with an order.
pub(crate) const CREATED: &str = "created";

/// Calls by their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) call: CallKind,
    /// The slots that calls are spread over.
    pub(crate) slots: u64,
    /// How many calls of a hundred are for the first of them.
    pub(crate) hot_percent: u64,
    pub(crate) orders_per_user: u64,
    /// The number of the first call.
    pub(crate) first: u64,
    /// Tells the tokens and users of one run from those of another.
    pub(crate) run: String,
    /// Who calls, if that is said.
    pub(crate) authorization: Option<Authorization>,
}

/// A value of `authorization`.
pub(crate) type Authorization = MetadataValue<Ascii>;

impl Workload {
    /// Makes a call and reads its answer.
    pub(crate) async fn make(
        &self,
        number: u64,
        client: &mut BookingServiceClient<Channel>,
    ) -> Outcome {
        let number = self.first + number;
        let mut chance = fastrand::Rng::with_seed(number);
        let answer = match self.kind(&mut chance) {
            CallKind::Check => {
                let request = self.request(cart(self.slot(&mut chance)));
                client
                    .check_order_fulfillability(request)
                    .await
                    .map(Response::into_inner)
                    .map(checked)
            }
            CallKind::List => {
                let request = self.request(self.orders_of(number));
                client
                    .list_orders(request)
                    .await
                    .map(|response| listed(response.get_ref()))
            }
            kind @ (CallKind::Create | CallKind::Buy | CallKind::Mixed) => {
                let mut order = self.order(number, self.slot(&mut chance));
                if kind == CallKind::Buy {
                    charge(&mut order);
                }
                let request = self.request(order);
                client
                    .create_order(request)
                    .await
                    .map(Response::into_inner)
                    .map(created)
            }
        };
        answer.unwrap_or_else(|rejection| rejected(&rejection))
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request
                .metadata_mut()
                .insert("authorization", authorization.clone());
        }
        request
    }

    fn kind(&self, chance: &mut fastrand::Rng) -> CallKind {
        match self.call {
            CallKind::Mixed => match chance.u64(0..100) {
                0..80 => CallKind::Check,
                80..95 => CallKind::Create,
                _ => CallKind::List,
            },
            call @ (CallKind::Check | CallKind::Create | CallKind::Buy | CallKind::List) => call,
        }
    }

    fn slot(&self, chance: &mut fastrand::Rng) -> u64 {
        if chance.u64(0..100) < self.hot_percent {
            0
        } else {
            chance.u64(0..self.slots)
        }
    }

    fn user(&self, number: u64) -> String {
        format!("user-{}-{}", self.run, number / self.orders_per_user)
    }

    fn order(&self, number: u64, slot: u64) -> CreateOrderRequest {
        let user_information = UserInformation {
            user_id: self.user(number),
            given_name: "Grace".into(),
            family_name: "Hopper".into(),
            email: "grace@example.com".into(),
            ..UserInformation::default()
        };
        let order = Order {
            order_id: String::new(),
            user_information: Some(user_information),
            payment_information: None,
            merchant_id: "m".into(),
            item: vec![item(slot)],
        };
        CreateOrderRequest {
            idempotency_token: format!("load-{}-{number}", self.run),
            payment_processing_parameters: None,
            order: Some(Box::new(order)),
        }
    }

    fn orders_of(&self, number: u64) -> ListOrdersRequest {
        ListOrdersRequest {
            ids: Some(Ids::UserId(self.user(number))),
        }
    }
}

/// Has the server charge for an order.
fn charge(request: &mut CreateOrderRequest) {
    request.payment_processing_parameters = Some(PaymentProcessingParameters {
        unparsed_payment_method_token: "approve".into(),
        ..PaymentProcessingParameters::default()
    });
    if let Some(order) = &mut request.order {
        let payment = order.payment_information.get_or_insert_default();
        payment.payment_processed_by = PaymentProcessedBy::ProcessedByPartner.into();
    }
}

fn cart(slot: u64) -> CheckOrderFulfillabilityRequest {
    CheckOrderFulfillabilityRequest {
        merchant_id: "m".into(),
        item: vec![item(slot)],
        cart_id: String::new(),
    }
}

fn item(slot: u64) -> LineItem {
    LineItem {
        service_id: "s".into(),
        start_sec: start_sec(slot),
        duration_sec: DURATION_SEC,
        tickets: vec![OrderedTickets {
            ticket_id: "t".into(),
            count: 1,
        }],
        price: Some(Price {
            price_micros: PRICE_MICROS,
            currency_code: "USD".into(),
            ..Price::default()
        }),
        ..LineItem::default()
    }
}

fn checked(response: CheckOrderFulfillabilityResponse) -> Outcome {
    match response.fulfillability {
        None => Outcome::Rejected("no verdict".to_owned()),
        Some(verdict)
            if verdict.result() == Verdict::CanFulfill
                && verdict.item_fulfillability.len() == 1 =>
        {
            Outcome::Success("can be fulfilled")
        }
        Some(verdict) => Outcome::Rejected(verdict.result().as_str_name().to_owned()),
    }
}

fn created(response: CreateOrderResponse) -> Outcome {
    match response.result {
        Some(Created::Order(order)) if !order.order_id.is_empty() => Outcome::Success(CREATED),
        Some(Created::OrderFailure(failure)) => {
            Outcome::Rejected(failure.cause().as_str_name().to_owned())
        }
        Some(Created::Order(_)) | None => Outcome::Rejected("no order".to_owned()),
    }
}

/// A user without orders is valid: the order may come later in the run.
fn listed(response: &ListOrdersResponse) -> Outcome {
    Outcome::Success(if response.order.is_empty() {
        "listed none"
    } else {
        "listed orders"
    })
}

fn rejected(rejection: &Status) -> Outcome {
    Outcome::Rejected(format!("{:?}: {}", rejection.code(), rejection.message()))
}
