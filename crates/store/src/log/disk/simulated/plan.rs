//! Which faults a simulated disk has, and when.

use std::collections::BTreeMap;

/// A fault of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskFault {
    /// A read, a list or an open reports an error.
    FailedRead,
    /// A write reports an error and has been carried out up to some byte; or a file is neither created, renamed
    /// nor removed.
    FailedWrite,
    /// A sync reports an error. What it should have made durable is so in part. The page cache takes all of it for
    /// written, as Linux does, so that a later sync changes nothing.
    FailedSync,
    /// A sync reports success and does nothing.
    IgnoredSync,
    /// A bit flips on the medium, for good, among the bytes that a read asks for.
    BitRot,
    /// The sectors of a write land elsewhere: at other sectors, or in another file. The page cache has them where
    /// they belong.
    MisdirectedWrite,
    /// A call takes longer by [`SLOW_CALL`](super::SLOW_CALL) of the virtual time.
    SlowCall,
    /// A write or a reservation does not fit into the capacity. It has been carried out as far as there is room.
    FullDisk,
    /// A reservation reports success and does nothing, as where the file system has none.
    NoReservation,
}

/// When a fault occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultTrigger {
    /// By chance, once in so many calls that can have it.
    OneIn(u32),
    /// At calls of these numbers, if they can have it.
    At(Vec<u64>),
}

/// The faults that a disk has. Without any, it loses nothing before a crash.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    triggers: BTreeMap<DiskFault, FaultTrigger>,
    /// Bytes that all files may have together.
    pub(super) capacity: Option<u64>,
    /// The number of the call from which on all fail.
    pub(super) stop_at: Option<u64>,
}

impl FaultPlan {
    /// The plan with one more fault. [`DiskFault::FullDisk`] has no trigger: it follows from [`Self::capacity`].
    #[must_use]
    pub fn with(mut self, fault: DiskFault, trigger: FaultTrigger) -> Self {
        self.triggers.insert(fault, trigger);
        self
    }

    /// The plan with a limit for the bytes of all files together.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// The plan with an end: the call of this number and all after it fail. That one may have its effect.
    #[must_use]
    pub fn stop_at(mut self, call: u64) -> Self {
        self.stop_at = Some(call);
        self
    }

    pub(super) fn occurs(&self, fault: DiskFault, call: u64, random: &mut fastrand::Rng) -> bool {
        match self.triggers.get(&fault) {
            None => false,
            Some(FaultTrigger::OneIn(calls)) => random.u32(0..*calls) == 0,
            Some(FaultTrigger::At(calls)) => calls.contains(&call),
        }
    }
}
