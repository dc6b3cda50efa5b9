//! Definitions described for people.

use crate::{DescribeFilter, default, describe, mermaid};

fn filter(entity: Option<&str>, state: Option<&str>, action: Option<&str>) -> DescribeFilter {
    DescribeFilter {
        entity: entity.map(str::to_owned),
        state: state.map(str::to_owned),
        action: action.map(str::to_owned),
    }
}

fn rows(filter: &DescribeFilter) -> Vec<String> {
    let mut rows = Vec::new();
    for described in describe(&default().unwrap(), filter).unwrap() {
        for row in described.rows {
            rows.push(format!("{}: {} -> {}", described.entity, row.from, row.to));
        }
    }
    rows
}

#[test]
fn a_definition_is_described_as_a_whole() {
    let all = describe(&default().unwrap(), &DescribeFilter::default()).unwrap();
    let names: Vec<&str> = all.iter().map(|it| it.entity).collect();
    assert_eq!(names, ["order", "line_item", "fulfillment", "refund"]);
    let refund = &all[3];
    assert_eq!(refund.states[0], ("requested".to_owned(), String::new()));
    assert_eq!(refund.rows[0].kind, "start");
    assert_eq!(
        refund.rows[0].actions,
        [
            "launch(refund)",
            "send_notification(order.return.submitted)"
        ]
    );
    assert_eq!(refund.rows[1].conditions, "step_done(refund)");
    let items = &all[1];
    assert_eq!(
        items.states[1],
        ("confirmed".to_owned(), "CONFIRMED".to_owned())
    );
    let order = &all[0];
    let waiting = order
        .rows
        .iter()
        .find(|row| row.to == "customer_action_required")
        .unwrap();
    assert_eq!(waiting.conditions, "one_line_item_in_states(unavailable)");
    assert_eq!(
        waiting.actions[2],
        "set_expiration_date(customer_action: in 1d to timed_out; 2h before the start at the latest; in 15m at the earliest)"
    );
    let completed = order.rows.iter().find(|row| row.to == "completed").unwrap();
    assert_eq!(
        completed.conditions,
        "all_fulfillments_in_states(delivered, cancelled) and one_fulfillment_in_states(delivered)"
    );
}

#[test]
fn r11_filters_narrow_it_down() {
    assert_eq!(
        rows(&filter(Some("refund"), None, Some("send_alert"))),
        [
            "refund: requested -> failed",
            "refund: failed -> done",
            "refund: failed -> requested"
        ]
    );
    assert_eq!(
        rows(&filter(None, Some("no_show"), None)),
        ["line_item: confirmed, fulfilled -> no_show"]
    );
    assert_eq!(
        rows(&filter(Some("parcel"), None, Some("orchestrate"))),
        ["fulfillment:  -> pending", "fulfillment: failed -> pending"]
    );
    for (filter, expected) in [
        (
            filter(Some("parcle"), None, None),
            "there is no entity \"parcle\"; entities are order, line_item, fulfillment, refund",
        ),
        (
            filter(None, Some("confirmd"), None),
            "there is no state \"confirmd\"; did you mean confirmed? states are",
        ),
        (
            filter(None, None, Some("send_alrt")),
            "there is no action \"send_alrt\"; did you mean send_alert? actions are",
        ),
    ] {
        let error = describe(&default().unwrap(), &filter)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_diagram_is_what_mermaid_reads() {
    let refunds = describe(&default().unwrap(), &filter(Some("refund"), None, None)).unwrap();
    assert_eq!(
        mermaid(&refunds),
        r#"stateDiagram-v2
    state refund {
        state "requested" as refund__requested
        state "done" as refund__done
        state "failed" as refund__failed
        [*] --> refund__requested
        refund__requested --> refund__done: automatic
        refund__requested --> refund__failed: automatic
        refund__failed --> refund__done: automatic
        refund__failed --> refund__requested: manual
        refund__done --> [*]
    }
"#
    );
}
