//! Answers as tables for people, as JSON and as comma-separated values.

use std::{
    io::{self, Write},
    mem,
};

use clap::ArgMatches;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use serde_json::Value;

use super::{CSV, JSON, JSON_LINES, connection::RequestFailed};
use crate::{
    api::operator::proto::v1,
    cli::table::{self, Align},
};
use domain::money::{Currency, Money};

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputFormat {
    Table,
    Json,
    JsonLines,
    Csv,
}

impl OutputFormat {
    /// The format that the flags ask for, of which one at most is given.
    pub(super) fn of(arguments: &ArgMatches) -> Self {
        let flags = [
            (JSON, Self::Json),
            (JSON_LINES, Self::JsonLines),
            (CSV, Self::Csv),
        ];
        let mut given = flags
            .into_iter()
            .filter(|(flag, _)| arguments.get_flag(flag));
        given.next().map_or(Self::Table, |(_, format)| format)
    }
}

/// A column: its name for programs, its heading, its alignment.
pub(super) type Column = (&'static str, &'static str, Align);

/// An answer in every form.
#[derive(Debug)]
pub(super) struct Report {
    /// What is said before the table.
    pub(super) title: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) json: Value,
    /// What is said beside the answer, such as that there is more.
    pub(super) note: Option<String>,
    /// What has ended the answer before its end.
    pub(super) failed: Option<RequestFailed>,
}

impl Report {
    /// A report of a table.
    pub(super) fn new(
        columns: Vec<Column>,
        rows: Vec<Vec<String>>,
        answer: &impl Serialize,
    ) -> Self {
        Self {
            title: String::new(),
            columns,
            rows,
            // Every message has a JSON form.
            json: serde_json::to_value(answer).unwrap_or_default(),
            note: None,
            failed: None,
        }
    }

    /// A report of a text.
    pub(super) fn of_text(text: String, answer: &impl Serialize) -> Self {
        Self {
            title: text,
            ..Self::new(Vec::new(), Vec::new(), answer)
        }
    }

    pub(super) fn print(&self, format: OutputFormat, stdout: &mut dyn Write) -> io::Result<()> {
        match format {
            OutputFormat::Table => self.print_table(stdout),
            OutputFormat::Json => {
                serde_json::to_writer_pretty(&mut *stdout, &self.json)?;
                writeln!(stdout)
            }
            OutputFormat::JsonLines => self.print_json_lines(stdout),
            OutputFormat::Csv if self.columns.is_empty() => {
                write!(stdout, "{}", printable_lines(&self.title))
            }
            OutputFormat::Csv => {
                self.print_names(stdout)?;
                self.print_values(stdout)
            }
        }
    }

    fn print_table(&self, stdout: &mut dyn Write) -> io::Result<()> {
        let columns: Vec<_> = self.columns.iter().map(|it| (it.1, it.2)).collect();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| printable(cell)).collect())
            .collect();
        write!(stdout, "{}", printable_lines(&self.title))?;
        if columns.is_empty() {
            return Ok(());
        }
        write!(stdout, "{}", table::table("", &columns, &rows))
    }

    /// Each element of a list on a line; an answer that is none on one line.
    fn print_json_lines(&self, stdout: &mut dyn Write) -> io::Result<()> {
        let list = self.json.as_array();
        let elements = list.map(Vec::as_slice);
        for element in elements.unwrap_or(std::slice::from_ref(&self.json)) {
            writeln!(stdout, "{element}")?;
        }
        Ok(())
    }

    /// The first line of comma-separated values.
    fn print_names(&self, stdout: &mut dyn Write) -> io::Result<()> {
        let names = self.columns.iter().map(|column| column.0);
        writeln!(stdout, "{}", names.collect::<Vec<_>>().join(","))
    }

    /// The other lines.
    fn print_values(&self, stdout: &mut dyn Write) -> io::Result<()> {
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            writeln!(stdout, "{}", cells.join(","))?;
        }
        Ok(())
    }
}

/// Reports of the same form one after the other: tables, lines of JSON, or rows of one table of comma-separated values.
pub(super) struct ReportSeries<'w> {
    format: OutputFormat,
    stdout: &'w mut dyn Write,
    is_first: bool,
}

impl<'w> ReportSeries<'w> {
    pub(super) fn new(format: OutputFormat, stdout: &'w mut dyn Write) -> Self {
        Self {
            format,
            stdout,
            is_first: true,
        }
    }

    pub(super) fn print(&mut self, report: &Report) -> io::Result<()> {
        let is_first = mem::take(&mut self.is_first);
        let stdout = &mut *self.stdout;
        match self.format {
            OutputFormat::Table => {
                if !is_first {
                    writeln!(stdout)?;
                }
                report.print_table(stdout)?;
            }
            OutputFormat::Json | OutputFormat::JsonLines => {
                writeln!(stdout, "{}", report.json)?;
            }
            OutputFormat::Csv => {
                if is_first {
                    report.print_names(stdout)?;
                }
                report.print_values(stdout)?;
            }
        }
        // Each report is read as it is written.
        stdout.flush()
    }
}

/// Characters that turn the direction of a line, with what stands behind the name in it.
const TURNING: [char; 9] = [
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}',
    '\u{2069}',
];

/// A text without characters that a terminal would obey: names are what customers have typed.
fn printable(text: &str) -> String {
    let plain = |letter: char| {
        if letter.is_control() || TURNING.contains(&letter) {
            '\u{fffd}'
        } else {
            letter
        }
    };
    text.chars().map(plain).collect()
}

fn printable_lines(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        lines.push_str(&printable(line));
        lines.push('\n');
    }
    lines
}

/// Characters with which spreadsheets begin a formula.
const FORMULA_BEGINNINGS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A cell, in quotes where RFC 4180 asks for them. What a spreadsheet would compute has an apostrophe before it: names
/// are what customers have typed.
fn quoted(cell: &str) -> String {
    let prefix = if cell.starts_with(FORMULA_BEGINNINGS) {
        "'"
    } else {
        ""
    };
    let cell = format!("{prefix}{cell}");
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

/// A moment in a time zone; empty if there is none.
pub(super) fn local(time: Option<&pbjson_types::Timestamp>, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let Some(at) = time.and_then(|time| Timestamp::from_second(time.seconds).ok()) else {
        return String::new();
    };
    let moment = at.to_zoned_datetime(zone);
    moment.strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// An amount; empty if there is none.
pub(super) fn price(amount: Option<&v1::Amount>) -> String {
    let Some(v1::Amount {
        micros,
        currency_code,
    }) = amount
    else {
        return String::new();
    };
    match Currency::from_code(currency_code) {
        Some(currency) => table::price(Money::from_micros(*micros, currency)),
        None => format!("{micros} micros {currency_code}"),
    }
}

/// Tickets in words, such as `2 Adult, 1 Child`; `1 appointment` without tickets.
pub(super) fn tickets(tickets: &[v1::Tickets]) -> String {
    if tickets.is_empty() {
        return "1 appointment".to_owned();
    }
    let mut words = Vec::new();
    for ticket in tickets {
        let name = if ticket.ticket_name.is_empty() {
            &ticket.ticket_id
        } else {
            &ticket.ticket_name
        };
        words.push(format!("{} {name}", ticket.count));
    }
    words.join(", ")
}

/// The id in the name of an order.
pub(super) fn id(name: &str) -> &str {
    name.strip_prefix("orders/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_cell_is_a_formula_to_a_spreadsheet() {
        for (cell, expected) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+49 30 1234", "'+49 30 1234"),
            ("-1", "'-1"),
            ("@SUM(1,2)", "\"'@SUM(1,2)\""),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("Ada", "Ada"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(quoted(cell), expected);
        }
    }

    #[test]
    fn a_table_has_no_characters_that_turn_its_lines() {
        assert_eq!(printable("a\u{202e}b\u{2066}c"), "a\u{fffd}b\u{fffd}c");
    }

    fn printed(format: OutputFormat) -> String {
        let columns = vec![("name", "Name", Align::Left), ("count", "N", Align::Right)];
        let rows = vec![
            vec!["a, \"b\"".to_owned(), "1".to_owned()],
            vec!["\u{1b}[2J".to_owned(), "20".to_owned()],
        ];
        let report = Report::new(columns, rows, &["x", "y"]);
        let mut text = Vec::new();
        report.print(format, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_report_has_four_forms() {
        let table = "Name     N\na, \"b\"   1\n\u{fffd}[2J    20\n";
        assert_eq!(printed(OutputFormat::Table), table);
        assert_eq!(printed(OutputFormat::Json), "[\n  \"x\",\n  \"y\"\n]\n");
        assert_eq!(printed(OutputFormat::JsonLines), "\"x\"\n\"y\"\n");
        let csv = "name,count\n\"a, \"\"b\"\"\",1\n\u{1b}[2J,20\n";
        assert_eq!(printed(OutputFormat::Csv), csv);
    }

    #[test]
    fn reports_in_a_series_have_one_form() {
        let rows = vec![vec!["a".to_owned()]];
        let report = Report::new(vec![("name", "Name", Align::Left)], rows, &["x"]);
        for (format, expected) in [
            (OutputFormat::Table, "Name\na\n\nName\na\n"),
            (OutputFormat::Json, "[\"x\"]\n[\"x\"]\n"),
            (OutputFormat::JsonLines, "[\"x\"]\n[\"x\"]\n"),
            (OutputFormat::Csv, "name\na\na\n"),
        ] {
            let mut text = Vec::new();
            let mut series = ReportSeries::new(format, &mut text);
            series.print(&report).unwrap();
            series.print(&report).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    #[test]
    fn moments_are_those_of_the_merchant() {
        let at = pbjson_types::Timestamp {
            seconds: 1_768_591_800,
            nanos: 0,
        };
        assert_eq!(local(Some(&at), "Asia/Tokyo"), "2026-01-17 04:30 JST");
        assert_eq!(local(Some(&at), "nowhere"), "2026-01-16 19:30 UTC");
        assert_eq!(local(None, "UTC"), "");
    }
}
