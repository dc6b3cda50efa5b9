//! The operator's services over REST, and whether what they show adds up: among itself, and with the books of the gateway.

use std::{collections::BTreeSet, net::SocketAddr};

use boxoffice::api::operator::proto::v1::{
    Amount, HistoryEntry, ListHistoryResponse, ListSlotsResponse, ListStepsResponse, Order,
    Payment, Refund, SearchOrdersResponse, Slot,
};
use http::{Method, Request};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tonic::Status;

use super::{
    booked_server::{Books, Plan},
    byte_client::Body,
    process::until,
    rest_client::{self, Answer, post, without_body},
};

/// What does not add up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contradiction {
    /// The amounts of an order are not those of its refunds.
    Amounts { order: String },
    /// The gateway has other amounts of an order than the record.
    Books {
        order: String,
        captured: [i64; 2],
        refunded: [i64; 2],
    },
    /// A slot has not sold what the items take that hold spots of it, or its spots do not add up to its allotment.
    Spots {
        start_sec: i64,
        sold: u32,
        taken: u32,
        left: u32,
    },
    /// Revisions of a history are missing, or a request was decided twice.
    History { order: String },
}

/// The operator's address of a server that may be killed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BackOffice(pub(crate) SocketAddr);

impl BackOffice {
    /// The message at a path.
    pub(crate) async fn read<M: DeserializeOwned>(&self, path: &str) -> M {
        let request = without_body(Method::GET, &format!("/operator/v1/{path}"));
        let answer = rest_client::send(self.0, request).await;
        assert_eq!(answer.http, 200, "{path}: {}", answer.json());
        serde_json::from_value(answer.json()).unwrap()
    }

    /// The same; nothing if the connection is lost.
    pub(crate) async fn try_read<M: DeserializeOwned>(&self, path: &str) -> Option<M> {
        let request = without_body(Method::GET, &format!("/operator/v1/{path}"));
        let answer = self.send(request).await?;
        Some(serde_json::from_value(answer.json()).unwrap())
    }

    pub(crate) async fn order(&self, name: &str) -> Order {
        let answer: Value = self.read(name).await;
        serde_json::from_value(answer["order"].clone()).unwrap()
    }

    /// All orders, newest first.
    pub(crate) async fn orders(&self) -> Vec<Order> {
        let mut orders = Vec::new();
        let mut token = String::new();
        loop {
            let path = format!("orders?page_size=1000&page_token={token}");
            let page: SearchOrdersResponse = self.read(&path).await;
            orders.extend(page.orders);
            token = page.next_page_token;
            if token.is_empty() {
                return orders;
            }
        }
    }

    pub(crate) async fn history(&self, name: &str) -> Vec<HistoryEntry> {
        let path = format!("{name}/history?page_size=1000");
        self.read::<ListHistoryResponse>(&path).await.entries
    }

    /// The slots of a day.
    pub(crate) async fn slots(&self, merchant: &str, date: &str) -> Vec<Slot> {
        let path = format!("slots?merchant_id={merchant}&date={date}&page_size=1000");
        self.read::<ListSlotsResponse>(&path).await.slots
    }

    /// Waits until no work in the outside world is left.
    pub(crate) async fn settle(&self) {
        until("steps with an outcome", async || {
            self.read::<ListStepsResponse>("steps")
                .await
                .steps
                .is_empty()
        })
        .await;
    }

    /// Asks for a change; nothing if the connection is lost.
    pub(crate) async fn change(&self, path: &str, body: &Value) -> Option<Result<Order, Status>> {
        let answer = self.post(path, body).await?;
        if answer.http != 200 {
            return Some(Err(answer.rejection()));
        }
        // A withdrawal answers one order after the other, a line each.
        let line = answer.body.split(|byte| *byte == b'\n').next().unwrap();
        let json: Value = serde_json::from_slice(line).unwrap();
        Some(Ok(serde_json::from_value(json["order"].clone()).unwrap()))
    }

    /// Sends a request with a body; nothing if the connection is lost.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Option<Answer> {
        let path = format!("/operator/v1/{path}");
        self.send(post(&path, body.to_string())).await
    }

    async fn send(&self, request: Request<Body>) -> Option<Answer> {
        let stream = TcpStream::connect(self.0).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        // Its end shows in the call.
        tokio::spawn(connection);
        rest_client::read(sender.send_request(request).await.ok()?)
            .await
            .ok()
    }

    /// What does not add up once nothing is under way, with the slots of some days of a merchant.
    pub(crate) async fn contradictions(
        &self,
        plan: &Plan,
        merchant: &str,
        dates: &[String],
    ) -> Vec<Contradiction> {
        self.settle().await;
        let orders = self.orders().await;
        let mut found = self.wrong_slots(merchant, dates, &orders).await;
        // Only now: the steps have added to them.
        let books = plan.books();
        for order in &orders {
            found.extend(wrong_money(order, &books));
            found.extend(wrong_history(&order.name, &self.history(&order.name).await));
        }
        found
    }

    /// The slots of some days whose spots do not add up, given all orders.
    pub(crate) async fn wrong_slots(
        &self,
        merchant: &str,
        dates: &[String],
        orders: &[Order],
    ) -> Vec<Contradiction> {
        let mut found = Vec::new();
        for date in dates {
            for slot in self.slots(merchant, date).await {
                found.extend(wrong_spots(&slot, orders));
            }
        }
        found
    }
}

/// The micros of an amount; 0 if there is none.
pub(crate) fn micros(amount: Option<&Amount>) -> i64 {
    amount.map_or(0, |amount| amount.micros)
}

/// The id of an order by its name.
pub(crate) fn order_id(name: &str) -> &str {
    name.strip_prefix("orders/").unwrap()
}

/// What was given back of an order.
pub(crate) fn refunded(order: &Order) -> i64 {
    let payment = order.payment.as_ref().unwrap();
    micros(payment.refunded.as_ref())
}

/// The amounts of an order that contradict each other or the books.
pub(crate) fn wrong_money(order: &Order, books: &Books) -> Vec<Contradiction> {
    let payment = order.payment.as_ref().unwrap();
    let (captured, refunded) = (micros(payment.captured.as_ref()), refunded(order));
    let done = order.refunds.iter().filter(|refund| refund.state == "done");
    let done: i64 = done.map(|refund| micros(refund.amount.as_ref())).sum();
    let mut found = Vec::new();
    let is_right = refunded <= captured
        && micros(payment.refundable.as_ref()) == captured - refunded
        && done == refunded;
    if !is_right {
        found.push(Contradiction::Amounts {
            order: order.name.clone(),
        });
    }
    let id = order_id(&order.name);
    let (captured, refunded) = (
        [captured, books.captured(id)],
        [refunded, books.refunded(id)],
    );
    if captured[0] != captured[1] || refunded[0] != refunded[1] {
        found.push(Contradiction::Books {
            order: order.name.clone(),
            captured,
            refunded,
        });
    }
    found
}

fn wrong_spots(slot: &Slot, orders: &[Order]) -> Option<Contradiction> {
    let name = slot.name.as_ref().unwrap();
    let items = orders.iter().flat_map(|order| &order.items);
    let items = items.filter(|item| {
        item.holds_spots
            && item.service_id == name.service_id
            && item.start_time == name.start_time
            && item.duration_sec == name.duration_sec
    });
    let tickets = items.flat_map(|item| &item.tickets);
    let taken: u32 = tickets.map(|tickets| tickets.count).sum();
    let is_right =
        slot.sold == taken && slot.allotment == taken + slot.held + slot.blocked + slot.left;
    (!is_right).then(|| Contradiction::Spots {
        start_sec: name.start_time.as_ref().unwrap().seconds,
        sold: slot.sold,
        taken,
        left: slot.left,
    })
}

/// A history, newest first, that lacks a revision or has a request twice.
pub(crate) fn wrong_history(name: &str, history: &[HistoryEntry]) -> Option<Contradiction> {
    let revisions = history.iter().rev().map(|entry| entry.revision);
    let requests = history.iter().map(|entry| entry.request_id.as_str());
    let mut known = BTreeSet::new();
    let is_whole = revisions.eq(0..u32::try_from(history.len()).unwrap())
        && requests
            .filter(|id| !id.is_empty())
            .all(|id| known.insert(id));
    (!is_whole).then(|| Contradiction::History { order: name.into() })
}

#[test]
fn each_way_not_to_add_up_is_found() {
    let amount = |micros| {
        Some(Amount {
            micros,
            currency_code: "USD".into(),
        })
    };
    let order = |refunded, refundable, done| Order {
        name: "orders/A".into(),
        payment: Some(Payment {
            captured: amount(9),
            refunded: amount(refunded),
            refundable: amount(refundable),
            ..Payment::default()
        }),
        refunds: vec![Refund {
            state: "done".into(),
            amount: amount(done),
            ..Refund::default()
        }],
        ..Order::default()
    };
    let books = |entries: &str| Books::read(&format!("charge A-1 9\n{entries}"));
    let (amounts, elsewhere) = (
        Contradiction::Amounts {
            order: "orders/A".into(),
        },
        |refunded| Contradiction::Books {
            order: "orders/A".into(),
            captured: [9, 9],
            refunded,
        },
    );
    let given = "refund k A-1 4\n";
    for (order, entries, expected) in [
        (order(4, 5, 4), given, vec![]),
        (order(4, 6, 4), given, vec![amounts.clone()]),
        (order(4, 5, 3), given, vec![amounts]),
        (order(4, 5, 4), "", vec![elsewhere([4, 0])]),
        (
            order(4, 5, 4),
            "refund k A-1 4\nrefund k A-1 4\n",
            vec![elsewhere([4, 8])],
        ),
        // Of another order whose id begins in the same way.
        (order(4, 5, 4), "refund k A-1 4\nrefund l AB-1 4\n", vec![]),
    ] {
        assert_eq!(wrong_money(&order, &books(entries)), expected, "{entries}");
    }
    let entry = |revision, request: &str| HistoryEntry {
        revision,
        request_id: request.into(),
        ..HistoryEntry::default()
    };
    for (history, is_right) in [
        (vec![entry(1, "a"), entry(0, "")], true),
        (vec![entry(2, ""), entry(1, "a"), entry(0, "")], true),
        (vec![entry(2, "a"), entry(0, "")], false),
        (vec![entry(2, "a"), entry(1, "a"), entry(0, "")], false),
    ] {
        let found = wrong_history("orders/A", &history);
        assert_eq!(found.is_none(), is_right, "{history:?}");
    }
}
