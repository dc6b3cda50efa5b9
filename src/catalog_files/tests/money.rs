//! What files say of money: amounts nobody can pay, deals that give things away.

use serde_json::{Value, json};

use super::Folder;

/// Where a piece of the rules file stands.
fn line_of(folder: &Folder, piece: &str) -> String {
    let text = folder.text("rules.toml");
    assert_eq!(text.matches(piece).count(), 1, "{piece:?}");
    format!("rules.toml: line {}", text.split(piece).next().unwrap_or_default().matches('\n').count() + 1)
}

fn remarks(folder: &Folder) -> Vec<String> {
    folder.loaded().warnings.list.iter().map(ToString::to_string).collect()
}

/// The one thing to be said of the sample with a piece of its rules replaced, and the line of `place`.
#[track_caller]
fn check_warning(piece: &str, other: &str, place: &str, expected: &str) {
    let folder = Folder::sample();
    folder.replace("rules.toml", piece, other);
    let expected: Vec<String> = match expected {
        "" => Vec::new(),
        text => vec![format!("{}: {text}", line_of(&folder, place))],
    };
    assert_eq!(remarks(&folder), expected, "{other}");
}

#[test]
fn an_amount_below_the_smallest_unit_is_a_mistake_wherever_it_stands_in_a_feed() {
    let price = |micros: Value, code: &str| json!({"price_micros": micros, "currency_code": code});
    let text = |is: &str, unit: &str, code: &str| {
        format!(
            "is {is} {code}, less than the smallest unit, {unit} {code}; amounts are in millionths, so that 1 {code} is 1000000"
        )
    };
    for (pointer, place) in [
        ("/service/7/price", "service[7].price"),
        ("/service/0/ticket_type/0/price", "service[0].ticket_type[0].price"),
        ("/service/0/per_order_fee", "service[0].per_order_fee.delivery_fee"),
        ("/service/0/ticket_type/0/per_ticket_fee", "service[0].ticket_type[0].per_ticket_fee.taxes"),
    ] {
        for (micros, is) in [(json!(14.00), "0.000014"), (json!("1"), "0.000001"), (json!(9_999), "0.009999")]
        {
            let folder = Folder::sample();
            let amount = price(micros, "USD");
            let value = match place.rsplit_once('.').unwrap().1 {
                "price" => amount,
                name => json!({ name: amount }),
            };
            folder.set("services.json", pointer, value);
            let expected = format!("services.json: {place}.price_micros: {}", text(is, "0.01", "USD"));
            assert_eq!(folder.mistakes(), [expected], "{pointer}");
        }
    }
    let folder = Folder::sample();
    folder.set("services.json", "/service/8/ticket_type/0/price", price(json!(500_000), "JPY"));
    let expected =
        format!("services.json: service[8].ticket_type[0].price.price_micros: {}", text("0.5", "1", "JPY"));
    assert_eq!(folder.mistakes(), [expected]);
}

#[test]
fn an_amount_below_the_smallest_unit_is_a_mistake_wherever_it_stands_in_the_rules() {
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
        assert_eq!(folder.mistakes(), [format!("{}: {text}", line_of(&folder, "28"))], "{piece}");
    }
}

#[test]
fn an_amount_with_a_fraction_of_the_smallest_unit_is_warned_of_once_a_file() {
    let text = "has a fraction of the smallest unit, 0.01 USD; totals are rounded to it, halves to the even neighbour";
    let folder = Folder::sample();
    folder.set("services.json", "/service/7/price/price_micros", json!(95_505_000));
    folder.set("services.json", "/service/0/ticket_type/1/price/price_micros", json!(10_001_000));
    let expected = format!(
        "services.json: service[0].ticket_type[1].price.price_micros: {text}; 1 more place like this"
    );
    assert_eq!(remarks(&folder), [expected]);
    check_warning("price_micros = 990_000", "price_micros = 990_001", "990_001", text);
}

#[test]
fn a_deal_that_gives_away_for_nothing_what_has_a_price_is_warned_of() {
    let bundle = "[[service.bundle]]";
    let group = "[[service.group_deal]]\ntickets = [\"seat\"]";
    let percent = "percent_off = \"15\"";
    let six_free = "makes 6 tickets of type \"seat\" cost nothing";
    for (piece, other, place, expected) in [
        ("180_000_000", "0", bundle, "gives away for nothing what costs 200 USD one by one"),
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
    folder.set("services.json", "/service/4/ticket_type/0/price/price_micros", json!(0));
    folder.replace("rules.toml", percent, "percent_off = 100");
    folder.replace("rules.toml", "180_000_000", "80_000_000");
    assert_eq!(remarks(&folder), [""; 0], "what costs nothing anyway is not given away");
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
