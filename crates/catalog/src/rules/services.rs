//! Rules of a service: ticket combinations, limits, deals and fees.

use std::collections::HashSet;

use crate::{
    builder::{CatalogBuilder, stand_in_currency},
    diagnostics::Cursor,
};
use domain::{
    catalog::{
        ChildRule, Deal, Fee, ForbiddenTickets, RequiredTicket, RuleScope, ServiceIx, TicketIx,
        TicketRules,
    },
    money::Currency,
};

use super::{
    deals, fees,
    limits::ServiceLimits,
    names::{self, TicketNames},
    toml::TomlTable,
};

const KEYS: &[&str] = &[
    "merchant",
    "id",
    "limits",
    "slot_limits",
    "child",
    "forbid_tickets",
    "require_ticket",
    "bundle",
    "group_deal",
    "ticket_fee",
    "order_fee",
];

/// Reads all `[[service]]` tables. Returns the limits of known services with their locations.
pub(super) fn read<'t>(
    builder: &mut CatalogBuilder,
    top: &TomlTable<'t>,
) -> Vec<(ServiceIx, ServiceLimits<'t>)> {
    let mut seen = HashSet::new();
    let mut limits = Vec::new();
    for table in top.tables("service", KEYS) {
        let service = named(builder, &table);
        if service.is_some_and(|service| !seen.insert(service)) {
            table.at.error(
                "duplicate",
                "this service has another [[service]] table already; write all its rules in one",
            );
        }
        // Read also if the service is unknown or has a table already, so that every error is reported.
        let limits_of_service = read_one(builder, service, &table);
        limits.extend(service.map(|service| (service, limits_of_service)));
    }
    limits
}

fn named(builder: &CatalogBuilder, table: &TomlTable<'_>) -> Option<ServiceIx> {
    let merchant = table
        .required("merchant")
        .and_then(|entry| Some((entry.text()?, entry.at)));
    let id = table
        .required("id")
        .and_then(|entry| Some((entry.text()?, entry.at)));
    let ((merchant, merchant_at), (id, at)) = (merchant?, id?);
    builder.service(&merchant.into(), &id.into(), &merchant_at, &at)
}

fn read_one<'t>(
    builder: &mut CatalogBuilder,
    ix: Option<ServiceIx>,
    table: &TomlTable<'t>,
) -> ServiceLimits<'t> {
    let tax = ix.and_then(|ix| fees::tax(builder, builder.catalog.service(ix).merchant));
    let CatalogBuilder { catalog, tags, .. } = builder;
    let names = TicketNames {
        service: ix.map(|ix| catalog.service(ix)),
    };
    let merchant = names
        .service
        .map(|service| catalog.merchant(service.merchant));
    let currency = merchant.map_or_else(stand_in_currency, |merchant| merchant.currency);
    let mut merchant_fees = merchant
        .map(|merchant| merchant.per_order_fees.clone())
        .unwrap_or_default();
    // A customer could not tell a fee from a tax of the same name.
    merchant_fees.extend(tax);
    // Tags of an unknown service have no index; the service is reported already.
    let mut tag = |name: &str, at: &Cursor<'_>| tags.of_rules(ix?, name, at);
    let limits = ServiceLimits::read(table, names, &mut tag);
    let rules = read_ticket_rules(table, names, &limits);
    let deals = read_deals(table, names, currency);
    let ticket_fees = read_ticket_fees(table, names, currency);
    let order_fees = read_order_fees(table, names, &merchant_fees, currency);
    if let Some(ix) = ix {
        let service = catalog.service_mut(ix);
        service.rules = rules;
        service.deals = deals;
        service.per_order_fees = order_fees;
        // Both lists are in the order of the ticket types of the service.
        for (ticket, fees) in service.tickets.iter_mut().zip(ticket_fees) {
            ticket.fees = fees;
        }
    }
    limits
}

fn read_ticket_rules(
    table: &TomlTable<'_>,
    names: TicketNames<'_>,
    limits: &ServiceLimits<'_>,
) -> TicketRules {
    let children = table.tables("child", &["tickets", "adults", "per_adult", "scope"]);
    let forbidden = table.tables("forbid_tickets", &["tickets", "scope"]);
    let forbidden = forbidden.iter().filter_map(|rule| {
        let (tickets, scope) = (names.tickets(rule, "tickets", 2), names::scope(rule));
        Some(ForbiddenTickets {
            tickets: tickets?,
            scope,
        })
    });
    let forbidden: Vec<ForbiddenTickets> = forbidden.collect();
    let required = table.tables("require_ticket", &["ticket", "any_of", "scope"]);
    TicketRules {
        limits: limits.general(),
        slot_limits: limits.of_slots(),
        children: children
            .iter()
            .filter_map(|rule| read_child(rule, names))
            .collect(),
        required: required
            .iter()
            .filter_map(|rule| read_required(rule, names, &forbidden))
            .collect(),
        forbidden,
    }
}

fn read_child(rule: &TomlTable<'_>, names: TicketNames<'_>) -> Option<ChildRule> {
    let children = names.tickets(rule, "tickets", 1);
    let adults = names.tickets(rule, "adults", 1);
    let per_adult = rule
        .get("per_adult")
        .and_then(|entry| entry.integer(1..=u32::MAX));
    let scope = names::scope(rule);
    let (children, adults) = (children?, adults?);
    names::report_shared(&children, &adults, &rule.at);
    Some(ChildRule {
        children,
        adults,
        per_adult,
        scope,
    })
}

fn read_required(
    rule: &TomlTable<'_>,
    names: TicketNames<'_>,
    forbidden: &[ForbiddenTickets],
) -> Option<RequiredTicket> {
    let ticket = rule
        .required("ticket")
        .and_then(|entry| names.ticket(entry.text()?, &entry.at));
    let any_of = names.tickets(rule, "any_of", 1);
    let scope = names::scope(rule);
    let (ticket, any_of) = (ticket?, any_of?);
    names::report_shared(&[ticket], &any_of, &rule.at);
    // What may not be together in one line may still be in two lines of one slot.
    let binding = forbidden
        .iter()
        .filter(|set| scope == RuleScope::Line || set.scope == scope);
    let forbidden: Vec<Vec<TicketIx>> = binding.map(|set| set.tickets.clone()).collect();
    names::report_hopeless(&ticket, &any_of, &forbidden, &rule.at);
    Some(RequiredTicket {
        ticket,
        any_of,
        scope,
    })
}

fn read_deals(table: &TomlTable<'_>, names: TicketNames<'_>, currency: Currency) -> Vec<Deal> {
    let bundles = table.tables("bundle", deals::BUNDLE_KEYS);
    let bundles = bundles
        .iter()
        .filter_map(|deal| deals::read_bundle(deal, names, currency));
    let groups = table.tables("group_deal", deals::GROUP_KEYS);
    let groups = groups
        .iter()
        .filter_map(|deal| deals::read_group(deal, names, currency));
    // Within each kind of deal, the order of the file is the order of application.
    bundles.chain(groups).collect()
}

/// The fees of every ticket type of the service: those of the feed, then those of the rules.
fn read_ticket_fees(
    table: &TomlTable<'_>,
    names: TicketNames<'_>,
    currency: Currency,
) -> Vec<Vec<Fee>> {
    let tickets = names
        .service
        .map(|service| service.tickets.as_slice())
        .unwrap_or_default();
    let mut all: Vec<(TicketIx, Vec<Fee>)> = tickets
        .iter()
        .map(|ticket| (ticket.ix, ticket.fees.clone()))
        .collect();
    for table in table.tables("ticket_fee", &["tickets", "name", "price_micros"]) {
        let chosen = match table.get("tickets") {
            Some(_) => names.tickets(&table, "tickets", 1).unwrap_or_default(),
            // A fee that names no ticket types applies to all of them.
            None => names.all(),
        };
        let Some(fee) = fees::read(&table, currency) else {
            continue;
        };
        for (_, fees) in all.iter_mut().filter(|(ticket, _)| chosen.contains(ticket)) {
            let fee = fees::unless_charged(fee.clone(), &*fees, &table);
            fees.extend(fee);
        }
    }
    all.into_iter().map(|(_, fees)| fees).collect()
}

fn read_order_fees(
    table: &TomlTable<'_>,
    names: TicketNames<'_>,
    of_merchant: &[Fee],
    currency: Currency,
) -> Vec<Fee> {
    let mut all = names
        .service
        .map(|service| service.per_order_fees.clone())
        .unwrap_or_default();
    for table in table.tables("order_fee", fees::KEYS) {
        if let Some(fee) = fees::read(&table, currency) {
            let charged = all.iter().chain(of_merchant);
            let fee = fees::unless_charged(fee, charged, &table);
            all.extend(fee);
        }
    }
    all
}
