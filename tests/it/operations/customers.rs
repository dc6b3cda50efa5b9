//! Customers exported and erased by the real program, from a running server and in the data directory of a stopped one.

use std::{fs, ops::ControlFlow, path::Path};

use boxoffice::{
    api::booking::proto::v3::{
        ListOrdersRequest, Order, booking_service_client::BookingServiceClient,
        create_order_response::Result as Outcome, list_orders_request::Ids,
    },
    domain::{ids::Token, time::Seconds},
    store::{Store, Write},
};
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::Channel;

use super::text;
use crate::support::{
    Item, open_store, order_request,
    process::{Ended, Program, in_days, run},
};

/// Who is erased. The texts are long enough to be found in files.
const USER: &str = "user-to-be-erased";
const EMAIL: &str = "grace.hopper@erased.example";
const NAME: &str = "Wilhelmina-Augusta";

fn server(dir: &Path) -> Program {
    let program = Program::new().with_store(dir);
    program.args(["--admin-listen=127.0.0.1:0", "--admin-customers=true"])
}

async fn create(client: &mut BookingServiceClient<Channel>, token: &str, user_id: &str) -> Order {
    let item = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    let mut request = order_request(token, "museum", [in_days(item, 3)]);
    let order = request.order.as_mut().unwrap();
    let customer = order.user_information.as_mut().unwrap();
    user_id.clone_into(&mut customer.user_id);
    if user_id == USER {
        EMAIL.clone_into(&mut customer.email);
        NAME.clone_into(&mut customer.given_name);
    }
    let response = client.create_order(request).await.unwrap().into_inner();
    match response.result {
        Some(Outcome::Order(order)) => *order,
        other => panic!("no order: {other:?}"),
    }
}

async fn list(client: &mut BookingServiceClient<Channel>, ids: Ids) -> Vec<Order> {
    let request = ListOrdersRequest { ids: Some(ids) };
    let listed = client.list_orders(request).await.unwrap().into_inner();
    listed.order
}

/// The files below a directory that have these bytes.
fn files_with(dir: &Path, bytes: &[u8]) -> usize {
    let mut found = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += files_with(&path, bytes);
        } else {
            let content = fs::read(&path).unwrap();
            let is_in = content.windows(bytes.len()).any(|window| window == bytes);
            found += usize::from(is_in);
        }
    }
    found
}

fn assert_gone(dir: &Path) {
    for text in [USER, EMAIL, NAME] {
        assert_eq!(files_with(dir, text.as_bytes()), 0, "{text}");
    }
}

fn exported(ended: &Ended) -> Value {
    assert_eq!(ended.code(), 0, "{}", ended.text());
    serde_json::from_str(&ended.text()).unwrap()
}

#[tokio::test]
async fn a_customer_of_a_running_server_is_exported_and_erased() {
    let data = TempDir::new().unwrap();
    let mut running = server(data.path()).start().await;
    let admin = format!("http://{}", running.admin_address().await);
    let mut client = BookingServiceClient::new(running.connect().await);
    let first = create(&mut client, "first", USER).await;
    let other = create(&mut client, "other", "somebody-else").await;
    let second = create(&mut client, "second", USER).await;
    assert!(files_with(data.path(), EMAIL.as_bytes()) > 0);

    let export = ["customers", "export", "--user", USER, "--from", &admin];
    let json = exported(&run(&export).await);
    assert_eq!(
        (&json["format"], &json["user_id"]),
        (&1.into(), &USER.into())
    );
    let orders = json["orders"].as_array().unwrap();
    let tokens: Vec<_> = orders
        .iter()
        .map(|order| order["idempotency_token"].as_str().unwrap())
        .collect();
    assert_eq!(tokens, ["second", "first"]);
    assert_eq!(orders[0]["failed_payments"], 0);
    let customer = &orders[1]["order"]["user_information"];
    assert_eq!(
        (&customer["email"], &customer["given_name"]),
        (&EMAIL.into(), &NAME.into())
    );

    let erase = ["customers", "erase", "--user", USER, "--from", &admin];
    let ended = run(&erase).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    assert!(
        ended.text().contains("of 2 orders was erased"),
        "{}",
        ended.text()
    );
    assert_gone(data.path());
    let again = run(&erase).await;
    assert_eq!(again.code(), 0, "{}", again.text());
    assert!(
        again.text().contains("nothing to erase"),
        "{}",
        again.text()
    );
    assert_eq!(
        exported(&run(&export).await)["orders"],
        serde_json::json!([])
    );

    // Found by id as before and by user no more; a repeated request is recognized.
    assert_eq!(list(&mut client, Ids::UserId(USER.into())).await, []);
    let others = list(&mut client, Ids::UserId("somebody-else".into())).await;
    assert_eq!(others, [other]);
    let replayed = create(&mut client, "first", USER).await;
    assert_eq!(replayed.order_id, first.order_id);
    let ids = boxoffice::api::booking::proto::v3::list_orders_request::OrderIds {
        order_id: vec![second.order_id.clone()],
    };
    let by_id = list(&mut client, Ids::OrderIds(ids)).await;
    assert_eq!(by_id[0].item, second.item);
    assert_ne!(by_id[0].user_information, second.user_information);

    let ended = running.stop().await;
    for line in &ended.lines {
        assert!(!line.contains(USER) && !line.contains(EMAIL), "{line}");
    }
    let ended = run(&["store", "verify", "--data-dir", text(&data)]).await;
    assert!(ended.text().contains("no damage"), "{}", ended.text());
    assert_gone(data.path());
}

#[tokio::test]
async fn a_customer_in_a_data_directory_is_exported_and_erased() {
    let data = TempDir::new().unwrap();
    let running = server(data.path()).start().await;
    let mut client = BookingServiceClient::new(running.connect().await);
    create(&mut client, "first", USER).await;
    let erase = [
        "customers",
        "erase",
        "--user",
        USER,
        "--data-dir",
        text(&data),
    ];
    let in_use = run(&erase).await;
    assert_eq!(in_use.code(), 74, "{}", in_use.text());
    assert!(in_use.text().contains("--from"), "{}", in_use.text());
    running.stop().await;

    let export = [
        "customers",
        "export",
        "--user",
        USER,
        "--data-dir",
        text(&data),
    ];
    let json = exported(&run(&export).await);
    assert_eq!(json["orders"].as_array().unwrap().len(), 1);
    let ended = run(&erase).await;
    assert!(
        ended.text().contains("of 1 order was erased"),
        "{}",
        ended.text()
    );
    assert_gone(data.path());
    let ended = run(&["store", "verify", "--data-dir", text(&data)]).await;
    assert!(ended.text().contains("no damage"), "{}", ended.text());
}

#[tokio::test]
async fn an_earlier_backup_is_erased_when_it_is_brought_up_to_date() {
    let (data, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let running = server(data.path()).start().await;
    let mut client = BookingServiceClient::new(running.connect().await);
    create(&mut client, "first", USER).await;
    running.stop().await;
    let backup = [
        "backup",
        "create",
        "--to",
        text(&copy),
        "--data-dir",
        text(&data),
    ];
    assert_eq!(run(&backup).await.code(), 0);
    assert!(files_with(copy.path(), EMAIL.as_bytes()) > 0);
    let erase = [
        "customers",
        "erase",
        "--user",
        USER,
        "--data-dir",
        text(&data),
    ];
    assert_eq!(run(&erase).await.code(), 0);
    let ended = run(&backup).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    assert_gone(copy.path());
}

#[tokio::test]
async fn a_server_erases_customers_only_where_that_is_set() {
    let data = TempDir::new().unwrap();
    let program = Program::new().with_store(data.path());
    let mut running = program.args(["--admin-listen=127.0.0.1:0"]).start().await;
    let from = format!("http://{}", running.admin_address().await);
    for step in ["erase", "export"] {
        let ended = run(&["customers", step, "--user", USER, "--from", &from]).await;
        assert_eq!(ended.code(), 69, "{}", ended.text());
        assert!(
            ended.text().contains("admin_customers = true"),
            "{}",
            ended.text()
        );
    }
    running.stop().await;
}

/// An order like that of a token, of the person who is erased, whose visit ended days ago.
async fn place_old_visit(dir: &Path, like: &Token) {
    let store = open_store(dir).unwrap();
    let Some(replay) = store
        .find_request(&store.order_key(like))
        .get()
        .await
        .unwrap()
    else {
        panic!("no order of {like:?}");
    };
    let mut placed = None;
    store
        .export_person(&replay.order.customer.user_id, &mut |found| {
            placed = Some(found);
            ControlFlow::Break(())
        })
        .unwrap();
    let mut placed = placed.unwrap();
    placed.token = "long ago".into();
    placed.order.id = store.order_key(&placed.token).order_id();
    placed.order.customer.user_id = USER.into();
    EMAIL.clone_into(&mut placed.order.customer.email);
    NAME.clone_into(&mut placed.order.customer.given_name);
    for claim in &mut placed.claims {
        claim.start_sec = placed.created_sec.saturating_sub(Seconds::days(3));
    }
    let unit = Write::OrderPlaced(Box::new(placed)).into();
    store.commit(&unit).await.unwrap();
}

#[tokio::test]
async fn old_visits_are_erased_by_their_age_and_others_stay() {
    let data = TempDir::new().unwrap();
    let running = server(data.path()).start().await;
    let mut client = BookingServiceClient::new(running.connect().await);
    let other = create(&mut client, "to come", "somebody-else").await;
    running.stop().await;
    place_old_visit(data.path(), &"to come".into()).await;
    assert!(files_with(data.path(), EMAIL.as_bytes()) > 0);

    let retention = ["--customer-retention=1d"];
    let mut running = server(data.path()).args(retention).start().await;
    let erased = "the personal data of old visits was erased";
    let line = running.line(erased, |line| line["message"] == erased).await;
    assert_eq!(line["orders"], 1, "{line}");
    assert_gone(data.path());
    let mut client = BookingServiceClient::new(running.connect().await);
    let others = list(&mut client, Ids::UserId("somebody-else".into())).await;
    assert_eq!(others, [other]);
    running.stop().await;
    let ended = run(&["store", "verify", "--data-dir", text(&data)]).await;
    assert!(ended.text().contains("no damage"), "{}", ended.text());
}

/// Runs the program with this standard input.
async fn run_reading(words: &[&str], input: &str) -> Ended {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("input");
    fs::write(&file, input).unwrap();
    let file = fs::File::open(file).unwrap();
    Program::new().args(words).reading(file).run().await
}

#[tokio::test]
async fn every_customer_of_a_list_is_erased_or_none_if_one_is_wrong() {
    let data = TempDir::new().unwrap();
    let running = server(data.path()).start().await;
    let mut client = BookingServiceClient::new(running.connect().await);
    create(&mut client, "first", USER).await;
    create(&mut client, "other", "somebody-else").await;
    running.stop().await;
    let command = |step| ["customers", step, "--user", "-", "--data-dir", text(&data)];
    let list = format!("{USER}\n\nsomebody-else\n");
    for (step, input, expected) in [
        ("export", &*list, "2 user ids"),
        ("erase", "", "must not be empty"),
        (
            "erase",
            &format!("{USER}\na\0\n"),
            "line 2: user_id has the character U+0000",
        ),
        (
            "erase",
            &"x".repeat(1025),
            "user_id has 1025 bytes; at most 1024 are taken",
        ),
        ("erase", "a\u{200b}", "U+200B"),
    ] {
        let ended = run_reading(&command(step), input).await;
        assert_eq!(ended.code(), 64, "{}", ended.text());
        assert!(
            ended.text().contains(expected),
            "{expected}: {}",
            ended.text()
        );
    }
    assert!(files_with(data.path(), EMAIL.as_bytes()) > 0);
    let ended = run_reading(&command("erase"), &list).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    for line in [1, 3] {
        let expected = format!("line {line}: the personal data of 1 order was erased");
        assert!(ended.text().contains(&expected), "{}", ended.text());
    }
    assert_gone(data.path());
}

#[tokio::test]
async fn a_command_without_a_source_names_them_all() {
    let ended = run(&["customers", "erase", "--user", USER]).await;
    assert_eq!(ended.code(), 64);
    for source in ["--server", "--from", "--data-dir"] {
        assert!(ended.text().contains(source), "{}", ended.text());
    }
}

/// Changes a byte of the first e-mail address in the first segment.
fn damage_email(dir: &Path) {
    let path = dir.join("orders/000001.log");
    let mut bytes = fs::read(&path).unwrap();
    let email = EMAIL.as_bytes();
    let at = bytes
        .windows(email.len())
        .position(|window| window == email);
    bytes[at.unwrap()] ^= 1;
    fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_order_hinders_neither_the_erasure_nor_the_export_of_others() {
    let data = TempDir::new().unwrap();
    let mut running = server(data.path()).start().await;
    let from = format!("http://{}", running.admin_address().await);
    let mut client = BookingServiceClient::new(running.connect().await);
    for token in ["first", "second", "third"] {
        create(&mut client, token, USER).await;
    }
    damage_email(data.path());
    let what = "the personal data of the order is not what was written";
    let ended = run(&["customers", "export", "--user", USER, "--from", &from]).await;
    assert_eq!(ended.code(), 74, "{}", ended.text());
    for expected in [
        what,
        "segment 1, offset ",
        "\"second\"",
        "\"third\"",
        "\"unreadable\"",
    ] {
        assert!(
            ended.text().contains(expected),
            "{expected}: {}",
            ended.text()
        );
    }
    let ended = run(&["customers", "erase", "--user", USER, "--from", &from]).await;
    assert_eq!(ended.code(), 69, "{}", ended.text());
    for expected in [what, "segment 1, offset ", "data of 2 orders was erased"] {
        assert!(
            ended.text().contains(expected),
            "{expected}: {}",
            ended.text()
        );
    }
    assert_eq!(files_with(data.path(), EMAIL.as_bytes()), 0);
    running.stop().await;
}
