//! What is in a store, read without opening it.

use std::{io, path::Path};

use domain::time::EpochSeconds;

use super::{
    cut_segment::CutSegment,
    error::{Damage, OpenError},
    open_work::OpenWork,
    recovery::{
        UnreadablePart, bounds, facts_of, read_file, require_erasures, summarize_leniently,
        tail_damage, unreadable_parts,
    },
    scan::{Tail, scan},
    segment::{FORMAT, SegmentHeader, StoreIdentity},
    segment_name::{log_name, summary_name},
    segment_times::SegmentTimes,
    store_files::StoreFiles,
    summary::{SegmentEffects, Summary},
    survey::HeaderSurvey,
    watermark::WatermarkFault,
};
use crate::order_key::KeyDeriver;

/// What is in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// The format of its files.
    pub format: &'static str,
    /// What tells it from other stores, in hexadecimal digits.
    pub store_id: String,
    /// Whether a process has it open.
    pub is_in_use: bool,
    /// Orders.
    pub orders: u64,
    /// Changes: orders, holds, payments, prices.
    pub changes: u64,
    /// Bytes that its files take, prepared segments included.
    pub bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// When the first order was created, by the clock of that moment.
    pub first_order_sec: Option<EpochSeconds>,
    /// When the last order was created.
    pub last_order_sec: Option<EpochSeconds>,
    /// Payments that were begun and have no outcome on record.
    pub open_intents: u64,
    /// Holds that have not ended on record; some of them may have expired.
    pub active_holds: u64,
    /// Slots of which spots are off sale.
    pub blocked_slots: u64,
    /// Definitions of the lifecycle that are or were in force.
    pub lifecycle_revisions: u64,
    /// Segments that are shorter than what was written to them.
    pub cut: Vec<CutSegment>,
    /// What is wrong with the number of acknowledged changes, if there are changes.
    pub watermark: Option<WatermarkFault>,
}

/// What is in the store in `dir`; `None` for one that nothing was ever written to. Of damage of segments that have a summary,
/// only a missing end is noticed.
///
/// # Errors
/// [`OpenError`].
pub fn inspect(dir: &Path) -> Result<Option<StoreInfo>, OpenError> {
    let files = StoreFiles::open(dir)?;
    let acknowledged = files.acknowledged()?;
    let survey = HeaderSurvey::read(&*files.disk)?;
    let (used, _) = survey.require_sound(&*files.disk)?;
    let Some(last) = used.last() else {
        survey.require_empty(acknowledged)?;
        return Ok(None);
    };
    let identity = last.identity;
    let mut reader = Inspection {
        files: &files,
        identity,
        keys: KeyDeriver::new(identity.secret),
        times: SegmentTimes::default(),
        work: OpenWork::default(),
        cut: Vec::new(),
        unreadable: Vec::new(),
    };
    for sealed in used.windows(2) {
        let [header, next] = sealed else { continue };
        reader.add_sealed(header, next)?;
    }
    let changes = reader.add_last(last, acknowledged)?;
    let is_in_use = files.is_in_use()?;
    if !is_in_use {
        // A running server may be erasing what was read.
        require_erasures(
            &files.disk,
            identity.seed(),
            reader.unreadable,
            &reader.work,
        )?;
    }
    let spans = || (1..=last.number).filter_map(|number| reader.times.get(number));
    Ok(Some(StoreInfo {
        format: FORMAT,
        store_id: identity.id_text(),
        is_in_use,
        orders: reader.times.orders(),
        changes,
        bytes: files.bytes()?,
        segments: last.number,
        first_order_sec: spans().map(|span| span.earliest_sec).min(),
        last_order_sec: reader.times.latest_sec(),
        open_intents: reader.work.pending_intents().len() as u64,
        active_holds: reader.work.active_holds().len() as u64,
        blocked_slots: reader.work.blocks_in_force().len() as u64,
        lifecycle_revisions: reader.work.lifecycle().revisions.len() as u64,
        cut: reader.cut,
        watermark: files.watermark_fault()?.filter(|_| changes > 0),
    }))
}

struct Inspection<'f> {
    files: &'f StoreFiles,
    identity: StoreIdentity,
    keys: KeyDeriver,
    times: SegmentTimes,
    work: OpenWork,
    cut: Vec<CutSegment>,
    /// Orders with a personal part that is neither as written nor erased.
    unreadable: Vec<UnreadablePart>,
}

impl Inspection<'_> {
    fn add_sealed(
        &mut self,
        header: &SegmentHeader,
        next: &SegmentHeader,
    ) -> Result<(), OpenError> {
        let summary = if let Some(summary) = self.summary_on_disk(header, next)? {
            let cut = CutSegment::find(&*self.files.disk, &summary).map_err(OpenError::Disk)?;
            self.cut.extend(cut);
            summary
        } else {
            let bytes = self.read(header.number)?;
            let seed = self.identity.seed();
            let (summarized, unreadable) =
                summarize_leniently(&bytes, seed, &self.keys, header, next)?;
            self.unreadable.extend(unreadable);
            summarized.summary
        };
        self.add(&summary.effects);
        Ok(())
    }

    fn summary_on_disk(
        &self,
        header: &SegmentHeader,
        next: &SegmentHeader,
    ) -> Result<Option<Summary>, OpenError> {
        let bytes = match read_file(&*self.files.disk, &summary_name(header.number)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::Disk(error)),
        };
        let summary = Summary::decode(&bytes, self.identity.seed().get(), header.number);
        Ok(summary.filter(|summary| summary.bounds == bounds(header, next)))
    }

    /// Adds the segment in use. Returns the number of the last change.
    fn add_last(&mut self, header: &SegmentHeader, acknowledged: u64) -> Result<u64, OpenError> {
        let bytes = self.read(header.number)?;
        let mut effects = SegmentEffects::default();
        let seed = self.identity.seed();
        let durable_until = acknowledged.saturating_add(1);
        let (end, tail) = scan(&bytes, seed, header, durable_until, |frame| {
            for fact in facts_of(frame, &self.keys)? {
                effects.add(&fact);
            }
            self.unreadable.extend(unreadable_parts(frame));
            Ok::<_, Damage>(())
        })?;
        self.add(&effects);
        let changes = end.next_sequence - 1;
        if let Tail::Damaged(damage) = tail
            // What a running server writes meanwhile may look like damage.
            && (changes < acknowledged || !self.files.is_in_use()?)
        {
            return Err(tail_damage(&end, damage).into());
        }
        if changes < acknowledged {
            return Err(OpenError::ChangesMissing {
                acknowledged,
                on_record: changes,
            });
        }
        Ok(changes)
    }

    fn add(&mut self, effects: &SegmentEffects) {
        self.times.merge(&effects.times);
        self.work.apply(&effects.work);
    }

    fn read(&self, number: u64) -> Result<Vec<u8>, OpenError> {
        read_file(&*self.files.disk, &log_name(number)).map_err(OpenError::Disk)
    }
}
