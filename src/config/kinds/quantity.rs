//! Numbers with units: sizes and durations.

use std::time::Duration;

use super::ValueKind;

/// A number of bytes within bounds, which are written as values are.
pub(in crate::config) struct ByteSize(
    pub(in crate::config) &'static str,
    pub(in crate::config) &'static str,
);

impl ValueKind for ByteSize {
    type Value = usize;

    fn label(&self) -> &'static str {
        "SIZE"
    }

    fn takes(&self) -> String {
        format!(
            "a size from {} to {} (plain bytes, KiB, MiB or GiB)",
            self.0, self.1
        )
    }

    fn read(&self, text: &str) -> Option<usize> {
        within(text, self.0, self.1, bytes)
    }
}

/// A duration within bounds, which are written as values are.
pub(in crate::config) struct DurationRange(
    pub(in crate::config) &'static str,
    pub(in crate::config) &'static str,
);

impl ValueKind for DurationRange {
    type Value = Duration;

    fn label(&self) -> &'static str {
        "DURATION"
    }

    fn takes(&self) -> String {
        format!("a duration from {} to {}", self.0, self.1)
    }

    fn read(&self, text: &str) -> Option<Duration> {
        within(text, self.0, self.1, duration)
    }
}

fn within<T: PartialOrd>(
    text: &str,
    min: &str,
    max: &str,
    read: fn(&str) -> Option<T>,
) -> Option<T> {
    read(text)
        // The bounds are texts, so that help and errors show them as a user would write them.
        .filter(|value| read(min).is_some_and(|min| *value >= min))
        .filter(|value| read(max).is_some_and(|max| *value <= max))
}

fn bytes(text: &str) -> Option<usize> {
    const UNITS: [(&str, usize); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| {
            text.strip_suffix(suffix)
                .map(|number| (number.trim_end(), *unit))
        })
        .unwrap_or((text, 1));
    // Checked: a huge number of GiB must not wrap to a small size.
    number.parse::<usize>().ok()?.checked_mul(unit)
}

fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}
