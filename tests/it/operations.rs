//! Everything an operator sees: commands, start and shutdown, probes, logs, metrics, traces, deployment.

mod admin;
mod backups;
mod command_line;
mod customers;
mod deploy;
mod lifecycle;
mod load_balancers;
mod logs;
mod metrics;
mod traces;
