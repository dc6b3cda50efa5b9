//! Slots: the time of a service, its pools of spots, and its sales and holds.
//!
//! A slot has one or more pools. A pool serves all ticket types or a set of them. A ticket draws on every
//! pool that serves its type, so an overall limit and a limit for one type bind together. Sales are counted
//! by ticket type and not by pool: the counts stay true when a later catalogue divides the pools otherwise.
//!
//! A block takes spots of every pool without an order, so that they are not sold. It survives catalogues as sales do.
//!
//! Each catalogue has a [`Revision`]. The pools of the next revision are staged beside the active ones, and
//! the first operation by that revision advances the slot to it as a whole. A slot never goes back: an
//! operation by an older revision gets [`Stale`] and must decide again.

use smallvec::SmallVec;

use super::{
    catalog::{Service, ServiceIx, TagIx, TicketIx},
    time::{EpochSeconds, Seconds},
};

mod confirmation;
mod hold_span;
mod holds;
mod opening;
mod packing;
mod pools;

pub use confirmation::Confirmation;
pub use hold_span::HoldSpan;
use holds::Holds;
pub use opening::{Opening, PassThroughIx, Recurrence};
use pools::Pools;

/// The longest slot the feeds know.
pub const MAX_DURATION: Seconds = Seconds::DAY;

/// The length of a slot: whole seconds in 32 bits, because there may be ten million slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SlotDuration(u32);

impl SlotDuration {
    /// That length; `None` below zero or beyond 32 bits, which no slot has.
    #[must_use]
    pub fn new(length: Seconds) -> Option<Self> {
        u32::try_from(length.get()).ok().map(Self)
    }
}

impl From<u32> for SlotDuration {
    fn from(seconds: u32) -> Self {
        Self(seconds)
    }
}

impl From<SlotDuration> for u32 {
    fn from(duration: SlotDuration) -> Self {
        duration.0
    }
}

impl From<SlotDuration> for Seconds {
    fn from(duration: SlotDuration) -> Self {
        duration.0.into()
    }
}

/// The identity of a slot: equal keys are the same slot in every catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotKey {
    /// The service.
    pub service: ServiceIx,
    /// Length.
    pub duration_sec: SlotDuration,
    /// Start.
    pub start_sec: EpochSeconds,
}

impl SlotKey {
    /// The key of a slot as a caller names it; `None` for a length that no slot has.
    #[must_use]
    pub fn new(service: ServiceIx, start_sec: EpochSeconds, duration_sec: Seconds) -> Option<Self> {
        Some(Self {
            service,
            duration_sec: SlotDuration::new(duration_sec)?,
            start_sec,
        })
    }

    /// The second after the slot.
    #[must_use]
    pub fn end_sec(&self) -> EpochSeconds {
        self.start_sec.saturating_add(self.duration_sec.into())
    }
}

/// The staff member or room that an opening belongs to, such as a chair of a salon. Openings of different
/// resources add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ResourceIx(pub u32);

/// Spots for parties of one size. Spots of one resource for the same ticket types are the same spots
/// whatever the party size: a table for four is also the table for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartySpots {
    /// The ticket types that draw on them.
    pub tickets: PoolTickets,
    /// The resource that they belong to.
    pub resource: ResourceIx,
    /// The party size; 0 for any size.
    pub party_size: u32,
    /// The number of spots.
    pub spots: u32,
}

impl PartySpots {
    /// Whether both describe the same physical spots.
    pub(super) fn is_same_stock(&self, other: &Self) -> bool {
        // Without the size: a table for four can also seat two, so sizes of one resource share its spots.
        (self.tickets, self.resource) == (other.tickets, other.resource)
    }
}

/// Terms of one slot that differ from its service's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SlotTerms {
    /// Not bookable before this second.
    pub first_bookable_sec: Option<EpochSeconds>,
    /// Not bookable after this second. It counts only if it lies before the start; later limits are set by
    /// the service's booking window.
    pub last_bookable_sec: Option<EpochSeconds>,
    /// The tags by which rules refer to this slot, sorted and without duplicates.
    pub tags: Vec<TagIx>,
    /// The parties of the spots, if the feed lists party sizes for the service.
    pub parties: Vec<PartySpots>,
    /// Who confirms bookings.
    pub confirmation: Confirmation,
}

/// The terms of most slots.
static PLAIN: SlotTerms = SlotTerms {
    first_bookable_sec: None,
    last_bookable_sec: None,
    tags: Vec::new(),
    parties: Vec::new(),
    confirmation: Confirmation::AtOnce,
};

impl SlotTerms {
    /// Whether the slot has the terms of its service.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The terms in the form in which slots keep them: `None` if nothing differs, so that most slots need
    /// no allocation.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        (!self.is_plain()).then(|| Box::new(self))
    }

    fn shifted_by(&self, length: Seconds) -> Self {
        self.moved(|at| at.saturating_add(length))
    }

    /// These terms with every moment mapped by `to`.
    #[must_use]
    pub(super) fn moved(&self, to: impl Fn(EpochSeconds) -> EpochSeconds) -> Self {
        Self {
            first_bookable_sec: self.first_bookable_sec.map(&to),
            last_bookable_sec: self.last_bookable_sec.map(&to),
            tags: self.tags.clone(),
            parties: self.parties.clone(),
            confirmation: self.confirmation,
        }
    }

    /// By how much an opening adds to the spots of its ticket types. If the feed lists party sizes, the
    /// largest opening of one resource counts.
    fn more_spots(&self, pool: Pool, opening: &Self) -> u32 {
        // An opening has one party at most; the list of a slot collects those of its openings.
        let [party] = opening.parties[..] else {
            return pool.allotment;
        };
        let same = self
            .parties
            .iter()
            .filter(|known| known.is_same_stock(&party));
        pool.allotment
            // Only what exceeds the stock already known is added: the same spots must not be sold twice.
            .saturating_sub(same.map(|known| known.spots).max().unwrap_or(0))
    }

    /// Joins the terms of two openings of one slot. The stricter term wins; tags and parties are united.
    #[must_use]
    fn joined_with(mut self, other: &Self) -> Self {
        self.tags.extend(&other.tags);
        // Sorted and without duplicates, so that equal terms compare equal whatever the order of the
        // openings.
        self.tags.sort_unstable();
        self.tags.dedup();
        self.parties.extend(&other.parties);
        Self {
            // `None` is less than every bound: the later bound wins, or the only one.
            first_bookable_sec: self.first_bookable_sec.max(other.first_bookable_sec),
            last_bookable_sec: match (self.last_bookable_sec, other.last_bookable_sec) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            // A merchant who wants to be asked about some spots is asked about all: nobody knows which ones are sold.
            confirmation: self.confirmation.max(other.confirmation),
            ..self
        }
    }
}

/// The ticket types that a pool serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PoolTickets {
    /// All ticket types, and lines without tickets.
    All,
    /// Those of a set of the service, by its place in [`Service::ticket_sets`].
    Set(u16),
}

/// A number of spots for a set of ticket types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool {
    /// The ticket types that draw on it.
    pub tickets: PoolTickets,
    /// Spots that this server may sell, sold ones included.
    pub allotment: u32,
}

impl Pool {
    /// Whether a claim draws on this pool.
    #[must_use]
    pub fn serves(&self, service: &Service, ticket: Claimed) -> bool {
        match (self.tickets, ticket) {
            (PoolTickets::All, _) => true,
            // An appointment has no ticket type, so a pool limited to types cannot serve it.
            (PoolTickets::Set(_), Claimed::Appointment) => false,
            (PoolTickets::Set(set), Claimed::Ticket(ticket)) => service
                .ticket_sets
                .get(usize::from(set))
                .is_some_and(|tickets| tickets.contains(&ticket)),
        }
    }
}

/// The kind of line that takes a spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claimed {
    /// A line without tickets.
    Appointment,
    /// A ticket of that type.
    Ticket(TicketIx),
}

/// A claim to spots of one slot, requested or sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The slot.
    pub slot: SlotKey,
    /// A ticket type, or an appointment.
    pub ticket: Claimed,
    /// The number of spots; above zero.
    pub count: u32,
}

/// Spots that are off sale without an order. An earlier one in this order blocks less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockedSpots {
    /// This many of every pool.
    Count(u32),
    /// All that are not sold, also those that are given back later.
    All,
}

impl BlockedSpots {
    /// Nothing is blocked.
    pub const NONE: Self = Self::Count(0);

    /// Whether any spots are blocked.
    #[must_use]
    pub fn is_any(self) -> bool {
        self != Self::NONE
    }

    /// The number of spots of a pool, which may have fewer.
    fn of_pool(self) -> u64 {
        match self {
            Self::Count(count) => count.into(),
            Self::All => u64::MAX,
        }
    }

    /// How many of the spots of a slot are blocked that are not sold.
    #[must_use]
    pub fn among(self, allotment: u32, sold: u64) -> u32 {
        let unsold = u64::from(allotment).saturating_sub(sold);
        // It fits, as it is at most the allotment.
        u32::try_from(unsold.min(self.of_pool())).unwrap_or(u32::MAX)
    }

    /// This and more spots. All stay all.
    #[must_use]
    pub fn plus(self, count: u32) -> Self {
        match self {
            // Saturating: no pool has as many.
            Self::Count(blocked) => Self::Count(blocked.saturating_add(count)),
            Self::All => Self::All,
        }
    }
}

impl Default for BlockedSpots {
    fn default() -> Self {
        Self::NONE
    }
}

/// A cart that can hold spots; a digest of the caller's cart id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CartKey(pub [u8; 16]);

/// The revision of a catalogue; a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Revision(pub u32);

impl Revision {
    /// The next revision.
    #[must_use]
    pub fn next(self) -> Self {
        // Saturating, but never reached: one reload a second would take 136 years.
        Self(self.0.saturating_add(1))
    }
}

/// The revision of a decision is no longer the active one: the caller decides again by the active one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a later catalogue is active")]
pub struct Stale;

/// The pools and terms of a slot by one revision.
#[derive(Debug, Default)]
struct Offer {
    pools: Pools,
    /// Terms that differ from the service's; `None` where none does.
    terms: Option<Box<SlotTerms>>,
}

impl Offer {
    /// Adds an opening. Its spots add up with a pool for the same ticket types (two chairs of a salon),
    /// unless both are the same spots for different party sizes. Otherwise its pool is a further one.
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
            // Saturating: the sum of two entries of the feed may exceed 32 bits.
            Some(known) => known.allotment = known.allotment.saturating_add(pool.allotment),
            None => self.pools.push(pool),
        }
        self.terms = known.joined_with(terms).boxed();
    }
}

/// What is not for sale of a slot: sales and holds by ticket type, and what is blocked.
#[derive(Debug, Clone, Default)]
struct Ledger {
    sold: Vec<(Claimed, u32)>,
    holds: Holds,
    blocked: BlockedSpots,
    /// What is blocked next, once it is on record.
    staged_block: Option<BlockedSpots>,
}

impl Ledger {
    fn is_empty(&self) -> bool {
        let Self {
            sold,
            holds,
            blocked,
            staged_block,
        } = self;
        sold.is_empty() && holds.is_empty() && !blocked.is_any() && staged_block.is_none()
    }
}

/// The parts that few slots have, behind one pointer. There may be ten million slots, and most have none of
/// these.
#[derive(Debug, Default)]
struct SlotExtras {
    ledger: Ledger,
    terms: Option<Box<SlotTerms>>,
    /// The pools of a later revision.
    staged: Option<Box<(Revision, Offer)>>,
}

impl SlotExtras {
    fn is_empty(&self) -> bool {
        let Self {
            ledger,
            terms,
            staged,
        } = self;
        ledger.is_empty() && terms.is_none() && staged.is_none()
    }
}

/// A slot with its pools, its sales and its holds. With the lock of a slot, an operation decides and sells
/// in one step.
#[derive(Debug, Default)]
pub struct Slot {
    pools: Pools,
    revision: Revision,
    extras: Option<Box<SlotExtras>>,
}

impl Slot {
    /// Adds the spots of an opening to the open ones.
    pub fn open(&mut self, pool: Pool, terms: &SlotTerms) {
        let mut offer = Offer {
            pools: std::mem::take(&mut self.pools),
            terms: self.terms().clone().boxed(),
        };
        offer.add(pool, terms);
        self.replace_offer(offer);
    }

    /// Stages an opening of a later revision. What is staged for another revision is discarded.
    pub fn stage(&mut self, revision: Revision, pool: Pool, terms: &SlotTerms) {
        self.change_extras(|extras| {
            // What another revision has staged belongs to a failed reload and must not mix with this one.
            let staged = extras.staged.take().filter(|staged| staged.0 == revision);
            let staged = extras
                .staged
                .insert(staged.unwrap_or_else(|| Box::new((revision, Offer::default()))));
            staged.1.add(pool, terms);
        });
    }

    /// Advances the slot to `revision`: what is staged for that revision replaces what is open. Sales and
    /// holds stay.
    ///
    /// # Errors
    /// [`Stale`] if the slot has advanced further.
    pub fn advance_to(&mut self, revision: Revision) -> Result<(), Stale> {
        if self.revision > revision {
            return Err(Stale);
        }
        if self.revision < revision {
            self.revision = revision;
            // Nothing staged means that the new catalogue does not have the slot: it gets no pools and
            // closes.
            let offer = self.take_staged(revision);
            self.replace_offer(offer);
        }
        Ok(())
    }

    /// The offer that is staged for `revision`, empty if none is. One for an earlier revision, whose reload
    /// failed, is discarded; one for a later revision stays.
    fn take_staged(&mut self, revision: Revision) -> Offer {
        let Some(extras) = &mut self.extras else {
            return Offer::default();
        };
        // A reload that is still being prepared stages for a later revision; its offer must survive this
        // advance.
        match extras.staged.take_if(|staged| staged.0 <= revision) {
            Some(staged) if staged.0 == revision => staged.1,
            Some(_) | None => Offer::default(),
        }
    }

    fn replace_offer(&mut self, Offer { pools, terms }: Offer) {
        self.pools = pools;
        // Without extras and without terms there is nothing to write, and the allocation is saved.
        if self.extras.is_some() || terms.is_some() {
            self.change_extras(|extras| extras.terms = terms);
        }
    }

    /// Whether the active catalogue has the slot. A slot that is not open is kept for its sales or for what
    /// is staged.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.pools().is_empty()
    }

    /// Whether the slot can be forgotten: it is not open, and nothing of it is staged, sold, held or blocked.
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

    /// Whether more is sold than some pool has, as a later catalogue with fewer spots can cause.
    #[must_use]
    pub fn is_oversold(&self, service: &Service) -> bool {
        let sold = self.ledger().map_or(&[][..], |ledger| &ledger.sold);
        self.pools().iter().any(|pool| {
            // In 64 bits: sums of 32-bit counts can exceed 32 bits.
            self.drawn(service, *pool, sold.iter().copied()) > u64::from(pool.allotment)
        })
    }

    /// The pools, each with the spots left for `viewer`, whose own hold counts as open.
    pub fn left<'a>(
        &'a self,
        service: &'a Service,
        viewer: Viewer,
    ) -> impl Iterator<Item = (Pool, u32)> + 'a {
        self.pools().iter().map(move |pool| {
            let taken = self.taken(service, *pool, viewer);
            (
                *pool,
                // Saturating: an oversold pool has nothing left, and not a huge number. The result fits, as
                // it is at most the allotment.
                u32::try_from(u64::from(pool.allotment).saturating_sub(taken)).unwrap_or(0),
            )
        })
    }

    /// The maximum number of tickets of these types that can still be sold, all types together. It does not
    /// depend on the order of the types. Where more pools cross than the search covers, the result may be
    /// below the maximum, never above it.
    #[must_use]
    pub fn spots_open(&self, service: &Service, tickets: &[Claimed], viewer: Viewer) -> u32 {
        let left: SmallVec<[u32; 2]> = self.left(service, viewer).map(|(_, left)| left).collect();
        let pools = self.pools();
        // The fast path: most slots have one pool.
        if let [only] = pools {
            let sells = tickets.iter().any(|&ticket| only.serves(service, ticket));
            return if sells { left[0] } else { 0 };
        }
        let draws = |&ticket: &Claimed| {
            let mut draws = packing::Draws::new();
            for (at, pool) in (0..).zip(pools) {
                if pool.serves(service, ticket) {
                    draws.push(at);
                }
            }
            draws
        };
        u32::try_from(packing::most(&left, tickets.iter().map(draws))).unwrap_or(u32::MAX)
    }

    /// Spots sold, over all ticket types.
    #[must_use]
    pub fn sold(&self) -> u64 {
        self.ledger().map_or(0, |ledger| {
            ledger.sold.iter().map(|&(_, n)| u64::from(n)).sum()
        })
    }

    /// Spots that carts hold at the time of the viewer, over all ticket types; those of the viewer's own cart do not
    /// count.
    #[must_use]
    pub fn held(&self, viewer: Viewer) -> u64 {
        let Some(Ledger { holds, .. }) = self.ledger() else {
            return 0;
        };
        let sum = |held: &mut dyn Iterator<Item = (Claimed, u32)>| -> u64 {
            held.map(|(_, count)| u64::from(count)).sum()
        };
        let placed = sum(&mut holds.placed(viewer));
        placed.saturating_add(holds.staged_beyond_placed(viewer, sum))
    }

    /// What is blocked. While a block is not on record yet, that is what it blocks or what the one before does, whichever is
    /// more.
    #[must_use]
    pub fn blocked(&self) -> BlockedSpots {
        self.ledger().map_or(BlockedSpots::NONE, |ledger| {
            ledger.staged_block.unwrap_or_default().max(ledger.blocked)
        })
    }

    /// Blocks spots, in place of what was blocked before.
    pub fn block(&mut self, spots: BlockedSpots) {
        self.change_ledger(|ledger| ledger.blocked = spots);
    }

    /// Begins to block spots, until [`Slot::apply_staged_block`] or [`Slot::discard_staged_block`].
    pub fn stage_block(&mut self, spots: BlockedSpots) {
        self.change_ledger(|ledger| ledger.staged_block = Some(spots));
    }

    /// Puts the staged block in the place of the present one.
    pub fn apply_staged_block(&mut self) {
        self.change_ledger(|ledger| {
            if let Some(spots) = ledger.staged_block.take() {
                ledger.blocked = spots;
            }
        });
    }

    /// Discards the staged block.
    pub fn discard_staged_block(&mut self) {
        self.change_ledger(|ledger| ledger.staged_block = None);
    }

    /// The slot with the sales, holds and blocks of `other` in place of its own.
    #[must_use]
    pub fn with_taken_of(mut self, other: &Self) -> Self {
        // Without a ledger there is nothing to copy, and the slot stays without extras.
        if let Some(taken) = other.ledger() {
            self.change_ledger(|ledger| ledger.clone_from(taken));
        }
        self
    }

    /// Sells spots. The caller has made sure that they fit; the slot does not.
    pub fn sell(&mut self, ticket: Claimed, count: u32) {
        self.change_ledger(|Ledger { sold, .. }| {
            match sold.iter_mut().find(|(known, _)| *known == ticket) {
                // Saturating: sales come from bounded claims, but those read from a store are not checked against
                // the pools.
                Some((_, sold)) => *sold = sold.saturating_add(count),
                None => sold.push((ticket, count)),
            }
        });
    }

    /// Opens sold spots again.
    pub fn unsell(&mut self, ticket: Claimed, count: u32) {
        self.change_ledger(|Ledger { sold, .. }| {
            if let Some((_, known)) = sold.iter_mut().find(|(known, _)| *known == ticket) {
                // Saturating: an underflow would leave the slot sold out for ever.
                *known = known.saturating_sub(count);
            }
            sold.retain(|&(_, count)| count > 0);
        });
    }

    /// Holds spots for a cart.
    pub fn hold(&mut self, cart: CartKey, ticket: Claimed, count: u32, span: HoldSpan) {
        self.change_ledger(|ledger| ledger.holds.place(cart, ticket, count, span));
    }

    /// Holds spots for a cart beside what it holds, until [`Slot::apply_staged_holds`] or
    /// [`Slot::discard_staged_holds`]. What the cart takes of a pool meanwhile is the greater of both.
    pub fn stage_hold(&mut self, cart: CartKey, ticket: Claimed, count: u32, span: HoldSpan) {
        self.change_ledger(|ledger| ledger.holds.stage(cart, ticket, count, span));
    }

    /// Puts what is staged for a cart in the place of what it holds. Where nothing is staged, it holds nothing any more.
    pub fn apply_staged_holds(&mut self, cart: CartKey, now: EpochSeconds) {
        self.change_holds(|holds| holds.apply_staged(cart, now));
    }

    /// Discards what is staged for a cart.
    pub fn discard_staged_holds(&mut self, cart: CartKey) {
        self.change_holds(|holds| holds.discard_staged(cart));
    }

    /// Takes up to `count` spots from what a cart holds, because they are sold to it. What it holds beyond stays held.
    pub fn consume_hold(&mut self, cart: CartKey, ticket: Claimed, count: u32) {
        self.change_holds(|holds| holds.consume(cart, ticket, count));
    }

    /// Releases the holds of a cart, and every hold that has expired by `now`.
    pub fn release_holds(&mut self, cart: CartKey, now: EpochSeconds) {
        self.change_holds(|holds| holds.release(cart, now));
    }

    /// Whether a cart holds spots, whatever the time.
    #[must_use]
    pub fn has_hold_of(&self, cart: CartKey) -> bool {
        self.ledger().is_some_and(|ledger| ledger.holds.has(cart))
    }

    fn change_holds(&mut self, change: impl FnOnce(&mut Holds)) {
        // The check keeps slots without holds from allocating extras.
        if self.ledger().is_some_and(|ledger| !ledger.holds.is_empty()) {
            self.change_ledger(|ledger| change(&mut ledger.holds));
        }
    }

    fn taken(&self, service: &Service, pool: Pool, viewer: Viewer) -> u64 {
        let Some(ledger) = self.ledger() else {
            return 0;
        };
        let sold = ledger.sold.iter().copied();
        let taken = self.drawn(service, pool, sold.chain(ledger.holds.placed(viewer)));
        let staged = ledger
            .holds
            .staged_beyond_placed(viewer, |held| self.drawn(service, pool, held));
        taken
            .saturating_add(staged)
            .saturating_add(self.blocked().of_pool())
    }

    /// Sum of those `taken` spots that count against a pool.
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

    /// Whether a sold or held ticket type is orphaned: the catalogue no longer has it, or no pool of the slot
    /// serves it. An orphaned type counts against every pool. This may undersell; it never oversells.
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

    /// Allocates the extras if there are none, and frees them if they are empty after the change.
    fn change_extras(&mut self, change: impl FnOnce(&mut SlotExtras)) {
        change(self.extras.get_or_insert_default());
        // Freed again, so that a slot whose only sale was reversed is as small as before and can be
        // forgotten.
        self.extras.take_if(|extras| extras.is_empty());
    }
}

/// The cart and the time by which a slot is seen: holds that have expired or are the viewer's own count as
/// open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewer {
    /// The time.
    pub now: EpochSeconds,
    /// The viewer's own cart.
    pub cart: Option<CartKey>,
}

#[cfg(test)]
mod tests;
