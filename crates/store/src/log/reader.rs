//! Reading orders, holds and payments from the log by its index. All of it may be called while the log is written.

use std::{
    collections::{BTreeSet, HashSet},
    io,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::{
    ids::UserId,
    time::{EpochSeconds, Seconds},
};

use super::{
    checksum::StoreSeed,
    disk::Disk,
    frame::StoredRecord,
    index::{Index, PendingEntries},
    open_work::{OpenWork, TrackedHold, UpdateEntry, WorkEffects},
    overwriting::Overwriting,
    planted::{PlantedFault, is_planted},
    position::Position,
    record_header::PersonalPart,
    record_reader::{self, RecordRead, disk_error},
    recovery::{bounds, header_of, read_file},
    salvage::salvage,
    scan::scan,
    segment::{HeaderFound, SEGMENT_HEADER_BYTES, SegmentHeader, StoreIdentity},
    segment_files::SegmentFiles,
    segment_name::{log_name, slots_name},
    slot_index::{SlotIndex, SlotRange},
    summary::RecordSums,
};
use crate::{
    BegunOrder, BlockSink, ErrorChain, HoldId, ListedOrder, NamedSlot, OrderFilter, OrderPlace,
    OrderSink, OrderUpdate, PlacedSink, ReadError, Recovered, Replay, Selection, StepRetry,
    StoredHold,
    claim_totals::ClaimTotals,
    latest_prices::LatestPrices,
    order_key::{KeyDeriver, OrderKey},
    record::{self, RecordFacts, RecordKind},
};

mod states;

/// Visits an order, or an update of one, and says whether the next one is wanted.
pub(crate) type VisitOrder<'v> =
    &'v mut dyn FnMut(Position, &RecordRead) -> Result<ControlFlow<()>, ReadError>;

/// The side of the log that answers.
#[derive(Debug)]
pub(crate) struct LogReader {
    pub(crate) seed: StoreSeed,
    pub(crate) keys: KeyDeriver,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) files: SegmentFiles,
    pub(crate) index: Index,
    pub(crate) work: OpenWork,
    pub(crate) overwriting: Arc<Overwriting>,
    /// The first sequence number that is not published.
    next_sequence: AtomicU64,
}

impl LogReader {
    pub(crate) fn new(
        identity: &StoreIdentity,
        disk: Arc<dyn Disk>,
        index: Index,
        work: OpenWork,
        next_sequence: u64,
    ) -> Self {
        Self {
            seed: identity.seed(),
            keys: KeyDeriver::new(identity.secret),
            files: SegmentFiles::new(Arc::clone(&disk)),
            disk,
            index,
            work,
            overwriting: Arc::default(),
            next_sequence: AtomicU64::new(next_sequence),
        }
    }

    /// Makes visible what is durable now: everything before `next_sequence`.
    pub(crate) fn publish(&self, entries: &PendingEntries, work: &WorkEffects, next_sequence: u64) {
        self.index.publish(entries);
        self.work.apply(work);
        // Release: who reads the log by sequence numbers sees no record before the index has it.
        self.next_sequence.store(next_sequence, Ordering::Release);
    }

    /// What a server needs when it starts.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn recovered(&self, sums: RecordSums) -> Result<Recovered, ReadError> {
        let RecordSums {
            claims,
            released,
            prices,
            slots_forgotten_until,
        } = sums;
        let released = if is_planted(PlantedFault::ReleasedIgnored) {
            ClaimTotals::default()
        } else {
            released
        };
        let (updated, begun) = self.orders_with_work()?;
        let mut latest = LatestPrices::default();
        for book in self.decode_each(prices, record::decode_prices)? {
            latest.merge(&book);
        }
        let retried = self.decode_each(self.work.retried(), record::decode_step_retried)?;
        let lifecycle = self.work.lifecycle();
        let revisions = lifecycle.revisions.iter().map(|(_, position)| *position);
        let draft = lifecycle.drafts.last().copied();
        let drafts = self.decode_each(draft.into_iter().collect(), record::decode_draft)?;
        Ok(Recovered {
            orders: self.index.orders(),
            sold: claims.less(&released).into_claims(),
            retried: of_open_steps(retried, &updated, &begun),
            updated,
            begun,
            lifecycle: self.decode_each(revisions.collect(), record::decode_published)?,
            draft: drafts.into_iter().find_map(|draft| draft.text),
            pending: self.decode_each(self.work.pending_intents(), record::decode_intent)?,
            holds: self.decode_each(self.work.active_holds(), record::decode_hold)?,
            blocks: self.decode_each(self.work.blocks_in_force(), record::decode_block)?,
            prices: latest.to_book(),
            newest_order_sec: self.index.latest_created_sec(),
            slots_forgotten_until,
        })
    }

    /// The order of this key, if there is one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn find_order(&self, key: &OrderKey) -> Result<Option<RecordRead>, ReadError> {
        for position in self.index.candidates(key) {
            let record = self.read(position)?;
            // Another order may have the same prefix.
            if order_key_of(&record)? == Some(*key) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The order of this key as first answered.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn replay(&self, key: &OrderKey) -> Result<Option<Replay>, ReadError> {
        let Some(record) = self.find_order(key)? else {
            return Ok(None);
        };
        let (public, personal) = parts(&record)?;
        Ok(Some(record::decode_replay(public, personal)?))
    }

    /// The hold of this id among those that may be it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn hold_among(
        &self,
        id: HoldId,
        candidates: Vec<TrackedHold>,
    ) -> Result<Option<StoredHold>, ReadError> {
        for TrackedHold { position, state } in candidates {
            let record = self.read(position)?;
            let hold = record::decode_hold(parts(&record)?.0)?;
            // The id of another hold may begin alike.
            if hold.id == id {
                return Ok(state.map(|state| StoredHold { hold, state }));
            }
        }
        Ok(None)
    }

    /// The number of the last payment that ended without the order of this key; 0 if none did.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn last_failed_attempt(&self, key: &OrderKey) -> Result<u32, ReadError> {
        for position in self.work.ended_payments(key) {
            let record = self.read(position)?;
            let kind = RecordKind::try_from(record.header.kind)?;
            let facts = record::decode_facts(kind, parts(&record)?.0, None)?;
            // The key of another order may have the same prefix.
            if let RecordFacts::PaymentEnded { order, attempt } = facts
                && order == *key
            {
                return Ok(attempt);
            }
        }
        Ok(0)
    }

    /// The orders that have timers or steps: those that were updated, and those that were only placed.
    fn orders_with_work(&self) -> Result<(Vec<OrderUpdate>, Vec<BegunOrder>), ReadError> {
        let (mut updated, mut begun) = (Vec::new(), Vec::new());
        for entry in self.work.orders_with_work() {
            let record = self.read(entry.position)?;
            // Without what people have written, which no timer needs. A crash may have left it half overwritten: erasures
            // are finished only after this.
            let (public, _) = record.parts()?;
            if entry.revision > 0 {
                updated.push(record::decode_update(public, None)?);
            } else {
                begun.push(record::decode_begun(public)?);
            }
        }
        Ok((updated, begun))
    }

    /// The update of an index entry, if there is one.
    pub(super) fn update_of(
        &self,
        newest: Option<UpdateEntry>,
    ) -> Result<Option<OrderUpdate>, ReadError> {
        let Some(newest) = newest else {
            return Ok(None);
        };
        let record = self.read(newest.position)?;
        let (public, personal) = parts(&record)?;
        Ok(Some(record::decode_update(public, personal)?))
    }

    /// Hands over the blocks that a slot had, newest first, until `take` breaks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn each_block(
        &self,
        slot: &NamedSlot,
        take: BlockSink<'_>,
    ) -> Result<(), ReadError> {
        let mut next = self.work.newest_block(&self.keys.block_key(slot));
        while let Some(position) = next {
            let record = self.read(position)?;
            next = record.header.link;
            if take(record::decode_block(parts(&record)?.0)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Where the updates of an order are in which people have written something.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn updates_with_texts(&self, key: &OrderKey) -> Result<Vec<Position>, ReadError> {
        let mut positions = Vec::new();
        self.each_update_record(key, &mut |position, record| {
            if record.header.personal_bytes > 0 {
                positions.push(position);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(positions)
    }

    pub(super) fn each_update_record(
        &self,
        key: &OrderKey,
        visit: VisitOrder<'_>,
    ) -> Result<(), ReadError> {
        let mut next = self.work.newest_update(key).map(|newest| newest.position);
        while let Some(position) = next {
            let record = self.read(position)?;
            next = record.header.link;
            if visit(position, &record)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn decode_each<T>(
        &self,
        positions: Vec<Position>,
        decode: impl Fn(&[u8]) -> Result<T, record::RecordError>,
    ) -> Result<Vec<T>, ReadError> {
        let mut decoded = Vec::with_capacity(positions.len());
        for position in positions {
            let record = self.read(position)?;
            decoded.push(decode(parts(&record)?.0)?);
        }
        Ok(decoded)
    }

    /// Hands over the selected orders: those before a place, if there is one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn list(
        &self,
        selection: &Selection,
        before: Option<OrderPlace>,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError> {
        let mut output = ListOutput {
            before,
            may_see,
            take,
        };
        let output = &mut output;
        match selection {
            Selection::User(user_id) => {
                self.each_of_user(user_id, &mut |_, record| self.hand_over(record, output))
            }
            Selection::Created { from, until } => {
                let wanted = |public: &[u8]| {
                    let created_sec = record::created_sec(public)?;
                    Ok((*from..*until).contains(&created_sec))
                };
                let segments = self.index.segments_between(*from, *until);
                self.list_segments(segments, &wanted, output, |segment| {
                    self.orders_of(segment, &wanted)
                })
            }
            Selection::Slot(slot) => {
                let range = SlotRange {
                    from: slot.start_sec,
                    until: slot.start_sec.saturating_add(Seconds::ONE),
                    service: Some(self.keys.service_tag(&slot.merchant_id, &slot.service_id)),
                };
                self.list_slots(selection, &range, output)
            }
            Selection::Visit { from, until } => {
                let range = SlotRange {
                    from: *from,
                    until: *until,
                    service: None,
                };
                self.list_slots(selection, &range, output)
            }
            Selection::Ids(ids) => {
                for key in OrderKey::of_each_id(ids) {
                    let Some(record) = self.find_order(&key)? else {
                        continue;
                    };
                    if self.hand_over(&record, output)?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// Hands over the orders with a claim that is selected, which are in this range of slots.
    fn list_slots(
        &self,
        selection: &Selection,
        range: &SlotRange,
        output: &mut ListOutput<'_>,
    ) -> Result<(), ReadError> {
        let wanted = |public: &[u8]| {
            Ok(record::has_claim(public, |claim| {
                selection.selects_claim(claim)
            })?)
        };
        let all = self
            .index
            .segments_between(EpochSeconds::MIN, EpochSeconds::MAX);
        self.list_segments(all, &wanted, output, |segment| {
            // Memory first: it is forgotten only when the file is there.
            let in_memory = self.index.recent_slots.search(segment, range);
            let indexed = in_memory.or_else(|| self.search_on_disk(segment, range));
            indexed.map_or_else(|| self.orders_of(segment, &wanted), Ok)
        })
    }

    /// The orders of a sealed segment in a range of slots, oldest first, by the index beside it; `None` if there is none that
    /// can be read. All of the segment has then to be read.
    fn search_on_disk(&self, segment: u64, range: &SlotRange) -> Option<Vec<Position>> {
        let header = self.header(segment).ok()??;
        let next = self.header(segment + 1).ok()??;
        let bytes = read_file(&*self.disk, &slots_name(segment)).ok()?;
        let found = SlotIndex::search(&bytes, self.seed.get(), &bounds(&header, &next), range);
        if found.is_none() {
            tracing::warn!(
                segment,
                "the index of the slots of a segment is damaged; lists by slot read all of the segment; verify the store"
            );
        }
        found
    }

    /// Hands over everything that is on record of a user's orders, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn export_person(
        &self,
        user_id: &UserId,
        take: PlacedSink<'_>,
    ) -> Result<(), ReadError> {
        let damage = self.each_readable_of_user(user_id, &mut |_, record| {
            let (public, personal) = parts(record)?;
            Ok(take(record::decode_placed(public, personal)?))
        });
        if damage.is_empty() {
            Ok(())
        } else {
            Err(ReadError::DamagedOrders(damage))
        }
    }

    /// Visits the orders of a user that can be read, newest first, until `visit` breaks. Returns where the others are, and
    /// why they cannot be read. Whose order a damaged one is may be unknown: it may be that of another user whose key has
    /// the same prefix.
    pub(crate) fn each_readable_of_user(
        &self,
        user_id: &UserId,
        visit: VisitOrder<'_>,
    ) -> Vec<String> {
        let mut damage = Vec::new();
        let mut next = self.index.newest(&self.keys.user_key(user_id));
        let mut found_by_search = None;
        while let Some(position) = next {
            let record = self.read(position);
            let visited = match &record {
                Ok(record) => visit_if_of_user(position, record, user_id, visit),
                Err(error) => {
                    damage.push(place(position, error));
                    Ok(ControlFlow::Continue(()))
                }
            };
            match visited {
                Ok(ControlFlow::Break(())) => break,
                Ok(ControlFlow::Continue(())) => {}
                Err(error) => damage.push(place(position, &error)),
            }
            next = match (&record, &mut found_by_search) {
                (_, Some(found)) => BTreeSet::pop_last(found),
                (Ok(record), None) => record.header.link,
                // The link to the older orders is in the header that cannot be read.
                (Err(_), None) => {
                    let SearchedOrders { orders, faults } = self.search_before(position, user_id);
                    damage.extend(faults);
                    found_by_search.insert(orders).pop_last()
                }
            };
        }
        damage
    }

    /// The orders of a user before a position, by reading all segments up to it.
    fn search_before(&self, end: Position, user_id: &UserId) -> SearchedOrders {
        let mut searched = SearchedOrders::default();
        for segment in self.segments() {
            if segment > end.segment() {
                break;
            }
            let orders = &mut searched.orders;
            let read = self.each_order_in(segment, &mut |stored| {
                if is_intact_of(stored, user_id)? {
                    orders.insert(stored.position);
                }
                Ok(())
            });
            let Err(error) = read else {
                continue;
            };
            searched.faults.push(format!(
                "segment {segment} may have more orders: {}",
                ErrorChain(&error)
            ));
            // Behind the damage, record by record: slow, so not where all frames are whole.
            if let Ok(orders) = self.salvaged_of_user(segment, user_id) {
                searched.orders.extend(orders);
            }
        }
        searched.orders.retain(|order| *order < end);
        searched
    }

    fn salvaged_of_user(&self, segment: u64, user_id: &UserId) -> Result<Vec<Position>, ReadError> {
        let published = self.next_sequence.load(Ordering::Acquire);
        let bytes = read_file(&*self.disk, &log_name(segment)).map_err(disk_error)?;
        let piece = SEGMENT_HEADER_BYTES as u64..bytes.len() as u64;
        let mut orders = Vec::new();
        for stored in salvage(&bytes, self.seed, segment, piece, 1..published).intact {
            let is_order = stored.header.kind == RecordKind::OrderPlaced.number();
            if is_order && is_intact_of(&stored, user_id)? {
                orders.push(stored.position);
            }
        }
        Ok(orders)
    }

    /// Visits the orders of a user, newest first, until `visit` breaks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn each_of_user(
        &self,
        user_id: &UserId,
        visit: VisitOrder<'_>,
    ) -> Result<(), ReadError> {
        let mut next = self.index.newest(&self.keys.user_key(user_id));
        while let Some(position) = next {
            let record = self.read(position)?;
            next = record.header.link;
            if visit_if_of_user(position, &record, user_id, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Hands over the wanted orders of these segments, newest first. `find` returns the positions in a segment that may have
    /// them, oldest first.
    fn list_segments(
        &self,
        segments: Vec<u64>,
        wanted: IsWanted<'_>,
        output: &mut ListOutput<'_>,
        find: impl Fn(u64) -> Result<Vec<Position>, ReadError>,
    ) -> Result<(), ReadError> {
        for segment in segments {
            if !output.may_begin_in(segment) {
                continue;
            }
            for position in find(segment)?.into_iter().rev() {
                if !output.is_before(position) {
                    continue;
                }
                let record = self.read(position)?;
                if wanted(parts(&record)?.0)? && self.hand_over(&record, output)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Hands over the order in a record if it passes the filter.
    fn hand_over(
        &self,
        record: &RecordRead,
        output: &mut ListOutput<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        if !output.is_before(record.position) {
            return Ok(ControlFlow::Continue(()));
        }
        let (public, personal) = parts(record)?;
        let Some(placed) = record::decode_order_if(public, personal, output.may_see)? else {
            return Ok(ControlFlow::Continue(()));
        };
        let key = OrderKey::of_id(&placed.order.id);
        let newest = key.and_then(|key| self.work.newest_update(&key));
        let update = self.update_of(newest)?;
        Ok((output.take)(ListedOrder {
            order: *placed.order,
            begun: placed.begun,
            update,
            created_sec: placed.created_sec,
            lifecycle: placed.lifecycle,
            place: place_of(record.position),
        }))
    }

    /// The wanted orders of a segment, oldest first.
    fn orders_of(&self, segment: u64, wanted: IsWanted<'_>) -> Result<Vec<Position>, ReadError> {
        let mut positions = Vec::new();
        self.each_order_in(segment, &mut |stored| {
            if wanted(stored.public)? {
                positions.push(stored.position);
            }
            Ok(())
        })?;
        Ok(positions)
    }

    /// Visits the published orders of a segment, oldest first. Their personal parts may be unreadable.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn each_order_in(
        &self,
        segment: u64,
        visit: &mut dyn FnMut(&StoredRecord<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        // Acquire: see `publish`. Before the segment is read, so that everything published is in what is read.
        let published = self.next_sequence.load(Ordering::Acquire);
        let header = self
            .header(segment)?
            .ok_or_else(|| ReadError::Damaged(log_name(segment)))?;
        let bytes = read_file(&*self.disk, &log_name(segment)).map_err(disk_error)?;
        let (end, _) = scan(&bytes, self.seed, &header, published, |frame| {
            for stored in &frame.records {
                let is_order = stored.header.kind == RecordKind::OrderPlaced.number();
                if is_order && stored.header.sequence < published {
                    visit(stored)?;
                }
            }
            Ok::<_, ReadError>(())
        })?;
        // What follows the last frame says nothing: while the log is written, a frame may be there in part. But a list
        // that ends before a damaged frame would leave out orders as if they did not exist.
        let next = self.header(segment + 1)?;
        let expected = next.map_or(published, |next| next.first_sequence.min(published));
        let is_whole =
            end.next_sequence >= expected || is_planted(PlantedFault::PartialListAccepted);
        if !is_whole {
            return Err(ReadError::Damaged(log_name(segment)));
        }
        Ok(())
    }

    /// Numbers of the segments that have orders, oldest first.
    pub(crate) fn segments(&self) -> Vec<u64> {
        let mut segments = self
            .index
            .segments_between(EpochSeconds::MIN, EpochSeconds::MAX);
        segments.reverse();
        segments
    }

    /// The header of a segment; `None` for one that is not in use.
    fn header(&self, segment: u64) -> Result<Option<SegmentHeader>, ReadError> {
        match header_of(&*self.disk, segment) {
            Ok(HeaderFound::Header(header)) => Ok(Some(header)),
            Ok(HeaderFound::Blank | HeaderFound::Format(_) | HeaderFound::Damaged) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk_error(error)),
        }
    }

    pub(crate) fn read(&self, position: Position) -> Result<RecordRead, ReadError> {
        record_reader::read_beside(&self.overwriting, &self.files, self.seed, position)
    }
}

/// The attempts at steps that are open in the newest updates of their orders.
fn of_open_steps(
    retried: Vec<StepRetry>,
    updated: &[OrderUpdate],
    begun: &[BegunOrder],
) -> Vec<StepRetry> {
    if is_planted(PlantedFault::EndedStepsRetried) {
        return retried;
    }
    let mut open = HashSet::new();
    let updated = updated.iter().map(|update| (&update.order, &update.tree));
    let begun = begun.iter().map(|begun| (&begun.order, &begun.tree));
    for (order, tree) in updated.chain(begun) {
        for step in &tree.steps {
            open.insert((order, step.number));
        }
    }
    let retried = retried.into_iter();
    retried
        .filter(|retry| open.contains(&(&retry.order, retry.step)))
        .collect()
}

/// The orders of a user that a search has found, and why it may have missed some.
#[derive(Debug, Default)]
struct SearchedOrders {
    orders: BTreeSet<Position>,
    faults: Vec<String>,
}

/// Where an order cannot be read, and why.
fn place(position: Position, error: &ReadError) -> String {
    match error {
        // It names the position.
        ReadError::Damaged(place) => place.clone(),
        error @ (ReadError::Disk(_)
        | ReadError::Record(_)
        | ReadError::DamagedOrders(_)
        | ReadError::NoThread
        | ReadError::Panicked
        | ReadError::MissingFromList
        | ReadError::AlreadyRecovered) => format!("{position}: {}", ErrorChain(error)),
    }
}

/// Whether the personal data of an order is there and that of this user.
fn is_intact_of(stored: &StoredRecord<'_>, user_id: &UserId) -> Result<bool, ReadError> {
    match stored.personal {
        PersonalPart::Intact(personal) => Ok(record::is_of_user(Some(personal), user_id)?),
        PersonalPart::Erased | PersonalPart::Unreadable => Ok(false),
    }
}

fn visit_if_of_user(
    position: Position,
    record: &RecordRead,
    user_id: &UserId,
    visit: VisitOrder<'_>,
) -> Result<ControlFlow<()>, ReadError> {
    // The chain has the orders of all users with the same prefix.
    let (_, personal) = parts(record)?;
    if record::is_of_user(personal, user_id)? {
        visit(position, record)
    } else {
        Ok(ControlFlow::Continue(()))
    }
}

/// Where the orders of a list go.
struct ListOutput<'o> {
    /// Only orders before this place are wanted.
    before: Option<OrderPlace>,
    may_see: OrderFilter<'o>,
    take: OrderSink<'o>,
}

impl ListOutput<'_> {
    fn is_before(&self, position: Position) -> bool {
        self.before.is_none_or(|before| place_of(position) < before)
    }

    /// Whether a segment may have wanted orders: a later page does not read those of the earlier ones again.
    fn may_begin_in(&self, segment: u64) -> bool {
        Position::new(segment, 0).is_none_or(|first| self.is_before(first))
    }
}

fn place_of(position: Position) -> OrderPlace {
    OrderPlace(position.bits())
}

/// Whether an order is wanted, by the public part of its record.
type IsWanted<'w> = &'w dyn Fn(&[u8]) -> Result<bool, ReadError>;

/// The parts of a record; the personal one is `None` if it was erased.
pub(crate) fn parts(record: &RecordRead) -> Result<(&[u8], Option<&[u8]>), ReadError> {
    let (public, personal) = record.parts()?;
    match personal {
        PersonalPart::Intact(personal) => Ok((public, Some(personal))),
        PersonalPart::Erased => Ok((public, None)),
        PersonalPart::Unreadable => {
            Err(record.damaged("the personal data of the order is not what was written"))
        }
    }
}

/// The key of an order; `None` for another record.
fn order_key_of(record: &RecordRead) -> Result<Option<OrderKey>, ReadError> {
    if record.header.kind != RecordKind::OrderPlaced.number() {
        return Ok(None);
    }
    let (public, _) = parts(record)?;
    Ok(Some(record::order_key(public)?))
}
