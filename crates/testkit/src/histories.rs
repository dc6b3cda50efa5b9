//! Histories of overlapping calls, and the check that they are linearizable.

use std::{
    collections::HashSet,
    fmt::Debug,
    hash::Hash,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::schedules::point;

/// A sequential specification: the answer to a call that overlaps no other.
pub trait Sequential: Clone + Eq + Hash {
    type Call: Debug;
    type Answer: PartialEq + Debug;

    fn answer(&mut self, call: &Self::Call) -> Self::Answer;
}

/// A call and its answer, with the moments of its start and its end.
#[derive(Debug)]
struct Event<C, A> {
    began: u64,
    ended: u64,
    call: C,
    answer: A,
}

/// The calls and their answers.
pub struct History<M: Sequential> {
    moment: AtomicU64,
    events: Mutex<Vec<Event<M::Call, M::Answer>>>,
}

impl<M: Sequential> Default for History<M> {
    fn default() -> Self {
        Self {
            moment: AtomicU64::new(0),
            events: Mutex::default(),
        }
    }
}

impl<M: Sequential> History<M> {
    /// Performs a call and records its answer. Others may be scheduled between its start and its work.
    pub fn record(&self, call: M::Call, perform: impl FnOnce(&M::Call) -> M::Answer) {
        let began = self.moment.fetch_add(1, Ordering::SeqCst);
        point();
        let answer = perform(&call);
        let ended = self.moment.fetch_add(1, Ordering::SeqCst);
        self.events.lock().unwrap().push(Event {
            began,
            ended,
            call,
            answer,
        });
    }

    /// Fails unless there is an order of all calls in which each gets the answer it got and none comes
    /// before another that had ended when it began.
    pub fn must_be_linearizable(self, start: &M) {
        let events = self.events.into_inner().unwrap();
        assert!(events.len() <= 64, "a set of calls is kept in 64 bits");
        let is_linearizable = Search {
            events: &events,
            seen: HashSet::new(),
        }
        .can_continue(0, start);
        assert!(is_linearizable, "not linearizable:\n{}", lines(events));
    }
}

/// A line for each call, with the moments of its beginning and its end.
fn lines<C: Debug, A: Debug>(mut events: Vec<Event<C, A>>) -> String {
    events.sort_unstable_by_key(|event| event.began);
    let line =
        |Event {
             began,
             ended,
             call,
             answer,
         }: &Event<C, A>| { format!("{began:3} to {ended:3}: {call:?} -> {answer:?}\n") };
    events.iter().map(line).collect()
}

/// The search of Wing and Gong, which visits no state twice.
struct Search<'a, M: Sequential> {
    events: &'a [Event<M::Call, M::Answer>],
    seen: HashSet<(u64, M)>,
}

impl<M: Sequential> Search<'_, M> {
    /// Whether the calls that are not in the set `done` can follow in some order.
    fn can_continue(&mut self, done: u64, state: &M) -> bool {
        let open = |at: &usize| done & 1 << at == 0;
        let Some(first_end) = (0..self.events.len())
            .filter(open)
            .map(|at| self.events[at].ended)
            .min()
        else {
            return true;
        };
        if !self.seen.insert((done, state.clone())) {
            return false;
        }
        (0..self.events.len()).filter(open).any(|at| {
            let Event {
                began,
                call,
                answer,
                ..
            } = &self.events[at];
            let mut next = state.clone();
            *began < first_end
                && next.answer(call) == *answer
                && self.can_continue(done | 1 << at, &next)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Register(u32);

    #[derive(Debug)]
    enum Call {
        Write(u32),
        Read,
    }

    impl Sequential for Register {
        type Call = Call;
        type Answer = u32;

        fn answer(&mut self, call: &Call) -> u32 {
            if let Call::Write(number) = call {
                self.0 = *number;
            }
            self.0
        }
    }

    /// Whether a history of (began, ended, call, answer) is linearizable.
    fn is_linearizable(events: Vec<(u64, u64, Call, u32)>) -> bool {
        let event = |(began, ended, call, answer)| Event {
            began,
            ended,
            call,
            answer,
        };
        let events: Vec<_> = events.into_iter().map(event).collect();
        Search {
            events: &events,
            seen: HashSet::new(),
        }
        .can_continue(0, &Register(0))
    }

    #[test]
    fn a_call_takes_effect_between_its_beginning_and_its_end() {
        let write = || (0, 3, Call::Write(1), 1);
        assert!(is_linearizable(vec![write(), (1, 2, Call::Read, 0)]));
        assert!(is_linearizable(vec![write(), (1, 2, Call::Read, 1)]));
        assert!(!is_linearizable(vec![write(), (1, 2, Call::Read, 2)]));
        assert!(
            !is_linearizable(vec![write(), (4, 5, Call::Read, 0)]),
            "it had ended"
        );
        assert!(
            !is_linearizable(vec![write(), (1, 2, Call::Read, 1), (4, 5, Call::Read, 0)]),
            "it was seen"
        );
        assert!(!is_linearizable(vec![
            (0, 3, Call::Write(1), 1),
            (1, 2, Call::Read, 1),
            (2, 6, Call::Read, 0)
        ]));
    }
}
