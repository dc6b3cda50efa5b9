//! What holds for any bytes whatsoever. Each function takes what the fuzzer made up and panics where
//! a promise is broken.

mod contract;
mod scratch;

mod requests;

mod catalog;
mod lifecycle;
mod records;
mod settings;

pub use catalog::{catalog, rules};
pub use lifecycle::lifecycle;
pub use records::records;
pub use requests::{json, protobuf};
pub use settings::settings;
