//! A disk in memory that loses, tears, misdirects and spoils what is written, as a seed decides.
//!
//! The same seed and the same calls have the same result. The disk is meant for one thread; calls from several are
//! safe, but their order is then not the seed's.
//!
//! Of a file, everything that was synced survives a power failure ([`SimulatedDisk::crash`]). Of the rest, every sector
//! or block has one of the contents it had since the last sync, and the length one of its lengths. Of the changes of
//! names since the last [`Disk::sync`], each survives or not. A killed process ([`SimulatedDisk::restart`]) loses nothing.

mod content;
mod plan;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::io::Errno;

use self::content::{SECTOR, SimulatedContent, Survival};
pub use self::plan::{DiskFault, FaultPlan, FaultTrigger};
use super::{Disk, DiskFile};

/// Virtual time of a call.
const CALL: Duration = Duration::from_micros(100);

/// Virtual time that a slow call takes in addition.
pub const SLOW_CALL: Duration = Duration::from_secs(1);

type FileNumber = u64;

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<DiskState>>,
}

/// An open file. It is of no use after a crash or restart of its disk.
struct SimulatedFile {
    state: Arc<Mutex<DiskState>>,
    number: FileNumber,
    /// Shared with the content, which counts the open files by it.
    _open: Arc<()>,
}

#[derive(Default)]
struct DiskState {
    random: fastrand::Rng,
    plan: FaultPlan,
    /// Once it has stopped, every call fails.
    has_stopped: bool,
    calls: u64,
    elapsed: Duration,
    occurred: BTreeMap<DiskFault, u64>,
    files: BTreeMap<FileNumber, SimulatedContent>,
    files_made: u64,
    names: BTreeMap<String, FileNumber>,
    durable_names: BTreeMap<String, FileNumber>,
    name_changes: Vec<NameChange>,
    /// Where writes have begun, so that a misdirected one can be aimed at what was written there.
    places: BTreeSet<(FileNumber, usize)>,
}

#[derive(Debug)]
enum NameChange {
    Added {
        name: String,
        file: FileNumber,
    },
    Renamed {
        from: String,
        to: String,
        file: FileNumber,
    },
    Removed {
        name: String,
    },
}

impl SimulatedDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_state(DiskState {
            random: fastrand::Rng::with_seed(seed),
            ..DiskState::default()
        })
    }

    fn with_state(state: DiskState) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        lock(&self.state)
    }

    /// Gives the disk other faults from now on.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.state().plan = plan;
    }

    /// Number of calls so far. The next has the number after it.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Whether the disk has stopped, by its plan or by a crash.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.state().has_stopped
    }

    /// Bytes that all files have together.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used() as u64
    }

    /// Virtual time that all calls have taken.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    /// How often a fault has occurred.
    #[must_use]
    pub fn occurred(&self, fault: DiskFault) -> u64 {
        self.state().occurred.get(&fault).copied().unwrap_or(0)
    }

    /// The disk after a power failure. This one stops for good. The new one has no faults.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut state = self.stop();
        state.lose_unsynced();
        Self::with_state(state)
    }

    /// The disk after the end of the process, with its page cache. This one stops for good. The new one has no faults.
    #[must_use]
    pub fn restart(&self) -> Self {
        Self::with_state(self.stop())
    }

    /// Takes everything to a new state, so that open files and other clones stay behind without any.
    fn stop(&self) -> DiskState {
        let mut state = self.state();
        let left = DiskState {
            has_stopped: true,
            calls: state.calls,
            ..DiskState::default()
        };
        let stopped = mem::replace(&mut *state, left);
        DiskState {
            plan: FaultPlan::default(),
            has_stopped: false,
            ..stopped
        }
    }

    /// Forgets the page cache: reads see what is on the medium, with the writes that are not synced.
    pub fn drop_caches(&self) {
        for file in self.state().files.values_mut() {
            file.drop_cache();
        }
    }

    /// What reads of a file see, without a call and without faults; `None` without a file of that name.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let number = state.names.get(name)?;
        state.files.get(number).map(|file| file.bytes().to_vec())
    }

    /// Spoils a byte of a file, for good, by the bits of the mask. Nothing happens without such a byte.
    pub fn flip(&self, name: &str, offset: usize, mask: u8) {
        let mut state = self.state();
        let number = state.names.get(name).copied();
        if let Some(file) = number.and_then(|number| state.files.get_mut(&number)) {
            file.flip(offset, mask);
        }
    }

    fn opened(&self, number: FileNumber, content: &SimulatedContent) -> Arc<dyn DiskFile> {
        Arc::new(SimulatedFile {
            state: Arc::clone(&self.state),
            number,
            _open: content.opened(),
        })
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SimulatedDisk")
            .field("calls", &state.calls)
            .field("names", &state.names)
            .finish_non_exhaustive()
    }
}

impl Disk for SimulatedDisk {
    fn readers(&self) -> usize {
        // Faults are at numbers of calls, which are those of a run only while one thread makes them.
        1
    }

    fn list(&self) -> io::Result<Vec<String>> {
        call(&self.state, |state| {
            state.fail_at_random(DiskFault::FailedRead)?;
            Ok(state.names.keys().cloned().collect())
        })
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        call(&self.state, |state| {
            state.fail_at_random(DiskFault::FailedRead)?;
            let number = state.number(name)?;
            Ok(self.opened(number, state.file(number)?))
        })
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        call(&self.state, |state| {
            state.fail_at_random(DiskFault::FailedWrite)?;
            let number = state.create(name)?;
            Ok(self.opened(number, state.file(number)?))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        call(&self.state, |state| {
            state.fail_at_random(DiskFault::FailedWrite)?;
            let file = state.number(from)?;
            let (from, to) = (from.to_owned(), to.to_owned());
            state.change_name(NameChange::Renamed { from, to, file });
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        call(&self.state, |state| {
            state.fail_at_random(DiskFault::FailedWrite)?;
            state.number(name)?;
            let name = name.to_owned();
            state.change_name(NameChange::Removed { name });
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        call(&self.state, |state| match state.sync_outcome() {
            SyncOutcome::Ignored => Ok(()),
            SyncOutcome::Failed(survival) => {
                state.persist_names(survival);
                Err(Errno::IO.into())
            }
            SyncOutcome::Done => {
                state.persist_names(Survival::Everything);
                Ok(())
            }
        })
    }
}

impl fmt::Debug for SimulatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedFile({})", self.number)
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        call(&self.state, |state| {
            Ok(state.file(self.number)?.bytes().len() as u64)
        })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        call(&self.state, |state| {
            state.fail_at_random(DiskFault::FailedRead)?;
            let offset = in_memory(offset)?;
            if buffer.is_empty() {
                return Ok(());
            }
            if state.occurs(DiskFault::BitRot) {
                let byte = offset + state.random.usize(0..buffer.len());
                let mask = 1 << state.random.u8(0..8);
                state.file(self.number)?.flip(byte, mask);
            }
            let bytes = state.file(self.number)?.bytes();
            let read = bytes
                .get(offset..)
                .and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(read.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        call(&self.state, |state| {
            state.write(self.number, bytes, in_memory(offset)?)
        })
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        call(&self.state, |state| {
            state.reserve(self.number, in_memory(bytes)?)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        call(&self.state, |state| match state.sync_outcome() {
            SyncOutcome::Ignored => Ok(()),
            SyncOutcome::Failed(survival) => {
                state.persist(self.number, survival)?;
                Err(Errno::IO.into())
            }
            SyncOutcome::Done => state.persist(self.number, Survival::Everything),
        })
    }

    fn is_linked(&self) -> io::Result<bool> {
        call(&self.state, |state| {
            Ok(state.names.values().any(|number| *number == self.number))
        })
    }
}

enum SyncOutcome {
    Done,
    Ignored,
    Failed(Survival),
}

fn lock(state: &Mutex<DiskState>) -> MutexGuard<'_, DiskState> {
    // A test that has failed while it held the disk has said so already.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_memory(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

fn stopped() -> io::Error {
    io::Error::other("the simulated disk has stopped")
}

/// Makes one call of the disk.
fn call<T>(
    state: &Mutex<DiskState>,
    work: impl FnOnce(&mut DiskState) -> io::Result<T>,
) -> io::Result<T> {
    let state = &mut *lock(state);
    if state.has_stopped {
        return Err(stopped());
    }
    state.calls += 1;
    state.elapsed += CALL;
    if state.occurs(DiskFault::SlowCall) {
        state.elapsed += SLOW_CALL;
    }
    if state.plan.stop_at.is_some_and(|last| state.calls >= last) {
        state.has_stopped = true;
        // The power may fail before a call as well as between its effect and its return.
        if state.random.bool() {
            let _ = work(state);
        }
        return Err(stopped());
    }
    work(state)
}

impl DiskState {
    fn occurs(&mut self, fault: DiskFault) -> bool {
        let occurs = self.plan.occurs(fault, self.calls, &mut self.random);
        if occurs {
            self.note(fault);
        }
        occurs
    }

    fn note(&mut self, fault: DiskFault) {
        *self.occurred.entry(fault).or_default() += 1;
    }

    fn fail_at_random(&mut self, fault: DiskFault) -> io::Result<()> {
        if self.occurs(fault) {
            return Err(Errno::IO.into());
        }
        Ok(())
    }

    fn sync_outcome(&mut self) -> SyncOutcome {
        if self.occurs(DiskFault::FailedSync) {
            SyncOutcome::Failed(Survival::draw(&mut self.random))
        } else if self.occurs(DiskFault::IgnoredSync) {
            SyncOutcome::Ignored
        } else {
            SyncOutcome::Done
        }
    }

    fn number(&self, name: &str) -> io::Result<FileNumber> {
        let number = self.names.get(name).copied();
        number.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, number: FileNumber) -> io::Result<&mut SimulatedContent> {
        self.files.get_mut(&number).ok_or_else(stopped)
    }

    fn create(&mut self, name: &str) -> io::Result<FileNumber> {
        if let Ok(number) = self.number(name) {
            self.file(number)?.truncate();
            return Ok(number);
        }
        self.files_made += 1;
        let file = self.files_made;
        self.files.insert(file, SimulatedContent::default());
        let name = name.to_owned();
        self.change_name(NameChange::Added { name, file });
        Ok(file)
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// Forgets the files that nobody can reach any more, by a name or as an open file, now or after a crash.
    fn forget_unreachable(&mut self) {
        let changed = self.name_changes.iter().filter_map(NameChange::file);
        let reachable: BTreeSet<_> = self
            .names
            .values()
            .chain(self.durable_names.values())
            .copied()
            .chain(changed)
            .collect();
        self.files
            .retain(|number, file| reachable.contains(number) || file.is_open());
    }

    fn write(&mut self, number: FileNumber, bytes: &[u8], offset: usize) -> io::Result<()> {
        let room = self.room(number, offset)?;
        let (bytes, result) = if self.occurs(DiskFault::FailedWrite) {
            let written = self.random.usize(0..=bytes.len());
            (&bytes[..written.min(room)], Err(Errno::IO.into()))
        } else if bytes.len() > room {
            self.note(DiskFault::FullDisk);
            (&bytes[..room], Err(Errno::NOSPC.into()))
        } else {
            (bytes, Ok(()))
        };
        if bytes.is_empty() {
            return result;
        }
        if self.occurs(DiskFault::MisdirectedWrite) {
            self.misdirect(number, bytes, offset)?;
        } else {
            self.file(number)?.write(bytes, offset);
        }
        self.places.insert((number, offset));
        result
    }

    /// Makes a file as long as it is to be, or as there is room.
    fn reserve(&mut self, number: FileNumber, length: usize) -> io::Result<()> {
        self.fail_at_random(DiskFault::FailedWrite)?;
        let present = self.file(number)?.bytes().len();
        if length <= present || self.occurs(DiskFault::NoReservation) {
            return Ok(());
        }
        let room = self.room(number, present)?;
        let fitting = length.min(present.saturating_add(room));
        // Of the content nothing is written: the length is what takes room.
        self.file(number)?.write(&[], fitting);
        if fitting < length {
            self.note(DiskFault::FullDisk);
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }

    /// How many bytes can be written at an offset of a file.
    fn room(&mut self, number: FileNumber, offset: usize) -> io::Result<usize> {
        let length = self.file(number)?.bytes().len();
        let Some(capacity) = self.plan.capacity else {
            return Ok(usize::MAX);
        };
        let free = in_memory(capacity)?.saturating_sub(self.used());
        Ok((length + free).saturating_sub(offset))
    }

    /// Bytes of all files.
    fn used(&self) -> usize {
        let named: Vec<_> = self.names.values().collect();
        self.files
            .iter()
            // A file without a name takes its room until it is closed.
            .filter(|(number, file)| named.contains(number) || file.is_open())
            .map(|(_, file)| file.bytes().len())
            .sum()
    }

    /// Writes to the place of an earlier write, to the same sectors of another file, or to any sectors of the same one.
    fn misdirect(&mut self, number: FileNumber, bytes: &[u8], offset: usize) -> io::Result<()> {
        let astray = self.file(number)?.write_astray(bytes, offset);
        let sectors = self.file(number)?.bytes().len().div_ceil(SECTOR);
        let first = offset / SECTOR;
        if self.random.bool()
            && let Some((other, place)) = self.place_like(number, offset)
        {
            self.file(other)?.receive(&astray, place / SECTOR);
            return Ok(());
        }
        let named = self.names.values().copied();
        let others: Vec<_> = named.filter(|file| *file != number).collect();
        if !others.is_empty() && self.random.bool() {
            let other = others[self.random.usize(0..others.len())];
            self.file(other)?.receive(&astray, first);
        } else if sectors > 1 {
            let elsewhere = (first + self.random.usize(1..sectors)) % sectors;
            self.file(number)?.receive(&astray, elsewhere);
        }
        Ok(())
    }

    /// The place of an earlier write that begins as far behind the beginning of a sector. Of what lands there, every byte
    /// stands where one of that write stood: checksums find that, or nothing does.
    fn place_like(&mut self, number: FileNumber, offset: usize) -> Option<(FileNumber, usize)> {
        let is_like = |place: &(FileNumber, usize)| {
            *place != (number, offset)
                && place.1 % SECTOR == offset % SECTOR
                && self.files.contains_key(&place.0)
        };
        let places: Vec<_> = self.places.iter().copied().filter(is_like).collect();
        if places.is_empty() {
            return None;
        }
        Some(places[self.random.usize(0..places.len())])
    }

    fn persist(&mut self, number: FileNumber, survival: Survival) -> io::Result<()> {
        let file = self.files.get_mut(&number).ok_or_else(stopped)?;
        file.persist(survival, &mut self.random);
        Ok(())
    }

    fn persist_names(&mut self, survival: Survival) {
        for change in mem::take(&mut self.name_changes) {
            if survival.of(1, &mut self.random) == 1 {
                change.apply(&mut self.durable_names);
            }
        }
        self.forget_unreachable();
    }

    fn lose_unsynced(&mut self) {
        let survival = Survival::draw(&mut self.random);
        self.persist_names(survival);
        self.names.clone_from(&self.durable_names);
        for file in self.files.values_mut() {
            let survival = Survival::draw(&mut self.random);
            file.persist(survival, &mut self.random);
            file.drop_cache();
        }
    }
}

impl NameChange {
    fn file(&self) -> Option<FileNumber> {
        match self {
            Self::Added { file, .. } | Self::Renamed { file, .. } => Some(*file),
            Self::Removed { .. } => None,
        }
    }

    /// Carries out the change, whether those before it have survived or not.
    fn apply(&self, names: &mut BTreeMap<String, FileNumber>) {
        match self {
            Self::Added { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Renamed { from, to, file } => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            Self::Removed { name } => {
                names.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
