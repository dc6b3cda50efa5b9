//! Where things are measured: servers are started there, asked, and ended.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    Failure, catalog, drive,
    results::Results,
    server::{Keeping, PRESENT, Server},
    tally::Run,
    target::{Pace, Target},
    workload::{Authorization, Call, Workload},
};

/// Measures one thing once, under a name.
pub(super) type Measure<'a> = &'a dyn Fn(&mut Lab, &str) -> Result<(), Failure>;

/// Calls at once in all, where it is not their number that is measured.
pub(super) const AT_ONCE: u64 = 256;

/// Where things are measured.
pub(super) struct Lab {
    pub(super) dir: TempDir,
    runtime: Runtime,
    rounds: u64,
    pub(super) calls: u64,
    runs: u64,
    pub(super) authorization: Option<Authorization>,
    /// An earlier build of the program, to be compared with the present one.
    pub(super) earlier: Option<PathBuf>,
    pub(super) results: Results,
}

/// What is asked of a server, and how.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) call: Call,
    pub(super) slots: u64,
    pub(super) hot_percent: u64,
    pub(super) orders_per_user: u64,
    pub(super) first: u64,
    pub(super) connections: usize,
    pub(super) pace: Pace,
    /// One in so many of the calls of a measurement are made.
    pub(super) one_in: u64,
}

impl Asked {
    pub(super) fn of(call: Call) -> Self {
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

    /// By one caller, who would take too long for all of them.
    pub(super) fn one_by_one(self) -> Self {
        Self {
            connections: 1,
            pace: Pace::Closed { in_flight: 1 },
            one_in: 10,
            ..self
        }
    }

    pub(super) fn hot(self) -> Self {
        Self {
            hot_percent: 100,
            ..self
        }
    }
}

impl Lab {
    pub(super) fn new(rounds: u64, calls: u64) -> Result<Self, Failure> {
        Ok(Self {
            dir: TempDir::new()?,
            runtime: Runtime::new()?,
            rounds,
            calls,
            runs: 0,
            authorization: None,
            earlier: None,
            results: Results::default(),
        })
    }

    /// A catalogue with so many slots, none of which will be sold out.
    pub(super) fn catalog(&self, slots: u64) -> Result<PathBuf, Failure> {
        let dir = self.dir.path().join(format!("catalog-{slots}"));
        if !dir.exists() {
            catalog::write(&dir, slots, 100_000_000)?;
        }
        Ok(dir)
    }

    pub(super) fn orders_dir(&mut self) -> PathBuf {
        self.runs += 1;
        self.dir.path().join(format!("orders-{}", self.runs))
    }

    /// Asks so many calls of a server. One that is not answered well ends everything: a server
    /// that refuses is fast.
    pub(super) fn ask(
        &mut self,
        server: &Server,
        asked: Asked,
        calls: u64,
        run: &str,
    ) -> Result<Run, Failure> {
        let Asked {
            call,
            slots,
            hot_percent,
            orders_per_user,
            first,
            connections,
            pace,
            one_in: _,
        } = asked;
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
            .block_on(drive::run(&target, &Arc::new(workload)))?;
        if run.bad() > 0 {
            Err(format!("{run}").into())
        } else {
            Ok(run)
        }
    }

    /// Measures after some calls that nobody counts.
    pub(super) fn measure(&mut self, server: &Server, asked: Asked) -> Result<Run, Failure> {
        self.runs += 1;
        let (calls, run) = (self.calls / asked.one_in, self.runs);
        self.ask(server, asked, calls / 10, &format!("warm-{run}"))?;
        self.ask(server, asked, calls, &format!("run-{run}"))
    }

    /// Measures a server that nobody has asked anything yet, and ends it.
    pub(super) fn rate(
        &mut self,
        name: &str,
        server: &Server,
        asked: Asked,
    ) -> Result<(), Failure> {
        let before = server.cpu_ticks()?;
        let run = self.measure(server, asked)?;
        let ticks = server.cpu_ticks()? - before;
        self.results.note(name, "calls/s", run.rate());
        let all_calls = self.calls + self.calls / 10;
        self.results.note(
            &format!("{name}: processor time"),
            "ns a call",
            ticks * 10_000_000 / all_calls,
        );
        Ok(())
    }

    /// Does each of these in every round, beginning with another one each time.
    pub(super) fn rounds<const N: usize>(
        &mut self,
        mut things: [(&str, Measure<'_>); N],
    ) -> Result<(), Failure> {
        self.each_round(|lab| {
            for (name, measure) in things {
                measure(lab, name)?;
            }
            things.rotate_left(1);
            Ok(())
        })
    }

    /// Does it once in every round.
    pub(super) fn each_round(
        &mut self,
        mut act: impl FnMut(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for round in 0..self.rounds {
            eprintln!("round {} of {}", round + 1, self.rounds);
            act(self)?;
        }
        Ok(())
    }

    pub(super) fn embedded<R>(
        &mut self,
        catalog: &Path,
        use_it: impl FnOnce(&mut Self, &Server) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        self.embedded_by(Path::new(PRESENT), catalog, use_it)
    }

    /// The same with another build of the program.
    pub(super) fn embedded_by<R>(
        &mut self,
        program: &Path,
        catalog: &Path,
        use_it: impl FnOnce(&mut Self, &Server) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let dir = self.orders_dir();
        let server = Server::program(program, &[], catalog, Keeping::In(&dir))?;
        let used = use_it(self, &server);
        drop(server);
        fs::remove_dir_all(dir)?;
        used
    }
}
