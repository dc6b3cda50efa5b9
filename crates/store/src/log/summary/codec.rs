//! A summary as bytes.
//!
//! ```text
//! format text [8] │ length u64 │ segment u64 │ first sequence u64 │ last sequence u64 │ chain hash [16] │ end u64
//! orders      count u32 × {order prefix [4], user prefix [4], offset u32}; earliest, latest i64 if there is one.
//!             With the user erased, the prefix is zeros and the upper bit of the offset is 1
//! intents     count u32 × {order key [16], offset u32; the greatest u32: ended}
//! payments    count u32 × {order key [16], offset u32}
//! holds       count u32 × {id [16], 0 u8 or 1 u8 {offset u32, revision u32, expiry i64}, end u8 {second i64 if ended}}
//! erasures    count u32 × {position u64, 0 u8: begun, 1 u8: complete}
//! states      count u32 × {lifecycle u32, count u32 × {kind of part u8, length u32, bytes}, which of them is that of the order u32}
//! updates     count u32 × {order key [16], offset u32, revision u32, 1 u8 if the order has timers or steps, else 0, number of its states u32}
//! retried     count u32 × {order key [16], step u32, offset u32}
//! blocks      count u32 × {key of the slot [16], offset u32, end of the slot i64, 1 u8 if any spots are blocked, else 0}
//! lifecycle   revisions: count u32 × {number u32, offset u32}
//!             drafts: count u32 × {offset u32}
//! answers     to erasures: count u32 × {offset u32}
//! prices      count u32 × {offset u32}
//! forgotten   0 u8, or 1 u8 {second i64}
//! sold        ids: count u32 × {length u32, bytes}
//!             totals: count u32 × {merchant u32, service u32, ticket u32, start i64, duration u32, spots u32}
//! released    the same
//! checksum    xxh3 [16] of all bytes before it, seeded
//! ```
//!
//! Integers are little-endian. Offsets are in the segment, in units of the alignment of records. Lists are sorted where
//! they have keys, so that equal records make equal bytes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use domain::{
    lifecycle::{Entity, Name},
    time::EpochSeconds,
};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{CHAIN_HASH_BYTES, RecordSums, SegmentBounds, SegmentEffects, Summary};
use crate::{
    HoldId, StateProfile,
    claim_totals::{ClaimKey, ClaimTotals},
    log::{
        index::{KeyPrefix, OrderEntry, PREFIX_BYTES},
        open_work::{
            BlockEntry, ErasureEffect, HoldEffect, HoldEnd, HoldEndKind, HoldPlacement,
            IntentEffect, LifecycleEntries, UpdateEffect, UpdateEntry, WorkEffects,
        },
        planted::{PlantedFault, is_planted},
        position::{ALIGNMENT, Position},
        segment_times::{OrderSpan, SegmentTimes},
    },
    order_key::{BlockKey, KEY_BYTES, OrderKey},
};

/// Format and its version.
const FORMAT: [u8; 8] = *b"bo-idx 7";

const CHECKSUM_BYTES: usize = 16;

/// Bytes of an order.
const ENTRY_BYTES: usize = 2 * PREFIX_BYTES + 4;

/// Beside the offset of an order: its user is erased.
const ERASED: u32 = 1 << 31;

/// In place of an offset or of the number of an id: there is none.
const NONE: u32 = u32::MAX;

impl Summary {
    /// The bytes of its file. The seed is the store's own, so that no caller can craft bytes that look like a summary.
    pub(in crate::log) fn encode(&self, seed: u64) -> Vec<u8> {
        let mut out = Encoder::default();
        let bounds = &self.bounds;
        out.bytes(&FORMAT);
        let length_at = out.0.len();
        out.u64(0);
        out.u64(bounds.segment);
        out.u64(bounds.first_sequence);
        out.u64(bounds.last_sequence);
        out.bytes(&bounds.chain_hash);
        out.u64(self.end);
        let effects = &self.effects;
        out.orders(&effects.entries, effects.times.get(bounds.segment));
        out.work(&effects.work);
        out.sums(&effects.sums);
        let length = u64::try_from(out.0.len() + CHECKSUM_BYTES).unwrap_or(u64::MAX);
        out.0[length_at..length_at + size_of::<u64>()].copy_from_slice(&length.to_le_bytes());
        let checksum = xxh3_128_with_seed(&out.0, seed);
        out.bytes(&checksum.to_le_bytes());
        out.0
    }

    /// The summary of a segment from the bytes of its file; `None` if they are anything else than what [`Self::encode`]
    /// returned for this segment and this seed. The summary then has to be made again from the segment.
    pub(in crate::log) fn decode(bytes: &[u8], seed: u64, segment: u64) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let is_intact = xxh3_128_with_seed(content, seed) == u128::from_le_bytes(*checksum)
            || is_planted(PlantedFault::SummaryChecksumIgnored);
        if !is_intact {
            return None;
        }
        let mut content = Decoder {
            rest: content,
            segment,
        };
        let is_of_this = content.array()? == FORMAT
            && content.u64()? == u64::try_from(bytes.len()).ok()?
            && (content.u64()? == segment || is_planted(PlantedFault::SummaryOfAnother));
        if !is_of_this {
            return None;
        }
        let bounds = SegmentBounds {
            segment,
            first_sequence: content.u64()?,
            last_sequence: content.u64()?,
            chain_hash: content.array::<CHAIN_HASH_BYTES>()?,
        };
        let end = content.u64()?;
        let (entries, times) = content.orders()?;
        let mut work = content.work()?;
        let sums = content.sums()?;
        work.slots_forgotten_until = sums.slots_forgotten_until;
        let effects = SegmentEffects {
            entries,
            times,
            work,
            sums,
        };
        content.rest.is_empty().then_some(Self {
            bounds,
            end,
            effects,
        })
    }
}

#[derive(Default)]
struct Encoder(Vec<u8>);

impl Encoder {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    fn u32(&mut self, number: u32) {
        self.bytes(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn second(&mut self, second: EpochSeconds) {
        self.bytes(&second.get().to_le_bytes());
    }

    /// A number of bytes or elements. A segment of 64 MiB has fewer than its type can count.
    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// The offset alone: the segment is that of the summary.
    fn offset(&mut self, position: Position) {
        self.u32(offset(position));
    }

    fn orders(&mut self, entries: &[OrderEntry], span: Option<OrderSpan>) {
        self.count(entries.len());
        self.0.reserve(entries.len() * ENTRY_BYTES);
        for entry in entries {
            self.bytes(&entry.order.0);
            self.bytes(&entry.user.map_or([0; PREFIX_BYTES], |user| user.0));
            let erased = if entry.user.is_none() { ERASED } else { 0 };
            self.u32(offset(entry.position) | erased);
        }
        if let Some(span) = span {
            self.second(span.earliest_sec);
            self.second(span.latest_sec);
        }
    }

    fn work(&mut self, work: &WorkEffects) {
        self.count(work.intents.len());
        for (key, effect) in &work.intents {
            self.bytes(&key.0);
            match effect {
                IntentEffect::Opened(position) => self.offset(*position),
                IntentEffect::Ended => self.u32(NONE),
            }
        }
        self.count(work.ended_payments.len());
        for (key, position) in &work.ended_payments {
            self.bytes(&key.0);
            self.offset(*position);
        }
        self.count(work.holds.len());
        for (id, effect) in &work.holds {
            self.hold(*id, effect);
        }
        self.count(work.erasures.len());
        for (position, effect) in &work.erasures {
            // The whole position: an erasure may be completed in a later segment.
            self.u64(position.bits());
            self.u8(match effect {
                ErasureEffect::Begun => 0,
                ErasureEffect::Completed => 1,
            });
        }
        self.updates(&work.updates);
        self.count(work.retried.len());
        for ((key, step), position) in &work.retried {
            self.bytes(&key.0);
            self.u32((*step).into());
            self.offset(*position);
        }
        self.count(work.blocks.len());
        for (key, newest) in &work.blocks {
            self.bytes(&key.0);
            self.offset(newest.position);
            self.second(newest.end_sec);
            self.u8(u8::from(newest.is_on));
        }
        let LifecycleEntries { revisions, drafts } = &work.lifecycle;
        self.count(revisions.len());
        for (number, position) in revisions {
            self.u32(*number);
            self.offset(*position);
        }
        self.count(drafts.len());
        for position in drafts {
            self.offset(*position);
        }
        self.count(work.erasure_answers.len());
        for position in &work.erasure_answers {
            self.offset(*position);
        }
    }

    fn updates(&mut self, updates: &BTreeMap<OrderKey, UpdateEffect>) {
        // Sorted, so that a summary is a function of its records alone.
        let profiles: BTreeSet<&StateProfile> =
            updates.values().map(|effect| &*effect.states).collect();
        let mut numbers = HashMap::new();
        self.count(profiles.len());
        for (number, profile) in (0_u32..).zip(&profiles) {
            numbers.insert(*profile, number);
            self.u32(profile.lifecycle);
            self.count(profile.states.len());
            for (entity, state) in &profile.states {
                // Four kinds of parts.
                self.u8(u8::try_from(entity.index()).unwrap_or(u8::MAX));
                self.count(state.as_str().len());
                self.bytes(state.as_str().as_bytes());
            }
            let mut states = profile.states.iter();
            let own = states
                .position(|(entity, state)| *entity == Entity::Order && *state == profile.order);
            // It is always there.
            self.count(own.unwrap_or_default());
        }
        self.count(updates.len());
        for (key, UpdateEffect { newest, states }) in updates {
            self.bytes(&key.0);
            self.offset(newest.position);
            self.u32(newest.revision);
            self.u8(u8::from(newest.has_work));
            self.u32(numbers.get(&**states).copied().unwrap_or(NONE));
        }
    }

    fn hold(&mut self, id: HoldId, effect: &HoldEffect) {
        self.bytes(&id.0);
        self.u8(u8::from(effect.placed.is_some()));
        if let Some(placement) = effect.placed {
            self.offset(placement.position);
            self.u32(placement.revision);
            self.second(placement.expires_sec);
        }
        self.u8(effect.end.map_or(0, |end| end.kind.number()));
        if let Some(end) = effect.end {
            self.second(end.ended_sec);
        }
    }

    fn sums(&mut self, sums: &RecordSums) {
        self.count(sums.prices.len());
        for position in &sums.prices {
            self.offset(*position);
        }
        self.u8(u8::from(sums.slots_forgotten_until.is_some()));
        if let Some(until) = sums.slots_forgotten_until {
            self.second(until);
        }
        self.claims(&sums.claims);
        self.claims(&sums.released);
    }

    fn claims(&mut self, claims: &ClaimTotals) {
        self.count(claims.ids().len());
        for id in claims.ids() {
            self.count(id.len());
            self.bytes(id.as_bytes());
        }
        self.count(claims.totals().len());
        for (key, count) in claims.totals() {
            self.u32(key.merchant);
            self.u32(key.service);
            self.u32(key.ticket.unwrap_or(NONE));
            self.second(key.start_sec);
            self.u32(key.duration_sec.into());
            self.u32(count);
        }
    }
}

fn offset(position: Position) -> u32 {
    // 26 bits less those of the alignment, so it fits.
    u32::try_from(position.offset() / ALIGNMENT).unwrap_or(NONE)
}

/// The bytes that are not read yet.
struct Decoder<'b> {
    rest: &'b [u8],
    segment: u64,
}

impl<'b> Decoder<'b> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    fn slice(&mut self, length: usize) -> Option<&'b [u8]> {
        let (slice, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(slice)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn second(&mut self) -> Option<EpochSeconds> {
        self.array().map(i64::from_le_bytes).map(EpochSeconds::new)
    }

    /// A number of elements that take so many bytes each at least. `None` if they are not all there, so that it is safe
    /// to allocate for them.
    fn count(&mut self, element_bytes: usize) -> Option<usize> {
        let count = usize::try_from(self.u32()?).ok()?;
        let bytes = count.checked_mul(element_bytes)?;
        (bytes <= self.rest.len()).then_some(count)
    }

    /// Elements of so many bytes each at least, by a function that reads one.
    fn list<T>(
        &mut self,
        element_bytes: usize,
        element: impl Fn(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = self.count(element_bytes)?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Some(elements)
    }

    /// Whether an optional element is there.
    fn is_there(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn position(&self, offset: u32) -> Option<Position> {
        Position::new(self.segment, u64::from(offset) * ALIGNMENT)
    }

    fn order_key(&mut self) -> Option<OrderKey> {
        self.array::<KEY_BYTES>().map(OrderKey)
    }

    fn orders(&mut self) -> Option<(Vec<OrderEntry>, SegmentTimes)> {
        let entries = self.list(ENTRY_BYTES, Self::order)?;
        if !entries.is_sorted_by(|one, next| one.position < next.position) {
            return None;
        }
        let mut times = SegmentTimes::default();
        if !entries.is_empty() {
            let span = OrderSpan {
                earliest_sec: self.second()?,
                latest_sec: self.second()?,
                orders: u64::try_from(entries.len()).ok()?,
            };
            times.add_span(self.segment, span);
        }
        Some((entries, times))
    }

    fn order(&mut self) -> Option<OrderEntry> {
        let order = KeyPrefix(self.array()?);
        let user = self.array()?;
        let offset = self.u32()?;
        let is_erased = offset & ERASED != 0;
        if is_erased && user != [0; PREFIX_BYTES] {
            return None;
        }
        Some(OrderEntry {
            order,
            user: (!is_erased).then_some(KeyPrefix(user)),
            position: self.position(offset & !ERASED)?,
        })
    }

    fn work(&mut self) -> Option<WorkEffects> {
        let intents = self.list(KEY_BYTES + 4, |rest| {
            let key = rest.order_key()?;
            let effect = match rest.u32()? {
                NONE => IntentEffect::Ended,
                offset => IntentEffect::Opened(rest.position(offset)?),
            };
            Some((key, effect))
        })?;
        let ended_payments = self.list(KEY_BYTES + 4, |rest| {
            let key = rest.order_key()?;
            let offset = rest.u32()?;
            Some((key, rest.position(offset)?))
        })?;
        let holds = self.list(KEY_BYTES + 2, Self::hold)?;
        let erasures = self.list(9, |rest| {
            let position = Position::from_bits(rest.u64()?)?;
            let effect = match rest.u8()? {
                0 => ErasureEffect::Begun,
                1 => ErasureEffect::Completed,
                _ => return None,
            };
            Some((position, effect))
        })?;
        let updates = self.updates()?;
        let retried = self.list(KEY_BYTES + 8, |rest| {
            let key = rest.order_key()?;
            let step = u16::try_from(rest.u32()?).ok()?;
            let offset = rest.u32()?;
            Some(((key, step), rest.position(offset)?))
        })?;
        let blocks = self.list(KEY_BYTES + 13, |rest| {
            let key = rest.array().map(BlockKey)?;
            let offset = rest.u32()?;
            let newest = BlockEntry {
                position: rest.position(offset)?,
                end_sec: rest.second()?,
                is_on: rest.is_there()?,
            };
            Some((key, newest))
        })?;
        Some(WorkEffects {
            intents: sorted(intents)?,
            ended_payments: sorted(ended_payments)?,
            holds: sorted(holds)?,
            erasures: sorted(erasures)?,
            updates: sorted(updates)?,
            blocks: sorted(blocks)?,
            // In the sums.
            slots_forgotten_until: None,
            retried: sorted(retried)?,
            lifecycle: self.lifecycle()?,
            erasure_answers: self.list(4, |rest| {
                rest.u32().and_then(|offset| rest.position(offset))
            })?,
        })
    }

    fn updates(&mut self) -> Option<Vec<(OrderKey, UpdateEffect)>> {
        let profiles = self.list(12, |rest| rest.profile().map(Arc::new))?;
        if !profiles.is_sorted_by(|one, next| one < next) {
            return None;
        }
        let updates = self.list(KEY_BYTES + 13, |rest| {
            let key = rest.order_key()?;
            let offset = rest.u32()?;
            let newest = UpdateEntry {
                position: rest.position(offset)?,
                revision: rest.u32()?,
                has_work: rest.is_there()?,
            };
            let states = profiles.get(usize::try_from(rest.u32()?).ok()?)?;
            let states = Arc::clone(states);
            Some((key, UpdateEffect { newest, states }))
        })?;
        // States that no order has are in no summary.
        let are_used = profiles.iter().all(|states| Arc::strong_count(states) > 1);
        are_used.then_some(updates)
    }

    fn profile(&mut self) -> Option<StateProfile> {
        let lifecycle = self.u32()?;
        let states = self.list(5, |rest| {
            let entity = Entity::ALL.get(usize::from(rest.u8()?)).copied()?;
            let length = rest.count(1)?;
            let state = std::str::from_utf8(rest.slice(length)?).ok()?;
            Some((entity, Name::from(state)))
        })?;
        let own = usize::try_from(self.u32()?).ok()?;
        let (entity, order) = states.get(own)?.clone();
        let is_sorted = states.is_sorted_by(|one, next| one < next);
        (is_sorted && entity == Entity::Order).then_some(StateProfile {
            lifecycle,
            order,
            states,
        })
    }

    fn lifecycle(&mut self) -> Option<LifecycleEntries> {
        Some(LifecycleEntries {
            revisions: self.list(8, |rest| {
                let number = rest.u32()?;
                let offset = rest.u32()?;
                Some((number, rest.position(offset)?))
            })?,
            drafts: self.list(4, |rest| {
                rest.u32().and_then(|offset| rest.position(offset))
            })?,
        })
    }

    fn hold(&mut self) -> Option<(HoldId, HoldEffect)> {
        let id = self.array().map(HoldId)?;
        let mut effect = HoldEffect::default();
        if self.is_there()? {
            effect.placed = Some(HoldPlacement {
                position: self.u32().and_then(|offset| self.position(offset))?,
                revision: self.u32()?,
                expires_sec: self.second()?,
            });
        }
        let number = self.u8()?;
        if number != 0 {
            let kind = HoldEndKind::of_number(number)?;
            let ended_sec = self.second()?;
            effect.end = Some(HoldEnd { ended_sec, kind });
        }
        Some((id, effect))
    }

    fn sums(&mut self) -> Option<RecordSums> {
        let prices = self.list(4, |rest| {
            rest.u32().and_then(|offset| rest.position(offset))
        })?;
        let mut slots_forgotten_until = None;
        if self.is_there()? {
            slots_forgotten_until = Some(self.second()?);
        }
        Some(RecordSums {
            claims: self.claims()?,
            released: self.claims()?,
            prices,
            slots_forgotten_until,
        })
    }

    fn claims(&mut self) -> Option<ClaimTotals> {
        let mut claims = ClaimTotals::default();
        for number in 0..self.count(4)? {
            let length = self.count(1)?;
            let id = std::str::from_utf8(self.slice(length)?).ok()?;
            // An id that is there twice has the number of the first.
            if usize::try_from(claims.add_id(id)) != Ok(number) {
                return None;
            }
        }
        for number in 0..self.count(28)? {
            let key = ClaimKey {
                merchant: self.u32()?,
                service: self.u32()?,
                ticket: Some(self.u32()?).filter(|ticket| *ticket != NONE),
                start_sec: self.second()?,
                duration_sec: self.u32()?.into(),
            };
            let is_new = claims.add_total(key, self.u32()?) && claims.totals().len() > number;
            if !is_new {
                return None;
            }
        }
        Some(claims)
    }
}

/// A map of entries that are sorted by their keys; `None` if they are not, or one key is there twice.
fn sorted<K: Ord, V>(entries: Vec<(K, V)>) -> Option<BTreeMap<K, V>> {
    entries
        .is_sorted_by(|(one, _), (next, _)| one < next)
        .then(|| entries.into_iter().collect())
}
