//! Kills at every system call that creates, opens or writes a store: at the first one, at the second one,
//! and so on until the scenario ends without a crash.
//!
//! `strace` kills the real program as it enters a call, before the call has an effect. It counts calls by
//! kind and thread, so the tests go through the kinds one by one.
//!
//! `scripts/test crashes` brings `strace` and runs this.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt};

use futures_util::{StreamExt, future::join_all, stream};

use super::{
    Started,
    client::Client,
    history::{Operation, Response},
    scenario::Scenario,
    verify_last,
};
use crate::support::{
    Transport,
    process::{Ended, Program, until},
};

/// A kind of call, and the file of the store if only its calls count.
type Kind = (&'static str, Option<&'static str>);

/// The calls that create and open a store, all by the thread that starts the program.
const OPENING: [Kind; 9] = [
    ("?mkdir,mkdirat", None),
    ("write", None),
    ("ftruncate", None),
    ("copy_file_range", None),
    ("fsync", None),
    ("?rename,renameat2", None),
    ("renameat", None),
    ("?unlink", None),
    ("unlinkat", None),
];

/// The calls of the writer thread for each batch.
const COMMIT: [Kind; 3] = [
    ("write", Some("orders/0.jnl")),
    ("fdatasync", None),
    ("pwrite64", Some("acknowledged")),
];

/// Kinds that are tested concurrently.
const AT_ONCE: usize = 3;

impl Scenario {
    /// A scenario with an order, stopped.
    async fn closed() -> Self {
        let mut scenario = Self::new();
        let Started { server, .. } = scenario.deployment.open().await;
        scenario.order(&mut Client::at(&server).await, 1, "").await;
        assert!(!was_killed(&server.stop().await));
        scenario
    }

    /// A scenario with orders, killed while a charge was in flight.
    async fn after_some_orders() -> Self {
        let mut scenario = Self::new();
        let Started { server, .. } = scenario.deployment.open().await;
        let (mut client, mut other) = (Client::at(&server).await, Client::at(&server).await);
        let pools = scenario.deployment.workload.pools(0);
        scenario.order(&mut client, 1, "").await;
        scenario.order(&mut client, 2, "decline").await;
        let before = client.spots_open(&pools).await;
        let hanging = scenario.request(3, "hang");
        let call = tokio::spawn(async move { other.create(Transport::Grpc, &hanging).await });
        until("a reservation", async || {
            client.spots_open(&pools).await != before
        })
        .await;
        // Changes are written in turn, so that with this order the intent to charge is on record.
        scenario.order(&mut client, 4, "").await;
        server.kill().await;
        assert_eq!(call.await.unwrap(), Response::Lost);
        scenario
    }

    /// A program that is killed when it enters the nth call of a kind.
    fn killed_at(&self, (calls, path): Kind, nth: usize) -> Program {
        let mut strace: Vec<String> = ["-D", "-f", "-q", "-o", "/dev/null"].map(Into::into).into();
        strace.push(format!("--trace={calls}"));
        strace.push(format!("--inject={calls}:signal=KILL:when={nth}"));
        let store = self.deployment.store.path();
        strace.extend(path.map(|path| format!("--trace-path={}", store.join(path).display())));
        self.deployment.set_up(Program::under("strace", &strace))
    }
}

/// Starts and stops it; whether it was killed.
async fn start_and_stop(program: Program) -> bool {
    match program.start_or_end().await {
        Ok(server) => was_killed(&server.stop().await),
        Err(ended) => was_killed(&ended),
    }
}

/// Whether it was killed. Otherwise it must have stopped by its signal.
fn was_killed(ended: &Ended) -> bool {
    assert!(
        matches!(
            (ended.status.code(), ended.status.signal()),
            (Some(0), _) | (_, Some(9))
        ),
        "{}",
        ended.text()
    );
    ended.status.signal().is_some()
}

/// Crashes at every call of these kinds, each time from the scenario `before`; `play` returns whether the
/// program was killed. After each crash the server is verified. Returns the numbers of crashes by kind.
async fn crash_everywhere(
    before: &Scenario,
    kinds: &[Kind],
    play: impl AsyncFn(&mut Scenario, Kind, usize) -> bool,
) -> BTreeMap<&'static str, usize> {
    let crashes =
        stream::iter(kinds).map(async |&kind| (kind.0, crash_at_each(before, kind, &play).await));
    let crashes = crashes.buffer_unordered(AT_ONCE).collect().await;
    eprintln!("{crashes:?}");
    crashes
}

async fn crash_at_each(
    before: &Scenario,
    kind: Kind,
    play: impl AsyncFn(&mut Scenario, Kind, usize) -> bool,
) -> usize {
    for nth in 1.. {
        let mut scenario = before.copy();
        if !play(&mut scenario, kind, nth).await {
            return nth - 1;
        }
        let started = scenario.deployment.open().await;
        let anomalies = verify_last(
            &started,
            &scenario.deployment.workload,
            std::slice::from_mut(&mut scenario.history),
        )
        .await;
        started.server.kill().await;
        assert!(
            anomalies.is_empty(),
            "killed at {kind:?}, number {nth}: {anomalies:#?}"
        );
    }
    unreachable!("the numbers do not end")
}

/// Two crashes at the same call, the second during the start after the first.
async fn open_twice(scenario: &mut Scenario, kind: Kind, nth: usize) -> bool {
    let was_killed = start_and_stop(scenario.killed_at(kind, nth)).await;
    if was_killed {
        start_and_stop(scenario.killed_at(kind, nth)).await;
    }
    was_killed
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_crash_during_the_creation_of_a_store_is_recovered() {
    let crashes = crash_everywhere(&Scenario::new(), &OPENING, open_twice).await;
    assert!(
        crashes["fsync"] > 10 && crashes["write"] > 10,
        "a creation has these calls"
    );
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_crash_during_recovery_loses_nothing() {
    let crashes =
        crash_everywhere(&Scenario::after_some_orders().await, &OPENING, open_twice).await;
    assert!(
        crashes["fsync"] > 2 && crashes["unlinkat"] > 1,
        "a start has these calls"
    );
}

/// An order, a paid one, a declined one, one that is sent twice concurrently, and some that share a batch.
async fn sell(scenario: &mut Scenario, kind: Kind, nth: usize) -> bool {
    let server = scenario.killed_at(kind, nth).start().await;
    let mut client = Client::at(&server).await;
    let mut others = [
        Client::at(&server).await,
        Client::at(&server).await,
        Client::at(&server).await,
    ];
    scenario.order(&mut client, 11, "").await;
    scenario.order(&mut client, 12, "approve").await;
    scenario.order(&mut client, 13, "decline").await;
    let mut twice = Operation::new(scenario.request(14, "approve"));
    let response = client.create_twice(&twice.request).await;
    scenario
        .history
        .anomalies
        .extend(twice.record_both(response));
    scenario.history.operations.push(twice);
    let mut operations = [15, 16, 17].map(|user| Operation::new(scenario.request(user, "")));
    let asked = others
        .iter_mut()
        .zip(&operations)
        .map(|(client, operation)| client.create(Transport::Grpc, &operation.request));
    let response = join_all(asked).await;
    for (operation, response) in operations.iter_mut().zip(response) {
        scenario
            .history
            .anomalies
            .extend(operation.record(response));
    }
    scenario.history.operations.extend(operations);
    was_killed(&server.stop().await)
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_crash_within_a_batch_leaves_every_order_complete_or_absent() {
    let crashes = crash_everywhere(&Scenario::closed().await, &COMMIT, sell).await;
    // Concurrent orders may share a batch, and a batch without an order leaves the watermark.
    assert!(
        crashes["write"] >= 8 && crashes["fdatasync"] >= 8 && crashes["pwrite64"] >= 4,
        "a write for each batch"
    );
}
