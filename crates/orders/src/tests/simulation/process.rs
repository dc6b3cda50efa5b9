//! A server for one thread, from its start to its end.

use std::{
    ops::ControlFlow,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use fastrand::Rng;
use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};

use super::{
    ALLOTMENT, SLOTS,
    calls::{Answer, AnswerFuture, CallKind, Request, TOKENS, hold_id, token},
    faults::{FaultyStore, StoreFault},
    model::Model,
};
use crate::{
    App,
    tests::{open_at, parts_on, raft_catalog},
};
use catalog::Loaded;
use domain::{order::Order, time::EpochSeconds};
use kernel::clock::{Clock, ManualClock};
use store::{
    HoldState, Read, ReadError, Replay, Selection, Store, StoredHold,
    log::{disk::simulated::SimulatedDisk, simulated_store::SimulatedStore},
};

/// Rounds of a start, of which each writes a batch; it needs a few.
const START_ROUNDS: usize = 100;

pub(super) struct Process {
    /// The calls that are polled here; detached ones are tasks of the runtime.
    calls: Vec<Call>,
    app: Arc<App>,
    store: Arc<SimulatedStore>,
    runtime: Runtime,
}

/// A call in flight.
pub(super) struct Call {
    pub(super) request: Request,
    /// The variant of the order that its token was known to have when it began.
    pub(super) ordered: Option<u8>,
    /// The time at which it began, and how often the clock had been set.
    pub(super) begun: (EpochSeconds, u64),
    answer: AnswerFuture,
}

/// What is on record of each token.
pub(super) struct Record {
    pub(super) replays: Vec<Option<Replay>>,
    /// Holds that are active on record.
    pub(super) holds: Vec<Option<StoredHold>>,
    /// Whether its order is cancelled.
    pub(super) cancelled: Vec<bool>,
    /// All orders, as they are listed.
    pub(super) listed: Vec<Order>,
}

impl Process {
    pub(super) fn start(
        disk: &SimulatedDisk,
        clock: &Arc<ManualClock>,
        fault: StoreFault,
    ) -> Result<Self, String> {
        let store_clock: Arc<dyn Clock> = clock.clone();
        let store = SimulatedStore::open(disk, &store_clock).map_err(|error| error.to_string())?;
        let store = Arc::new(store);
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let seen = Arc::new(FaultyStore::new(Arc::clone(&store), fault));
        let parts = parts_on(seen, clock.clone(), trips());
        let app = {
            let _within = runtime.enter();
            let mut opening = pin!(App::open(parts));
            let mut opened = None;
            for _ in 0..START_ROUNDS {
                if let Poll::Ready(app) = opening.as_mut().poll(&mut context()) {
                    opened = Some(app);
                    break;
                }
                store.write_batch();
                run_tasks(&runtime);
            }
            opened.ok_or("the start does not end")?
        };
        Ok(Self {
            calls: Vec::new(),
            app: app.map_err(|error| error.to_string())?,
            store,
            runtime,
        })
    }

    pub(super) fn store(&self) -> &SimulatedStore {
        &self.store
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.store.health().borrow().is_ready()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call is in flight, those of disconnected clients included.
    pub(super) fn is_quiet(&self) -> bool {
        self.calls.is_empty() && self.app.commands().is_empty()
    }

    pub(super) fn call(&mut self, request: Request, model: &Model) {
        self.calls.push(Call {
            request,
            ordered: model.ordered(request.token),
            begun: (model.now(), model.clock_changes()),
            answer: request.start(&self.app),
        });
    }

    /// Polls one of the calls, and hands over its answer if it has one.
    pub(super) fn poll(&mut self, random: &mut Rng) -> Option<(Call, Answer)> {
        let _within = self.runtime.enter();
        if self.calls.is_empty() {
            return None;
        }
        let at = random.usize(..self.calls.len());
        match self.calls[at].answer.as_mut().poll(&mut context()) {
            Poll::Ready(answer) => Some((self.calls.swap_remove(at), answer)),
            Poll::Pending => None,
        }
    }

    /// The client of one of the calls hangs up.
    pub(super) fn disconnect(&mut self, random: &mut Rng) -> Option<Request> {
        let _within = self.runtime.enter();
        if self.calls.is_empty() {
            return None;
        }
        let at = random.usize(..self.calls.len());
        if self.calls[at].request.kind == CallKind::Sweep {
            return None;
        }
        Some(self.calls.swap_remove(at).request)
    }

    pub(super) fn write_batch(&self) {
        let _within = self.runtime.enter();
        self.store.write_batch();
    }

    /// Runs the tasks of the runtime that can go on: answers of batches, and calls of disconnected clients.
    pub(super) fn run_tasks(&self) {
        run_tasks(&self.runtime);
    }

    /// The spots of a slot that are open to others.
    pub(super) fn open(&self, slot: usize) -> u32 {
        open_at(&self.app, SLOTS[slot])
    }

    pub(super) fn read_record(&self) -> Result<Record, ReadError> {
        let (mut replays, mut holds, mut listed) = (Vec::new(), Vec::new(), Vec::new());
        let mut cancelled = Vec::new();
        for number in 0..TOKENS {
            let key = self.store.order_key(&token(number));
            replays.push(now(self.store.find_request(&key))?);
            let stored = now(self.store.find_order(&key.order_id()))?;
            let update = stored.and_then(|stored| stored.update);
            cancelled.push(update.is_some_and(|it| it.tree.state.as_str() == "cancelled"));
            let hold = now(self.store.find_hold(hold_id(number)))?;
            holds.push(hold.filter(|hold| hold.state == HoldState::Active));
        }
        let all = Selection::Created {
            from: EpochSeconds::MIN,
            until: EpochSeconds::MAX,
        };
        self.store.list(&all, None, &|_| true, &mut |order| {
            listed.push(order.order);
            ControlFlow::Continue(())
        })?;
        Ok(Record {
            replays,
            holds,
            cancelled,
            listed,
        })
    }

    /// Ends it like a kill: calls in flight go no further.
    pub(super) fn end(self) {
        // Outside of the runtime, so that dropped calls do not become tasks.
        drop(self);
    }
}

/// The catalogue of the trip at each of its times.
fn trips() -> Loaded {
    let mut loaded = raft_catalog(Some(ALLOTMENT), |_| {});
    let first = loaded.openings.remove(0);
    for start_sec in SLOTS {
        let mut opening = first.clone();
        opening.first.start_sec = start_sec;
        loaded.openings.push(opening);
    }
    loaded
}

fn run_tasks(runtime: &Runtime) {
    runtime.block_on(tokio::task::yield_now());
}

fn context() -> Context<'static> {
    // Nobody is woken: calls are polled by chance.
    Context::from_waker(Waker::noop())
}

fn now<T>(read: Read<T>) -> Result<T, ReadError> {
    read.get().now_or_never().expect("one thread reads at once")
}
