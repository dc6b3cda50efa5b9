//! Protobuf encoding for the door, with one difference to the stock codec: a message that cannot
//! be decoded is the caller's mistake and is answered so, with the field where decoding ended.

use std::marker::PhantomData;

use prost::{Message, bytes::Buf};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstEncoder;

use super::codes::Problem;

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
        ContractDecoder { is_done: false, decoded: PhantomData }
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
            return Err(Problem::SecondMessage.into());
        }
        U::decode(buf.copy_to_bytes(buf.remaining()))
            .map(Some)
            .map_err(|error| Problem::Malformed(error.to_string()).into())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}
