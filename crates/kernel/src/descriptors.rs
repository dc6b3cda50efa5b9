//! File descriptors: the limit of this process, and its division among connections, store and files.
//!
//! Every connection takes one, and so does every file of the store, the catalogue and the logs. A store
//! that cannot open its next file accepts no more orders, so connections must not use up all descriptors.

use std::io;

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Descriptors for single things: standard streams, listeners, files that are read.
const BASE: usize = 64;

/// Descriptors of one runtime, such as its epoll instance and its waker.
const PER_RUNTIME: usize = 8;

/// Fewest and most `SSTables` that the store keeps open.
const TABLES: (usize, usize) = (16, 900);

/// Fewest and most descriptors for other files of the store: journals, and inputs and outputs of
/// compactions.
const STORE_FILES: (usize, usize) = (32, 128);

/// Raises the soft limit of this process to its hard limit, and returns it.
///
/// # Errors
/// If the system does not let it; the limit is then as it was.
pub fn raise_limit() -> io::Result<usize> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        // The soft limit is often 1024 for the sake of `select`, which nothing here uses.
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    Ok(limit())
}

/// The soft limit of this process; `usize::MAX` if there is none.
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

/// `SSTables` that the store may keep open under a limit.
#[must_use]
pub fn for_tables(limit: usize) -> usize {
    let (least, most) = TABLES;
    // A quarter: closed SSTables cost reads a reopening, connections that are not accepted cost orders.
    (limit / 4).clamp(least, most)
}

/// Connections of callers under a limit: `wanted`, or fewer if runtimes, other connections, the store, the
/// catalogue and the logs need the descriptors.
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
    // Never below a quarter: without connections the server would be of no use, and the store can do with
    // less.
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
