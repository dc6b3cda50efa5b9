//! `steps list`.

use clap::{ArgMatches, Command};

use super::{
    LIST, ORDER,
    connection::{Connection, RequestFailed},
    given,
    orders::order_name,
    output::{Report, id, local},
    text,
};
use crate::{api::operator::proto::v1::ListStepsRequest, cli::table::Align};

/// Orders of one answer.
const PAGE: i32 = 1_000;

pub(super) fn list_command() -> Command {
    Command::new(LIST)
        .about("List work outside of the server that was given up, and that is not done, the longest overdue first")
        .arg(text(ORDER, "ID", "Steps of this order; default: of all"))
}

/// The steps of an order, or of all.
#[derive(Debug, PartialEq)]
pub(super) struct StepList(ListStepsRequest);

impl StepList {
    pub(super) fn of(arguments: &ArgMatches) -> Self {
        let order = given(arguments, ORDER);
        Self(ListStepsRequest {
            parent: if order.is_empty() {
                order
            } else {
                order_name(&order)
            },
            page_size: PAGE,
            page_token: String::new(),
        })
    }

    pub(super) async fn read(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let mut client = connection.orders();
        let mut request = self.0.clone();
        let mut steps = Vec::new();
        loop {
            let page = client.list_steps(request.clone()).await?.into_inner();
            steps.extend(page.steps);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let columns = vec![
            ("order", "Order", Align::Left),
            ("step", "Step", Align::Right),
            ("kind", "Kind", Align::Left),
            ("state", "State", Align::Left),
            ("attempts", "Attempts", Align::Right),
            ("due", "Due", Align::Left),
            ("last_error", "Last error", Align::Left),
        ];
        let mut rows = Vec::new();
        for step in &steps {
            let (order, number) = step.name.split_once("/steps/").unwrap_or((&step.name, ""));
            rows.push(vec![
                id(order).to_owned(),
                number.to_owned(),
                step.kind.clone(),
                step.state.clone(),
                step.attempts.to_string(),
                local(step.due_time.as_ref(), &step.time_zone),
                step.last_error.clone(),
            ]);
        }
        Ok(Report::new(columns, rows, &steps))
    }
}
