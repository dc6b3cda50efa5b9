use std::{fs, ops::ControlFlow};

use fjall::{Database, KeyspaceCreateOptions};
use tempfile::TempDir;

use super::*;
use crate::{
    NamedClaim, PaymentAttempt, PaymentIntent, PaymentOutcome, PlacedOrder, PriceBook, PriceEntry,
    Provenance, memory::MemoryStore,
};
use domain::{
    money::{Currency, Money},
    order::{Customer, Order},
    time::EpochSeconds,
};

mod damage;
mod scan;

/// A directory in memory, where the machine has such a place: thousands of stores are opened in some tests.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

fn open(dir: &TempDir) -> EmbeddedStore {
    EmbeddedStore::open(dir.path(), 64).unwrap()
}

fn open_error(dir: &TempDir) -> String {
    let error = EmbeddedStore::open(dir.path(), 64).unwrap_err();
    ErrorChain(&error).to_string()
}

fn dollars(micros: i64) -> Money {
    Money::from_micros(micros, Currency::from_code("USD").unwrap())
}

fn claim(count: u32) -> NamedClaim {
    NamedClaim {
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        start_sec: EpochSeconds::new(1_800_000_000),
        duration_sec: 3600.into(),
        ticket_id: Some("adult".into()),
        count,
    }
}

fn placed(store: &dyn Store, token: &str, user_id: &str) -> PlacedOrder {
    PlacedOrder {
        token: token.into(),
        fingerprint: [7; 32],
        created_sec: EpochSeconds::new(1_700_000_000),
        created_by: None,
        order: Box::new(Order {
            id: store.order_id(&token.into()),
            merchant_id: "museum".into(),
            customer: Customer::of(user_id),
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
        started_sec: EpochSeconds::new(1),
        claims: vec![claim(1)],
    }
}

fn ended(token: &str, outcome: PaymentOutcome) -> PaymentAttempt {
    PaymentAttempt {
        intent: intent(token),
        outcome,
        transaction_id: "tx".into(),
        finished_sec: EpochSeconds::new(2),
    }
}

fn prices(micros: i64) -> Change {
    let entry = PriceEntry {
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        ticket_id: Some("adult".into()),
        current: dollars(micros),
        previous: None,
    };
    Change::Prices(PriceBook {
        entries: vec![entry],
    })
}

/// A process that begins shares what is open until it runs its program.
#[test]
fn a_store_that_was_closed_opens_again_while_processes_begin() {
    let (dir, is_over) = (scratch(), std::sync::atomic::AtomicBool::new(false));
    let is_over = &is_over;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = std::process::Command::new("true").status();
                }
            });
        }
        let tries: Vec<_> = (0..60)
            .map(|_| EmbeddedStore::open(dir.path(), 64).map(drop))
            .collect();
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(tries.iter().all(Result::is_ok), "{tries:?}");
    });
}

async fn order(store: &dyn Store, token: &str, user_id: &str) {
    store
        .commit(Change::Order(Arc::new(placed(store, token, user_id))))
        .await
        .unwrap();
}

fn listed(store: &dyn Store, selection: &Selection) -> Vec<OrderId> {
    all_orders(store, selection, &|_| true)
        .unwrap()
        .into_iter()
        .map(|order| order.id)
        .collect()
}

fn all_orders(
    store: &dyn Store,
    selection: &Selection,
    may_see: OrderFilter<'_>,
) -> Result<Vec<Order>, ReadError> {
    let mut orders = Vec::new();
    store.list(selection, may_see, &mut |order| {
        orders.push(order);
        ControlFlow::Continue(())
    })?;
    Ok(orders)
}

fn recovered(store: &dyn Store) -> (Recovered, u32) {
    let recovered = store.recover().unwrap();
    let spots = recovered.sold.iter().map(|claim| claim.count).sum();
    (recovered, spots)
}

#[tokio::test]
async fn an_order_its_token_and_its_entry_in_the_list_are_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for token in ["a", "b", "c"] {
        order(&store, token, "ada").await;
    }
    order(&store, "d", "bob").await;
    let ids = |store: &EmbeddedStore, tokens: &[&str]| -> Vec<OrderId> {
        tokens
            .iter()
            .map(|token| store.order_id(&(*token).into()))
            .collect()
    };
    let expected = ids(&store, &["c", "b", "a"]);
    drop(store);
    let store = open(&dir);
    assert_eq!(
        listed(&store, &Selection::User("ada".into())),
        expected,
        "newest first, under the same ids"
    );
    assert_eq!(
        store.by_token(&"d".into()).unwrap().unwrap().fingerprint,
        [7; 32]
    );
    assert_eq!(store.by_token(&"e".into()).unwrap(), None);
    let (recovered, spots) = recovered(&store);
    assert_eq!((recovered.orders, spots), (4, 8));
    order(&store, "e", "ada").await;
    assert_eq!(
        listed(&store, &Selection::User("ada".into()))[0],
        store.order_id(&"e".into())
    );
}

#[tokio::test]
async fn lists_come_newest_first_and_tokens_are_known_wherever_the_orders_stand() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let users = ["ada", "bob", "eve"];
    let token = |number| format!("token-{number}");
    for number in 0..40 {
        order(&store, &token(number), users[number % users.len()]).await;
        if number % 12 == 11 {
            store.records.rotate_memtable_and_wait().unwrap();
        }
    }
    let assert_complete = |store: &EmbeddedStore| {
        for (at, user) in users.iter().enumerate() {
            let numbers = (0..40).rev().filter(|number| number % users.len() == at);
            let ids: Vec<_> = numbers
                .map(|number| store.order_id(&token(number).into()))
                .collect();
            assert_eq!(
                listed(store, &Selection::User((*user).into())),
                ids,
                "{user}"
            );
            assert_eq!(listed(store, &Selection::Ids(ids.clone())), ids, "{user}");
        }
        for number in 0..40 {
            let token = token(number);
            assert_eq!(
                store
                    .by_token(&token.as_str().into())
                    .unwrap()
                    .unwrap()
                    .order
                    .id,
                store.order_id(&token.as_str().into())
            );
        }
    };
    assert_complete(&store);
    store.records.major_compact().unwrap();
    assert_eq!(store.records.table_count(), 1);
    assert_complete(&store);
    drop(store);
    assert_complete(&open(&dir));
}

#[tokio::test]
async fn orders_are_listed_by_id_in_the_order_asked_each_once_and_unknown_ones_left_out() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for token in ["a", "b"] {
        order(&store, token, "ada").await;
    }
    let (a, b) = (store.order_id(&"a".into()), store.order_id(&"b".into()));
    let asked = vec![
        b.clone(),
        OrderId::from("stranger"),
        store.order_id(&"never".into()),
        a.clone(),
        b.clone(),
    ];
    assert_eq!(listed(&store, &Selection::Ids(asked)), [b, a]);
    assert!(listed(&store, &Selection::User("nobody".into())).is_empty());
}

#[tokio::test]
async fn a_list_is_read_no_further_than_is_wanted() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for number in 0..10 {
        order(&store, &format!("token-{number}"), "ada").await;
    }
    let mut wanted = 3;
    let list = store.list(&Selection::User("ada".into()), &|_| true, &mut |_| {
        wanted -= 1;
        if wanted == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    list.unwrap();
    assert_eq!(wanted, 0);
}

/// A memory and a disk, which are to answer alike.
fn both(dir: &TempDir) -> [Box<dyn Store>; 2] {
    [
        Box::new(open(dir)),
        Box::new(crate::memory::MemoryStore::default()),
    ]
}

#[tokio::test]
async fn what_may_not_be_seen_is_not_listed() {
    let dir = TempDir::new().unwrap();
    for store in both(&dir) {
        for (token, created_by) in [("a", Some("google")), ("b", None), ("c", Some("other"))] {
            let created_by = created_by.map(Arc::from);
            let placed = PlacedOrder {
                created_by,
                ..placed(&*store, token, "ada")
            };
            store.commit(Change::Order(Arc::new(placed))).await.unwrap();
        }
        let ids = ["a", "b", "c"].map(|token| store.order_id(&token.into()));
        let all = all_orders(&*store, &Selection::User("ada".into()), &|_| true).unwrap();
        assert_eq!(all.len(), 3);
        for selection in [Selection::User("ada".into()), Selection::Ids(ids.to_vec())] {
            for (creator, expected) in [
                (Some("google"), &ids[..1]),
                (None, &ids[1..2]),
                (Some("x"), &[]),
            ] {
                let may_see = |order: Provenance<'_>| {
                    assert_eq!(order.merchant_id, "museum");
                    order.created_by == creator
                };
                let listed = all_orders(&*store, &selection, &may_see).unwrap();
                let listed: Vec<_> = listed.into_iter().map(|order| order.id).collect();
                assert_eq!(listed, expected, "{selection:?} {creator:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_payment_intent_stays_until_its_payment_has_ended() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for token in ["open", "declined", "paid"] {
        store
            .commit(Change::PaymentIntent(intent(token)))
            .await
            .unwrap();
    }
    store
        .commit(Change::PaymentEnded(ended(
            "declined",
            PaymentOutcome::Declined,
        )))
        .await
        .unwrap();
    let paid = PlacedOrder {
        payment: Some(ended("paid", PaymentOutcome::Captured)),
        ..placed(&store, "paid", "ada")
    };
    store.commit(Change::Order(Arc::new(paid))).await.unwrap();
    drop(store);
    let store = open(&dir);
    let (recovered, _) = recovered(&store);
    assert_eq!(recovered.pending, [intent("open")]);
    assert_eq!(store.failed_attempts(&"declined".into()).unwrap(), 1);
    assert_eq!(store.failed_attempts(&"paid".into()).unwrap(), 0);
}

#[tokio::test]
async fn the_prices_last_served_are_remembered() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    assert_eq!(recovered(&store).0.prices, PriceBook::default());
    let entry = PriceEntry {
        merchant_id: "m".into(),
        service_id: "s".into(),
        ticket_id: Some("t".into()),
        current: dollars(2),
        previous: Some(dollars(1)),
    };
    let book = PriceBook {
        entries: vec![entry],
    };
    store.commit(Change::Prices(book.clone())).await.unwrap();
    drop(store);
    assert_eq!(recovered(&open(&dir)).0.prices, book);
}

#[tokio::test]
async fn up_to_when_slots_are_forgotten_and_when_the_newest_order_was_created_is_on_record() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (first, _) = recovered(&store);
    assert_eq!(
        (first.slots_forgotten_until, first.newest_order_sec),
        (None, None)
    );
    for (token, created_sec) in [("one", 700), ("two", 900), ("three", 800)] {
        let order = PlacedOrder {
            created_sec: EpochSeconds::new(created_sec),
            ..placed(&store, token, "ada")
        };
        store.commit(Change::Order(Arc::new(order))).await.unwrap();
    }
    for until in [100, 200] {
        store
            .commit(Change::SlotsForgotten(EpochSeconds::new(until)))
            .await
            .unwrap();
    }
    drop(store);
    let (again, _) = recovered(&open(&dir));
    assert_eq!(
        (again.slots_forgotten_until, again.newest_order_sec),
        (Some(EpochSeconds::new(200)), Some(EpochSeconds::new(900)))
    );
}

#[tokio::test]
async fn a_store_is_open_in_one_process_only() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    assert!(open_error(&dir).contains("cannot be opened"));
    drop(first);
    open(&dir);
}

#[tokio::test]
async fn another_format_is_left_alone() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir));
    {
        let database = Database::builder(dir.path().join("orders")).open().unwrap();
        let records = database
            .keyspace("records", KeyspaceCreateOptions::default)
            .unwrap();
        records.insert(keys::FORMAT, b"boxoffice 99").unwrap();
    }
    let error = open_error(&dir);
    assert!(
        error.contains(r#"its format is "boxoffice 99", and this program reads "boxoffice 2""#),
        "{error}"
    );
    assert!(error.contains("not damaged"), "{error}");
}

#[tokio::test]
async fn a_store_that_a_crash_left_unfinished_is_created_again() {
    let dir = TempDir::new().unwrap();
    let home = dir.path().join("orders");
    fs::create_dir(home.with_extension("kept")).unwrap();
    fs::create_dir(&home).unwrap();
    fs::write(home.join("0.jnl"), "").unwrap();
    assert!(
        fjall::Database::builder(&home).open().is_err(),
        "the engine does not know what to do with it"
    );
    order(&open(&dir), "a", "ada").await;
    assert!(!home.with_extension("kept").exists());
    assert_eq!(recovered(&open(&dir)).0.orders, 1);
}

#[tokio::test]
async fn no_store_is_created_where_one_has_been_lost() {
    let dir = TempDir::new().unwrap();
    order(&open(&dir), "a", "ada").await;
    fs::remove_dir_all(dir.path().join("orders")).unwrap();
    assert!(open_error(&dir).contains("1 changes (orders, payments, prices) were acknowledged"));
    assert!(!dir.path().join("orders").exists());
}

/// What the system says of the threads of this process that have this name: their niceness, their policy.
fn scheduling_of(name: &str) -> Vec<(i32, u32)> {
    let threads = fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|thread| thread.unwrap().path());
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.join("stat")).ok());
    let scheduling = |stat: String| {
        let (names, rest) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<_> = rest.split(' ').collect();
        let said = || (fields[16].parse().unwrap(), fields[38].parse().unwrap());
        names.ends_with(&format!("({name}")).then(said)
    };
    stats.filter_map(scheduling).collect()
}

/// The niceness of those threads once there are any: a thread has its name only when it has begun.
fn niceness_when_there(name: &str) -> Vec<i32> {
    let mut looks = (0..10_000)
        .map(|_| scheduling_of(name))
        .inspect(|_| thread::yield_now());
    let found = looks
        .find(|found| !found.is_empty())
        .unwrap_or_else(|| panic!("there is no thread {name}"));
    found.into_iter().map(|(niceness, _)| niceness).collect()
}

#[test]
fn background_threads_of_the_engine_have_a_lower_priority_than_the_writer() {
    let _store = open(&TempDir::new().unwrap());
    let (background, writers) = (
        niceness_when_there("fjall:worker"),
        niceness_when_there("store-writer"),
    );
    // As far as the tests themselves do not give way already.
    let ours = rustix::process::nice(0).unwrap();
    assert!(
        background.iter().all(|&nice| nice == (ours + 10).min(19)),
        "{background:?}"
    );
    assert!(writers.iter().all(|&nice| nice == ours), "{writers:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn sstables_are_compacted_in_idle_time() {
    use preempt_rt::sched::{Pid, Scheduler, get_scheduler};

    let policy = || get_scheduler(Pid::current_thread()).unwrap();
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for _ in 0..2 {
        for key in 0..20_000_u32 {
            store.records.insert(key.to_be_bytes(), [0; 100]).unwrap();
        }
        store.records.rotate_memtable_and_wait().unwrap();
    }
    let records = store.records.clone();
    let compact = move || records.major_compact().map(|()| policy());
    let compacting = thread::Builder::new()
        .name("compacting".into())
        .spawn(compact)
        .unwrap();
    let seen_idle = || {
        scheduling_of("compacting")
            .iter()
            .any(|&(_, policy)| policy == Scheduler::SCHED_IDLE as u32)
    };
    let mut looks = std::iter::repeat_with(seen_idle).take_while(|_| !compacting.is_finished());
    assert!(looks.any(|idle| idle));
    assert_eq!(compacting.join().unwrap().unwrap(), policy());
}
