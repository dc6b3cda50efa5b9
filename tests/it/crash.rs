//! The program is killed in the middle of its work, again and again: what it acknowledged is there
//! afterwards, once, and what it did not sell is for sale.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use boxoffice::wire::proto::v3::{
    CheckOrderFulfillabilityRequest, CreateOrderRequest, ListOrdersRequest, Order,
    booking_service_client::BookingServiceClient,
    create_order_response::Result as Outcome,
    list_orders_request::{Ids, OrderIds},
};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};
use tonic::{Status, transport::Channel};

use crate::{
    process::{Program, Running, in_days, surely},
    support::{Item, order_request, paid_with},
};

const ROUNDS: usize = 10;

/// Orders that are acknowledged in a round before the program is killed.
const ORDERS_PER_ROUND: usize = 100;

/// Who orders, and what payment tokens they use in turn. One of them always has a payment under way.
const CLIENTS: [(&str, &[&str]); 5] = [
    ("free", &[""]),
    ("also-free", &[""]),
    ("paying", &["approve"]),
    ("mixed", &["", "decline", "approve", "3ds1", "error"]),
    ("slow", &["slow"]),
];

/// Days on which there are orders, in two slots each.
const DAYS: i64 = 30;

/// Spots of each of these slots.
const SPOTS: i32 = 50;

/// The price of a ticket.
const ADULT: i64 = 25_000_000;

/// A request of which nobody heard that it failed.
#[derive(Clone)]
struct Asked {
    request: CreateOrderRequest,
    /// The order that answered it, if it was answered.
    acknowledged: Option<Order>,
}

/// Everything that was asked for over all rounds.
#[derive(Default)]
struct Book {
    asked: Vec<Asked>,
    /// How many of them need not be asked for again.
    verified: usize,
}

impl Book {
    fn acknowledged(&self) -> impl Iterator<Item = &Order> {
        self.asked.iter().filter_map(|asked| asked.acknowledged.as_ref())
    }
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_any_number_of_crashes() {
    let dir = TempDir::new().unwrap();
    let mut book = Book::default();
    let mut undone = 0;
    for round in 0..ROUNDS {
        let (mut server, open_payments) = start(dir.path()).await;
        undone += open_payments;
        settled(&mut server, open_payments).await;
        verify(&mut book, &Shop::at(&server).await).await;
        book.verified = book.asked.len();
        trade_until_killed(server, round, &mut book).await;
    }
    let (mut server, open_payments) = start(dir.path()).await;
    settled(&mut server, open_payments).await;
    book.verified = 0;
    verify(&mut book, &Shop::at(&server).await).await;
    assert!(undone + open_payments > 0, "no payment was under way at any of the crashes");
    assert_eq!(server.stop().await.code(), 0);
}

/// Starts the program, and tells how many payments its last run left open.
async fn start(dir: &Path) -> (Running, usize) {
    let mut server = Program::new().keeping(dir).start().await;
    let line = server.line("open for business", |line| line["message"] == "open for business").await;
    let open_payments = line["open_payments"].as_u64().unwrap();
    (server, usize::try_from(open_payments).unwrap())
}

/// Waits until those are undone.
async fn settled(server: &mut Running, open_payments: usize) {
    let is_it = |line: &serde_json::Value| {
        line["message"].as_str().is_some_and(|text| text.contains("left open by the last run is undone"))
    };
    if open_payments > 0 {
        server.nth_line("the end of open payments", open_payments, is_it).await;
    }
}

/// Lets everybody order until enough was acknowledged, and kills the program in the middle of it.
async fn trade_until_killed(server: Running, round: usize, book: &mut Book) {
    let shop = Shop::at(&server).await;
    let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for (name, payment_tokens) in CLIENTS {
        clients.spawn(trade(shop.clone(), round, name, payment_tokens, acknowledge.clone()));
    }
    // Not at the same moment of its work each time.
    for _ in 0..ORDERS_PER_ROUND + 7 * round {
        surely("an order", acknowledged.recv()).await.unwrap();
    }
    server.kill().await;
    while let Some(asked) = surely("the end of a client", clients.join_next()).await {
        book.asked.extend(asked.unwrap());
    }
}

/// Orders one thing after the other until the connection breaks.
async fn trade(
    shop: Shop,
    round: usize,
    name: &'static str,
    payment_tokens: &[&str],
    acknowledge: mpsc::UnboundedSender<()>,
) -> Vec<Asked> {
    let mut all = Vec::new();
    for number in 0.. {
        let request = request(round, name, number, payment_tokens[number % payment_tokens.len()]);
        match shop.create(&request).await {
            Ok(Outcome::Order(order)) => {
                all.push(Asked { request, acknowledged: Some(*order) });
                let _ = acknowledge.send(());
            }
            Ok(Outcome::OrderFailure(_)) => {}
            Err(_) => {
                all.push(Asked { request, acknowledged: None });
                break;
            }
        }
    }
    all
}

fn request(round: usize, name: &str, number: usize, payment_token: &str) -> CreateOrderRequest {
    let mix = round * 31 + number * 7 + name.len();
    let count = 1 + i32::try_from(mix % 4).unwrap();
    let item = slot(i64::try_from(mix).unwrap());
    let item = item.tickets(&[("adult", count)]).price("USD", i64::from(count) * ADULT);
    let mut request = order_request(&format!("{round}-{name}-{number}"), "museum", [item]);
    request.order.as_mut().unwrap().user_information.as_mut().unwrap().user_id = name.into();
    if payment_token.is_empty() { request } else { paid_with(request, payment_token) }
}

/// One of the slots that are used.
fn slot(number: i64) -> Item {
    let hour = if number % 2 == 0 { 10 } else { 14 };
    in_days(Item::of("museum-entry", hour, 0, 7200), 2 + number / 2 % DAYS)
}

/// Fails unless the books agree. Requests without an answer get theirs now.
async fn verify(book: &mut Book, shop: &Shop) {
    let expected: Vec<Order> = book.acknowledged().cloned().collect();
    assert_eq!(shop.by_ids(&expected).await, expected, "by id");
    let on_record = shop.all_orders().await;
    for order in &expected {
        assert_eq!(on_record.get(&order.order_id), Some(order), "by user");
    }
    let asked = book.asked.iter().filter(|asked| asked.acknowledged.is_none()).count();
    assert!(on_record.len() <= expected.len() + asked, "an order that nobody asked for");
    for asked in &mut book.asked[book.verified..] {
        let answer = shop.create(&asked.request).await.unwrap();
        match (answer, &asked.acknowledged) {
            (Outcome::Order(order), Some(before)) => assert_eq!(*order, *before, "the same token"),
            (Outcome::Order(order), None) => asked.acknowledged = Some(*order),
            (Outcome::OrderFailure(failure), Some(before)) => panic!("{failure:?} after {before:?}"),
            (Outcome::OrderFailure(_), None) => {}
        }
    }
    book.asked.retain(|asked| asked.acknowledged.is_some());
    let on_record = shop.all_orders().await;
    let ids: BTreeSet<&String> = book.acknowledged().map(|order| &order.order_id).collect();
    assert_eq!(on_record.keys().collect::<BTreeSet<_>>(), ids, "every order on record was asked for once");
    verify_spots(&on_record, shop).await;
}

/// Fails unless every slot has the spots for sale that were not sold.
async fn verify_spots(on_record: &BTreeMap<String, Order>, shop: &Shop) {
    let mut sold: BTreeMap<i64, i32> = (0..2 * DAYS).map(|number| (slot(number).0.start_sec, 0)).collect();
    for item in on_record.values().flat_map(|order| &order.item) {
        *sold.get_mut(&item.start_sec).unwrap() += item.tickets[0].count;
    }
    for (start_sec, sold) in sold {
        assert_eq!(shop.spots_open(start_sec).await + sold, SPOTS, "at {start_sec}");
    }
}

#[tokio::test]
async fn spots_of_a_payment_that_never_ended_are_free_again_after_a_crash() {
    let dir = TempDir::new().unwrap();
    let server = Program::new().keeping(dir.path()).start().await;
    let shop = Shop::at(&server).await;
    let hanging = request(0, "hanging", 0, "hang");
    let start_sec = hanging.order.as_ref().unwrap().item[0].start_sec;
    let count = hanging.order.as_ref().unwrap().item[0].tickets[0].count;
    let call = tokio::spawn({
        let (shop, hanging) = (shop.clone(), hanging.clone());
        async move { shop.create(&hanging).await }
    });
    surely("a reservation", async { while shop.spots_open(start_sec).await != SPOTS - count {} }).await;
    // Changes are written in turn, so that with this order the intent to charge is on record.
    let other = request(0, "other", 1, "");
    assert!(matches!(shop.create(&other).await.unwrap(), Outcome::Order(_)));
    assert!(!call.is_finished());
    server.kill().await;
    assert!(surely("the end of the call", call).await.unwrap().is_err());

    let (mut server, open_payments) = start(dir.path()).await;
    assert_eq!(open_payments, 1);
    settled(&mut server, open_payments).await;
    let shop = Shop::at(&server).await;
    assert_eq!(shop.spots_open(start_sec).await, SPOTS);
    assert_eq!(shop.all_orders_of("hanging").await, []);

    let again = paid_with(hanging.clone(), "approve");
    assert!(matches!(shop.create(&again).await.unwrap(), Outcome::Order(_)));
    assert_eq!(shop.spots_open(start_sec).await, SPOTS - count);
    server.kill().await;
    let (server, open_payments) = start(dir.path()).await;
    assert_eq!(open_payments, 0);
    assert_eq!(Shop::at(&server).await.spots_open(start_sec).await, SPOTS - count);
    server.stop().await;
}

/// A client of the program.
#[derive(Clone)]
struct Shop(BookingServiceClient<Channel>);

impl Shop {
    async fn at(server: &Running) -> Self {
        let client = BookingServiceClient::new(server.connect().await);
        Self(client.max_decoding_message_size(usize::MAX))
    }

    async fn create(&self, request: &CreateOrderRequest) -> Result<Outcome, Status> {
        let response = self.0.clone().create_order(request.clone()).await?;
        Ok(response.into_inner().result.unwrap())
    }

    async fn list(&self, ids: Ids) -> Vec<Order> {
        self.0.clone().list_orders(ListOrdersRequest { ids: Some(ids) }).await.unwrap().into_inner().order
    }

    /// Those of these orders that are on record.
    async fn by_ids(&self, orders: &[Order]) -> Vec<Order> {
        if orders.is_empty() {
            return Vec::new();
        }
        let order_id = orders.iter().map(|order| order.order_id.clone()).collect();
        self.list(Ids::OrderIds(OrderIds { order_id })).await
    }

    async fn all_orders_of(&self, user_id: &str) -> Vec<Order> {
        self.list(Ids::UserId(user_id.into())).await
    }

    /// Every order on record by its id; one that is listed twice fails the test.
    async fn all_orders(&self) -> BTreeMap<String, Order> {
        let mut all = BTreeMap::new();
        for (name, _) in CLIENTS {
            for order in self.all_orders_of(name).await {
                let listed = all.insert(order.order_id.clone(), order);
                assert_eq!(listed, None, "listed twice");
            }
        }
        all
    }

    async fn spots_open(&self, start_sec: i64) -> i32 {
        let mut item = slot(0).tickets(&[("adult", 1)]).price("USD", ADULT).0;
        item.start_sec = start_sec;
        let request = CheckOrderFulfillabilityRequest {
            merchant_id: "museum".into(),
            item: vec![item],
            cart_id: String::new(),
        };
        let checked = self.0.clone().check_order_fulfillability(request).await.unwrap().into_inner();
        checked.fulfillability.unwrap().item_fulfillability[0].availability.unwrap().spots_open
    }
}
