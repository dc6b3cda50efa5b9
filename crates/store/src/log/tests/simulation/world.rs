//! The log with all of its parts, put together for one thread: what a server's threads do is done step by step.

use std::{
    io, mem,
    sync::{Arc, Mutex},
};

use kernel::clock::Clock;

use crate::{
    CommitError, EraseError, Recovered, UnitOfWork,
    log::{
        appender::Appender,
        disk::{Disk, simulated::SimulatedDisk},
        encoded_unit::EncodedUnit,
        eraser::Eraser,
        error::OpenError,
        finish_erasures,
        fold::Folded,
        ledger::{Ledger, PendingFrame, UnitResult},
        reader::LogReader,
        recovery::{self, RecoveredLog},
        segment::StoreIdentity,
        spares::{SpareFiller, Spares},
        summarizer::Summarizer,
        watermark::CommitWatermark,
    },
};

/// Bytes of a segment: some twenty orders, so that segments change often.
pub(super) const SEGMENT_BYTES: u64 = 64 << 10;

/// The name of the watermark's file.
pub(super) const WATERMARK: &str = "acknowledged";

/// The secret of the store in memory, so that orders have the same ids in both.
const IDENTITY: StoreIdentity = StoreIdentity {
    id: [1; 16],
    secret: [0; 32],
};

/// A log that is open.
pub(super) struct OpenedLog {
    ledger: Ledger,
    pub(super) reader: Arc<LogReader>,
    pub(super) spares: Arc<Spares>,
    filler: SpareFiller,
    summarizer: Summarizer,
    eraser: Eraser,
    /// Full segments without a summary.
    sealed: Arc<Mutex<Vec<u64>>>,
}

/// What the log said when it was opened.
pub(super) struct Opening {
    /// Number of changes on record.
    pub(super) changes: u64,
    /// The segment in use.
    pub(super) segment: u64,
    /// The end of its last frame.
    pub(super) offset: u64,
    pub(super) recovered: Recovered,
    /// Number of changes after interrupted erasures were finished.
    pub(super) finished: u64,
}

impl OpenedLog {
    /// Opens the log on a disk, as a server does.
    pub(super) fn open(
        disk: &SimulatedDisk,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, Opening), OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let watermark = watermark(&*disk).map_err(OpenError::Disk)?;
        let acknowledged = watermark.read().map_err(OpenError::Disk)?;
        let now = clock.now_sec();
        let log = recovery::recover(&disk, acknowledged, SEGMENT_BYTES, now, || Ok(IDENTITY))?;
        let changes = log.end.next_sequence - 1;
        watermark.catch_up(changes).map_err(OpenError::Disk)?;
        let RecoveredLog {
            identity,
            end,
            file,
            folded,
            unsummarized,
            is_new: _,
        } = log;
        let Folded {
            index,
            open_work,
            sums,
        } = folded;
        let reader = LogReader::new(&identity, Arc::clone(&disk), index, open_work, changes + 1);
        let reader = Arc::new(reader);
        let recovered = reader.recovered(sums).map_err(OpenError::Read)?;
        let (segment, offset) = (end.segment, end.offset);
        let spares = Spares::new(Arc::clone(&disk), end.segment);
        let filler = SpareFiller::new(Arc::clone(&spares), SEGMENT_BYTES);
        let filler = filler.map_err(OpenError::Disk)?;
        let summarizer = Summarizer {
            disk,
            seed: identity.seed(),
            keys: reader.keys.clone(),
            overwriting: Arc::clone(&reader.overwriting),
        };
        let sealed = Arc::new(Mutex::new(unsummarized));
        let mut ledger = Ledger {
            appender: Appender::new(identity, SEGMENT_BYTES, Arc::clone(&spares), file, end),
            reader: Arc::clone(&reader),
            watermark,
            clock: Arc::clone(clock),
            on_sealed: Box::new({
                let sealed = Arc::clone(&sealed);
                move |segment| sealed.lock().unwrap().push(segment)
            }),
            pending: PendingFrame::default(),
        };
        let eraser = Eraser {
            reader: Arc::clone(&reader),
            summarizer: summarizer.clone(),
            clock: Arc::clone(clock),
            erased: Arc::default(),
            visits: Mutex::default(),
        };
        finish_erasures(&eraser, &mut ledger)?;
        let opening = Opening {
            changes,
            segment,
            offset,
            recovered,
            finished: ledger.appender.end().next_sequence - 1,
        };
        let opened = Self {
            ledger,
            reader,
            spares,
            filler,
            summarizer,
            eraser,
            sealed,
        };
        Ok((opened, opening))
    }

    /// The units as they go to disk, as many of the first ones as fit into a frame.
    pub(super) fn encode(&self, units: &[UnitOfWork]) -> Vec<EncodedUnit> {
        let mut room = self.ledger.appender.frame_capacity();
        let mut encoded = Vec::new();
        for unit in units {
            let unit = EncodedUnit::new(unit, &self.reader.keys);
            match room.checked_sub(unit.bytes()) {
                Some(rest) => room = rest,
                None => break,
            }
            encoded.push(unit);
        }
        encoded
    }

    /// Number of changes on record.
    pub(super) fn changes(&self) -> u64 {
        self.ledger.appender.end().next_sequence - 1
    }

    pub(super) fn write(&mut self, units: &[EncodedUnit]) -> Result<Vec<UnitResult>, CommitError> {
        self.ledger.write(units)
    }

    /// Erases the personal data of a user.
    pub(super) fn erase(&mut self, user_id: &str) -> Result<u64, EraseError> {
        let ledger = &mut self.ledger;
        self.eraser
            .erase_person(&user_id.into(), &mut |unit| ledger.write_one(unit))
    }

    /// One step of what a server does in the background.
    pub(super) fn work_in_background(&mut self, random: &mut fastrand::Rng) -> io::Result<()> {
        if random.bool() {
            return self.filler.step().map(drop);
        }
        let sealed = mem::take(&mut *self.sealed.lock().unwrap());
        for segment in sealed {
            self.summarizer.summarize(segment)?;
        }
        Ok(())
    }
}

/// The watermark, whose file is created if there is none.
fn watermark(disk: &dyn Disk) -> io::Result<CommitWatermark> {
    let file = match disk.open(WATERMARK) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(WATERMARK)?,
        opened => opened?,
    };
    Ok(CommitWatermark::new(file))
}
