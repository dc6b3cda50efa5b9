//! The store on the admin listener.

use std::{io, path::PathBuf, sync::Arc};

use futures_util::{StreamExt, stream::poll_fn};
use http::{HeaderValue, Response, Uri, header::CONTENT_TYPE};
use http_body_util::{Full, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::body::Body;

use super::{BYTES, PATH, encode};
use crate::api::{
    booking::{requests::Violations, rest},
    error::ApiError,
};
use kernel::blocking;
use orders::OrderError;
use store::log::{BackupError, BackupSource};

/// Maximum concurrent requests, each with a thread of its own.
const MAX_REQUESTS: usize = 2;

/// Size of a chunk in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// Chunks that wait for the client; beyond that the disk is not read.
const CHUNKS_WAITING: usize = 4;

/// Hands out the store of a running server. It reads the files beside the writer, which never waits for it.
#[derive(Debug, Clone)]
pub(crate) struct BackupHandler {
    /// The data directory; `None` where backups are off, or orders are kept in memory.
    data_dir: Option<PathBuf>,
    permits: Arc<Semaphore>,
}

impl BackupHandler {
    pub(crate) fn new(data_dir: Option<PathBuf>) -> Self {
        Self {
            data_dir,
            permits: Arc::new(Semaphore::new(MAX_REQUESTS)),
        }
    }

    /// Answers with the list of segments.
    pub(crate) async fn answer_manifest(&self) -> Response<Body> {
        match self.manifest().await {
            Ok(json) => response(Body::new(Full::new(Bytes::from(json))), "application/json"),
            Err(error) => rest::error_response(&error),
        }
    }

    async fn manifest(&self) -> Result<Vec<u8>, ApiError> {
        let (data_dir, permit) = self.begin()?;
        // It reads a segment, and the control thread has probes to answer.
        let made = blocking::run(move || {
            let _permit = permit;
            let manifest = BackupSource::open(&data_dir)
                .map_err(BackupError::from)
                .and_then(|source| source.manifest());
            manifest.map_err(|error| error.to_string())
        });
        let manifest = made.await.map_err(OrderError::from)?;
        let manifest = manifest.map_err(ApiError::Internal)?;
        encode(&manifest).map_err(|error| ApiError::Internal(error.to_string()))
    }

    /// Streams the bytes of a segment, which are read while the client takes them.
    pub(crate) fn answer_segment(&self, uri: &Uri) -> Response<Body> {
        match self.segment(uri) {
            Ok(body) => response(body, "application/octet-stream"),
            Err(error) => rest::error_response(&error),
        }
    }

    fn segment(&self, uri: &Uri) -> Result<Body, ApiError> {
        let (data_dir, permit) = self.begin()?;
        let number = uri
            .path()
            .strip_prefix(PATH)
            .and_then(|rest| rest.strip_prefix('/'));
        let number = number
            .and_then(|number| number.parse().ok())
            .ok_or(ApiError::AdminNotFound)?;
        let bytes = uri.query().and_then(|query| query.strip_prefix(BYTES));
        let bytes = bytes.and_then(|rest| rest.strip_prefix('=')?.parse().ok());
        let bytes = bytes.ok_or_else(|| Violations::one(BYTES, "must be a number"))?;
        let (sender, mut chunks) = mpsc::channel(CHUNKS_WAITING);
        let read = SegmentRead {
            data_dir,
            number,
            bytes,
            sender,
            _permit: permit,
        };
        blocking::start(move || read.run()).map_err(OrderError::from)?;
        let chunks = poll_fn(move |context| chunks.poll_recv(context));
        Ok(Body::new(StreamBody::new(
            chunks.map(|chunk: io::Result<Bytes>| chunk.map(Frame::data)),
        )))
    }

    fn begin(&self) -> Result<(PathBuf, OwnedSemaphorePermit), ApiError> {
        let data_dir = self.data_dir.clone().ok_or(ApiError::AdminNotFound)?;
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| OrderError::Busy)?;
        Ok((data_dir, permit))
    }
}

/// A segment that is being read for a client.
struct SegmentRead {
    data_dir: PathBuf,
    number: u64,
    bytes: u64,
    sender: mpsc::Sender<io::Result<Bytes>>,
    _permit: OwnedSemaphorePermit,
}

impl SegmentRead {
    fn run(self) {
        if let Err(error) = self.send() {
            tracing::warn!(segment = self.number, %error, "a segment could not be read for a backup");
            // The error ends the response before its length; a client that is gone needs none.
            let _ = self.sender.blocking_send(Err(error));
        }
    }

    fn send(&self) -> io::Result<()> {
        let source = BackupSource::open(&self.data_dir).map_err(io::Error::other)?;
        let file = source.segment(self.number)?;
        let mut at = 0;
        while at < self.bytes {
            let length = usize::try_from(self.bytes - at).unwrap_or(CHUNK_BYTES);
            let mut chunk = vec![0; length.min(CHUNK_BYTES)];
            file.read_exact_at(&mut chunk, at)?;
            at += chunk.len() as u64;
            // Blocks this thread, which is the back-pressure of a slow client.
            if self.sender.blocking_send(Ok(chunk.into())).is_err() {
                tracing::warn!(segment = self.number, "a backup was not read to its end");
                return Ok(());
            }
        }
        Ok(())
    }
}

fn response(body: Body, content_type: &'static str) -> Response<Body> {
    let mut answer = Response::new(body);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
