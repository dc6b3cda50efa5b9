//! File descriptors of this process: how many it may have, and what they are for.
//!
//! Every connection takes one, and so does every file that the store, the catalogue and the logs need. A
//! store that cannot open its next file takes no more orders, so connections must not use them all up.

use std::io;

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Descriptors for everything that is there once: standard streams, listeners, files that are read.
const BASE: usize = 64;

/// Descriptors that a runtime takes.
const PER_RUNTIME: usize = 8;

/// The most tables that the store keeps open, and the least.
const TABLES: (usize, usize) = (16, 900);

/// Files of the store that are open beside those: journals, and what compactions read and write.
const STORE_FILES: (usize, usize) = (32, 128);

/// Raises the limit of this process as far as it may raise it, and gives it.
///
/// # Errors
/// If the system does not let it; the limit is then as it was.
pub fn raise_limit() -> io::Result<usize> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    Ok(limit())
}

/// As many as this process may have.
#[must_use]
pub fn limit() -> usize {
    let Rlimit { current, .. } = getrlimit(Resource::Nofile);
    current
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX)
}

/// Whether an error says that this process, or the whole system, has no descriptor left.
#[must_use]
pub fn are_exhausted(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

/// Tables that the store may keep open under a limit.
#[must_use]
pub fn for_tables(limit: usize) -> usize {
    let (least, most) = TABLES;
    (limit / 4).clamp(least, most)
}

/// Connections of callers that may be open under a limit, where as many are wanted and there are so many
/// runtimes and connections of other kinds. The rest is kept for the store, the catalogue and the logs.
#[must_use]
pub fn for_connections(
    limit: usize,
    wanted: usize,
    runtimes: usize,
    other_connections: usize,
) -> usize {
    let (least, most) = STORE_FILES;
    let store = for_tables(limit) + (limit / 16).clamp(least, most);
    let reserve = BASE + PER_RUNTIME * runtimes + other_connections + store;
    // Below that the server would be of no use, and the store does with less than its share.
    wanted.min(limit.saturating_sub(reserve).max(limit / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_that_there_is_no_descriptor_counts_as_that() {
        for (errno, expected) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::NOSPC, false),
            (Errno::MLINK, false),
        ] {
            assert_eq!(are_exhausted(&io::Error::from(errno)), expected, "{errno}");
        }
        assert!(!are_exhausted(&io::Error::other("too many open files")));
    }

    #[test]
    fn connections_leave_room_for_everything_else() {
        for (limit, expected) in [
            (usize::MAX, 10_000),
            (1 << 20, 10_000),
            (20_000, 10_000),
            (4_096, 2_820),
            (1_024, 456),
            (256, 64),
            (64, 16),
        ] {
            assert_eq!(for_connections(limit, 10_000, 4, 152), expected, "{limit}");
            assert!(expected + for_tables(limit) <= limit, "{limit}");
        }
        assert_eq!(
            for_connections(1_024, 100, 4, 152),
            100,
            "no more than are wanted"
        );
    }

    #[test]
    fn the_limit_of_this_process_can_be_raised_to_what_it_may_have() {
        let before = limit();
        assert!(raise_limit().unwrap() >= before);
    }
}
