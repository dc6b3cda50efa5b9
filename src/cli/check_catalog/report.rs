//! What a check of a catalogue has found, for people and for programs.

use std::{
    io::{self, Write},
    path::Path,
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    super::table::{Align, count, grouped, price, table},
    calendar::price_json,
};
use crate::{
    catalog_files::{CatalogSummary, Examined, Mistake, Mistakes, ServiceSummary, Warning},
    domain::{
        catalog::{Catalog, Service},
        order::EpochSeconds,
    },
};

/// Services that are printed; the others are counted.
const MAX_SERVICES: usize = 100;

/// Prices of a service that are printed; the others are counted.
const MAX_PRICES: usize = 6;

/// Files that are printed as not read; the others are counted.
const MAX_UNREAD: usize = 20;

/// For whom it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

impl Format {
    pub(super) fn read(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What was found in a folder.
pub(super) struct Findings<'a> {
    pub(super) dir: &'a Path,
    pub(super) read: &'a Examined,
    pub(super) summary: Option<&'a CatalogSummary>,
    /// Whether warnings are errors.
    pub(super) strict: bool,
}

impl Findings<'_> {
    /// Whether the catalogue is not to be used.
    pub(super) fn are_bad(&self) -> bool {
        self.read.outcome.is_err() || self.strict && self.read.warnings.total() > 0
    }

    /// Prints what is wrong or may be to `stderr`, and what the catalogue comes to on `stdout`.
    pub(super) fn print(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<()> {
        write!(stderr, "{}", self.read.warnings)?;
        if let Err(mistakes) = &self.read.outcome {
            writeln!(stderr, "{mistakes}")?;
        }
        self.print_unread(stderr)?;
        let total = self.total();
        if !total.is_empty() {
            writeln!(stderr, "{total}")?;
        }
        match (self.read.outcome.as_ref(), self.summary) {
            (Ok(loaded), Some(summary)) if !self.are_bad() => {
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

    /// How much there is of everything that is wrong or may be; nothing if there is nothing.
    fn total(&self) -> String {
        let mut parts = Vec::new();
        if let Err(mistakes) = &self.read.outcome {
            let follow_ups = follow_ups(mistakes);
            parts.push(match follow_ups {
                0 => count(mistakes.total(), "error"),
                more => format!(
                    "{} with {} that follow from them",
                    count(mistakes.total(), "error"),
                    count(more, "entry")
                ),
            });
        }
        if self.read.warnings.total() > 0 {
            let strictly = if self.strict {
                ", which are errors with --strict"
            } else {
                ""
            };
            parts.push(format!(
                "{}{strictly}",
                count(self.read.warnings.total(), "warning")
            ));
        }
        parts.join(", ")
    }

    /// The same for programs, in the form that docs/catalog.md describes.
    pub(super) fn add_to(&self, json: &mut Map<String, Value>) {
        let mistakes = self.read.outcome.as_ref().err();
        let list =
            mistakes.map(|mistakes| mistakes.list.iter().map(mistake_json).collect::<Vec<_>>());
        let warnings = &self.read.warnings;
        let members = json!({
            "directory": self.dir.display().to_string(),
            "ok": !self.are_bad(),
            "strict": self.strict,
            "errors": {
                "total": mistakes.map_or(0, Mistakes::total),
                "follow_ups": mistakes.map_or(0, follow_ups),
                "list": list.unwrap_or_default(),
            },
            "warnings": {
                "total": warnings.total(),
                "list": warnings.list.iter().map(warning_json).collect::<Vec<_>>(),
                "unlisted": &warnings.unlisted,
            },
            "unread_files": self.read.unread,
            "summary": self.summary_json(),
        });
        if let Value::Object(members) = members {
            json.extend(members);
        }
    }

    fn summary_json(&self) -> Option<Value> {
        let (loaded, summary) = (self.read.outcome.as_ref().ok()?, self.summary?);
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
            "first_start_sec": span.map(|(first, _)| first),
            "last_start_sec": span.map(|(_, last)| last),
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
        starts().map(|(first, _)| first).min()?,
        starts().map(|(_, last)| last).max()?,
    ))
}

/// The day of a moment in UTC.
fn date(second: EpochSeconds) -> String {
    Timestamp::from_second(second).map_or_else(
        |_| format!("second {second}"),
        |moment| moment.strftime("%Y-%m-%d").to_string(),
    )
}

fn follow_ups(mistakes: &Mistakes) -> usize {
    mistakes.list.iter().map(|mistake| mistake.follow_ups).sum()
}

fn mistake_json(
    Mistake {
        file,
        at,
        text,
        follow_ups,
    }: &Mistake,
) -> Value {
    json!({"file": file, "at": at, "text": text, "follow_ups": follow_ups})
}

fn warning_json(
    Warning {
        kind,
        what: Mistake { file, at, text, .. },
        more_places,
    }: &Warning,
) -> Value {
    json!({"kind": kind, "file": file, "at": at, "text": text, "more_places": more_places})
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
        "first_start_sec": summary.starts.map(|(first, _)| first),
        "last_start_sec": summary.starts.map(|(_, last)| last),
        "price": service.price.map(price_json),
        "ticket_types": tickets.collect::<Vec<_>>(),
    })
}
