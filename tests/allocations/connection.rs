//! A connection over HTTP/2 that allocates nothing while its calls are made.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    ops::Range,
};

use crate::workload::Method;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of the head of a frame.
const HEAD: usize = 9;

/// Bytes that the payload of a frame may have, and more than any answer has.
const FRAME: usize = 1 << 14;

/// Bytes before a message in gRPC.
const PREFIX: usize = 5;

// Kinds and flags of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Room for the answers of the whole test, on top of what there is.
const WINDOW: [u8; 4] = 0x4000_0000_u32.to_be_bytes();

/// Calls that are sent at once, as bytes.
pub(crate) struct Round {
    bytes: Vec<u8>,
    calls: usize,
}

/// A connection of a client.
pub(crate) struct Connection {
    stream: TcpStream,
    next_stream: u32,
    /// The payload of the last frame with data, and the number of its bytes.
    data: ([u8; FRAME], usize),
}

impl Round {
    /// Calls of these numbers.
    pub(crate) fn of(connection: &mut Connection, method: Method, numbers: Range<usize>) -> Self {
        let (mut bytes, calls) = (Vec::new(), numbers.len());
        for number in numbers {
            let stream = connection.next_stream;
            connection.next_stream += 2;
            put_frame(&mut bytes, HEADERS, END_HEADERS, stream, &head(method));
            let message = method.request(number);
            let mut framed = vec![0];
            framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            framed.extend(message);
            put_frame(&mut bytes, DATA, END_STREAM, stream, &framed);
        }
        Self { bytes, calls }
    }
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut bytes = PREFACE.to_vec();
        put_frame(&mut bytes, SETTINGS, 0, 0, &[]);
        put_frame(&mut bytes, SETTINGS, ACK, 0, &[]);
        put_frame(&mut bytes, WINDOW_UPDATE, 0, 0, &WINDOW);
        stream.write_all(&bytes).unwrap();
        Self {
            stream,
            next_stream: 1,
            data: ([0; FRAME], 0),
        }
    }

    /// Sends calls and waits for all of their answers.
    pub(crate) fn exchange(&mut self, round: &Round) {
        self.stream.write_all(&round.bytes).unwrap();
        let mut left = round.calls;
        while left > 0 {
            let mut head = [0; HEAD];
            self.stream.read_exact(&mut head).unwrap();
            let [first, second, third, kind, flags, ..] = head;
            let length = usize::try_from(u32::from_be_bytes([0, first, second, third])).unwrap();
            let mut payload = [0; FRAME];
            self.stream.read_exact(&mut payload[..length]).unwrap();
            if kind == DATA {
                self.data = (payload, length);
            }
            // The trailers of an answer end its stream; without any, it was rejected.
            left -= usize::from(kind == HEADERS && flags & END_STREAM != 0);
        }
    }

    /// The last message that came.
    pub(crate) fn last_message(&self) -> &[u8] {
        let (payload, length) = &self.data;
        &payload[PREFIX..*length]
    }
}

fn put_frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    bytes.extend(length);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
}

/// The headers of a call, each as a literal that is not indexed (RFC 7541, section 6.2.2).
fn head(method: Method) -> Vec<u8> {
    let path = format!(
        "/ext.maps.booking.partner.v3.BookingService/{}",
        method.name()
    );
    let mut head = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path.as_str()),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ] {
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap());
            head.extend(text.as_bytes());
        }
    }
    head
}
