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

/// Files of the store: 128 segments that it keeps open for reading, and those that it writes.
const STORE_FILES: usize = 160;

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

/// Connections of callers under a limit: `wanted`, or fewer if runtimes, other connections, the store, the
/// catalogue and the logs need the descriptors.
#[must_use]
pub fn for_connections(
    limit: usize,
    wanted: usize,
    runtimes: usize,
    other_connections: usize,
) -> usize {
    let reserve = BASE + PER_RUNTIME * runtimes + other_connections + STORE_FILES;
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
            (4_096, 3_688),
            (1_024, 616),
            (256, 64),
            (64, 16),
        ] {
            assert_eq!(for_connections(limit, 10_000, 4, 152), expected, "{limit}");
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
