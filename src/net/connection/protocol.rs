//! Protocol detection from the first bytes of a connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::sending;

/// The preface of every HTTP/2 connection with prior knowledge.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A stream that replays its first bytes to the HTTP library.
#[derive(Debug)]
pub(super) struct Rewind<S> {
    stream: S,
    beginning: [u8; PREFACE.len()],
    /// Number of bytes in `beginning`.
    len: usize,
    /// Number of these bytes that have been replayed.
    read: usize,
}

/// Reads until the protocol is known.
pub(super) async fn detect<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<(Protocol, Rewind<S>)> {
    let mut beginning = [0; PREFACE.len()];
    let mut len = 0;
    // Stops at the first byte that differs. Waiting for 24 bytes would hang on a short HTTP/1.1
    // request.
    while len < PREFACE.len() && PREFACE.starts_with(&beginning[..len]) {
        match stream.read(&mut beginning[len..]).await? {
            // No request can follow, so there is nothing to respond to.
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => len += read,
        }
    }
    // Unread bytes of `beginning` are zero and the preface contains no zero, so a part of it never
    // compares equal.
    let protocol = if beginning == PREFACE {
        Protocol::Http2
    } else {
        Protocol::Http1
    };
    Ok((
        protocol,
        Rewind {
            stream,
            beginning,
            len,
            read: 0,
        },
    ))
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read == self.len {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        // The reader's buffer may be smaller than what is left to replay.
        let end = self.len.min(self.read + buffer.remaining());
        buffer.put_slice(&self.beginning[self.read..end]);
        self.read = end;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        // Only writes are recorded: this is the one place that sees a full socket for both
        // protocols.
        sending::note_write(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        sending::note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn the_protocol_is_known_as_soon_as_it_can_be_and_nothing_is_lost() {
        let (mut other_end, stream) = tokio::io::duplex(1024);
        let preface = &PREFACE[..];
        for (pieces, protocol) in [
            (&[&b"G"[..]][..], Protocol::Http1),
            (&[b"P", b"O"], Protocol::Http1),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"], Protocol::Http1),
            (&[preface], Protocol::Http2),
            (
                &[&preface[..1], &preface[1..23], &preface[23..]],
                Protocol::Http2,
            ),
        ] {
            let (mut writer, reader) = tokio::io::duplex(1);
            let write = async {
                for piece in pieces {
                    writer.write_all(piece).await.unwrap();
                }
                writer.write_all(b" and more").await.unwrap();
                drop(writer);
            };
            let read = async {
                let (protocol_seen, mut begun) = detect(reader).await.unwrap();
                let mut all = Vec::new();
                begun.read_to_end(&mut all).await.unwrap();
                (protocol_seen, all)
            };
            let ((), (protocol_seen, all)) = tokio::join!(write, read);
            assert_eq!(
                (protocol_seen, all),
                (protocol, [&pieces.concat(), &b" and more"[..]].concat())
            );
        }
        let (_, mut begun) = {
            other_end.write_all(b"x").await.unwrap();
            detect(stream).await.unwrap()
        };
        begun.write_all(b"answer").await.unwrap();
        drop(begun);
        let mut answer = Vec::new();
        other_end.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    }

    #[tokio::test]
    async fn a_connection_that_ends_early_has_no_protocol() {
        for sent in [&b""[..], b"PRI * "] {
            let (mut writer, reader) = tokio::io::duplex(64);
            writer.write_all(sent).await.unwrap();
            drop(writer);
            assert_eq!(
                detect(reader).await.unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
        }
    }
}
