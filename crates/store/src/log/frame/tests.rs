use proptest::prelude::*;

use super::*;
use crate::log::record_header::ERASED;

const SEGMENT: u64 = 3;

pub(in crate::log) fn seed() -> StoreSeed {
    StoreSeed::of_secret(&[7; 32])
}

/// A frame of these records, each linked to the record at the given place if there is one.
pub(in crate::log) fn frame_of(
    place: FramePlace,
    records: &[(u8, Vec<u8>, Vec<u8>)],
) -> (Vec<u8>, ChainHash) {
    let mut frame = FrameBuilder::new(seed(), place, vec![9; 100]);
    let mut link = None;
    for (kind, public, personal) in records {
        let position = frame.next_position().unwrap();
        let record = NewRecord {
            kind: *kind,
            public,
            personal,
        };
        frame.push(position, record, link);
        link = Some(position);
    }
    frame.finish(EpochSeconds::new(1_800_000_000))
}

pub(in crate::log) fn place(offset: u64) -> FramePlace {
    FramePlace {
        segment: SEGMENT,
        offset,
        first_sequence: 41,
        previous: [5; 16],
    }
}

fn example() -> Vec<(u8, Vec<u8>, Vec<u8>)> {
    vec![
        (1, b"an order".to_vec(), b"a customer".to_vec()),
        (6, b"prices".to_vec(), Vec::new()),
        (1, vec![1; 100], vec![2; 31]),
    ]
}

/// A segment of 8 KiB with these bytes at `offset`.
fn segment(offset: u64, frame: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; 8192];
    segment[usize::try_from(offset).unwrap()..][..frame.len()].copy_from_slice(frame);
    segment
}

proptest! {
    #[test]
    fn a_frame_has_the_records_that_were_added_where_they_were_added(
        records in proptest::collection::vec(
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..60), proptest::collection::vec(1_u8.., 0..40)),
            1..12,
        ),
        unit in 1_u64..64,
    ) {
        let offset = unit * ALIGNMENT;
        let (bytes, hash) = frame_of(place(offset), &records);
        let segment = segment(offset, &bytes);
        let frame = verify(&segment, seed(), SEGMENT, offset).unwrap();
        prop_assert_eq!(frame.place, place(offset));
        prop_assert_eq!(frame.hash, hash);
        prop_assert_eq!(frame.end(), offset + bytes.len() as u64);
        prop_assert_eq!(frame.next_sequence(), 41 + records.len() as u64);
        let mut link = None;
        for (number, (found, (kind, public, personal))) in frame.records.iter().zip(&records).enumerate() {
            prop_assert_eq!(found.header.kind, *kind);
            prop_assert_eq!(found.header.sequence, 41 + number as u64);
            prop_assert_eq!(found.header.link, link);
            prop_assert_eq!(found.public, &public[..]);
            prop_assert_eq!(found.personal, PersonalPart::Intact(personal));
            link = Some(found.position);
        }
    }
}

/// Whether a segment has a frame of which every part is as it was written.
fn is_whole(segment: &[u8]) -> bool {
    let verified = verify(segment, seed(), SEGMENT, 64);
    verified.is_ok_and(|frame| !frame.has_unreadable())
}

#[test]
fn every_flipped_bit_of_a_frame_is_noticed() {
    let (bytes, _) = frame_of(place(64), &example());
    let intact = segment(64, &bytes);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = intact.clone();
            damaged[64 + at] ^= 1 << bit;
            assert!(!is_whole(&damaged), "{at} {bit}");
        }
    }
}

#[test]
fn a_frame_cut_anywhere_does_not_verify() {
    let (bytes, _) = frame_of(place(64), &example());
    let intact = segment(64, &bytes);
    for length in 0..bytes.len() {
        // Zeros in place of the rest, as a filled segment has them.
        let torn = segment(64, &bytes[..length]);
        assert_eq!(is_whole(&torn), torn == intact, "{length}");
        // And nothing at all, as at the end of a file.
        assert!(
            verify(&intact[..64 + length], seed(), SEGMENT, 64).is_err(),
            "{length}"
        );
    }
}

#[test]
fn a_frame_verifies_only_at_its_place_and_in_its_store() {
    let (bytes, _) = frame_of(place(64), &example());
    let at = |offset| segment(offset, &bytes);
    assert!(verify(&at(64), seed(), SEGMENT, 64).is_ok());
    assert!(verify(&at(72), seed(), SEGMENT, 72).is_err());
    assert!(verify(&at(64), seed(), SEGMENT + 1, 64).is_err());
    let other = StoreSeed::of_secret(&[8; 32]);
    assert!(verify(&at(64), other, SEGMENT, 64).is_err());
}

#[test]
fn an_erased_personal_part_leaves_everything_else_valid_and_zeros_are_not_one() {
    let (bytes, hash) = frame_of(place(64), &example());
    let mut segment = segment(64, &bytes);
    let personal = segment
        .windows(10)
        .position(|part| part == b"a customer")
        .unwrap();
    segment[personal..personal + 10].fill(ERASED);
    let frame = verify(&segment, seed(), SEGMENT, 64).unwrap();
    assert_eq!(frame.hash, hash);
    assert_eq!(frame.records[0].personal, PersonalPart::Erased);
    assert_eq!(frame.records[0].public, b"an order");
    for other in [1, 0] {
        segment[personal..personal + 10].fill(other);
        let frame = verify(&segment, seed(), SEGMENT, 64).unwrap();
        assert_eq!(frame.records[0].personal, PersonalPart::Unreadable);
        assert!(frame.has_unreadable());
    }
}

#[test]
fn the_next_valid_frame_is_found_wherever_it_stands_and_a_forged_one_is_not() {
    let (bytes, _) = frame_of(place(640), &example());
    let intact = segment(640, &bytes);
    assert_eq!(find_valid(&intact, seed(), SEGMENT, 0), Some(640));
    assert_eq!(find_valid(&intact, seed(), SEGMENT, 633), Some(640));
    assert_eq!(find_valid(&intact, seed(), SEGMENT, 641), None);
    // A caller may know the format and not the secret.
    let secret = StoreSeed::of_secret(&[0; 32]);
    let forged = frame_of_seed(secret, place(640));
    assert_eq!(find_valid(&segment(640, &forged), seed(), SEGMENT, 0), None);
}

fn frame_of_seed(seed: StoreSeed, place: FramePlace) -> Vec<u8> {
    let mut frame = FrameBuilder::new(seed, place, Vec::new());
    let position = frame.next_position().unwrap();
    let record = NewRecord {
        kind: 1,
        public: b"forged",
        personal: b"",
    };
    frame.push(position, record, None);
    frame.finish(EpochSeconds::new(0)).0
}

#[test]
fn zeros_are_blank_and_noise_is_no_header() {
    assert_eq!(
        verify(&[0; 512], seed(), SEGMENT, 64).unwrap_err(),
        FrameFault::Blank
    );
    assert_eq!(
        verify(&[3; 512], seed(), SEGMENT, 64).unwrap_err(),
        FrameFault::NoHeader
    );
    assert_eq!(
        verify(&[0; 512], seed(), SEGMENT, 600).unwrap_err(),
        FrameFault::Length
    );
}
