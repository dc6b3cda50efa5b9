use super::*;
use crate::fixtures::Fixture;

/// The ids of services with their indexes, in the order of the catalogue.
fn services(catalog: &Catalog) -> Vec<(&str, u32)> {
    catalog
        .services()
        .map(|(ix, service)| (service.id.as_str(), ix.0))
        .collect()
}

#[test]
fn what_was_added_is_there_in_its_order() {
    let Fixture { catalog, .. } = Fixture::new();
    let merchants: Vec<_> = catalog
        .merchants()
        .iter()
        .map(|merchant| merchant.id.as_str())
        .collect();
    assert_eq!(merchants, ["town", "tokyo"]);
    let expected = [
        ("museum", 0),
        ("raft", 1),
        ("concert", 2),
        ("salon", 3),
        ("onsen", 4),
    ];
    assert_eq!(services(&catalog), expected);
}

#[test]
fn an_index_stays_with_its_id_in_every_later_catalogue() {
    let Fixture {
        catalog: mut first,
        merchant,
        ..
    } = Fixture::new();
    let sold = |first: &Catalog, id| {
        first
            .service(first.service_ix(merchant, id).unwrap())
            .clone()
    };
    let (mut raft, mut museum) = (sold(&first, "raft"), sold(&first, "museum"));
    raft.tickets.insert(
        0,
        TicketType {
            id: "child".into(),
            ..raft.tickets[0].clone()
        },
    );
    museum.id = "gallery".into();
    assert_eq!(
        first.ids_mut().service(&"town".into(), &"promised".into()),
        ServiceIx(5)
    );
    let mut second = Catalog::with_ids(first.ids().clone());
    assert_eq!(
        second.add_merchant(first.merchant(merchant).clone()),
        MerchantIx(0)
    );
    second.add_service(museum);
    second.add_service(raft);
    assert_eq!(services(&second), [("gallery", 6), ("raft", 1)]);
    let raft = second.service(ServiceIx(1));
    assert_eq!(
        [raft.ticket_ix("seat"), raft.ticket_ix("child")],
        [Some(TicketIx(0)), Some(TicketIx(1))]
    );
    assert!(
        second.find_service(ServiceIx(0)).is_none(),
        "the museum is not sold any more"
    );
}

#[test]
fn an_index_stays_with_its_id_and_goes_to_no_other() {
    let mut ids = IdInterner::default();
    let services = [("a", "x"), ("a", "y"), ("b", "x"), ("a", "x"), ("b", "x")];
    let given = services.map(|(merchant, service)| ids.service(&merchant.into(), &service.into()));
    assert_eq!(given, [0, 1, 2, 0, 2].map(ServiceIx));
    let tickets = [(0, "t"), (0, "u"), (1, "u"), (0, "u"), (1, "t"), (0, "t")];
    let given = tickets.map(|(service, ticket)| ids.ticket(ServiceIx(service), &ticket.into()));
    assert_eq!(given, [0, 1, 0, 1, 1, 0].map(|ix| Some(TicketIx(ix))));
}

#[test]
fn ticket_types_are_given_indexes_as_long_as_there_are_any() {
    let mut ids = IdInterner::default();
    let service = ids.service(&"a".into(), &"x".into());
    ids.tickets[0] = vec!["".into(); usize::from(u16::MAX)];
    assert_eq!(
        ids.ticket(service, &"last".into()),
        Some(TicketIx(u16::MAX))
    );
    assert_eq!(ids.ticket(service, &"one more".into()), None);
    assert_eq!(
        ids.ticket(service, &"last".into()),
        Some(TicketIx(u16::MAX))
    );
}
