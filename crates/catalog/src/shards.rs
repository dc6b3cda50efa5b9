//! Whether the files of one feed belong together and are complete.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::{
    diagnostics::{Cursor, DiagnosticSink},
    json::{Field, FromJson, message},
};

/// Most files of one feed.
const MAX_SHARDS: i64 = 1_000;

message! {
    /// The metadata of a feed file.
    written Metadata {
        processing_instruction: ProcessingInstruction,
        shard_number: i64,
        total_shards: i64,
        nonce: u64,
        generation_timestamp: i64,
    }
}

/// The processing instruction of a feed.
#[derive(Debug, Serialize)]
pub(super) enum ProcessingInstruction {
    /// The feed replaces its predecessor: the only supported instruction.
    #[serde(rename = "PROCESS_AS_COMPLETE")]
    Complete,
    /// An instruction of a later version of the feeds; never written.
    Unknown,
}

/// The instruction of partial feeds, which are not supported. Its name and number are known so that it is
/// rejected: a part taken for the whole would withdraw everything else.
const INCREMENTAL: (&str, i128) = ("PROCESS_AS_INCREMENTAL", 2);

impl FromJson for ProcessingInstruction {
    const EXPECTED: &'static str = "\"PROCESS_AS_COMPLETE\"";
    const IS_NUMBER: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "PROCESS_AS_COMPLETE" => Some(Self::Complete),
            _ => (text != INCREMENTAL.0).then_some(Self::Unknown),
        }
    }

    fn from_integer(integer: i128) -> Option<Self> {
        match integer {
            1 => Some(Self::Complete),
            _ => (integer != INCREMENTAL.1).then_some(Self::Unknown),
        }
    }
}

/// A file of a feed.
pub(super) struct ShardFile {
    pub(super) file: String,
    pub(super) metadata: Field<Metadata>,
    /// Whether it was read to its end; otherwise its metadata may be in the unread part.
    pub(super) to_the_end: bool,
}

/// A file with its metadata.
struct Labelled {
    file: String,
    number: i64,
    total: i64,
    nonce: u64,
    timestamp: i64,
}

/// Whether a feed has one file, which needs no metadata, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShardCount {
    One,
    Several,
}

/// Whether these files are one complete feed; anything else is reported. A single file needs no metadata.
pub(super) fn are_complete(shards: Vec<ShardFile>, sink: &DiagnosticSink) -> bool {
    let files = shards.len();
    let count = if files == 1 {
        ShardCount::One
    } else {
        ShardCount::Several
    };
    let labelled: Vec<Labelled> = shards
        .into_iter()
        .filter_map(|shard| label(shard, count, sink))
        .collect();
    let Some((first, others)) = labelled.split_first() else {
        // Several files without metadata may be of different exports, so they are no feed.
        return count == ShardCount::One;
    };
    let alike = others.iter().all(|other| agree(first, other, sink));
    labelled.len() == files && alike && none_is_missing(&labelled, sink)
}

fn label(shard: ShardFile, count: ShardCount, sink: &DiagnosticSink) -> Option<Labelled> {
    let file = sink.file(&shard.file);
    let at = file.key("metadata");
    // A file that ended early has an error already, and the metadata may have come later.
    if shard.metadata.is_absent() && shard.to_the_end && count == ShardCount::Several {
        at.error(
            "missing",
            "is missing; files of one feed are distinguished by their shard_number",
        );
    }
    let Metadata {
        processing_instruction,
        shard_number,
        total_shards,
        nonce,
        generation_timestamp,
        others: _,
    } = shard.metadata.optional(&at)?;
    let instruction_at = at.key("processing_instruction");
    if let Some(ProcessingInstruction::Unknown) = processing_instruction.optional(&instruction_at) {
        let text =
            "is an instruction that this server does not know; the feed is read as a complete one";
        instruction_at.warning("unknown_processing_instruction", text);
    }
    let nonce = given_or(0, nonce, &at.key("nonce"));
    let timestamp = given_or(0, generation_timestamp, &at.key("generation_timestamp"));
    // In protobuf JSON absent numbers are 0; a feed of one file may leave out its count.
    let total = within(1..=MAX_SHARDS, 1, total_shards, &at.key("total_shards"))?;
    // Shards count from 0, so the last number is one below the total.
    let number = within(0..=total - 1, 0, shard_number, &at.key("shard_number"))?;
    Some(Labelled {
        file: shard.file,
        number,
        total,
        nonce: nonce?,
        timestamp: timestamp?,
    })
}

fn given_or<T>(otherwise: T, field: Field<T>, at: &Cursor<'_>) -> Option<T> {
    if field.is_absent() {
        Some(otherwise)
    } else {
        field.optional(at)
    }
}

fn within(
    range: RangeInclusive<i64>,
    otherwise: i64,
    field: Field<i64>,
    at: &Cursor<'_>,
) -> Option<i64> {
    let value = given_or(otherwise, field, at)?;
    if range.contains(&value) {
        return Some(value);
    }
    at.error(
        "out_of_range",
        format!(
            "expected {} to {}, found {value}",
            range.start(),
            range.end()
        ),
    );
    None
}

fn agree(first: &Labelled, other: &Labelled, sink: &DiagnosticSink) -> bool {
    let file = sink.file(&other.file);
    let at = file.key("metadata");
    let mut alike = true;
    let mut compare = |name: &str, is: String, wanted: String| {
        if is != wanted {
            alike = false;
            at.key(name).error(
                "contradiction",
                format!("is {is}, but {wanted} in {}", first.file),
            );
        }
    };
    compare(
        "total_shards",
        other.total.to_string(),
        first.total.to_string(),
    );
    compare("nonce", other.nonce.to_string(), first.nonce.to_string());
    compare(
        "generation_timestamp",
        other.timestamp.to_string(),
        first.timestamp.to_string(),
    );
    alike
}

fn none_is_missing(shards: &[Labelled], sink: &DiagnosticSink) -> bool {
    let mut whole = true;
    for (at, shard) in shards.iter().enumerate() {
        if let Some(twin) = shards[..at].iter().find(|twin| twin.number == shard.number) {
            whole = false;
            let file = sink.file(&shard.file);
            let text = format!("is {}, as in {}", shard.number, twin.file);
            file.key("metadata")
                .key("shard_number")
                .error("duplicate", text);
        }
    }
    let total = shards[0].total;
    // A missing file would withdraw its services, so the whole feed is rejected.
    for number in (0..total).filter(|number| shards.iter().all(|shard| shard.number != *number)) {
        whole = false;
        let file = sink.file(&shards[0].file);
        let text = format!("is {total}, but there is no file with shard_number {number}");
        file.key("metadata")
            .key("total_shards")
            .error("missing_file", text);
    }
    whole
}
