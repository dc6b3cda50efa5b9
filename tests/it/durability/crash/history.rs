//! The history of the clients' operations, and the anomalies between it and the orders of the server.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice::api::booking::proto::v3::{CreateOrderRequest, LineItem, Order};
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
    /// It was rejected for this reason.
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
    /// An order that no client requested is on record.
    Unrequested { order_id: String },
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
    /// A valid request was rejected.
    Rejected { token: String, reason: String },
    /// Another request under a used token was not rejected with `TOKEN_REUSED`.
    TokenShared { token: String },
    /// A server that was not killed did not answer.
    Unanswered { token: String },
    /// Spots of a pool are missing, or there are too many.
    Spots {
        start_sec: i64,
        sold: i32,
        held: i32,
        open: i32,
        allotment: i32,
    },
    /// The server reported another number of recovered orders.
    Count { reported: usize, listed: usize },
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
            Response::Rejected(reason) => Some(Anomaly::Rejected { token, reason }),
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

    /// The anomaly of a response to another request under this token, which has led to an order.
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

    /// The user of the order.
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

/// Operations since a start of the server, including later requests under the same tokens.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) operations: Vec<Operation>,
    /// Anomalies of the responses.
    pub(super) anomalies: Vec<Anomaly>,
}

impl History {
    pub(super) fn extend(&mut self, other: Self) {
        self.operations.extend(other.operations);
        self.anomalies.extend(other.anomalies);
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

    /// The anomalies of the listed orders. If the outcomes of all tokens are known (`complete`), every listed
    /// order must belong to one of them.
    pub(super) fn compare(&self, listed: &[Order], complete: bool) -> Vec<Anomaly> {
        let mut anomalies = Vec::new();
        let mut on_record = BTreeMap::new();
        for order in listed {
            let order_id = order.order_id.clone();
            if on_record.insert(order_id.clone(), order).is_some() {
                anomalies.push(Anomaly::ListedTwice { order_id });
            }
        }
        let mut unrequested = on_record.clone();
        let mut seen = BTreeSet::new();
        for (operation, order) in self
            .operations
            .iter()
            .filter_map(|operation| Some((operation, operation.order.as_ref()?)))
        {
            let (token, order_id) = (operation.token(), order.order_id.clone());
            unrequested.remove(&order_id);
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
        if complete || unrequested.len() > open {
            anomalies.extend(
                unrequested
                    .into_keys()
                    .map(|order_id| Anomaly::Unrequested { order_id }),
            );
        }
        anomalies
    }

    /// The anomalies of the open spots of the pools, in their order, while these lines are held.
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
fn each_contradictory_response_to_a_token_is_an_anomaly() {
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
            Some(Anomaly::Rejected {
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
fn each_contradictory_list_is_an_anomaly() {
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
            vec![Anomaly::Unrequested { order_id: b_id() }],
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
            anomalies: Vec::new(),
        };
        assert_eq!(history.compare(&listed, true), anomalies);
    }
}
