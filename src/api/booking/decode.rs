//! Requests taken apart: a message that cannot be decoded is the caller's mistake and is answered so, with
//! the field where decoding ended. A long one is taken apart beside the threads that serve connections.

use prost::Message;

use super::{
    counts::{self, Counted},
    json,
    requests::{Decoded, RequestLimits},
    schema::Described,
};
use crate::{
    api::error::ApiError,
    api::request_bodies::ReceivedMessage as Received,
    app::OrderError,
    blocking::{self, LONG_BYTES},
};

/// Reads a message in protocol buffers, unless there are too many elements in it. It comes with its bytes,
/// which count until they are dropped.
///
/// # Errors
/// [`ApiError::Malformed`], [`ApiError::Invalid`].
pub async fn read_protobuf<M>(
    received: Received,
    limits: &RequestLimits,
) -> Result<(Decoded<M>, Received), ApiError>
where
    M: Counted + Message + Default + 'static,
{
    read(received, *limits, |bytes, limits| {
        counts::check_protobuf::<M>(bytes, limits)?;
        M::decode(bytes)
            .map(Decoded::from)
            .map_err(|error| ApiError::Malformed(error.to_string()))
    })
    .await
}

/// The same in JSON.
///
/// # Errors
/// [`ApiError::Malformed`], [`ApiError::Invalid`].
pub async fn read_json<M>(
    received: Received,
    limits: &RequestLimits,
) -> Result<(Decoded<M>, Received), ApiError>
where
    M: Counted + Described + 'static,
{
    read(received, *limits, |bytes, limits| {
        counts::check_json::<M>(bytes, limits)?;
        json::decode(bytes)
    })
    .await
}

async fn read<M: Send + 'static>(
    received: Received,
    limits: RequestLimits,
    read: fn(&[u8], &RequestLimits) -> Result<M, ApiError>,
) -> Result<(M, Received), ApiError> {
    if received.bytes().len() <= LONG_BYTES {
        return Ok((read(received.bytes(), &limits)?, received));
    }
    let work = move || read(received.bytes(), &limits).map(|message| (message, received));
    blocking::run(work).await.map_err(OrderError::from)?
}
