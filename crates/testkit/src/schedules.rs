//! Concurrency under control: threads of which one goes at a time, and whose turn is next is chosen.
//!
//! The threads are real and so is the code they run. Before a step that others may notice, a thread
//! calls [`point`] or, where it may have to wait, [`point_until`]. There it hands its turn over. So
//! every run has one schedule, the list of choices, and can be repeated; [`every_schedule`] goes
//! through all of them with a bounded number of interruptions, [`random_schedules`]
//! takes some of the rest. A thread that waits for what never happens is found at once: nobody can
//! go on.
//!
//! Outside of such a run the points do nothing.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, mpsc},
    thread,
};

/// Somebody in a run.
pub type Actor<'a> = Box<dyn FnOnce() + Send + 'a>;

/// A failure, and the number of schedules that it took.
#[derive(Debug)]
pub struct Caught {
    pub schedules: u64,
    pub why: String,
}

thread_local! {
    static PART: RefCell<Option<Part>> = const { RefCell::new(None) };
}

/// A thread's part in a run.
#[derive(Clone)]
struct Part {
    run: Arc<Run>,
    me: usize,
}

/// Whether the thread is that of an actor. Work that it has others do is then not under control.
#[must_use]
pub fn is_played() -> bool {
    PART.with_borrow(Option::is_some)
}

/// A step begins that others may notice.
pub fn point() {
    point_until(|| true);
}

/// A step begins that others may notice, and it cannot begin before it is `possible`.
pub fn point_until(possible: impl FnMut() -> bool) {
    let part = PART.with_borrow(Option::clone);
    if let Some(Part { run, me }) = part {
        run.turn_of(me, possible);
    }
}

/// A mutex is about to be locked.
pub fn before_lock<T>(mutex: &Mutex<T>) {
    point_until(|| !matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
}

/// Receives what is sent or that nobody can send any more; nothing outside of a run.
pub fn receive<T>(receiver: &mpsc::Receiver<T>) -> Option<Result<T, mpsc::RecvError>> {
    let received = Cell::new(None);
    point_until(|| {
        received.set(match receiver.try_recv() {
            Ok(sent) => Some(Ok(sent)),
            Err(mpsc::TryRecvError::Disconnected) => Some(Err(mpsc::RecvError)),
            Err(mpsc::TryRecvError::Empty) => return false,
        });
        true
    });
    received.into_inner()
}

/// Waits for a future in a run.
pub fn wait_for<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let output = Cell::new(None);
    point_until(|| match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(ready) => {
            output.set(Some(ready));
            true
        }
        std::task::Poll::Pending => false,
    });
    output.into_inner().expect("it is called in a run")
}

/// Plays `scene` under every schedule with at most `interruptions` interruptions, in which a runnable
/// thread has to wait for others, and returns the number of schedules.
pub fn every_schedule(interruptions: u32, scene: impl Fn(&Stage)) -> Result<u64, Caught> {
    let mut path = Vec::new();
    for schedules in 1.. {
        let stage = Stage::new(Choices::Path { taken: path, at: 0 }, interruptions);
        stage.try_to_play(schedules, &scene)?;
        let Choices::Path { mut taken, .. } = stage.into_choices() else {
            unreachable!()
        };
        while taken
            .pop_if(|(choice, options)| *choice + 1 == *options)
            .is_some()
        {}
        let Some((choice, _)) = taken.last_mut() else {
            return Ok(schedules);
        };
        *choice += 1;
        path = taken;
    }
    unreachable!("the numbers do not end")
}

/// Plays `scene` under a schedule for each seed, and passes the seed to it.
pub fn random_schedules(
    seeds: impl IntoIterator<Item = u64>,
    scene: impl Fn(&Stage, u64),
) -> Result<u64, Caught> {
    let mut schedules = 0;
    for seed in seeds {
        schedules += 1;
        let stage = Stage::new(Choices::Chance(fastrand::Rng::with_seed(seed)), u32::MAX);
        let seeded = |stage: &Stage| scene(stage, seed);
        stage
            .try_to_play(schedules, &seeded)
            .map_err(|caught| Caught {
                why: format!("seed {seed}: {}", caught.why),
                ..caught
            })?;
    }
    Ok(schedules)
}

/// Where a scene is played under one schedule.
pub struct Stage {
    choices: Mutex<Choices>,
    interruptions: u32,
}

impl Stage {
    fn new(choices: Choices, interruptions: u32) -> Self {
        Self {
            choices: Mutex::new(choices),
            interruptions,
        }
    }

    fn try_to_play(&self, schedules: u64, scene: &impl Fn(&Self)) -> Result<(), Caught> {
        let played = panic::catch_unwind(AssertUnwindSafe(|| scene(self)));
        played.map_err(|panic| Caught {
            schedules,
            why: words_of(&*panic),
        })
    }

    fn into_choices(self) -> Choices {
        self.choices
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the actors play until all have ended.
    ///
    /// # Panics
    /// If one of them does, or if no thread is ready.
    pub fn play(&self, actors: Vec<Actor<'_>>) {
        let choices = std::mem::replace(&mut *lock(&self.choices), Choices::none());
        let run = Arc::new(Run::new(choices, self.interruptions, actors.len()));
        thread::scope(|scope| {
            for (me, actor) in actors.into_iter().enumerate() {
                let run = Arc::clone(&run);
                scope.spawn(move || act(&run, me, actor));
            }
            run.begin();
        });
        let mut play = lock(&run.play);
        *lock(&self.choices) = std::mem::replace(&mut play.choices, Choices::none());
        if let Some(why) = play.failure.take() {
            drop(play);
            panic!("{why}");
        }
    }
}

/// What an actor's thread does.
fn act(run: &Arc<Run>, me: usize, actor: Actor<'_>) {
    PART.set(Some(Part {
        run: Arc::clone(run),
        me,
    }));
    let acted = panic::catch_unwind(AssertUnwindSafe(|| {
        run.wait_for_turn(lock(&run.play), me);
        actor();
    }));
    PART.set(None);
    run.end(me, acted.err().map(|panic| words_of(&*panic)));
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(ToString::to_string);
    literal
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned())
}

/// Where choices come from.
enum Choices {
    Chance(fastrand::Rng),
    /// Choices to be made again, each with the number of options it had; after the last, the first.
    Path {
        taken: Vec<(usize, usize)>,
        at: usize,
    },
}

impl Choices {
    fn none() -> Self {
        Self::Path {
            taken: Vec::new(),
            at: 0,
        }
    }

    fn choose(&mut self, options: usize) -> usize {
        match self {
            Self::Chance(chance) => chance.usize(..options),
            Self::Path { taken, at } => {
                if *at == taken.len() {
                    taken.push((0, options));
                }
                let (choice, known) = taken[*at];
                assert_eq!(
                    known, options,
                    "a scene goes the same way under the same schedule"
                );
                *at += 1;
                choice
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It can go on, or may try again.
    Ready,
    /// What it waits for had not happened when it last looked, and nothing has happened since.
    Waiting,
    Ended,
}

/// One run of some actors.
struct Run {
    play: Mutex<Play>,
    turns: Vec<Condvar>,
}

struct Play {
    choices: Choices,
    interruptions_left: u32,
    states: Vec<State>,
    /// Whose turn it is; nobody's before the beginning and after the end.
    turn: Option<usize>,
    /// Why the run is broken off; then every actor ends at its next point.
    failure: Option<String>,
}

impl Run {
    fn new(choices: Choices, interruptions_left: u32, actors: usize) -> Self {
        let states = vec![State::Ready; actors];
        let play = Play {
            choices,
            interruptions_left,
            states,
            turn: None,
            failure: None,
        };
        Self {
            play: Mutex::new(play),
            turns: (0..actors).map(|_| Condvar::new()).collect(),
        }
    }

    fn begin(&self) {
        self.pass_turn(&mut lock(&self.play), None);
    }

    fn turn_of(&self, me: usize, mut possible: impl FnMut() -> bool) {
        let mut play = lock(&self.play);
        // The step before this point may be what others wait for.
        play.wake();
        loop {
            self.pass_turn(&mut play, Some(me));
            self.wait_for_turn(play, me);
            if possible() {
                return;
            }
            play = lock(&self.play);
            play.states[me] = State::Waiting;
        }
    }

    fn wait_for_turn(&self, mut play: MutexGuard<'_, Play>, me: usize) {
        while play.turn != Some(me) && play.failure.is_none() {
            play = self.turns[me]
                .wait(play)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if play.failure.is_some() && !thread::panicking() {
            drop(play);
            panic::resume_unwind(Box::new("the run is broken off"));
        }
    }

    fn end(&self, me: usize, failure: Option<String>) {
        let mut play = lock(&self.play);
        play.states[me] = State::Ended;
        play.wake();
        match failure {
            Some(why) => self.break_off(&mut play, why),
            None => self.pass_turn(&mut play, Some(me)),
        }
    }

    /// Gives the turn to one of those who may have it. Who had it comes first among the options.
    fn pass_turn(&self, play: &mut Play, from: Option<usize>) {
        let can = |at: &usize| play.states[*at] == State::Ready;
        let continued = from.filter(can);
        let others = (0..play.states.len()).filter(|at| can(at) && continued != Some(*at));
        let options: Vec<usize> = continued.into_iter().chain(others).collect();
        play.turn = match options[..] {
            [] if play.states.iter().all(|state| *state == State::Ended) => None,
            [] => return self.break_off(play, "no thread is ready".to_owned()),
            [only] => Some(only),
            [first, ..] if continued.is_some() && play.interruptions_left == 0 => Some(first),
            _ => {
                let chosen = play.choices.choose(options.len());
                play.interruptions_left -= u32::from(continued.is_some() && chosen > 0);
                Some(options[chosen])
            }
        };
        if let Some(next) = play.turn.filter(|_| play.turn != from) {
            self.turns[next].notify_one();
        }
    }

    fn break_off(&self, play: &mut Play, why: String) {
        play.failure.get_or_insert(why);
        self.turns.iter().for_each(Condvar::notify_one);
    }
}

impl Play {
    fn wake(&mut self) {
        for state in self
            .states
            .iter_mut()
            .filter(|state| **state == State::Waiting)
        {
            *state = State::Ready;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Two threads add one to a number, reading and writing in two steps.
    fn lost_update(stage: &Stage) {
        let number = AtomicU32::new(0);
        let add = || {
            point();
            let read = number.load(Ordering::SeqCst);
            point();
            number.store(read + 1, Ordering::SeqCst);
        };
        stage.play(vec![Box::new(add), Box::new(add)]);
        assert_eq!(number.into_inner(), 2, "an update is lost");
    }

    /// Two threads take two locks in opposite order.
    fn embrace(stage: &Stage) {
        let locks = [Mutex::new(()), Mutex::new(())];
        let take = |first: usize, second: usize| {
            before_lock(&locks[first]);
            let _first = lock(&locks[first]);
            before_lock(&locks[second]);
            let _second = lock(&locks[second]);
        };
        stage.play(vec![Box::new(|| take(0, 1)), Box::new(|| take(1, 0))]);
    }

    #[test]
    fn a_failure_under_some_schedule_is_found() {
        let found = every_schedule(1, lost_update).unwrap_err();
        assert!(found.why.contains("an update is lost"), "{found:?}");
        assert!(random_schedules(0..100, |stage, _| lost_update(stage)).is_err());
        let found = every_schedule(1, embrace).unwrap_err();
        assert_eq!(found.why, "no thread is ready");
    }

    #[test]
    fn every_order_of_steps_is_played() {
        let seen = Mutex::new(Vec::new());
        every_schedule(u32::MAX, |stage| {
            let trace = Mutex::new(String::new());
            let step = |name: char| {
                point();
                lock(&trace).push(name);
            };
            stage.play(vec![
                Box::new(|| {
                    step('a');
                    step('b');
                }),
                Box::new(|| {
                    step('x');
                    step('y');
                }),
            ]);
            lock(&seen).push(trace.into_inner().unwrap());
        })
        .unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["abxy", "axby", "axyb", "xaby", "xayb", "xyab"]);
        let uninterrupted = every_schedule(0, |stage| {
            stage.play(vec![Box::new(point), Box::new(point)]);
        });
        assert_eq!(uninterrupted.unwrap(), 2);
    }
}
