use std::{fs, os::unix::fs::FileExt, sync::Arc};

use domain::{
    lifecycle::{OpenStep, OrderPart, StepKind},
    slot::SlotDuration,
    time::EpochSeconds,
};
use kernel::clock::{Clock, ManualClock};

use super::*;
use crate::{
    BlockKey, NamedClaim, OrderKey, OrderUpdate, PlacedOrder, Store, UnitOfWork, Write,
    conformance::samples,
    log::{
        CutSegment, StoreInfo,
        disk::{DirectoryDisk, Disk, simulated::SimulatedDisk},
        encoded_unit::EncodedUnit,
        fixtures::{Fixture, SEGMENT_BYTES, contents, flip},
        inspect,
        open_work::{BlockEntry, UpdateEntry},
        planted::{PlantedFault, plant},
        record_header::RECORD_HEADER_BYTES,
        recovery::recover,
        scan::scan,
        simulated_store::OpenedLog,
        summary::Summary,
    },
};

/// The first frame of a segment, and its first record.
const FRAME: u64 = SEGMENT_HEADER_BYTES as u64;
const RECORD: u64 = FRAME + frame::FRAME_HEADER_BYTES as u64;

fn verified(fixture: &Fixture) -> Verification {
    verify(fixture.dir(), &mut |_| {}).unwrap()
}

/// The only finding.
#[track_caller]
fn finding(fixture: &Fixture) -> Finding {
    let mut findings = verified(fixture).findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

fn info(fixture: &Fixture) -> StoreInfo {
    inspect(fixture.dir()).unwrap().unwrap()
}

/// The first sequence number of a segment.
fn first_sequence(fixture: &Fixture, number: u64) -> u64 {
    let files = StoreFiles::open(fixture.dir()).unwrap();
    let survey = HeaderSurvey::read(&*files.disk).unwrap();
    survey.header(number).unwrap().first_sequence
}

#[test]
fn a_whole_store_has_no_damage_and_is_left_as_it_is() {
    let fixture = Fixture::with_orders(300);
    let before = contents(fixture.dir());
    let mut steps = Vec::new();
    let verification = verify(fixture.dir(), &mut |progress| steps.push(progress)).unwrap();
    assert_eq!((verification.changes, verification.orders), (300, 300));
    assert_eq!(verification.findings, []);
    assert!(verification.segments > 3, "{verification:?}");
    assert_eq!(steps.len() as u64, verification.segments);
    assert!(steps.is_sorted_by_key(|step| step.done));
    let last = steps.last().unwrap();
    assert_eq!(
        (last.done, last.all),
        (verification.bytes, verification.bytes)
    );
    let info = info(&fixture);
    assert_eq!((info.orders, info.changes), (300, 300));
    assert_eq!(info.segments, verification.segments);
    assert!(!info.is_in_use && info.bytes >= verification.bytes);
    assert!(info.first_order_sec <= info.last_order_sec);
    assert_eq!(contents(fixture.dir()), before);
}

#[test]
fn a_store_is_verified_while_it_is_written() {
    let mut fixture = Fixture::with_orders(50);
    let store = fixture.open();
    for round in 1..5 {
        fixture.place_in(&store, 20);
        let verification = verified(&fixture);
        assert_eq!(verification.findings, []);
        assert_eq!(verification.changes, 50 + 20 * round);
        assert!(info(&fixture).is_in_use);
    }
}

#[test]
fn a_flipped_bit_of_a_record_is_found_and_costs_that_change_only() {
    let fixture = Fixture::with_orders(300);
    let sequence = first_sequence(&fixture, 2);
    let order = usize::try_from(sequence - 1).unwrap();
    // The last byte of the public part; the personal one follows it.
    let mut header = [0; RECORD_HEADER_BYTES];
    let segment = fs::File::open(fixture.segment(2)).unwrap();
    segment.read_exact_at(&mut header, RECORD).unwrap();
    let public_bytes = u64::from(u32::from_le_bytes(header[4..8].try_into().unwrap()));
    let parts = RECORD + RECORD_HEADER_BYTES as u64;
    for (offset, is_named) in [(parts, false), (parts + public_bytes, true)] {
        flip(&fixture.segment(2), offset);
        let finding = finding(&fixture);
        let Finding {
            damage,
            lost,
            orders,
        } = &finding;
        assert_eq!(
            (damage.segment, damage.offset, damage.sequence),
            (2, RECORD, sequence)
        );
        let is_right = if is_named {
            damage.fault == DamageFault::PersonalPart
        } else {
            matches!(damage.fault, DamageFault::Frame { .. })
        };
        assert!(is_right, "{damage}");
        assert_eq!(*lost, Some(sequence..=sequence));
        let expected: &[_] = if is_named {
            &fixture.orders[order..=order]
        } else {
            &[]
        };
        assert_eq!(orders, expected);
        let text = finding.to_string();
        assert!(
            text.contains(&format!("change {sequence} is lost")),
            "{text}"
        );
        flip(&fixture.segment(2), offset);
    }
    assert_eq!(verified(&fixture).findings, []);
}

#[test]
fn a_damaged_header_of_a_frame_costs_no_change_and_one_of_a_record_that_record() {
    let fixture = Fixture::with_orders(300);
    let sequence = first_sequence(&fixture, 3);
    for (offset, lost) in [
        (FRAME, None),
        (FRAME + 30, None),
        (FRAME + 50, None),
        (RECORD, Some(sequence..=sequence)),
        (RECORD + 40, Some(sequence..=sequence)),
    ] {
        flip(&fixture.segment(3), offset);
        let finding = finding(&fixture);
        assert_eq!((finding.damage.segment, finding.damage.offset), (3, FRAME));
        assert_eq!(finding.lost, lost, "{offset}");
        flip(&fixture.segment(3), offset);
    }
}

/// The segments of a closed store on a simulated disk, and how far each is written.
fn simulated(fixture: &Fixture) -> (SimulatedDisk, Vec<usize>) {
    let files = StoreFiles::open(fixture.dir()).unwrap();
    let survey = HeaderSurvey::read(&*files.disk).unwrap();
    let disk = SimulatedDisk::new(1);
    let mut ends = Vec::new();
    for number in 1..=survey.last.unwrap().number {
        let bytes = read_file(&*files.disk, &log_name(number)).unwrap();
        let header = survey.header(number).unwrap();
        let seed = header.identity.seed();
        let Ok((end, _)) =
            scan::<std::convert::Infallible>(&bytes, seed, header, u64::MAX, |_| Ok(()));
        ends.push(usize::try_from(end.offset).unwrap());
        let file = disk.create(&log_name(number)).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        file.sync_data().unwrap();
    }
    (disk, ends)
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_its_segment_is_named() {
    let fixture = Fixture::with_orders(80);
    let (disk, ends) = simulated(&fixture);
    // With one segment, damage of its header is an error: nothing says what the store is.
    assert!(ends.len() > 1);
    let verified = || verify_segments(&disk, 80, &|| Ok(false), &mut |_| {});
    let mut random = fastrand::Rng::with_seed(11);
    assert_eq!(verified().unwrap().findings, []);
    for _ in 0..200 {
        let segment = random.usize(..ends.len());
        let (number, at) = (segment as u64 + 1, random.usize(..ends[segment]));
        let mask = 1 << random.u32(..8);
        disk.flip(&log_name(number), at, mask);
        match verified() {
            Ok(verification) => {
                let named = verification.findings.iter().any(|finding| {
                    finding.damage.segment == number && finding.damage.offset <= at as u64
                });
                assert!(named, "{number} {at}: {:?}", verification.findings);
            }
            Err(OpenError::Format(_)) => assert!(at < SEGMENT_HEADER_BYTES, "{at}"),
            Err(error) => panic!("{number} {at}: {error}"),
        }
        disk.flip(&log_name(number), at, mask);
    }
}

#[test]
fn every_damage_is_found_and_not_only_the_first() {
    let fixture = Fixture::with_orders(300);
    for number in [1, 2, 3] {
        flip(&fixture.segment(number), RECORD + 60);
    }
    let segments: Vec<_> = verified(&fixture)
        .findings
        .iter()
        .map(|finding| finding.damage.segment)
        .collect();
    assert_eq!(segments, [1, 2, 3]);
}

#[test]
fn a_segment_without_its_header_file_or_end_is_named_with_its_changes() {
    let fixture = Fixture::with_orders(300);
    let changes = first_sequence(&fixture, 2)..=first_sequence(&fixture, 3) - 1;
    let path = fixture.segment(2);
    let whole = fs::read(&path).unwrap();

    flip(&path, 100);
    let found = finding(&fixture);
    assert_eq!(
        (found.damage.fault, found.lost),
        (DamageFault::Header, None)
    );

    fs::remove_file(&path).unwrap();
    let found = finding(&fixture);
    assert_eq!(
        (found.damage.fault, found.lost),
        (DamageFault::Missing, Some(changes.clone()))
    );

    let mut cut = whole.clone();
    cut[usize::try_from(RECORD).unwrap()..].fill(0);
    fs::write(&path, &cut).unwrap();
    let found = finding(&fixture);
    assert_eq!(
        (found.damage.fault, found.lost),
        (DamageFault::End, Some(changes))
    );

    let other = Fixture::with_orders(200);
    fs::copy(other.segment(2), &path).unwrap();
    let found = finding(&fixture);
    assert_eq!(found.damage.fault, DamageFault::OtherStore);

    fs::write(&path, whole).unwrap();
    assert_eq!(verified(&fixture).findings, []);
}

#[test]
fn acknowledged_changes_that_are_missing_at_the_end_are_found() {
    let fixture = Fixture::with_orders(300);
    let last = info(&fixture).segments;
    let path = fixture.segment(last);
    let sequence = first_sequence(&fixture, last);
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(FRAME).unwrap()..].fill(0);
    fs::write(&path, bytes).unwrap();
    let found = finding(&fixture);
    assert_eq!(found.damage.fault, DamageFault::End);
    assert_eq!(found.lost, Some(sequence..=300));
    // Without the number that was acknowledged nobody can know.
    fs::remove_file(fixture.dir().join(crate::log::WATERMARK)).unwrap();
    assert_eq!(verified(&fixture).findings, []);
}

#[test]
fn a_summary_that_is_not_that_of_its_segment_is_found() {
    let fixture = Fixture::with_orders(300);
    let path = fixture.summary(2);
    flip(&path, 70);
    let found = finding(&fixture);
    assert_eq!(
        (found.damage.segment, found.damage.fault),
        (2, DamageFault::Summary)
    );
    fs::remove_file(path).unwrap();
    assert_eq!(verified(&fixture).findings, []);
}

#[test]
fn links_lead_to_earlier_orders_of_the_same_user() {
    let position = |offset| Position::new(1, offset).unwrap();
    let user = |first: u8| crate::UserKey([first; 16]);
    let mut links = OrderLinks::default();
    assert!(links.add(position(8), Some(&user(1)), None));
    assert!(links.add(position(16), Some(&user(1)), Some(position(8))));
    assert!(links.add(position(24), None, Some(position(16))));
    assert!(links.add(position(32), Some(&user(2)), Some(position(24))));
    // Of another user, itself, and no order at all.
    assert!(!links.add(position(40), Some(&user(2)), Some(position(16))));
    assert!(!links.add(position(48), Some(&user(2)), Some(position(48))));
    assert!(!links.add(position(56), Some(&user(2)), Some(position(12 * 8 + 4096))));
    links.note_damage(1);
    assert!(links.add(position(64), Some(&user(2)), Some(position(12 * 8 + 4096))));
}

/// A log with an order, and what follows it, each written with a fault or none; and how many changes it has.
fn log_with(
    more: impl FnOnce(&mut fastrand::Rng, &mut PlacedOrder) -> Vec<(OrderUpdate, Option<PlantedFault>)>,
) -> (SimulatedDisk, u64) {
    let disk = SimulatedDisk::new(1);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(EpochSeconds::new(1_800_000_000)));
    let (mut log, _) = OpenedLog::open(&disk, &clock).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut placed = samples::placed(&mut random, |token| {
        log.reader.keys.order_key(token).order_id()
    });
    let updates = more(&mut random, &mut placed);
    let mut writes = vec![(Write::OrderPlaced(Box::new(placed)), None)];
    for (update, fault) in updates {
        writes.push((Write::OrderUpdated(Box::new(update)), fault));
    }
    for (write, fault) in writes {
        let unit = EncodedUnit::new(&UnitOfWork::from(write), &log.reader.keys);
        let _planted = fault.map(plant);
        log.ledger.write(&[unit]).unwrap();
    }
    let changes = log.ledger.appender.end().next_sequence - 1;
    (disk, changes)
}

/// A log with an order and its updates to these revisions, each written with a fault or none.
fn log_of_updates(updates: &[(u32, Option<PlantedFault>)]) -> (SimulatedDisk, u64) {
    log_with(|random, placed| {
        let update = |(revision, fault): &(u32, Option<PlantedFault>)| {
            let update = samples::update(random, placed.order.id.clone(), *revision);
            (update, *fault)
        };
        updates.iter().map(update).collect()
    })
}

#[test]
fn updates_that_do_not_continue_the_ones_before_are_found() {
    let unlinked = Some(PlantedFault::LinkMissing);
    for (updates, expected) in [
        (vec![], vec![]),
        (vec![(1, None), (2, None), (3, None)], vec![]),
        // It leads to no update before, and so does the first one, which is right.
        (vec![(1, None), (2, unlinked), (3, None)], vec![3]),
        (vec![(1, unlinked), (2, None)], vec![]),
        // A revision is missing, there twice, or the first one.
        (vec![(2, None)], vec![2]),
        (vec![(1, None), (3, None), (4, None)], vec![3]),
        (vec![(1, None), (1, None)], vec![3]),
        (vec![(1, None), (2, None), (1, None)], vec![4]),
    ] {
        let (disk, changes) = log_of_updates(&updates);
        let verified = verify_segments(&disk, changes, &|| Ok(false), &mut |_| {}).unwrap();
        let mut found = Vec::new();
        for finding in &verified.findings {
            assert_eq!(finding.damage.fault, DamageFault::Link, "{updates:?}");
            assert_eq!(finding.lost, None);
            found.push(finding.damage.sequence);
        }
        assert_eq!(found, expected, "{updates:?}");
    }
}

/// A log with an order that takes five spots, and updates that give back these numbers of them.
fn log_of_releases(given: &[u32]) -> (SimulatedDisk, u64) {
    log_with(|random, placed| {
        let claim = NamedClaim {
            merchant_id: "museum".into(),
            service_id: "entry".into(),
            start_sec: EpochSeconds::new(1_800_003_600),
            duration_sec: SlotDuration::default(),
            ticket_id: Some("adult".into()),
            count: 5,
        };
        let mut updates = Vec::new();
        for (revision, &count) in (1..).zip(given) {
            let mut update = samples::update(random, placed.order.id.clone(), revision);
            let claim = claim.clone();
            update.released = vec![NamedClaim { count, ..claim }];
            updates.push((update, None));
        }
        placed.claims = vec![claim];
        updates
    })
}

#[test]
fn an_order_gives_back_no_more_than_it_has_taken() {
    for (given, expected) in [
        (&[][..], vec![]),
        (&[5], vec![]),
        (&[2, 3], vec![]),
        (&[6], vec![2]),
        (&[5, 1], vec![3]),
        (&[2, 2, 2], vec![4]),
    ] {
        let (disk, changes) = log_of_releases(given);
        let verified = verify_segments(&disk, changes, &|| Ok(false), &mut |_| {}).unwrap();
        let mut found = Vec::new();
        for finding in &verified.findings {
            assert_eq!(finding.damage.fault, DamageFault::Released, "{given:?}");
            found.push(finding.damage.sequence);
        }
        assert_eq!(found, expected, "{given:?}");
    }
}

#[test]
fn blocks_lead_to_the_one_before_of_their_slot() {
    let position = |offset| Position::new(1, offset).unwrap();
    let block = |offset| BlockEntry {
        position: position(offset),
        end_sec: EpochSeconds::new(100),
        is_on: true,
    };
    let (one, other) = (BlockKey([1; 16]), BlockKey([2; 16]));
    let mut links = BlockLinks::default();
    assert!(links.add(&one, block(8), None));
    assert!(links.add(&one, block(16), Some(position(8))));
    // Of another slot, an earlier one, and none.
    assert!(!links.add(&other, block(24), Some(position(16))));
    assert!(!links.add(&one, block(32), Some(position(8))));
    assert!(!links.add(&one, block(40), None));
    links.forget(EpochSeconds::new(100));
    assert!(links.add(&one, block(48), Some(position(40))));
    // A forgotten slot has none before.
    links.forget(EpochSeconds::new(101));
    links.forget(EpochSeconds::new(7));
    assert!(links.add(&one, block(56), None));
    links.note_damage();
    assert!(links.add(&one, block(64), Some(position(8))));
}

#[test]
fn revisions_and_attempts_without_what_they_build_on_are_found() {
    let revision = |number| {
        let mut random = fastrand::Rng::with_seed(number);
        let number = u32::try_from(number).unwrap();
        Write::Lifecycle(Box::new(samples::revision(&mut random, number)))
    };
    let draft =
        || Write::LifecycleDraft(Box::new(samples::draft(&mut fastrand::Rng::with_seed(1))));
    let attempt = |order: &OrderId| {
        let mut random = fastrand::Rng::with_seed(1);
        Write::StepRetried(Box::new(samples::step_retry(&mut random, order.clone(), 1)))
    };
    let order = OrderKey([9; 16]).order_id();
    let begun = |has_step: bool| {
        let mut random = fastrand::Rng::with_seed(1);
        let mut placed = samples::placed(&mut random, |_| order.clone());
        let mut tree = samples::update(&mut random, order.clone(), 1).tree;
        tree.timers.clear();
        tree.steps.clear();
        tree.given_up.clear();
        tree.steps.extend(has_step.then(|| OpenStep {
            number: 1,
            kind: StepKind::Capture,
            part: OrderPart::ORDER,
            due: EpochSeconds::new(1),
            amount: None,
        }));
        (placed.begun, placed.hold) = (Some(Box::new(tree)), None);
        Write::OrderPlaced(Box::new(placed))
    };
    for (writes, expected) in [
        (
            vec![revision(1), draft(), revision(2), draft(), revision(3)],
            vec![],
        ),
        (vec![revision(2)], vec![1]),
        (vec![revision(1), revision(3), revision(4)], vec![2]),
        (vec![revision(1), revision(1)], vec![2]),
        (vec![draft(), attempt(&order)], vec![2]),
        (vec![begun(true), attempt(&order)], vec![]),
        (vec![begun(false), attempt(&order)], vec![2]),
    ] {
        let disk = SimulatedDisk::new(1);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(EpochSeconds::new(1_800_000_000)));
        let (mut log, _) = OpenedLog::open(&disk, &clock).unwrap();
        for write in &writes {
            let unit = EncodedUnit::new(&UnitOfWork::from(write.clone()), &log.reader.keys);
            log.ledger.write(&[unit]).unwrap();
        }
        let changes = log.ledger.appender.end().next_sequence - 1;
        let verified = verify_segments(&disk, changes, &|| Ok(false), &mut |_| {}).unwrap();
        let findings = verified.findings.iter();
        let found: Vec<u64> = findings
            .map(|finding| {
                assert_eq!(finding.damage.fault, DamageFault::Unfounded, "{writes:?}");
                finding.damage.sequence
            })
            .collect();
        assert_eq!(found, expected, "{writes:?}");
    }
}

#[test]
fn behind_damage_no_update_is_blamed_for_one_that_is_missing() {
    let position = |offset| Position::new(1, offset).unwrap();
    let update = |offset, revision| UpdateEntry {
        position: position(offset),
        revision,
        has_work: false,
    };
    let key = OrderKey([1; 16]);
    let mut links = UpdateLinks::default();
    assert!(links.add(&key, update(8, 1), None));
    assert!(!links.add(&key, update(16, 3), Some(position(48))));
    links.note_damage();
    assert!(links.add(&key, update(24, 7), Some(position(56))));
}

#[test]
fn personal_data_that_is_gone_without_an_erasure_is_found() {
    let fixture = Fixture::with_orders(300);
    let path = fixture.segment(1);
    let segment = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let mut header = [0; RECORD_HEADER_BYTES];
    segment.read_exact_at(&mut header, RECORD).unwrap();
    let length = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let at = RECORD + RECORD_HEADER_BYTES as u64 + u64::from(length(4));
    let erased = vec![super::super::record_header::ERASED; length(8) as usize];
    segment.write_all_at(&erased, at).unwrap();
    fs::remove_file(fixture.summary(1)).unwrap();
    let found = finding(&fixture);
    assert_eq!(found.damage.fault, DamageFault::ErasedUnrecorded);
    assert_eq!(
        (found.damage.offset, found.damage.sequence, found.lost),
        (RECORD, 1, None)
    );
}

#[test]
fn a_watermark_that_says_nothing_is_told_until_a_start_has_written_it() {
    let fixture = Fixture::with_orders(300);
    let path = fixture.dir().join(crate::log::WATERMARK);
    let whole = fs::read(&path).unwrap();
    let mut garbled = whole.clone();
    garbled[0] = 0xff;
    for (content, fault) in [
        (None, WatermarkFault::Missing),
        (Some(&b""[..]), WatermarkFault::Missing),
        (Some(&b"garbage"[..]), WatermarkFault::CutShort),
        (Some(&garbled[..]), WatermarkFault::Garbled),
    ] {
        match content {
            None => fs::remove_file(&path).unwrap(),
            Some(content) => fs::write(&path, content).unwrap(),
        }
        let verification = verified(&fixture);
        assert_eq!(verification.findings, []);
        assert_eq!(verification.watermark, Some(fault));
        assert_eq!(info(&fixture).watermark, Some(fault));
        drop(fixture.open());
        assert_eq!(fs::read(&path).unwrap(), whole, "{fault}");
        assert_eq!(verified(&fixture).watermark, None);
        assert_eq!(info(&fixture).watermark, None);
    }
    let empty = Fixture::with_orders(0);
    fs::remove_file(empty.dir().join(crate::log::WATERMARK)).unwrap();
    assert_eq!(verified(&empty).watermark, None, "it has no changes");
}

#[test]
fn a_sealed_segment_that_is_cut_short_is_told_by_its_length() {
    let fixture = Fixture::with_orders(300);
    let segment = fs::OpenOptions::new()
        .write(true)
        .open(fixture.segment(2))
        .unwrap();
    let summary = fs::read(fixture.summary(2)).unwrap();
    let files = StoreFiles::open(fixture.dir()).unwrap();
    let survey = HeaderSurvey::read(&*files.disk).unwrap();
    let seed = survey.last.unwrap().identity.seed().get();
    let summary = Summary::decode(&summary, seed, 2).unwrap();
    let last_order = summary.effects.entries.last().unwrap().position.offset();
    for (length, lost_orders) in [
        (summary.end, None),
        (summary.end - 1, Some(0)),
        (last_order + 1, Some(0)),
        (last_order, Some(1)),
        (
            SEGMENT_HEADER_BYTES as u64,
            Some(summary.effects.entries.len()),
        ),
    ] {
        segment.set_len(length).unwrap();
        let expected = lost_orders.map(|lost_orders| CutSegment {
            segment: 2,
            length,
            lost_bytes: summary.end - length,
            lost_orders: lost_orders as u64,
            last_sequence: first_sequence(&fixture, 3) - 1,
        });
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(info(&fixture).cut, expected);
        let home = fixture.dir().join(crate::log::SEGMENTS);
        let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::open(&home).unwrap());
        let recovered = recover(&disk, 300, SEGMENT_BYTES, EpochSeconds::MIN, || {
            unreachable!("there is a store")
        });
        assert_eq!(recovered.unwrap().cut, expected);
        assert_eq!(verified(&fixture).findings.is_empty(), expected.is_empty());
    }
}

#[test]
fn unreadable_personal_data_in_the_segment_in_use_is_named_alike() {
    let fixture = Fixture::with_orders(300);
    let path = fixture.segment(info(&fixture).segments);
    let mut header = [0; RECORD_HEADER_BYTES];
    let segment = fs::File::open(&path).unwrap();
    segment.read_exact_at(&mut header, RECORD).unwrap();
    let public_bytes = u64::from(u32::from_le_bytes(header[4..8].try_into().unwrap()));
    flip(&path, RECORD + RECORD_HEADER_BYTES as u64 + public_bytes);
    let found = finding(&fixture).damage;
    assert_eq!(found.fault, DamageFault::PersonalPart);
    let expected = OpenError::Damaged(found).to_string();
    assert_eq!(inspect(fixture.dir()).unwrap_err().to_string(), expected);
    let started = crate::log::LogStore::open(fixture.dir(), 8);
    assert_eq!(started.map(drop).unwrap_err().to_string(), expected);
}

#[test]
fn what_is_erased_is_no_damage_of_its_own_where_the_record_of_that_is_lost() {
    let fixture = Fixture::with_orders(300);
    let store = fixture.open();
    let erased = fixture.run(async { store.erase_person(&"user 0".into()).await });
    assert_eq!(erased.unwrap(), 3);
    drop(store);
    assert_eq!(verified(&fixture).findings, []);
    let number = info(&fixture).segments;
    let path = fixture.segment(number);
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(finding(&fixture).damage.fault, DamageFault::Missing);
    let mut cut = whole;
    cut.truncate(usize::try_from(FRAME).unwrap());
    fs::write(&path, cut).unwrap();
    assert_eq!(finding(&fixture).damage.fault, DamageFault::End);
}

#[test]
fn a_newest_segment_that_is_gone_damaged_or_foreign_is_named_alike_by_all() {
    let other = Fixture::with_orders(300);
    for (fault, has_watermark) in [
        (DamageFault::Missing, false),
        (DamageFault::Missing, true),
        (DamageFault::Header, false),
        (DamageFault::Header, true),
        (DamageFault::OtherStore, true),
    ] {
        let fixture = Fixture::with_orders(300);
        let number = info(&fixture).segments;
        let path = fixture.segment(number);
        if fault == DamageFault::Missing {
            fs::remove_file(&path).unwrap();
        } else if fault == DamageFault::Header {
            flip(&path, 100);
        } else {
            fs::copy(other.segment(number), &path).unwrap();
        }
        if !has_watermark {
            fs::remove_file(fixture.dir().join(crate::log::WATERMARK)).unwrap();
        }
        let found = finding(&fixture).damage;
        assert_eq!((found.segment, &found.fault), (number, &fault));
        let expected = OpenError::Damaged(found).to_string();
        assert_eq!(inspect(fixture.dir()).unwrap_err().to_string(), expected);
        let source = crate::log::BackupSource::open(fixture.dir()).unwrap();
        assert_eq!(source.manifest().unwrap_err().to_string(), expected);
        let started = crate::log::LogStore::open(fixture.dir(), 8);
        assert_eq!(started.map(drop).unwrap_err().to_string(), expected);
    }
}
