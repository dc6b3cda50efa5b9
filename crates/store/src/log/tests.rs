//! The store on a real disk.

use std::{
    collections::HashMap,
    fs,
    ops::ControlFlow,
    os::unix::fs::PermissionsExt,
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use tempfile::TempDir;

use domain::{
    ids::MerchantId,
    money::{Currency, Money},
    order::{Customer, LineItem, Order, OrderId, OrderedTickets, PriceTag},
    time::{EpochSeconds, Seconds},
};

use super::*;
use crate::{
    HoldRecord, NamedClaim, PaymentAttempt, PaymentIntent, PaymentOutcome, PlacedOrder, PriceBook,
    PriceEntry, ReleaseReason, Write,
    conformance::{StoreHome, assert_conforms},
    log::index::KeyPrefix,
    order_key::KeyDeriver,
};

mod damage;
mod full_disk;
mod simulation;

/// Small segments, so that a test has many.
const SEGMENT_BYTES: u64 = 64 << 10;

/// A directory in memory, where the machine has such a place: thousands of stores are opened in some tests.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

/// A clock for which everything is yet to come, so that no hold is forgotten.
#[derive(Debug)]
struct EarliestClock;

impl Clock for EarliestClock {
    fn now_sec(&self) -> EpochSeconds {
        EpochSeconds::MIN
    }
}

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        clock: Arc::new(EarliestClock),
        ..LogOptions::new(64)
    }
}

fn open(dir: &Path) -> LogStore {
    LogStore::open_with(dir, &options()).unwrap()
}

fn open_error(dir: &Path) -> String {
    let error = LogStore::open_with(dir, &options()).unwrap_err();
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
            id: store.order_key(&token.into()).order_id(),
            merchant_id: MerchantId::from("museum"),
            customer: Customer::of(user_id),
            payment: None,
            items: Vec::new(),
        }),
        claims: vec![claim(2)],
        payment: None,
        hold: None,
        bill: None,
        begun: None,
        lifecycle: 1,
    }
}

fn hold(number: u8) -> HoldRecord {
    HoldRecord {
        id: HoldId([number; 16]),
        revision: 1,
        owner: None,
        merchant_id: MerchantId::from("museum"),
        lines: Vec::new(),
        claims: vec![claim(1)],
        placed_sec: EpochSeconds::new(10),
        expires_sec: EpochSeconds::new(700),
        used: Seconds::new(0),
    }
}

fn intent(token: &str) -> PaymentIntent {
    PaymentIntent {
        token: token.into(),
        attempt: 1,
        amount: dollars(1),
        started_sec: EpochSeconds::new(1),
        claims: vec![claim(1)],
        hold: None,
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

fn prices(micros: i64) -> Write {
    let entry = PriceEntry {
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        ticket_id: Some("adult".into()),
        current: dollars(micros),
        previous: None,
    };
    Write::Prices(PriceBook {
        entries: vec![entry],
    })
}

async fn order(store: &dyn Store, token: &str, user_id: &str) {
    let write = Write::OrderPlaced(Box::new(placed(store, token, user_id)));
    store.commit(&write.into()).await.unwrap();
}

fn listed(store: &dyn Store, selection: &Selection) -> Result<Vec<Order>, ReadError> {
    let mut orders = Vec::new();
    store.list(selection, None, &|_| true, &mut |stored| {
        orders.push(stored.order);
        ControlFlow::Continue(())
    })?;
    Ok(orders)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

struct LogHome(TempDir);

impl StoreHome for LogHome {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(open(self.0.path()))
    }

    fn is_durable(&self) -> bool {
        true
    }
}

#[test]
fn the_log_conforms() {
    assert_conforms(&|| Box::new(LogHome(scratch())));
}

/// Orders until one is rejected, and how it was.
async fn fill(store: &LogStore, tokens: &mut impl Iterator<Item = String>) -> CommitError {
    loop {
        let placed = placed(store, &tokens.next().unwrap(), "ada");
        let write = Write::OrderPlaced(Box::new(placed));
        if let Err(error) = store.commit(&write.into()).await {
            return error;
        }
    }
}

#[tokio::test]
async fn a_full_log_without_another_segment_comes_back_once_there_is_one() {
    let dir = scratch();
    let store = open(dir.path());
    let mut tokens = (0..).map(|number| format!("token-{number}"));
    // In place of the next segments: neither a spare nor a segment can have their names.
    let occupied: Vec<PathBuf> = (2..6)
        .map(|number| dir.path().join(format!("orders/{number:06}.log")))
        .collect();
    for name in &occupied {
        fs::create_dir(name).unwrap();
    }
    let rejected = fill(&store, &mut tokens).await;
    assert!(matches!(rejected, CommitError::Unavailable), "{rejected}");
    let mut health = store.health();
    assert!(matches!(
        *health.borrow_and_update(),
        StoreHealth::Unavailable { .. }
    ));
    let orders = store.stats().orders;
    for name in &occupied {
        fs::remove_dir(name).unwrap();
    }
    order(&store, "later", "ada").await;
    assert!(health.borrow_and_update().is_ready());
    assert_eq!(store.stats().orders, orders + 1);
    drop(store);
    assert_eq!(open(dir.path()).stats().orders, orders + 1);
}

#[tokio::test]
async fn orders_of_many_segments_are_there_after_restarts() {
    let dir = scratch();
    let token = |number: u32| format!("token-{number}");
    for first in [0, 200, 400] {
        let store = open(dir.path());
        assert_eq!(store.stats().orders, u64::from(first));
        for number in first..first + 200 {
            order(&store, &token(number), "ada").await;
        }
    }
    assert!(dir.path().join("orders/000002.idx").exists(), "sealed");
    let store = open(dir.path());
    let expected: Vec<OrderId> = (0..600)
        .rev()
        .map(|number| store.order_key(&token(number).into()).order_id())
        .collect();
    let created = Selection::Created {
        from: EpochSeconds::MIN,
        until: EpochSeconds::MAX,
    };
    for selection in [Selection::User("ada".into()), created] {
        let orders = listed(&store, &selection).unwrap();
        let ids: Vec<OrderId> = orders.into_iter().map(|order| order.id).collect();
        assert!(ids == expected, "{selection:?}");
    }
    let spots: u32 = store
        .recover()
        .unwrap()
        .sold
        .iter()
        .map(|it| it.count)
        .sum();
    assert_eq!(spots, 1200);
}

/// Two tokens whose orders have the same prefix in the index.
fn colliding_tokens(store: &dyn Store) -> [Token; 2] {
    let mut seen = HashMap::new();
    for number in 0_u32.. {
        let token = Token::from(format!("token-{number}"));
        let key = store.order_key(&token);
        if let Some(earlier) = seen.insert(KeyPrefix::from(&key), token.clone()) {
            return [earlier, token];
        }
    }
    unreachable!("there are fewer prefixes than tokens")
}

#[tokio::test]
async fn failed_payments_of_tokens_with_one_prefix_are_told_apart() {
    let dir = scratch();
    let store = open(dir.path());
    let [one, other] = colliding_tokens(&store);
    let failed = async |store: &LogStore, token: &Token| {
        let key = store.order_key(token);
        store.failed_attempts(&key).get().await.unwrap()
    };
    for attempt in 1..=3 {
        assert_eq!(failed(&store, &other).await, 0);
        let mut ended = ended(one.as_str(), PaymentOutcome::Declined);
        ended.intent.attempt = attempt;
        store
            .commit(&Write::PaymentEnded(ended).into())
            .await
            .unwrap();
        assert_eq!(failed(&store, &one).await, attempt);
    }
    let last = ended(other.as_str(), PaymentOutcome::Voided);
    store
        .commit(&Write::PaymentEnded(last).into())
        .await
        .unwrap();
    assert_eq!(
        (failed(&store, &one).await, failed(&store, &other).await),
        (3, 1)
    );
    drop(store);
    let store = open(dir.path());
    assert_eq!(
        (failed(&store, &one).await, failed(&store, &other).await),
        (3, 1)
    );
}

#[tokio::test]
async fn ended_holds_whose_ids_begin_alike_are_told_apart() {
    let dir = scratch();
    let store = open(dir.path());
    let of = |number: u8| {
        let mut id = [9; 16];
        id[15] = number;
        HoldRecord {
            id: HoldId(id),
            revision: number.into(),
            ..hold(number)
        }
    };
    for number in 0..3 {
        store
            .commit(&Write::HoldPlaced(Box::new(of(number))).into())
            .await
            .unwrap();
        let released = Write::HoldReleased {
            id: of(number).id,
            released_sec: EpochSeconds::new(i64::from(number)),
            reason: ReleaseReason::Expired,
        };
        store.commit(&released.into()).await.unwrap();
    }
    for number in 0..4 {
        let found = store.find_hold(of(number).id).get().await.unwrap();
        let expected = (number < 3).then(|| of(number));
        assert_eq!(found.map(|stored| stored.hold), expected, "{number}");
    }
}

/// The sizes that `docs/operations.md` gives.
#[test]
fn what_holds_take_on_disk() {
    let ticket = |id: &str, count| OrderedTickets {
        ticket_id: id.into(),
        count,
    };
    let line = LineItem {
        service_id: "museum-entry".into(),
        start_sec: EpochSeconds::new(1_800_000_000),
        duration_sec: 3600.into(),
        tickets: vec![ticket("adult", 2), ticket("child", 1)],
        price: Some(PriceTag {
            micros: 50_000_000,
            currency_code: "EUR".into(),
            pricing_option_tag: String::new(),
        }),
        answers: None,
    };
    let placed = HoldRecord {
        owner: Some("google".into()),
        lines: vec![line],
        claims: vec![claim(2), claim(1)],
        placed_sec: EpochSeconds::new(1_799_000_000),
        expires_sec: EpochSeconds::new(1_799_000_600),
        ..hold(1)
    };
    let released = Write::HoldReleased {
        id: placed.id,
        released_sec: placed.expires_sec,
        reason: ReleaseReason::Expired,
    };
    let keys = KeyDeriver::new([1; 32]);
    let bytes = |write: Write| EncodedUnit::new(&write.into(), &keys).bytes();
    let sizes = (bytes(Write::HoldPlaced(Box::new(placed))), bytes(released));
    assert_eq!(sizes, (232, 80));
}

/// A process that begins shares what is open until it runs its program.
#[test]
fn a_store_that_was_closed_opens_again_while_processes_begin() {
    let (dir, is_over) = (scratch(), AtomicBool::new(false));
    let is_over = &is_over;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let _ = process::Command::new("true").status();
                }
            });
        }
        let tries: Vec<_> = (0..60)
            .map(|_| LogStore::open_with(dir.path(), &options()).map(drop))
            .collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(tries.iter().all(Result::is_ok), "{tries:?}");
    });
}

#[test]
fn a_store_is_open_in_one_process_only() {
    let dir = scratch();
    let first = open(dir.path());
    assert!(open_error(dir.path()).contains("another process has it open"));
    drop(first);
    open(dir.path());
}

#[tokio::test]
async fn another_format_is_left_alone() {
    let dir = scratch();
    order(&open(dir.path()), "a", "ada").await;
    let segment = dir.path().join("orders/000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[21..34].copy_from_slice(b"boxoffice 99\n");
    fs::write(&segment, &bytes).unwrap();
    let watermark = dir.path().join(WATERMARK);
    fs::remove_file(&watermark).unwrap();
    let error = open_error(dir.path());
    assert!(
        error.contains(r#"its format is "boxoffice 99", and this program reads "boxoffice 3""#),
        "{error}"
    );
    assert!(error.contains("not damaged"), "{error}");
    assert!(fs::read(&segment).unwrap() == bytes);
    assert!(!watermark.exists());
}

#[tokio::test]
async fn no_store_is_created_where_one_has_been_lost() {
    let dir = scratch();
    order(&open(dir.path()), "a", "ada").await;
    let home = dir.path().join(SEGMENTS);
    fs::remove_dir_all(&home).unwrap();
    let error = open_error(dir.path());
    assert!(error.contains("1 changes (orders"), "{error}");
    assert!(!home.exists());
    // Its directory was made again, as by a mount that has gone wrong.
    fs::create_dir(&home).unwrap();
    assert_eq!(open_error(dir.path()), error);
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
}

#[tokio::test]
async fn only_the_owner_may_read_any_file_of_a_store() {
    let dir = scratch();
    let data_dir = dir.path().join("data");
    let store = open(&data_dir);
    for number in 0..400 {
        order(&store, &format!("token-{number}"), "ada").await;
    }
    drop(store);
    let home = data_dir.join(SEGMENTS);
    assert_eq!((mode(&data_dir), mode(&home)), (0o700, 0o700));
    assert_eq!(mode(&data_dir.join(WATERMARK)), 0o600);
    let mut files = 0;
    for entry in fs::read_dir(&home).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 3, "segments and a summary: {files}");
}

/// A clock that breaks.
#[derive(Debug, Default)]
struct BreakingClock(AtomicBool);

impl Clock for BreakingClock {
    fn now_sec(&self) -> EpochSeconds {
        assert!(!self.0.load(Ordering::SeqCst), "the clock is broken");
        EpochSeconds::MIN
    }
}

#[tokio::test]
async fn a_writer_that_panics_has_failed() {
    let dir = scratch();
    let clock = Arc::new(BreakingClock::default());
    let options = LogOptions {
        clock: Arc::<BreakingClock>::clone(&clock),
        ..options()
    };
    let store = LogStore::open_with(dir.path(), &options).unwrap();
    order(&store, "before", "ada").await;
    clock.0.store(true, Ordering::SeqCst);
    let failed = store.commit(&prices(1).into());
    assert!(matches!(failed.await, Err(CommitError::WriterPanicked)));
    clock.0.store(false, Ordering::SeqCst);
    let later = store.commit(&prices(2).into());
    assert!(matches!(later.await, Err(CommitError::WriterPanicked)));
    assert!(!store.health().borrow().is_ready());
    drop(store);
    assert_eq!(open(dir.path()).stats().orders, 1);
}
