//! Everything that is tested through a real server and a real client.

mod doubles;
mod laws;
mod raw;
mod support;

mod check;
mod create;
mod holds;
mod list;
mod payment;

mod concurrency;
