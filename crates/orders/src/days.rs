//! Days as people name them: by their date, or from today on.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use domain::time::EpochSeconds;

/// The first and the last date that can be asked for: moments of both can be computed in every zone.
pub const DATES: (Date, Date) = (Date::constant(1970, 1, 1), Date::constant(9999, 12, 29));

/// What an asked day may be, beside a date.
pub const DAY_WORDS: &str = "`today`, `tomorrow` or `yesterday`";

/// A day that is asked for. Which date it is may depend on the time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedDay {
    /// This date.
    Date(Date),
    /// This number of days after today.
    InDays(i64),
}

/// Why a text is no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DayError {
    /// It is neither a date nor one of the words.
    #[error("a date like 2026-12-01, {DAY_WORDS}")]
    NoDay,
    /// No zone can compute it.
    #[error("a date from {} to {}", DATES.0, DATES.1)]
    OutOfRange,
}

impl AskedDay {
    /// Reads a date as `YYYY-MM-DD`, `today`, `tomorrow` or `yesterday`.
    ///
    /// # Errors
    /// [`DayError`], whose text is what is expected.
    pub fn parse(text: &str) -> Result<Self, DayError> {
        match text {
            "today" => return Ok(Self::InDays(0)),
            "tomorrow" => return Ok(Self::InDays(1)),
            "yesterday" => return Ok(Self::InDays(-1)),
            _ => {}
        }
        // Two letters for month and day: the format takes one, too.
        if text.len() != "YYYY-MM-DD".len() {
            return Err(DayError::NoDay);
        }
        let date = Date::strptime("%Y-%m-%d", text).map_err(|_| DayError::NoDay)?;
        if (DATES.0..=DATES.1).contains(&date) {
            Ok(Self::Date(date))
        } else {
            Err(DayError::OutOfRange)
        }
    }

    /// Its date in a time zone, asked for at `now`.
    ///
    /// # Errors
    /// If `now` lies beyond what can be computed.
    pub fn date(self, now: EpochSeconds, zone: &TimeZone) -> Result<Date, jiff::Error> {
        match self {
            Self::Date(date) => Ok(date),
            Self::InDays(days) => {
                let now = Timestamp::from_second(now.get())?.to_zoned_datetime(zone.clone());
                now.date().checked_add(days.days())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_another_date_where_the_day_has_begun() {
        // 2026-06-01 12:00 UTC.
        let now = EpochSeconds::new(1_780_315_200);
        for (text, zone, expected) in [
            ("today", "UTC", "2026-06-01"),
            ("tomorrow", "UTC", "2026-06-02"),
            ("yesterday", "UTC", "2026-05-31"),
            ("today", "Pacific/Kiritimati", "2026-06-02"),
            ("today", "Etc/GMT+12", "2026-06-01"),
            ("yesterday", "Pacific/Kiritimati", "2026-06-01"),
            ("2026-12-01", "Pacific/Kiritimati", "2026-12-01"),
        ] {
            let zone = TimeZone::get(zone).unwrap();
            let date = AskedDay::parse(text).unwrap().date(now, &zone).unwrap();
            assert_eq!(date.to_string(), expected, "{text} {zone:?}");
        }
    }

    #[test]
    fn what_is_no_day_is_an_error() {
        for (text, expected) in [
            ("", DayError::NoDay),
            ("Today", DayError::NoDay),
            ("now", DayError::NoDay),
            ("1.12.2026", DayError::NoDay),
            ("2026-1-05", DayError::NoDay),
            ("2026-02-30", DayError::NoDay),
            ("2026-12-01T10:00:00Z", DayError::NoDay),
            ("1969-12-31", DayError::OutOfRange),
            ("9999-12-30", DayError::OutOfRange),
        ] {
            assert_eq!(AskedDay::parse(text), Err(expected), "{text}");
        }
    }
}
