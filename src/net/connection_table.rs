//! The open connections of a listener, and the eviction of idle ones when their number reaches a
//! limit.
//!
//! An idle connection must not keep new ones out. When all places are taken, the connection that
//! has been idle longest is evicted. When one address holds its share, only connections of that
//! address are evicted. If no connection is idle, the new one waits for a place, or is closed if
//! its own address is over its share.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{sync::Notify, time::Instant};

use super::{
    connection::{Activity, ConnectionWaiters},
    network,
};
use kernel::metrics::{Collect, Counter, Metric};

/// Connections that may be closing beyond `max`, so that new connections do not wait for the peers
/// of evicted ones to close.
pub(crate) const CLOSING: usize = 64;

/// Open connections within their limits.
#[derive(Debug)]
pub(crate) struct ConnectionTable {
    limits: ConnectionLimits,
    state: Mutex<TableState>,
    /// New connections that wait because no open one can be evicted.
    waiters: Arc<ConnectionWaiters>,
    stats: ConnectionStats,
}

/// The limits of open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// In all.
    pub(crate) max: usize,
    /// From one address; of IPv6, from one network of 64 bits.
    pub(crate) max_per_address: usize,
}

/// Counters of evicted and rejected connections.
#[derive(Debug, Default)]
pub(crate) struct ConnectionStats {
    /// Evicted because all places were taken.
    pub(crate) closed_for_others: Counter,
    /// Evicted because their address held all of its share.
    pub(crate) closed_for_address: Counter,
    /// Closed at once, because their address held all of its share and none of its connections was
    /// idle.
    pub(crate) rejected: Counter,
}

/// Idle connections as of the last scan, the longest idle first. A connection that becomes idle
/// later sorts behind all of them, so the order holds until the queue is empty.
type Idle = VecDeque<(u64, Instant)>;

/// Why a new connection has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// All places are taken by connections with calls.
    Full,
    /// All places of its address are taken by connections with calls.
    AddressFull,
}

#[derive(Debug, Default)]
struct TableState {
    open: HashMap<u64, Arc<Tracked>>,
    by_address: HashMap<IpAddr, AddressConnections>,
    /// Number of connections in `open` that have been evicted.
    closing: usize,
    next_id: u64,
    idle: Idle,
}

/// The connections of one address, without evicted ones.
#[derive(Debug, Default)]
struct AddressConnections {
    open: usize,
    idle: Idle,
}

/// A connection as the table sees it.
#[derive(Debug)]
struct Tracked {
    address: IpAddr,
    activity: Arc<Activity>,
    is_closing: AtomicBool,
    evicted: Notify,
}

/// A place in the table, released on drop.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    table: Arc<ConnectionTable>,
    id: u64,
    address: IpAddr,
    tracked: Arc<Tracked>,
}

impl ConnectionTable {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            waiters: Arc::default(),
            stats: ConnectionStats::default(),
        }
    }

    pub(crate) fn limits(&self) -> ConnectionLimits {
        self.limits
    }

    pub(crate) fn stats(&self) -> &ConnectionStats {
        &self.stats
    }

    /// Number of open connections, without evicted ones.
    pub(crate) fn open(&self) -> usize {
        let state = self.state();
        state.open.len() - state.closing
    }

    /// Whether new connections have to wait, because every open connection has a call in flight.
    pub(crate) fn is_full(&self) -> bool {
        self.waiters.are_waiting()
    }

    /// Waits for a place. `None` if the address is over its share.
    pub(crate) async fn place(self: &Arc<Self>, address: IpAddr) -> Option<OpenConnection> {
        let mut placed = self.try_place(address);
        if matches!(placed, Err(NoRoom::Full)) {
            let waiting = self.waiters.wait();
            loop {
                // Registered before the attempt, so that a connection that ends or becomes idle after
                // the attempt still wakes this one.
                let changed = waiting.changed();
                placed = self.try_place(address);
                if !matches!(placed, Err(NoRoom::Full)) {
                    break;
                }
                changed.await;
            }
        }
        placed.ok()
    }

    /// Takes a free place, or evicts an idle connection to make one.
    pub(crate) fn try_place(self: &Arc<Self>, address: IpAddr) -> Result<OpenConnection, NoRoom> {
        let of_network = network(address);
        let mut state = self.state();
        // Checked under the same lock as the insert: two attempts at once cannot both take the last
        // place.
        self.make_room(&mut state, of_network)?;
        let id = state.next_id;
        // Never reused: an id in an old idle queue must not name a newer connection.
        state.next_id += 1;
        let tracked = Arc::new(Tracked {
            address: of_network,
            activity: Arc::new(Activity::new(Arc::clone(&self.waiters))),
            is_closing: AtomicBool::new(false),
            evicted: Notify::new(),
        });
        state.open.insert(id, Arc::clone(&tracked));
        state.by_address.entry(of_network).or_default().open += 1;
        drop(state);
        Ok(OpenConnection {
            table: Arc::clone(self),
            id,
            address,
            tracked,
        })
    }

    /// Evicts the connection that has been idle longest, if any is idle. Used when the system has
    /// no file descriptor left.
    pub(crate) fn close_one(&self) {
        if self.state().evict_idlest() {
            self.stats.closed_for_others.inc();
        }
    }

    /// Makes room for one more connection from an address.
    fn make_room(&self, state: &mut TableState, address: IpAddr) -> Result<(), NoRoom> {
        // Checked before anything is evicted: an eviction frees its descriptor only when the
        // connection has ended, so evicting more would not help.
        if state.open.len() >= self.limits.max + CLOSING {
            return Err(NoRoom::Full);
        }
        let of_address = state
            .by_address
            .get(&address)
            .map_or(0, |address| address.open);
        // A share as large as the whole table is no limit, so the rule for the whole table below
        // decides.
        if of_address >= self.limits.max_per_address
            && self.limits.max_per_address < self.limits.max
        {
            let is_made = state.evict_idlest_of(address);
            let count = if is_made {
                &self.stats.closed_for_address
            } else {
                &self.stats.rejected
            };
            count.inc();
            return is_made.then_some(()).ok_or(NoRoom::AddressFull);
        }
        // `closing` counts a subset of `open`, so the difference cannot go below zero.
        if state.open.len() - state.closing < self.limits.max {
            return Ok(());
        }
        let is_made = state.evict_idlest();
        self.stats.closed_for_others.add(u64::from(is_made));
        is_made.then_some(()).ok_or(NoRoom::Full)
    }

    fn state(&self) -> MutexGuard<'_, TableState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collect for ConnectionTable {
    const METRICS: &'static [Metric<Self>] = &[
        Metric::<Self>::gauge(
            "boxoffice_connections_open",
            "Connections open on the address of callers.",
            |table, samples| samples.add(table.open()),
        ),
        Metric::<Self>::gauge(
            "boxoffice_connections_max",
            "Connections that may be open there; fewer than `max_connections` where file descriptors are few.",
            |table, samples| samples.add(table.limits.max),
        ),
        Metric::<Self>::gauge(
            "boxoffice_connections_full",
            "1 while new connections wait, because all connections are in use and none is idle.",
            |table, samples| samples.add(table.is_full()),
        ),
        Metric::<Self>::counter(
            "boxoffice_connections_evicted_total",
            "Connections closed to admit new ones, and new ones rejected, by the limit that was reached.",
            |table, samples| {
                samples.add_with(["all"], &table.stats().closed_for_others);
                samples.add_with(["address"], &table.stats().closed_for_address);
                samples.add_with(["address_busy"], &table.stats().rejected);
            },
        )
        .by(&["limit"]),
    ];
}

impl TableState {
    /// Evicts the connection that has been idle longest, if any is idle.
    fn evict_idlest(&mut self) -> bool {
        // The queue of the last scan is used up first. Sorting the table again for each new
        // connection would make a flood cost a sort each.
        let next = next_idle(&mut self.idle, &self.open).or_else(|| {
            self.idle = idle_among(self.open.iter());
            next_idle(&mut self.idle, &self.open)
        });
        next.inspect(|id| self.evict(*id)).is_some()
    }

    /// Evicts the connection of one address that has been idle longest, if any is idle.
    fn evict_idlest_of(&mut self, address: IpAddr) -> bool {
        let Some(of_address) = self.by_address.get_mut(&address) else {
            return false;
        };
        // A queue per address, because the queue of the whole table would have to be searched for
        // entries of this address.
        let next = next_idle(&mut of_address.idle, &self.open).or_else(|| {
            of_address.idle = idle_among(
                self.open
                    .iter()
                    .filter(|(_, tracked)| tracked.address == address),
            );
            next_idle(&mut of_address.idle, &self.open)
        });
        next.inspect(|id| self.evict(*id)).is_some()
    }

    fn evict(&mut self, id: u64) {
        let Some(tracked) = self.open.get(&id) else {
            return;
        };
        // Relaxed: written and read under the lock of the table, which orders them.
        tracked.is_closing.store(true, Ordering::Relaxed);
        // `notify_one` keeps its permit, so a connection that is not waiting yet still sees the
        // eviction.
        tracked.evicted.notify_one();
        let address = tracked.address;
        // From here on the connection is counted in `closing` and no longer in its address. The
        // drop of `OpenConnection` relies on that.
        self.closing += 1;
        self.leave(address);
    }

    fn leave(&mut self, of: IpAddr) {
        if let Some(address) = self.by_address.get_mut(&of) {
            address.open -= 1;
            if address.open == 0 {
                // Removed when empty: otherwise the map would grow with every address ever seen.
                self.by_address.remove(&of);
            }
        }
    }
}

/// The idle connections among some. One scan serves as many evictions as it finds.
fn idle_among<'t>(open: impl Iterator<Item = (&'t u64, &'t Arc<Tracked>)>) -> Idle {
    let mut idle: Vec<_> = open
        .filter_map(|(id, tracked)| Some((*id, tracked.idle_since()?)))
        .collect();
    // The id breaks ties, so that connections which became idle in the same instant leave in the
    // order of their arrival.
    idle.sort_unstable_by_key(|(id, since)| (*since, *id));
    idle.into()
}

/// The first connection that has been idle without a break since the scan.
fn next_idle(idle: &mut Idle, open: &HashMap<u64, Arc<Tracked>>) -> Option<u64> {
    while let Some((id, since)) = idle.pop_front() {
        // A call since the scan changes `since`. Such an entry is dropped: the connection will be
        // found by the next scan.
        if open.get(&id).and_then(|tracked| tracked.idle_since()) == Some(since) {
            return Some(id);
        }
    }
    None
}

impl Tracked {
    /// The start of the idle time; `None` while a call is in flight and after an eviction.
    fn idle_since(&self) -> Option<Instant> {
        let is_closing = self.is_closing.load(Ordering::Relaxed);
        if is_closing {
            None
        } else {
            self.activity.idle_since()
        }
    }
}

impl OpenConnection {
    /// Where it comes from.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The calls in flight on the connection.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.tracked.activity
    }

    /// Waits until the connection is evicted.
    pub(crate) async fn evicted(&self) {
        self.tracked.evicted.notified().await;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut state = self.table.state();
        state.open.remove(&self.id);
        // The eviction has removed it from its address already, so only one of the two counts goes
        // down.
        if self.tracked.is_closing.load(Ordering::Relaxed) {
            state.closing -= 1;
        } else {
            state.leave(self.tracked.address);
        }
        drop(state);
        // After the lock is released: a woken task takes that lock at once.
        self.table.waiters.notify();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    fn table(max: usize, max_per_address: usize) -> Arc<ConnectionTable> {
        Arc::new(ConnectionTable::new(ConnectionLimits {
            max,
            max_per_address,
        }))
    }

    fn address(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    /// Admits a connection from that address, a moment after all earlier ones.
    async fn admit(table: &Arc<ConnectionTable>, from: u8) -> Result<OpenConnection, NoRoom> {
        advance(Duration::from_millis(10)).await;
        table.try_place(address(from))
    }

    fn is_evicted(connection: &OpenConnection) -> bool {
        connection.evicted().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_has_been_idle_for_longest_makes_room() {
        let table = table(3, 3);
        let (mut open, mut gone) = (Vec::new(), Vec::new());
        for from in [1, 2, 3] {
            open.push(admit(&table, from).await.unwrap());
        }
        // The first has had a call since, and the second has one.
        advance(Duration::from_millis(10)).await;
        drop(open[0].activity().begin());
        let _call = open[1].activity().begin();
        for expected in [2, 0, 1, 1] {
            open.push(admit(&table, 9).await.unwrap());
            let at = open.iter().position(is_evicted).unwrap();
            assert_eq!(at, expected);
            gone.push(open.remove(at));
            assert!(!open.iter().any(is_evicted), "one for one");
            assert_eq!(table.open(), 3);
        }
        assert_eq!(table.stats().closed_for_others.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_at_its_share_evicts_its_own_connections_only() {
        let table = table(10, 2);
        let other = admit(&table, 1).await.unwrap();
        let (first, second) = (
            admit(&table, 2).await.unwrap(),
            admit(&table, 2).await.unwrap(),
        );
        let third = admit(&table, 2).await.unwrap();
        assert!(is_evicted(&first) && !is_evicted(&second) && !is_evicted(&other));
        let _calls = [second.activity().begin(), third.activity().begin()];
        assert_eq!(admit(&table, 2).await.unwrap_err(), NoRoom::AddressFull);
        assert!(admit(&table, 1).await.is_ok(), "others are not concerned");
        let ConnectionStats {
            closed_for_others,
            closed_for_address,
            rejected,
        } = table.stats();
        assert_eq!(
            (
                closed_for_others.get(),
                closed_for_address.get(),
                rejected.get()
            ),
            (0, 1, 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn with_all_busy_a_new_connection_waits_and_the_table_is_full() {
        let table = table(1, 1);
        let busy = admit(&table, 1).await.unwrap();
        let call = busy.activity().begin();
        let mut waiting = Box::pin(table.place(address(2)));
        assert!(waiting.as_mut().now_or_never().is_none() && table.is_full());
        drop((call, busy));
        assert!(waiting.now_or_never().unwrap().is_some());
        assert!(!table.is_full());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_connection_evicts_the_first_connection_that_becomes_idle() {
        let table = table(2, 2);
        let (one, other) = (
            admit(&table, 1).await.unwrap(),
            admit(&table, 1).await.unwrap(),
        );
        let call = one.activity().begin();
        let last_call = other.activity().begin();
        let mut waiting = Box::pin(table.place(address(2)));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(other.activity().begin());
        assert!(
            waiting.as_mut().now_or_never().is_none(),
            "it has another call"
        );
        other.activity().note_blocked();
        drop(last_call);
        assert!(waiting.as_mut().now_or_never().is_none(), "it sends");
        other.activity().note_unblocked();
        let placed = waiting.now_or_never().flatten().unwrap();
        assert!(is_evicted(&other) && !is_evicted(&one));
        let _call = placed.activity().begin();
        let mut next = Box::pin(table.place(address(2)));
        assert!(next.as_mut().now_or_never().is_none());
        drop(call);
        assert!(next.now_or_never().flatten().is_some() && is_evicted(&one));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_counts_no_more() {
        let table = table(1, 1);
        let busy = admit(&table, 1).await.unwrap();
        let _call = busy.activity().begin();
        let mut waiting = Box::pin(table.place(address(2)));
        assert!(waiting.as_mut().now_or_never().is_none() && table.is_full());
        drop(waiting);
        assert!(!table.is_full());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_close_are_bounded_too() {
        let table = table(1, 1000);
        let mut all = vec![admit(&table, 1).await.unwrap()];
        for _ in 0..CLOSING {
            all.push(admit(&table, 1).await.unwrap());
        }
        assert_eq!(table.open(), 1);
        assert_eq!(admit(&table, 1).await.unwrap_err(), NoRoom::Full);
        drop(all.remove(0));
        assert!(admit(&table, 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_connections_that_have_ended() {
        let table = table(2, 1);
        for from in 0..20 {
            // Evicted and open ones alike.
            let first = admit(&table, from).await.unwrap();
            let second = admit(&table, from).await.unwrap();
            if from % 2 == 0 {
                drop((first, second));
            } else {
                drop((second, first));
            }
        }
        let state = table.state();
        assert_eq!(
            (state.open.len(), state.closing, state.by_address.len()),
            (0, 0, 0)
        );
    }
}
