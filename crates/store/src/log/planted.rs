//! Faults that tests plant in the log itself, to show that the simulation finds them.
//!
//! Outside of tests none is ever planted, and the compiler removes the branches.

/// A fault in the log's own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlantedFault {
    /// A frame is not synced.
    FrameNotSynced,
    /// A segment is begun without room for what will be written to it.
    RoomNotReserved,
    /// The directory is not synced after a file has got its name.
    DirectoryNotSynced,
    /// The watermark is advanced before the frame is synced.
    WatermarkEarly,
    /// The watermark is not advanced.
    WatermarkNotAdvanced,
    /// Fewer changes on record than the watermark says are no error.
    WatermarkIgnored,
    /// Orders are visible before their frame is synced.
    PublishedEarly,
    /// A unit is written whether its preconditions hold or not.
    PreconditionIgnored,
    /// Preconditions are compared with what is durable, and not with the units before in the same frame.
    BatchIgnored,
    /// An order does not lead to the one before of its user.
    LinkMissing,
    /// The checksum of the public part of a record is not compared.
    PublicSumIgnored,
    /// The checksum of the personal part of a record is not compared.
    PersonalSumIgnored,
    /// A personal part that is not what was written is taken for an erased one.
    PersonalLossIgnored,
    /// The checksum of a record's header is not compared.
    RecordCheckIgnored,
    /// Checksums do not depend on the place, so that misdirected records are accepted.
    PlaceNotInSeed,
    /// A damaged frame is taken for a torn one, although there is a valid one behind it.
    DamageTakenForTorn,
    /// The remains of a torn frame stay behind the end of the log.
    TailNotWiped,
    /// A frame that was recovered is not written again, although its sync may have failed.
    UnsyncedNotRewritten,
    /// A damaged header of the last segment is taken for a torn one, although there are frames behind it.
    HeaderDamageIgnored,
    /// The last frames of a sealed segment may be missing.
    SealedEndIgnored,
    /// The checksum of a summary is not compared.
    SummaryChecksumIgnored,
    /// The summary of another segment is accepted.
    SummaryOfAnother,
    /// A segment without a summary is left out.
    SummarySkipped,
    /// A frame is written to a full segment, although the header of the next one may say where it ends.
    FullSegmentWritten,
    /// A list ends at a damaged frame, and reports no error.
    PartialListAccepted,
    /// A spare that was there before is not looked at, so that it may not be zero.
    SpareNotZeroed,
    /// Personal data is overwritten before the erasure is on record.
    ErasureNotRecorded,
    /// The overwritten parts are not synced before the completion is recorded.
    ErasureNotSynced,
    /// The summary of a sealed segment keeps the users of erased orders.
    SummaryKeepsErased,
    /// An erasure that was interrupted is not finished by the next start.
    ErasureNotFinished,
    /// An erasure leaves out the updates of the erased orders.
    UpdatesNotErased,
    /// An update is decided on what is durable, and not on the updates before in the same frame.
    PendingUpdatesIgnored,
    /// A start takes the spots that updates have given back for sold.
    ReleasedIgnored,
    /// The summary of a segment lacks its updates.
    UpdatesNotSummarized,
    /// The summary of a segment lacks its blocks.
    BlocksNotSummarized,
    /// The summary of a segment lacks the revisions and drafts of the lifecycle.
    LifecycleNotSummarized,
    /// A unit is decided on the durable revision of the lifecycle, and not on the units before in the same frame.
    PendingLifecycleIgnored,
    /// A start returns attempts at steps that have ended since.
    EndedStepsRetried,
    /// The checksum of an index of slots is not compared.
    SlotIndexSumIgnored,
    /// A start does not keep the slots of the segment in use.
    RecentSlotsLost,
}

#[cfg(test)]
impl PlantedFault {
    /// The faults that the simulation has to find. [`Self::SummaryKeepsErased`] is found by the tests of the eraser,
    /// [`Self::SpareNotZeroed`] by those of the spares.
    pub(super) const ALL: [Self; 38] = [
        Self::FrameNotSynced,
        Self::RoomNotReserved,
        Self::DirectoryNotSynced,
        Self::WatermarkEarly,
        Self::WatermarkNotAdvanced,
        Self::WatermarkIgnored,
        Self::PublishedEarly,
        Self::PreconditionIgnored,
        Self::BatchIgnored,
        Self::LinkMissing,
        Self::PublicSumIgnored,
        Self::PersonalSumIgnored,
        Self::PersonalLossIgnored,
        Self::RecordCheckIgnored,
        Self::PlaceNotInSeed,
        Self::DamageTakenForTorn,
        Self::TailNotWiped,
        Self::UnsyncedNotRewritten,
        Self::HeaderDamageIgnored,
        Self::SealedEndIgnored,
        Self::SummaryChecksumIgnored,
        Self::SummaryOfAnother,
        Self::SummarySkipped,
        Self::FullSegmentWritten,
        Self::PartialListAccepted,
        Self::ErasureNotRecorded,
        Self::ErasureNotSynced,
        Self::ErasureNotFinished,
        Self::UpdatesNotErased,
        Self::PendingUpdatesIgnored,
        Self::ReleasedIgnored,
        Self::UpdatesNotSummarized,
        Self::BlocksNotSummarized,
        Self::LifecycleNotSummarized,
        Self::PendingLifecycleIgnored,
        Self::EndedStepsRetried,
        Self::SlotIndexSumIgnored,
        Self::RecentSlotsLost,
    ];
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
