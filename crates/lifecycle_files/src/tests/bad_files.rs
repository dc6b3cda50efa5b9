//! One wrong file for each check: the place and the text of its error.

use super::Sketch;
use crate::{DEFAULT, MAX_BYTES, read};

/// A replacement in the default and what is to be found then: at the line marked `# !`, with that code and a
/// part of the text.
struct Bad {
    old: &'static str,
    new: &'static str,
    code: &'static str,
    text: &'static str,
}

const fn bad(old: &'static str, new: &'static str, code: &'static str, text: &'static str) -> Bad {
    Bad {
        old,
        new,
        code,
        text,
    }
}

const BAD: &[Bad] = &[
    bad(
        "schema = \"lifecycle/1\"",
        "schema = \"lifecycle/2\" # !",
        "wrong_schema",
        "expected \"lifecycle/1\", found \"lifecycle/2\"",
    ),
    bad(
        "schema = \"lifecycle/1\"",
        "schema # !",
        "not_toml",
        "this is not TOML",
    ),
    bad(
        "name = \"default\"",
        "nmae = \"default\" # !",
        "unknown_key",
        "unknown key \"nmae\"; expected one of schema, name",
    ),
    bad(
        "order = [\"order\", \"line_item\", \"fulfillment\"]",
        "order = [\"order\", \"line_itm\", \"fulfillment\"] # !",
        "unknown_entity",
        "there is no entity \"line_itm\"; did you mean line_item?",
    ),
    bad(
        "refund = [\"refund\"]",
        "refund = [\"refund\", \"order\"] # !",
        "duplicate",
        "order is in two workflows, one of them refund",
    ),
    bad(
        "refund = [\"refund\"]",
        "",
        "missing",
        "refund is in no workflow",
    ),
    bad(
        "[entity.line_item]",
        "[entity.parcel] # !\nstart = \"a\"\nstates = [\"a\"]\n[entity.line_item]",
        "duplicate",
        "fulfillment is there under another name, too",
    ),
    bad(
        "[entity.line_item]",
        "[entity.piece_group] # !\n[entity.line_item]",
        "unknown_entity",
        "there is no entity \"piece_group\"",
    ),
    bad(
        "start = \"held\"",
        "start = \"hold\" # !",
        "unknown_state",
        "line_item has no state \"hold\"; did you mean held? states are held, confirmed,",
    ),
    bad("start = \"held\"\n", "", "missing", "`start` is missing"),
    bad(
        "[entity.line_item]",
        "[map.order]\nbooked = \"booked\" # !\n[entity.line_item]",
        "unknown_state",
        "order has no state \"booked\"; states are pending,",
    ),
    bad(
        "[entity.line_item]",
        "[map.order]\nprocessing = \"completed\" # !\n[entity.line_item]",
        "still_there",
        "order has the state \"processing\"; only a state that it lacks can have another name",
    ),
    bad(
        "[entity.line_item]",
        "[map.parcle] # !\n[entity.line_item]",
        "unknown_entity",
        "there is no entity \"parcle\"",
    ),
    bad(
        "\"unavailable\", \"cancelled\", \"no_show\",\n]",
        "\"unavailable\", \"cancelled\", \"no_show\", \"held\", # !\n]",
        "duplicate",
        "state \"held\" is named twice",
    ),
    bad(
        "to = \"confirmed\"\n",
        "to = \"confirm\" # !\n",
        "unknown_state",
        "line_item has no state \"confirm\"",
    ),
    bad(
        "from = [\"held\"]\n",
        "from = [\"hold\"] # !\n",
        "unknown_state",
        "did you mean held?",
    ),
    bad(
        "no_show = \"NO_SHOW\"",
        "no_show = \"NOSHOW\" # !",
        "wrong_value",
        "\"NOSHOW\" is not known here; did you mean NO_SHOW?",
    ),
    bad(
        "no_show = \"NO_SHOW\"\n",
        "noshow = \"NO_SHOW\" # !\n",
        "unknown_state",
        "line_item has no state \"noshow\"; did you mean no_show?",
    ),
    bad(
        "[entity.line_item.booking_status]\nheld = \"BOOKING_STATUS_UNSPECIFIED\"",
        "[entity.line_item.booking_status] # !",
        "no_booking_status",
        "`booking_status` says nothing of state \"held\"",
    ),
    bad(
        "confirmed = \"CONFIRMED\"",
        "confirmed = \"CANCELED\"",
        "not_confirmed",
        "an item of an order paid by Google is placed in state \"confirmed\", whose booking status is not CONFIRMED",
    ),
    bad(
        "pending_confirmation = \"PENDING_MERCHANT_CONFIRMATION\"",
        "pending_confirmation = \"FAILED\"",
        "not_confirmed",
        "an item of an order paid by Google and confirmed by its merchant is placed in state \"pending_confirmation\", whose booking status is neither CONFIRMED nor PENDING_MERCHANT_CONFIRMATION",
    ),
    bad(
        "modes = [\"asynchronous\"] }]",
        "modes = [\"later\"] }] # !",
        "wrong_value",
        "\"later\" is not known here; known words are synchronous, asynchronous",
    ),
    bad(
        "kind = \"manual\"\ndo = [{ action = \"update_reserved_stock\", creation = false }]",
        "kind = \"by hand\" # !\ndo = [{ action = \"update_reserved_stock\", creation = false }]",
        "wrong_value",
        "\"by hand\" is not known here; known words are automatic, manual",
    ),
    bad(
        "cond = \"fulfillments_have_shipment\" }]",
        "cond = \"fulfillments_have_shipments\" }] # !",
        "unknown_condition",
        "there is no condition \"fulfillments_have_shipments\"; did you mean fulfillments_have_shipment? conditions are order_in_states, all_line_items",
    ),
    bad(
        "if = [{ cond = \"fulfillments_have_shipment\" }]",
        "if = [{ con = \"fulfillments_have_shipment\" }] # !",
        "missing",
        "`cond` is missing",
    ),
    bad(
        "if = [{ cond = \"fulfillments_have_shipment\" }]",
        "if = [{ cond = \"holds_spots\" }] # !",
        "wrong_entity",
        "condition \"holds_spots\" is one of line_item and not of fulfillment",
    ),
    bad(
        "if = [{ cond = \"fulfillments_have_shipment\" }]",
        "if = [{ cond = \"fulfillments_have_shipment\", states = [\"booked\"] }] # !",
        "unknown_key",
        "unknown key \"states\"; expected one of cond",
    ),
    bad(
        "kind = \"automatic\"\nif = [{ cond = \"fulfillments_have_shipment\" }]",
        "kind = \"automatic\"",
        "no_condition",
        "the automatic transition to \"booked\" has no condition",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"delete_shipmet\" }] # !",
        "unknown_action",
        "there is no action \"delete_shipmet\"; did you mean delete_shipment? actions are update_order_state,",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ acton = \"delete_shipment\" }] # !",
        "missing",
        "`action` is missing",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"erase_personal_data\" }] # !",
        "wrong_entity",
        "action \"erase_personal_data\" is one of order and not of fulfillment",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"delete_shipment\", database_only = 1 }] # !",
        "wrong_type",
        "expected true or false, found 1",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"clear_expiration_date\", name = \"nothing\" }] # !",
        "unknown_timer",
        "fulfillment sets no timer \"nothing\" anywhere",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"set_expiration_date\", name = \"t\", expire_in = \"1h\", to = \"failed\" }] # !",
        "timer_stuck",
        "timer \"t\" may fire in state \"cancelled\", from which no manual transition leads to \"failed\"",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"set_expiration_date\", name = \"t\", expire_in = \"1.5h\", to = \"failed\" }] # !",
        "wrong_value",
        "expected a length of time in whole seconds",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"set_expiration_date\", name = \"t\", to = \"failed\" }] # !",
        "contradiction",
        "expected one of expire_in, before_start, after_end",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"launch\", step = \"refund\" }] # !",
        "wrong_entity",
        "step \"refund\" is one of refund and not of fulfillment",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"launch\", step = \"book_delivry\" }] # !",
        "unknown_step",
        "there is no step \"book_delivry\"; did you mean book_delivery?",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"send_alert\", name = \"a\", set = 1, incr = 1 }] # !",
        "contradiction",
        "expected either `set` or `incr`",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"create_payment_execution\", type = \"capture\", percent = 5 }] # !",
        "contradiction",
        "`percent` is one of refunds and not of captures",
    ),
    bad(
        "do = [{ action = \"delete_shipment\" }]",
        "do = [{ action = \"create_payment_execution\", type = \"refund\", percent = 101 }] # !",
        "out_of_range",
        "expected a whole number from 0 to 100, found 101",
    ),
    bad(
        "[[entity.line_item.transition]]\nfrom = [\"confirmed\", \"fulfilled\"]\nto = \"no_show\"\nkind = \"manual\"\ndo = [{ action = \"send_notification\", name = \"order.no_show\" }]\n",
        "",
        "unreachable",
        "line_item never comes to state \"no_show\": no transition leads there",
    ),
    bad(
        "[[entity.line_item.transition]]\nfrom = [\"confirmed\"]\nto = \"fulfilled\"",
        "[[entity.line_item.transition]] # !\nfrom = [\"held\"]\nto = \"cancelled\"\nkind = \"manual\"\n[[entity.line_item.transition]]\nfrom = [\"confirmed\"]\nto = \"fulfilled\"",
        "duplicate",
        "there is another manual transition from \"held\" to \"cancelled\"; only one can be meant",
    ),
    bad(
        "from = [\"failed\"]\nto = \"requested\"\nkind = \"manual\"",
        "from = [\"failed\", \"done\"]\nto = \"requested\"\nkind = \"manual\"",
        "no_terminal_state",
        "refund has no terminal state",
    ),
    bad(
        "# A person retries.",
        "[verb] # x\ntime_out = \"time_out\" # !\n# A person retries.",
        "unknown_state",
        "order has no state \"time_out\"; did you mean timed_out?",
    ),
    bad(
        "# A person retries.",
        "[verb] # x\ndeliver = \"pending\"\ndispatch = \"booked\" # !\n# A person retries.",
        "no_transition",
        "`dispatch` leads to state \"booked\" of fulfillment, which no manual transition enters",
    ),
    bad(
        "# A person retries.",
        "[verb]\nship = \"booked\" # !\n# A person retries.",
        "unknown_key",
        "unknown key \"ship\"; expected one of withdraw, cancel",
    ),
];

/// The line of the mark, from 1.
fn marked(text: &str) -> Option<usize> {
    let at = text.lines().position(|line| line.ends_with("# !"))?;
    Some(at + 1)
}

#[test]
fn every_check_has_its_place_and_its_words() {
    for Bad {
        old,
        new,
        code,
        text,
    } in BAD
    {
        // In the comments nothing is to be found.
        assert!(DEFAULT.contains(old), "{old}");
        let file = DEFAULT.replacen(old, new, 1);
        let Err(errors) = read(&file, "lifecycle.toml") else {
            panic!("{new} has no error");
        };
        let found = errors.list().iter().find(|error| {
            let line = error.location.position.map(|position| position.line);
            let is_there = marked(&file).is_none_or(|marked| line == Some(marked));
            is_there && error.code == *code && error.text.contains(text)
        });
        assert!(found.is_some(), "{new}: expected {code}: {text}\n{errors}");
        for error in errors.list() {
            assert!(error.location.position.is_some(), "{error}");
        }
    }
}

#[test]
fn an_error_is_told_with_file_line_and_column() {
    let file = DEFAULT.replacen("to = \"confirmed\"\n", "to = \"gone\"\n", 1);
    let line = file
        .lines()
        .position(|line| line == "to = \"gone\"")
        .unwrap()
        + 1;
    let errors = read(&file, "lifecycle.toml").unwrap_err().to_string();
    let expected = format!(
        "error[unknown_state]: lifecycle.toml:{line}:6: line_item has no state \"gone\"; \
         states are held, confirmed, fulfilled, pending_confirmation, declined, unavailable, \
         cancelled, no_show"
    );
    assert_eq!(errors, expected);
}

#[test]
fn all_errors_are_reported_at_once() {
    let mut file = DEFAULT.to_owned();
    for (old, new) in [
        ("delete_shipment", "delete_shipmet"),
        ("fulfillments_have_shipment", "have_shipment"),
        ("start = \"held\"", "start = \"hold\""),
        ("lifecycle/1", "lifecycle/9"),
    ] {
        file = file.replace(old, new);
    }
    let errors = read(&file, "f").unwrap_err();
    let codes: Vec<&str> = errors.list().iter().map(|error| error.code).collect();
    for code in [
        "unknown_action",
        "unknown_condition",
        "unknown_state",
        "wrong_schema",
    ] {
        assert!(codes.contains(&code), "{code}: {errors}");
    }
}

#[test]
fn what_is_missing_altogether_is_reported() {
    for (text, expected) in [
        ("", "`schema` is missing"),
        ("schema = \"lifecycle/1\"", "`entity` is missing"),
        (
            "schema = \"lifecycle/1\"\n[entity.order]\nstates = [\"a\"]\n",
            "`[entity.refund]` is missing",
        ),
    ] {
        let errors = read(text, "f").unwrap_err().to_string();
        assert!(errors.contains(expected), "{text}: {errors}");
    }
}

#[test]
fn anchors_are_needed() {
    let file = Sketch::default().text().replace("\"failed\"", "\"broken\"");
    let errors = read(&file, "f").unwrap_err().to_string();
    assert!(
        errors.contains("order has no state \"failed\", which every lifecycle needs"),
        "{errors}"
    );
}

#[test]
fn a_verb_without_a_state_of_its_usual_name_has_to_be_said() {
    let file = Sketch::default()
        .text()
        .replace("\"dispatched\"", "\"sent\"");
    let errors = read(&file, "f").unwrap_err().to_string();
    let expected = "fulfillment has no state \"dispatched\", which `dispatch` leads to; name another one in `[verb]`";
    assert!(errors.contains(expected), "{errors}");
    let named = format!("{file}\n[verb]\ndispatch = \"sent\"\n");
    let definition = read(&named, "f").unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(definition.verbs.dispatch.index(), 1);
}

#[test]
fn an_automatic_round_is_found_even_over_two_entities() {
    let more = r#"
[[entity.order.transition]]
from = ["processing"]
to = "a"
kind = "automatic"
if = [{ cond = "started" }]
do = [{ action = "update_line_items_state" }]
[[entity.order.transition]] # !
from = ["a"]
to = "processing"
kind = "automatic"
if = [{ cond = "started" }]
do = [{ action = "update_line_items_state" }]
[[entity.line_item.transition]]
from = ["confirmed"]
to = "x"
kind = "automatic"
if = [{ cond = "started" }]
do = [{ action = "update_order_state" }]
"#;
    let endless = Sketch {
        order_states: r#""a""#,
        item_states: r#""x""#,
        more,
        ..Sketch::default()
    };
    let errors = read(&endless.text(), "f").unwrap_err().to_string();
    assert!(errors.contains("error[endless]"), "{errors}");
    // Without the way back there is an end.
    let text = endless.text();
    let (before, after) = text.split_once("[[entity.order.transition]] # !").unwrap();
    let (_, after) = after.split_once("[[entity.line_item").unwrap();
    let ends = format!("{before}[[entity.line_item{after}");
    if let Err(errors) = read(&ends, "f") {
        panic!("{errors}");
    }
}

#[test]
fn sizes_are_limited() {
    let long = format!("{DEFAULT}#{}", "x".repeat(MAX_BYTES));
    let errors = read(&long, "f").unwrap_err().to_string();
    assert!(errors.contains("error[too_long]"), "{errors}");
    let states: Vec<String> = (0..70).map(|n| format!("\"s{n}\"")).collect();
    let many = DEFAULT.replacen(
        "\"requested\", \"done\"",
        &format!("\"requested\", \"done\", {}", states.join(", ")),
        1,
    );
    let errors = read(&many, "f").unwrap_err().to_string();
    assert!(
        errors.contains("has 73 states; expected 64 at most"),
        "{errors}"
    );
    let events: Vec<String> = (0..41)
        .map(|n| format!("{{ action = \"send_notification\", name = \"own.{n}\" }}"))
        .collect();
    let many = DEFAULT.replacen(
        "do = [{ action = \"delete_shipment\" }]",
        &format!("do = [{}]", events.join(", ")),
        1,
    );
    let errors = read(&many, "f").unwrap_err().to_string();
    assert!(
        errors.contains("is event 41 of this file; expected 40 at most"),
        "{errors}"
    );
    let mut nested = "{ cond = \"started\" }".to_owned();
    for _ in 0..10 {
        nested = format!("{{ cond = \"not\", of = {nested} }}");
    }
    let deep = DEFAULT.replacen(
        "[{ cond = \"fulfillments_have_shipment\" }]",
        &format!("[{nested}]"),
        1,
    );
    let errors = read(&deep, "f").unwrap_err().to_string();
    assert!(
        errors.contains("conditions are nested more than 8 deep"),
        "{errors}"
    );
}
