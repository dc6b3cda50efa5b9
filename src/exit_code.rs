//! Exit codes of the program, as in `sysexits.h`.

/// All is well.
pub const SUCCESS: u8 = 0;
/// The command line, a setting or a file that one names is invalid (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// The catalogue or a lifecycle definition is invalid (`EX_DATAERR`).
pub const CATALOG: u8 = 65;
/// The address cannot be bound, or the server there did not answer as expected (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// An internal error (`EX_SOFTWARE`).
pub const INTERNAL: u8 = 70;
/// The store cannot be read or is damaged, or output cannot be written (`EX_IOERR`).
pub const IO: u8 = 74;
/// A second signal forced the shutdown (`EX_TEMPFAIL`).
pub const FORCED: u8 = 75;
