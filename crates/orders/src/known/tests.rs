use super::*;
use crate::{
    block::tests::trip,
    update::tests::{Office, with_terms},
};
use domain::{fixtures::Fixture, slot::SlotDuration};

/// A service and a merchant have left the catalogue.
fn with_names_that_have_left(fixture: &mut Fixture) {
    with_terms(fixture);
    let ids = fixture.catalog.ids_mut();
    ids.service(&"town".into(), &"gone".into());
    ids.service(&"past".into(), &"tour".into());
}

#[tokio::test]
async fn names_are_known_by_the_catalogue_and_those_of_orders_by_what_has_left_it() {
    let office = Office::with(with_names_that_have_left);
    for (merchant, service, of_catalog, of_orders) in [
        (None, None, None, None),
        (Some("town"), None, None, None),
        (Some("town"), Some("raft"), None, None),
        (None, Some("raft"), None, None),
        (Some("town"), Some("gone"), Some("service_id"), None),
        (None, Some("gone"), Some("service_id"), None),
        (Some("past"), Some("tour"), Some("merchant_id"), None),
        (
            Some("town"),
            Some("tour"),
            Some("service_id"),
            Some("service_id"),
        ),
        (
            Some("nix"),
            Some("nix"),
            Some("merchant_id"),
            Some("merchant_id"),
        ),
        (None, Some("nix"), Some("service_id"), Some("service_id")),
    ] {
        let (merchant, service) = (merchant.map(MerchantId::from), service.map(ServiceId::from));
        let asked = AskedNames {
            merchant: ("merchant_id", merchant.as_ref()),
            service: ("service_id", service.as_ref()),
        };
        for (known, expected) in [
            (KnownNames::OfCatalog, of_catalog),
            (KnownNames::OfOrders, of_orders),
        ] {
            let found = office.app.unknown_names(asked, known, &MerchantScope::ALL);
            let fields: Vec<&str> = found.iter().map(|invalid| invalid.field).collect();
            assert_eq!(
                fields,
                Vec::from_iter(expected),
                "{merchant:?} {service:?} {known:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_unknown_name_is_told_with_those_that_are_known() {
    let office = Office::with(with_names_that_have_left);
    let (nix, scope) = (MerchantId::from("nix"), MerchantScope::ALL);
    let asked = AskedNames {
        merchant: ("slot.merchant_id", Some(&nix)),
        service: ("slot.service_id", None),
    };
    let found = office
        .app
        .unknown_names(asked, KnownNames::OfOrders, &scope);
    let rule = "has \"nix\", which is no merchant; merchants are past, tokyo, town";
    assert_eq!(found, [InvalidField::new("slot.merchant_id", rule)]);
}

#[tokio::test]
async fn a_slot_is_known_by_its_start_and_its_length() {
    let office = Office::new();
    let slot = trip();
    assert_eq!(office.app.unknown_slot(&slot).await, Ok(None));
    let other = SlotName {
        duration_sec: SlotDuration::new(Seconds::new(1)),
        ..slot.clone()
    };
    let found = office.app.unknown_slot(&other).await.unwrap().unwrap();
    assert_eq!(found.field, "slot.duration_sec");
    let expected = "is the length of no slot then; lengths are ";
    assert!(found.rule.starts_with(expected), "{}", found.rule);
    let later = SlotName {
        start_sec: slot.start_sec.saturating_add(Seconds::ONE),
        ..slot.clone()
    };
    let found = office.app.unknown_slot(&later).await.unwrap().unwrap();
    let rule = format!(
        "is the start of no slot; slots start at {}",
        written(slot.start_sec)
    );
    assert_eq!(found, InvalidField::new("slot.start_time", rule));
}

#[test]
fn an_error_has_room_for_some_names() {
    let names = vec!["a"; MAX_NAMED + 2];
    let expected = format!("{} and 2 more", ["a"; MAX_NAMED].join(", "));
    assert_eq!(listed(&names), expected);
    assert_eq!(listed(&names[..1]), "a");
    assert_eq!(listed::<&str>(&[]), "none");
}
