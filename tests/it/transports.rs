//! gRPC, gRPC-Web and REST: what becomes a call, what is rejected, and that all transports agree.

mod bad_input;
mod grpc_web;
mod request_ids;
mod request_rules;
mod rest;
mod routing;
