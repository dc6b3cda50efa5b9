//! Texts of reasons. They quote the caller's text in bounded length and number: a response must not grow
//! out of proportion to its request.

use super::time::EpochSeconds;

/// Most characters of a caller's text that a reason quotes.
const MAX_QUOTED_CHARS: usize = 80;

/// A caller's text in quotation marks, escaped, and cut where it is long.
pub(super) fn quoted(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        // Cut at a character, as a cut within one would panic.
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A moment for people and programs: `2026-01-16 10:00:00 UTC (second 1768557600)`. A moment beyond the
/// year 9999 is a number of seconds only.
#[must_use]
pub fn moment(second: EpochSeconds) -> String {
    const DAY: i64 = 24 * 60 * 60;
    // Euclidean division, so that seconds before 1970 fall on the right day.
    let Some((year, month, day)) = date(second.get().div_euclid(DAY)) else {
        return format!("second {second}");
    };
    let time = second.get().rem_euclid(DAY);
    let (hour, minute, rest) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{rest:02} UTC (second {second})")
}

/// Year, month and day of a number of days since 1 January 1970, in the Gregorian calendar; `None`
/// outside the years 1 to 9999.
fn date(days: i64) -> Option<(i64, i64, i64)> {
    /// Days from 1 March of the year 0 to 1 January 1970, and days of 400 years.
    const BEFORE_EPOCH: i64 = 719_468;
    const FOUR_CENTURIES: i64 = 146_097;
    // Years are taken to begin in March, so that a leap day is the last day of its year.
    // Checked: the second is the caller's and may be any.
    let days = days.checked_add(BEFORE_EPOCH)?;
    let (cycle, of_cycle) = (
        days.div_euclid(FOUR_CENTURIES),
        days.rem_euclid(FOUR_CENTURIES),
    );
    let year_of_cycle = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Five months have 153 days, whichever five they are of the months from March to January.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_cycle + cycle.checked_mul(400)? + i64::from(month <= 2);
    (1..=9999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_of_day_in_utc_beside_its_second() {
        for (second, expected) in [
            (0, "1970-01-01 00:00:00 UTC (second 0)"),
            (-1, "1969-12-31 23:59:59 UTC (second -1)"),
            (951_782_399, "2000-02-28 23:59:59 UTC (second 951782399)"),
            (951_782_400, "2000-02-29 00:00:00 UTC (second 951782400)"),
            (951_868_800, "2000-03-01 00:00:00 UTC (second 951868800)"),
            (1_768_557_600, "2026-01-16 10:00:00 UTC (second 1768557600)"),
            (1_795_868_196, "2026-11-28 12:16:36 UTC (second 1795868196)"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC (second 4107542400)"),
            (
                253_402_300_799,
                "9999-12-31 23:59:59 UTC (second 253402300799)",
            ),
            (253_402_300_800, "second 253402300800"),
            (
                -62_135_596_800,
                "0001-01-01 00:00:00 UTC (second -62135596800)",
            ),
            (-62_135_596_801, "second -62135596801"),
            (i64::MAX, "second 9223372036854775807"),
            (i64::MIN, "second -9223372036854775808"),
        ] {
            assert_eq!(moment(EpochSeconds::new(second)), expected);
        }
    }

    #[test]
    fn a_callers_text_is_quoted_escaped_and_cut() {
        assert_eq!(quoted("adult"), "\"adult\"");
        assert_eq!(quoted("a\n\"b\""), r#""a\n\"b\"""#);
        let longest = "ü".repeat(MAX_QUOTED_CHARS);
        assert_eq!(quoted(&longest), format!("\"{longest}\""));
        assert_eq!(quoted(format!("{longest}ü")), format!("\"{longest}\"..."));
    }
}
