//! What files say of money: amounts nobody can pay, deals that give things away.

use serde_json::{Value, json};

use super::{Folder, without_column};
use crate::diagnostics::Diagnostic;
use domain::catalog::Prepayment;

/// The messages without the columns of the rules.
fn without_columns(messages: &[String]) -> Vec<String> {
    messages.iter().map(|text| without_column(text)).collect()
}

/// The warning about the sample with a piece of its rules replaced, in the line of `place`.
#[track_caller]
fn check_warning(piece: &str, other: &str, place: &str, expected: &str) {
    let folder = Folder::sample();
    folder.replace("rules.toml", piece, other);
    let expected: Vec<String> = match expected {
        "" => Vec::new(),
        text => vec![format!("{}: {text}", folder.rules_line(place))],
    };
    assert_eq!(without_columns(&folder.warnings()), expected, "{other}");
}

#[test]
fn an_amount_below_the_smallest_unit_is_an_error_wherever_it_stands_in_a_feed() {
    let price = |micros: Value, code: &str| json!({"price_micros": micros, "currency_code": code});
    let text = |is: &str, unit: &str, code: &str| {
        format!(
            "is {is} {code}, less than the smallest unit, {unit} {code}; amounts are in millionths, so that 1 {code} is 1000000"
        )
    };
    for (pointer, place) in [
        ("/service/7/price", "service[7].price"),
        (
            "/service/0/ticket_type/0/price",
            "service[0].ticket_type[0].price",
        ),
        (
            "/service/0/per_order_fee",
            "service[0].per_order_fee.delivery_fee",
        ),
        (
            "/service/0/ticket_type/0/per_ticket_fee",
            "service[0].ticket_type[0].per_ticket_fee.taxes",
        ),
    ] {
        for (micros, is) in [
            (json!(14.00), "0.000014"),
            (json!("1"), "0.000001"),
            (json!(9_999), "0.009999"),
        ] {
            let folder = Folder::sample();
            let amount = price(micros, "USD");
            let value = match place.rsplit_once('.').unwrap().1 {
                "price" => amount,
                name => json!({ name: amount }),
            };
            folder.set("services.json", pointer, value);
            let expected = format!(
                "services.json: {place}.price_micros: {}",
                text(is, "0.01", "USD")
            );
            assert_eq!(folder.errors(), [expected], "{pointer}");
        }
    }
    let folder = Folder::sample();
    folder.set(
        "services.json",
        "/service/8/ticket_type/0/price",
        price(json!(500_000), "JPY"),
    );
    let expected = format!(
        "services.json: service[8].ticket_type[0].price.price_micros: {}",
        text("0.5", "1", "JPY")
    );
    assert_eq!(folder.errors(), [expected]);
}

#[test]
fn an_amount_below_the_smallest_unit_is_an_error_wherever_it_stands_in_the_rules() {
    for (piece, other) in [
        ("price_micros = 180_000_000", "price_micros = 28"),
        ("percent_off = \"15\"", "price_micros = 28"),
        ("price_micros = 990_000", "price_micros = 28"),
        ("price_micros = 1_000_000", "price_micros = 28"),
        (
            "[[service.ticket_fee]]",
            "[[service.order_fee]]\nname = 'Cloakroom'\nprice_micros = 28\n\n[[service.ticket_fee]]",
        ),
    ] {
        let folder = Folder::sample();
        folder.replace("rules.toml", piece, other);
        let text = "is 0.000028 USD, less than the smallest unit, 0.01 USD; amounts are in millionths, so that 1 USD is 1000000";
        assert_eq!(
            without_columns(&folder.errors()),
            [format!("{}: {text}", folder.rules_line("28"))],
            "{piece}"
        );
    }
}

#[test]
fn an_amount_with_a_fraction_of_the_smallest_unit_is_warned_of_once_a_file() {
    let text = "has a fraction of the smallest unit, 0.01 USD; totals are rounded to it, halves to the even neighbour";
    let folder = Folder::sample();
    folder.set(
        "services.json",
        "/service/7/price/price_micros",
        json!(95_505_000),
    );
    folder.set(
        "services.json",
        "/service/0/ticket_type/1/price/price_micros",
        json!(10_001_000),
    );
    let expected = format!(
        "services.json: service[0].ticket_type[1].price.price_micros: {text} (and 1 more place)"
    );
    assert_eq!(folder.warnings(), [expected]);
    check_warning(
        "price_micros = 990_000",
        "price_micros = 990_001",
        "990_001",
        text,
    );
}

#[test]
fn a_deal_that_gives_away_for_nothing_what_has_a_price_is_warned_of() {
    let bundle = "[[service.bundle]]";
    let group = "[[service.group_deal]]\ntickets = [\"seat\"]";
    let percent = "percent_off = \"15\"";
    let six_free = "makes 6 tickets of type \"seat\" cost nothing";
    for (piece, other, place, expected) in [
        (
            "180_000_000",
            "0",
            bundle,
            "gives away for nothing what costs 200 USD one by one",
        ),
        (percent, "price_micros = 0", group, six_free),
        (percent, "percent_off = 100", group, six_free),
        // Six seats at 0.00078 USD are less than half a cent.
        (percent, "percent_off = '99.9987'", group, six_free),
        (percent, "percent_off = '99.9986'", group, ""),
        (percent, "price_micros = 10_000", group, ""),
    ] {
        check_warning(piece, other, place, expected);
    }
    let folder = Folder::sample();
    folder.set(
        "services.json",
        "/service/4/ticket_type/0/price/price_micros",
        json!(0),
    );
    folder.replace("rules.toml", percent, "percent_off = 100");
    folder.replace("rules.toml", "180_000_000", "80_000_000");
    assert_eq!(
        folder.warnings(),
        [""; 0],
        "what costs nothing anyway is not given away"
    );
}

#[test]
fn a_deal_that_lowers_nothing_is_warned_of_because_prices_move() {
    let group = "[[service.group_deal]]\ntickets = [\"seat\"]";
    for (piece, other, place, expected) in [
        (
            "180_000_000",
            "200_010_000",
            "[[service.bundle]]",
            "costs 200.01 USD, but its tickets one by one 200 USD; it is not applied",
        ),
        ("180_000_000", "200_000_000", "[[service.bundle]]", ""),
        (
            "percent_off = \"15\"",
            "price_micros = 60_000_000",
            group,
            "lowers no price and is not applied: each of these tickets costs 60 USD or less anyway",
        ),
    ] {
        check_warning(piece, other, place, expected);
    }
}

/// The tax rates in force of the salon's two services and what is said of the feeds.
fn salon_with(edits: &[(&str, &str, Value)]) -> (Vec<Option<String>>, Vec<String>) {
    let folder = Folder::sample();
    for (file, pointer, value) in edits {
        folder.set(file, pointer, value.clone());
    }
    let loaded = folder.loaded();
    let salon = loaded.catalog.merchant_ix("salon").unwrap();
    let rate = |id| {
        let service = loaded.catalog.service_ix(salon, id).unwrap();
        loaded
            .catalog
            .service(service)
            .tax_rate
            .map(|rate| rate.to_string())
    };
    let rates = ["haircut", "colouring"].map(rate).into();
    (
        rates,
        loaded
            .warnings
            .list()
            .iter()
            .map(Diagnostic::message)
            .collect(),
    )
}

const MERCHANT: (&str, &str) = ("merchants.json", "/merchant/3/tax_rate");
const HAIRCUT: (&str, &str) = ("services.json", "/service/6/tax_rate");

#[test]
fn a_service_has_its_own_tax_rate_or_its_merchants() {
    let rate = |micro_percent: Value| json!({"micro_percent": micro_percent});
    for (merchant, haircut, expected) in [
        (json!(null), json!(null), [None, None]),
        (
            rate(json!(10_000_000)),
            json!(null),
            [Some("10%"), Some("10%")],
        ),
        (
            rate(json!("8875000")),
            rate(json!(5e6)),
            [Some("5%"), Some("8.875%")],
        ),
        (rate(json!(10_000_000)), json!({}), [None, Some("10%")]),
        (rate(json!(10_000_000)), rate(json!(0)), [None, Some("10%")]),
        (json!({}), rate(json!(100_000_000)), [Some("100%"), None]),
        (
            rate(json!(0)),
            json!({"microPercent": 1}),
            [Some("0.000001%"), None],
        ),
    ] {
        let edits = [
            (MERCHANT.0, MERCHANT.1, merchant.clone()),
            (HAIRCUT.0, HAIRCUT.1, haircut.clone()),
        ];
        let (rates, warnings_of) = salon_with(&edits);
        let expected: Vec<_> = expected.map(|rate| rate.map(str::to_owned)).into();
        assert_eq!(
            (rates, warnings_of),
            (expected, vec![]),
            "{merchant} {haircut}"
        );
    }
}

#[test]
fn a_tax_rate_is_between_nothing_and_all() {
    for (rate, expected) in [
        (
            json!({"micro_percent": -1}),
            "micro_percent: expected 0 to 100000000 millionths of a per cent, found -1",
        ),
        (
            json!({"micro_percent": 100_000_001}),
            "micro_percent: expected 0 to 100000000 millionths of a per cent, found 100000001",
        ),
        (
            json!({"micro_percent": "ten"}),
            "micro_percent: expected a whole number of 64 bits, found \"ten\"",
        ),
    ] {
        for (place, (file, pointer)) in [("merchant[3]", MERCHANT), ("service[6]", HAIRCUT)] {
            let folder = Folder::sample();
            folder.set(file, pointer, rate.clone());
            assert_eq!(
                folder.errors(),
                [format!("{file}: {place}.tax_rate.{expected}")]
            );
        }
    }
    let (rates, warnings_of) = salon_with(&[(
        HAIRCUT.0,
        HAIRCUT.1,
        json!({"percent": 10, "micro_percent": 10_000_000}),
    )]);
    assert_eq!(rates[0].as_deref(), Some("10%"));
    let expected = "services.json: service[6].tax_rate.percent: is not a member of a tax rate and not read; `micro_percent` is";
    assert_eq!(warnings_of, [expected]);
}

#[test]
fn a_merchant_has_the_time_zone_that_the_rules_give_it() {
    let folder = Folder::sample();
    let zones = |folder: &Folder| -> Vec<String> {
        let loaded = folder.loaded();
        let merchants = loaded.catalog.merchants().iter();
        merchants
            .map(|merchant| merchant.time_zone.clone())
            .collect()
    };
    let before = zones(&folder);
    folder.replace(
        "rules.toml",
        "id = \"concert-hall\"\n",
        "id = \"concert-hall\"\ntime_zone = 'Asia/Tokyo'\n",
    );
    let mut expected = before.clone();
    expected[2] = "Asia/Tokyo".to_owned();
    assert_eq!(before[2], "UTC");
    assert_eq!(zones(&folder), expected);
}

#[test]
fn a_tax_has_the_name_that_the_rules_give_it_and_no_fee_has_it_too() {
    let hall = "id = \"concert-hall\"\n\n[[merchant.fee]]\nname = \"Order handling\"";
    let vat =
        "id = \"concert-hall\"\ntax_name = 'VAT'\n\n[[merchant.fee]]\nname = 'Order handling'";
    let tax_name = |folder: &Folder| folder.loaded().catalog.merchants()[2].tax_name.clone();
    let taxed = || {
        let folder = Folder::sample();
        folder.set(
            "merchants.json",
            "/merchant/2/tax_rate",
            json!({"micro_percent": 10_000_000}),
        );
        folder
    };
    assert_eq!(tax_name(&taxed()), "Tax");
    let named = taxed();
    named.replace("rules.toml", hall, vat);
    assert_eq!(
        (tax_name(&named), named.warnings()),
        ("VAT".to_owned(), vec![])
    );
    check_warning(
        hall,
        vat,
        "'VAT'",
        "names a tax, but no service of the merchant has a `tax_rate`",
    );
    for (piece, other, place, fee) in [
        (
            hall,
            hall.replace("Order handling", "Tax"),
            "[[merchant.fee]]",
            "Tax",
        ),
        (
            hall,
            vat.replace("VAT", "Order handling"),
            "[[merchant.fee]]",
            "Order handling",
        ),
        (
            hall,
            vat.replace("VAT", "Processing fee"),
            "tax_name",
            "Processing fee",
        ),
        (
            "[[service.ticket_fee]]",
            "[[service.order_fee]]\nname = 'Tax'\nprice_micros = 10_000\n\n[[service.ticket_fee]]"
                .to_owned(),
            "[[service.order_fee]]",
            "Tax",
        ),
    ] {
        let folder = taxed();
        folder.replace("rules.toml", piece, &other);
        let at = match place {
            "tax_name" => "'Processing fee'",
            place => place,
        };
        let expected = format!(
            "{}: a fee {fee:?} is charged already",
            folder.rules_line(at)
        );
        assert_eq!(without_columns(&folder.errors()), [expected], "{other}");
        let untaxed = Folder::sample();
        untaxed.replace("rules.toml", piece, &other);
        let collides = place == "tax_name";
        assert_eq!(
            untaxed.load().is_err(),
            collides,
            "without a tax there is no such name: {other}"
        );
    }
}

#[test]
fn a_service_says_whether_it_is_prepaid() {
    for (value, expected) in [
        (json!(null), Prepayment::Optional),
        (json!("PREPAYMENT_TYPE_UNSPECIFIED"), Prepayment::Optional),
        (json!("REQUIRED"), Prepayment::Required),
        (json!("OPTIONAL"), Prepayment::Optional),
        (json!("NOT_SUPPORTED"), Prepayment::NotSupported),
        (json!(0), Prepayment::Optional),
        (json!(1), Prepayment::Required),
        (json!(2), Prepayment::Optional),
        (json!(3), Prepayment::NotSupported),
    ] {
        let folder = Folder::sample();
        folder.set("services.json", "/service/7/prepayment_type", value.clone());
        let loaded = folder.loaded();
        let colouring = loaded
            .catalog
            .services()
            .find(|(_, service)| service.id == "colouring");
        assert_eq!(colouring.unwrap().1.prepayment, expected, "{value}");
        assert_eq!(loaded.warnings.list(), [], "{value}");
    }
    let folder = Folder::sample();
    folder.set(
        "services.json",
        "/service/7/prepayment_type",
        json!("MAYBE"),
    );
    let expected = "services.json: service[7].prepayment_type: expected REQUIRED, OPTIONAL or NOT_SUPPORTED, found \"MAYBE\"";
    assert_eq!(folder.errors(), [expected]);
}

/// The places of the sample's elements of each level, with their pointers.
const LEVELS: [(&str, &str, &str); 5] = [
    ("merchants.json", "/merchant/0", "merchant[0]"),
    ("services.json", "/service/4", "service[4]"),
    ("services.json", "/service/4/rules", "service[4].rules"),
    (
        "services.json",
        "/service/0/ticket_type/1",
        "service[0].ticket_type[1]",
    ),
    (
        "availability.json",
        "/service_availability/0/availability/2",
        "service_availability[0].availability[2]",
    ),
];

/// Members, each with a value that asks for something, one that does not, and what is said of the former.
fn members_not_acted_on() -> Vec<(&'static str, Value, Value, &'static str)> {
    let price = json!({"price_micros": 5_000_000, "currency_code": "USD"});
    vec![
        (
            "deposit",
            json!({"deposit": price, "deposit_type": "PER_PERSON"}),
            json!({"deposit": {"price_micros": 0, "currency_code": "USD"}}),
            "is not acted on: no deposit is taken, only whole orders are charged",
        ),
        (
            "noShowFee",
            json!({"fee": price}),
            json!({}),
            "is not acted on: nobody is charged for not coming",
        ),
        (
            "late_cancellation_fee",
            price.clone(),
            json!(null),
            "is not acted on: nobody is charged for cancelling",
        ),
        (
            "require_credit_card",
            json!("REQUIRE_CREDIT_CARD_ALWAYS"),
            json!("REQUIRE_CREDIT_CARD_UNSPECIFIED"),
            "is not acted on: orders are taken without a credit card",
        ),
        (
            "require_credit_card",
            json!(true),
            json!(false),
            "is not acted on: orders are taken without a credit card",
        ),
        (
            "price_interpretation",
            json!("STARTS_AT"),
            json!("EXACT_AMOUNT"),
            "is not acted on: prices are sold as exact amounts",
        ),
        (
            "prepayment_terms",
            json!({"charge_timing": "CHARGE_LATER", "charge_time_before_start_sec": 3_600}),
            json!({"charge_timing": "CHARGE_NOW"}),
            "is not acted on: what is charged is charged when the order is created",
        ),
        (
            "payment_option_id",
            json!(["ten-visits"]),
            json!([]),
            "is not acted on: payment options are neither sold nor redeemed",
        ),
        (
            "payment_restrictions",
            json!({"credit_card_restrictions": {"credit_card_type": ["VISA"]}}),
            json!({}),
            "is not acted on: the payment gateway alone says which cards it takes",
        ),
    ]
}

#[test]
fn members_of_money_and_permission_without_effect_are_warnings_at_every_level() {
    for (name, value, harmless, text) in members_not_acted_on() {
        let snake = match name {
            "noShowFee" => "no_show_fee",
            name => name,
        };
        for (file, pointer, place) in LEVELS {
            let with = |value: &Value| {
                let folder = Folder::sample();
                // Entries of the availability have it already, under its other name.
                let name = if file == "availability.json" {
                    snake
                } else {
                    name
                };
                folder.set(file, &format!("{pointer}/{name}"), value.clone());
                folder.warnings()
            };
            assert_eq!(
                with(&value),
                [format!("{file}: {place}.{snake}: {text}")],
                "{name}"
            );
            assert_eq!(with(&harmless), [""; 0], "{name}: {harmless}");
        }
    }
}

#[test]
fn members_with_an_effect_elsewhere_only_are_warnings() {
    let price = json!({"price_micros": 5_000_000, "currency_code": "USD"});
    let rate = json!({"micro_percent": 10_000_000});
    let fees = json!({"service_charge": price});
    let [merchant, service, _, ticket, entry] = LEVELS;
    for ((file, pointer, place), name, value, text) in [
        (
            merchant,
            "prepayment_type",
            json!("REQUIRED"),
            "is not acted on here, only as a member of a service",
        ),
        (
            ticket,
            "prepayment_type",
            json!(1),
            "is not acted on here, only as a member of a service",
        ),
        (
            entry,
            "prepayment_type",
            json!("REQUIRED"),
            "is not acted on here, only as a member of a service",
        ),
        (
            merchant,
            "confirmation_mode",
            json!("CONFIRMATION_MODE_ASYNCHRONOUS"),
            "is not acted on here, only as a member of an availability",
        ),
        (
            ticket,
            "confirmation_mode",
            json!(2),
            "is not acted on here, only as a member of an availability",
        ),
        (
            ticket,
            "tax_rate",
            rate.clone(),
            "is not acted on here, only as a member of a merchant or a service",
        ),
        (
            entry,
            "tax_rate",
            rate,
            "is not acted on here, only as a member of a merchant or a service",
        ),
        (
            merchant,
            "price",
            price.clone(),
            "is not acted on here, only as a member of a service or a ticket type",
        ),
        (
            entry,
            "price",
            price,
            "is not acted on here, only as a member of a service or a ticket type",
        ),
        (
            service,
            "per_ticket_fee",
            fees.clone(),
            "is not acted on here, only as a member of a ticket type",
        ),
        (
            merchant,
            "per_order_fee",
            fees,
            "is not acted on here, only as a member of a service",
        ),
        (
            service,
            "cancellation_policy",
            json!({"refund_condition": [{"refund_percent": 50}]}),
            "is not acted on here, only as a member of the `rules` of a service",
        ),
        (
            merchant,
            "min_advance_online_canceling",
            json!(3_600),
            "is not acted on here, only as a member of the `rules` of a service",
        ),
    ] {
        let folder = Folder::sample();
        folder.set(file, &format!("{pointer}/{name}"), value);
        assert_eq!(
            folder.warnings(),
            [format!("{file}: {place}.{name}: {text}")]
        );
    }
}

#[test]
fn fees_that_are_not_known_are_warned_of() {
    let price = json!({"price_micros": 5_000_000, "currency_code": "USD"});
    for (pointer, place) in [
        ("/service/4/per_order_fee", "service[4].per_order_fee"),
        (
            "/service/4/ticket_type/0/per_ticket_fee",
            "service[4].ticket_type[0].per_ticket_fee",
        ),
    ] {
        let folder = Folder::sample();
        folder.set(
            "services.json",
            pointer,
            json!({"towel_fee": price, "nothing_fee": {"price_micros": 0}}),
        );
        let expected = format!(
            "services.json: {place}.towel_fee: is a fee that is not known here and not charged"
        );
        assert_eq!(folder.warnings(), [expected]);
    }
}

#[test]
fn an_amount_that_is_missing_is_nothing_and_warned_of() {
    let folder = Folder::sample();
    folder.set(
        "services.json",
        "/service/7/price",
        json!({"price_micro": 9_000_000, "currency_code": "USD"}),
    );
    let expected =
        "services.json: service[7].price.price_micros: is missing, so that the amount is 0";
    assert_eq!(folder.warnings(), [expected]);
}

#[test]
fn a_fee_of_nothing_is_none_of_a_ticket_type() {
    let folder = Folder::sample();
    let free = json!({"price_micros": "0", "currency_code": "USD"});
    folder.set(
        "services.json",
        "/service/5/ticket_type/0/per_ticket_fee/service_charge",
        free,
    );
    let loaded = folder.loaded();
    let (_, symphony) = loaded
        .catalog
        .services()
        .find(|(_, service)| service.id == "symphony")
        .unwrap();
    let fees = symphony.tickets[0].feed_fees;
    assert!(fees.service_charge.is_none() && fees.facility_fee.is_some());
}
