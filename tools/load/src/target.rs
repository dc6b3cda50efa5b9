//! The server under load, and the pace of calls.

/// When calls are made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// So many concurrent calls on each connection.
    Closed { in_flight: u64 },
    /// So many calls per second over all connections.
    Open { per_second: u64 },
}

/// The server under load, and the number of calls.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) connections: usize,
    pub(crate) calls: u64,
    pub(crate) pace: Pace,
}
