//! Tests of a real server through real clients. `tests/README.md` says where a new one goes.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it fails")]

mod support;

mod catalog;
mod documents;
mod durability;
mod load;
mod model;
mod openapi;
mod operations;
mod operator;
mod orders;
mod security;
mod tidy;
mod transports;
