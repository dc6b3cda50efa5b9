//! `stats`.

use clap::Command;

use super::{
    connection::{Connection, RequestFailed},
    output::Report,
};
use crate::{
    api::operator::proto::v1::{GetStatsRequest, GetStatsResponse},
    cli::table::Align,
};

pub(super) fn command(of_server: &str) -> Command {
    Command::new(super::STATS).about(format!(
        "Numbers of orders, steps, timers and holds, {of_server}"
    ))
}

/// The numbers of a server.
pub(super) async fn read(connection: &Connection) -> Result<Report, RequestFailed> {
    let answer = connection.orders().get_stats(GetStatsRequest {}).await?;
    let stats = answer.into_inner();
    let GetStatsResponse {
        orders,
        orders_by_state,
        open_steps,
        given_up_steps,
        timers,
        holds,
    } = &stats;
    let mut counts = vec![("orders".to_owned(), *orders)];
    for (state, orders) in orders_by_state {
        counts.push((format!("orders {state}"), *orders));
    }
    for (name, count) in [
        ("open steps", open_steps),
        ("steps given up", given_up_steps),
        ("timers", timers),
        ("holds", holds),
    ] {
        counts.push((name.to_owned(), *count));
    }
    let columns = vec![
        ("what", "What", Align::Left),
        ("count", "Count", Align::Right),
    ];
    let rows = counts
        .into_iter()
        .map(|(what, count)| vec![what, count.to_string()]);
    Ok(Report::new(columns, rows.collect(), &stats))
}
