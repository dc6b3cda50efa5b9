//! Erasures on a real disk: no byte is left, and a store that was stopped in the middle of one is whole.

use std::{fs, os::unix::fs::FileExt, path::Path};

use domain::ids::UserId;

use super::*;
use crate::{
    Selection, Store,
    conformance::samples,
    log::{
        error::DamageFault,
        fixtures::{Fixture, SEGMENT_BYTES, contents, flip, orders_in},
        planted::plant,
        verify::{Verification, verify},
    },
};

/// The user of the first three orders.
const USER: &str = "user 0";

fn verified(fixture: &Fixture) -> Verification {
    verify(fixture.dir(), &mut |_| {}).unwrap()
}

/// Whether any file of a store has these bytes.
fn has_bytes(dir: &Path, bytes: &[u8]) -> bool {
    let files = contents(dir);
    files
        .iter()
        .any(|(_, content)| content.windows(bytes.len()).any(|window| window == bytes))
}

/// The id of a user, and addresses that are nobody else's.
fn texts(fixture: &Fixture, user: &str) -> Vec<String> {
    let mut texts = vec![user.to_owned()];
    fixture
        .open()
        .export_person(&UserId::from(user), &mut |placed| {
            texts.push(placed.order.customer.email);
            ControlFlow::Continue(())
        })
        .unwrap();
    texts
}

fn erase(fixture: &Fixture, store: &crate::log::LogStore, user: &str) -> u64 {
    let erasing = fixture.run(async { store.erase_person(&user.into()).await });
    erasing.unwrap()
}

#[test]
fn no_byte_of_an_erased_person_is_left_and_the_log_is_whole() {
    let mut fixture = Fixture::with_orders(3);
    // Of the same person in several segments.
    for _ in 0..3 {
        fixture.place(60);
        fixture.place_of(USER, 2);
    }
    let texts = texts(&fixture, USER);
    for text in &texts {
        assert!(has_bytes(fixture.dir(), text.as_bytes()), "{text}");
    }
    let before = verified(&fixture);
    let store = fixture.open();
    assert_eq!(erase(&fixture, &store, USER), 9);
    assert_eq!(store.stats().erased, 9);
    assert_eq!(erase(&fixture, &store, USER), 0, "again");
    for text in &texts {
        assert!(!has_bytes(fixture.dir(), text.as_bytes()), "{text}");
    }
    // Also while a server runs.
    let after = verified(&fixture);
    assert_eq!((&after.findings[..], after.unfinished), (&[][..], 0));
    drop(store);
    let after = verified(&fixture);
    assert_eq!((&after.findings[..], after.unfinished), (&[][..], 0));
    assert_eq!(
        (after.orders, after.changes),
        (before.orders, before.changes + 2)
    );
    assert_eq!(orders_in(fixture.dir(), &fixture.orders), fixture.orders);
    let selection = Selection::User(USER.into());
    let listed = fixture
        .open()
        .list(&selection, None, &|_| true, &mut |order| {
            panic!("{order:?}")
        });
    listed.unwrap();
}

#[test]
fn a_summary_that_keeps_an_erased_user_is_found() {
    let mut fixture = Fixture::with_orders(3);
    fixture.place(100);
    let reader = {
        let _planted = plant(PlantedFault::SummaryKeepsErased);
        let store = fixture.open();
        let eraser = Arc::clone(&store.eraser);
        let queue = store.queue.clone();
        // In this thread, in which the fault is planted.
        let erased = eraser.erase_person(&USER.into(), &mut |unit| queue.submit_and_wait(unit));
        assert_eq!(erased.unwrap(), 3);
        drop(queue);
        Arc::clone(&store.reader)
    };
    drop(reader);
    let found = verified(&fixture).findings;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].damage.fault, DamageFault::Summary);
}

/// Overwrites a half of the personal part of the first order.
fn overwrite_half(fixture: &Fixture) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(fixture.segment(1))
        .unwrap();
    let record = 4096 + 64;
    let mut header = [0; RECORD_HEADER_BYTES];
    file.read_exact_at(&mut header, record).unwrap();
    let length = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let at = record + RECORD_HEADER_BYTES as u64 + u64::from(length(4));
    let half = vec![ERASED; length(8) as usize / 2];
    file.write_all_at(&half, at).unwrap();
}

#[test]
fn a_half_overwritten_part_is_damage_unless_its_erasure_is_on_record() {
    let mut fixture = Fixture::with_orders(3);
    fixture.place(100);
    overwrite_half(&fixture);
    let found = verified(&fixture).findings;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].damage.fault, DamageFault::PersonalPart);
    assert_eq!(found[0].orders, [fixture.orders[0].clone()]);
    assert_eq!(found[0].lost, Some(1..=1));
    fs::remove_file(fixture.summary(1)).unwrap();
    let options = crate::log::LogOptions {
        segment_bytes: SEGMENT_BYTES,
        ..crate::log::LogOptions::new(64)
    };
    let error = crate::log::LogStore::open_with(fixture.dir(), &options).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the personal data of an order is not what was written"),
        "{error}"
    );
}

/// Records an erasure of the first user and carries nothing out.
fn begin_only(fixture: &Fixture) {
    let store = fixture.open();
    let mut orders = Vec::new();
    store
        .reader
        .each_of_user(&USER.into(), &mut |position, _| {
            orders.push(position.bits());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    orders.sort_unstable();
    let erased = PersonErased {
        scope: ErasureScope::Customer(store.reader.keys.user_key(&USER.into())),
        erased_sec: EpochSeconds::new(7),
        orders,
    };
    let record = of_the_store(
        RecordKind::PersonErased,
        encode_person_erased(&erased),
        RecordKeys::PersonErased,
    );
    let unit = EncodedUnit::of_record(record);
    store.queue.submit_and_wait(unit).unwrap();
}

#[test]
fn an_erasure_that_was_interrupted_is_said_to_be_unfinished_and_finished_by_the_next_start() {
    let mut fixture = Fixture::with_orders(3);
    fixture.place(100);
    let texts = texts(&fixture, USER);
    begin_only(&fixture);
    overwrite_half(&fixture);
    for summary in ["there", "removed"] {
        let found = verified(&fixture);
        assert_eq!(
            (&found.findings[..], found.unfinished),
            (&[][..], 3),
            "{summary}"
        );
        let _ = fs::remove_file(fixture.summary(1));
    }
    let whole = fixture.orders.clone();
    assert_eq!(orders_in(fixture.dir(), &whole), whole);
    let found = verified(&fixture);
    assert_eq!((&found.findings[..], found.unfinished), (&[][..], 0));
    for text in &texts {
        assert!(!has_bytes(fixture.dir(), text.as_bytes()), "{text}");
    }
}

#[test]
fn a_start_that_finishes_nothing_leaves_the_data() {
    let fixture = Fixture::with_orders(3);
    let texts = texts(&fixture, USER);
    begin_only(&fixture);
    let _planted = plant(PlantedFault::ErasureNotFinished);
    drop(fixture.open());
    assert!(has_bytes(fixture.dir(), texts[0].as_bytes()));
    assert_eq!(verified(&fixture).unfinished, 3);
}

#[test]
fn an_order_that_is_there_again_after_its_erasure_is_found() {
    let mut fixture = Fixture::with_orders(3);
    fixture.place(100);
    let (segment, summary) = (fixture.segment(1), fixture.summary(1));
    let before = (fs::read(&segment).unwrap(), fs::read(&summary).unwrap());
    let store = fixture.open();
    assert_eq!(erase(&fixture, &store, USER), 3);
    drop(store);
    // As by a copy of the file from before.
    fs::write(&segment, before.0).unwrap();
    fs::write(&summary, before.1).unwrap();
    let faults: Vec<_> = verified(&fixture)
        .findings
        .into_iter()
        .map(|finding| (finding.damage.fault, finding.damage.sequence))
        .collect();
    let expected = [1, 2, 3].map(|sequence| (DamageFault::NotErased, sequence));
    assert_eq!(faults, expected);
}

#[test]
fn reads_beside_an_erasure_find_no_damage() {
    let mut fixture = Fixture::with_orders(3);
    fixture.place(30);
    for round in 0..20 {
        let user = format!("reader {round}");
        fixture.place_of(&user, 8);
        let store = fixture.open();
        let ids = fixture.orders.clone();
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                for _ in 0..40 {
                    let mut orders = 0;
                    let selection = Selection::Ids(ids.clone());
                    let listed = store.list(&selection, None, &|_| true, &mut |_| {
                        orders += 1;
                        ControlFlow::Continue(())
                    });
                    listed.unwrap();
                    assert_eq!(orders, ids.len());
                }
            });
            assert_eq!(erase(&fixture, &store, &user), 8);
            reading.join().unwrap();
        });
    }
}

#[test]
fn old_visits_are_found_again_only_where_there_may_be_some() {
    let mut fixture = Fixture::with_orders(0);
    let visit = |end: i64| {
        let mut placed = samples::placed(&mut fastrand::Rng::with_seed(9), |_| "x".into());
        placed.claims.truncate(0);
        placed.created_sec = EpochSeconds::new(end);
        placed
    };
    let store = fixture.open();
    for end in 0..300 {
        fixture.place_one(&store, visit(end));
    }
    let known = |store: &crate::log::LogStore| store.eraser.lock().0.clone();
    let erase = |fixture: &Fixture, store: &crate::log::LogStore, before: i64, most: usize| {
        let before = EpochSeconds::new(before);
        fixture
            .run(async { store.erase_visits(before, most).await })
            .unwrap()
    };
    assert_eq!(erase(&fixture, &store, 0, 1_000), 0);
    assert_eq!(
        erase(&fixture, &store, 20, 15),
        15,
        "no more than asked for"
    );
    assert_eq!(erase(&fixture, &store, 20, 15), 5);
    assert_eq!(erase(&fixture, &store, 20, 15), 0);
    assert_eq!(known(&store).get(&1), Some(&EpochSeconds::new(20)));
    let mut erased = 0;
    loop {
        let now = erase(&fixture, &store, 1_000, 100);
        if now == 0 {
            break;
        }
        erased += now;
    }
    assert_eq!(erased, 280);
    assert_eq!(known(&store).get(&1), Some(&EpochSeconds::MAX));
    drop(store);
    // A later start knows it by the summaries.
    let store = fixture.open();
    let bytes = store.eraser.earliest_end(1);
    assert_eq!(bytes, EpochSeconds::MAX);
    drop(store);
    assert_eq!(verified(&fixture).findings, []);
}

#[test]
fn a_damaged_order_keeps_no_other_from_being_erased() {
    // In the header, which has the link to the older orders, and in the public part.
    for offset in [16, RECORD_HEADER_BYTES as u64 + 1] {
        let mut fixture = Fixture::with_orders(3);
        fixture.place(60);
        fixture.place_of(USER, 2);
        let texts = texts(&fixture, USER);
        let store = fixture.open();
        let mut orders = Vec::new();
        store
            .reader
            .each_of_user(&USER.into(), &mut |position, _| {
                orders.push(position);
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        // The middle one of the three orders in the first segment; `orders` begins with the newest.
        let damaged = orders[orders.len() - 2];
        flip(
            &fixture.segment(damaged.segment()),
            damaged.offset() + offset,
        );
        let erasing = fixture.run(async { store.erase_person(&USER.into()).await });
        let Err(EraseError::Partly { erased, damage }) = erasing else {
            panic!("{erasing:?}");
        };
        assert_eq!(erased, orders.len() as u64 - 1, "{damage:?}");
        assert!(damage[0].starts_with(&damaged.to_string()), "{damage:?}");
        let kept = texts[1..]
            .iter()
            .filter(|text| has_bytes(fixture.dir(), text.as_bytes()));
        assert_eq!(kept.count(), 1);
    }
}
