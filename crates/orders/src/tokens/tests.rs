use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use testkit::schedules::{Stage, every_schedule, point, wait_for};

#[tokio::test]
async fn the_second_waits_until_the_first_lets_go() {
    let tokens = Tokens::default();
    let TokenLock::Acquired(guard) = tokens.try_lock(&"t".into()) else {
        panic!("the token was free")
    };
    let TokenLock::Held(waiting) = tokens.try_lock(&"t".into()) else {
        panic!("the token was taken")
    };
    let waiter = tokio::spawn(released(waiting));
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    drop(guard);
    waiter.await.unwrap();
    assert!(matches!(
        tokens.try_lock(&"t".into()),
        TokenLock::Acquired(_)
    ));
}

#[test]
fn tokens_do_not_stand_in_each_others_way() {
    let tokens = Tokens::default();
    let first = tokens.try_lock(&"a".into());
    assert!(matches!(
        tokens.try_lock(&"b".into()),
        TokenLock::Acquired(_)
    ));
    drop(first);
    assert!(tokens.in_flight.is_empty(), "nothing is left behind");
}

/// Orders being created under one token, as the application does it: lock, look up, act, release.
#[derive(Default)]
struct Desk {
    tokens: Tokens,
    acting: AtomicU32,
    orders: AtomicU32,
}

/// What callers do, so that it can be done wrong.
#[derive(Clone, Copy)]
struct Manner {
    claim: fn(&Desk) -> TokenLock,
    /// What becomes of the token where there is no order.
    give_up: fn(TokenGuard),
}

const RIGHT: Manner = Manner {
    claim: |desk| desk.tokens.try_lock(&"t".into()),
    give_up: drop,
};

impl Desk {
    /// Creates the order unless it is there, or tries to in vain.
    fn create(&self, manner: Manner, in_vain: bool) {
        loop {
            point();
            match (manner.claim)(self) {
                TokenLock::Acquired(guard) => return self.act(guard, manner, in_vain),
                TokenLock::Held(waiting) => wait_for(released(waiting)),
            }
        }
    }

    fn act(&self, guard: TokenGuard, manner: Manner, in_vain: bool) {
        point();
        if self.orders.load(Ordering::SeqCst) > 0 {
            return;
        }
        assert_eq!(
            self.acting.fetch_add(1, Ordering::SeqCst),
            0,
            "two act under one token"
        );
        point();
        self.acting.fetch_sub(1, Ordering::SeqCst);
        if in_vain {
            return (manner.give_up)(guard);
        }
        self.orders.fetch_add(1, Ordering::SeqCst);
    }
}

/// Three callers under one token, one of them in vain.
fn three_callers(stage: &Stage, manner: Manner) {
    let desk = Desk::default();
    let at = &desk;
    let caller = |in_vain| Box::new(move || at.create(manner, in_vain)) as _;
    stage.play([true, false, false].map(caller).into());
    assert_eq!(desk.orders.into_inner(), 1);
    assert!(desk.tokens.in_flight.is_empty(), "nothing is left behind");
}

#[test]
fn the_lock_is_exclusive_and_always_released_under_every_schedule() {
    let schedules = every_schedule(3, |stage| three_callers(stage, RIGHT)).unwrap();
    eprintln!("{schedules} schedules");
}

fn looked_at_and_then_claimed(desk: &Desk) -> TokenLock {
    let taken = desk
        .tokens
        .in_flight
        .get("t")
        .map(|waiting| waiting.clone());
    point();
    if let Some(waiting) = taken {
        return TokenLock::Held(waiting);
    }
    let (done, waiting) = watch::channel(());
    desk.tokens.in_flight.insert("t".into(), waiting);
    TokenLock::Acquired(TokenGuard {
        tokens: desk.tokens.clone(),
        token: "t".into(),
        _done: done,
    })
}

/// The negative control.
#[test]
fn a_lock_in_two_steps_and_a_token_that_is_not_released_are_detected() {
    for (manner, expected) in [
        (
            Manner {
                claim: looked_at_and_then_claimed,
                ..RIGHT
            },
            "two act under one token",
        ),
        (
            Manner {
                give_up: std::mem::forget,
                ..RIGHT
            },
            "no thread is ready",
        ),
    ] {
        let caught = every_schedule(3, |stage| three_callers(stage, manner)).unwrap_err();
        assert!(caught.why.contains(expected), "{}", caught.why);
        eprintln!("{expected}: detected after {} schedules", caught.schedules);
    }
}
