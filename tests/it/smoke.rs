//! The shortest way through.

use crate::support::{Item, TestServer};

#[tokio::test]
async fn a_museum_visit_can_be_checked_created_and_listed() {
    let server = TestServer::start().await;
    let item = Item::museum_entry().tickets(&[("adult", 2), ("child", 1)]).price("USD", 60_000_000);
    let checked = server.check("museum", [item.clone()]).await.unwrap();
    assert_eq!(checked.verdict(), "CAN_FULFILL");
    let order = server.create("token-1", "museum", [item]).await.unwrap().order();
    let listed = server.list_user("user-1").await.unwrap();
    assert_eq!(listed, [order]);
    server.stop().await;
}
