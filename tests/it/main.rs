//! Everything that is tested through a real server and a real client.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it fails")]

mod balancer;
mod byte_client;
mod doubles;
mod keys;
mod laws;
mod mutations;
mod process;
mod rest_client;
#[path = "../../src/tests/seeds.rs"]
mod seeds;
mod support;
mod words;

mod check;
mod check_catalog;
mod clock;
mod create;
mod feeds;
mod holds;
mod list;
mod lookup;
mod one_slot;
mod payment;
mod reload;

mod concurrency;
mod model;

mod admin;
mod audit;
mod bad_input;
mod command_line;
mod crash;
mod deploy;
mod grpc_web;
mod load;
mod load_balancers;
mod logs;
mod metrics;
mod odd_files;
mod request_ids;
mod request_rules;
mod resources;
mod rest;
mod scopes;
mod security;
mod serving;
mod storage_faults;
mod traces;
mod transports;

mod tidy;
