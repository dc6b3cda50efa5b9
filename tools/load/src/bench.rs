//! One comparison in progress: servers are started, called and stopped, and results collected.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    Error, catalog,
    comparison::Comparison,
    driver,
    outcomes::Run,
    server::{Server, Storage},
    target::{Pace, Target},
    workload::{Authorization, CallKind, Workload},
};

/// One measurement of one subject, noted under a name.
pub(crate) type Measure<'a> = &'a dyn Fn(&mut Bench, &str) -> Result<(), Error>;

/// Concurrent calls in all, where their number is not the subject.
pub(crate) const AT_ONCE: u64 = 256;

/// The state of a comparison or a soak.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    runtime: Runtime,
    rounds: u64,
    pub(crate) calls: u64,
    runs: u64,
    pub(crate) authorization: Option<Authorization>,
    /// The build that is measured.
    pub(crate) program: PathBuf,
    /// An earlier build, compared with `program` by the group `baseline`.
    pub(crate) baseline: Option<PathBuf>,
    pub(crate) comparison: Comparison,
}

/// The calls of one measurement.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) call: CallKind,
    pub(crate) slots: u64,
    pub(crate) hot_percent: u64,
    pub(crate) orders_per_user: u64,
    pub(crate) first: u64,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    /// Divides the number of calls, for scenarios that are too slow for all of them.
    pub(crate) one_in: u64,
}

impl Scenario {
    pub(crate) fn of(call: CallKind) -> Self {
        let pace = Pace::Closed {
            in_flight: AT_ONCE / 4,
        };
        Self {
            call,
            slots: 1000,
            hot_percent: 0,
            orders_per_user: 10,
            first: 0,
            connections: 4,
            pace,
            one_in: 1,
        }
    }

    /// One call at a time, and a tenth of the calls.
    pub(crate) fn one_by_one(self) -> Self {
        Self {
            connections: 1,
            pace: Pace::Closed { in_flight: 1 },
            one_in: 10,
            ..self
        }
    }

    pub(crate) fn hot(self) -> Self {
        Self {
            hot_percent: 100,
            ..self
        }
    }
}

impl Bench {
    pub(crate) fn new(program: PathBuf, rounds: u64, calls: u64) -> Result<Self, Error> {
        Ok(Self {
            dir: TempDir::new()?,
            runtime: Runtime::new()?,
            rounds,
            calls,
            runs: 0,
            authorization: None,
            program,
            baseline: None,
            comparison: Comparison::default(),
        })
    }

    /// Box Office with this catalogue.
    pub(crate) fn server(&self, catalog: &Path, storage: Storage<'_>) -> Result<Server, Error> {
        self.server_with(&[], catalog, storage)
    }

    /// The same with further settings.
    pub(crate) fn server_with(
        &self,
        settings: &[&str],
        catalog: &Path,
        storage: Storage<'_>,
    ) -> Result<Server, Error> {
        // Several servers may run at once, so that none has the default port.
        let settings = [&["--operator-listen=127.0.0.1:0"], settings].concat();
        Server::program(&self.program, &settings, catalog, storage)
    }

    /// The directory of a catalogue with so many slots, none of which will be sold out.
    pub(crate) fn catalog(&self, slots: u64) -> Result<PathBuf, Error> {
        let dir = self.dir.path().join(format!("catalog-{slots}"));
        if !dir.exists() {
            catalog::write(&dir, slots, 100_000_000)?;
        }
        Ok(dir)
    }

    pub(crate) fn orders_dir(&mut self) -> PathBuf {
        self.runs += 1;
        self.dir.path().join(format!("orders-{}", self.runs))
    }

    /// Makes so many calls. A rejected one is an error: a server that rejects is fast, and its
    /// rate would mean nothing.
    pub(crate) fn run_calls(
        &mut self,
        server: &Server,
        scenario: Scenario,
        calls: u64,
        run: &str,
    ) -> Result<Run, Error> {
        let Scenario {
            call,
            slots,
            hot_percent,
            orders_per_user,
            first,
            connections,
            pace,
            one_in: _,
        } = scenario;
        let target = Target {
            address: server.address.clone(),
            connections,
            calls,
            pace,
        };
        let authorization = self.authorization.clone();
        let run = run.to_owned();
        let workload = Workload {
            call,
            slots,
            hot_percent,
            orders_per_user,
            first,
            run,
            authorization,
        };
        let run = self
            .runtime
            .block_on(driver::run(&target, &Arc::new(workload)))?;
        if run.rejected() > 0 {
            Err(format!("{run}").into())
        } else {
            Ok(run)
        }
    }

    /// Waits for an end within the runtime of this comparison.
    pub(crate) fn block_on<T>(&self, ends: impl Future<Output = T>) -> T {
        self.runtime.block_on(ends)
    }

    /// Measures after a warm-up of a tenth of the calls.
    pub(crate) fn measure(&mut self, server: &Server, scenario: Scenario) -> Result<Run, Error> {
        self.runs += 1;
        let (calls, run) = (self.calls / scenario.one_in, self.runs);
        self.run_calls(server, scenario, calls / 10, &format!("warm-{run}"))?;
        self.run_calls(server, scenario, calls, &format!("run-{run}"))
    }

    /// Notes the calls per second and the processor time of each call, of a fresh server.
    pub(crate) fn throughput(
        &mut self,
        name: &str,
        server: &Server,
        scenario: Scenario,
    ) -> Result<(), Error> {
        let before = server.cpu_ticks()?;
        let run = self.measure(server, scenario)?;
        let ticks = server.cpu_ticks()? - before;
        self.comparison.note(name, "calls/s", run.rate());
        let all_calls = self.calls + self.calls / 10;
        self.comparison.note(
            &format!("{name}: processor time"),
            "ns a call",
            ticks * 10_000_000 / all_calls,
        );
        Ok(())
    }

    /// Measures each subject in every round, starting with another one each time.
    pub(crate) fn rounds<const N: usize>(
        &mut self,
        mut subjects: [(&str, Measure<'_>); N],
    ) -> Result<(), Error> {
        self.each_round(|bench| {
            for (name, measure) in subjects {
                measure(bench, name)?;
            }
            subjects.rotate_left(1);
            Ok(())
        })
    }

    pub(crate) fn each_round(
        &mut self,
        mut measure: impl FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for round in 0..self.rounds {
            eprintln!("round {} of {}", round + 1, self.rounds);
            measure(self)?;
        }
        Ok(())
    }

    /// Starts a server with a new store on disk, and removes the store afterwards.
    pub(crate) fn with_disk_server<R>(
        &mut self,
        catalog: &Path,
        measure: impl FnOnce(&mut Self, &Server) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let program = self.program.clone();
        self.with_disk_server_of(&program, catalog, measure)
    }

    /// The same with another build of the program.
    pub(crate) fn with_disk_server_of<R>(
        &mut self,
        program: &Path,
        catalog: &Path,
        measure: impl FnOnce(&mut Self, &Server) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let dir = self.orders_dir();
        let server = Server::program(program, &[], catalog, Storage::Disk(&dir))?;
        let measured = measure(self, &server);
        drop(server);
        fs::remove_dir_all(dir)?;
        measured
    }
}
