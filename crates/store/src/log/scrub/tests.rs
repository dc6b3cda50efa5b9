use super::*;
use crate::log::{
    fixtures::{Fixture, flip},
    store_files::StoreFiles,
    survey::HeaderSurvey,
};

/// A scrubber of a closed store, what it has counted, and the bytes of a round.
fn scrubber(fixture: &Fixture) -> (Scrubber, Arc<ScrubMetrics>) {
    let files = StoreFiles::open(fixture.dir()).unwrap();
    let survey = HeaderSurvey::read(&*files.disk).unwrap();
    let identity = survey.last.unwrap().identity;
    let metrics = Arc::new(ScrubMetrics::default());
    let keys = KeyDeriver::new(identity.secret);
    let scrubber = Scrubber::new(
        files.disk,
        identity.seed(),
        keys,
        Arc::clone(&metrics),
        Arc::default(),
    );
    (scrubber, metrics)
}

/// Steps until the first segment is begun for the third time.
fn two_rounds(scrubber: &mut Scrubber) {
    let mut rounds = 0;
    let mut before = 0;
    while rounds < 3 {
        scrubber.step().unwrap();
        let now = scrubber.next;
        if now < before || before == 0 {
            rounds += 1;
        }
        before = now;
    }
}

#[test]
fn sealed_segments_are_read_round_and_round_and_a_whole_store_has_no_damage() {
    let fixture = Fixture::with_orders(300);
    let (mut scrubber, metrics) = scrubber(&fixture);
    two_rounds(&mut scrubber);
    let ScrubStats { bytes, damage } = metrics.read();
    assert_eq!(damage, 0);
    assert!(bytes > 5 * 50_000, "{bytes}");
}

#[test]
fn damage_of_a_sealed_segment_is_counted_once_wherever_it_is() {
    for offset in [4096, 4100, 4096 + 64, 4096 + 64 + 70, 30_000] {
        let fixture = Fixture::with_orders(300);
        flip(&fixture.segment(2), offset);
        let (mut scrubber, metrics) = scrubber(&fixture);
        two_rounds(&mut scrubber);
        assert_eq!(metrics.read().damage, 1, "{offset}");
    }
}

#[test]
fn a_store_of_one_segment_has_nothing_to_read() {
    let fixture = Fixture::with_orders(5);
    let (mut scrubber, metrics) = scrubber(&fixture);
    assert_eq!(scrubber.step().unwrap(), 0);
    assert_eq!(metrics.read(), ScrubStats::default());
}
