use super::*;
use crate::log::{
    frame::{
        FRAME_HEADER_BYTES, FramePlace,
        tests::{frame_of, seed},
    },
    record_header::{ERASED, RECORD_HEADER_BYTES},
    segment::StoreIdentity,
};

fn header() -> SegmentHeader {
    SegmentHeader {
        identity: StoreIdentity {
            id: [1; 16],
            secret: [7; 32],
        },
        number: 2,
        first_sequence: 10,
        previous: [4; 16],
        begun_sec: EpochSeconds::new(5),
    }
}

/// A segment with frames of one record each, and where they begin.
struct Segment {
    bytes: Vec<u8>,
    begins: Vec<usize>,
    end: LogEnd,
}

impl Segment {
    fn of(frames: usize) -> Self {
        let mut bytes = header().encode().to_vec();
        let (mut begins, mut end) = (Vec::new(), LogEnd::begin(&header()));
        for number in 0..frames {
            let place = FramePlace {
                segment: 2,
                offset: end.offset,
                first_sequence: end.next_sequence,
                previous: end.previous,
            };
            let (frame, hash) = frame_of(place, &[(1, vec![1; 40 + number], vec![2; 9])]);
            begins.push(bytes.len());
            bytes.extend(frame);
            end = LogEnd {
                segment: 2,
                offset: bytes.len() as u64,
                next_sequence: end.next_sequence + 1,
                previous: hash,
                committed_sec: Some(EpochSeconds::new(1_800_000_000)),
            };
        }
        bytes.resize(16 << 10, 0);
        Self { bytes, begins, end }
    }

    fn scan(&self) -> (u64, LogEnd, Tail) {
        self.scan_durable(0)
    }

    /// Scans, with the changes before this number known to be durable.
    fn scan_durable(&self, until: u64) -> (u64, LogEnd, Tail) {
        let mut frames = 0;
        let scanned =
            scan::<std::convert::Infallible>(&self.bytes, seed(), &header(), until, |_| {
                frames += 1;
                Ok(())
            });
        let Ok((end, tail)) = scanned;
        (frames, end, tail)
    }

    /// The place of the personal part in the only record of a frame.
    fn personal(&self, frame: usize) -> std::ops::Range<usize> {
        let begin = self.begins[frame] + FRAME_HEADER_BYTES + RECORD_HEADER_BYTES + 40 + frame;
        begin..begin + 9
    }
}

#[test]
fn all_frames_are_visited_up_to_the_zeros_behind_them() {
    for frames in [0, 1, 5] {
        let segment = Segment::of(frames);
        assert_eq!(segment.scan(), (frames as u64, segment.end, Tail::Blank));
    }
}

#[test]
fn a_frame_torn_anywhere_at_the_end_is_a_torn_tail_after_all_frames_before_it() {
    let whole = Segment::of(4);
    let (last, end) = (whole.begins[3], usize::try_from(whole.end.offset).unwrap());
    let shorter = Segment::of(3).end;
    for cut in last + 1..end {
        let mut torn = Segment::of(4);
        torn.bytes[cut..].fill(0);
        if torn.bytes == whole.bytes {
            continue;
        }
        assert_eq!(torn.scan(), (3, shorter, Tail::Torn), "{cut}");
    }
    // Blocks reach the disk in any order: the end is there and the beginning is not.
    for until in last + 1..end {
        let mut torn = Segment::of(4);
        torn.bytes[last..until].fill(0);
        let (frames, end, tail) = torn.scan();
        let expected = if until == end.offset.try_into().unwrap_or(usize::MAX) {
            Tail::Blank
        } else {
            Tail::Torn
        };
        assert_eq!((frames, end), (3, shorter), "{until}");
        // A record of zeros at its end may make all of it blank.
        assert!(tail == expected || tail == Tail::Blank, "{until}");
    }
}

#[test]
fn damage_before_a_valid_frame_is_not_taken_for_a_torn_tail() {
    let whole = Segment::of(4);
    for (number, &begin) in whole.begins[..3].iter().enumerate() {
        let next = whole.begins[number + 1];
        for at in begin..next {
            let mut damaged = Segment::of(4);
            damaged.bytes[at] ^= 0x10;
            let (frames, end, tail) = damaged.scan();
            if whole.personal(number).contains(&at) {
                // Whether it is damaged or half erased is for others to find out.
                assert_eq!((frames, end, tail), (4, whole.end, Tail::Blank), "{at}");
                continue;
            }
            assert_eq!((frames, end.offset), (number as u64, begin as u64), "{at}");
            let valid_at = next as u64;
            assert_eq!(
                tail,
                Tail::Damaged(TailDamage::NotTheLast { valid_at }),
                "{at}"
            );
        }
    }
}

/// In the last frame a personal part that is not what was written may not have reached the disk.
#[test]
fn an_unreadable_part_at_the_end_is_torn_unless_its_frame_was_durable() {
    let whole = Segment::of(4);
    let mut half = Segment::of(4);
    let part = whole.personal(3);
    half.bytes[part.start..part.start + 4].fill(ERASED);
    let torn = (3, Segment::of(3).end, Tail::Torn);
    let durable = (4, whole.end, Tail::Blank);
    for (until, expected) in [
        (0, &torn),
        (whole.end.next_sequence - 1, &torn),
        (whole.end.next_sequence, &durable),
        (u64::MAX, &durable),
    ] {
        assert_eq!(half.scan_durable(until), *expected, "{until}");
    }
    half.bytes[part].fill(ERASED);
    assert_eq!(half.scan(), durable, "erased to its end");
}

#[test]
fn a_frame_that_is_left_out_breaks_the_chain() {
    let whole = Segment::of(3);
    let mut without = Segment::of(3);
    let (second, third) = (whole.begins[1], whole.begins[2]);
    // Of the same length, so that the third would verify at its own place only.
    without.bytes[second..third].fill(0);
    let valid_at = third as u64;
    assert_eq!(
        without.scan().2,
        Tail::Damaged(TailDamage::NotTheLast { valid_at })
    );
    let mut other = header();
    other.previous = [9; 16];
    let scanned = scan::<std::convert::Infallible>(&whole.bytes, seed(), &other, 0, |_| Ok(()));
    let Ok((_, tail)) = scanned;
    assert_eq!(tail, Tail::Damaged(TailDamage::Chain));
}
