//! Ids and times: the types that everything else is written in.

pub mod ids;
