//! Stores verified, copied and restored by the real program, also while a server writes to them.

use std::{fs, os::unix::fs::FileExt, path::Path};

use boxoffice::api::booking::proto::v3::{
    ListOrdersRequest, Order, booking_service_client::BookingServiceClient,
    create_order_response::Result as Outcome, list_orders_request::Ids,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tonic::transport::Channel;

use super::text;
use crate::support::{
    Item, order_request,
    process::{Program, Running, in_days, run, with_timeout},
};

/// Orders that are there when a backup begins, and in all.
const BEFORE: usize = 40;
const ALL: usize = 160;

fn server(dir: &Path) -> Program {
    let program = Program::new().with_store(dir);
    program.args(["--admin-listen=127.0.0.1:0", "--admin-backup=true"])
}

async fn create(client: &mut BookingServiceClient<Channel>, number: usize) -> Order {
    let item = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    let item = in_days(item, 2 + i64::try_from(number).unwrap() / 20);
    let request = order_request(&format!("order-{number}"), "museum", [item]);
    let response = client.create_order(request).await.unwrap().into_inner();
    match response.result {
        Some(Outcome::Order(order)) => *order,
        other => panic!("no order: {other:?}"),
    }
}

async fn list(server: &Running) -> Vec<Order> {
    let mut client = BookingServiceClient::new(server.connect().await);
    let request = ListOrdersRequest {
        ids: Some(Ids::UserId("user-1".into())),
    };
    let listed = client.list_orders(request).await.unwrap().into_inner();
    listed.order
}

#[tokio::test]
async fn a_server_is_backed_up_while_it_sells_and_goes_on_from_the_backup() {
    let (data, copy, restored) = (
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
    );
    let mut running = server(data.path()).start().await;
    let admin = format!("http://{}", running.admin_address().await);
    let (sold, mut watched) = watch::channel(Vec::new());
    let mut client = BookingServiceClient::new(running.connect().await);
    let selling = tokio::spawn(async move {
        for number in 0..ALL {
            let order = create(&mut client, number).await;
            sold.send_modify(|sold| sold.push(order));
        }
        sold.borrow().clone()
    });
    let reached = watched.wait_for(|sold| sold.len() >= BEFORE);
    let before = with_timeout("orders", reached).await.unwrap().clone();
    for source in [["--from", &admin], ["--data-dir", text(&data)]] {
        let words = [&["backup", "create", "--to", text(&copy)][..], &source].concat();
        let ended = run(&words).await;
        assert_eq!(ended.code(), 0, "{}", ended.text());
        assert!(ended.text().contains("verified in"), "{}", ended.text());
    }
    let ended = run(&["store", "verify", "--data-dir", text(&data)]).await;
    assert!(ended.text().contains("no damage"), "{}", ended.text());
    let all = selling.await.unwrap();
    let ended = run(&["store", "info", "--data-dir", text(&data), "--format=json"]).await;
    let info: Value = serde_json::from_str(&ended.text()).unwrap();
    assert_eq!(info["in_use"], true, "{info}");
    assert_eq!(info["orders"], ALL, "{info}");
    assert_eq!(info["store_format"], "boxoffice 3", "{info}");
    running.stop().await;

    let words = ["backup", "restore", "--from", text(&copy), "--to"];
    let words = [&words[..], &[text(&restored)]].concat();
    let ended = run(&words).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    let running = server(restored.path()).start().await;
    let listed = list(&running).await;
    for order in &before {
        assert!(listed.contains(order), "{} is missing", order.order_id);
    }
    for order in &listed {
        assert!(all.contains(order), "{} was never sold", order.order_id);
    }
    // Goes on: the orders that the backup does not have are sold again under their tokens.
    let mut client = BookingServiceClient::new(running.connect().await);
    for (number, order) in all.iter().enumerate() {
        assert_eq!(create(&mut client, number).await.order_id, order.order_id);
    }
    running.stop().await;
    let again = run(&words).await;
    assert_eq!(again.code(), 74, "{}", again.text());
    assert!(
        again.text().contains("has a store already"),
        "{}",
        again.text()
    );
}

#[tokio::test]
async fn damage_is_named_by_the_verification_and_keeps_a_backup_from_being_made() {
    let (data, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let running = server(data.path()).start().await;
    let mut client = BookingServiceClient::new(running.connect().await);
    let mut orders = Vec::new();
    for number in 0..5 {
        orders.push(create(&mut client, number).await);
    }
    running.stop().await;
    let segment = data.path().join("orders/000001.log");
    let whole = fs::read(&segment).unwrap();
    // The beginning of the header of the segment, of the first frame, and of its first record.
    for (offset, expected) in [
        (
            0,
            "000001.log, offset 0, change 1: the header of the segment",
        ),
        (
            4096,
            "000001.log, offset 4096, change 1: a frame is not what was written",
        ),
        (
            4096 + 64,
            "000001.log, offset 4096, change 1: a frame is not what was written",
        ),
    ] {
        let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
        file.write_all_at(&[!whole[offset]], offset as u64).unwrap();
        for words in [
            &["store", "verify", "--data-dir", text(&data)][..],
            &[
                "backup",
                "create",
                "--to",
                text(&copy),
                "--data-dir",
                text(&data),
            ],
        ] {
            let ended = run(words).await;
            assert_eq!(ended.code(), 74, "{}", ended.text());
            assert!(ended.text().contains(expected), "{}", ended.text());
        }
        file.write_all_at(&whole[offset..=offset], offset as u64)
            .unwrap();
    }
    let ended = run(&["store", "verify", "--data-dir", text(&data)]).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
}

#[tokio::test]
async fn a_server_hands_out_its_store_only_where_that_is_set() {
    let (data, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let program = Program::new().with_store(data.path());
    let mut running = program.args(["--admin-listen=127.0.0.1:0"]).start().await;
    let from = format!("http://{}", running.admin_address().await);
    let words = ["backup", "create", "--to", text(&copy), "--from", &from];
    let ended = run(&words).await;
    assert_eq!(ended.code(), 69, "{}", ended.text());
    assert!(
        ended.text().contains("admin_backup = true"),
        "{}",
        ended.text()
    );
    assert_eq!(fs::read_dir(copy.path()).unwrap().count(), 0);
    running.stop().await;
}

#[tokio::test]
async fn where_there_is_no_store_none_is_made() {
    let empty = TempDir::new().unwrap();
    for words in [
        &["store", "verify", "--data-dir", text(&empty)][..],
        &["store", "info", "--data-dir", text(&empty)],
        &[
            "backup",
            "create",
            "--to",
            "copy",
            "--data-dir",
            text(&empty),
        ],
        &[
            "backup",
            "restore",
            "--from",
            text(&empty),
            "--to",
            "restored",
        ],
    ] {
        let ended = run(words).await;
        assert_eq!(ended.code(), 74, "{}", ended.text());
        assert!(
            ended.text().contains("there is no store in"),
            "{}",
            ended.text()
        );
    }
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}
