//! Faults that tests plant in the log itself, to show that the simulation finds them.
//!
//! Outside of tests none is ever planted, and the compiler removes the branches.

/// A fault in the log's own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlantedFault {
    /// A spare that was there before is not looked at, so that it may not be zero.
    SpareNotZeroed,
    /// The directory is not synced after a file has got its name.
    DirectoryNotSynced,
}

#[cfg(test)]
thread_local! {
    // Of a thread, so that tests that run at the same time plant nothing for each other.
    static PLANTED: std::cell::Cell<Option<PlantedFault>> = const { std::cell::Cell::new(None) };
}

/// Whether this fault is planted in this thread.
#[cfg(test)]
pub(super) fn is_planted(fault: PlantedFault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Whether this fault is planted: never.
#[cfg(not(test))]
#[inline]
pub(super) const fn is_planted(_: PlantedFault) -> bool {
    false
}

/// Plants a fault in this thread until the guard is dropped.
#[cfg(test)]
#[must_use]
pub(super) fn plant(fault: PlantedFault) -> PlantedGuard {
    PLANTED.set(Some(fault));
    PlantedGuard
}

/// A planted fault. Dropping it removes the fault, also where a test has failed.
#[cfg(test)]
pub(super) struct PlantedGuard;

#[cfg(test)]
impl Drop for PlantedGuard {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}
