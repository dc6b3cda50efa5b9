//! What survives: crashes, failing disks, wrong clocks.

mod clock;
mod crash;
mod storage_faults;
