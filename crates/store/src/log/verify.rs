//! Verification of a whole log: every byte of it is read, and all damage is reported.
//!
//! The store is not opened. A server may write to it meanwhile: what was acknowledged when the verification began is
//! verified, and what came after it as far as it can be read.

use std::{
    fmt, io,
    ops::{Range, RangeInclusive},
    path::Path,
};

use domain::order::OrderId;

use super::{
    checksum::{ChainHash, StoreSeed},
    disk::Disk,
    error::{Damage, DamageFault, OpenError},
    fact::Fact,
    frame::{self, Frame, FrameFault, StoredRecord},
    position::{ALIGNMENT, Position},
    record_header::{PersonalPart, RECORD_HEADER_BYTES, RecordHeader},
    recovery::{bounds, header_of, read_file, read_if_there},
    salvage::salvage,
    scan::is_torn,
    segment::{HeaderFound, SEGMENT_HEADER_BYTES, SegmentHeader, StoreIdentity},
    segment_name::{LogFile, log_name},
    store_files::StoreFiles,
    summary::{Summarized, SummaryBuilder},
    survey::{HeaderSurvey, Successor},
    watermark::WatermarkFault,
};
use crate::{
    order_key::KeyDeriver,
    record::{self, RecordError, RecordFacts, RecordKind},
};

mod block_links;
mod erasures;
mod order_links;
mod released_claims;
#[cfg(test)]
mod tests;
mod update_links;

use block_links::BlockLinks;
use erasures::{ErasureReport, Erasures};
use order_links::OrderLinks;
use released_claims::ReleasedClaims;
use update_links::UpdateLinks;

/// How far the work on a store has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all.
    pub all: u64,
}

impl Progress {
    /// With so many bytes more. Files may be longer than what counts of them.
    pub(super) fn plus(self, bytes: u64) -> Self {
        Self {
            done: self.all.min(self.done.saturating_add(bytes)),
            ..self
        }
    }
}

/// What a verification has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Changes that are as they were written, by the number of the last one.
    pub changes: u64,
    /// Orders among them.
    pub orders: u64,
    /// Segments in use.
    pub segments: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Orders of which the personal data is still to be overwritten: their erasure is on record and not complete, as after a
    /// crash. The next start does that.
    pub unfinished: u64,
    /// What is wrong with the number of acknowledged changes, if there are changes.
    pub watermark: Option<WatermarkFault>,
    /// All damage: first what a scan of the log finds, in its order, then what is wrong with personal data.
    pub findings: Vec<Finding>,
    /// Orders that have personal data although its erasure is on record.
    pub(super) unerased: Vec<Position>,
}

/// Damage, and what is lost with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is, and what is wrong.
    pub damage: Damage,
    /// From the first to the last change that cannot be read any more, by their sequence numbers; some between them may be
    /// intact. `None` if all can be read.
    pub lost: Option<RangeInclusive<u64>>,
    /// Orders among these changes of which the id is still known.
    pub orders: Vec<OrderId>,
}

impl Finding {
    /// Whether a whole segment cannot be read, and nothing says what was in it.
    fn is_loss_unknown(&self) -> bool {
        let is_whole = matches!(
            self.damage.fault,
            DamageFault::Missing | DamageFault::OtherStore
        );
        is_whole && self.lost.is_none()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.damage)?;
        match &self.lost {
            None if self.is_loss_unknown() => {
                f.write_str("; which changes are lost with it is not known")?;
            }
            None => f.write_str("; no change is lost")?,
            Some(lost) if lost.start() == lost.end() => {
                write!(f, "; change {} is lost", lost.start())?;
            }
            Some(lost) => write!(f, "; changes {} to {} are lost", lost.start(), lost.end())?,
        }
        let mut before = ", among them the order ";
        for order in &self.orders {
            write!(f, "{before}{}", order.as_str())?;
            before = ", ";
        }
        Ok(())
    }
}

/// Verifies the store in `dir`.
///
/// # Errors
/// [`OpenError`] if it cannot be read at all. Damage is no error.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Verification, OpenError> {
    let files = StoreFiles::open(dir)?;
    // First, because it only grows: what it counts has to be in the segments that are read afterwards.
    let acknowledged = files.acknowledged()?;
    let watermark = files.watermark_fault()?;
    let verification =
        verify_segments(&*files.disk, acknowledged, &|| files.is_in_use(), progress)?;
    Ok(Verification {
        watermark: watermark.filter(|_| verification.changes > 0),
        ..verification
    })
}

/// Verifies the segments on `disk`, of which `acknowledged` changes were acknowledged.
///
/// # Errors
/// [`OpenError`].
pub(super) fn verify_segments(
    disk: &dyn Disk,
    acknowledged: u64,
    is_in_use: &dyn Fn() -> Result<bool, OpenError>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verification, OpenError> {
    let survey = HeaderSurvey::read(disk)?;
    let successor = survey.successor(disk)?;
    let (Some(first), Some(last)) = (survey.first, survey.last) else {
        if let Successor::Damaged(damage) = successor {
            return Err(damage.into());
        }
        survey.require_empty(acknowledged)?;
        return Ok(Verification::default());
    };
    let newest = match &successor {
        Successor::Unused => last.number,
        Successor::Torn(number) => *number,
        Successor::Damaged(damage) => damage.segment,
    };
    let mut verifier = Verifier {
        disk,
        is_in_use,
        identity: first.identity,
        seed: first.identity.seed(),
        keys: KeyDeriver::new(first.identity.secret),
        acknowledged,
        newest,
        next_sequence: 1,
        previous: Some([0; 16]),
        links: OrderLinks::default(),
        updates: UpdateLinks::default(),
        blocks: BlockLinks::default(),
        claims: ReleasedClaims::default(),
        erasures: Erasures::default(),
        report: Verification::default(),
    };
    let all = survey.bytes(disk)?;
    for number in 1..=last.number {
        verifier.verify_segment(&survey, number)?;
        let done = verifier.report.bytes.min(all);
        progress(Progress { done, all });
    }
    match successor {
        Successor::Damaged(damage) if damage.fault == DamageFault::Missing => {
            verifier.skip(newest, None, damage.fault);
        }
        Successor::Damaged(_) => verifier.verify_segment(&survey, newest)?,
        // Changes are missing, so it was no crash that left this header: it was damaged later.
        Successor::Torn(_) if verifier.next_sequence <= acknowledged => {
            verifier.verify_segment(&survey, newest)?;
        }
        Successor::Torn(_) | Successor::Unused => {}
    }
    for number in survey.damaged_spares() {
        verifier.find(number, 0, DamageFault::Header);
    }
    verifier.finish(last.number)
}

/// A verification that is going on.
struct Verifier<'v> {
    disk: &'v dyn Disk,
    is_in_use: &'v dyn Fn() -> Result<bool, OpenError>,
    identity: StoreIdentity,
    seed: StoreSeed,
    keys: KeyDeriver,
    acknowledged: u64,
    /// The last segment that is or was in use.
    newest: u64,
    /// The number of the next change.
    next_sequence: u64,
    /// The hash of the frame before; `None` behind damage.
    previous: Option<ChainHash>,
    links: OrderLinks,
    updates: UpdateLinks,
    blocks: BlockLinks,
    claims: ReleasedClaims,
    erasures: Erasures,
    report: Verification,
}

/// A segment that is being verified.
struct SegmentScan<'s> {
    number: u64,
    bytes: &'s [u8],
    /// The first byte that is not verified.
    at: u64,
    /// `None` once damage is found: then its summary cannot be made.
    summary: Option<SummaryBuilder>,
    /// The segment after it.
    next: Option<&'s SegmentHeader>,
    is_last: bool,
}

/// Whether a segment goes on.
#[derive(PartialEq, Eq)]
enum ScanStep {
    Frame,
    End,
}

impl Verifier<'_> {
    fn verify_segment(&mut self, survey: &HeaderSurvey, number: u64) -> Result<(), OpenError> {
        // What stands in the header of another store says nothing about this one.
        let next = survey.header(number + 1);
        let next = next.filter(|next| next.identity == self.identity);
        let is_last = number == self.newest;
        self.report.segments += 1;
        match survey.found.get(&number) {
            Some(HeaderFound::Header(header)) if header.identity == self.identity => {
                self.begin_at(header);
            }
            Some(HeaderFound::Header(_)) => {
                self.skip(number, next, DamageFault::OtherStore);
                return Ok(());
            }
            Some(_) => self.find(number, 0, DamageFault::Header),
            None => {
                self.skip(number, next, DamageFault::Missing);
                return Ok(());
            }
        }
        let bytes = read_file(self.disk, &log_name(number)).map_err(OpenError::Disk)?;
        self.report.bytes += bytes.len() as u64;
        let mut scan = SegmentScan {
            number,
            bytes: &bytes,
            at: SEGMENT_HEADER_BYTES as u64,
            summary: Some(SummaryBuilder::default()),
            next,
            is_last,
        };
        while self.step(&mut scan)? == ScanStep::Frame {}
        if let (Some(header), Some(next), Some(summary)) =
            (survey.header(number), next, scan.summary)
        {
            let Summarized { summary, slots } = summary.finish(bounds(header, next), scan.at);
            let seed = self.seed.get();
            let files = [
                (
                    LogFile::Summary(number),
                    summary.encode(seed),
                    DamageFault::Summary,
                ),
                (
                    LogFile::Slots(number),
                    slots.encode(seed),
                    DamageFault::SlotIndex,
                ),
            ];
            for (file, expected, fault) in files {
                if !self.is_as_expected(file, &expected, next, survey)? {
                    let damage = damage(number, 0, next.first_sequence, fault);
                    self.report.findings.push(Finding {
                        damage,
                        lost: None,
                        orders: Vec::new(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Begins a segment where its header says.
    fn begin_at(&mut self, header: &SegmentHeader) {
        let continues = header.first_sequence == self.next_sequence
            && self.previous.is_none_or(|hash| hash == header.previous);
        if !continues {
            let lost = self.next_sequence..header.first_sequence;
            self.find_loss(header.number, 0, DamageFault::Chain, lost);
        }
        self.next_sequence = header.first_sequence;
        self.previous = Some(header.previous);
    }

    /// Goes on behind a segment that cannot be read.
    fn skip(&mut self, number: u64, next: Option<&SegmentHeader>, fault: DamageFault) {
        let end = match next {
            Some(next) => next.first_sequence,
            None if number == self.newest => self.next_sequence.max(self.acknowledged + 1),
            // The next header is damaged too: the loss shows at the next segment that is intact.
            None => self.next_sequence,
        };
        self.links.note_damage(number);
        self.updates.note_damage();
        self.blocks.note_damage();
        self.find_loss(number, 0, fault, self.next_sequence..end);
        self.next_sequence = end;
        self.previous = None;
    }

    fn step(&mut self, scan: &mut SegmentScan<'_>) -> Result<ScanStep, OpenError> {
        match frame::verify(scan.bytes, self.seed, scan.number, scan.at) {
            Ok(frame) => {
                let next = scan.next.map(|next| next.first_sequence);
                let durable_until = next.unwrap_or(self.acknowledged.saturating_add(1));
                if is_torn(scan.bytes, self.seed, &frame, durable_until) {
                    self.verify_end(scan);
                    return Ok(ScanStep::End);
                }
                self.verify_frame(scan, &frame);
                Ok(ScanStep::Frame)
            }
            Err(fault) => {
                let from = scan.at + ALIGNMENT;
                match frame::find_valid(scan.bytes, self.seed, scan.number, from) {
                    // Behind what was acknowledged, a running server may have written one frame before and one after
                    // it was read.
                    Some(_) if self.next_sequence > self.acknowledged && (self.is_in_use)()? => {
                        Ok(ScanStep::End)
                    }
                    Some(valid_at) => {
                        self.pass_damage(scan, fault, valid_at);
                        Ok(ScanStep::Frame)
                    }
                    None => {
                        self.verify_end(scan);
                        Ok(ScanStep::End)
                    }
                }
            }
        }
    }

    fn verify_frame(&mut self, scan: &mut SegmentScan<'_>, frame: &Frame<'_>) {
        let continues = frame.place.first_sequence == self.next_sequence
            && self
                .previous
                .is_none_or(|hash| hash == frame.place.previous);
        if !continues {
            scan.summary = None;
            let lost = self.next_sequence..frame.place.first_sequence;
            self.find_loss(scan.number, scan.at, DamageFault::Chain, lost);
        }
        self.next_sequence = frame.place.first_sequence;
        for stored in &frame.records {
            self.verify_record(stored, &mut scan.summary);
            self.next_sequence += 1;
        }
        self.report.changes = self.next_sequence - 1;
        self.previous = Some(frame.hash);
        scan.at = frame.end();
    }

    /// Reports a damaged piece up to the next valid frame, and goes on there.
    fn pass_damage(&mut self, scan: &mut SegmentScan<'_>, fault: FrameFault, valid_at: u64) {
        let mut offset = scan.at;
        if let FrameFault::Record(position) = fault {
            offset = position.offset();
        }
        let end = first_sequence_at(scan, self.seed, valid_at).unwrap_or(self.next_sequence);
        let fault = DamageFault::Frame { valid_at };
        self.report_piece(scan, offset, valid_at, end, fault);
        scan.at = valid_at;
    }

    /// Reports `scan.at..until` as damaged, with all changes before `end_sequence`.
    fn report_piece(
        &mut self,
        scan: &mut SegmentScan<'_>,
        offset: u64,
        until: u64,
        end_sequence: u64,
        fault: DamageFault,
    ) {
        let sequences = self.next_sequence..end_sequence;
        let piece = scan.at..until;
        let found = salvage(scan.bytes, self.seed, scan.number, piece, sequences);
        scan.summary = None;
        self.links.note_damage(scan.number);
        self.updates.note_damage();
        self.blocks.note_damage();
        let first = found.lost.as_ref().map(|lost| *lost.start());
        let sequence = first.unwrap_or(self.next_sequence);
        self.report.findings.push(Finding {
            damage: damage(scan.number, offset, sequence, fault),
            lost: found.lost,
            orders: found.orders,
        });
        for stored in &found.intact {
            self.verify_record(stored, &mut None);
        }
        self.next_sequence = self.next_sequence.max(end_sequence);
        self.previous = None;
    }

    /// The end of a segment, behind which no frame is valid.
    fn verify_end(&mut self, scan: &mut SegmentScan<'_>) {
        let end_sequence = match scan.next {
            Some(next) => next.first_sequence,
            None if scan.is_last => self.acknowledged + 1,
            None => self.next_sequence,
        };
        let is_short = self.next_sequence < end_sequence;
        let is_other = scan.next.is_some_and(|next| {
            next.first_sequence != end_sequence
                || self.previous.is_some_and(|hash| hash != next.previous)
        });
        if is_short || is_other {
            let until = scan.bytes.len() as u64;
            self.report_piece(scan, scan.at, until, end_sequence, DamageFault::End);
        }
    }

    fn verify_record(&mut self, stored: &StoredRecord<'_>, summary: &mut Option<SummaryBuilder>) {
        let segment = stored.position.segment();
        match self.decode(stored) {
            Ok(fact) => {
                if stored.personal == PersonalPart::Unreadable {
                    // Its user is unknown here, and may be in the summary.
                    *summary = None;
                }
                if let Some(summary) = summary {
                    summary.add(&fact);
                }
                self.verify_links(stored, &fact);
            }
            Err(error) => {
                *summary = None;
                self.links.note_damage(segment);
                self.updates.note_damage();
                self.blocks.note_damage();
                let lost = stored.header.sequence;
                self.find_in(stored, DamageFault::Record(error), Some(lost..=lost));
            }
        }
    }

    /// Compares where the record of an order, of an update, or of a block leads to, and notes what it says of its customer.
    fn verify_links(&mut self, stored: &StoredRecord<'_>, fact: &Fact) {
        let (position, sequence) = (stored.position, stored.header.sequence);
        let link = stored.header.link;
        let (key, is_linked) = match fact {
            Fact::OrderPlaced(order) => {
                self.report.orders += 1;
                self.claims.add_order(&order.key, &order.claims);
                if order.begun.as_ref().is_some_and(|begun| begun.has_work) {
                    self.updates.begin(&order.key);
                }
                let is_linked = self.links.add(position, order.user.as_ref(), link);
                (&order.key, is_linked)
            }
            Fact::OrderUpdated(update) => {
                let place = (position, sequence);
                self.claims.add_update(&update.key, &update.released, place);
                let is_linked = self.updates.add(&update.key, update.newest, link);
                (&update.key, is_linked)
            }
            Fact::Blocked { key, newest } => {
                if !self.blocks.add(key, *newest, link) {
                    self.find_in(stored, DamageFault::Link, None);
                }
                return;
            }
            Fact::SlotsForgotten { until } => return self.blocks.forget(*until),
            Fact::PaymentIntent { .. }
            | Fact::PaymentEnded { .. }
            | Fact::HoldPlaced { .. }
            | Fact::HoldReleased { .. }
            | Fact::Prices { .. }
            | Fact::LifecycleDrafted { .. }
            | Fact::ErasureAnswered { .. }
            | Fact::ErasureBegun { .. }
            | Fact::ErasureCompleted { .. } => return,
            Fact::StepRetried { key, .. } => {
                let is_founded = self.updates.may_have_steps(key);
                return self.require_foundation(stored, is_founded);
            }
            Fact::LifecyclePublished { number, .. } => {
                let is_founded = self.updates.publish(*number);
                return self.require_foundation(stored, is_founded);
            }
        };
        if !is_linked {
            self.find_in(stored, DamageFault::Link, None);
        }
        self.erasures
            .add_order(position, sequence, key, stored.personal);
    }

    /// Reports a record that builds on what is not on record.
    fn require_foundation(&mut self, stored: &StoredRecord<'_>, is_founded: bool) {
        if !is_founded {
            self.find_in(stored, DamageFault::Unfounded, None);
        }
    }

    /// Decodes all of a record. Returns what it means for the index.
    fn decode(&mut self, stored: &StoredRecord<'_>) -> Result<Fact, RecordError> {
        let kind = RecordKind::try_from(stored.header.kind)?;
        let personal = match stored.personal {
            PersonalPart::Intact(bytes) => Some(bytes),
            PersonalPart::Erased | PersonalPart::Unreadable => None,
        };
        record::check_record(kind, stored.public, personal)?;
        let facts = record::decode_facts(kind, stored.public, personal)?;
        if facts == RecordFacts::PersonErased {
            let erased = record::decode_person_erased(stored.public)?;
            self.erasures.begin(stored.position, erased);
        }
        // What a server has completed since, it may have overwritten after it was read here.
        if let RecordFacts::ErasureCompleted(erasure) = &facts
            && stored.header.sequence <= self.acknowledged
        {
            self.erasures.complete(*erasure);
        }
        Ok(Fact::read(facts, &self.keys, stored.position))
    }

    /// Whether a file beside a sealed segment is what its records say, is not there, or may just be written.
    fn is_as_expected(
        &self,
        file: LogFile,
        expected: &[u8],
        next: &SegmentHeader,
        survey: &HeaderSurvey,
    ) -> Result<bool, OpenError> {
        // Where it is not there, the next start makes it again.
        let Some(found) = read_if_there(self.disk, &file.name())? else {
            return Ok(true);
        };
        // Those of the newest sealed segment may just be written.
        let is_newest = survey.last.is_some_and(|last| last.number == next.number);
        Ok(found == expected || (is_newest && (self.is_in_use)()?))
    }

    fn finish(mut self, last: u64) -> Result<Verification, OpenError> {
        self.compare_claims();
        let ErasureReport {
            findings,
            unrecorded,
            unfinished,
            unerased,
            restored,
            in_progress,
        } = std::mem::take(&mut self.erasures).finish(self.last_loss());
        self.report.findings.retain(|finding| {
            // The eraser makes these summaries again before it completes the erasure.
            !matches!(
                finding.damage.fault,
                DamageFault::Summary | DamageFault::SlotIndex
            ) || !in_progress.contains(&finding.damage.segment)
        });
        self.report.unfinished = unfinished;
        self.report.unerased = unerased;
        // The record of an erasure that a server has begun since may be in a segment that was not there before.
        if !self.has_grown(last)? {
            self.report.findings.extend(findings);
            if let Some(position) = unrecorded {
                self.find_order(position, DamageFault::ErasedUnrecorded);
            }
        }
        for position in restored {
            self.find_order(position, DamageFault::NotErased);
        }
        Ok(self.report)
    }

    /// Where the last piece ends of which changes are lost: the segment and the offset in it.
    fn last_loss(&self) -> Option<(u64, u64)> {
        let lossy = self.report.findings.iter().filter(|finding| {
            // The record is there, and only its personal part is lost.
            finding.damage.fault != DamageFault::PersonalPart
                && (finding.lost.is_some() || finding.is_loss_unknown())
        });
        lossy.map(|finding| end_of(&finding.damage)).max()
    }

    /// Reports updates that give back more than their orders have taken.
    fn compare_claims(&mut self) {
        let claims = std::mem::take(&mut self.claims);
        // Behind damage, an order may be missing that has taken it.
        if self.last_loss().is_some() {
            return;
        }
        for (position, sequence) in claims.finish() {
            let (segment, offset) = (position.segment(), position.offset());
            self.report.findings.push(Finding {
                damage: damage(segment, offset, sequence, DamageFault::Released),
                lost: None,
                orders: Vec::new(),
            });
        }
    }

    /// Whether a server has begun another segment since the survey.
    fn has_grown(&self, last: u64) -> Result<bool, OpenError> {
        match header_of(self.disk, last + 1) {
            Ok(HeaderFound::Header(_)) => Ok(true),
            Ok(HeaderFound::Blank | HeaderFound::Format(_) | HeaderFound::Damaged) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(OpenError::Disk(error)),
        }
    }

    /// Reports an order by its position. One that cannot be read is reported already.
    fn find_order(&mut self, position: Position, fault: DamageFault) {
        let Ok(file) = self.disk.open(&log_name(position.segment())) else {
            return;
        };
        let mut header = [0; RECORD_HEADER_BYTES];
        if file.read_exact_at(&mut header, position.offset()).is_err() {
            return;
        }
        if let Some(header) = RecordHeader::decode(&header, self.seed, position) {
            let (segment, offset) = (position.segment(), position.offset());
            self.report.findings.push(Finding {
                damage: damage(segment, offset, header.sequence, fault),
                lost: None,
                orders: Vec::new(),
            });
        }
    }

    fn find(&mut self, segment: u64, offset: u64, fault: DamageFault) {
        let next = self.next_sequence;
        self.find_loss(segment, offset, fault, next..next);
    }

    fn find_loss(&mut self, segment: u64, offset: u64, fault: DamageFault, lost: Range<u64>) {
        self.report.findings.push(Finding {
            damage: damage(segment, offset, self.next_sequence, fault),
            lost: (!lost.is_empty()).then(|| lost.start..=lost.end - 1),
            orders: Vec::new(),
        });
    }

    fn find_in(
        &mut self,
        stored: &StoredRecord<'_>,
        fault: DamageFault,
        lost: Option<RangeInclusive<u64>>,
    ) {
        let (segment, offset) = (stored.position.segment(), stored.position.offset());
        self.report.findings.push(Finding {
            damage: damage(segment, offset, stored.header.sequence, fault),
            lost,
            orders: Vec::new(),
        });
    }
}

/// The number of the first record of a frame at `offset`, of which the headers are valid.
fn first_sequence_at(scan: &SegmentScan<'_>, seed: StoreSeed, offset: u64) -> Option<u64> {
    let first = offset + frame::FRAME_HEADER_BYTES as u64;
    let bytes = scan.bytes.get(usize::try_from(first).ok()?..)?;
    let position = Position::new(scan.number, first)?;
    let header = RecordHeader::decode(bytes, seed, position)?;
    Some(header.sequence)
}

fn damage(segment: u64, offset: u64, sequence: u64, fault: DamageFault) -> Damage {
    Damage {
        segment,
        offset,
        sequence,
        fault,
    }
}

/// Where a damaged piece ends: the segment and the offset in it. Records of a piece may be readable although the piece as a
/// whole is not what was written.
fn end_of(damage: &Damage) -> (u64, u64) {
    let end = match damage.fault {
        DamageFault::Frame { valid_at } => valid_at,
        DamageFault::Missing
        | DamageFault::CutShort
        | DamageFault::Header
        | DamageFault::OtherStore
        | DamageFault::End => u64::MAX,
        DamageFault::Chain
        | DamageFault::Record(_)
        | DamageFault::PersonalPart
        | DamageFault::ErasedUnrecorded
        | DamageFault::NotErased
        | DamageFault::Link
        | DamageFault::Released
        | DamageFault::Unfounded
        | DamageFault::Summary
        | DamageFault::SlotIndex => damage.offset,
    };
    (damage.segment, end)
}
