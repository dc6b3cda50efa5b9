//! Operators, a timer and a step that change one order at the same time, under every schedule: each request, each timer and
//! each step has one effect, and what they lead to is what they lead to one after another.

use std::ops::ControlFlow;

use super::*;
use crate::{
    execute::tests::FatedStore,
    tests::SPOTS,
    update::{
        ChangeMode, ChangeRequest, CustomerDecision,
        tests::{far, refund, with_terms},
    },
};
use domain::{ledger::LedgerKind, lifecycle::Spots, money::Money};
use kernel::clock::ManualClock;
use payments::simulated::SimulatedGateway;
use testkit::schedules::{Caught, Stage};

/// What may happen to the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rival {
    /// The customer keeps the rest.
    Amend,
    /// Everything is cancelled.
    Cancel,
    /// The same request again.
    SameCancel,
    /// Ten dollars go back.
    Refund,
    /// The same request again.
    SameRefund,
    Note,
    /// The customer's time is up.
    Timer,
    /// Once more: somebody else has seen that it is up.
    SameTimer,
    /// An earlier refund goes to the gateway.
    Step,
    /// Once more, though it is at work. Only for the negative control: the agenda does not let that happen.
    SameStep,
}
use Rival::{
    Amend, Cancel, Note, Refund, SameCancel, SameRefund, SameStep, SameTimer, Step, Timer,
};

const OPERATIONS: [Rival; 9] = [
    Amend, Cancel, SameCancel, Refund, SameRefund, Note, Timer, SameTimer, Step,
];

impl Rival {
    fn change(self) -> Option<OrderChange> {
        let tenner = RefundChoice::Amount(cents(1_000));
        match self {
            Amend => Some(OrderChange::CustomerAction(CustomerDecision::Amend)),
            Cancel | SameCancel => Some(cancel(&[], RefundChoice::Full)),
            Refund | SameRefund => Some(refund(&[], tenner)),
            Note => Some(note("called")),
            Timer | SameTimer | Step | SameStep => None,
        }
    }

    /// The number of its request.
    fn number(self) -> u32 {
        match self {
            Amend => 101,
            Cancel | SameCancel => 102,
            Refund | SameRefund => 103,
            Note | Timer | SameTimer | Step | SameStep => 104,
        }
    }

    /// Whether it is a repetition.
    fn is_same(self) -> bool {
        matches!(self, SameCancel | SameRefund | SameTimer | SameStep)
    }
}

/// Which servers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RivalServers {
    One,
    /// Two on one store: repetitions come to the second.
    Two,
}

/// What is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RivalFault {
    None,
    /// The store does not check what a change was decided on.
    Unchecked,
    /// Repetitions have a request id of their own.
    OtherIds,
}

/// What came of some operations.
#[derive(Debug, Clone, PartialEq)]
struct RivalOutcome {
    /// The revision that each request was answered with, or why there is none.
    answers: Vec<Option<Result<u32, &'static str>>>,
    state: String,
    items: Vec<String>,
    refunds: Vec<(String, Money)>,
}

/// An order of which a refund waits for the gateway, and whose customer has not answered in time.
struct RivalScene {
    first: Office,
    second: Option<Office>,
    store: Arc<FatedStore>,
    order: OrderId,
    runners: Vec<StepRunner>,
    due: Vec<DueWork>,
    fault: RivalFault,
}

impl RivalScene {
    fn new(servers: RivalServers, fault: RivalFault) -> Self {
        let store: Arc<FatedStore> = Arc::default();
        let clock = Arc::new(ManualClock::at(NOW));
        let first = office_on(&store, (Arc::default(), clock));
        let order = first.order("a", &[1, 1, 2], Some("approve"));
        played(first.changed(&order, cancel(&[0], RefundChoice::Full)));
        played(first.changed(&order, withdraw(&[1])));
        first.clock.advance(Seconds::DAY);
        let shared = || (first.gateway.clone(), first.clock.clone());
        let second = (servers == RivalServers::Two).then(|| office_on(&store, shared()));
        if fault == RivalFault::Unchecked {
            store.stop_checking();
        }
        let offices = std::iter::once(&first).chain(&second);
        let runners = offices
            .map(|office| office.runner(CustomSteps::new()))
            .collect();
        let due = due_of(&first, &order);
        assert_eq!(due.len(), 2, "a timer and a step");
        Self {
            first,
            second,
            store,
            order,
            runners,
            due,
            fault,
        }
    }

    /// Does one of the operations, and returns the answer to a request.
    fn play(&self, operation: Rival) -> Option<Result<u32, &'static str>> {
        let at = if operation.is_same() {
            self.runners.len() - 1
        } else {
            0
        };
        let Some(change) = operation.change() else {
            let is_step = matches!(operation, Step | SameStep);
            let is_it = |work: &&DueWork| matches!(work.name, WorkName::Step(_)) == is_step;
            let work = self.due.iter().find(is_it).unwrap();
            played(self.runners[at].work(again(work)));
            return None;
        };
        let mut number = operation.number();
        if operation.is_same() && self.fault == RivalFault::OtherIds {
            number += 100;
        }
        let request = ChangeRequest {
            order: self.order.clone(),
            request_id: format!("00000000-0000-4000-8000-{number:012}"),
            fingerprint: [7; 32],
            expected_revision: None,
            user: None,
            mode: ChangeMode::Commit,
        };
        let office = if at == 0 {
            Some(&self.first)
        } else {
            self.second.as_ref()
        };
        let changed = played(office.unwrap().app.change_order(request, change, far()));
        Some(match changed {
            Ok(stored) => Ok(stored.revision()),
            Err(error) => Err(error.reason()),
        })
    }

    /// What came of it, with everything checked that has to hold whatever the sequence was.
    fn aftermath(self, answers: Vec<Option<Result<u32, &'static str>>>) -> RivalOutcome {
        let stored = played(self.first.stored(&self.order));
        let (state, items) = states(&stored);
        let aftermath = RivalOutcome {
            answers,
            state: state.to_owned(),
            items: items.into_iter().map(str::to_owned).collect(),
            refunds: refunds(&stored)
                .into_iter()
                .map(|(state, amount)| (state.to_owned(), amount))
                .collect(),
        };
        self.check_history();
        // What was requested last goes to the gateway, too.
        self.check_money();
        aftermath
    }

    /// Each revision once, each request once, one entry for the timer and one for the step.
    fn check_history(&self) {
        let (mut revisions, mut requests, mut timers) = (Vec::new(), Vec::new(), 0);
        let read = self.store.history(&self.order, &mut |update| {
            revisions.push(update.revision);
            requests.extend(update.answer.map(|answer| answer.request_id));
            timers += usize::from(update.entry.cause == UpdateCause::Timer);
            ControlFlow::Continue(())
        });
        read.unwrap();
        revisions.reverse();
        let expected: Vec<u32> = (1..).take(revisions.len()).collect();
        assert_eq!(
            revisions, expected,
            "a revision is missing, or is there twice"
        );
        let count = requests.len();
        requests.sort_unstable();
        requests.dedup();
        assert_eq!(requests.len(), count, "a request was decided twice");
        assert!(timers <= 1, "the timer has fired {timers} times");
    }

    /// Money is given back as it is on record, by one outcome of each refund; spots are given back once.
    fn check_money(&self) {
        let stored = played(self.first.stored(&self.order));
        let tree = stored.update.unwrap().tree;
        let mut done = Vec::new();
        let mut sum = cents(0);
        for entry in tree.ledger.entries() {
            if entry.kind == LedgerKind::Refunded {
                done.push(entry.refund);
                sum = sum.plus(entry.amount).unwrap();
            }
        }
        let count = done.len();
        done.sort_unstable();
        done.dedup();
        assert_eq!(done.len(), count, "the outcome of a step is there twice");
        let mut given = cents(0);
        for amount in self.first.given(&self.order) {
            given = given.plus(amount).unwrap();
        }
        assert_eq!(sum, given, "the gateway has given back something else");
        let tenners = tree
            .refunds
            .iter()
            .filter(|it| it.amount.total == cents(1_000));
        assert!(tenners.count() <= 1, "ten dollars go back twice");
        let recovered = self.store.recover().unwrap();
        let sold: u32 = recovered.sold.iter().map(|claim| claim.count).sum();
        let seats = [1, 1, 2];
        let held = tree
            .items
            .iter()
            .zip(seats)
            .filter(|(item, _)| item.spots == Spots::Held);
        assert_eq!(sold, held.map(|(_, seats)| seats).sum::<u32>());
        if self.second.is_none() {
            assert_eq!(self.first.open(), SPOTS - sold);
        }
    }
}

/// A server on a store.
fn office_on(
    store: &Arc<FatedStore>,
    (gateway, clock): (Arc<SimulatedGateway>, Arc<ManualClock>),
) -> Office {
    let parts = (Arc::default(), gateway, clock);
    Office::opened(parts, with_terms, |parts| parts.store = store.clone())
}

/// The same work, as if it was begun before.
fn again(work: &DueWork) -> DueWork {
    DueWork {
        order: work.order.clone(),
        key: work.key,
        name: work.name.clone(),
        progress: work.progress.clone(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// What comes of operations in each of their sequences.
fn one_after_another(operations: &[Rival], servers: RivalServers) -> Vec<RivalOutcome> {
    let mut all = Vec::new();
    for sequence in permutations(operations.len()) {
        let scene = RivalScene::new(servers, RivalFault::None);
        let mut answers = vec![None; operations.len()];
        for at in sequence {
            answers[at] = scene.play(operations[at]);
        }
        all.push(scene.aftermath(answers));
    }
    all
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..count {
        let mut longer = Vec::new();
        for shorter in &all {
            for at in 0..=shorter.len() {
                let mut sequence = shorter.clone();
                sequence.insert(at, next);
                longer.push(sequence);
            }
        }
        all = longer;
    }
    all
}

/// Plays operations at the same time. What comes of it has to be what comes of them in some sequence.
fn at_once(
    stage: &Stage,
    (operations, expected): (&[Rival], &[RivalOutcome]),
    (servers, fault): (RivalServers, RivalFault),
    runtime: &tokio::runtime::Runtime,
) {
    let scene = RivalScene::new(servers, fault);
    let answers: Vec<Mutex<_>> = operations.iter().map(|_| Mutex::new(None)).collect();
    let mut actors: Vec<Box<dyn FnOnce() + Send + '_>> = Vec::new();
    for (operation, answer) in operations.iter().zip(&answers) {
        let scene = &scene;
        actors.push(Box::new(move || {
            let _timers = runtime.enter();
            *answer.lock().unwrap() = scene.play(*operation);
        }));
    }
    stage.play(actors);
    let answers = answers.into_iter().map(|it| it.into_inner().unwrap());
    let found = scene.aftermath(answers.collect());
    assert!(
        expected.contains(&found),
        "{operations:?} lead to {found:#?}, and one after another to {expected:#?}"
    );
}

/// The number of schedules of some operations with so many interruptions at most.
fn schedules(
    operations: &[Rival],
    servers: RivalServers,
    fault: RivalFault,
    interruptions: u32,
) -> Result<u64, Caught> {
    let runtime = runtime();
    let _timers = runtime.enter();
    let expected = one_after_another(operations, servers);
    every_schedule(interruptions, |stage| {
        let _timers = runtime.enter();
        at_once(stage, (operations, &expected), (servers, fault), &runtime);
    })
}

/// Some operations, repetitions only with what they repeat.
fn sets(count: usize) -> Vec<Vec<Rival>> {
    let mut sets = vec![Vec::new()];
    for operation in OPERATIONS {
        for at in 0..sets.len() {
            let set: &Vec<Rival> = &sets[at];
            let is_repeated = !operation.is_same()
                || set.last().is_some_and(|last| {
                    matches!(
                        (last, operation),
                        (Cancel, SameCancel) | (Refund, SameRefund) | (Timer, SameTimer)
                    )
                });
            if set.len() < count && is_repeated {
                let mut larger = set.clone();
                larger.push(operation);
                sets.push(larger);
            }
        }
    }
    sets.retain(|set| set.len() == count);
    sets
}

/// Plays sets of operations under every schedule with so many interruptions at most.
fn play_all(sets: &[Vec<Rival>], interruptions: u32) {
    let mut sum = 0;
    for set in sets {
        sum += schedules(set, RivalServers::One, RivalFault::None, interruptions).unwrap();
    }
    eprintln!(
        "{} sets, {interruptions} interruptions: {sum} schedules",
        sets.len()
    );
}

#[test]
fn an_operator_a_timer_and_a_step_have_one_effect_each_under_every_schedule() {
    play_all(&sets(2), 1);
    // An operator, the timer and the step.
    let mut three = sets(3);
    three.retain(|set| set.contains(&Timer) && set.contains(&Step) && !set.contains(&SameTimer));
    play_all(&three, 1);
}

#[test]
#[ignore = "takes minutes"]
fn any_three_operations_have_one_effect_each_under_every_schedule() {
    play_all(&sets(2), 3);
    play_all(&sets(3), 1);
}

#[test]
fn two_servers_on_one_store_have_one_effect_of_a_request_and_of_a_timer() {
    for (set, interruptions) in [
        (&[Cancel, SameCancel][..], 2),
        (&[Refund, SameRefund], 2),
        (&[Timer, SameTimer], 2),
        (&[Amend, SameTimer], 2),
        (&[Cancel, SameCancel, Timer], 1),
    ] {
        let sum = schedules(set, RivalServers::Two, RivalFault::None, interruptions).unwrap();
        eprintln!("{set:?}: {sum} schedules");
    }
}

/// The negative controls.
#[test]
fn an_effect_that_comes_twice_is_found_out() {
    for (set, servers, fault) in [
        // A step that somebody begins while it is at work.
        (&[Step, SameStep][..], RivalServers::One, RivalFault::None),
        (
            &[Refund, SameRefund],
            RivalServers::One,
            RivalFault::OtherIds,
        ),
        (
            &[Refund, SameRefund],
            RivalServers::Two,
            RivalFault::Unchecked,
        ),
        (
            &[Timer, SameTimer],
            RivalServers::Two,
            RivalFault::Unchecked,
        ),
    ] {
        let caught = schedules(set, servers, fault, 2).unwrap_err();
        let why = caught.why.lines().next().unwrap_or_default();
        eprintln!(
            "{set:?}, {fault:?}: found out after {} schedules: {why}",
            caught.schedules
        );
    }
}
