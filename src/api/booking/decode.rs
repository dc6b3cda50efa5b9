//! Decoding of requests. A message that cannot be decoded is rejected with the field where decoding ended. A long
//! message is decoded on a blocking thread, so that it does not delay the other calls of its worker.

use super::{
    counts::{self, Counted},
    json,
    requests::{Decoded, RequestLimits},
    schema::Described,
};
use crate::{
    api::{error::ApiError, responses::Encoding},
    net::request_bodies::ReceivedMessage,
};
use kernel::blocking::{self, LONG_BYTES};
use orders::OrderError;

/// Decodes a message, unless it has too many elements. The bytes are returned, too: they count against the budget
/// until the call has been answered.
///
/// # Errors
/// [`ApiError::Malformed`], [`ApiError::Invalid`].
pub async fn decode<M>(
    received: ReceivedMessage,
    encoding: Encoding,
    limits: &RequestLimits,
) -> Result<(Decoded<M>, ReceivedMessage), ApiError>
where
    M: Counted + Described + 'static,
{
    let decode = match encoding {
        Encoding::Grpc => from_protobuf::<M>,
        Encoding::Json => from_json::<M>,
    };
    let limits = *limits;
    if received.bytes().len() <= LONG_BYTES {
        // Short messages are decoded here: the hand-over to a thread would cost more than the
        // decoding.
        return Ok((decode(received.bytes(), &limits)?, received));
    }
    let work = move || decode(received.bytes(), &limits).map(|message| (message, received));
    blocking::run(work).await.map_err(OrderError::from)?
}

fn from_protobuf<M: Counted + Described>(
    bytes: &[u8],
    limits: &RequestLimits,
) -> Result<Decoded<M>, ApiError> {
    // Before decoding, which is what allocates the memory.
    counts::check_protobuf::<M>(bytes, limits)?;
    match M::decode(bytes) {
        Ok(message) => Ok(message.into()),
        Err(error) => Err(ApiError::Malformed(error.to_string())),
    }
}

fn from_json<M: Counted + Described>(
    bytes: &[u8],
    limits: &RequestLimits,
) -> Result<Decoded<M>, ApiError> {
    counts::check_json::<M>(bytes, limits)?;
    json::decode(bytes)
}
