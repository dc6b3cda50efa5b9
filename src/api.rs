//! The interface for callers: authorization, decoding of requests, dispatch and encoding of
//! responses.
//!
//! | module | contents |
//! |---|---|
//! | [`error`] | the one table of errors: reason, gRPC code, HTTP status, retry |
//! | [`auth`] | authentication and authorization of callers, rate and concurrency limits per caller |
//! | [`dispatch`] | one call, whatever its transport: permit, deadline, conversion, use case |
//! | [`booking`] | the Booking v3 contract: gRPC, REST, messages, conversions, rules of requests |
//! | [`feeds`] | the export of feeds on the admin listener, and its client |
//! | [`customers`] | customers on the admin listener, exported and erased, and its client |
//! | [`backup`] | the store on the admin listener, for backups, and its client |
//! | [`responses`] | responses as bytes within a budget |

pub mod error;

pub mod auth;
pub mod dispatch;

pub mod backup;
pub mod booking;
pub mod customers;
pub mod feeds;

pub mod responses;
