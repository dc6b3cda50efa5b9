//! Customers on the admin listener.

use std::{io, ops::ControlFlow, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::poll_fn};
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{Full, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tonic::body::Body;

use super::{ErasedJson, ExportError, export, request};
use crate::api::{booking::rest, error::ApiError};
use domain::ids::UserId;
use kernel::blocking;
use orders::{App, OrderError};
use store::{CommitError, EraseError, ErrorChain};

/// Maximum concurrent requests, each with a thread of its own.
const MAX_REQUESTS: usize = 2;

/// Maximum size of a request. A user id has 1,024 bytes at most, and six times as many as JSON.
const MAX_BYTES: usize = 8 << 10;

/// Most time for a request to arrive.
const MAX_ARRIVAL: Duration = Duration::from_secs(5);

/// Pieces of an export that wait for the client; beyond that the store is not read.
const PIECES_WAITING: usize = 16;

/// The content type of requests and answers.
const JSON: &str = "application/json";

/// Exports and erases customers of a running server.
#[derive(Debug, Clone)]
pub(crate) struct CustomersHandler {
    /// `None` where that is off.
    app: Option<Arc<App>>,
    permits: Arc<Semaphore>,
}

impl CustomersHandler {
    pub(crate) fn new(app: Option<Arc<App>>) -> Self {
        Self {
            app,
            permits: Arc::new(Semaphore::new(MAX_REQUESTS)),
        }
    }

    /// Erases the customer that a request names.
    pub(crate) async fn answer_erase(&self, request: Request<axum::body::Body>) -> Response<Body> {
        match self.erase(request).await {
            Ok(json) => response(Body::new(Full::new(Bytes::from(json)))),
            Err(error) => rest::error_response(&error),
        }
    }

    async fn erase(&self, request: Request<axum::body::Body>) -> Result<Vec<u8>, ApiError> {
        let (app, permit) = self.begin()?;
        let user_id = user_id(request).await?;
        // The permit is that of the erasure, which goes on if its client leaves.
        let erasing = tokio::spawn(async move {
            let _permit = permit;
            app.erase_customer(user_id).await
        });
        let erased = erasing.await.unwrap_or(Err(EraseError::Panicked));
        let orders = erased.map_err(|error| erase_failed(&error))?;
        serde_json::to_vec(&ErasedJson { orders })
            .map_err(|error| ApiError::Internal(error.to_string()))
    }

    /// Streams the data of the customer that a request names.
    pub(crate) async fn answer_export(&self, request: Request<axum::body::Body>) -> Response<Body> {
        match self.export(request).await {
            Ok(body) => response(body),
            Err(error) => rest::error_response(&error),
        }
    }

    async fn export(&self, request: Request<axum::body::Body>) -> Result<Body, ApiError> {
        let (app, permit) = self.begin()?;
        let user_id = user_id(request).await?;
        let (sender, mut pieces) = mpsc::channel(PIECES_WAITING);
        let export = CustomerExport {
            app,
            user_id,
            sender,
            _permit: permit,
        };
        blocking::start(move || export.run()).map_err(OrderError::from)?;
        let pieces = poll_fn(move |context| pieces.poll_recv(context));
        Ok(Body::new(StreamBody::new(
            pieces.map(|piece: io::Result<Bytes>| piece.map(Frame::data)),
        )))
    }

    fn begin(&self) -> Result<(Arc<App>, OwnedSemaphorePermit), ApiError> {
        let app = self.app.clone().ok_or(ApiError::AdminNotFound)?;
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| OrderError::Busy)?;
        Ok((app, permit))
    }
}

/// The customer that a request names.
async fn user_id(request: Request<axum::body::Body>) -> Result<UserId, ApiError> {
    // A page of another origin can send a form or plain text without a preflight.
    if !is_json(request.headers()) {
        return Err(ApiError::UnsupportedMediaType(
            "this URL takes `application/json` only",
        ));
    }
    let body = axum::body::to_bytes(request.into_body(), MAX_BYTES);
    let body = timeout(MAX_ARRIVAL, body)
        .await
        .map_err(|_| ApiError::DeadlineExceeded)?
        .map_err(|_| ApiError::RequestTooLarge)?;
    request::read(&body)
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = given.and_then(|given| given.split(|byte| *byte == b';').next());
    essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(JSON.as_bytes()))
}

/// The error of an erasure. Its cause is logged, and names no customer.
pub(in crate::api) fn erase_failed(error: &EraseError) -> ApiError {
    tracing::error!(error = %ErrorChain(error), "the personal data of a customer was not erased, or not all of it");
    match error {
        EraseError::Commit(CommitError::Unavailable) => OrderError::StoreUnavailable.into(),
        EraseError::Commit(
            CommitError::Write(_)
            | CommitError::WriterPanicked
            | CommitError::WriterStopped
            | CommitError::FilesRemoved
            | CommitError::FilesMoved(_),
        ) => ApiError::RestartNeeded,
        EraseError::NoThread => OrderError::NoThread.into(),
        EraseError::Partly { .. } | EraseError::Read(_) | EraseError::Overwrite(_) => {
            ApiError::Unreadable(ErrorChain(error).to_string())
        }
        EraseError::Commit(
            CommitError::Stale(_) | CommitError::Unreadable(_) | CommitError::TooLarge(_),
        )
        | EraseError::Panicked => OrderError::Bug.into(),
    }
}

/// An export that is being read for a client.
struct CustomerExport {
    app: Arc<App>,
    user_id: UserId,
    sender: mpsc::Sender<io::Result<Bytes>>,
    _permit: OwnedSemaphorePermit,
}

impl CustomerExport {
    fn run(self) {
        match self.send() {
            Ok(unreadable) => self.app.record_customer_export(&unreadable),
            Err(error) => {
                tracing::error!(%error, "the personal data of a customer could not be exported");
                // The error ends the response early; a client that is gone needs none.
                let _ = self.sender.blocking_send(Err(io::Error::other(error)));
            }
        }
    }

    fn send(&self) -> Result<Vec<String>, ExportError> {
        export(self.app.store(), &self.user_id, &mut |piece| {
            // Blocks this thread, which is the back-pressure of a slow client.
            match self.sender.blocking_send(Ok(piece.into())) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })
    }
}

fn response(body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    answer
}
