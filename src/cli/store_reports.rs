//! The commands `store verify` and `store info`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::ArgMatches;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Action, IO, SUCCESS,
    check_catalog::Format,
    commands::{DATA, FORMAT, INFO},
    error::CliError,
    progress::ByteBar,
    table::grouped,
};
use domain::time::EpochSeconds;
use store::log::{self, StoreInfo, Verification};

/// The version of the JSON of `--format json`: another number is another form.
const JSON_FORM: u32 = 1;

/// `store verify`.
#[derive(Debug, PartialEq)]
pub(super) struct StoreVerification {
    data_dir: PathBuf,
}

/// `store info`.
#[derive(Debug, PartialEq)]
pub(super) struct StoreInformation {
    data_dir: PathBuf,
    format: Format,
}

/// The action that the arguments ask for.
pub(super) fn action(arguments: &ArgMatches) -> Action {
    let (name, arguments) = arguments.subcommand().expect("the parser requires one");
    let data_dir: &PathBuf = arguments.get_one(DATA).expect("the parser requires it");
    let data_dir = data_dir.clone();
    if name == INFO {
        let format: &Format = arguments.get_one(FORMAT).expect("it has a default");
        Action::ShowStore(StoreInformation {
            data_dir,
            format: *format,
        })
    } else {
        Action::VerifyStore(StoreVerification { data_dir })
    }
}

/// Fails if there is no store in a directory.
pub(super) fn require_store(dir: &Path) -> Result<(), CliError> {
    if log::has_store(dir) {
        Ok(())
    } else {
        Err(CliError::NoStore(dir.to_owned()))
    }
}

impl StoreVerification {
    /// Prints the result, with all damage. Returns the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        let verified = match self.verify() {
            Ok(verified) => verified,
            Err(error) => return error.print(stdout, stderr),
        };
        for finding in &verified.findings {
            writeln!(stderr, "{finding}")?;
        }
        if verified.unfinished > 0 {
            writeln!(
                stderr,
                "an erasure is unfinished: the personal data of {} orders is still to be overwritten; the next start \
                 does that",
                grouped(verified.unfinished)
            )?;
        }
        if let Some(fault) = verified.watermark {
            writeln!(stderr, "{fault}; the next start writes it anew")?;
        }
        if verified.findings.is_empty() {
            writeln!(stdout, "{}; no damage", extent(&verified))?;
            return Ok(SUCCESS);
        }
        writeln!(
            stderr,
            "damage in {} of {}. Restore a backup to an empty data directory",
            places(verified.findings.len()),
            self.data_dir.display()
        )?;
        Ok(IO)
    }

    fn verify(&self) -> Result<Verification, CliError> {
        require_store(&self.data_dir)?;
        let bar = ByteBar::new();
        Ok(log::verify(&self.data_dir, &mut |progress| {
            bar.show(progress);
        })?)
    }
}

/// What was verified, in a line.
pub(super) fn extent(verified: &Verification) -> String {
    let Verification {
        changes,
        orders,
        segments,
        bytes,
        ..
    } = verified;
    format!(
        "{} changes, among them {} orders, in {segments} segments of {} bytes",
        grouped(*changes),
        grouped(*orders),
        grouped(*bytes)
    )
}

fn places(number: usize) -> String {
    match number {
        1 => "1 place".to_owned(),
        number => format!("{number} places"),
    }
}

impl StoreInformation {
    /// Prints what is in the store. Returns the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        let info = match self.inspect() {
            Ok(info) => info,
            Err(error) => return error.print(stdout, stderr),
        };
        match self.format {
            Format::Text => write!(stdout, "{}", text(&info))?,
            Format::Json => writeln!(stdout, "{:#}", json(&info))?,
        }
        for cut in &info.cut {
            writeln!(stderr, "{cut}")?;
        }
        // Not in the form for programs, which keeps its fields.
        if let Some(fault) = info.watermark {
            writeln!(stderr, "{fault}; the next start writes it anew")?;
        }
        Ok(SUCCESS)
    }

    fn inspect(&self) -> Result<StoreInfo, CliError> {
        require_store(&self.data_dir)?;
        log::inspect(&self.data_dir)?.ok_or_else(|| CliError::NoStore(self.data_dir.clone()))
    }
}

fn text(info: &StoreInfo) -> String {
    use std::fmt::Write as _;

    let in_use = if info.is_in_use { "yes" } else { "no" };
    let rows = [
        ("format", info.format.to_owned()),
        ("store id", info.store_id.clone()),
        ("in use", in_use.to_owned()),
        ("orders", grouped(info.orders)),
        ("changes", grouped(info.changes)),
        ("bytes", grouped(info.bytes)),
        ("segments", grouped(info.segments)),
        ("first order", moment(info.first_order_sec)),
        ("last order", moment(info.last_order_sec)),
        ("payments without outcome", grouped(info.open_intents)),
        ("holds", grouped(info.active_holds)),
        ("slots with blocks", grouped(info.blocked_slots)),
        ("lifecycle revisions", grouped(info.lifecycle_revisions)),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        // Writing to memory cannot fail.
        let _ = writeln!(text, "{name:<26}{value}");
    }
    text
}

fn moment(second: Option<EpochSeconds>) -> String {
    let moment = second.and_then(|second| Timestamp::from_second(second.get()).ok());
    moment.map_or_else(|| "none".to_owned(), |moment| moment.to_string())
}

fn json(info: &StoreInfo) -> Value {
    json!({
        "format": JSON_FORM,
        "store_format": info.format,
        "store_id": info.store_id,
        "in_use": info.is_in_use,
        "orders": info.orders,
        "changes": info.changes,
        "bytes": info.bytes,
        "segments": info.segments,
        "first_order_sec": info.first_order_sec.map(EpochSeconds::get),
        "last_order_sec": info.last_order_sec.map(EpochSeconds::get),
        "open_intents": info.open_intents,
        "active_holds": info.active_holds,
        "blocked_slots": info.blocked_slots,
        "lifecycle_revisions": info.lifecycle_revisions,
    })
}
