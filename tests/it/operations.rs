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

use tempfile::TempDir;

/// A directory as an argument of a command.
fn text(dir: &TempDir) -> &str {
    dir.path().to_str().unwrap()
}
