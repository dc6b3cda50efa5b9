//! Authentication, authorization, and the log of both.

mod audit_log;
mod authentication;
mod scopes;
