//! A day in a time zone.

use jiff::{
    Timestamp,
    civil::Date,
    tz::{self, TimeZone},
};

use domain::time::EpochSeconds;
use kernel::diagnostics::similar;
use orders::days::AskedDay;

/// The time zone in which the day is meant.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct ShownZone {
    zone: TimeZone,
    name: String,
}

impl ShownZone {
    /// Reads the name of a time zone.
    pub(in crate::cli) fn parse(name: &str) -> Result<Self, String> {
        if let Ok(zone) = TimeZone::get(name) {
            let name = name.to_owned();
            return Ok(Self { zone, name });
        }
        let known = tz::db().available().map(|name| name.as_str().to_owned());
        let hint = similar(name, known).map(|meant| format!("; did you mean {meant}?"));
        Err(format!(
            "expected a time zone like Europe/Berlin{}",
            hint.unwrap_or_default()
        ))
    }
}

impl Default for ShownZone {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            name: "UTC".to_owned(),
        }
    }
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

impl Day {
    /// The day that was asked for at `now`.
    ///
    /// # Errors
    /// If `now` lies beyond what can be computed.
    pub(super) fn of(
        shown: AskedDay,
        zone: &ShownZone,
        now: EpochSeconds,
    ) -> Result<Self, jiff::Error> {
        let ShownZone { zone, name } = zone;
        let date = shown.date(now, zone)?;
        let begin = |date: Date| -> Result<EpochSeconds, jiff::Error> {
            // Not midnight: in some zones a change of the clock skips it.
            let start = date.to_zoned_datetime(zone.clone())?.start_of_day()?;
            Ok(EpochSeconds::new(start.timestamp().as_second()))
        };
        let (from, until) = (begin(date)?, begin(date.tomorrow()?)?);
        Ok(Self {
            date,
            zone: zone.clone(),
            zone_name: name.clone(),
            from,
            until,
        })
    }

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
        let offset = |second: EpochSeconds| {
            Timestamp::from_second(second.get())
                .ok()
                .map(|at| self.zone.to_offset(at))
        };
        // Zones change their offset at most once a day, so the two ends tell.
        offset(self.from) == offset(self.until)
    }

    fn formatted(&self, second: EpochSeconds, format: &str) -> String {
        match Timestamp::from_second(second.get()) {
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
        let zone = ShownZone::parse(zone).unwrap();
        Day::of(
            AskedDay::parse(date).unwrap(),
            &zone,
            EpochSeconds::new(1_780_315_200),
        )
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
                (day.from.get(), day.until.since(day.from).get() / 3600),
                (from, hours),
                "{date} {zone}"
            );
        }
    }

    #[test]
    fn a_repeated_hour_has_its_offset() {
        let day = day("2026-10-25", "Europe/Berlin");
        let at = |hour: i64| day.clock_time(day.from + hour * 3600 + 1800);
        assert_eq!(
            (at(2).as_str(), at(3).as_str()),
            ("02:30+02:00", "02:30+01:00")
        );
        assert_eq!(day.rfc_3339(day.from), "2026-10-25T00:00:00+02:00");
    }

    #[test]
    fn an_invalid_zone_is_an_error() {
        assert_eq!(
            ShownZone::parse("Europe/Belrin").unwrap_err(),
            "expected a time zone like Europe/Berlin; did you mean Europe/Berlin?"
        );
    }

    #[test]
    fn the_first_and_the_last_day_can_be_computed_in_every_zone() {
        for zone in ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"] {
            for date in ["1970-01-01", "9999-12-29"] {
                assert_eq!(day(date, zone).date.to_string(), date, "{zone}");
            }
        }
    }
}
