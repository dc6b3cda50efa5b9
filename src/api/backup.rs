//! Backups of a running server: its store on the admin listener, and the client.
//!
//! The server lists the segments of the log up to the last acknowledged change and streams the bytes of each. The client
//! writes and verifies the files, so the server needs no directory for them.

use std::convert::Infallible;

use http::Uri;
use serde::{Deserialize, Serialize};

use super::feeds::{FetchError, fetch_bytes};
use store::log::{BackupManifest, SegmentExtent};

mod handler;

pub(crate) use handler::BackupHandler;

/// The path of the list of segments. That of a segment continues it with the number.
pub const PATH: &str = "/backup";

/// The query parameter for the number of bytes of a segment.
const BYTES: &str = "bytes";

/// The version of the list: another number is another form.
const FORM: u32 = 1;

/// The list of segments as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct ManifestJson {
    format: u32,
    store_id: String,
    changes: u64,
    segments: Vec<SegmentJson>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SegmentJson {
    number: u64,
    bytes: u64,
    next_sequence: u64,
    hash: String,
}

/// A list that no server of this version sends.
#[derive(Debug, thiserror::Error)]
#[error("the server does not speak of its store as this program does; are they of one version?")]
pub struct MalformedManifest;

/// Why a running server does not hand out its store.
#[derive(Debug, thiserror::Error)]
pub enum BackupFetchError {
    /// The request has failed.
    #[error(transparent)]
    Fetch(#[from] FetchError<Infallible>),
    /// The list of segments is not one.
    #[error(transparent)]
    Malformed(#[from] MalformedManifest),
}

/// What a backup of the server with this admin listener has to hold now.
///
/// # Errors
/// [`BackupFetchError`].
pub async fn fetch_manifest(server: &Uri) -> Result<BackupManifest, BackupFetchError> {
    let bytes = fetch_bytes(server, PATH).await?;
    Ok(decode(&bytes).ok_or(MalformedManifest)?)
}

/// The bytes of a segment.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch_segment(
    server: &Uri,
    extent: &SegmentExtent,
) -> Result<Vec<u8>, FetchError<Infallible>> {
    let SegmentExtent { number, bytes, .. } = extent;
    fetch_bytes(server, &format!("{PATH}/{number}?{BYTES}={bytes}")).await
}

fn encode(manifest: &BackupManifest) -> serde_json::Result<Vec<u8>> {
    let mut segments = Vec::with_capacity(manifest.segments.len());
    for extent in &manifest.segments {
        segments.push(SegmentJson {
            number: extent.number,
            bytes: extent.bytes,
            next_sequence: extent.next_sequence,
            hash: data_encoding::HEXLOWER.encode(&extent.hash),
        });
    }
    serde_json::to_vec(&ManifestJson {
        format: FORM,
        store_id: manifest.store_id.clone(),
        changes: manifest.changes,
        segments,
    })
}

fn decode(bytes: &[u8]) -> Option<BackupManifest> {
    let json: ManifestJson = serde_json::from_slice(bytes).ok()?;
    let mut segments = Vec::with_capacity(json.segments.len());
    for (number, segment) in (1..).zip(json.segments) {
        let hash = data_encoding::HEXLOWER
            .decode(segment.hash.as_bytes())
            .ok()?;
        if segment.number != number {
            return None;
        }
        segments.push(SegmentExtent {
            number,
            bytes: segment.bytes,
            next_sequence: segment.next_sequence,
            hash: hash.try_into().ok()?,
        });
    }
    (json.format == FORM && !segments.is_empty()).then_some(BackupManifest {
        store_id: json.store_id,
        changes: json.changes,
        segments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> BackupManifest {
        let extent = |number, bytes| SegmentExtent {
            number,
            bytes,
            next_sequence: number * 10,
            hash: [7; 16],
        };
        BackupManifest {
            store_id: "0f".repeat(16),
            changes: 19,
            segments: vec![extent(1, 64 << 20), extent(2, 5000)],
        }
    }

    #[test]
    fn a_list_of_segments_reads_back_and_another_form_does_not() {
        let text = String::from_utf8(encode(&manifest()).unwrap()).unwrap();
        assert_eq!(decode(text.as_bytes()), Some(manifest()));
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("\"number\":2", "\"number\":3"),
            ("0707", "07"),
            ("\"changes\":19", "\"changes\":-1"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text);
            assert_eq!(decode(other.as_bytes()), None, "{other}");
        }
    }
}
