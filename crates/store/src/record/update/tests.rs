//! Updates on record.
