//! Requests taken apart: a message that cannot be decoded is the caller's mistake and is answered so, with
//! the field where decoding ended. A long one is taken apart beside the threads that serve connections.

use std::marker::PhantomData;

use prost::{Message, bytes::Buf};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstEncoder;

use super::{
    counts::{self, Counted},
    error::ApiError,
    json,
    requests::{Decoded, RequestLimits},
    schema::Described,
};
use crate::{
    app::OrderError,
    blocking::{self, LONG_BYTES},
    request_bodies::Message as Received,
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

/// Bytes that are set aside for a message, and bytes of an answer that are sent before more of it is
/// made. Most messages have a few hundred bytes; a longer one gets more room as it grows.
const BUFFERS: (usize, usize) = (1024, 32 * 1024);

fn buffers() -> BufferSettings {
    let (set_aside, sent) = BUFFERS;
    BufferSettings::new(set_aside, sent)
}

/// Encodes `T` and decodes `U`.
#[derive(Debug)]
pub struct ContractCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for ContractCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for ContractCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ContractDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ContractDecoder {
            is_done: false,
            decoded: PhantomData,
        }
    }
}

/// Decodes `U`, and no second one: every method of the contract takes one message.
#[derive(Debug)]
pub struct ContractDecoder<U> {
    is_done: bool,
    decoded: PhantomData<U>,
}

impl<U: Message + Default> Decoder for ContractDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if std::mem::replace(&mut self.is_done, true) {
            return Err(ApiError::SecondMessage.into());
        }
        U::decode(buf.copy_to_bytes(buf.remaining()))
            .map(Some)
            .map_err(|error| ApiError::Malformed(error.to_string()).into())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}
