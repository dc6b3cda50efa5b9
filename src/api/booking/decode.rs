//! Decoding of requests. A message that cannot be decoded is rejected with the field where decoding ended. A long
//! message is decoded on a blocking thread, so that it does not delay the other calls of its worker.

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

/// Decodes protocol buffers, unless the message has too many elements. The bytes are returned, too: they count against
/// the budget until the call has been answered.
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

/// Decodes JSON under the same conditions.
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
