//! The program is killed in the middle of its work, again and again: what it acknowledged is there
//! afterwards, once, and what it did not sell is for sale.
//!
//! Each round sells slots of its own to visitors who order, look, hold, repeat themselves and send the
//! same twice at once, and ends by a kill after a number of answers that follows from the round's seed.
//! The next start is audited: the journal of what the visitors heard against what the server shows.

use std::{path::Path, time::Duration};

use boxoffice::{
    domain::money::{Currency, Money},
    store::{Change, PriceBook, PriceEntry, Store, embedded::EmbeddedStore},
    wire::proto::v3::LineItem,
};
use fastrand::Rng;
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};

use crate::support::{
    Transport,
    byte_client::ByteClient,
    process::{Program, Running, surely},
    seeds::seeds,
};

mod audit;
mod clocks;
mod controls;
mod counter;
mod fair;
mod gateway;
mod journal;
mod points;
mod scene;
mod visit;

use audit::Audit;
use counter::Counter;
use fair::{Fair, Visitor};
use journal::{Entry, Fault, Journal};
use visit::visit;

const USUAL_ROUNDS: u64 = 10;

/// Rounds with long addresses, and how long each of their five fields, on top of records of so many mebibytes: the engine puts its
/// journal into tables at 8 of them, which is then some rounds away.
const HEAVY_ROUNDS: u64 = 6;
const ADDRESS_CHARS: usize = 256;
const RECORDS_MIB: usize = 7;

/// Visitors at once, and the gRPC connections that they share; over REST each has its own.
const VISITORS: u64 = 32;
const CONNECTIONS: usize = 6;

/// Carts that are held before the visitors come, and counted.
const CARTS: usize = 6;

/// Answers that are heard in a round before the program is killed.
const ANSWERS: std::ops::Range<usize> = 20..500;

/// Milliseconds after which a program is killed that is only just starting.
const START: std::ops::Range<u64> = 0..200;

/// A fair whose orders are kept in a place that survives the program.
struct Site {
    fair: Fair,
    catalog: TempDir,
    store: TempDir,
    is_kept: bool,
}

/// A program whose recovery is complete, with nothing left of its last run.
struct Opened {
    server: Running,
    /// Orders and open payments that it found.
    orders: usize,
    pending_payments: usize,
}

impl Site {
    fn of(rounds: u64) -> Self {
        Self::selling(Fair::of(rounds))
    }

    fn selling(fair: Fair) -> Self {
        let (catalog, store) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let site = Self {
            fair,
            catalog,
            store,
            is_kept: true,
        };
        site.fair.write(site.catalog.path(), 0);
        site
    }

    fn program(&self) -> Program {
        self.set_up(Program::new())
    }

    /// The same program, selling this and keeping its orders here.
    fn set_up(&self, program: Program) -> Program {
        let program = program.args([Path::new("--catalog"), self.catalog.path()]);
        if self.is_kept {
            program.keeping(self.store.path())
        } else {
            program
        }
    }

    async fn open(&self) -> Opened {
        open(self.program()).await
    }

    /// The same, after it was killed some times while it was starting.
    async fn open_at_last(&self, chance: &mut Rng) -> Opened {
        while chance.u8(..3) == 0 {
            let starting = self.program().spawn();
            tokio::time::sleep(Duration::from_millis(chance.u64(START))).await;
            starting.kill().await;
        }
        self.open().await
    }
}

/// Starts a program, and waits until the payments that its last run left open are reversed.
async fn open(program: Program) -> Opened {
    let mut server = program.start().await;
    let line = server
        .line("recovery complete", |line| {
            line["message"] == "recovery complete"
        })
        .await;
    let number = |name: &str| usize::try_from(line[name].as_u64().unwrap()).unwrap();
    let (orders, pending_payments) = (number("orders"), number("pending_payments"));
    if pending_payments > 0 {
        let is_it = |line: &serde_json::Value| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.contains("of the last run is reversed"))
        };
        server
            .nth_line("the reversal of pending payments", pending_payments, is_it)
            .await;
    }
    Opened {
        server,
        orders,
        pending_payments,
    }
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_any_number_of_crashes() {
    let seeds = seeds(USUAL_ROUNDS);
    let mut site = Site::of(seeds.end - seeds.start);
    let reversed = survive(&mut site, seeds.clone()).await;
    let is_short = seeds.end - seeds.start < USUAL_ROUNDS;
    assert!(
        reversed > 0 || is_short,
        "no payment was under way at any of the crashes"
    );
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn it_also_survives_while_the_engine_puts_its_journal_into_tables() {
    let seeds = seeds(HEAVY_ROUNDS);
    let mut site = Site::selling(Fair::of(seeds.end - seeds.start).with_addresses(ADDRESS_CHARS));
    fill(site.store.path()).await;
    let tables = site.store.path().join("orders/keyspaces/1/tables");
    let has_tables = || std::fs::read_dir(&tables).unwrap().next().is_some();
    assert!(!has_tables());
    survive(&mut site, seeds).await;
    assert!(has_tables(), "the journal became too long");
}

/// Writes the same long record again and again, which leaves one.
async fn fill(store: &Path) {
    let nothing = Money::zero(Currency::from_code("USD").unwrap());
    let entry = PriceEntry {
        merchant_id: "x".repeat(1 << 20).into(),
        service_id: "y".into(),
        ticket_id: None,
        current: nothing,
        previous: None,
    };
    let store = EmbeddedStore::open(store, 1).unwrap();
    for _ in 0..RECORDS_MIB {
        let book = PriceBook {
            entries: vec![entry.clone()],
        };
        store.commit(Change::Prices(book)).await.unwrap();
    }
}

/// A round for each seed, each with a crash at its end. Gives how many payments had to be reversed.
async fn survive(site: &mut Site, seeds: std::ops::Range<u64>) -> usize {
    let mut journals: Vec<Journal> = Vec::new();
    let mut reversed = 0;
    for (round, seed) in (0..).zip(seeds.clone()) {
        let mut chance = Rng::with_seed(seed);
        let opened = site.open_at_last(&mut chance).await;
        reversed += opened.pending_payments;
        eprintln!(
            "seed {seed}: {} orders, {} open payments",
            opened.orders, opened.pending_payments
        );
        let mut faults = audit_last(&opened, &site.fair, &mut journals).await;
        let (journal, found) = hold_carts(&opened.server, &site.fair, round, seed).await;
        faults.extend(found);
        must_be_none(&faults, site, &seeds, seed);
        journals.push(journal);
        let journal = trade_until_killed(opened.server, &site.fair, round, &mut chance).await;
        journals.last_mut().unwrap().extend(journal);
    }
    let opened = site.open().await;
    reversed += opened.pending_payments;
    let mut faults = audit_last(&opened, &site.fair, &mut journals).await;
    let mut audit = Audit::of(&opened.server).await;
    for (round, journal) in (0..).zip(&mut journals) {
        faults.extend(audit.of_settled(&site.fair.pools(round), journal).await);
    }
    must_be_none(&faults, site, &seeds, seeds.end);
    let orders: usize = journals
        .iter()
        .map(|journal| journal.orders().count())
        .sum();
    eprintln!(
        "{orders} orders in {} rounds, {reversed} payments reversed",
        journals.len()
    );
    assert_eq!(opened.server.stop().await.code(), 0);
    reversed
}

/// Fails with what it takes to look into it.
fn must_be_none(faults: &[Fault], site: &mut Site, seeds: &std::ops::Range<u64>, seed: u64) {
    if !faults.is_empty() {
        site.store.disable_cleanup(true);
        let (dir, first, rounds) = (
            site.store.path().display(),
            seeds.start,
            seeds.end - seeds.start,
        );
        panic!(
            "found before the round of seed {seed}: {faults:#?}\nThe store is as it was in {dir}. To repeat the \
             run: BOXOFFICE_TEST_SEED={first} BOXOFFICE_TEST_ROUNDS={rounds}"
        );
    }
}

/// Audits the last round, and whether there is nothing on record but its orders and those before.
async fn audit_last(opened: &Opened, fair: &Fair, journals: &mut [Journal]) -> Vec<Fault> {
    let Some((last, before)) = journals.split_last_mut() else {
        return Vec::new();
    };
    let before_it: usize = before.iter().map(|journal| journal.orders().count()).sum();
    let mut audit = Audit::of(&opened.server).await;
    let listed = audit.counter().list_by_users(last.user_ids()).await.len() + before_it;
    let round = u64::try_from(before.len()).unwrap();
    let mut faults = audit.of_last(&fair.pools(round), last).await;
    if opened.orders != listed {
        faults.push(Fault::Count {
            said: opened.orders,
            listed,
        });
    }
    faults
}

/// Holds some carts and orders some of these, and says what is wrong with the spots that are left.
async fn hold_carts(server: &Running, fair: &Fair, round: u64, seed: u64) -> (Journal, Vec<Fault>) {
    let mut counter = Counter::at(server).await;
    let mut visitor = Visitor::new(fair, round, VISITORS, seed);
    let pools = fair.pools(round);
    let mut journal = Journal::default();
    let mut carts: Vec<Vec<LineItem>> = Vec::new();
    for _ in 0..CARTS {
        let request = visitor.order();
        let checked = counter.check(&fair::cart_of(&request)).await.unwrap();
        assert!(checked.cart_expiration_sec > 0, "{checked:?}");
        carts.push(request.order.as_ref().unwrap().item.clone());
        journal.entries.push(Entry::new(request));
    }
    let mut faults = journal.count(&pools, &carts.concat(), &counter.spots_open(&pools).await);
    for (at, entry) in journal.entries.iter_mut().enumerate().step_by(2) {
        let heard = counter.create(Transport::Grpc, &entry.request).await;
        faults.extend(entry.hear(heard));
        if entry.order.is_some() {
            carts[at].clear();
        }
    }
    faults.extend(journal.count(&pools, &carts.concat(), &counter.spots_open(&pools).await));
    (journal, faults)
}

/// Lets everybody in until enough was answered, and kills the program in the middle of it.
async fn trade_until_killed(server: Running, fair: &Fair, round: u64, chance: &mut Rng) -> Journal {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut shared = Vec::new();
    for _ in 0..CONNECTIONS {
        shared.push(ByteClient::connect(server.address()).await);
    }
    let mut visitors = JoinSet::new();
    for (number, grpc) in (0..VISITORS).zip(shared.iter().cycle()) {
        let visitor = Visitor::new(fair, round, number, chance.u64(..));
        let counter = Counter::beside(grpc.clone(), &server).await;
        visitors.spawn(visit(visitor, counter, tell.clone()));
    }
    for _ in 0..chance.usize(ANSWERS) {
        surely("an answer", told.recv()).await.unwrap();
    }
    for _ in 0..chance.usize(..50) {
        tokio::task::yield_now().await;
    }
    server.kill().await;
    let mut journal = Journal::default();
    while let Some(of_one) = surely("the end of a visitor", visitors.join_next()).await {
        journal.extend(of_one.unwrap());
    }
    journal
}
