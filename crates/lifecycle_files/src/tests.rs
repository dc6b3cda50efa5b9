//! Definitions in play: the rules, the default, files that are wrong, and generated ones.

mod actions;
mod bad_files;
mod conditions;
mod default_lifecycle;
mod defects;
mod described;
mod documents;
mod generated;
mod payments;
mod rules;
mod sketch;
mod world;

use sketch::Sketch;
use world::World;

use super::*;

#[test]
fn the_default_is_right() {
    if let Err(errors) = default() {
        panic!("{errors}");
    }
}

/// A definition in the spelling and with the names of others.
const SPELLED_OTHERWISE: &str = include_str!("tests/spelled_otherwise.toml");

#[test]
fn other_spellings_and_names_mean_the_same() {
    let definition = read(SPELLED_OTHERWISE, "other.toml").unwrap_or_else(|it| panic!("{it}"));
    let usual = SPELLED_OTHERWISE
        .replace("fulfilment", "fulfillment")
        .replace("update_line_item_groups_state", "update_line_items_state")
        .replace("one_line_item_group_in_states", "one_line_item_in_states")
        .replace("update_parcels_state", "update_fulfillments_state")
        .replace("link_to_parcel", "link_to_fulfillment")
        .replace("parcels_have_shipment", "fulfillments_have_shipment")
        .replace("orchestrate", "launch")
        .replace(
            "unconsume_capacity\" }",
            "update_reserved_stock\", creation = false }",
        );
    assert_ne!(usual, SPELLED_OTHERWISE);
    let usual = read(&usual, "usual.toml").unwrap_or_else(|it| panic!("{it}"));
    assert_eq!(definition, usual);
}
