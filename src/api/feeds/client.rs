//! The client of a running server's export.

use std::{convert::Infallible, io, time::Duration};

use http::{
    Request, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::{
    DAYS, PATH,
    lines::{ExportLine, MalformedLine},
};

/// The longest silence of the server.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Why there is no export, or only a part of it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError<E> {
    /// The address is not that of an HTTP server.
    #[error("expected an address like http://127.0.0.1:50052")]
    Address,
    /// The server cannot be reached.
    #[error("the server cannot be reached: {0}")]
    Unreachable(io::Error),
    /// The server does not speak HTTP, or the connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The export ended before its last line.
    #[error("the export is incomplete: the connection ended early")]
    Unfinished,
    /// The server has sent nothing for too long.
    #[error("the server has sent nothing for {} s", MAX_SILENCE.as_secs())]
    Silent,
    /// The server rejects the request.
    #[error("the server rejected the request ({status}): {message}")]
    Rejected {
        /// The status of its response.
        status: StatusCode,
        /// The reason.
        message: String,
    },
    /// The server sends something else than an export.
    #[error(transparent)]
    MalformedLine(#[from] MalformedLine),
    /// The consumer of the lines has failed.
    #[error(transparent)]
    Taker(E),
}

/// Whether an address is that of an HTTP server.
#[must_use]
pub fn can_ask(server: &Uri) -> bool {
    server.scheme_str() == Some("http") && server.authority().is_some()
}

/// Requests the slots that start within `days`, or all of them, from the admin listener of a
/// server. Passes every line to `take`, the last one included.
///
/// # Errors
/// [`FetchError`]. The lines before the error are then no export.
pub async fn fetch<E>(
    server: &Uri,
    days: Option<u32>,
    take: impl FnMut(ExportLine<'_>) -> Result<(), E>,
) -> Result<(), FetchError<E>> {
    let query = days
        .map(|days| format!("?{DAYS}={days}"))
        .unwrap_or_default();
    let body = get(server, &format!("{PATH}{query}")).await?;
    read(body, take).await
}

/// The body of a successful response of a server's admin listener, all of it.
///
/// # Errors
/// [`FetchError`].
pub(in crate::api) async fn fetch_bytes(
    server: &Uri,
    path: &str,
) -> Result<Vec<u8>, FetchError<Infallible>> {
    collect(get(server, path).await?).await
}

/// The body of a successful response to a JSON message.
///
/// # Errors
/// [`FetchError`].
pub(in crate::api) async fn post_bytes(
    server: &Uri,
    path: &str,
    json: Vec<u8>,
) -> Result<Vec<u8>, FetchError<Infallible>> {
    let message = Request::post(path).header(CONTENT_TYPE, "application/json");
    collect(send(server, message, json.into()).await?).await
}

async fn collect(mut body: Incoming) -> Result<Vec<u8>, FetchError<Infallible>> {
    let mut bytes = Vec::new();
    loop {
        let frame = timeout(MAX_SILENCE, body.frame())
            .await
            .map_err(|_| FetchError::Silent)?;
        let Some(frame) = frame else {
            return Ok(bytes);
        };
        if let Ok(chunk) = frame?.into_data() {
            bytes.extend_from_slice(&chunk);
        }
    }
}

async fn get<E>(server: &Uri, path: &str) -> Result<Incoming, FetchError<E>> {
    send(server, Request::get(path), Bytes::new()).await
}

/// The body of a successful response of a server's admin listener.
async fn send<E>(
    server: &Uri,
    request: http::request::Builder,
    body: Bytes,
) -> Result<Incoming, FetchError<E>> {
    let answer = timeout(MAX_SILENCE, ask(server, request, body))
        .await
        .map_err(|_| FetchError::Silent)??;
    let status = answer.status();
    if status != StatusCode::OK {
        let text = answer.into_body().collect().await?.to_bytes();
        return Err(FetchError::Rejected {
            status,
            message: message(&text),
        });
    }
    Ok(answer.into_body())
}

async fn ask<E>(
    server: &Uri,
    request: http::request::Builder,
    body: Bytes,
) -> Result<http::Response<Incoming>, FetchError<E>> {
    let authority = server
        .authority()
        .filter(|_| can_ask(server))
        .ok_or(FetchError::Address)?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await;
    let stream = TokioIo::new(stream.map_err(FetchError::Unreachable)?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    // Detached: the end of the connection shows in the response.
    tokio::spawn(connection);
    let request = request
        .header(HOST, authority.as_str())
        .body(Full::new(body))
        .map_err(|_| FetchError::Address)?;
    Ok(sender.send_request(request).await?)
}

/// The message of an error response.
fn message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.and_then(|json| Some(json["error"]["message"].as_str()?.to_owned()));
    message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

async fn read<E>(
    mut body: Incoming,
    mut take: impl FnMut(ExportLine<'_>) -> Result<(), E>,
) -> Result<(), FetchError<E>> {
    // The start of a line whose end has not arrived yet.
    let mut begun = Vec::new();
    let mut is_first = true;
    loop {
        let frame = timeout(MAX_SILENCE, body.frame())
            .await
            .map_err(|_| FetchError::Silent)?;
        let frame = frame.ok_or(FetchError::Unfinished)??;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        begun.extend_from_slice(&chunk);
        // Up to the last line break, so that all complete lines are read in one pass.
        let whole = begun
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        for line in begun[..whole].split_inclusive(|byte| *byte == b'\n') {
            let line = ExportLine::read(&line[..line.len() - 1])?;
            if matches!(line, ExportLine::Begin(_)) != std::mem::take(&mut is_first) {
                // The header is the first line and no other: anything else is another version or
                // another program.
                return Err(MalformedLine.into());
            }
            let is_end = line == ExportLine::End;
            take(line).map_err(FetchError::Taker)?;
            if is_end {
                return Ok(());
            }
        }
        begun.drain(..whole);
    }
}
