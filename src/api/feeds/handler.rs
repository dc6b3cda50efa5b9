//! The export on the admin listener.

use std::{convert::Infallible, sync::Arc};

use futures_util::{Stream, StreamExt, stream::poll_fn};
use http::{HeaderValue, Response, Uri, header::CONTENT_TYPE};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use tokio::sync::{Semaphore, mpsc};
use tonic::body::Body;

use super::{DAYS, ExportLine, export};
use crate::api::{
    booking::{requests::Violations, rest},
    error::ApiError,
};
use kernel::blocking;
use orders::{App, Export, OrderError};

/// Maximum concurrent exports; each has a thread of its own.
const MAX_EXPORTS: usize = 2;

/// Size of a chunk in bytes.
const CHUNK_BYTES: usize = 1 << 16;

/// The content type of an export.
const TEXT: &str = "text/plain; charset=utf-8";

/// Chunks that wait for the client; beyond that the export waits.
const CHUNKS_WAITING: usize = 4;

/// Serves the export of feeds on the admin listener.
#[derive(Debug, Clone)]
pub(crate) struct FeedsHandler {
    app: Arc<App>,
    permits: Arc<Semaphore>,
}

/// The client of the export has disconnected.
struct ReaderGone;

impl FeedsHandler {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self {
            app,
            permits: Arc::new(Semaphore::new(MAX_EXPORTS)),
        }
    }

    /// Streams an export, which is produced while the client reads it.
    pub(crate) fn answer(&self, uri: &Uri) -> Response<Body> {
        match self.begin(uri) {
            Ok(chunks) => {
                let mut answer = Response::new(Body::new(StreamBody::new(chunks)));
                answer
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
                answer
            }
            Err(error) => rest::error_response(&error),
        }
    }

    fn begin(
        &self,
        uri: &Uri,
    ) -> Result<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + use<>, ApiError> {
        let days = days(uri)?;
        let permit = Arc::clone(&self.permits)
            // Without waiting: an export may take minutes, and its client should know at once.
            .try_acquire_owned()
            .map_err(|_| OrderError::Busy)?;
        self.app
            .export(days)
            // Tried once for its error: the export itself borrows the application and is made on
            // its thread.
            .map_err(|error| wrong_days(&format!("is too many: {error}")))?;
        let (sender, mut chunks) = mpsc::channel(CHUNKS_WAITING);
        let app = Arc::clone(&self.app);
        // A million slots take seconds to write, and the client may read more slowly: not on a worker.
        let work = move || {
            let _permit = permit;
            if let Ok(export) = app.export(days) {
                run(&export, sender);
            }
        };
        blocking::start(work).map_err(OrderError::from)?;
        Ok(poll_fn(move |context| chunks.poll_recv(context)).map(|chunk| Ok(Frame::data(chunk))))
    }
}

fn days(uri: &Uri) -> Result<Option<u32>, ApiError> {
    let Some(query) = uri.query() else {
        return Ok(None);
    };
    let given = query
        .strip_prefix(DAYS)
        .and_then(|rest| rest.strip_prefix('=')?.parse().ok());
    given
        .map(Some)
        .ok_or_else(|| wrong_days("must be a number, and nothing else can be asked for"))
}

fn wrong_days(rule: &str) -> ApiError {
    Violations::one(DAYS, rule).into()
}

fn run(exported: &Export<'_>, sender: mpsc::Sender<Bytes>) {
    let mut chunks = ChunkSender {
        buffer: Vec::with_capacity(CHUNK_BYTES),
        sender,
    };
    if export(exported, |line| chunks.put(&line))
        .and_then(|()| chunks.send())
        .is_ok()
    {
        tracing::info!("the feeds were exported");
    } else {
        tracing::warn!("an export of the feeds was not read to its end");
    }
}

/// Collects lines into chunks for the client.
struct ChunkSender {
    buffer: Vec<u8>,
    sender: mpsc::Sender<Bytes>,
}

impl ChunkSender {
    fn put(&mut self, line: &ExportLine<'_>) -> Result<(), ReaderGone> {
        // Writing to memory cannot fail.
        let _ = line.write_to(&mut self.buffer);
        if self.buffer.len() < CHUNK_BYTES {
            Ok(())
        } else {
            self.send()
        }
    }

    fn send(&mut self) -> Result<(), ReaderGone> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES));
        self.sender
            // Blocks this thread, which is the back-pressure of a slow client.
            .blocking_send(chunk.into())
            .map_err(|_| ReaderGone)
    }
}
