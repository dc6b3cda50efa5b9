//! Everything that is tested through a real server and a real client.

mod byte_client;
mod doubles;
mod laws;
mod process;
mod support;
mod words;

mod check;
mod create;
mod holds;
mod list;
mod payment;

mod concurrency;

mod serving;
