//! What survives: crashes, failing disks, wrong clocks.

mod clock;
mod crash;
mod records;
mod storage_faults;
