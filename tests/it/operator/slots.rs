//! Slots of a day and who comes to them.

use boxoffice::api::operator::proto::v1::{
    ListDoorRequest, ListDoorResponse, ListSlotsRequest, ListSlotsResponse, Slot, SlotName,
};
use tonic::{Response, Status};
use tonic_types::StatusExt;

use super::stage::{Ordered, Stage};
use crate::support::{Item, agree, tomorrow_at};

async fn slots(stage: &Stage, merchant: &str, service: &str, date: &str) -> ListSlotsResponse {
    let request = ListSlotsRequest {
        merchant_id: merchant.into(),
        date: date.into(),
        service_id: service.into(),
        ..ListSlotsRequest::default()
    };
    let by_grpc = stage.slots().list_slots(request).await;
    let by_grpc = by_grpc.map(Response::into_inner);
    let path =
        format!("/operator/v1/slots?merchant_id={merchant}&service_id={service}&date={date}");
    let by_rest: Result<ListSlotsResponse, Status> = stage.read(&path).await;
    agree(&by_grpc, &by_rest);
    by_grpc.unwrap()
}

/// Allotment, sold, held and left of the slot that starts then.
fn spots_at(slots: &[Slot], start: i64) -> [u32; 4] {
    let is_meant = |slot: &&Slot| {
        let name = slot.name.as_ref().unwrap();
        name.start_time.unwrap().seconds == start
    };
    let slot = slots.iter().find(is_meant).unwrap();
    [slot.allotment, slot.sold, slot.held, slot.left]
}

#[tokio::test]
async fn a_slot_says_what_is_sold_held_and_left() {
    let stage = Stage::start().await;
    let (ten, nine) = (tomorrow_at(10, 0), tomorrow_at(9, 0));
    let museum = || slots(&stage, "museum", "museum-entry", "2026-01-16");
    let before = spots_at(&museum().await.slots, ten);
    let [allotment, 0, 0, left] = before else {
        panic!("{before:?}")
    };
    assert_eq!(left, allotment);
    stage.order("a", 0, Ordered::Museum).await;
    let after = museum().await;
    assert_eq!(
        spots_at(&after.slots, ten),
        [allotment, 2, 0, allotment - 2]
    );
    assert_eq!(
        (&*after.time_zone, &*after.slots[0].service_name),
        ("UTC", "Museum entry")
    );
    // Rafting holds the spots of a cart.
    let rafts = || slots(&stage, "rafting", "raft-trip", "2026-01-16");
    let [allotment, 0, 0, _] = spots_at(&rafts().await.slots, nine) else {
        panic!("nothing is sold yet")
    };
    let trip = Item::raft_trip()
        .tickets(&[("seat", 3)])
        .price("USD", 180_000_000);
    stage
        .server
        .check_cart("cart", "rafting", [trip])
        .await
        .unwrap();
    assert_eq!(
        spots_at(&rafts().await.slots, nine),
        [allotment, 0, 3, allotment - 3]
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_day_is_meant_in_the_time_zone_of_the_merchant() {
    let stage = Stage::start().await;
    let evening = tomorrow_at(19, 30);
    for (date, is_there) in [("2026-01-16", false), ("2026-01-17", true)] {
        let found = slots(&stage, "concert-hall", "symphony", date).await;
        assert_eq!(found.time_zone, "Asia/Tokyo");
        let starts = found
            .slots
            .iter()
            .map(|slot| slot.name.as_ref().unwrap().start_time.unwrap().seconds);
        assert_eq!(
            starts.into_iter().any(|start| start == evening),
            is_there,
            "{date}"
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn pages_of_slots_have_every_slot_once() {
    let stage = Stage::start().await;
    let whole = slots(&stage, "salon", "", "2026-01-16").await.slots;
    assert!(whole.len() > 5, "{}", whole.len());
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let path = format!(
            "/operator/v1/slots?merchant_id=salon&date=2026-01-16&page_size=2&page_token={page_token}"
        );
        let page: ListSlotsResponse = stage.read(&path).await.unwrap();
        assert!(page.slots.len() <= 2);
        found.extend(page.slots);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, whole);
    stage.stop().await;
}

#[tokio::test]
async fn a_door_list_has_the_guests_by_name() {
    let stage = Stage::start().await;
    for token in ["c", "A", "b"] {
        stage.order(token, 0, Ordered::Museum).await;
    }
    stage.order("other", 0, Ordered::Haircut).await;
    let slot = SlotName {
        merchant_id: "museum".into(),
        service_id: "museum-entry".into(),
        start_time: Some(pbjson_types::Timestamp {
            seconds: tomorrow_at(10, 0),
            nanos: 0,
        }),
        duration_sec: 0,
    };
    let path = "/operator/v1/door?slot.merchant_id=museum&slot.service_id=museum-entry\
                &slot.start_time=2026-01-16T10:00:00Z";
    let request = ListDoorRequest {
        slot: Some(slot),
        ..ListDoorRequest::default()
    };
    let by_grpc = stage.slots().list_door(request).await;
    let by_grpc = by_grpc.map(Response::into_inner);
    let by_rest: Result<ListDoorResponse, Status> = stage.read(path).await;
    agree(&by_grpc, &by_rest);
    let entries = by_grpc.unwrap().entries;
    let names: Vec<_> = entries.iter().map(|entry| &*entry.family_name).collect();
    assert_eq!(names, ["Lovelace-A", "Lovelace-b", "Lovelace-c"]);
    assert_eq!(
        (
            entries[0].tickets[0].count,
            &*entries[0].tickets[0].ticket_name
        ),
        (2, "Adult")
    );
    // Page by page.
    let first: ListDoorResponse = stage.read(&format!("{path}&page_size=2")).await.unwrap();
    let next = format!("{path}&page_size=2&page_token={}", first.next_page_token);
    let second: ListDoorResponse = stage.read(&next).await.unwrap();
    assert_eq!([first.entries, second.entries].concat(), entries);
    assert_eq!(second.next_page_token, "");
    // Another length is another slot, and there is none.
    let longer: Result<ListDoorResponse, Status> =
        stage.read(&format!("{path}&slot.duration_sec=60")).await;
    let details = longer.unwrap_err().get_details_bad_request().unwrap();
    assert_eq!(details.field_violations[0].field, "slot.duration_sec");
    stage.stop().await;
}
