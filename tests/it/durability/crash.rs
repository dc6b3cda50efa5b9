//! The program is killed in the middle of its work, again and again: what it acknowledged is there
//! afterwards, once, and what it did not sell is for sale.
//!
//! Each round sells slots of its own to users who check, hold, order, repeat requests, also
//! concurrently, and ends by a kill after a number of answers that follows from the round's seed.
//! The next start is verified: the history of the clients' calls against the orders of the server.

use std::{path::Path, time::Duration};

use boxoffice::api::booking::proto::v3::LineItem;
use fastrand::Rng;
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};

use super::fill_segment;
use crate::support::{
    Transport,
    byte_client::ByteClient,
    process::{Program, Running, with_timeout},
    seeds::seeds,
};

mod after_sale;
mod client;
mod clock_changes;
mod crash_points;
mod gateway;
mod history;
mod negative_controls;
mod operators;
mod publications;
mod scenario;
mod session;
mod verifier;
mod workload;

use client::Client;
use history::{Anomaly, History, Operation};
use session::run_session;
use verifier::Verifier;
use workload::{SimulatedUser, Workload};

const USUAL_ROUNDS: u64 = 10;

/// Rounds with long addresses, the length of each of their five fields, and the mebibytes of records
/// before them: the end of the first segment, at 4 MiB, is then some rounds away.
const HEAVY_ROUNDS: u64 = 6;
const ADDRESS_CHARS: usize = 256;
const RECORDS_MIB: usize = 3;

/// Visitors at once, and the gRPC connections that they share; over REST each has its own.
const USERS: u64 = 32;
const CONNECTIONS: usize = 6;

/// Carts that are held before the users come, and counted.
const CARTS: usize = 6;

/// Answers of a round before the program is killed.
const ANSWERS: std::ops::Range<usize> = 20..500;

/// Milliseconds after which a program is killed that is only just starting.
const START: std::ops::Range<u64> = 0..200;

/// A workload with the directories of its catalogue and its store, which outlive the program.
struct Deployment {
    workload: Workload,
    catalog: TempDir,
    store: TempDir,
    is_kept: bool,
}

/// A program whose recovery is complete, with nothing left of its last run.
struct Started {
    server: Running,
    /// Orders and open payments that it found.
    orders: usize,
    pending_payments: usize,
}

impl Deployment {
    fn of(rounds: u64) -> Self {
        Self::selling(Workload::of(rounds))
    }

    fn selling(workload: Workload) -> Self {
        let (catalog, store) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let deployment = Self {
            workload,
            catalog,
            store,
            is_kept: true,
        };
        deployment.workload.write(deployment.catalog.path(), 0);
        deployment
    }

    fn program(&self) -> Program {
        self.set_up(Program::new())
    }

    /// The same program, selling this and keeping its orders here.
    fn set_up(&self, program: Program) -> Program {
        let program = program.args([Path::new("--catalog"), self.catalog.path()]);
        if self.is_kept {
            program.with_store(self.store.path())
        } else {
            program
        }
    }

    async fn open(&self) -> Started {
        open(self.program()).await
    }

    /// The same, after it was killed some times while it was starting.
    async fn open_at_last(&self, chance: &mut Rng) -> Started {
        while chance.u8(..3) == 0 {
            let starting = self.program().spawn();
            tokio::time::sleep(Duration::from_millis(chance.u64(START))).await;
            starting.kill().await;
        }
        self.open().await
    }
}

/// Starts a program, and waits until the payments that its last run left open are reversed.
async fn open(program: Program) -> Started {
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
    Started {
        server,
        orders,
        pending_payments,
    }
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_any_number_of_crashes() {
    let seeds = seeds(USUAL_ROUNDS);
    let mut deployment = Deployment::of(seeds.end - seeds.start);
    let reversed = run_rounds(&mut deployment, seeds.clone()).await;
    let is_short = seeds.end - seeds.start < USUAL_ROUNDS;
    assert!(
        reversed > 0 || is_short,
        "no payment was under way at any of the crashes"
    );
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn it_also_survives_while_a_segment_is_sealed() {
    let seeds = seeds(HEAVY_ROUNDS);
    let mut deployment =
        Deployment::selling(Workload::of(seeds.end - seeds.start).with_addresses(ADDRESS_CHARS));
    fill_segment(deployment.store.path(), RECORDS_MIB).await;
    let summary = deployment.store.path().join("orders/000001.idx");
    assert!(!summary.exists());
    run_rounds(&mut deployment, seeds).await;
    assert!(summary.exists(), "no segment was sealed");
}

/// A round for each seed, each with a crash at its end. Gives how many payments had to be reversed.
async fn run_rounds(deployment: &mut Deployment, seeds: std::ops::Range<u64>) -> usize {
    let mut histories: Vec<History> = Vec::new();
    let mut reversed = 0;
    for (round, seed) in (0..).zip(seeds.clone()) {
        let mut chance = Rng::with_seed(seed);
        let started = deployment.open_at_last(&mut chance).await;
        reversed += started.pending_payments;
        eprintln!(
            "seed {seed}: {} orders, {} open payments",
            started.orders, started.pending_payments
        );
        let mut anomalies = verify_last(&started, &deployment.workload, &mut histories).await;
        let (history, found) = hold_carts(&started.server, &deployment.workload, round, seed).await;
        anomalies.extend(found);
        assert_none(&anomalies, deployment, &seeds, seed);
        histories.push(history);
        let history =
            run_until_killed(started.server, &deployment.workload, round, &mut chance).await;
        histories.last_mut().unwrap().extend(history);
    }
    let started = deployment.open().await;
    reversed += started.pending_payments;
    let mut anomalies = verify_last(&started, &deployment.workload, &mut histories).await;
    let mut verifier = Verifier::of(&started.server).await;
    for (round, history) in (0..).zip(&mut histories) {
        anomalies.extend(
            verifier
                .of_settled(&deployment.workload.pools(round), history)
                .await,
        );
    }
    assert_none(&anomalies, deployment, &seeds, seeds.end);
    let orders: usize = histories
        .iter()
        .map(|history| history.orders().count())
        .sum();
    eprintln!(
        "{orders} orders in {} rounds, {reversed} payments reversed",
        histories.len()
    );
    assert_eq!(started.server.stop().await.code(), 0);
    reversed
}

/// Fails with what it takes to look into it.
fn assert_none(
    anomalies: &[Anomaly],
    deployment: &mut Deployment,
    seeds: &std::ops::Range<u64>,
    seed: u64,
) {
    if !anomalies.is_empty() {
        deployment.store.disable_cleanup(true);
        let (dir, first, rounds) = (
            deployment.store.path().display(),
            seeds.start,
            seeds.end - seeds.start,
        );
        panic!(
            "found before the round of seed {seed}: {anomalies:#?}\nThe store is as it was in {dir}. To repeat the \
             run: BOXOFFICE_TEST_SEED={first} BOXOFFICE_TEST_ROUNDS={rounds}"
        );
    }
}

/// Audits the last round, and whether there is nothing on record but its orders and those before.
async fn verify_last(
    started: &Started,
    workload: &Workload,
    histories: &mut [History],
) -> Vec<Anomaly> {
    let Some((last, before)) = histories.split_last_mut() else {
        return Vec::new();
    };
    let before_it: usize = before.iter().map(|history| history.orders().count()).sum();
    let mut verifier = Verifier::of(&started.server).await;
    let listed = verifier.client().list_by_users(last.user_ids()).await.len() + before_it;
    let round = u64::try_from(before.len()).unwrap();
    let mut anomalies = verifier.of_last(&workload.pools(round), last).await;
    if started.orders != listed {
        anomalies.push(Anomaly::Count {
            said: started.orders,
            listed,
        });
    }
    anomalies
}

/// Holds some carts and orders some of these, and says what is wrong with the spots that are left.
async fn hold_carts(
    server: &Running,
    workload: &Workload,
    round: u64,
    seed: u64,
) -> (History, Vec<Anomaly>) {
    let mut client = Client::at(server).await;
    let mut user = SimulatedUser::new(workload, round, USERS, seed);
    let pools = workload.pools(round);
    let mut history = History::default();
    let mut carts: Vec<Vec<LineItem>> = Vec::new();
    for _ in 0..CARTS {
        let request = user.order();
        let cart = workload::cart_of(&request);
        let checked = client.check(&cart).await.unwrap();
        assert!(checked.cart_expiration_sec > 0, "{checked:?}");
        history.note_hold(cart, Some(&checked));
        carts.push(request.order.as_ref().unwrap().item.clone());
        history.operations.push(Operation::new(request));
    }
    let mut anomalies = history.count(&pools, &carts.concat(), &client.spots_open(&pools).await);
    for (at, operation) in history.operations.iter_mut().enumerate().step_by(2) {
        let response = client.create(Transport::Grpc, &operation.request).await;
        anomalies.extend(operation.record(response));
        if operation.order.is_some() {
            carts[at].clear();
        }
    }
    anomalies.extend(history.count(&pools, &carts.concat(), &client.spots_open(&pools).await));
    (history, anomalies)
}

/// Lets everybody in until enough was answered, and kills the program in the middle of it.
async fn run_until_killed(
    server: Running,
    workload: &Workload,
    round: u64,
    chance: &mut Rng,
) -> History {
    run_with_an_event(server, workload, round, chance, || {}).await
}

/// The same, with an event when half was answered.
async fn run_with_an_event(
    server: Running,
    workload: &Workload,
    round: u64,
    chance: &mut Rng,
    event: impl FnOnce(),
) -> History {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut shared = Vec::new();
    for _ in 0..CONNECTIONS {
        shared.push(ByteClient::connect(server.address()).await);
    }
    let mut users = JoinSet::new();
    for (number, grpc) in (0..USERS).zip(shared.iter().cycle()) {
        let user = SimulatedUser::new(workload, round, number, chance.u64(..));
        let client = Client::beside(grpc.clone(), &server).await;
        users.spawn(run_session(user, client, tell.clone()));
    }
    let answers = chance.usize(ANSWERS);
    let mut event = Some(event);
    for answer in 0..answers {
        if answer >= answers / 2
            && let Some(event) = event.take()
        {
            event();
        }
        with_timeout("an answer", told.recv()).await.unwrap();
    }
    for _ in 0..chance.usize(..50) {
        tokio::task::yield_now().await;
    }
    server.kill().await;
    let mut history = History::default();
    while let Some(of_one) = with_timeout("the end of a user", users.join_next()).await {
        history.extend(of_one.unwrap());
    }
    history
}
