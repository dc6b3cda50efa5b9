//! Statistics of this process from `/proc`; `None` where the system has no such file.

use std::fs;

/// Nanoseconds in the unit of CPU times in `/proc`, which is fixed at 100 per second for programs.
const TICK_NANOS: u64 = 10_000_000;

/// Statistics of the process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ProcessStats {
    /// Resident memory in bytes, shared pages included.
    pub(super) resident_bytes: Option<u64>,
    /// CPU time in user and system mode, in nanoseconds.
    pub(super) cpu_nanos: Option<u64>,
    /// Open file descriptors.
    pub(super) open_files: Option<u64>,
    /// Limit of open file descriptors.
    pub(super) max_open_files: Option<u64>,
}

impl ProcessStats {
    /// Reads the present statistics.
    pub(super) fn read() -> Self {
        let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).ok();
        let open_files = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            resident_bytes: text("status").and_then(|text| resident_bytes(&text)),
            cpu_nanos: text("stat").and_then(|text| cpu_nanos(&text)),
            open_files: open_files.and_then(|count| u64::try_from(count).ok()),
            max_open_files: text("limits").and_then(|text| max_open_files(&text)),
        }
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// User and system time: the twelfth and thirteenth words after the name, which stands in brackets
/// and may contain brackets itself.
fn cpu_nanos(stat: &str) -> Option<u64> {
    // From the last bracket: the name of a program may contain any character.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || words.next()?.parse::<u64>().ok();
    // 64 bits of nanoseconds are more than 500 years of one core.
    ticks()?.checked_add(ticks()?)?.checked_mul(TICK_NANOS)
}

fn max_open_files(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    // The soft limit, which is the first and the one in force. `unlimited` is no number and reports
    // nothing.
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_parsed() {
        assert_eq!(
            resident_bytes("VmPeak:\t 9 kB\nVmRSS:\t   123 kB\nVmData: 1 kB\n"),
            Some(123 * 1024)
        );
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 1 0 250 50 0 0 20 0 5 0 99 1 1";
        assert_eq!(cpu_nanos(stat), Some(3_000_000_000));
        // Ten years of one core in each mode.
        let long = stat.replace("250 50", "31536000000 31536000000");
        assert_eq!(cpu_nanos(&long), Some(630_720_000_000_000_000));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  4096  files\n";
        assert_eq!(max_open_files(limits), Some(1024));
        assert_eq!(max_open_files(&limits.replace("1024", "unlimited")), None);
        for text in ["", "VmRSS:", "x (y) S 1", ")"] {
            assert_eq!(
                (resident_bytes(text), cpu_nanos(text), max_open_files(text)),
                (None, None, None)
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_files() {
        let process = ProcessStats::read();
        assert!(
            process.resident_bytes.is_some_and(|bytes| bytes > 100_000),
            "{process:?}"
        );
        assert!(
            process.open_files.is_some_and(|files| files >= 3),
            "{process:?}"
        );
        assert!(process.cpu_nanos.is_some(), "{process:?}");
    }
}
