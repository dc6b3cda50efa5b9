//! The queue of passwords to be verified.
//!
//! An Argon2 verification occupies a core for tens of milliseconds, so calls with unknown passwords queue. The order
//! makes a flood of guesses queue behind itself:
//!
//! 1. Fairness between addresses: the address that was served least recently is next.
//! 2. Within an address, the connection with the fewest failures is next. A new caller passes all who guess, even
//!    from the same address, such as that of a proxy.
//! 3. Of those, the latest is next (LIFO), because the calls before it may be the first guesses of a flood.
//!
//! User names play no part: a queue per existing name would disclose which names exist.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Maximum length of the queue. Beyond it, the oldest call of the worst connection of the largest flood is rejected.
pub(super) const MAX_WAITING: usize = 512;

/// Permits for password verification. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct VerificationQueue(Arc<Mutex<QueueState>>);

#[derive(Debug)]
struct QueueState {
    /// Free permits.
    free: usize,
    waiting: Vec<WaitingCall>,
    /// Addresses with a queued or running verification, so that the map is bounded by both.
    addresses: HashMap<IpAddr, AddressLoad>,
    arrivals: u64,
    /// Permits granted so far.
    granted: u64,
}

#[derive(Debug)]
struct WaitingCall {
    address: IpAddr,
    /// Wrong passwords of its connection.
    failures: u32,
    arrival: u64,
    sender: oneshot::Sender<VerificationPermit>,
}

#[derive(Debug, Default)]
struct AddressLoad {
    waiting: usize,
    running: usize,
    /// The number of its last permit; 0 is none.
    last_permit: u64,
}

/// A permit to verify one password, released when it is dropped.
#[derive(Debug)]
pub(super) struct VerificationPermit {
    verifications: VerificationQueue,
    address: IpAddr,
}

impl VerificationQueue {
    /// At most `permits` verifications at a time.
    pub(super) fn new(permits: usize) -> Self {
        Self(Arc::new(Mutex::new(QueueState {
            free: permits,
            waiting: Vec::new(),
            addresses: HashMap::new(),
            arrivals: 0,
            granted: 0,
        })))
    }

    /// Waits for a permit, for a connection from `address` with this number of failures. `None` if
    /// the queue is full and this call is the worst in it.
    pub(super) async fn acquire(
        &self,
        address: IpAddr,
        failures: u32,
    ) -> Option<VerificationPermit> {
        let (sender, permit) = oneshot::channel();
        // The new call is added first and may be displaced itself.
        let displaced = self.state().add(address, failures, sender);
        // Dropping its sender tells the displaced call. That happens outside of the lock.
        drop(displaced);
        self.grant();
        permit.await.ok()
    }

    /// Grants the free permits to the calls that are next.
    fn grant(&self) {
        // The lock is not held while a permit is sent: a permit that cannot be delivered is dropped here, and its
        // drop takes the lock.
        while let Some(next) = self.next() {
            let permit = VerificationPermit {
                verifications: self.clone(),
                address: next.address,
            };
            // An undelivered permit comes back in the error, and its drop releases it.
            drop(next.sender.send(permit));
        }
    }

    fn next(&self) -> Option<WaitingCall> {
        self.state().take_next()
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    /// Adds a call to the queue, and returns the displaced one if the queue is full.
    fn add(
        &mut self,
        address: IpAddr,
        failures: u32,
        sender: oneshot::Sender<VerificationPermit>,
    ) -> Option<WaitingCall> {
        self.drop_disconnected();
        self.arrivals += 1;
        self.addresses.entry(address).or_default().waiting += 1;
        self.waiting.push(WaitingCall {
            address,
            failures,
            arrival: self.arrivals,
            sender,
        });
        // With a free permit the queue is about to become shorter, so nobody has to go.
        if self.waiting.len() <= MAX_WAITING || self.free > 0 {
            return None;
        }
        // A linear search: the queue has at most a few hundred entries, and an Argon2 run takes
        // tens of milliseconds.
        let worst = self.waiting.iter().enumerate().max_by_key(|(_, waiting)| {
            let of_address = self
                .addresses
                .get(&waiting.address)
                .map_or(0, |address| address.waiting);
            (of_address, waiting.failures, Reverse(waiting.arrival))
        });
        let (at, _) = worst?;
        Some(self.remove(at))
    }

    /// Takes the next call out of the queue and counts its permit.
    fn take_next(&mut self) -> Option<WaitingCall> {
        if self.free == 0 {
            return None;
        }
        self.drop_disconnected();
        let next = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| {
            let last_permit = self
                .addresses
                .get(&waiting.address)
                .map_or(0, |address| address.last_permit);
            (last_permit, waiting.failures, Reverse(waiting.arrival))
        });
        let (at, _) = next?;
        self.free -= 1;
        self.granted += 1;
        let last_permit = self.granted;
        let next_address = self.waiting[at].address;
        let address = self.addresses.entry(next_address).or_default();
        address.running += 1;
        address.last_permit = last_permit;
        Some(self.remove(at))
    }

    fn remove(&mut self, at: usize) -> WaitingCall {
        // Swapped, because the order of the vector has no meaning: arrivals are numbered.
        let waiting = self.waiting.swap_remove(at);
        self.leave(waiting.address, |address| address.waiting -= 1);
        waiting
    }

    fn release(&mut self, address: IpAddr) {
        self.free += 1;
        self.leave(address, |address| address.running -= 1);
    }

    /// Updates the load of an address, and drops the address once it is idle.
    fn leave(&mut self, of: IpAddr, change: impl FnOnce(&mut AddressLoad)) {
        if let Some(address) = self.addresses.get_mut(&of) {
            change(address);
            if address.waiting + address.running == 0 {
                self.addresses.remove(&of);
            }
        }
    }

    /// Calls whose clients have disconnected must not delay the others.
    fn drop_disconnected(&mut self) {
        let mut at = 0;
        while at < self.waiting.len() {
            if self.waiting[at].sender.is_closed() {
                // `at` stays, because the last entry has moved into its place.
                drop(self.remove(at));
            } else {
                at += 1;
            }
        }
    }
}

impl Drop for VerificationPermit {
    fn drop(&mut self) {
        self.verifications.state().release(self.address);
        // After the release, and outside of the lock, which `grant` takes itself.
        self.verifications.grant();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::{FutureExt, future::BoxFuture};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn address(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    /// A call that waits.
    fn call(
        verifications: &VerificationQueue,
        of: u8,
        failures: u32,
    ) -> BoxFuture<'static, Option<VerificationPermit>> {
        let verifications = verifications.clone();
        let mut call = async move { verifications.acquire(address(of), failures).await }.boxed();
        poll(&mut call).map_or(call, |turn| async { turn }.boxed())
    }

    #[expect(
        clippy::option_option,
        reason = "a call waits, is rejected, or has its turn"
    )]
    fn poll(
        call: &mut BoxFuture<'static, Option<VerificationPermit>>,
    ) -> Option<Option<VerificationPermit>> {
        Pin::new(call).now_or_never()
    }

    /// In which order these calls have their turns, while somebody else has the only one.
    fn order(calls: &[(u8, u32)]) -> Vec<usize> {
        let verifications = VerificationQueue::new(1);
        let mut turn = poll(&mut call(&verifications, 0, 0)).unwrap();
        let mut waiting: Vec<_> = calls
            .iter()
            .map(|(of, failures)| call(&verifications, *of, *failures))
            .enumerate()
            .collect();
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(turn);
            let next = waiting
                .iter_mut()
                .enumerate()
                .find_map(|(at, (_, call))| Some((at, poll(call)?)));
            let (at, granted) = next.unwrap();
            turn = granted;
            order.push(waiting.remove(at).0);
        }
        order
    }

    #[test]
    fn floods_queue_behind_themselves() {
        for (calls, expected) in [
            // A lone caller from elsewhere passes a flood, and the flood continues after it.
            (&[(1, 0), (1, 0), (1, 0), (2, 0)][..], &[3, 2, 1, 0][..]),
            (&[(1, 0), (2, 0), (1, 0), (2, 0)], &[3, 2, 1, 0]),
            // From one address, a connection without failures passes connections with some.
            (&[(1, 3), (1, 1), (1, 0), (1, 2)], &[2, 1, 3, 0]),
            // And among the first guesses of a flood, the latest.
            (&[(1, 0), (1, 0), (1, 0)], &[2, 1, 0]),
            // Addresses take turns, whatever has failed there.
            (&[(1, 0), (1, 0), (2, 9), (2, 9)], &[1, 3, 0, 2]),
        ] {
            assert_eq!(order(calls), expected, "{calls:?}");
        }
    }

    #[test]
    fn a_full_queue_rejects_the_oldest_and_worst_of_the_largest_flood() {
        let verifications = VerificationQueue::new(1);
        let _turn = poll(&mut call(&verifications, 0, 0)).unwrap();
        let mut other = call(&verifications, 2, 9);
        let mut flood: Vec<_> = (1..MAX_WAITING)
            .map(|_| call(&verifications, 1, 1))
            .collect();
        assert!(flood.iter_mut().all(|call| poll(call).is_none()));
        let mut latest = call(&verifications, 1, 0);
        let rejected: Vec<_> = flood
            .iter_mut()
            .map(|call| matches!(poll(call), Some(None)))
            .collect();
        assert_eq!(rejected.iter().position(|rejected| *rejected), Some(0));
        assert_eq!(rejected.iter().filter(|rejected| **rejected).count(), 1);
        assert!(poll(&mut latest).is_none() && poll(&mut other).is_none());
        let mut worse = call(&verifications, 1, 2);
        assert!(
            matches!(poll(&mut worse), Some(None)),
            "the latest itself is the worst"
        );
    }

    #[test]
    fn a_disconnected_caller_leaves_the_queue_and_returns_its_permit() {
        let verifications = VerificationQueue::new(1);
        let turn = poll(&mut call(&verifications, 0, 0)).unwrap();
        let (gone, mut next) = (call(&verifications, 1, 0), call(&verifications, 2, 0));
        drop(gone);
        drop(turn);
        // It has been granted the turn and hangs up before it knows.
        drop(poll(&mut next).unwrap().unwrap());
        let turn = poll(&mut call(&verifications, 3, 0)).unwrap();
        let granted_unseen = call(&verifications, 4, 0);
        drop(turn);
        drop(granted_unseen);
        assert!(poll(&mut call(&verifications, 5, 0)).is_some());
    }

    proptest! {
        #[test]
        fn turns_are_as_many_as_may_be_and_nothing_is_left_behind(
            turns in 1_usize..4,
            steps in vec((0_u8..4, 0_u32..3, 0_u8..4), 0..60),
        ) {
            let verifications = VerificationQueue::new(turns);
            let (mut calls, mut held) = (Vec::new(), Vec::new());
            for (of, failures, step) in steps {
                match step {
                    0 => drop((!calls.is_empty()).then(|| calls.remove(usize::from(of) % calls.len()))),
                    1 => drop((!held.is_empty()).then(|| held.remove(usize::from(of) % held.len()))),
                    _ => calls.push(call(&verifications, of, failures)),
                }
                for mut waiting in std::mem::take(&mut calls) {
                    match poll(&mut waiting) {
                        Some(turn) => held.push(turn.unwrap()),
                        None => calls.push(waiting),
                    }
                }
                prop_assert!(held.len() <= turns);
                prop_assert!(held.len() == turns || calls.is_empty(), "a turn is free and somebody waits");
            }
            drop(calls);
            drop(held);
            verifications.state().drop_disconnected();
            let state = verifications.state();
            prop_assert_eq!((state.free, state.waiting.len(), state.addresses.len()), (turns, 0, 0));
        }
    }
}
