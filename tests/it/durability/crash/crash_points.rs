//! Killed at every call to the system by which a store is created, opened or written: at the first one,
//! at the second one, and so on until the scenario ends without a crash.
//!
//! `strace` kills the real program as it enters a call, before anything comes of it, so that what the
//! call before has done is there and nothing else. It counts each kind of call in each thread for itself,
//! so each kind is gone through for itself.
//!
//! `scripts/test crashes` brings `strace` and runs this.

use std::{os::unix::process::ExitStatusExt, path::Path};

use futures_util::{StreamExt, future::join_all, stream};

use super::{
    Started,
    client::Client,
    history::{Operation, Response},
    scenario::Scenario,
    verify_last,
};
use crate::{
    durability::{WANTS_SPARES_MIB, fill_segment},
    support::{
        Transport,
        process::{Ended, Program, until},
    },
};

/// Calls to the system that are gone through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    calls: &'static str,
    /// The file of the store that they have to be about, if not everything counts.
    path: Option<&'static str>,
    /// Every so manieth, from the first on.
    every: usize,
}

const fn every_one(calls: &'static str, path: Option<&'static str>) -> Kind {
    Kind {
        calls,
        path,
        every: 1,
    }
}

/// The first segment of a store.
const FIRST: Option<&str> = Some("orders/000001.log");

/// What the thread that starts the program changes on the disk when it begins a store. The first segment is filled by
/// 16 writes; the next one writes its header.
const BEGINNING: [Kind; 6] = [
    every_one("?mkdir,mkdirat", None),
    every_one("openat", Some("acknowledged")),
    every_one("openat", FIRST),
    Kind {
        calls: "pwrite64",
        path: FIRST,
        every: 4,
    },
    every_one("fdatasync", FIRST),
    every_one("fsync", None),
];

/// What it changes when it opens one.
const OPENING: [Kind; 4] = [
    every_one("openat", FIRST),
    every_one("pwrite64", FIRST),
    every_one("fdatasync", FIRST),
    every_one("pwrite64", Some("acknowledged")),
];

/// What the thread that fills spares does until one is ready.
const FILLING: [Kind; 5] = [
    every_one("openat", Some("orders/000002.new")),
    Kind {
        calls: "pwrite64",
        path: Some("orders/000002.new"),
        every: 60,
    },
    Kind {
        calls: "fdatasync",
        path: Some("orders/000002.new"),
        every: 60,
    },
    every_one("?rename,renameat2", None),
    every_one("renameat", None),
];

/// What the thread that writes does for each batch.
pub(super) const COMMIT: [Kind; 3] = [
    every_one("pwrite64", FIRST),
    every_one("fdatasync", FIRST),
    every_one("pwrite64", Some("acknowledged")),
];

/// Kinds that are gone through at once.
const AT_ONCE: usize = 3;

impl Scenario {
    /// One that has sold something and is closed.
    pub(super) async fn closed() -> Self {
        let mut scenario = Self::new();
        let Started { server, .. } = scenario.deployment.open().await;
        scenario.order(&mut Client::at(&server).await, 1, "").await;
        assert!(!was_killed(&server.stop().await));
        scenario
    }

    /// One that has sold something and was killed while a payment was under way.
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
    pub(super) fn killed_at(&self, kind: Kind, nth: usize) -> Program {
        let words = kind.killing_at(nth, self.deployment.store.path());
        self.deployment.set_up(Program::under("strace", &words))
    }
}

impl Kind {
    /// The words for `strace` to kill a program when it enters the nth of these calls, with its store in this directory.
    pub(super) fn killing_at(self, nth: usize, store: &Path) -> Vec<String> {
        let Self { calls, path, .. } = self;
        let mut words: Vec<String> = ["-D", "-f", "-q", "-o", "/dev/null"].map(Into::into).into();
        words.push(format!("--trace={calls}"));
        words.push(format!("--inject={calls}:signal=KILL:when={nth}"));
        words.extend(path.map(|path| format!("--trace-path={}", store.join(path).display())));
        words
    }
}

/// Starts it and stops it, and tells whether it was killed.
async fn start_and_stop(program: Program) -> bool {
    match program.start_or_end().await {
        Ok(server) => was_killed(&server.stop().await),
        Err(ended) => was_killed(&ended),
    }
}

/// Whether it was killed; it has no other reason to end than being told to.
pub(super) fn was_killed(ended: &Ended) -> bool {
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

/// Crashes at every call of these kinds, each time with what was there before; whatever `play` is, it tells
/// whether the program was killed. Afterwards everything has to be as it was acknowledged. Gives how many crashes there
/// were of each kind.
async fn crash_everywhere(
    before: &Scenario,
    kinds: &[Kind],
    play: impl AsyncFn(&mut Scenario, Kind, usize) -> bool,
) -> Vec<usize> {
    let crashes = stream::iter(kinds).map(async |&kind| crash_at_each(before, kind, &play).await);
    let crashes: Vec<usize> = crashes.buffered(AT_ONCE).collect().await;
    for (kind, crashes) in kinds.iter().zip(&crashes) {
        eprintln!("{kind:?}: {crashes}");
    }
    crashes
}

async fn crash_at_each(
    before: &Scenario,
    kind: Kind,
    play: impl AsyncFn(&mut Scenario, Kind, usize) -> bool,
) -> usize {
    for crashes in 0.. {
        let nth = 1 + crashes * kind.every;
        let mut scenario = before.copy();
        if !play(&mut scenario, kind, nth).await {
            return crashes;
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

/// Two crashes at the same call, so that also the start after the first one is cut short.
async fn open_twice(scenario: &mut Scenario, kind: Kind, nth: usize) -> bool {
    let was_killed = start_and_stop(scenario.killed_at(kind, nth)).await;
    if was_killed {
        start_and_stop(scenario.killed_at(kind, nth)).await;
    }
    was_killed
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_store_that_is_only_being_begun_can_be_begun_again_after_a_crash() {
    let crashes = crash_everywhere(&Scenario::new(), &BEGINNING, open_twice).await;
    // Two directories may be there already; the filled segment is synced, and its header is.
    let [_, watermark, first, writes, syncs, directories] = crashes[..] else {
        panic!("{crashes:?}")
    };
    assert!(
        watermark >= 1 && first >= 1 && writes >= 5 && syncs >= 2 && directories >= 3,
        "it is not begun without these: {crashes:?}"
    );
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_store_that_is_only_being_opened_loses_nothing_by_a_crash() {
    let crashes =
        crash_everywhere(&Scenario::after_some_orders().await, &OPENING, open_twice).await;
    assert!(
        crashes[0] >= 2 && crashes[2] >= 1,
        "it is not started without these: {crashes:?}"
    );
}

/// Starts it and stops it once it has a spare. One that it had before is taken away.
async fn fill_spare(scenario: &mut Scenario, kind: Kind, nth: usize) -> bool {
    let orders = scenario.deployment.store.path().join("orders");
    let spare = orders.join("000002.log");
    for name in ["000002.log", "000002.new", "000003.log", "000003.new"] {
        // It was, or was not, that far.
        let _ = std::fs::remove_file(orders.join(name));
    }
    match scenario.killed_at(kind, nth).start_or_end().await {
        Ok(server) => {
            // Killed, it has no file open any more, and the next one is filled only after this one is ready.
            let process = std::path::PathBuf::from(format!("/proc/{}", server.id()));
            until("a spare or a crash", async || {
                spare.exists() || !process.join("exe").exists()
            })
            .await;
            was_killed(&server.stop().await)
        }
        Err(ended) => was_killed(&ended),
    }
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_crash_while_a_spare_is_filled_costs_nothing() {
    let before = Scenario::closed().await;
    fill_segment(before.deployment.store.path(), WANTS_SPARES_MIB).await;
    let crashes = crash_everywhere(&before, &FILLING, fill_spare).await;
    assert!(
        crashes[0] >= 1 && crashes[1] >= 4 && crashes[2] >= 4 && crashes[3] + crashes[4] >= 1,
        "none is filled without these: {crashes:?}"
    );
}

/// One order, one that is paid, one that is declined, one that is sent twice at once, and some that share a write.
async fn sell(scenario: &mut Scenario, kind: Kind, nth: usize) -> bool {
    let server = match scenario.killed_at(kind, nth).start_or_end().await {
        Ok(server) => server,
        // The log is synced once before anything is sold.
        Err(ended) => return was_killed(&ended),
    };
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
async fn a_crash_anywhere_within_a_write_leaves_every_order_whole_or_not_at_all() {
    let crashes = crash_everywhere(&Scenario::closed().await, &COMMIT, sell).await;
    // Those that came at once may share a batch.
    assert!(
        crashes[0] >= 8 && crashes[1] >= 8 && crashes[2] >= 8,
        "a write, a sync and a mark each: {crashes:?}"
    );
}
