//! Everything that is tested through a real server and a real client.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it fails")]

mod byte_client;
mod doubles;
mod laws;
mod mutations;
mod process;
mod support;
mod words;

mod check;
mod create;
mod holds;
mod list;
mod payment;
mod reload;

mod concurrency;

mod bad_input;
mod crash;
mod logs;
mod serving;

mod tidy;
