//! `orders watch`.

use std::io;

use clap::{ArgMatches, Command, value_parser};

use super::{
    CUSTOMER, LIMIT, ORDER,
    connection::{Connection, RequestFailed},
    given,
    orders::{order, order_mask, order_name, order_report, with_customer},
    output::{ReportSeries, local},
    text,
};
use crate::{
    api::operator::proto::v1::{Order, WatchOrderRequest},
    cli::table::Align,
};

pub(super) fn command() -> Command {
    Command::new(super::WATCH)
        .about("Show an order, and again after each change, until the server ends it")
        .arg(order())
        .arg(with_customer())
        .arg(
            text(
                LIMIT,
                "COUNT",
                "End once the order was shown so often; default: go on",
            )
            .value_parser(value_parser!(u32).range(1..)),
        )
}

/// An order that is watched.
#[derive(Debug, PartialEq)]
pub(super) struct OrderWatch {
    request: WatchOrderRequest,
    limit: Option<u32>,
}

impl OrderWatch {
    pub(super) fn of(arguments: &ArgMatches) -> Self {
        let limit: Option<&u32> = arguments.get_one(LIMIT);
        Self {
            request: WatchOrderRequest {
                name: order_name(&given(arguments, ORDER)),
                read_mask: Some(order_mask(arguments.get_flag(CUSTOMER))),
            },
            limit: limit.copied(),
        }
    }

    /// Shows the order as often as it changes.
    pub(super) async fn show(
        &self,
        connection: &Connection,
        shown: &mut ReportSeries<'_>,
    ) -> Result<io::Result<()>, RequestFailed> {
        let mut client = connection.orders();
        let answers = client.watch_order(self.request.clone()).await?;
        let mut answers = answers.into_inner();
        let mut left = self.limit;
        while let Some(answer) = answers.message().await? {
            let printed = print(&answer.order.unwrap_or_default(), shown);
            left = left.map(|left| left.saturating_sub(1));
            if printed.is_err() || left == Some(0) {
                return Ok(printed);
            }
        }
        Ok(Ok(()))
    }
}

fn print(order: &Order, shown: &mut ReportSeries<'_>) -> io::Result<()> {
    let mut report = order_report(order);
    // Tells the states apart where they are rows of one table.
    let updated = local(order.update_time.as_ref(), &order.time_zone);
    report
        .columns
        .insert(0, ("updated", "Updated", Align::Left));
    for row in &mut report.rows {
        row.insert(0, updated.clone());
    }
    shown.print(&report)
}
