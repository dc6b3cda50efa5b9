//! What a check of a catalogue has found, for people and for programs.

use std::{
    io::{self, Write},
    path::Path,
};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::table::{Align, count, grouped, price, table},
    calendar::price_json,
};
use catalog::{CatalogSummary, Examined, ServiceSummary};
use domain::{
    catalog::{Catalog, Service},
    time::EpochSeconds,
};
use kernel::diagnostics::{Diagnostic, Diagnostics, Location, Severity};

/// Services that are printed; the others are counted.
const MAX_SERVICES: usize = 100;

/// Prices of a service that are printed; the others are counted.
const MAX_PRICES: usize = 6;

/// Files that are printed as not read; the others are counted.
const MAX_UNREAD: usize = 20;

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Format {
    Text,
    Json,
}

impl Format {
    /// Reads its name.
    pub(in crate::cli) fn parser() -> impl TypedValueParser<Value = Self> {
        PossibleValuesParser::new(["text", "json"]).map(|name| {
            if name == "json" {
                Self::Json
            } else {
                Self::Text
            }
        })
    }
}

/// The findings of a check.
pub(super) struct Findings<'a> {
    pub(super) dir: &'a Path,
    pub(super) read: Examined,
    pub(super) summary: Option<CatalogSummary>,
    /// Whether warnings are errors.
    pub(super) strict: bool,
}

impl Findings<'_> {
    /// Whether the catalogue is not to be used.
    pub(super) fn are_bad(&self) -> bool {
        let found = &self.read.diagnostics;
        found.total(Severity::Error) > 0 || self.strict && found.total(Severity::Warning) > 0
    }

    /// Prints errors and warnings to `stderr`, and the summary of a usable catalogue to `stdout`.
    pub(super) fn print(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<()> {
        let total = self.total();
        if !total.is_empty() {
            writeln!(stderr, "{}", self.read.diagnostics)?;
        }
        self.print_unread(stderr)?;
        if !total.is_empty() {
            writeln!(stderr, "{total}")?;
        }
        match (&self.read.loaded, &self.summary) {
            (Some(loaded), Some(summary)) if !self.are_bad() => {
                print_summary(&loaded.catalog, summary, stdout)
            }
            _ => Ok(()),
        }
    }

    fn print_unread(&self, out: &mut dyn Write) -> io::Result<()> {
        let unread = &self.read.unread;
        if unread.is_empty() {
            return Ok(());
        }
        let named = unread
            .iter()
            .take(MAX_UNREAD)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let more = unread.len().saturating_sub(MAX_UNREAD);
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        writeln!(out, "not read: {named}{more}")
    }

    /// How many errors and warnings there are; nothing if there are none.
    fn total(&self) -> String {
        let mut parts = Vec::new();
        for (severity, thing) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
            let total = self.read.diagnostics.total(severity);
            if total == 0 {
                continue;
            }
            let mut part = count(total, thing);
            let places = self.read.diagnostics.places(severity);
            if places > total {
                part = format!("{part} at {}", count(places, "place"));
            }
            parts.push(part);
        }
        if self.strict && self.read.diagnostics.total(Severity::Warning) > 0 {
            parts.push("--strict takes warnings for errors".to_owned());
        }
        parts.join(", ")
    }

    /// The same for programs, in the form that docs/catalog.md describes.
    pub(super) fn members(&self) -> impl Iterator<Item = (String, Value)> {
        let found = &self.read.diagnostics;
        let members = [
            ("directory", json!(self.dir.display().to_string())),
            ("ok", json!(!self.are_bad())),
            ("strict", json!(self.strict)),
            ("errors", diagnostics_json(found, Severity::Error)),
            ("warnings", diagnostics_json(found, Severity::Warning)),
            ("unread_files", json!(self.read.unread)),
            ("summary", self.summary_json().into()),
        ];
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
    }

    fn summary_json(&self) -> Option<Value> {
        let (loaded, summary) = (self.read.loaded.as_ref()?, self.summary.as_ref()?);
        let catalog = &loaded.catalog;
        let span = span_of(summary);
        let services: Vec<Value> = summary
            .services
            .iter()
            .map(|it| service_json(catalog, it))
            .collect();
        Some(json!({
            "merchants": catalog.merchants().len(),
            "entries": summary.entries,
            "slots": summary.slots,
            "has_more_slots": summary.has_more_slots,
            "first_start_sec": span.map(|(first, _)| first.get()),
            "last_start_sec": span.map(|(_, last)| last.get()),
            "services": services,
        }))
    }
}

const COLUMNS: &[(&str, Align)] = &[
    ("merchant", Align::Left),
    ("service", Align::Left),
    ("slots", Align::Right),
    ("first", Align::Left),
    ("last", Align::Left),
    ("prices", Align::Left),
];

fn print_summary(
    catalog: &Catalog,
    summary: &CatalogSummary,
    out: &mut dyn Write,
) -> io::Result<()> {
    let tickets: usize = catalog
        .services()
        .map(|(_, service)| service.tickets.len())
        .sum();
    writeln!(
        out,
        "{}, {}, {}, {} of availability",
        count(catalog.merchants().len(), "merchant"),
        count(summary.services.len(), "service"),
        count(tickets, "ticket type"),
        count(summary.entries, "entry"),
    )?;
    let slots = count(summary.slots, "slot");
    let slots = if summary.has_more_slots {
        format!("more than {slots}")
    } else {
        slots
    };
    let span = span_of(summary)
        .map(|(first, last)| format!(" from {} to {} (UTC)", date(first), date(last)));
    writeln!(
        out,
        "{slots}{}, past ones not counted\n",
        span.unwrap_or_default()
    )?;
    let rows: Vec<Vec<String>> = summary
        .services
        .iter()
        .take(MAX_SERVICES)
        .map(|it| row(catalog, it))
        .collect();
    write!(out, "{}", table("", COLUMNS, &rows))?;
    match summary.services.len().saturating_sub(MAX_SERVICES) {
        0 => Ok(()),
        more => writeln!(out, "and {}", count(more, "more service")),
    }
}

fn row(catalog: &Catalog, summary: &ServiceSummary) -> Vec<String> {
    let service = catalog.service(summary.service);
    let (first, last) = summary
        .starts
        .map(|(first, last)| (date(first), date(last)))
        .unwrap_or_default();
    vec![
        catalog.merchant(service.merchant).id.to_string(),
        service.id.to_string(),
        grouped(u64::try_from(summary.slots).unwrap_or(u64::MAX)),
        first,
        last,
        price_list(service),
    ]
}

fn price_list(service: &Service) -> String {
    let tickets = service
        .tickets
        .iter()
        .map(|ticket| format!("{} {}", ticket.id, price(ticket.price)));
    let all: Vec<String> = service
        .price
        .map(price)
        .into_iter()
        .chain(tickets)
        .collect();
    let listed = all
        .iter()
        .take(MAX_PRICES)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().saturating_sub(MAX_PRICES) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

fn span_of(summary: &CatalogSummary) -> Option<(EpochSeconds, EpochSeconds)> {
    let starts = || summary.services.iter().filter_map(|it| it.starts);
    Some((
        EpochSeconds::new(starts().map(|(first, _)| first.get()).min()?),
        EpochSeconds::new(starts().map(|(_, last)| last.get()).max()?),
    ))
}

/// The day of a moment in UTC.
fn date(second: EpochSeconds) -> String {
    Timestamp::from_second(second.get()).map_or_else(
        |_| format!("second {second}"),
        |moment| moment.strftime("%Y-%m-%d").to_string(),
    )
}

/// Diagnostics of a severity, for programs.
pub(in crate::cli) fn diagnostics_json(found: &Diagnostics, severity: Severity) -> Value {
    let list: Vec<Value> = found.of(severity).map(diagnostic_json).collect();
    json!({
        "total": found.total(severity),
        "places": found.places(severity),
        "list": list,
        "unlisted": found.unlisted(severity),
    })
}

fn diagnostic_json(diagnostic: &Diagnostic) -> Value {
    let Diagnostic {
        severity: _,
        code,
        location,
        text,
        more_places,
    } = diagnostic;
    let Location {
        source,
        position,
        path,
    } = location;
    json!({
        "code": code,
        "file": source.to_string(),
        "line": position.map(|it| it.line),
        "column": position.map(|it| it.column),
        "path": path,
        "text": text,
        "more_places": more_places,
    })
}

fn service_json(catalog: &Catalog, summary: &ServiceSummary) -> Value {
    let service = catalog.service(summary.service);
    let tickets = service.tickets.iter().map(|ticket| {
        json!({
            "ticket_type_id": ticket.id.as_str(),
            "name": ticket.short_description.value,
            "price": price_json(ticket.price),
        })
    });
    json!({
        "merchant_id": catalog.merchant(service.merchant).id.as_str(),
        "service_id": service.id.as_str(),
        "name": service.name.value,
        "slots": summary.slots,
        "first_start_sec": summary.starts.map(|(first, _)| first.get()),
        "last_start_sec": summary.starts.map(|(_, last)| last.get()),
        "price": service.price.map(price_json),
        "ticket_types": tickets.collect::<Vec<_>>(),
    })
}
