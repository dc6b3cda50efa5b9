//! Rate and concurrency limits of each caller.

use std::sync::Arc;

use dashmap::DashMap;
use governor::{
    Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware, state::keyed::DashMapStateStore,
};
use std::time::Duration;

use super::{AccessPolicy, AuthError, Caller};

/// Rate limiter state by caller, kept while a caller's allowance is not full.
type Rates<C> =
    RateLimiter<Caller, DashMapStateStore<Caller>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Concurrent calls by caller. A caller without calls has no entry.
type CallCounts = DashMap<Caller, usize>;

/// The limits of all callers, and what each has used.
#[derive(Debug)]
pub(super) struct CallerLimits<C: Clock> {
    rates: Option<Rates<C>>,
    clock: C,
    max_in_flight: usize,
    /// Counted only if there is a limit.
    in_flight: Option<Arc<CallCounts>>,
}

/// Counts a call as in flight until it is dropped.
#[derive(Debug)]
pub struct Permit {
    counted: Option<(Arc<CallCounts>, Caller)>,
}

impl<C: Clock + Clone> CallerLimits<C> {
    pub(super) fn new(policy: &AccessPolicy, clock: C) -> Self {
        let quota = policy
            .rate
            .map(|rate| Quota::per_second(rate).allow_burst(policy.burst));
        Self {
            rates: quota.map(|quota| RateLimiter::dashmap_with_clock(quota, clock.clone())),
            clock,
            max_in_flight: policy.max_in_flight.unwrap_or(usize::MAX),
            in_flight: policy.max_in_flight.map(|_| Arc::default()),
        }
    }

    /// Counts one more call of a caller.
    pub(super) fn admit(&self, caller: &Caller) -> Result<Permit, AuthError> {
        // The rate first: a call beyond the concurrency limit counts against the rate as well.
        self.count(caller)?;
        let Some(in_flight) = &self.in_flight else {
            return Ok(Permit { counted: None });
        };
        let mut calls = in_flight.entry(caller.clone()).or_default();
        if *calls >= self.max_in_flight {
            return Err(AuthError::ConcurrencyLimit);
        }
        *calls += 1;
        // The entry holds a lock of the map, which the drop of a permit needs.
        drop(calls);
        Ok(Permit {
            counted: Some((Arc::clone(in_flight), caller.clone())),
        })
    }

    /// Counts one more call against the rate only.
    pub(super) fn count(&self, caller: &Caller) -> Result<(), AuthError> {
        let Some(rates) = &self.rates else {
            return Ok(());
        };
        rates.check_key(caller).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            // The delay is reported in whole milliseconds, rounded up, so that a retry after it succeeds.
            AuthError::RateLimited {
                wait: Duration::from_millis(millis(wait) + 1),
            }
        })
    }

    /// Drops the state of callers whose allowance is full again.
    pub(super) fn remove_idle(&self) {
        if let Some(rates) = &self.rates {
            rates.retain_recent();
            // A flood of addresses would otherwise keep its memory for ever.
            rates.shrink_to_fit();
        }
    }
}

fn millis(time: Duration) -> u64 {
    // One below the maximum, because the caller adds one.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 1)
}

impl Permit {
    /// Whether anything depends on when it is dropped.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.counted.is_some()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((in_flight, caller)) = &self.counted {
            // Decrement and removal under one lock of the entry: another call may be counted at the same time.
            in_flight.remove_if_mut(caller, |_, calls| {
                *calls -= 1;
                *calls == 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(
        rate: u32,
        burst: u32,
        max_in_flight: usize,
    ) -> (CallerLimits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let policy = AccessPolicy {
            certificates: false,
            health_open: false,
            max_password_checks: 1,
            rate: NonZeroU32::new(rate),
            burst: NonZeroU32::new(burst).unwrap(),
            max_in_flight: (max_in_flight > 0).then_some(max_in_flight),
        };
        (CallerLimits::new(&policy, clock.clone()), clock)
    }

    fn user(name: &str) -> Caller {
        Caller::User(name.into())
    }

    #[test]
    fn without_limits_all_come_in_and_nothing_is_kept() {
        let (limits, _) = limits(0, 1, 0);
        for _ in 0..1000 {
            assert!(!limits.admit(&user("ada")).unwrap().is_counted());
        }
        limits.remove_idle();
    }

    #[test]
    fn a_caller_has_a_burst_and_then_a_rate_of_his_own() {
        let (limits, clock) = limits(10, 3, 0);
        let (ada, grace) = (user("ada"), user("grace"));
        let calls =
            |caller, count: usize| (0..count).filter(|_| limits.admit(caller).is_ok()).count();
        assert_eq!(calls(&ada, 5), 3);
        assert_eq!(calls(&grace, 5), 3);
        for millis in [99, 1] {
            clock.advance(Duration::from_millis(millis));
            assert_eq!(calls(&ada, 5), usize::from(millis == 1), "{millis}");
        }
        clock.advance(Duration::from_secs(3600));
        assert_eq!(calls(&ada, 5), 3, "a rest makes no more than a burst");
    }

    #[test]
    fn a_rate_limited_caller_gets_its_retry_delay() {
        let (limits, clock) = limits(4, 1, 0);
        let ada = user("ada");
        assert!(limits.admit(&ada).is_ok());
        clock.advance(Duration::from_millis(100));
        let Err(AuthError::RateLimited { wait }) = limits.admit(&ada) else {
            panic!()
        };
        assert!((150..=152).contains(&wait.as_millis()), "{wait:?}");
        clock.advance(wait);
        assert!(limits.admit(&ada).is_ok());
    }

    #[test]
    fn idle_callers_are_removed() {
        let (limits, clock) = limits(10, 5, 7);
        for number in 0..100 {
            limits.admit(&user(&number.to_string())).unwrap();
        }
        let kept = || limits.rates.as_ref().unwrap().len();
        assert_eq!((kept(), limits.in_flight.as_ref().unwrap().len()), (100, 0));
        limits.remove_idle();
        assert_eq!(kept(), 100);
        clock.advance(Duration::from_secs(1));
        limits.admit(&user("7")).unwrap();
        limits.remove_idle();
        assert_eq!(kept(), 1);
    }

    #[test]
    fn so_many_calls_of_a_caller_go_on_at_once() {
        let (limits, _) = limits(0, 1, 2);
        let (ada, grace) = (user("ada"), user("grace"));
        let (first, _second) = (limits.admit(&ada).unwrap(), limits.admit(&ada).unwrap());
        assert_eq!(limits.admit(&ada).unwrap_err(), AuthError::ConcurrencyLimit);
        assert!(limits.admit(&grace).unwrap().is_counted());
        drop(first);
        let _third = limits.admit(&ada).unwrap();
        assert_eq!(limits.admit(&ada).unwrap_err(), AuthError::ConcurrencyLimit);
    }
}
