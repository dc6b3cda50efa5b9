//! Small definitions for single rules: a frame that passes all checks, and what a test adds to it.

use super::{World, read};

/// What a test adds to the frame. States are written `"a", "b"` and have to be reachable.
#[derive(Default)]
pub(super) struct Sketch {
    pub(super) order_states: &'static str,
    pub(super) item_states: &'static str,
    pub(super) fulfillment_states: &'static str,
    pub(super) refund_states: &'static str,
    /// Actions of the transition to `processing`.
    pub(super) processing: &'static str,
    /// Actions of the transition of an item to `confirmed`.
    pub(super) confirmed: &'static str,
    /// Actions of the start of a fulfillment.
    pub(super) fulfillment_start: &'static str,
    /// Actions of the start of a refund.
    pub(super) refund_start: &'static str,
    /// Further tables.
    pub(super) more: &'static str,
    /// Tables in front of the entities.
    pub(super) top: &'static str,
}

impl Sketch {
    /// The whole text.
    pub(super) fn text(&self) -> String {
        let mut statuses = String::new();
        for state in self
            .item_states
            .split(',')
            .filter(|it| !it.trim().is_empty())
        {
            let state = state.trim().trim_matches('"');
            let line = format!("{state} = \"CONFIRMED\"\n");
            statuses.push_str(&line);
        }
        let Self {
            order_states,
            item_states,
            fulfillment_states,
            refund_states,
            processing,
            confirmed,
            fulfillment_start,
            refund_start,
            more,
            top,
        } = self;
        format!(
            r#"schema = "lifecycle/1"
name = "sketch"
{top}

[entity.order]
start = "pending"
states = ["pending", "processing", "cancelled", "failed", "timed_out", {order_states}]
on_start = [{{ action = "launch", step = "charge" }}]

[[entity.order.transition]]
from = ["pending"]
to = "processing"
kind = "automatic"
if = [{{ cond = "all_transactions_state_in", status = ["authorized", "captured", "not_required"] }}]
do = [{{ action = "update_line_items_state", state = "confirmed" }}, {processing}]

[[entity.order.transition]]
from = ["processing"]
to = "cancelled"
kind = "manual"

[[entity.order.transition]]
from = ["processing"]
to = "failed"
kind = "manual"

[[entity.order.transition]]
from = ["processing"]
to = "timed_out"
kind = "manual"

[[entity.order.transition]]
from = ["timed_out"]
to = "processing"
kind = "manual"

[entity.line_item]
start = "held"
states = ["held", "confirmed", "unavailable", {item_states}]

[entity.line_item.booking_status]
held = "BOOKING_STATUS_UNSPECIFIED"
confirmed = "CONFIRMED"
unavailable = "CANCELED"
{statuses}
[[entity.line_item.transition]]
from = ["held"]
to = "confirmed"
kind = "manual"
do = [{confirmed}]

[[entity.line_item.transition]]
from = ["confirmed"]
to = "unavailable"
kind = "manual"
do = [{{ action = "update_reserved_stock", creation = false }}]

[entity.fulfillment]
start = "waiting"
states = ["waiting", "dispatched", "delivered", {fulfillment_states}]
on_start = [{fulfillment_start}]

[[entity.fulfillment.transition]]
from = ["waiting"]
to = "dispatched"
kind = "manual"

[[entity.fulfillment.transition]]
from = ["dispatched"]
to = "delivered"
kind = "manual"

[entity.refund]
start = "requested"
states = ["requested", "done", {refund_states}]
on_start = [{refund_start}]

[[entity.refund.transition]]
from = ["requested"]
to = "done"
kind = "automatic"
if = [{{ cond = "step_done", step = "refund" }}]

{more}
"#
        )
    }

    /// The definition, in a world of its own.
    pub(super) fn world(&self) -> World {
        let text = self.text();
        match read(&text, "sketch.toml") {
            Ok(definition) => World::new(definition),
            Err(errors) => panic!("{errors}\n{text}"),
        }
    }
}
