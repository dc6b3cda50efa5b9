//! A day in a time zone.

use jiff::{
    Timestamp,
    civil::Date,
    tz::{self, TimeZone},
};

use super::source::SourceError;
use crate::{domain::order::EpochSeconds, files::similar::similar};

/// Which day is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Show {
    day: Wanted,
    zone: TimeZone,
    zone_name: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wanted {
    Date(Date),
    /// So many days after the present one.
    InDays(i64),
}

/// A day of a time zone, which may have other than 24 hours.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Day {
    pub(super) date: Date,
    pub(super) zone: TimeZone,
    pub(super) zone_name: String,
    /// Its first second.
    pub(super) from: EpochSeconds,
    /// The first second after it.
    pub(super) until: EpochSeconds,
}

impl Show {
    /// Reads a date and the name of a time zone, UTC if there is none.
    ///
    /// # Errors
    /// The flags with what is wrong with their values.
    pub(super) fn read(
        date: &str,
        zone: Option<&str>,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut problems = Vec::new();
        let day = match date {
            "today" => Wanted::InDays(0),
            "tomorrow" => Wanted::InDays(1),
            date => date.parse().map_or_else(
                |_| {
                    let text = format!(
                        "expected a date like 2026-12-01, `today` or `tomorrow`, not {date:?}"
                    );
                    problems.push(("--show", text));
                    Wanted::InDays(0)
                },
                Wanted::Date,
            ),
        };
        let zone_name = zone.unwrap_or("UTC").to_owned();
        let zone = TimeZone::get(&zone_name).unwrap_or_else(|_| {
            let known = tz::db().available().map(|name| name.as_str().to_owned());
            let meant = similar(&zone_name, known).map(|meant| format!("; did you mean {meant}?"));
            let text = format!("expected a time zone like Europe/Berlin, not {zone_name:?}");
            problems.push(("--zone", text + &meant.unwrap_or_default()));
            TimeZone::UTC
        });
        if problems.is_empty() {
            Ok(Self {
                day,
                zone,
                zone_name,
            })
        } else {
            Err(problems)
        }
    }

    /// The day, where it depends on it that at `now`.
    ///
    /// # Errors
    /// If it lies beyond what can be computed.
    pub(super) fn day(&self, now: EpochSeconds) -> Result<Day, SourceError> {
        self.computed_day(now)
            .map_err(|error| SourceError::Day(error.to_string()))
    }

    fn computed_day(&self, now: EpochSeconds) -> Result<Day, jiff::Error> {
        let zone = self.zone.clone();
        let date = match self.day {
            Wanted::Date(date) => date,
            Wanted::InDays(days) => {
                let mut date = Timestamp::from_second(now)?
                    .to_zoned_datetime(zone.clone())
                    .date();
                for _ in 0..days {
                    date = date.tomorrow()?;
                }
                date
            }
        };
        let begin = |date: Date| -> Result<EpochSeconds, jiff::Error> {
            Ok(date
                .to_zoned_datetime(zone.clone())?
                .start_of_day()?
                .timestamp()
                .as_second())
        };
        let (from, until) = (begin(date)?, begin(date.tomorrow()?)?);
        Ok(Day {
            date,
            zone: zone.clone(),
            zone_name: self.zone_name.clone(),
            from,
            until,
        })
    }
}

impl Day {
    /// The time of the day; with its offset where the day has more than one.
    pub(super) fn clock_time(&self, second: EpochSeconds) -> String {
        let format = if self.has_one_offset() {
            "%H:%M"
        } else {
            "%H:%M%:z"
        };
        self.formatted(second, format)
    }

    /// The moment with date and offset, as RFC 3339 writes it.
    pub(super) fn rfc_3339(&self, second: EpochSeconds) -> String {
        self.formatted(second, "%Y-%m-%dT%H:%M:%S%:z")
    }

    fn has_one_offset(&self) -> bool {
        let offset = |second| {
            Timestamp::from_second(second)
                .ok()
                .map(|at| self.zone.to_offset(at))
        };
        offset(self.from) == offset(self.until)
    }

    fn formatted(&self, second: EpochSeconds, format: &str) -> String {
        match Timestamp::from_second(second) {
            Ok(moment) => moment
                .to_zoned_datetime(self.zone.clone())
                .strftime(format)
                .to_string(),
            Err(_) => format!("second {second}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(date: &str, zone: &str) -> Day {
        Show::read(date, Some(zone))
            .unwrap()
            .day(1_780_315_200)
            .unwrap()
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_has_it() {
        for (date, zone, from, hours) in [
            ("2026-06-01", "UTC", 1_780_272_000, 24),
            ("today", "UTC", 1_780_272_000, 24),
            ("tomorrow", "UTC", 1_780_358_400, 24),
            ("2026-06-01", "Europe/Berlin", 1_780_264_800, 24),
            ("2026-03-29", "Europe/Berlin", 1_774_738_800, 23),
            ("2026-10-25", "Europe/Berlin", 1_792_879_200, 25),
            ("2026-06-01", "Asia/Kathmandu", 1_780_251_300, 24),
            // Midnight does not come here when summer begins.
            ("2026-04-24", "Africa/Cairo", 1_776_981_600, 23),
        ] {
            let day = day(date, zone);
            assert_eq!(
                (day.from, (day.until - day.from) / 3600),
                (from, hours),
                "{date} {zone}"
            );
        }
    }

    #[test]
    fn an_hour_that_comes_twice_is_told_apart() {
        let day = day("2026-10-25", "Europe/Berlin");
        let at = |hour: i64| day.clock_time(day.from + hour * 3600 + 1800);
        assert_eq!(
            (at(2).as_str(), at(3).as_str()),
            ("02:30+02:00", "02:30+01:00")
        );
        assert_eq!(day.rfc_3339(day.from), "2026-10-25T00:00:00+02:00");
    }

    #[test]
    fn what_is_no_day_and_no_zone_is_told_at_once() {
        let problems = Show::read("1.12.2026", Some("Europe/Belrin")).unwrap_err();
        assert_eq!(
            problems,
            [
                ("--show", "expected a date like 2026-12-01, `today` or `tomorrow`, not \"1.12.2026\"".to_owned()),
                (
                    "--zone",
                    "expected a time zone like Europe/Berlin, not \"Europe/Belrin\"; did you mean Europe/Berlin?"
                        .to_owned()
                ),
            ]
        );
    }
}
