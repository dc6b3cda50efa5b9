//! Spare segments: files that are filled with zeros ahead of need.
//!
//! A write into a filled file allocates nothing, so that its sync does not have to wait for the journal of the file
//! system. Spares are filled in small steps, each synced, because a sync of megabytes would hold up the syncs of the
//! log beside it.
//!
//! A spare is filled as `N.new`, gets the name of a segment, and is ready once the directory is synced. Then
//! [`Spares::take`] hands it over as it is, open: the change of segments is free of changes of names.
//!
//! The log never waits for a spare. It takes the next number and, if none is ready, creates the file itself with its room
//! reserved, so that a full disk is noticed before anything is written to it. From then
//! on the filler touches no file of that number: it changes names under the lock that `take` needs, and nothing else.
//! To wait for such a change costs the log nothing that it would not wait for anyway: the file system does one change
//! of a directory at a time, and the log is about to create a file in it.

mod thread;

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    disk::{Disk, DiskFile},
    planted::{PlantedFault, is_planted},
    segment_name::{LogFile, log_name, new_name, parse},
};

pub(super) use thread::SpareThread;

/// Spares that are kept ready: one for the next change of segments, and one that lasts while its successor is filled.
const READY: usize = 2;

/// The most bytes that are written and synced at once.
const FILL_BYTES_MAX: u64 = 256 << 10;

/// Bytes of a block of the file system. Less at once would fill it twice.
const BLOCK_BYTES: u64 = 4096;

/// Steps that a segment is filled in, within the two limits above.
const FILLS: u64 = 256;

/// The spares that are ready, shared by the log and the filler.
pub(super) struct Spares {
    disk: Arc<dyn Disk>,
    state: Mutex<SparesState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SparesState {
    /// The newest segment that the log has, or has asked for.
    newest: u64,
    ready: BTreeMap<u64, Arc<dyn DiskFile>>,
    /// Whether the log is going to need some. A store with few orders never does, and takes no room for them.
    is_wanted: bool,
    is_stopping: bool,
}

impl Spares {
    /// No spares yet, for a log whose newest segment is this one; 0 for a log without any. None is filled before it is
    /// wanted.
    pub(super) fn new(disk: Arc<dyn Disk>, newest: u64) -> Arc<Self> {
        let state = SparesState {
            newest,
            ..SparesState::default()
        };
        Arc::new(Self {
            disk,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Has spares filled from now on.
    pub(super) fn want(&self) {
        self.state().is_wanted = true;
        self.changed.notify_all();
    }

    /// The spare of this number, which becomes the newest segment: full of zeros, named and synced.
    ///
    /// `None` if it is not ready. The caller then creates the file itself, syncs the directory and goes on.
    pub(super) fn take(&self, number: u64) -> Option<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.newest = state.newest.max(number);
        state.is_wanted = true;
        let spare = state.ready.remove(&number);
        drop(state);
        self.changed.notify_all();
        spare
    }

    /// The file of this number, which becomes the newest segment: a spare if one is ready, or a new file with room for
    /// `segment_bytes`. Its name is durable.
    ///
    /// # Errors
    /// Those of the disk, such as that it is full. Another attempt may be made at any time.
    pub(super) fn take_or_create(
        &self,
        number: u64,
        segment_bytes: u64,
    ) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(spare) = self.take(number) {
            return Ok(spare);
        }
        let name = log_name(number);
        let file = match self.take_later(number)? {
            Some(spare) => spare,
            None => self.create(&name, segment_bytes)?,
        };
        if !is_planted(PlantedFault::DirectoryNotSynced) {
            // Only here is a name made durable while orders wait: without it the segment would be lost with them.
            self.disk.sync().inspect_err(|_| {
                // After a sync that failed, a later one that succeeds says nothing of this name. The next attempt gives it
                // anew. Best effort, because what failed may fail again.
                let _ = self.disk.remove(&name);
            })?;
        }
        Ok(file)
    }

    /// A spare that was filled for a later segment, renamed to this one. There is one without its predecessor if an attempt
    /// to begin this segment has failed, since when its number is the log's. The room that the log waits for may be in it.
    fn take_later(&self, number: u64) -> io::Result<Option<Arc<dyn DiskFile>>> {
        // Until it has its name: the filler gives none meanwhile.
        let mut state = self.state();
        // The last, so that no number is left out before those that are ready.
        let Some(later) = state.ready.last_entry() else {
            return Ok(None);
        };
        self.disk
            .rename(&log_name(*later.key()), &log_name(number))?;
        let spare = later.remove();
        drop(state);
        self.changed.notify_all();
        Ok(Some(spare))
    }

    /// A new segment. Its room is reserved and not filled: to fill it would hold up every order for half a second. Each of
    /// its syncs is slower than in a spare, as if the file grew; but a disk that is full is found out here, where nothing is
    /// lost by it, and not in the middle of a frame.
    fn create(&self, name: &str, segment_bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.create(name)?;
        if !is_planted(PlantedFault::RoomNotReserved) {
            file.reserve(segment_bytes).inspect_err(|_| {
                // The part of the room that was there is given back. Best effort: the next attempt empties the file.
                let _ = self.disk.remove(name);
            })?;
        }
        Ok(file)
    }

    /// Number of spares that are ready.
    pub(super) fn ready(&self) -> usize {
        self.state().ready.len()
    }

    /// The numbers of the spares that are ready.
    #[cfg(test)]
    pub(super) fn ready_numbers(&self) -> Vec<u64> {
        self.state().ready.keys().copied().collect()
    }

    fn state(&self) -> MutexGuard<'_, SparesState> {
        // A panic has interrupted no change halfway: every one is a single assignment or insertion.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
    }
}

impl SparesState {
    /// The number that the next spare gets.
    fn next(&self) -> u64 {
        let mut next = self.newest + 1;
        while self.ready.contains_key(&next) {
            next += 1;
        }
        next
    }

    /// Whether the filler may touch a file of this name: a `.new` is its own, a `.log` only before the log has it.
    fn is_spare(&self, file: LogFile) -> bool {
        match file {
            LogFile::Unfinished(_) => true,
            LogFile::Segment(number) => number > self.newest,
            LogFile::Summary(_) | LogFile::Slots(_) => false,
        }
    }
}

/// What a step has found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FillerStatus {
    /// There is more to do, after a pause.
    Busy,
    /// Enough spares are ready.
    Done,
}

/// Fills spares, one small step at a time.
#[derive(Debug)]
pub(super) struct SpareFiller {
    spares: Arc<Spares>,
    segment_bytes: u64,
    /// Bytes of a step.
    fill_bytes: u64,
    buffer: Vec<u8>,
    /// Files of an earlier process that are yet to be looked at, the next one last.
    found: Vec<LogFile>,
    work: Option<Work>,
}

/// A spare in the making.
#[derive(Debug)]
enum Work {
    Filling(Filling),
    /// It has its name, but not for good.
    Named {
        number: u64,
        file: Arc<dyn DiskFile>,
    },
}

#[derive(Debug)]
struct Filling {
    name: LogFile,
    file: Arc<dyn DiskFile>,
    /// Zeros up to here.
    filled: u64,
    /// Its bytes up to here are those of an earlier process.
    length: u64,
}

impl SpareFiller {
    /// Fills `spares` up to the number that is kept ready, of `segment_bytes` each. Files that an earlier process has
    /// left above the newest segment are used again.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn new(spares: Arc<Spares>, segment_bytes: u64) -> io::Result<Self> {
        let fill_bytes = (segment_bytes / FILLS)
            .clamp(BLOCK_BYTES, FILL_BYTES_MAX)
            .min(segment_bytes);
        let mut found = Vec::new();
        for name in spares.disk.list()? {
            if let Some(file) = parse(&name)
                && spares.state().is_spare(file)
            {
                found.push(file);
            }
        }
        // Taken from the end: those with a name of a segment first, and of these the next one to be needed.
        found.sort_unstable_by(|one, other| other.cmp(one));
        Ok(Self {
            spares,
            segment_bytes,
            fill_bytes,
            buffer: Vec::new(),
            found,
            work: None,
        })
    }

    /// Takes one step, which writes and syncs 256 KiB at most.
    ///
    /// # Errors
    /// Those of the disk. The spare in the making is given up and its space with it; the next step begins anew.
    pub(super) fn step(&mut self) -> io::Result<FillerStatus> {
        if !self.spares.state().is_wanted {
            return Ok(FillerStatus::Done);
        }
        match self.work.take() {
            Some(Work::Filling(filling)) => self.advance(filling)?,
            Some(Work::Named { number, file }) => self.publish(number, file)?,
            None => match self.found.pop() {
                Some(name) => self.adopt(name)?,
                None if self.spares.ready() >= READY => return Ok(FillerStatus::Done),
                None => self.begin()?,
            },
        }
        Ok(FillerStatus::Busy)
    }

    fn disk(&self) -> &dyn Disk {
        &*self.spares.disk
    }

    /// Begins a new spare.
    fn begin(&mut self) -> io::Result<()> {
        let number = self.spares.state().next();
        let file = self.disk().create(&new_name(number))?;
        self.work = Some(Work::Filling(Filling {
            name: LogFile::Unfinished(number),
            file,
            filled: 0,
            length: 0,
        }));
        Ok(())
    }

    /// Begins with a file of an earlier process.
    fn adopt(&mut self, name: LogFile) -> io::Result<()> {
        // Enough are ready: what was being filled is not needed.
        if matches!(name, LogFile::Unfinished(_)) && self.spares.ready() >= READY {
            return self.disk().remove(&name.name());
        }
        match self.open_found(name) {
            Ok(Some((length, file))) => {
                self.work = Some(Work::Filling(Filling {
                    name,
                    file,
                    filled: 0,
                    length,
                }));
                Ok(())
            }
            // Of another size of segments.
            Ok(None) => self.discard(name),
            Err(error) => self.give_up(name, error),
        }
    }

    /// A file of an earlier process with its length, if it is no longer than a spare.
    fn open_found(&self, name: LogFile) -> io::Result<Option<(u64, Arc<dyn DiskFile>)>> {
        let file = self.disk().open(&name.name())?;
        let length = file.len()?;
        if length > self.segment_bytes {
            return Ok(None);
        }
        // A copy of the directory may have left out its zeros; they are read as zeros all the same.
        file.reserve(self.segment_bytes)?;
        Ok(Some((length, file)))
    }

    /// Takes a spare a step further, or gives it up.
    fn advance(&mut self, mut filling: Filling) -> io::Result<()> {
        let name = filling.name;
        if !self.spares.state().is_spare(name) {
            // The log has created a file in its place.
            return Ok(());
        }
        let advanced = if filling.filled < self.segment_bytes {
            self.fill(&mut filling)
                .map(|()| self.work = Some(Work::Filling(filling)))
        } else {
            self.name(filling)
        };
        advanced.or_else(|error| self.give_up(name, error))
    }

    /// Makes sure that the next bytes are zeros.
    fn fill(&mut self, filling: &mut Filling) -> io::Result<()> {
        let end = self.segment_bytes.min(filling.filled + self.fill_bytes);
        // At most `FILL_BYTES_MAX`.
        let bytes = usize::try_from(end - filling.filled).unwrap_or_default();
        self.buffer.resize(bytes, 0);
        if end <= filling.length {
            filling
                .file
                .read_exact_at(&mut self.buffer, filling.filled)?;
            let is_zero = self.buffer.iter().all(|byte| *byte == 0);
            if is_zero || is_planted(PlantedFault::SpareNotZeroed) {
                filling.filled = end;
                return Ok(());
            }
        }
        if let LogFile::Segment(number) = filling.name {
            // Under a name that the log may take, nothing is written.
            return self.take_name_back(number, filling);
        }
        self.buffer.fill(0);
        filling.file.write_all_at(&self.buffer, filling.filled)?;
        filling.file.sync_data()?;
        filling.filled = end;
        Ok(())
    }

    /// Makes a spare of an earlier process that is not all zeros a `.new` again.
    fn take_name_back(&self, number: u64, filling: &mut Filling) -> io::Result<()> {
        let state = self.spares.state();
        if state.is_spare(filling.name) {
            self.disk().rename(&log_name(number), &new_name(number))?;
            filling.name = LogFile::Unfinished(number);
        }
        Ok(())
    }

    /// Gives a filled spare its name.
    fn name(&mut self, filling: Filling) -> io::Result<()> {
        let Filling { name, file, .. } = filling;
        let mut number = name.number();
        if matches!(name, LogFile::Unfinished(_)) {
            // What an earlier process has filled was found to be zero, which does not mean that it was synced.
            file.sync_data()?;
            // The log may have gone past the number that it was begun with. Locked until it has its name, so that the
            // log cannot create a file of that name meanwhile, which this one would replace.
            let state = self.spares.state();
            number = state.next();
            self.disk().rename(&name.name(), &log_name(number))?;
        }
        self.work = Some(Work::Named { number, file });
        Ok(())
    }

    /// Makes a named spare ready.
    fn publish(&self, number: u64, file: Arc<dyn DiskFile>) -> io::Result<()> {
        if !is_planted(PlantedFault::DirectoryNotSynced) {
            // Before the log may have it: a segment whose name is lost is lost with its orders.
            self.disk().sync()?;
        }
        let mut state = self.spares.state();
        // If the log has created the segment meanwhile, it has emptied this very file and writes to it.
        if number > state.newest {
            state.ready.insert(number, file);
        }
        Ok(())
    }

    /// The result where a spare cannot be made of a file: success if the log has taken its place.
    fn give_up(&self, name: LogFile, error: io::Error) -> io::Result<()> {
        if !self.spares.state().is_spare(name) {
            return Ok(());
        }
        // Best effort, because what failed may fail again; the file is found at the next start or replaced before.
        let _ = self.discard(name);
        Err(error)
    }

    /// Removes a file that no spare can be made of.
    fn discard(&self, name: LogFile) -> io::Result<()> {
        let state = self.spares.state();
        if state.is_spare(name) {
            self.disk().remove(&name.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
