//! What operators see of an order, at the model and at the server.

use boxoffice::api::operator::proto::v1;
use serde_json::Value;
use tonic_types::StatusExt;

use super::after_sale::{ModelOrder, ModelPart};
use crate::support::{back_office::micros, rest_client::Answer};

/// What operators see of an order, with the first names of its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outline {
    state: String,
    /// State, what callers hear, and whether it has its spots.
    items: Vec<(String, String, bool)>,
    /// State, amount and items.
    refunds: Vec<(String, i64, Vec<usize>)>,
    /// Captured, given back, and what can be given back; of orders that the server has charged.
    money: Option<[i64; 3]>,
    /// Part, when, and the state that it leads to.
    timers: Vec<(String, i64, String)>,
    alerts: Vec<String>,
    /// Steps that are open.
    steps: usize,
}

impl Outline {
    /// What the model has.
    pub(super) fn expected(order: &ModelOrder) -> Self {
        let name = format!("orders/{}", order.first.order_id);
        let part = |part| match part {
            ModelPart::Order => name.clone(),
            ModelPart::Item(at) => format!("{name}/items/{at}"),
            ModelPart::Refund(at) => format!("{name}/refunds/{}", at + 1),
        };
        let timers = order.timers().into_iter();
        let mut timers: Vec<_> = timers
            .map(|(of, due, to)| (part(of), due, to.to_owned()))
            .collect();
        timers.sort();
        let items = order.items.iter().map(|item| {
            let status = item.status().as_str_name().to_owned();
            (item.state.to_owned(), status, item.holds)
        });
        let payment = order.payment.as_ref();
        let refunds = payment.map_or(&[][..], |payment| &payment.refunds);
        let has_alert = payment.is_some_and(|payment| payment.has_alert);
        Self {
            state: order.state.to_owned(),
            items: items.collect(),
            refunds: refunds
                .iter()
                .map(|it| {
                    // Of others nothing was left.
                    let items = it.items.iter().filter(|(.., amount)| *amount > 0);
                    let items = items.map(|(at, ..)| *at).collect();
                    (it.state.to_owned(), it.total, items)
                })
                .collect(),
            money: payment.map(|it| [it.captured, it.refunded(), it.available()]),
            timers,
            alerts: has_alert
                .then(|| "refund_failed".to_owned())
                .into_iter()
                .collect(),
            steps: refunds.iter().filter(|refund| refund.is_open()).count(),
        }
    }

    /// What the server has answered, given the first names of states.
    pub(super) fn answered(
        order: &v1::Order,
        first: impl Fn(&str) -> String,
        is_charged: bool,
    ) -> Self {
        let mut timers: Vec<_> = order
            .timers
            .iter()
            .map(|timer| {
                let due = timer.due_time.as_ref().unwrap().seconds;
                (timer.target.clone(), due, first(&timer.to_state))
            })
            .collect();
        timers.sort();
        let items = order.items.iter().map(|item| {
            let status = item.booking_status.clone();
            (first(&item.state), status, item.holds_spots)
        });
        let refunds = order.refunds.iter().map(|refund| {
            let items = refund.items.iter().map(|at| *at as usize).collect();
            (refund.state.clone(), micros(refund.amount.as_ref()), items)
        });
        let payment = order.payment.as_ref().unwrap();
        let money = [&payment.captured, &payment.refunded, &payment.refundable];
        Self {
            state: first(&order.state),
            items: items.collect(),
            refunds: refunds.collect(),
            money: is_charged.then(|| money.map(|amount| micros(amount.as_ref()))),
            timers,
            alerts: order.alerts.iter().map(|it| it.alert_id.clone()).collect(),
            steps: order.steps.iter().filter(|it| it.state == "open").count(),
        }
    }
}

/// The order of an answer, or why there is none.
pub(super) fn order_of(answer: &Answer) -> Result<v1::Order, String> {
    if answer.http != 200 {
        return Err(reason(answer));
    }
    // A withdrawal answers one order after the other, a line each.
    let line = answer.body.split(|byte| *byte == b'\n').next().unwrap();
    let json: Value = serde_json::from_slice(line).unwrap();
    Ok(serde_json::from_value(json["order"].clone()).unwrap())
}

pub(super) fn reason(answer: &Answer) -> String {
    let rejection = answer.rejection();
    rejection.get_details_error_info().unwrap().reason
}
