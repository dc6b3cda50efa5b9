//! The history of the clients' operations, and the anomalies between it and the orders of the server.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice::api::booking::proto::v3::{
    CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse, CreateOrderRequest,
    LineItem, Order,
};
use bytes::Bytes;

use super::workload::Pool;
use crate::support::{Item, Transport, order_request};

/// The rejection of another request under a used token.
const TOKEN_REUSED: &str = "TOKEN_REUSED";

/// The response to CreateOrder.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Response {
    /// An order, and the answer as it came through this transport.
    Order(Box<(Order, Transport, Bytes)>),
    /// It failed; nothing was created.
    Failure,
    /// It was refused for this reason.
    Rejected(String),
    /// The connection was lost.
    Lost,
}

/// An observation that contradicts a promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Anomaly {
    /// An acknowledged order is not on record.
    Lost { token: String },
    /// An order on record is not as it was acknowledged.
    Altered { token: String },
    /// An order that nobody asked for is on record.
    Unasked { order_id: String },
    /// An order is listed twice.
    ListedTwice { order_id: String },
    /// Two tokens have led to one order.
    Shared { order_id: String },
    /// A token that led to an order was answered with another one.
    OtherOrder { token: String },
    /// It was answered with the same order in other bytes.
    OtherBytes { token: String },
    /// It was answered with a failure.
    Forgotten { token: String },
    /// A request was refused that should not have been.
    Refused { token: String, reason: String },
    /// Another request under a used token was not refused as such.
    TokenShared { token: String },
    /// Nothing was answered by a server that nobody killed.
    Unanswered { token: String },
    /// A cart does not hold what it was promised, holds it beyond its end, or holds a part of what it asked for.
    Hold { token: String },
    /// Spots of a pool are missing, or there are too many.
    Spots {
        start_sec: i64,
        sold: i32,
        held: i32,
        open: i32,
        allotment: i32,
    },
    /// The server says that it found another number of orders.
    Count { said: usize, listed: usize },
}

/// The requests under one token and their responses.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) request: CreateOrderRequest,
    /// The order that answered it, if one did.
    pub(super) order: Option<Order>,
    /// That answer, by the transports that it came through.
    answers: Vec<(Transport, Bytes)>,
    /// Whether an outcome is unknown.
    pub(super) is_open: bool,
}

impl Operation {
    pub(super) fn new(request: CreateOrderRequest) -> Self {
        Self {
            request,
            order: None,
            answers: Vec::new(),
            is_open: false,
        }
    }

    pub(super) fn token(&self) -> String {
        self.request.idempotency_token.clone()
    }

    /// Records a response; an anomaly if it contradicts earlier ones.
    pub(super) fn record(&mut self, response: Response) -> Option<Anomaly> {
        let token = self.token();
        match response {
            Response::Order(answer) => {
                let (order, transport, bytes) = *answer;
                let known = self.order.get_or_insert_with(|| order.clone());
                if *known != order {
                    return Some(Anomaly::OtherOrder { token });
                }
                self.is_open = false;
                self.record_bytes(transport, bytes)
            }
            Response::Failure if self.order.is_some() => Some(Anomaly::Forgotten { token }),
            Response::Failure => None,
            Response::Rejected(reason) => Some(Anomaly::Refused { token, reason }),
            Response::Lost => {
                self.is_open |= self.order.is_none();
                None
            }
        }
    }

    fn record_bytes(&mut self, transport: Transport, bytes: Bytes) -> Option<Anomaly> {
        if let Some((_, known)) = self.answers.iter().find(|(known, _)| *known == transport) {
            return (*known != bytes).then(|| Anomaly::OtherBytes {
                token: self.token(),
            });
        }
        self.answers.push((transport, bytes));
        None
    }

    /// What is wrong with the answer to another request under this token, which has led to an order.
    pub(super) fn check_other_request(&self, response: &Response) -> Option<Anomaly> {
        let is_right =
            *response == Response::Lost || *response == Response::Rejected(TOKEN_REUSED.into());
        (!is_right).then(|| Anomaly::TokenShared {
            token: self.token(),
        })
    }

    /// Records the responses of two concurrent identical requests. The failed one may have come first.
    pub(super) fn record_both(&mut self, mut response: [Response; 2]) -> Vec<Anomaly> {
        response.sort_by_key(|response| matches!(response, Response::Order(_)));
        response
            .into_iter()
            .filter_map(|response| self.record(response))
            .collect()
    }

    /// The transport through which it was first answered with an order.
    pub(super) fn transport(&self) -> Option<Transport> {
        self.answers.first().map(|(transport, _)| *transport)
    }

    /// The user who orders.
    pub(super) fn user_id(&self) -> &str {
        &self
            .request
            .order
            .as_ref()
            .unwrap()
            .user_information
            .as_ref()
            .unwrap()
            .user_id
    }
}

/// What is known of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldPromise {
    /// It was promised, and lasts.
    Lasts,
    /// It was promised, and is over.
    IsOver,
    /// It was not answered, or its end cannot be foreseen.
    Unknown,
}

/// A cart that holds its spots, or may do so.
#[derive(Debug, Clone)]
pub(super) struct HeldCart {
    pub(super) cart: CheckOrderFulfillabilityRequest,
    pub(super) promise: HoldPromise,
    /// The second at which it ends, if it was promised.
    pub(super) expires_sec: i64,
}

/// Operations since a start of the server, including later requests under the same tokens.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) operations: Vec<Operation>,
    pub(super) holds: Vec<HeldCart>,
    /// What was wrong with answers.
    pub(super) anomalies: Vec<Anomaly>,
}

impl History {
    pub(super) fn extend(&mut self, other: Self) {
        self.operations.extend(other.operations);
        self.holds.extend(other.holds);
        self.anomalies.extend(other.anomalies);
    }

    /// Notes how a check of a cart was answered, if it was.
    pub(super) fn note_hold(
        &mut self,
        cart: CheckOrderFulfillabilityRequest,
        checked: Option<&CheckOrderFulfillabilityResponse>,
    ) {
        let expires_sec = checked.map_or(0, |checked| checked.cart_expiration_sec);
        let promise = match checked {
            Some(_) if expires_sec > 0 => HoldPromise::Lasts,
            // Where the answer says that nothing is held, nothing is.
            Some(_) => return,
            None => HoldPromise::Unknown,
        };
        self.holds.push(HeldCart {
            cart,
            promise,
            expires_sec,
        });
    }

    /// The holds that no order has consumed.
    pub(super) fn standing_holds(&self) -> Vec<HeldCart> {
        let ordered = self.operations.iter().filter(|it| it.order.is_some());
        let ordered: BTreeSet<String> = ordered.map(Operation::token).collect();
        let mut holds = self.holds.clone();
        holds.retain(|held| !ordered.contains(&held.cart.cart_id));
        holds
    }

    pub(super) fn orders(&self) -> impl Iterator<Item = &Order> {
        self.operations
            .iter()
            .filter_map(|operation| operation.order.as_ref())
    }

    pub(super) fn user_ids(&self) -> BTreeSet<String> {
        self.operations
            .iter()
            .map(|operation| operation.user_id().to_owned())
            .collect()
    }

    /// How the orders on record, as they are listed, disagree with those acknowledged. What is on
    /// record must belong to these tokens, if they are all `settled`.
    pub(super) fn compare(&self, listed: &[Order], settled: bool) -> Vec<Anomaly> {
        let mut anomalies = Vec::new();
        let mut on_record = BTreeMap::new();
        for order in listed {
            let order_id = order.order_id.clone();
            if on_record.insert(order_id.clone(), order).is_some() {
                anomalies.push(Anomaly::ListedTwice { order_id });
            }
        }
        let mut unasked = on_record.clone();
        let mut seen = BTreeSet::new();
        for (operation, order) in self
            .operations
            .iter()
            .filter_map(|operation| Some((operation, operation.order.as_ref()?)))
        {
            let (token, order_id) = (operation.token(), order.order_id.clone());
            unasked.remove(&order_id);
            match on_record.get(&order_id) {
                None => anomalies.push(Anomaly::Lost { token }),
                Some(on_record) if **on_record != *order => {
                    anomalies.push(Anomaly::Altered { token });
                }
                Some(_) => {}
            }
            if !seen.insert(order_id.clone()) {
                anomalies.push(Anomaly::Shared { order_id });
            }
        }
        let open = self
            .operations
            .iter()
            .filter(|operation| operation.is_open)
            .count();
        if settled || unasked.len() > open {
            anomalies.extend(
                unasked
                    .into_keys()
                    .map(|order_id| Anomaly::Unasked { order_id }),
            );
        }
        anomalies
    }

    /// What is wrong with the spots that are open in the pools, in their order, while these lines
    /// are held.
    pub(super) fn count(&self, pools: &[Pool], held: &[LineItem], open: &[i32]) -> Vec<Anomaly> {
        let anomaly = |(pool, &open): (&Pool, &i32)| {
            let (start_sec, allotment) = (pool.start_sec, pool.allotment);
            let sold = pool.drawn(self.orders().flat_map(|order| &order.item));
            let held = pool.drawn(held);
            (sold + held + open != allotment).then_some(Anomaly::Spots {
                start_sec,
                sold,
                held,
                open,
                allotment,
            })
        };
        assert_eq!(pools.len(), open.len());
        pools.iter().zip(open).filter_map(anomaly).collect()
    }
}

fn ordered(token: &str, order_id: &str) -> (Operation, Order) {
    let request = order_request(
        token,
        "museum",
        [Item::museum_entry().tickets(&[("adult", 1)])],
    );
    let order = Order {
        order_id: order_id.into(),
        ..*request.order.clone().unwrap()
    };
    let mut operation = Operation::new(request);
    assert_eq!(operation.record(answer(&order, b"answer")), None);
    (operation, order)
}

fn answer(order: &Order, bytes: &'static [u8]) -> Response {
    Response::Order(Box::new((
        order.clone(),
        Transport::Grpc,
        Bytes::from_static(bytes),
    )))
}

#[test]
fn each_way_to_answer_a_token_otherwise_is_a_fault() {
    let (operation, order) = ordered("t", "a");
    let other = Order {
        order_id: "b".into(),
        ..order.clone()
    };
    let token = || "t".to_owned();
    for (response, anomaly) in [
        (answer(&order, b"answer"), None),
        (
            answer(&order, b"other"),
            Some(Anomaly::OtherBytes { token: token() }),
        ),
        (
            answer(&other, b"answer"),
            Some(Anomaly::OtherOrder { token: token() }),
        ),
        (
            Response::Failure,
            Some(Anomaly::Forgotten { token: token() }),
        ),
        (
            Response::Rejected("X".into()),
            Some(Anomaly::Refused {
                token: token(),
                reason: "X".into(),
            }),
        ),
        (Response::Lost, None),
    ] {
        assert_eq!(
            operation.clone().record(response.clone()),
            anomaly,
            "{response:?}"
        );
    }
    let both = [answer(&order, b"answer"), Response::Failure];
    assert_eq!(
        Operation::new(operation.request.clone()).record_both(both),
        []
    );
    for (response, anomaly) in [
        (Response::Rejected("TOKEN_REUSED".into()), None),
        (
            Response::Rejected("X".into()),
            Some(Anomaly::TokenShared { token: token() }),
        ),
        (
            answer(&other, b"answer"),
            Some(Anomaly::TokenShared { token: token() }),
        ),
        (
            Response::Failure,
            Some(Anomaly::TokenShared { token: token() }),
        ),
    ] {
        assert_eq!(
            operation.check_other_request(&response),
            anomaly,
            "{response:?}"
        );
    }
}

#[test]
fn each_way_to_list_otherwise_is_a_fault() {
    let ((one, a), (two, b)) = (ordered("one", "a"), ordered("two", "b"));
    let (same, _) = ordered("three", "b");
    let altered = Order {
        merchant_id: "other".into(),
        ..a.clone()
    };
    let all = vec![one, two];
    let (a_id, b_id) = (|| "a".to_owned(), || "b".to_owned());
    let token = || "one".to_owned();
    for (operations, listed, anomalies) in [
        (all.clone(), vec![&a, &b], vec![]),
        (
            all.clone(),
            vec![&b],
            vec![Anomaly::Lost { token: token() }],
        ),
        (
            all.clone(),
            vec![&altered, &b],
            vec![Anomaly::Altered { token: token() }],
        ),
        (
            all.clone(),
            vec![&a, &a, &b],
            vec![Anomaly::ListedTwice { order_id: a_id() }],
        ),
        (
            all[..1].to_vec(),
            vec![&a, &b],
            vec![Anomaly::Unasked { order_id: b_id() }],
        ),
        (
            [&all[..], &[same]].concat(),
            vec![&a, &b],
            vec![Anomaly::Shared { order_id: b_id() }],
        ),
    ] {
        let listed: Vec<Order> = listed.into_iter().cloned().collect();
        let history = History {
            operations,
            ..History::default()
        };
        assert_eq!(history.compare(&listed, true), anomalies);
    }
}
