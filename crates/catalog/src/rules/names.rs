//! Ids in the rules of services and merchants.

use crate::{
    builder::cause_of_ticket,
    diagnostics::{Cursor, quoted},
};
use domain::catalog::{RuleScope, Service, TicketIx};

use super::toml::{TomlTable, TomlValue};

/// The ticket types that rules of a service may name. Without a service, which has been reported, ids are
/// not checked.
#[derive(Clone, Copy)]
pub(super) struct TicketNames<'a> {
    pub(super) service: Option<&'a Service>,
}

impl TicketNames<'_> {
    /// The ticket type of that id; an unknown one is reported.
    pub(super) fn ticket(self, id: &str, at: &Cursor<'_>) -> Option<TicketIx> {
        let service = self.service?;
        let ticket = service.ticket_ix(id);
        if ticket.is_none() {
            let text = format!("ticket type {id:?} is not one of service {:?}", service.id);
            at.error_because("unknown_ticket_type", cause_of_ticket(service, id), text);
        }
        ticket
    }

    /// Every ticket type of the service.
    pub(super) fn all(self) -> Vec<TicketIx> {
        self.service
            .iter()
            .flat_map(|service| &service.tickets)
            .map(|ticket| ticket.ix)
            .collect()
    }

    /// The ticket types of a required list, if all of them are known.
    pub(super) fn tickets(
        self,
        table: &TomlTable<'_>,
        key: &str,
        at_least: usize,
    ) -> Option<Vec<TicketIx>> {
        let ids = ids(table, key, at_least)?.into_iter();
        // All ids are read before the first unknown one ends the list, so that each is reported.
        let tickets: Vec<_> = ids.map(|(id, entry)| self.ticket(id, &entry.at)).collect();
        tickets.into_iter().collect()
    }
}

/// The scope of a rule: the line, unless stated otherwise.
pub(super) fn scope(rule: &TomlTable<'_>) -> RuleScope {
    let scopes = [("line", RuleScope::Line), ("slot", RuleScope::Slot)];
    choice(rule, "scope", &scopes)
}

/// The meaning of an optional key that has one of these texts: the first, unless stated otherwise.
pub(super) fn choice<T: Copy, const N: usize>(
    table: &TomlTable<'_>,
    key: &str,
    choices: &[(&str, T); N],
) -> T {
    let (_, default) = choices[0];
    let Some(entry) = table.get(key) else {
        return default;
    };
    // A value that is no text has been reported.
    let Some(text) = entry.text() else {
        return default;
    };
    if let Some(&(_, meaning)) = choices.iter().find(|(name, _)| *name == text) {
        return meaning;
    }
    let names = choices.map(|(name, _)| quoted(name)).join(" or ");
    let text = format!("expected {names}, found {}", quoted(text));
    entry.at.error("wrong_value", text);
    default
}

/// The ids of a required list: at least `at_least`, without duplicates.
pub(super) fn ids<'t>(
    table: &TomlTable<'t>,
    key: &str,
    at_least: usize,
) -> Option<Vec<(&'t str, TomlValue<'t>)>> {
    let entry = table.required(key)?;
    let list = entry.list()?;
    if list.len() < at_least {
        entry.at.error(
            "out_of_range",
            format!(
                "`{key}` has {} ids; expected {at_least} or more",
                list.len()
            ),
        );
    }
    let mut ids: Vec<(&str, TomlValue<'_>)> = Vec::with_capacity(list.len());
    for element in list {
        match element.text() {
            Some(id) if ids.iter().any(|(known, _)| *known == id) => {
                element
                    .at
                    .error("duplicate", format!("{id:?} is named twice"));
            }
            Some(id) => ids.push((id, element)),
            None => {}
        }
    }
    Some(ids)
}

/// Reports an id on both sides of a rule.
pub(super) fn report_shared<T: PartialEq>(one: &[T], other: &[T], at: &Cursor<'_>) {
    if one.iter().any(|id| other.contains(id)) {
        at.error(
            "contradiction",
            "the same id stands on both sides of the rule",
        );
    }
}

/// Reports a rule that requires what another rule forbids.
pub(super) fn report_hopeless<T: PartialEq>(
    needy: &T,
    any_of: &[T],
    forbidden: &[Vec<T>],
    at: &Cursor<'_>,
) {
    let barred = |company: &T| {
        forbidden
            .iter()
            .any(|set| set.contains(needy) && set.contains(company))
    };
    if !any_of.is_empty() && any_of.iter().all(barred) {
        at.error(
            "contradiction",
            "what this rule requires is forbidden by another, so that it can never be sold",
        );
    }
}
