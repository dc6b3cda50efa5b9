//! The kinds of settings: how values are read from text, and how they are described.

mod address;
mod choice;
mod filter;
mod number;
mod path;
mod quantity;

pub(super) use address::{CertificateNames, HostNames, HttpEndpoint, IpAndPort};
pub(super) use choice::{OneOf, OrOff, ZeroIsNone};
pub(super) use filter::LogFilter;
pub(super) use number::{Fraction, WholeNumber};
pub(super) use path::{AuditDestination, BasePath, DirectoryPath, FilePath};
pub(super) use quantity::{ByteSize, DurationRange};

pub use number::SamplingRatio;
pub use path::AuditLog;

/// A way to read values from text, the same for flags, variables and the file.
pub(in crate::config) trait ValueKind {
    /// The type of the values.
    type Value;

    /// One word for the help text: `--flag <LABEL>`.
    fn label(&self) -> &'static str;

    /// A description of the accepted values, to follow "expected".
    fn takes(&self) -> String;

    /// The value, if the text is one.
    fn read(&self, text: &str) -> Option<Self::Value>;
}

#[cfg(test)]
mod tests;
