//! Warnings of a clock that cannot be right.

use domain::{
    time::{EpochSeconds, Seconds},
    wording::moment,
};

/// How far the clock may lie before the newest order or the last sweep: time servers correct it by
/// seconds.
const MAX_BEHIND: Seconds = Seconds::new(300);

/// How far it may lie after them: sales may pause for a day, and a machine may sleep.
const MAX_AHEAD: Seconds = Seconds::DAY;

/// The deviation of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oddity {
    /// Too far before the reference.
    Behind,
    /// Too far after the reference.
    Ahead,
}

/// The deviation of a clock that shows `now` from a time that was present once.
fn oddity(now: EpochSeconds, then: EpochSeconds) -> Option<Oddity> {
    // Saturating: both come from clocks and disks that may hold any number.
    if then.since(now) > MAX_BEHIND {
        Some(Oddity::Behind)
    } else if now.since(then) > MAX_AHEAD {
        Some(Oddity::Ahead)
    } else {
        None
    }
}

/// Warns at startup of a clock that does not match the records.
pub(super) fn at_start(
    now: EpochSeconds,
    forgotten_until: Option<EpochSeconds>,
    newest_order_sec: Option<EpochSeconds>,
) {
    if let Some(until) = forgotten_until.filter(|until| now < *until) {
        tracing::warn!(
            clock = moment(now),
            forgotten_until = moment(until),
            "the clock lies before the moment up to which slots were forgotten: slots that end before that \
             are not sold; set the clock right"
        );
    }
    // Without an order there is nothing that shows what the time was.
    let Some(newest) = newest_order_sec else {
        return;
    };
    match oddity(now, newest) {
        Some(Oddity::Behind) => tracing::warn!(
            clock = moment(now),
            newest_order = moment(newest),
            "the clock lies before the newest order on record: it is or was wrong, and slots are open by it \
             that may be over; set it right"
        ),
        Some(Oddity::Ahead) => tracing::warn!(
            clock = moment(now),
            newest_order = moment(newest),
            "the clock lies more than a day after the newest order on record; if the last sale was not that \
             long ago, the clock is ahead, and slots are closed by it that are still to come; set it right"
        ),
        None => {}
    }
}

/// Warns of a clock that was set since the last sweep, about an hour ago.
pub(super) fn between_sweeps(last: EpochSeconds, now: EpochSeconds) {
    match oddity(now, last) {
        Some(Oddity::Behind) => {
            tracing::warn!(
                clock = moment(now),
                before = moment(last),
                "the clock was set back"
            );
        }
        Some(Oddity::Ahead) => {
            tracing::warn!(
                clock = moment(now),
                before = moment(last),
                "the clock went ahead by more than a day"
            );
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_odd_more_than_five_minutes_before_and_more_than_a_day_after() {
        let then = EpochSeconds::new(1_768_456_800);
        for (distance, expected) in [
            (0, None),
            (-300, None),
            (-301, Some(Oddity::Behind)),
            (86_400, None),
            (86_401, Some(Oddity::Ahead)),
        ] {
            assert_eq!(oddity(then + distance, then), expected, "{distance}");
        }
        assert_eq!(
            oddity(EpochSeconds::MIN, EpochSeconds::MAX),
            Some(Oddity::Behind)
        );
        assert_eq!(
            oddity(EpochSeconds::MAX, EpochSeconds::MIN),
            Some(Oddity::Ahead)
        );
    }
}
