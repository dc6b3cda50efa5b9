use std::sync::Arc;

use http_body_util::BodyExt;
use prost::Message;

use super::*;
use crate::api::booking::{
    json,
    proto::v3::{CheckAvailabilityResponse, ListOrdersResponse, Order as WireOrder, Slot},
};
use domain::order::{Customer, OrderId};

const MAX: usize = 1 << 20;

fn responses(budget: usize) -> Arc<Responses> {
    Arc::new(Responses::new(
        Arc::new(Budget::new(budget)),
        MAX,
        Arc::default(),
    ))
}

fn order(name_bytes: usize) -> Order {
    Order {
        id: OrderId::from("an id"),
        merchant_id: "museum".into(),
        customer: Customer {
            given_name: "é".repeat(name_bytes / 2),
            ..Customer::of("ada")
        },
        payment: None,
        items: Vec::new(),
    }
}

fn list(
    responses: &Arc<Responses>,
    encoding: Encoding,
    count: usize,
    name_bytes: usize,
) -> Result<EncodedResponse, ApiError> {
    let mut writer = responses.list(responses.format(encoding, 10).unwrap());
    for _ in 0..count {
        if writer.take(order(name_bytes)).is_break() {
            break;
        }
    }
    writer.finish()
}

/// The bytes of a response, read to its end.
async fn sent(encoded: EncodedResponse) -> Bytes {
    ResponseBody::new(encoded, ())
        .collect()
        .await
        .unwrap()
        .to_bytes()
}

fn unframed(framed: &Bytes) -> &[u8] {
    let (prefix, message) = framed.split_at(5);
    assert_eq!(
        prefix,
        [
            &[0][..],
            &u32::try_from(message.len()).unwrap().to_be_bytes()
        ]
        .concat()
    );
    message
}

#[tokio::test]
async fn lists_of_any_length_are_what_their_messages_would_be() {
    let responses = responses(10 * MAX);
    for (count, name_bytes) in [
        (0, 0),
        (1, 10),
        (3, 20_000),
        (40, 16_384),
        (1000, 300),
        (1, 200_000),
    ] {
        let orders: Vec<WireOrder> = (0..count)
            .map(|_| to_proto::order(order(name_bytes)))
            .collect();
        let whole = ListOrdersResponse { order: orders };
        let grpc = sent(list(&responses, Encoding::Grpc, count, name_bytes).unwrap()).await;
        assert!(
            unframed(&grpc) == whole.encode_to_vec(),
            "{count} of {name_bytes}"
        );
        let json = sent(list(&responses, Encoding::Json, count, name_bytes).unwrap()).await;
        assert!(
            json == json::write(&whole).unwrap(),
            "{count} of {name_bytes}"
        );
    }
    assert_eq!(responses.bytes(), 0);
}

#[tokio::test]
async fn messages_of_any_length_are_written_whole() {
    let responses = responses(10 * MAX);
    for bytes in [
        0,
        10,
        CHUNK_BYTES - 30,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        LONG_BYTES + 7,
        300_000,
    ] {
        let slot = Slot {
            service_id: "s".repeat(bytes),
            ..Slot::default()
        };
        let message = CheckAvailabilityResponse {
            slot: Some(slot),
            ..Default::default()
        };
        let form = || responses.format(Encoding::Grpc, bytes).unwrap();
        let grpc = sent(responses.write(message.clone(), form()).await.unwrap()).await;
        assert!(unframed(&grpc) == message.encode_to_vec(), "{bytes}");
        let json = sent(
            responses
                .write_receipt(
                    message.clone(),
                    responses.format(Encoding::Json, bytes).unwrap(),
                )
                .await
                .unwrap(),
        )
        .await;
        assert!(json == json::write(&message).unwrap(), "{bytes}");
    }
    assert_eq!(responses.bytes(), 0);
}

#[tokio::test]
async fn a_long_response_counts_until_its_chunks_are_dropped() {
    let responses = responses(10 * MAX);
    let short = list(&responses, Encoding::Grpc, 1, 1000).unwrap();
    assert_eq!(responses.bytes(), 0);
    let mut body = ResponseBody::new(list(&responses, Encoding::Grpc, 10, 20_000).unwrap(), ());
    let all = responses.bytes();
    assert!((200_000..230_000).contains(&all), "{all}");
    let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(responses.bytes(), all, "it has not been sent");
    drop(chunk);
    assert_eq!(responses.bytes(), all - CHUNK_BYTES);
    drop((body, short));
    assert_eq!(responses.bytes(), 0);
}

#[tokio::test]
async fn the_encoded_size_counts() {
    let responses = responses(10 * MAX);
    let too_large = ApiError::ResponseTooLarge { limit_bytes: MAX };
    // As JSON an order has the names of its fields beside its values.
    let count = MAX / 40;
    assert!(list(&responses, Encoding::Grpc, count, 2).is_ok());
    assert_eq!(
        list(&responses, Encoding::Json, count, 2).unwrap_err(),
        too_large
    );
    assert_eq!(
        list(&responses, Encoding::Grpc, 10, MAX / 9).unwrap_err(),
        too_large
    );
    assert_eq!(responses.bytes(), 0, "what is given up does not count");
}

#[tokio::test]
async fn nothing_is_made_for_which_there_is_no_room() {
    let responses = responses(100_000);
    let first = list(&responses, Encoding::Grpc, 3, 20_000).unwrap();
    assert_eq!(
        list(&responses, Encoding::Json, 3, 20_000).unwrap_err(),
        ApiError::BytesInFlightLimit
    );
    assert_eq!(
        responses.format(Encoding::Grpc, 50_000).unwrap_err(),
        ApiError::BytesInFlightLimit
    );
    assert!(
        list(&responses, Encoding::Json, 3, 1000).is_ok(),
        "a short one has room"
    );
    drop(first);
    let second = list(&responses, Encoding::Json, 3, 20_000).unwrap();
    // The response of a finished operation is sent in any case, and counts against the budget.
    let slot = Slot {
        service_id: "s".repeat(90_000),
        ..Slot::default()
    };
    let message = CheckAvailabilityResponse {
        slot: Some(slot),
        ..Default::default()
    };
    let form = responses.format(Encoding::Grpc, 10).unwrap();
    let receipt = responses.write_receipt(message, form).await.unwrap();
    assert!(responses.bytes() > 100_000);
    drop((second, receipt));
    assert_eq!(responses.bytes(), 0);
}
