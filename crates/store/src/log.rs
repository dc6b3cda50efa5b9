//! The embedded store: an append-only log on the local disk with an index in memory, without a database server.
//!
//! The log consists of segments of 64 MiB, which are zero-filled ahead of need. One thread writes. It takes all pending
//! units as one batch, writes them as one frame, syncs it, and only then publishes them in the index and answers. There is
//! no timer: the next batch gathers during the sync.
//!
//! Sold spots are not stored: they are the sum of the claims of all orders and cannot disagree with them.

mod disk;
mod fact;
mod fold;
mod index;
mod open_work;
mod planted;
mod position;
mod segment_name;
mod segment_times;
mod spares;
mod summary;

#[cfg(any(test, feature = "simulation"))]
pub use disk::simulated;
pub use disk::{DirectoryDisk, Disk, DiskFile};
