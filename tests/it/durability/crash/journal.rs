//! What clients asked for and what they heard, and how it can disagree with what the server has.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice::wire::proto::v3::{CreateOrderRequest, LineItem, Order};
use bytes::Bytes;

use super::fair::Pool;
use crate::support::{Item, Transport, order_request};

/// The refusal of another request under a used token.
const TOKEN_REUSED: &str = "TOKEN_REUSED";

/// What came of sending an order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// An order, and the answer as it came through this transport.
    Order(Box<(Order, Transport, Bytes)>),
    /// It failed; nothing was created.
    Failure,
    /// It was refused for this reason.
    Refusal(String),
    /// The connection was lost.
    Nothing,
}

/// Something that cannot be if every promise is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
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

/// All that was sent under one token.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) request: CreateOrderRequest,
    /// The order that answered it, if one did.
    pub(super) order: Option<Order>,
    /// That answer, by the transports that it came through.
    answers: Vec<(Transport, Bytes)>,
    /// Whether an outcome is unknown.
    pub(super) is_open: bool,
}

impl Entry {
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

    /// Notes what was heard, and says what is wrong with it.
    pub(super) fn hear(&mut self, heard: Heard) -> Option<Fault> {
        let token = self.token();
        match heard {
            Heard::Order(answer) => {
                let (order, transport, bytes) = *answer;
                let known = self.order.get_or_insert_with(|| order.clone());
                if *known != order {
                    return Some(Fault::OtherOrder { token });
                }
                self.is_open = false;
                self.hear_bytes(transport, bytes)
            }
            Heard::Failure if self.order.is_some() => Some(Fault::Forgotten { token }),
            Heard::Failure => None,
            Heard::Refusal(reason) => Some(Fault::Refused { token, reason }),
            Heard::Nothing => {
                self.is_open |= self.order.is_none();
                None
            }
        }
    }

    fn hear_bytes(&mut self, transport: Transport, bytes: Bytes) -> Option<Fault> {
        if let Some((_, known)) = self.answers.iter().find(|(known, _)| *known == transport) {
            return (*known != bytes).then(|| Fault::OtherBytes {
                token: self.token(),
            });
        }
        self.answers.push((transport, bytes));
        None
    }

    /// What is wrong with the answer to another request under this token, which has led to an order.
    pub(super) fn hear_of_another(&self, heard: &Heard) -> Option<Fault> {
        let is_right = *heard == Heard::Nothing || *heard == Heard::Refusal(TOKEN_REUSED.into());
        (!is_right).then(|| Fault::TokenShared {
            token: self.token(),
        })
    }

    /// Notes what two who sent the same at once heard. A copy that failed may have come first.
    pub(super) fn hear_both(&mut self, mut heard: [Heard; 2]) -> Vec<Fault> {
        heard.sort_by_key(|heard| matches!(heard, Heard::Order(_)));
        heard
            .into_iter()
            .filter_map(|heard| self.hear(heard))
            .collect()
    }

    /// The transport through which it was first answered with an order.
    pub(super) fn transport(&self) -> Option<Transport> {
        self.answers.first().map(|(transport, _)| *transport)
    }

    /// Who orders.
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

/// What clients did since the server was started, with everything under the same tokens later on.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    pub(super) entries: Vec<Entry>,
    /// What was wrong with answers.
    pub(super) faults: Vec<Fault>,
}

impl Journal {
    pub(super) fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.faults.extend(other.faults);
    }

    pub(super) fn orders(&self) -> impl Iterator<Item = &Order> {
        self.entries.iter().filter_map(|entry| entry.order.as_ref())
    }

    pub(super) fn user_ids(&self) -> BTreeSet<String> {
        self.entries
            .iter()
            .map(|entry| entry.user_id().to_owned())
            .collect()
    }

    /// How the orders on record, as they are listed, disagree with those acknowledged. What is on
    /// record must belong to these tokens, if they are all `settled`.
    pub(super) fn compare(&self, listed: &[Order], settled: bool) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut on_record = BTreeMap::new();
        for order in listed {
            let order_id = order.order_id.clone();
            if on_record.insert(order_id.clone(), order).is_some() {
                faults.push(Fault::ListedTwice { order_id });
            }
        }
        let mut unasked = on_record.clone();
        let mut seen = BTreeSet::new();
        for (entry, order) in self
            .entries
            .iter()
            .filter_map(|entry| Some((entry, entry.order.as_ref()?)))
        {
            let (token, order_id) = (entry.token(), order.order_id.clone());
            unasked.remove(&order_id);
            match on_record.get(&order_id) {
                None => faults.push(Fault::Lost { token }),
                Some(on_record) if **on_record != *order => faults.push(Fault::Altered { token }),
                Some(_) => {}
            }
            if !seen.insert(order_id.clone()) {
                faults.push(Fault::Shared { order_id });
            }
        }
        let open = self.entries.iter().filter(|entry| entry.is_open).count();
        if settled || unasked.len() > open {
            faults.extend(
                unasked
                    .into_keys()
                    .map(|order_id| Fault::Unasked { order_id }),
            );
        }
        faults
    }

    /// What is wrong with the spots that are open in the pools, in their order, while these lines
    /// are held.
    pub(super) fn count(&self, pools: &[Pool], held: &[LineItem], open: &[i32]) -> Vec<Fault> {
        let fault = |(pool, &open): (&Pool, &i32)| {
            let (start_sec, allotment) = (pool.start_sec, pool.allotment);
            let sold = pool.drawn(self.orders().flat_map(|order| &order.item));
            let held = pool.drawn(held);
            (sold + held + open != allotment).then_some(Fault::Spots {
                start_sec,
                sold,
                held,
                open,
                allotment,
            })
        };
        assert_eq!(pools.len(), open.len());
        pools.iter().zip(open).filter_map(fault).collect()
    }
}

fn ordered(token: &str, order_id: &str) -> (Entry, Order) {
    let request = order_request(
        token,
        "museum",
        [Item::museum_entry().tickets(&[("adult", 1)])],
    );
    let order = Order {
        order_id: order_id.into(),
        ..*request.order.clone().unwrap()
    };
    let mut entry = Entry::new(request);
    assert_eq!(entry.hear(answer(&order, b"answer")), None);
    (entry, order)
}

fn answer(order: &Order, bytes: &'static [u8]) -> Heard {
    Heard::Order(Box::new((
        order.clone(),
        Transport::Grpc,
        Bytes::from_static(bytes),
    )))
}

#[test]
fn each_way_to_answer_a_token_otherwise_is_a_fault() {
    let (entry, order) = ordered("t", "a");
    let other = Order {
        order_id: "b".into(),
        ..order.clone()
    };
    let token = || "t".to_owned();
    for (heard, fault) in [
        (answer(&order, b"answer"), None),
        (
            answer(&order, b"other"),
            Some(Fault::OtherBytes { token: token() }),
        ),
        (
            answer(&other, b"answer"),
            Some(Fault::OtherOrder { token: token() }),
        ),
        (Heard::Failure, Some(Fault::Forgotten { token: token() })),
        (
            Heard::Refusal("X".into()),
            Some(Fault::Refused {
                token: token(),
                reason: "X".into(),
            }),
        ),
        (Heard::Nothing, None),
    ] {
        assert_eq!(entry.clone().hear(heard.clone()), fault, "{heard:?}");
    }
    let both = [answer(&order, b"answer"), Heard::Failure];
    assert_eq!(Entry::new(entry.request.clone()).hear_both(both), []);
    for (heard, fault) in [
        (Heard::Refusal("TOKEN_REUSED".into()), None),
        (
            Heard::Refusal("X".into()),
            Some(Fault::TokenShared { token: token() }),
        ),
        (
            answer(&other, b"answer"),
            Some(Fault::TokenShared { token: token() }),
        ),
        (Heard::Failure, Some(Fault::TokenShared { token: token() })),
    ] {
        assert_eq!(entry.hear_of_another(&heard), fault, "{heard:?}");
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
    for (entries, listed, faults) in [
        (all.clone(), vec![&a, &b], vec![]),
        (all.clone(), vec![&b], vec![Fault::Lost { token: token() }]),
        (
            all.clone(),
            vec![&altered, &b],
            vec![Fault::Altered { token: token() }],
        ),
        (
            all.clone(),
            vec![&a, &a, &b],
            vec![Fault::ListedTwice { order_id: a_id() }],
        ),
        (
            all[..1].to_vec(),
            vec![&a, &b],
            vec![Fault::Unasked { order_id: b_id() }],
        ),
        (
            [&all[..], &[same]].concat(),
            vec![&a, &b],
            vec![Fault::Shared { order_id: b_id() }],
        ),
    ] {
        let listed: Vec<Order> = listed.into_iter().cloned().collect();
        let journal = Journal {
            entries,
            faults: Vec::new(),
        };
        assert_eq!(journal.compare(&listed, true), faults);
    }
}
