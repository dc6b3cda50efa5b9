//! The operator's services over gRPC and REST, on a listener of their own: orders after the sale, slots, who comes.
//!
//! | module | contents |
//! |---|---|
//! | [`proto`] | the generated messages and the client |
//! | [`dispatch`] | one call, whatever its transport: permit, deadline, conversion, use case |
//! | [`grpc`], [`rest`] | the transports; REST is a table of routes |
//! | [`query`] | messages from queries and JSON |
//! | [`requests`] | the rules of requests |
//! | [`changes`] | the rules of requests that change orders |
//! | `customers` | everything about a customer, exported or erased |
//! | [`lifecycle`] | calls of the lifecycle |
//! | [`masks`] | read masks: which fields are answered |
//! | [`page_tokens`] | where a list goes on |
//! | [`to_proto`] | answers |
//! | `withdrawals` | items of an order, or a slot with all of its orders, withdrawn |
//!
//! Who may call what is decided by the role of the user, in one place: `kernel::user::Role`. A method names the
//! permission that it needs (`kernel::rpc::OperatorRpc`), which is checked before its message is read; fields that need
//! more are checked by [`masks`] and [`requests`].

pub mod changes;
mod customers;
pub mod dispatch;
pub mod grpc;
pub mod lifecycle;
pub mod masks;
pub mod page_tokens;
pub mod proto;
pub mod query;
pub mod requests;
pub mod rest;
pub mod to_proto;
mod withdrawals;

/// The gRPC services of the operator, those included whose methods this version does not serve yet.
pub const SERVICES: [&str; 3] = [
    "boxoffice.operator.v1.OrderService",
    "boxoffice.operator.v1.SlotService",
    "boxoffice.operator.v1.LifecycleService",
];
