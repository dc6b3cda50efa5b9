use std::{convert::Infallible, pin::pin};

use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::{Full, StreamBody};
use tokio::sync::mpsc;

use super::*;

const MAX: usize = 100_000;
const TIMEOUT: Duration = Duration::from_secs(30);

fn bodies(max_bytes_in_flight: usize, max_incomplete: usize) -> Arc<RequestBodies> {
    Arc::new(RequestBodies::new(BodyLimits {
        max_bytes_in_flight,
        max_incomplete,
        timeout: TIMEOUT,
    }))
}

fn anything(max_bytes: usize) -> ReadOptions<BodyError> {
    ReadOptions {
        max_bytes,
        check: |_, _| Ok(()),
    }
}

/// A body that is sent piece by piece.
fn body(
    mut pieces: mpsc::UnboundedReceiver<&'static [u8]>,
) -> impl Body<Data = Bytes, Error = Infallible> {
    StreamBody::new(
        stream::poll_fn(move |context| pieces.poll_recv(context))
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece)))),
    )
}

/// Bytes for pieces.
static ZEROS: [u8; MAX] = [0; MAX];

#[tokio::test]
async fn a_message_that_comes_whole_is_read_without_counting_unless_it_is_long() {
    let bodies = bodies(MAX, 1);
    let short = bodies
        .read(Full::from(&ZEROS[..SMALL_BYTES]), anything(MAX))
        .await
        .unwrap();
    assert_eq!((short.bytes().len(), bodies.bytes()), (SMALL_BYTES, 0));
    let long = bodies
        .read(Full::from(&ZEROS[..=SMALL_BYTES]), anything(MAX))
        .await
        .unwrap();
    assert_eq!(
        (long.bytes().len(), bodies.bytes()),
        (SMALL_BYTES + 1, SMALL_BYTES + 1)
    );
    let long = long.without(5);
    assert_eq!(
        (long.bytes().len(), bodies.bytes()),
        (SMALL_BYTES - 4, SMALL_BYTES + 1)
    );
    drop(long);
    assert_eq!(bodies.bytes(), 0);
}

#[tokio::test]
async fn pieces_are_put_together_and_count_while_more_is_awaited() {
    let bodies = bodies(MAX, 1);
    let (sender, pieces) = mpsc::unbounded_channel();
    let mut options = pin!(bodies.read(body(pieces), anything(MAX)));
    for piece in [&b"one "[..], b"two ", b"three"] {
        sender.send(piece).unwrap();
        assert!(options.as_mut().now_or_never().is_none());
        assert!(bodies.bytes() >= 4 && bodies.incomplete() == 1);
    }
    drop(sender);
    assert_eq!(options.await.unwrap().bytes(), "one two three");
    assert_eq!((bodies.bytes(), bodies.incomplete()), (0, 0));
}

#[tokio::test]
async fn too_long_a_message_is_read_no_further() {
    let bodies = bodies(MAX, 1);
    let announced = bodies.read(Full::from(&ZEROS[..11]), anything(10)).await;
    assert_eq!(announced.unwrap_err(), BodyError::TooLarge);
    let (sender, pieces) = mpsc::unbounded_channel();
    sender.send(&ZEROS[..6]).unwrap();
    sender.send(&ZEROS[..5]).unwrap();
    let sent = bodies.read(body(pieces), anything(10)).await;
    assert_eq!(sent.unwrap_err(), BodyError::TooLarge);
}

#[tokio::test]
async fn an_invalid_start_of_a_body_is_rejected_before_its_end() {
    let bodies = bodies(MAX, 1);
    let options = ReadOptions {
        max_bytes: MAX,
        check: |so_far, _| {
            if so_far.contains(&b'!') {
                Err(BodyError::BrokenOff("checked".to_owned()))
            } else {
                Ok(())
            }
        },
    };
    let (sender, pieces) = mpsc::unbounded_channel();
    sender.send(&b"good"[..]).unwrap();
    sender.send(b"bad!").unwrap();
    assert_eq!(
        bodies.read(body(pieces), options).await.unwrap_err(),
        BodyError::BrokenOff("checked".to_owned())
    );
}

#[tokio::test]
async fn over_the_budget_the_message_that_has_gone_longest_without_a_byte_is_rejected() {
    let bodies = bodies(80_000, 100);
    let (first_sender, pieces) = mpsc::unbounded_channel();
    let mut first = pin!(bodies.read(body(pieces), anything(MAX)));
    let (second_sender, pieces) = mpsc::unbounded_channel();
    let mut second = pin!(bodies.read(body(pieces), anything(MAX)));
    for sender in [&first_sender, &second_sender] {
        sender.send(&ZEROS[..30_000]).unwrap();
    }
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    // The first makes progress, so the second has waited longer.
    first_sender.send(&ZEROS[..1]).unwrap();
    assert!(first.as_mut().now_or_never().is_none());
    let third = bodies
        .read(Full::from(&ZEROS[..20_000]), anything(MAX))
        .await
        .unwrap();
    assert_eq!(second.await.unwrap_err(), BodyError::BytesInFlightLimit);
    drop(first_sender);
    assert_eq!(first.await.unwrap().bytes().len(), 30_001);
    drop(third);
    assert_eq!((bodies.bytes(), bodies.incomplete()), (0, 0));
}

#[tokio::test]
async fn so_many_messages_may_be_incomplete_and_whole_ones_pass_by_them() {
    let bodies = bodies(MAX, 2);
    let mut senders = Vec::new();
    let mut readings = Vec::new();
    for _ in 0..5 {
        let (sender, pieces) = mpsc::unbounded_channel();
        sender.send(&ZEROS[..1]).unwrap();
        senders.push(sender);
        let mut options = Box::pin(bodies.read(body(pieces), anything(MAX)));
        assert!(options.as_mut().now_or_never().is_none());
        readings.push(options);
        bodies
            .read(Full::from(&ZEROS[..100]), anything(MAX))
            .await
            .unwrap();
    }
    assert_eq!(bodies.incomplete(), 2);
    for rejected in readings.drain(..3) {
        assert_eq!(rejected.await.unwrap_err(), BodyError::BytesInFlightLimit);
    }
    drop(readings);
    assert_eq!((bodies.incomplete(), bodies.bytes()), (0, 0));
}

#[tokio::test]
async fn complete_messages_that_fill_the_budget_are_not_evicted() {
    let bodies = bodies(50_000, 10);
    let held = bodies
        .read(Full::from(&ZEROS[..40_000]), anything(MAX))
        .await
        .unwrap();
    let second = bodies
        .read(Full::from(&ZEROS[..20_000]), anything(MAX))
        .await;
    assert_eq!(second.unwrap_err(), BodyError::BytesInFlightLimit);
    drop(held);
    bodies
        .read(Full::from(&ZEROS[..20_000]), anything(MAX))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_has_to_come_whole_in_time() {
    let bodies = bodies(MAX, 10);
    let (sender, pieces) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let trickle = async {
        loop {
            tokio::time::sleep(TIMEOUT / 7).await;
            if sender.send(&ZEROS[..1]).is_err() {
                break;
            }
        }
    };
    let (read, ()) = tokio::join!(bodies.read(body(pieces), anything(MAX)), trickle);
    assert_eq!(read.unwrap_err(), BodyError::TimedOut);
    assert!(begun.elapsed() < 2 * TIMEOUT && bodies.bytes() == 0);
}
