//! The operator's services: what they show, to whom, and over which transports.

mod access;
mod blocks;
mod changes;
mod command_line;
mod customers;
mod defects;
mod documents;
mod lifecycle;
mod openapi;
mod orders;
mod scopes;
mod slots;
mod stage;
mod stats;
mod statuses;
mod watch;
mod week;
