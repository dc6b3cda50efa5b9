//! Slots: a service at a time, the pools of spots it has, and what is taken from them.
//!
//! A slot has one or more pools. A pool serves all ticket types or a set of them; a ticket draws
//! on every pool that serves its type, so that an overall limit and a limit for one type bind
//! together. What is taken is counted by ticket type and not by pool: the pools of a slot may be
//! cut anew by another catalogue and the count stays true.
//!
//! Catalogues follow one another as [`Revision`]s. What the next one opens is laid ready beside what
//! is on sale, and a slot turns to it as a whole when it is first needed by the next revision's
//! rules. It never turns back: whoever decides by an older revision must decide anew.

use smallvec::SmallVec;

use super::{
    catalog::{Service, ServiceIx, TagIx, TicketIx},
    order::EpochSeconds,
};

mod hold_span;
mod packing;
mod pools;

pub use hold_span::HoldSpan;
use pools::Pools;

/// The longest slot the feeds know: a day.
pub const MAX_DURATION_SEC: i64 = 86_400;

/// A slot's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotKey {
    /// The service.
    pub service: ServiceIx,
    /// Length in seconds.
    pub duration_sec: u32,
    /// Start.
    pub start_sec: EpochSeconds,
}

impl SlotKey {
    /// The key of a slot as a caller names it; `None` for a length no slot has.
    #[must_use]
    pub fn new(service: ServiceIx, start_sec: EpochSeconds, duration_sec: i64) -> Option<Self> {
        let duration_sec = u32::try_from(duration_sec).ok()?;
        Some(Self {
            service,
            duration_sec,
            start_sec,
        })
    }

    /// The second after the slot.
    #[must_use]
    pub fn end_sec(&self) -> EpochSeconds {
        self.start_sec.saturating_add(i64::from(self.duration_sec))
    }
}

/// Availability of one service, once or again and again: one entry of the availability feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The slot of the first occurrence.
    pub first: SlotKey,
    /// The spots it brings.
    pub pool: Pool,
    /// Terms that differ from the service's, for the first occurrence; `None` where none does.
    pub terms: Option<Box<SlotTerms>>,
    /// Repetition.
    pub recurrence: Option<Box<Recurrence>>,
    /// What else the feed says of it, which is no business of the rules.
    pub pass_through: PassThroughIx,
}

/// Where the pass-through members of an opening are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PassThroughIx(pub u32);

/// How an opening repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// Seconds from one start to the next; above zero.
    pub every_sec: i64,
    /// The last start, inclusive.
    pub until_sec: EpochSeconds,
    /// Half-open ranges of time in which there is no occurrence.
    pub except: Vec<(EpochSeconds, EpochSeconds)>,
}

impl Opening {
    /// The starts of all occurrences in the half-open range `[from, until)`.
    pub fn starts(
        &self,
        from: EpochSeconds,
        until: EpochSeconds,
    ) -> impl Iterator<Item = EpochSeconds> {
        let first = self.first.start_sec;
        let (every, last, except) = match &self.recurrence {
            None => (1, first, &[][..]),
            Some(recurrence) => (
                recurrence.every_sec.max(1),
                recurrence.until_sec,
                &recurrence.except[..],
            ),
        };
        let skipped = from
            .max(first)
            .abs_diff(first)
            .div_ceil(every.unsigned_abs());
        let begin = skipped
            .checked_mul(every.unsigned_abs())
            .and_then(|sec| first.checked_add_unsigned(sec));
        let duration = i64::from(self.first.duration_sec);
        std::iter::successors(begin, move |start| start.checked_add(every))
            .take_while(move |&start| start <= last && start < until)
            .filter(move |&start| {
                let end = start.saturating_add(duration);
                !except
                    .iter()
                    .any(|&(begin, stop)| start < stop && begin < end)
            })
    }

    /// For which party its spots are, where the feed tells parties of the service apart.
    #[must_use]
    pub fn party(&self) -> Option<PartySpots> {
        self.terms.as_ref()?.parties.first().copied()
    }

    /// The occurrence that starts at `start_sec`: its key and its terms.
    #[must_use]
    pub fn occurrence(&self, start_sec: EpochSeconds) -> (SlotKey, SlotTerms) {
        let shift = start_sec.saturating_sub(self.first.start_sec);
        let terms = self.terms.as_deref().map(|terms| terms.shifted_by(shift));
        (
            SlotKey {
                start_sec,
                ..self.first
            },
            terms.unwrap_or_default(),
        )
    }
}

/// Whom or what an opening is of, such as a chair of a salon: openings of different ones add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ResourceIx(pub u32);

/// Spots for parties of one size. Spots of one resource for the same ticket types and different sizes
/// of parties are the same spots: a table for four is not another one than for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartySpots {
    /// Who draws on them.
    pub tickets: PoolTickets,
    /// Whose they are.
    pub resource: ResourceIx,
    /// How many people; 0 for any number.
    pub party_size: u32,
    /// How many there are.
    pub spots: u32,
}

impl PartySpots {
    /// Whether these are spots of one stock.
    pub(super) fn is_same_stock(&self, other: &Self) -> bool {
        (self.tickets, self.resource) == (other.tickets, other.resource)
    }
}

/// Terms of one slot that differ from its service's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SlotTerms {
    /// Not bookable before this second.
    pub first_bookable_sec: Option<EpochSeconds>,
    /// Not bookable after this second. Heeded only where it lies before the start: a slot that can
    /// be booked later than that is a matter of the service's booking window.
    pub last_bookable_sec: Option<EpochSeconds>,
    /// The tags by which rules speak of this slot: in order, each once.
    pub tags: Vec<TagIx>,
    /// For which parties the spots are, where the feed tells parties of the service apart.
    pub parties: Vec<PartySpots>,
}

/// The terms of most slots.
static PLAIN: SlotTerms = SlotTerms {
    first_bookable_sec: None,
    last_bookable_sec: None,
    tags: Vec::new(),
    parties: Vec::new(),
};

impl SlotTerms {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The terms for keeping; `None` where nothing differs.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        (!self.is_plain()).then(|| Box::new(self))
    }

    fn shifted_by(&self, seconds: i64) -> Self {
        self.moved(|at| at.saturating_add(seconds))
    }

    /// The same with other moments.
    #[must_use]
    pub(super) fn moved(&self, to: impl Fn(EpochSeconds) -> EpochSeconds) -> Self {
        Self {
            first_bookable_sec: self.first_bookable_sec.map(&to),
            last_bookable_sec: self.last_bookable_sec.map(&to),
            tags: self.tags.clone(),
            parties: self.parties.clone(),
        }
    }

    /// By how much an opening of these terms raises the stock of its ticket types. Where parties are told
    /// apart, the largest opening of a stock counts.
    fn more_spots(&self, pool: Pool, opening: &Self) -> u32 {
        let [party] = opening.parties[..] else {
            return pool.allotment;
        };
        let same = self
            .parties
            .iter()
            .filter(|known| known.is_same_stock(&party));
        pool.allotment
            .saturating_sub(same.map(|known| known.spots).max().unwrap_or(0))
    }

    /// Joins the terms of two openings of one slot; the stricter bound wins, and all tags and parties
    /// are the slot's.
    #[must_use]
    fn joined_with(mut self, other: &Self) -> Self {
        self.tags.extend(&other.tags);
        self.tags.sort_unstable();
        self.tags.dedup();
        self.parties.extend(&other.parties);
        let stricter = |a: Option<i64>, b: Option<i64>, pick: fn(i64, i64) -> i64| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (one, other) => one.or(other),
        };
        Self {
            first_bookable_sec: stricter(
                self.first_bookable_sec,
                other.first_bookable_sec,
                i64::max,
            ),
            last_bookable_sec: stricter(self.last_bookable_sec, other.last_bookable_sec, i64::min),
            ..self
        }
    }
}

/// Which ticket types draw on a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PoolTickets {
    /// All of them, and lines without tickets.
    All,
    /// Those of a set of the service, by its place in [`Service::ticket_sets`].
    Set(u16),
}

/// A number of spots for a set of ticket types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Who draws on it.
    pub tickets: PoolTickets,
    /// How many spots this server may sell in all.
    pub allotment: u32,
}

impl Pool {
    /// Whether a claim draws on this pool.
    #[must_use]
    pub fn serves(&self, service: &Service, ticket: Claimed) -> bool {
        match (self.tickets, ticket) {
            (PoolTickets::All, _) => true,
            (PoolTickets::Set(_), Claimed::Appointment) => false,
            (PoolTickets::Set(set), Claimed::Ticket(ticket)) => service
                .ticket_sets
                .get(usize::from(set))
                .is_some_and(|tickets| tickets.contains(&ticket)),
        }
    }
}

/// What takes a spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claimed {
    /// A line without tickets.
    Appointment,
    /// A ticket of that type.
    Ticket(TicketIx),
}

/// Spots of one slot, asked or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The slot.
    pub slot: SlotKey,
    /// What takes them.
    pub ticket: Claimed,
    /// How many; above zero.
    pub count: u32,
}

/// A cart that can hold spots; a digest of the caller's cart id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CartKey(pub [u8; 16]);

/// Spots kept for a cart for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    cart: CartKey,
    ticket: Claimed,
    count: u32,
    span: HoldSpan,
}

/// The number of a catalogue; a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Revision(pub u32);

impl Revision {
    /// The one after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The catalogue that a decision goes by is no longer the one on sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a later catalogue is on sale")]
pub struct Stale;

/// What a catalogue opens in a slot.
#[derive(Debug, Default)]
struct Offer {
    pools: Pools,
    /// Terms that differ from the service's; `None` where none does.
    terms: Option<Box<SlotTerms>>,
}

impl Offer {
    /// Pools for the same ticket types add up (two chairs of a salon), unless they are the same stock for
    /// different parties; pools for different ones stand side by side.
    fn add(&mut self, pool: Pool, terms: &SlotTerms) {
        let known = self.terms.take().map(|known| *known).unwrap_or_default();
        let pool = Pool {
            allotment: known.more_spots(pool, terms),
            ..pool
        };
        match self
            .pools
            .as_mut_slice()
            .iter_mut()
            .find(|known| known.tickets == pool.tickets)
        {
            Some(known) => known.allotment = known.allotment.saturating_add(pool.allotment),
            None => self.pools.push(pool),
        }
        self.terms = known.joined_with(terms).boxed();
    }
}

/// What has been taken from a slot.
#[derive(Debug, Clone, Default)]
struct Ledger {
    sold: Vec<(Claimed, u32)>,
    holds: Vec<Hold>,
}

/// What most slots do not have. They are many, so it takes one place in them, which is then empty.
#[derive(Debug, Default)]
struct SlotExtras {
    ledger: Ledger,
    terms: Option<Box<SlotTerms>>,
    /// What a later revision opens.
    staged: Option<Box<(Revision, Offer)>>,
}

impl SlotExtras {
    fn is_empty(&self) -> bool {
        let Self {
            ledger: Ledger { sold, holds },
            terms,
            staged,
        } = self;
        sold.is_empty() && holds.is_empty() && terms.is_none() && staged.is_none()
    }
}

/// A slot with its pools and what is taken from them. Whoever has one behind a lock may decide and
/// take in one step.
#[derive(Debug, Default)]
pub struct Slot {
    pools: Pools,
    revision: Revision,
    extras: Option<Box<SlotExtras>>,
}

impl Slot {
    /// Adds an opening's spots to those that are open.
    pub fn open(&mut self, pool: Pool, terms: &SlotTerms) {
        let mut offer = Offer {
            pools: std::mem::take(&mut self.pools),
            terms: self.terms().clone().boxed(),
        };
        offer.add(pool, terms);
        self.show(offer);
    }

    /// Lays an opening of a later revision ready.
    pub fn stage(&mut self, revision: Revision, pool: Pool, terms: &SlotTerms) {
        self.change_extras(|extras| {
            let staged = extras.staged.take().filter(|staged| staged.0 == revision);
            let staged = extras
                .staged
                .insert(staged.unwrap_or_else(|| Box::new((revision, Offer::default()))));
            staged.1.add(pool, terms);
        });
    }

    /// Makes the slot one of `revision`: what was laid ready for it is open from now on, and nothing
    /// else. What is taken stays.
    ///
    /// # Errors
    /// [`Stale`] if it is already one of a later revision.
    pub fn advance_to(&mut self, revision: Revision) -> Result<(), Stale> {
        if self.revision > revision {
            return Err(Stale);
        }
        if self.revision < revision {
            self.revision = revision;
            let staged = self
                .extras
                .as_mut()
                .and_then(|extras| extras.staged.take_if(|staged| staged.0 <= revision));
            self.show(
                staged
                    .filter(|staged| staged.0 == revision)
                    .map_or_else(Offer::default, |it| it.1),
            );
        }
        Ok(())
    }

    /// Opens this and nothing else.
    fn show(&mut self, Offer { pools, terms }: Offer) {
        self.pools = pools;
        if self.extras.is_some() || terms.is_some() {
            self.change_extras(|extras| extras.terms = terms);
        }
    }

    /// Whether any opening has brought spots: a slot may be on record only for what was sold of it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.pools().is_empty()
    }

    /// Whether the slot says nothing: it is not open, will not be, and nothing is taken of it.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        !self.is_open() && self.extras.is_none()
    }

    /// Terms that differ from the service's.
    #[must_use]
    pub fn terms(&self) -> &SlotTerms {
        self.extras
            .as_ref()
            .and_then(|extras| extras.terms.as_deref())
            .unwrap_or(&PLAIN)
    }

    /// Whether tickets of that type (or appointments) are sold in this slot at all.
    #[must_use]
    pub fn sells(&self, service: &Service, ticket: Claimed) -> bool {
        self.pools().iter().any(|pool| pool.serves(service, ticket))
    }

    /// Whether more is sold than some pool has, which only another catalogue can bring about.
    #[must_use]
    pub fn is_oversold(&self, service: &Service) -> bool {
        let sold = self.ledger().map_or(&[][..], |ledger| &ledger.sold);
        self.pools().iter().any(|pool| {
            self.drawn(service, *pool, sold.iter().copied()) > u64::from(pool.allotment)
        })
    }

    /// The pools, each with what is left of it for `viewer`, whose own hold counts as free.
    pub fn left<'a>(
        &'a self,
        service: &'a Service,
        viewer: Viewer,
    ) -> impl Iterator<Item = (Pool, u32)> + 'a {
        self.pools().iter().map(move |pool| {
            let taken = self.taken(service, *pool, viewer);
            (
                *pool,
                u32::try_from(u64::from(pool.allotment).saturating_sub(taken)).unwrap_or(0),
            )
        })
    }

    /// The most tickets of these types that can still be sold, all types together: the same in
    /// every order of the types. Where more pools cross than are worth a search it may be less than
    /// the most, never more.
    #[must_use]
    pub fn spots_open(&self, service: &Service, tickets: &[Claimed], viewer: Viewer) -> u32 {
        let left: SmallVec<[u32; 2]> = self.left(service, viewer).map(|(_, left)| left).collect();
        let pools = self.pools();
        // Most slots have one pool, and most others have pools that all of the types draw on alike.
        if let [only] = pools {
            let sells = tickets.iter().any(|&ticket| only.serves(service, ticket));
            return if sells { left[0] } else { 0 };
        }
        let draws = |&ticket: &Claimed| {
            let serving = (0..)
                .zip(pools)
                .filter(|(_, pool)| pool.serves(service, ticket));
            serving.map(|(at, _)| at).collect::<packing::Draws>()
        };
        u32::try_from(packing::most(&left, tickets.iter().map(draws))).unwrap_or(u32::MAX)
    }

    /// Sum of everything sold, over all ticket types.
    #[must_use]
    pub fn sold(&self) -> u64 {
        self.ledger().map_or(0, |ledger| {
            ledger.sold.iter().map(|&(_, n)| u64::from(n)).sum()
        })
    }

    /// An untouched slot with what is taken of another one.
    #[must_use]
    pub fn with_taken_of(mut self, other: &Self) -> Self {
        if let Some(taken) = other.ledger() {
            self.change_ledger(|ledger| ledger.clone_from(taken));
        }
        self
    }

    /// Counts spots as sold. The caller has seen that they fit.
    pub fn sell(&mut self, ticket: Claimed, count: u32) {
        self.change_ledger(|Ledger { sold, .. }| {
            match sold.iter_mut().find(|(known, _)| *known == ticket) {
                Some((_, sold)) => *sold = sold.saturating_add(count),
                None => sold.push((ticket, count)),
            }
        });
    }

    /// Counts spots as free again.
    pub fn unsell(&mut self, ticket: Claimed, count: u32) {
        self.change_ledger(|Ledger { sold, .. }| {
            if let Some((_, known)) = sold.iter_mut().find(|(known, _)| *known == ticket) {
                *known = known.saturating_sub(count);
            }
            sold.retain(|&(_, count)| count > 0);
        });
    }

    /// Keeps spots for a cart for so long.
    pub fn hold(&mut self, cart: CartKey, ticket: Claimed, count: u32, span: HoldSpan) {
        self.change_ledger(|ledger| {
            ledger.holds.push(Hold {
                cart,
                ticket,
                count,
                span,
            })
        });
    }

    /// Ends the holds of a cart, and every hold that has expired by `now`.
    pub fn release_holds(&mut self, cart: CartKey, now: EpochSeconds) {
        if self.ledger().is_some_and(|ledger| !ledger.holds.is_empty()) {
            let goes_on = |hold: &Hold| hold.cart != cart && hold.span.is_on(now);
            self.change_ledger(|ledger| ledger.holds.retain(goes_on));
        }
    }

    fn taken(&self, service: &Service, pool: Pool, viewer: Viewer) -> u64 {
        let Some(ledger) = self.ledger() else {
            return 0;
        };
        let held = ledger
            .holds
            .iter()
            .filter(|hold| hold.span.is_on(viewer.now) && viewer.cart != Some(hold.cart))
            .map(|hold| (hold.ticket, hold.count));
        self.drawn(service, pool, ledger.sold.iter().copied().chain(held))
    }

    /// How many of these spots are a pool's.
    fn drawn(
        &self,
        service: &Service,
        pool: Pool,
        taken: impl Iterator<Item = (Claimed, u32)>,
    ) -> u64 {
        taken
            .filter(|&(ticket, _)| {
                pool.serves(service, ticket) || self.is_orphaned(service, ticket)
            })
            .map(|(_, count)| u64::from(count))
            .sum()
    }

    /// Whether the catalogue no longer says which pools something draws on. Then it counts in all of
    /// them, so that too little is sold rather than too much.
    fn is_orphaned(&self, service: &Service, ticket: Claimed) -> bool {
        let known = match ticket {
            Claimed::Appointment => true,
            Claimed::Ticket(ticket) => service.has_ticket(ticket),
        };
        !known || !self.sells(service, ticket)
    }

    fn pools(&self) -> &[Pool] {
        self.pools.as_slice()
    }

    fn ledger(&self) -> Option<&Ledger> {
        self.extras.as_ref().map(|extras| &extras.ledger)
    }

    fn change_ledger(&mut self, change: impl FnOnce(&mut Ledger)) {
        self.change_extras(|extras| change(&mut extras.ledger));
    }

    /// Makes room for them where there is none, and gives it up where nothing is left.
    fn change_extras(&mut self, change: impl FnOnce(&mut SlotExtras)) {
        change(self.extras.get_or_insert_default());
        self.extras.take_if(|extras| extras.is_empty());
    }
}

/// Who looks at a slot, and when: holds that have expired or that are the viewer's own are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewer {
    /// The moment.
    pub now: EpochSeconds,
    /// The viewer's own cart.
    pub cart: Option<CartKey>,
}

#[cfg(test)]
mod tests;
