//! The interface for callers: authorization, decoding of requests, dispatch and encoding of
//! responses.
//!
//! | module | contents |
//! |---|---|
//! | [`error`] | the one table of errors: reason, gRPC code, HTTP status, retry |
//! | [`auth`] | authentication and authorization of callers, rate and concurrency limits per caller |
//! | [`calls`] | what every call has in common: permit, deadline, response |
//! | [`dispatch`] | one call of the contract, whatever its transport: permit, deadline, conversion, use case |
//! | [`booking`] | the Booking v3 contract: gRPC, REST, messages, conversions, rules of requests |
//! | [`feeds`] | the export of feeds on the admin listener, and its client |
//! | [`customers`] | customers on the admin listener, exported and erased, and its client |
//! | [`backup`] | the store on the admin listener, for backups, and its client |
//! | [`operator`] | the operator's services: gRPC, REST, roles, conversions |
//! | [`responses`] | responses as bytes within a budget |
//! | [`streamed`] | streamed responses, one message after the other |
//! | [`unary`] | unary calls over gRPC: frames, headers, timeouts |

pub mod error;

pub mod auth;
pub mod calls;
pub mod dispatch;

pub mod backup;
pub mod booking;
pub mod customers;
pub mod feeds;
pub mod operator;

pub mod responses;
pub mod streamed;
pub mod unary;
