use std::fs::{self, OpenOptions};

use tempfile::TempDir;

use super::*;
use crate::{
    domain::{
        money::{Currency, Money},
        order::Customer,
    },
    store::{PaymentAttempt, PaymentIntent, PaymentOutcome, PlacedOrder, PriceEntry},
};

const PLENTY: usize = 1 << 20;

fn open(dir: &TempDir) -> EmbeddedStore {
    EmbeddedStore::open(dir.path(), 64).unwrap()
}

fn refusal(dir: &TempDir) -> String {
    EmbeddedStore::open(dir.path(), 64).unwrap_err().to_string()
}

fn dollars(micros: i64) -> Money {
    Money::from_micros(micros, Currency::from_code("USD").unwrap())
}

fn claim(count: u32) -> NamedClaim {
    NamedClaim {
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        start_sec: 1_800_000_000,
        duration_sec: 3600,
        ticket_id: Some("adult".into()),
        count,
    }
}

fn placed(store: &dyn Store, token: &str, user_id: &str) -> PlacedOrder {
    PlacedOrder {
        token: token.into(),
        fingerprint: [7; 32],
        created_sec: 1_700_000_000,
        order: Box::new(Order {
            id: store.order_id(token),
            merchant_id: "museum".into(),
            customer: Customer { user_id: user_id.into(), ..Customer::default() },
            payment: None,
            items: Vec::new(),
        }),
        claims: vec![claim(2)],
        payment: None,
    }
}

fn intent(token: &str) -> PaymentIntent {
    PaymentIntent {
        token: token.into(),
        attempt: 1,
        amount: dollars(1),
        started_sec: 1,
        claims: vec![claim(1)],
    }
}

fn ended(token: &str, outcome: PaymentOutcome) -> PaymentAttempt {
    PaymentAttempt { intent: intent(token), outcome, transaction_id: "tx".into(), finished_sec: 2 }
}

async fn order(store: &dyn Store, token: &str, user_id: &str) {
    store.commit(Change::Order(Arc::new(placed(store, token, user_id)))).await.unwrap();
}

fn listed(store: &dyn Store, selection: &Selection) -> Vec<OrderId> {
    store.list(selection, PLENTY).unwrap().into_iter().map(|order| order.id).collect()
}

fn recovered(store: &dyn Store) -> (Recovered, u32) {
    let mut spots = 0;
    let recovered = store.recover(&mut |claims| spots += claims.iter().map(|claim| claim.count).sum::<u32>());
    (recovered.unwrap(), spots)
}

#[tokio::test]
async fn an_order_its_token_and_its_place_in_the_list_are_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for token in ["a", "b", "c"] {
        order(&store, token, "ada").await;
    }
    order(&store, "d", "bob").await;
    let ids = |store: &EmbeddedStore, tokens: &[&str]| -> Vec<OrderId> {
        tokens.iter().map(|token| store.order_id(token)).collect()
    };
    let expected = ids(&store, &["c", "b", "a"]);
    drop(store);
    let store = open(&dir);
    assert_eq!(listed(&store, &Selection::User("ada".into())), expected, "newest first, under the same ids");
    assert_eq!(store.by_token("d").unwrap().unwrap().fingerprint, [7; 32]);
    assert_eq!(store.by_token("e").unwrap(), None);
    let (recovered, spots) = recovered(&store);
    assert_eq!((recovered.orders, spots), (4, 8));
    order(&store, "e", "ada").await;
    assert_eq!(listed(&store, &Selection::User("ada".into()))[0], store.order_id("e"));
}

#[tokio::test]
async fn orders_are_listed_by_id_in_the_order_asked_each_once_and_unknown_ones_left_out() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for token in ["a", "b"] {
        order(&store, token, "ada").await;
    }
    let (a, b) = (store.order_id("a"), store.order_id("b"));
    let asked = vec![b.clone(), OrderId("stranger".into()), store.order_id("never"), a.clone(), b.clone()];
    assert_eq!(listed(&store, &Selection::Ids(asked)), [b, a]);
    assert_eq!(listed(&store, &Selection::User("nobody".into())), []);
}

#[tokio::test]
async fn a_list_beyond_the_limit_is_refused_whole() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for number in 0..10 {
        order(&store, &format!("token-{number}"), "ada").await;
    }
    let refusal = store.list(&Selection::User("ada".into()), 300).unwrap_err();
    assert_eq!(refusal, StoreError::ListTooLarge { limit_bytes: 300 });
}

#[tokio::test]
async fn a_payment_intent_stays_until_its_payment_has_ended() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for token in ["open", "declined", "paid"] {
        store.commit(Change::PaymentIntent(intent(token))).await.unwrap();
    }
    store.commit(Change::PaymentEnded(ended("declined", PaymentOutcome::Declined))).await.unwrap();
    let paid = PlacedOrder {
        payment: Some(ended("paid", PaymentOutcome::Captured)),
        ..placed(&store, "paid", "ada")
    };
    store.commit(Change::Order(Arc::new(paid))).await.unwrap();
    drop(store);
    let store = open(&dir);
    let (recovered, _) = recovered(&store);
    assert_eq!(recovered.pending, [intent("open")]);
    assert_eq!(store.failed_attempts("declined").unwrap(), 1);
    assert_eq!(store.failed_attempts("paid").unwrap(), 0);
}

#[tokio::test]
async fn the_prices_last_served_are_remembered() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    assert_eq!(recovered(&store).0.prices, PriceBook::default());
    let entry = PriceEntry {
        merchant_id: "m".into(),
        service_id: "s".into(),
        ticket_id: "t".into(),
        current: dollars(2),
        previous: Some(dollars(1)),
    };
    let book = PriceBook { entries: vec![entry] };
    store.commit(Change::Prices(book.clone())).await.unwrap();
    drop(store);
    assert_eq!(recovered(&open(&dir)).0.prices, book);
}

#[tokio::test]
async fn a_store_is_open_in_one_process_only() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    assert!(refusal(&dir).contains("cannot be opened"));
    drop(first);
    open(&dir);
}

#[tokio::test]
async fn another_format_is_not_touched() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir));
    {
        let database = Database::builder(dir.path().join("orders")).open().unwrap();
        let records = database.keyspace("records", KeyspaceCreateOptions::default).unwrap();
        records.insert(keys::FORMAT, b"boxoffice 99").unwrap();
    }
    assert!(refusal(&dir).contains("not a store of this format"));
}

/// The journal that is written to, which is the largest file of a young store.
fn journal(dir: &TempDir) -> std::path::PathBuf {
    let files = fs::read_dir(dir.path().join("orders")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "jnl")).max().expect("a journal")
}

/// The length of what is in a file, without the room that was made ahead.
fn content(path: &Path) -> usize {
    fs::read(path).unwrap().iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1)
}

async fn store_of_three() -> TempDir {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for token in ["a", "b", "c"] {
        order(&store, token, "ada").await;
    }
    drop(store);
    dir
}

#[tokio::test]
async fn a_write_that_was_cut_short_is_dropped_and_the_rest_is_there() {
    let dir = store_of_three().await;
    let journal = journal(&dir);
    let whole = content(&journal);
    let file = OpenOptions::new().write(true).open(&journal).unwrap();
    let torn: Vec<u8> = fs::read(&journal).unwrap()[..whole].iter().rev().take(40).rev().copied().collect();
    file.set_len(u64::try_from(whole).unwrap()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &torn[..20], u64::try_from(whole).unwrap()).unwrap();
    drop(file);
    let store = open(&dir);
    assert_eq!(recovered(&store).0.orders, 3);
}

#[tokio::test]
async fn damage_to_acknowledged_orders_stops_the_start() {
    let dir = store_of_three().await;
    let journal = journal(&dir);
    let whole = content(&journal);
    for at in [whole / 2, whole * 3 / 4] {
        let damaged = TempDir::new().unwrap();
        copy_dir(dir.path(), damaged.path());
        let path = damaged.path().join("orders").join(journal.file_name().unwrap());
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 0xff;
        fs::write(&path, bytes).unwrap();
        let damage = fs::read(&path).unwrap();
        assert!(refusal(&damaged).contains("cannot be opened"), "byte {at} of {whole}");
        assert_eq!(fs::read(&path).unwrap(), damage, "what could not be opened is left as it was");
    }
}

#[tokio::test]
async fn a_journal_that_lost_acknowledged_orders_stops_the_start() {
    let dir = store_of_three().await;
    let journal = journal(&dir);
    let file = OpenOptions::new().write(true).open(&journal).unwrap();
    file.set_len(u64::try_from(content(&journal) * 2 / 3).unwrap()).unwrap();
    drop(file);
    assert!(refusal(&dir).contains("were acknowledged"));
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
