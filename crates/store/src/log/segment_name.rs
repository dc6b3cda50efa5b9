//! Names of the files of a log.

/// Digits that the number of a segment has at least.
const DIGITS: usize = 6;

/// A file of the log, by the number of its segment.
///
/// Files are sorted by this number and not by their names, which are longer above 999,999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LogFile {
    /// A segment, or a spare that is ready to become one.
    Segment(u64),
    /// A spare that is being filled.
    Unfinished(u64),
    /// The summary of a sealed segment.
    Summary(u64),
    /// The index of the slots of a sealed segment.
    Slots(u64),
}

impl LogFile {
    /// The number of the segment.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Segment(number)
            | Self::Unfinished(number)
            | Self::Summary(number)
            | Self::Slots(number) => number,
        }
    }

    /// The name of the file.
    pub(crate) fn name(self) -> String {
        let extension = match self {
            Self::Segment(_) => "log",
            Self::Unfinished(_) => "new",
            Self::Summary(_) => "idx",
            Self::Slots(_) => "slots",
        };
        format!("{:0DIGITS$}.{extension}", self.number())
    }
}

/// The name of a segment, and of a spare that is ready.
pub(crate) fn log_name(number: u64) -> String {
    LogFile::Segment(number).name()
}

/// The name of a spare that is being filled.
pub(crate) fn new_name(number: u64) -> String {
    LogFile::Unfinished(number).name()
}

/// The name of the summary of a segment.
pub(crate) fn summary_name(number: u64) -> String {
    LogFile::Summary(number).name()
}

/// The name of the index of the slots of a segment.
pub(crate) fn slots_name(number: u64) -> String {
    LogFile::Slots(number).name()
}

/// The file of this name; `None` if the log gives no such name.
pub(crate) fn parse(name: &str) -> Option<LogFile> {
    let (digits, extension) = name.split_once('.')?;
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    let file = match extension {
        "log" => LogFile::Segment(number),
        "new" => LogFile::Unfinished(number),
        "idx" => LogFile::Summary(number),
        "slots" => LogFile::Slots(number),
        _ => return None,
    };
    // Exactly as it would be named: `1.log` and `+00001.log` must not be a second segment 1.
    (file.name() == name).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_segments() {
        for (number, digits) in [
            (1, "000001"),
            (999_999, "999999"),
            (1_000_000, "1000000"),
            (u64::MAX, "18446744073709551615"),
        ] {
            for (name, extension, file) in [
                (log_name(number), "log", LogFile::Segment(number)),
                (new_name(number), "new", LogFile::Unfinished(number)),
                (summary_name(number), "idx", LogFile::Summary(number)),
                (slots_name(number), "slots", LogFile::Slots(number)),
            ] {
                assert_eq!(name, format!("{digits}.{extension}"));
                assert_eq!(parse(&name), Some(file));
                assert_eq!(file.number(), number);
            }
        }
    }

    #[test]
    fn numbers_sort_where_names_do_not() {
        let names = ["1000000.log", "999999.log"];
        assert!(names.is_sorted() && names.map(parse).into_iter().rev().is_sorted());
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "",
            ".",
            ".log",
            "000001",
            "000001.",
            "000000.log",
            "1.log",
            "0000001.log",
            "+00001.log",
            "-00001.log",
            " 00001.log",
            "00001a.log",
            "000001.LOG",
            "000001.log~",
            "000001.log.new",
            "000001.tmp",
            "18446744073709551616.log",
            "acknowledged",
        ] {
            assert_eq!(parse(name), None, "{name:?}");
        }
    }
}
