//! Faults planted in the log are found.

use super::{HAZARDS, Hazard, STEPS, run};
use crate::log::planted::{PlantedFault, plant};

/// Seeds that are tried for a fault.
fn seeds(fault: PlantedFault) -> std::ops::Range<u64> {
    // The watermark tells of nearly all lost frames, so damage has to hit it as well. A whole frame has to come to stand
    // where another of its length began.
    if matches!(
        fault,
        PlantedFault::DamageTakenForTorn | PlantedFault::PlaceNotInSeed
    ) {
        return 0..2_000;
    }
    0..400
}

/// What has to go wrong so that the fault shows.
fn hazards(fault: PlantedFault) -> &'static [Hazard] {
    match fault {
        PlantedFault::RoomNotReserved => &[Hazard::Failures],
        // The header of a new segment is written, its sync fails, a smaller frame still fits into the full one, and then
        // there is a crash.
        PlantedFault::FullSegmentWritten => &[Hazard::FrequentFailures],
        PlantedFault::PublicSumIgnored
        | PlantedFault::PersonalSumIgnored
        | PlantedFault::PersonalLossIgnored
        | PlantedFault::RecordCheckIgnored
        | PlantedFault::PlaceNotInSeed
        | PlantedFault::DamageTakenForTorn
        | PlantedFault::HeaderDamageIgnored
        | PlantedFault::SealedEndIgnored
        | PlantedFault::WatermarkIgnored
        | PlantedFault::PartialListAccepted
        | PlantedFault::SpareNotZeroed => &[Hazard::Damage],
        PlantedFault::FrameNotSynced
        | PlantedFault::DirectoryNotSynced
        | PlantedFault::WatermarkEarly
        | PlantedFault::WatermarkNotAdvanced
        | PlantedFault::PublishedEarly
        | PlantedFault::PreconditionIgnored
        | PlantedFault::BatchIgnored
        | PlantedFault::LinkMissing
        | PlantedFault::TailNotWiped
        | PlantedFault::UnsyncedNotRewritten
        | PlantedFault::SummaryChecksumIgnored
        | PlantedFault::SummaryOfAnother
        | PlantedFault::SummarySkipped
        | PlantedFault::ErasureNotRecorded
        | PlantedFault::ErasureNotSynced
        | PlantedFault::ErasureNotFinished
        | PlantedFault::SummaryKeepsErased
        | PlantedFault::UpdatesNotErased
        | PlantedFault::PendingUpdatesIgnored
        | PlantedFault::ReleasedIgnored
        | PlantedFault::UpdatesNotSummarized
        | PlantedFault::BlocksNotSummarized
        | PlantedFault::LifecycleNotSummarized
        | PlantedFault::PendingLifecycleIgnored
        | PlantedFault::EndedStepsRetried
        | PlantedFault::SlotIndexSumIgnored
        | PlantedFault::RecentSlotsLost => &HAZARDS,
    }
}

/// How many runs it takes to find a planted fault.
fn runs_until_found(fault: PlantedFault) -> Option<u64> {
    let _planted = plant(fault);
    let mut runs = 0;
    for seed in seeds(fault) {
        for hazard in hazards(fault) {
            runs += 1;
            if run(seed, *hazard, STEPS).is_err() {
                return Some(runs);
            }
        }
    }
    None
}

#[test]
fn every_planted_fault_is_found() {
    let mut missed = Vec::new();
    for fault in PlantedFault::ALL {
        match runs_until_found(fault) {
            Some(runs) => eprintln!("{fault:?}: found in {runs} runs"),
            None => missed.push(fault),
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
