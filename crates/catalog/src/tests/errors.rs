//! Changes to one file, and the errors that follow: file, place and text.

use std::path::Path;

use serde_json::{Value, json};

use super::{Folder, without_column};
use crate::diagnostics::{MAX_LISTED, Severity};

/// Puts a value where a JSON pointer leads, and expects these errors of the same file.
fn check(file: &str, pointer: &str, value: Value, expected: &[&str]) {
    let folder = Folder::sample();
    let label = format!("{pointer} = {value}");
    folder.set(file, pointer, value);
    let expected: Vec<String> = expected
        .iter()
        .map(|error| format!("{file}: {error}"))
        .collect();
    assert_eq!(folder.errors(), expected, "{label}");
}

#[test]
fn merchants() {
    for (pointer, value, expected) in [
        (
            "/merchant/-",
            json!(7),
            "merchant[6]: expected an object, found 7",
        ),
        ("/merchant/-", json!(null), "merchant[6]: is missing"),
        (
            "/merchant/-",
            json!({}),
            "merchant[6].merchant_id: is missing",
        ),
        (
            "/merchant/-",
            json!({"merchant_id": ""}),
            "merchant[6].merchant_id: is empty",
        ),
        (
            "/merchant/-",
            json!({"merchant_id": 5}),
            "merchant[6].merchant_id: expected a text, found 5",
        ),
        (
            "/merchant/-",
            json!({"merchant_id": "museum"}),
            "merchant[6].merchant_id: merchant \"museum\" is there twice",
        ),
        (
            "/merchant/0/name",
            json!(["x"]),
            "merchant[0].name: expected a text, found a list",
        ),
    ] {
        check("merchants.json", pointer, value, &[expected]);
    }
}

#[test]
fn services() {
    let dollars = |micros: Value| json!({"price_micros": micros, "currency_code": "USD"});
    for (pointer, value, expected) in [
        (
            "/service/-",
            json!(false),
            "service[11]: expected an object, found false",
        ),
        (
            "/service/-",
            json!({"service_id": "x", "price": dollars(json!(10_000))}),
            "service[11].merchant_id: is missing",
        ),
        (
            "/service/-",
            json!({"merchant_id": "zoo", "service_id": "x", "price": dollars(json!(10_000))}),
            "service[11].merchant_id: merchant \"zoo\" is not in the merchant feed",
        ),
        (
            "/service/-",
            json!({"merchant_id": "museum", "service_id": "museum-tour", "price": dollars(json!(10_000))}),
            "service[11].service_id: service \"museum-tour\" of merchant \"museum\" is there twice",
        ),
        (
            "/service/-",
            json!({"merchant_id": "museum", "service_id": "x", "ticket_type": []}),
            "service[11]: has neither `ticket_type` nor `price`, so that there is nothing to sell",
        ),
        (
            "/service/0/localized_service_name",
            json!(3),
            "service[0].localized_service_name: expected a text, or an object with `value` and `localized_value`, found 3",
        ),
        (
            "/service/0/localized_service_name/localized_value/1/locale",
            json!(null),
            "service[0].localized_service_name.localized_value[1].locale: is missing",
        ),
        (
            "/service/4/rules/min_advance_booking",
            json!(-1),
            "service[4].rules.min_advance_booking: is -1; expected a number of seconds, not below zero",
        ),
        (
            "/service/7/rules/min_booking_buffer_before_end_time",
            json!("soon"),
            "service[7].rules.min_booking_buffer_before_end_time: expected a whole number of 64 bits, found \"soon\"",
        ),
    ] {
        check("services.json", pointer, value, &[expected]);
    }
}

#[test]
fn prices() {
    let dollars = |micros: Value| json!({"price_micros": micros, "currency_code": "USD"});
    for (pointer, value, expected) in [
        (
            "/service/7/price/price_micros",
            json!(-1),
            "service[7].price.price_micros: is -1; a price is not below zero",
        ),
        (
            "/service/7/price/price_micros",
            json!(95.5),
            "service[7].price.price_micros: expected a whole number of 64 bits, found 95.5",
        ),
        (
            "/service/7/price/price_micros",
            json!("9223372036854775808"),
            "service[7].price.price_micros: expected a whole number of 64 bits, found \"9223372036854775808\"",
        ),
        (
            "/service/7/price/currency_code",
            json!(null),
            "service[7].price.currency_code: is missing",
        ),
        (
            "/service/7/price/currency_code",
            json!("usd"),
            "service[7].price.currency_code: \"usd\" is not an ISO 4217 code of a currency, like \"USD\"",
        ),
        (
            "/service/7/price/currency_code",
            json!("EUR"),
            "service[7].price.currency_code: is EUR, but other prices of the merchant are in USD",
        ),
        (
            "/service/5/per_order_fee/processing_fee/currency_code",
            json!("EUR"),
            "service[5].per_order_fee.processing_fee.currency_code: is EUR, but other prices of the merchant are in USD",
        ),
        (
            "/service/5/per_order_fee/delivery_fee",
            dollars(json!("-5")),
            "service[5].per_order_fee.delivery_fee.price_micros: is -5; a price is not below zero",
        ),
    ] {
        check("services.json", pointer, value, &[expected]);
    }
}

#[test]
fn ticket_types() {
    for (pointer, value, expected) in [
        (
            "/service/1/ticket_type",
            json!({}),
            "service[1].ticket_type: expected a list, found an object",
        ),
        (
            "/service/8/ticket_type/-",
            json!("child"),
            "service[8].ticket_type[2]: expected an object, found \"child\"",
        ),
        (
            "/service/8/ticket_type/1/price",
            json!(null),
            "service[8].ticket_type[1].price: is missing",
        ),
        (
            "/service/8/ticket_type/1/price/price_micros",
            json!([700]),
            "service[8].ticket_type[1].price.price_micros: expected a whole number of 64 bits, found a list",
        ),
        (
            "/service/5/ticket_type/0/per_ticket_fee/service_charge/price_micros",
            json!(-1),
            "service[5].ticket_type[0].per_ticket_fee.service_charge.price_micros: is -1; a price is not below zero",
        ),
        (
            "/service/5/ticket_type/0/per_ticket_fee/taxes",
            json!({"price_micros": 1, "currency_code": "JPY"}),
            "service[5].ticket_type[0].per_ticket_fee.taxes.currency_code: is JPY, but other prices of the merchant are in USD",
        ),
        (
            "/service/0/ticket_type/-",
            json!({"ticket_type_id": "adult", "price": {"currency_code": "USD"}}),
            "service[0].ticket_type[3].ticket_type_id: ticket type \"adult\" is there twice",
        ),
        (
            "/service/0/ticket_type/-",
            json!({"price": {"currency_code": "USD"}}),
            "service[0].ticket_type[3].ticket_type_id: is missing",
        ),
    ] {
        check("services.json", pointer, value, &[expected]);
    }
}

#[test]
fn ticket_types_without_ids_are_not_the_same() {
    let ticket = json!({"price": {"currency_code": "USD"}});
    check(
        "services.json",
        "/service/6/ticket_type",
        json!([ticket, ticket]),
        &[
            "service[6].ticket_type[0].ticket_type_id: is missing",
            "service[6].ticket_type[1].ticket_type_id: is missing",
        ],
    );
}

#[test]
fn intake_forms() {
    let field = "/service/6/intake_form/field";
    for (pointer, value, expected) in [
        ("0/id", json!(null), "field[0].id: is missing"),
        (
            "1/id",
            json!("hair_length"),
            "field[1].id: question \"hair_length\" is asked twice by this service",
        ),
        ("0/type", json!(null), "field[0].type: is missing"),
        (
            "2/type",
            json!("FIELD_TYPE_UNSPECIFIED"),
            "field[2].type: expected SHORT_ANSWER, PARAGRAPH, MULTIPLE_CHOICE, CHECKBOXES, DROPDOWN, BOOLEAN or LOCATION_SEARCH, found \"FIELD_TYPE_UNSPECIFIED\"",
        ),
        (
            "2/type",
            json!(0),
            "field[2].type: expected SHORT_ANSWER, PARAGRAPH, MULTIPLE_CHOICE, CHECKBOXES, DROPDOWN, BOOLEAN or LOCATION_SEARCH, found 0",
        ),
        (
            "2/localized_label",
            json!(null),
            "field[2].localized_label: is missing; a question needs a text",
        ),
        (
            "0/is_required",
            json!("true"),
            "field[0].is_required: expected true or false, found \"true\"",
        ),
        (
            "0/choice_text",
            json!([]),
            "field[0].choice_text: is missing; a question of this type offers choices",
        ),
        (
            "2/choice_text",
            json!(["one"]),
            "field[2].choice_text: is given, but a question of this type offers no choices",
        ),
        (
            "3/choice_text/1",
            json!({}),
            "field[3].choice_text: choice 2 of 2 is an empty text",
        ),
        (
            "0/ticket_type_restrict",
            json!(["adult"]),
            "field[0].ticket_type_restrict[0]: ticket type \"adult\" is not one of the service",
        ),
    ] {
        let expected = format!("service[6].intake_form.{expected}");
        check(
            "services.json",
            &format!("{field}/{pointer}"),
            value,
            &[&expected],
        );
    }
    let pointer = "/service/5/intake_form";
    let twin = json!({"field": [{"id": "attendee_name", "type": 1, "label": "Name"}]});
    let place = "service[5].per_ticket_intake_form.field[0].id";
    let expected = format!("{place}: question \"attendee_name\" is asked twice by this service");
    check("services.json", pointer, twin, &[&expected]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn availability() {
    for (member, value, expected) in [
        (
            "merchant_id",
            json!("zoo"),
            ".merchant_id: merchant \"zoo\" is not in the merchant feed",
        ),
        (
            "service_id",
            json!("bath"),
            ".service_id: service \"bath\" of merchant \"museum\" is not in the service feed",
        ),
        ("start_sec", json!(null), ".start_sec: is missing"),
        (
            "start_sec",
            json!(0),
            ".start_sec: expected seconds since 1970 up to the year 9999, found 0",
        ),
        (
            "start_sec",
            json!("1704096000000"),
            ".start_sec: expected seconds since 1970 up to the year 9999, found 1704096000000",
        ),
        (
            "duration_sec",
            json!(0),
            ".duration_sec: expected 1 to 86400 seconds, found 0",
        ),
        (
            "duration_sec",
            json!(86_401),
            ".duration_sec: expected 1 to 86400 seconds, found 86401",
        ),
        (
            "duration_sec",
            json!("1h"),
            ".duration_sec: expected a whole number of 64 bits, found \"1h\"",
        ),
        (
            "spots_open",
            json!(-1),
            ".spots_open: expected 0 to 2147483647, found -1",
        ),
        (
            "spots_open",
            json!(1_i64 << 31),
            ".spots_open: expected 0 to 2147483647, found 2147483648",
        ),
        (
            "spots_total",
            json!(49),
            ".spots_open: is 50, more than the 49 of `spots_total`",
        ),
        (
            "ticket_type_id",
            json!(["adult", "baby"]),
            ".ticket_type_id[1]: ticket type \"baby\" is not one of the service",
        ),
        (
            "ticket_type_id",
            json!(["adult", "adult"]),
            ".ticket_type_id[1]: is named twice",
        ),
        (
            "ticket_type_id",
            json!(["adult", null]),
            ".ticket_type_id[1]: is missing",
        ),
        (
            "ticket_type_id",
            json!("adult"),
            ".ticket_type_id: expected a list, found \"adult\"",
        ),
        (
            "availability_tag",
            json!(1),
            ".availability_tag: expected a text, found 1",
        ),
        (
            "confirmation_mode",
            json!(true),
            ".confirmation_mode: expected CONFIRMATION_MODE_SYNCHRONOUS or CONFIRMATION_MODE_ASYNCHRONOUS, found true",
        ),
        (
            "scheduling_rule_overrides",
            json!({"first_bookable_sec": 1_704_000_001, "last_bookable_sec": "1704000000"}),
            ".scheduling_rule_overrides: first_bookable_sec is 1704000001, after last_bookable_sec, which is 1704000000",
        ),
        (
            "confirmation_mode",
            json!([]),
            ".confirmation_mode: expected CONFIRMATION_MODE_SYNCHRONOUS or CONFIRMATION_MODE_ASYNCHRONOUS, found a list",
        ),
        (
            "scheduling_rule_overrides",
            json!({"last_bookable_sec": -1}),
            ".scheduling_rule_overrides.last_bookable_sec: expected seconds since 1970 up to the year 9999, found -1",
        ),
    ] {
        let pointer = format!("/service_availability/0/availability/1/{member}");
        let expected = format!("service_availability[0].availability[1]{expected}");
        check("availability.json", &pointer, value, &[&expected]);
    }
}

#[test]
fn recurrences() {
    let range =
        |begin: i64, end: i64| json!([{"time_range": {"begin_sec": begin, "end_sec": end}}]);
    for (member, value, expected) in [
        (
            "recurrence/repeat_every_sec",
            json!(0),
            ".recurrence.repeat_every_sec: expected a number of seconds above zero, found 0",
        ),
        (
            "recurrence/repeat_every_sec",
            json!(null),
            ".recurrence.repeat_every_sec: is missing",
        ),
        (
            "recurrence/repeat_until_sec",
            json!(null),
            ".recurrence.repeat_until_sec: is missing",
        ),
        (
            "recurrence/repeat_until_sec",
            json!(1_704_103_199),
            ".recurrence.repeat_until_sec: is 1704103199, before `start_sec`, which is 1704103200",
        ),
        (
            "recurrence",
            json!("daily"),
            ".recurrence: expected an object, found \"daily\"",
        ),
        (
            "schedule_exception",
            range(1_800_000_000, 1_800_000_000),
            ".schedule_exception[0].time_range: begins at 1800000000 and ends at 1800000000; expected it to end later",
        ),
        (
            "schedule_exception",
            json!([{}]),
            ".schedule_exception[0].time_range: is missing",
        ),
    ] {
        let pointer = format!("/service_availability/0/availability/1/{member}");
        let expected = format!("service_availability[0].availability[1]{expected}");
        check("availability.json", &pointer, value, &[&expected]);
    }
    let once = json!({
        "merchant_id": "onsen", "service_id": "bath", "start_sec": 1_900_000_000, "duration_sec": 60,
        "spots_open": 1, "schedule_exception": range(1_900_000_000, 1_900_000_001),
    });
    check(
        "availability.json",
        "/service_availability/0/availability/-",
        once,
        &[
            "service_availability[0].availability[36].schedule_exception: is given without `recurrence`; leave the entry out instead",
        ],
    );
}

#[test]
fn an_entry_without_any_number_of_spots() {
    let entry =
        json!({"merchant_id": "onsen", "service_id": "bath", "start_sec": 1, "duration_sec": 60});
    check(
        "availability.json",
        "/service_availability/0/availability/-",
        entry,
        &["service_availability[0].availability[36].spots_open: is missing"],
    );
}

/// Puts a piece of rules in place of another, and expects one error: in the line of the changed
/// file where `place` begins.
fn check_rules(piece: &str, other: &str, place: &str, expected: &str) {
    let folder = Folder::sample();
    folder.replace("rules.toml", piece, other);
    let expected = format!("{}: {expected}", folder.rules_line(place));
    let errors: Vec<String> = folder
        .errors()
        .iter()
        .map(|text| without_column(text))
        .collect();
    assert_eq!(errors, [expected], "{other}");
}

#[test]
fn rules_of_merchants() {
    let id = "id = \"rafting\"\ncart";
    let hold = "cart_hold_sec = 600";
    for (piece, other, place, expected) in [
        (id, "cart", "[[merchant]]\ncart", "`id` is missing"),
        (
            id,
            "id = \"zoo\"\ncart",
            "id = \"zoo\"",
            r#"merchant "zoo" is not in the merchant feed"#,
        ),
        (
            id,
            "id = \"museum\"\ncart",
            "id = \"museum\"\ncart",
            "has another [[merchant]] table already; write all its rules in one",
        ),
        (
            hold,
            "cart_hold_sec = 0",
            "cart_hold",
            "expected a whole number from 1 to 86400, found 0",
        ),
        (
            hold,
            "cart_hold_sec = '10m'",
            "cart_hold",
            r#"expected a whole number from 1 to 86400, found "10m""#,
        ),
        (
            hold,
            "cart_hold = 600",
            "cart_hold",
            r#"unknown key "cart_hold"; expected one of id, cart_hold_sec, cart_hold_max, tax_name, refund_fees, time_zone, fee, forbid_together, require, no_overlap"#,
        ),
        (
            hold,
            "time_zone = 'Europe/Belrin'",
            "time_zone",
            r#"expected a time zone like Europe/Berlin, found "Europe/Belrin"; did you mean Europe/Berlin?"#,
        ),
        (
            hold,
            "cart_hold_sec = 600\ncart_hold_max = 599",
            "cart_hold_max",
            "is 599, less than one hold of `cart_hold_sec`, which is 600",
        ),
        (
            hold,
            "cart_hold_max = 600",
            "cart_hold_max",
            "is given without `cart_hold_sec`, without which carts hold nothing",
        ),
        (
            hold,
            "cart_hold_sec = 600\ncart_hold_max = 604_801",
            "cart_hold_max",
            "expected a whole number from 1 to 604800, found 604801",
        ),
        (
            "price_micros = 990_000",
            "price_micros = -1",
            "price_micros = -1",
            "expected a whole number from 0 to 9223372036854775807, found -1",
        ),
        (
            "price_micros = 990_000",
            "",
            "[[merchant.fee]]",
            "`price_micros` is missing",
        ),
        (
            "'Order handling'",
            "''",
            "name = ''",
            r#"expected a text that is not empty, found """#,
        ),
        (
            "'Order handling'",
            "'Processing fee'",
            "[[merchant.fee]]",
            r#"a fee "Processing fee" is charged already"#,
        ),
    ] {
        check_rules(&piece.replace('\'', "\""), other, place, expected);
    }
}

#[test]
fn rules_on_services_of_one_order() {
    let services = r#"["museum-entry", "museum-night"]"#;
    let any_of = r#"any_of = ["museum-entry"]"#;
    for (piece, other, place, expected) in [
        (
            services,
            r#"["museum-entry", "museum-day"]"#,
            r#"services = ["museum-entry", "museum-day"]"#,
            r#"service "museum-day" of merchant "museum" is not in the service feed"#,
        ),
        (
            services,
            r#"["museum-entry"]"#,
            r#"services = ["museum-entry"]"#,
            "`services` has 1 ids; expected 2 or more",
        ),
        (
            services,
            r#"["museum-entry", "museum-entry"]"#,
            r#"services = ["museum-entry", "museum-entry"]"#,
            r#""museum-entry" is named twice"#,
        ),
        (
            any_of,
            "any_of = []",
            "any_of = []",
            "`any_of` has 0 ids; expected 1 or more",
        ),
        (any_of, "", "[[merchant.require]]", "`any_of` is missing"),
        (
            any_of,
            "any_of = 'museum-entry'",
            "any_of = '",
            r#"expected a list, found "museum-entry""#,
        ),
        (
            any_of,
            "any_of = ['museum-tour']",
            "[[merchant.require]]",
            "the same id stands on both sides of the rule",
        ),
        (
            r#"services = ["museum-tour", "museum-lecture"]"#,
            "services = ['museum-tour']\n[[merchant.forbid_together]]\nservices = ['museum-tour', 'museum-entry']",
            "[[merchant.require]]",
            "what this rule requires is forbidden by another, so that it can never be sold",
        ),
    ] {
        check_rules(piece, other, place, expected);
    }
}

#[test]
fn rules_of_services() {
    for (piece, other, place, expected) in [
        (
            r#"id = "bath""#,
            "id = 'spa'",
            "id = 'spa'",
            r#"service "spa" of merchant "onsen" is not in the service feed"#,
        ),
        (
            "merchant = \"onsen\"\n",
            "",
            "[[service]]\nid = \"bath\"",
            "`merchant` is missing",
        ),
        (
            "# Four adults",
            "[[service]]\nmerchant = 'onsen'\nid = 'bath'\n#",
            "[[service]]\nmerchant = 'onsen'",
            "this service has another [[service]] table already; write all its rules in one",
        ),
    ] {
        check_rules(piece, other, place, expected);
    }
}

#[test]
fn rules_on_counts() {
    let max = "max = 10";
    for (piece, other, place, expected) in [
        (
            max,
            "max = 10.5",
            "max = 10.5",
            "expected a whole number from 0 to 2147483647, found 10.5",
        ),
        (
            max,
            "min = 11\nmax = 10",
            "max = 10",
            "`max` of 10 contradicts `min` of 11 at rules.toml:28:7: no line can keep both",
        ),
        (
            max,
            "max = 10\nticket.senior.min = 11",
            "max = 10",
            "`max` of 10 contradicts `ticket.senior.min` of 11 at rules.toml:29:21: no line with such a ticket can keep both",
        ),
        (
            max,
            "ticket.baby.max = 1",
            "ticket.baby.max = 1",
            r#"ticket type "baby" is not one of service "museum-entry""#,
        ),
        (
            max,
            "ticket.adult.mx = 1",
            "ticket.adult.mx = 1",
            r#"unknown key "mx"; expected one of min, max"#,
        ),
        (
            r#"availability_tag = "late""#,
            "from_sec = 20\nuntil_sec = 20",
            "[[service.slot_limits]]\nfrom_sec",
            "from_sec is 20 and until_sec 20; expected it to end later",
        ),
        (
            "min = 2\nticket.adult.max = 4",
            "",
            "[[service.slot_limits]]\navailability_tag = \"late\"",
            "sets no limit; expected `min`, `max` or a table `ticket`",
        ),
        (
            "min = 2\nticket.adult.max = 4",
            "min = 11",
            "max = 10",
            "`max` of 10 contradicts `min` of 11 at rules.toml:33:7: no line can keep both",
        ),
        (
            max,
            "min = 5\nticket.adult.max = 2\nticket.senior.max = 1\nticket.child.max = 1\nscope = 'slot'",
            "min = 5\nticket",
            "`min` of 5 contradicts `ticket.adult.max` of 2 at rules.toml:29:20, `ticket.child.max` of 1 at \
             rules.toml:31:20, `ticket.senior.max` of 1 at rules.toml:30:21: no line can keep all of them",
        ),
        (
            max,
            "max = 10\nscope = 'order'",
            "scope = 'order'",
            r#"expected "line" or "slot", found "order""#,
        ),
    ] {
        check_rules(piece, other, place, expected);
    }
}

#[test]
fn limits_that_meet_in_a_slot_must_not_contradict() {
    let late = "min = 2\nticket.adult.max = 4";
    let also = |more: &str| format!("{late}\n[[service.slot_limits]]\n{more}");
    for (more, contradicts) in [
        ("availability_tag = 'late'\nmax = 1", true),
        ("max = 1", true),
        ("availability_tag = 'early'\nmax = 1", false),
        ("availability_tag = 'late'\nmax = 2", false),
        (
            "availability_tag = 'late'\nfrom_sec = 10\nuntil_sec = 20\nmax = 1",
            true,
        ),
        ("availability_tag = 'late'\nscope = 'slot'\nmax = 1", true),
        // What a line must have one slot may have in several lines.
        (
            "availability_tag = 'late'\nscope = 'slot'\nmin = 20\nmax = 30",
            false,
        ),
        (
            "availability_tag = 'late'\nscope = 'slot'\nmin = 20\nmax = 19",
            true,
        ),
        ("availability_tag = 'late'\nticket.child.min = 11", true),
        (
            "availability_tag = 'late'\nticket.child.min = 3\nticket.child.max = 2",
            true,
        ),
    ] {
        let folder = Folder::sample();
        folder.replace("rules.toml", late, &also(more));
        let found = if contradicts {
            folder.errors()
        } else {
            Vec::new()
        };
        assert_eq!(found.len(), usize::from(contradicts), "{more}: {found:?}");
        assert!(
            found
                .iter()
                .all(|text| text.contains("contradicts") && text.contains(" at rules.toml:")),
            "{found:?}"
        );
        if !contradicts {
            folder.loaded();
        }
    }
}

#[test]
fn limits_of_several_tags_must_not_contradict_where_a_slot_has_them_all() {
    let late = "min = 2\nticket.adult.max = 4";
    let limits = |tag: &str, more: &str| {
        format!("\n[[service.slot_limits]]\navailability_tag = '{tag}'\n{more}")
    };
    let entry = |tag: &str, start_sec: i64, ticket: &str| {
        json!({
            "merchant_id": "museum", "service_id": "museum-entry", "start_sec": start_sec, "duration_sec": 60,
            "spots_open": 9, "availability_tag": tag, "ticket_type_id": [ticket],
        })
    };
    let start_sec = 2_000_000_000_i64;
    let series = |mut entry: serde_json::Value, until_sec: i64| {
        entry["recurrence"] = json!({ "repeat_every_sec": 3600, "repeat_until_sec": until_sec });
        entry
    };
    let two = limits("a", "min = 5") + &limits("b", "max = 3");
    let three = limits("a", "min = 5")
        + &limits("b", "ticket.adult.max = 2\nticket.child.max = 1")
        + &limits("c", "ticket.senior.max = 1");
    let timed = limits("a", &format!("min = 5\nuntil_sec = {start_sec}")) + &limits("b", "max = 3");
    let [a, b, c] = [("a", "adult"), ("b", "child"), ("c", "senior")]
        .map(|(tag, ticket)| entry(tag, start_sec, ticket));
    let b_later = entry("b", start_sec + 3600, "child");
    for (rules, entries, contradicts) in [
        (&two, vec![a.clone(), b.clone()], true),
        (&two, vec![a.clone(), b_later.clone()], false),
        (&two, vec![a.clone(), c.clone()], false),
        (
            &two,
            vec![series(a.clone(), start_sec + 3600), b_later.clone()],
            true,
        ),
        (
            &two,
            vec![series(a.clone(), start_sec + 3599), b_later],
            false,
        ),
        (&three, vec![a.clone(), b.clone()], false),
        (&three, vec![a.clone(), b.clone(), c], true),
        (&timed, vec![a, b], false),
    ] {
        let folder = Folder::sample();
        folder.replace("rules.toml", late, &format!("{late}{rules}"));
        folder.write(
            "availability.json",
            json!({ "service_availability": [{ "availability": entries }] }).to_string(),
        );
        let found = if contradicts {
            folder.errors()
        } else {
            Vec::new()
        };
        assert_eq!(
            found.len(),
            usize::from(contradicts),
            "{rules} {entries:?}: {found:?}"
        );
        assert!(
            found
                .iter()
                .all(|text| text.starts_with("rules.toml:") && text.contains("contradicts")),
            "{found:?}"
        );
        if !contradicts {
            folder.loaded();
        }
    }
}

#[test]
fn rules_on_company() {
    let adults = r#"adults = ["adult", "senior"]"#;
    let require = "[[service.require_ticket]]";
    for (piece, other, place, expected) in [
        (
            "per_adult = 5",
            "per_adult = 0",
            "per_adult",
            "expected a whole number from 1 to 4294967295, found 0",
        ),
        (
            adults,
            "adults = ['child']",
            "[[service.child]]\ntickets = [\"child\"]",
            "the same id stands on both sides of the rule",
        ),
        (
            adults,
            "adults = []",
            "adults = []",
            "`adults` has 0 ids; expected 1 or more",
        ),
        (
            r#"ticket = "companion""#,
            "ticket = 'companions'",
            "ticket = 'companions'",
            r#"ticket type "companions" is not one of service "symphony""#,
        ),
        (
            require,
            "[service.require_ticket]",
            "[service.require_ticket]",
            "expected a list of tables, each headed in double brackets, found a value of type table",
        ),
        (
            require,
            "[[service.forbid_tickets]]\ntickets = ['companion', 'wheelchair']\n[[service.require_ticket]]",
            require,
            "what this rule requires is forbidden by another, so that it can never be sold",
        ),
    ] {
        check_rules(piece, other, place, expected);
    }
}

#[test]
fn deals() {
    let contents = "contents = { seat = 2, youth = 2 }";
    let bundle = "[[service.bundle]]";
    let percent = r#"percent_off = "15""#;
    let deal = "[[service.group_deal]]\ntickets = [\"seat\"]";
    for (piece, other, place, expected) in [
        (
            contents,
            "contents = { seat = 2, youth = 0 }",
            "contents",
            "expected a whole number from 1 to 2147483647, found 0",
        ),
        (
            contents,
            "contents = { seat = 2, kid = 2 }",
            "contents",
            r#"ticket type "kid" is not one of service "raft-trip""#,
        ),
        (
            contents,
            "contents = {}",
            bundle,
            "`contents` names no ticket type",
        ),
        (
            percent,
            "percent_off = 0",
            "percent_off = 0",
            "is 0 per cent; expected more than 0 and at most 100",
        ),
        (
            percent,
            "percent_off = 100.5",
            "percent_off = 100.5",
            "is 100.5 per cent; expected more than 0 and at most 100",
        ),
        (
            percent,
            "percent_off = '15%'",
            "percent_off = '",
            r#"expected a decimal number, like "12.5", found "15%""#,
        ),
        (
            percent,
            "percent_off = 15\nprice_micros = 1",
            deal,
            "expected either `price_micros` or `percent_off`",
        ),
        (
            percent,
            "",
            deal,
            "expected either `price_micros` or `percent_off`",
        ),
        (
            "min_count = 6",
            "min_count = 0",
            "min_count = 0",
            "expected a whole number from 1 to 4294967295, found 0",
        ),
    ] {
        check_rules(piece, other, place, expected);
    }
}

#[test]
fn fees_of_services() {
    for (piece, other, place, expected) in [
        (
            r#""Restoration levy""#,
            "'Service charge'",
            "[[service.ticket_fee]]",
            r#"a fee "Service charge" is charged already"#,
        ),
        (
            "[[service.ticket_fee]]",
            "[[service.order_fee]]\nname = 'Order handling'\nprice_micros = 10_000\n[[service.ticket_fee]]",
            "[[service.order_fee]]",
            r#"a fee "Order handling" is charged already"#,
        ),
        (
            r#"["stalls"]"#,
            "['floor']",
            "tickets = ['floor']",
            r#"ticket type "floor" is not one of service "symphony""#,
        ),
    ] {
        check_rules(piece, other, place, expected);
    }
}

#[test]
fn every_error_is_reported_at_once() {
    let folder = Folder::sample();
    folder.set("merchants.json", "/merchant/1/name", json!(1));
    folder.set(
        "services.json",
        "/service/0/ticket_type/0/price/price_micros",
        json!(-1),
    );
    folder.set(
        "services.json",
        "/service/0/ticket_type/1/price/currency_code",
        json!("EUR"),
    );
    folder.set("services.json", "/service/8/price", json!("free"));
    folder.set(
        "availability.json",
        "/service_availability/0/availability/0/duration_sec",
        json!(0),
    );
    folder.set(
        "availability.json",
        "/service_availability/0/availability/0/start_sec",
        json!("x"),
    );
    folder.set(
        "availability.json",
        "/service_availability/0/availability/33/service_id",
        json!("x"),
    );
    folder.replace("rules.toml", "max = 10", "maximum = 10");
    folder.replace("rules.toml", "min_count = 4", "min_count = 0");
    assert_eq!(
        folder.errors(),
        [
            "merchants.json: merchant[1].name: expected a text, found 1",
            "services.json: service[0].ticket_type[0].price.price_micros: is -1; a price is not below zero",
            "services.json: service[0].ticket_type[1].price.currency_code: is EUR, but other prices of the merchant are in USD",
            "services.json: service[8].price: expected an object, found \"free\"",
            "rules.toml:28:1: unknown key \"maximum\"; expected one of scope, min, max, ticket",
            "rules.toml:123:13: expected a whole number from 1 to 4294967295, found 0",
            "availability.json: service_availability[0].availability[0].start_sec: expected a whole number of 64 bits, found \"x\"",
            "availability.json: service_availability[0].availability[0].duration_sec: expected 1 to 86400 seconds, found 0",
            "availability.json: service_availability[0].availability[33].service_id: service \"x\" of merchant \"onsen\" is not in the service feed",
        ]
    );
}

#[test]
fn references_to_a_broken_entry_are_not_reported_again() {
    let folder = Folder::sample();
    folder.set("services.json", "/service/8/merchant_id", json!("zoo"));
    folder.replace("rules.toml", "merchant = \"onsen\"", "merchant = \"zoo\"");
    for entry in [32, 33] {
        let pointer = format!("/service_availability/0/availability/{entry}/merchant_id");
        folder.set("availability.json", &pointer, json!("zoo"));
    }
    folder.set(
        "availability.json",
        "/service_availability/0/availability/0/service_id",
        json!("cafe"),
    );
    let expected = [
        "services.json: service[8].merchant_id: merchant \"zoo\" is not in the merchant feed (and 3 more places)",
        "availability.json: service_availability[0].availability[0].service_id: service \"cafe\" of merchant \"museum\" is not in the service feed",
    ];
    assert_eq!(folder.errors(), expected);
}

#[test]
fn one_wrong_id_is_one_error_however_many_entries_have_it() {
    let folder = Folder::sample();
    // Every entry of the onsen, and its rules, refer to a merchant that goes by another id now.
    folder.replace("merchants.json", "\"onsen\"", "\"osen\"");
    let onsen = |entry: &&Value| entry["merchant_id"] == "onsen";
    let feed = folder.json("availability.json");
    let entries = feed["service_availability"][0]["availability"]
        .as_array()
        .unwrap()
        .iter()
        .filter(onsen);
    let feed = folder.json("services.json");
    let services = feed["service"]
        .as_array()
        .unwrap()
        .iter()
        .filter(onsen)
        .count();
    let tables = folder.text("rules.toml").matches("\"onsen\"").count();
    let follow_ups = services - 1 + tables + entries.count();
    let expected = format!(
        "services.json: service[8].merchant_id: merchant \"onsen\" is not in the merchant feed (and \
         {follow_ups} more places)"
    );
    assert_eq!(folder.errors(), [expected]);
}

#[test]
fn other_ids_and_currencies_that_are_wrong_again_and_again_are_one_error_each() {
    let folder = Folder::sample();
    let mut feed = folder.json("availability.json");
    let entries = feed["service_availability"][0]["availability"]
        .as_array_mut()
        .unwrap();
    for entry in &mut *entries {
        if entry["service_id"] == "museum-entry" {
            entry["ticket_type_id"] = json!(["adlut"]);
        }
    }
    folder.write("availability.json", feed.to_string());
    let errors = folder.errors();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(
        errors[0].contains("ticket type \"adlut\" is not one of the service (and "),
        "{errors:#?}"
    );

    let folder = Folder::sample();
    let mut feed = folder.json("services.json");
    let tickets = feed["service"][0]["ticket_type"].as_array_mut().unwrap();
    for ticket in &mut tickets[1..] {
        ticket["price"]["currency_code"] = json!("EUR");
    }
    assert!(tickets.len() > 2);
    folder.write("services.json", feed.to_string());
    let errors = folder.errors();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(
        errors[0].contains("is EUR, but other prices of the merchant are in USD (and "),
        "{errors:#?}"
    );
}

#[test]
fn a_long_list_of_errors_is_cut_and_counted() {
    let folder = Folder::sample();
    folder.set("merchants.json", "/merchant/0/name", json!(1));
    folder.set(
        "availability.json",
        "/service_availability/-",
        json!({"availability": vec![0; 1234]}),
    );
    let errors = folder.load().unwrap_err();
    assert_eq!(errors.list().len(), 1 + MAX_LISTED);
    assert_eq!(errors.total(Severity::Error), 1_235);
    let text = errors.to_string();
    assert_eq!(text.lines().count(), 2 + MAX_LISTED);
    assert!(
        text.starts_with("error[wrong_type]: merchants.json: merchant[0].name: "),
        "{text}"
    );
    assert!(
        text.ends_with("\nerror[wrong_type]: and 1184 more"),
        "{text}"
    );
}

#[test]
fn every_key_of_the_rules_is_in_the_documentation() {
    const RULES: &str = "
        wrong = 1
        [[merchant]]
        wrong = 1
        fee = [{ wrong = 1 }]
        forbid_together = [{ wrong = 1 }]
        require = [{ wrong = 1 }]
        no_overlap = [{ wrong = 1 }]
        [[service]]
        wrong = 1
        limits = { wrong = 1 }
        slot_limits = [{ wrong = 1 }]
        child = [{ wrong = 1 }]
        forbid_tickets = [{ wrong = 1 }]
        require_ticket = [{ wrong = 1 }]
        bundle = [{ wrong = 1 }]
        group_deal = [{ wrong = 1 }]
        ticket_fee = [{ wrong = 1 }]
        order_fee = [{ wrong = 1 }]";
    let folder = Folder::sample();
    folder.write("rules.toml", RULES);
    let errors = folder.errors();
    let lists: Vec<&str> = errors
        .iter()
        .filter_map(|error| {
            error
                .split_once("unknown key \"wrong\"; expected one of ")
                .map(|(_, keys)| keys)
        })
        .collect();
    assert_eq!(lists.len(), RULES.matches("wrong").count(), "{errors:#?}");
    let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("docs/catalog.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    for key in lists.iter().flat_map(|keys| keys.split(", ")) {
        let written = [format!("`{key}"), format!("[{key}]"), format!(".{key}]")];
        assert!(
            written.iter().any(|form| docs.contains(form)),
            "{key:?} is not in docs/catalog.md"
        );
    }
}
