//! Whom to call, and at what pace.

/// When calls are made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// So many at once on each connection, the next when one is answered.
    Closed { in_flight: u64 },
    /// So many a second over all connections.
    Open { per_second: u64 },
}

/// Whom to call, and how much.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: String,
    pub(super) connections: usize,
    pub(super) calls: u64,
    pub(super) pace: Pace,
}
