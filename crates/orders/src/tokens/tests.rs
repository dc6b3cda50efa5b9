use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use testkit::schedules::{Stage, every_schedule, point, wait_for};

fn lock(tokens: &Tokens, token: &str) -> TokenLock {
    tokens.try_lock(RequestKey::of(&token.into()), LockedFor::Order)
}

#[test]
fn the_request_of_a_cart_is_found_by_its_owner() {
    let request = RequestKey::of(&"t".into());
    let mut carts = Vec::new();
    for owner in [None, Some("ada"), Some("bob")] {
        let cart = request.cart_of(owner);
        assert_eq!(RequestKey::of_cart(cart, owner), request, "{owner:?}");
        carts.push(cart);
    }
    assert!(carts[0] != carts[1] && carts[1] != carts[2] && carts[0] != carts[2]);
    assert_ne!(RequestKey::of(&"u".into()).cart_of(None), carts[0]);
}

#[test]
fn a_cart_is_forgone_only_while_its_order_is_in_flight_and_its_lock_waits_for_that() {
    let tokens = Tokens::default();
    let key = RequestKey::of(&"t".into());
    let carts = [Some("ada"), Some("bob")].map(|owner| key.cart_of(owner));
    assert!(!tokens.forgo(key, carts[0]), "nothing is in flight");
    let TokenLock::Acquired(guard) = tokens.try_lock(key, LockedFor::Hold) else {
        panic!("the token was free")
    };
    assert!(!tokens.forgo(key, carts[0]), "another check is");
    guard.release().unwrap();

    let TokenLock::Acquired(guard) = lock(&tokens, "t") else {
        panic!("the token was free")
    };
    for cart in [carts[0], carts[1], carts[0]] {
        assert!(tokens.forgo(key, cart));
    }
    let forgone = guard.release().unwrap_err();
    assert_eq!(forgone.carts, carts, "each once");
    assert!(matches!(lock(&tokens, "t"), TokenLock::Held(_)));
    assert!(tokens.forgo(key, carts[1]));
    let forgone = forgone.guard.release().unwrap_err();
    assert_eq!(forgone.carts, [carts[1]]);
    forgone.guard.release().unwrap();
    assert!(tokens.in_flight.is_empty());
}

#[tokio::test]
async fn the_second_waits_until_the_first_lets_go() {
    let tokens = Tokens::default();
    let TokenLock::Acquired(guard) = lock(&tokens, "t") else {
        panic!("the token was free")
    };
    let TokenLock::Held(waiting) = lock(&tokens, "t") else {
        panic!("the token was taken")
    };
    let waiter = tokio::spawn(released(waiting));
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    drop(guard);
    waiter.await.unwrap();
    assert!(matches!(lock(&tokens, "t"), TokenLock::Acquired(_)));
}

#[test]
fn tokens_do_not_stand_in_each_others_way() {
    let tokens = Tokens::default();
    let first = lock(&tokens, "a");
    assert!(matches!(lock(&tokens, "b"), TokenLock::Acquired(_)));
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
    claim: |desk| lock(&desk.tokens, "t"),
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
    let key = RequestKey::of(&"t".into());
    let taken = desk
        .tokens
        .in_flight
        .get_mut(&key)
        .map(|mut in_flight| in_flight.wait());
    point();
    if let Some(waiting) = taken {
        return TokenLock::Held(waiting);
    }
    let in_flight = InFlight {
        locked_for: LockedFor::Order,
        done: None,
        forgone: Vec::new(),
    };
    desk.tokens.in_flight.insert(key, in_flight);
    TokenLock::Acquired(TokenGuard {
        tokens: Some(desk.tokens.clone()),
        key,
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
