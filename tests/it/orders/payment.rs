//! Paying for an order: charged at most once, and never without an order that stands.

use std::{path::Path, sync::Arc, time::Duration};

use boxoffice::{
    api::booking::proto::v3::{
        CreateOrderRequest, PrepaymentStatus, Price,
        order_failure::payment_failure_information::ThreeDs1Parameters,
        payment_information::PaymentProcessedBy,
    },
    config::PaymentsChoice,
    domain::money::{Currency, Money},
    payments::{ChargeOutcome, DeclineReason, GatewayError, Reversal, simulated::SimulatedGateway},
    store::{NamedClaim, PaymentIntent, Recovered, Store},
};
use domain::time::EpochSeconds;
use tempfile::TempDir;
use tonic::Code;

use crate::support::{
    Checked, Created, Item, NOW, Setup, TestServer, config, copy_dir,
    doubles::{Asked, GatewayDouble},
    edited_catalog, open_store, order_request, paid_with, payment_information, price, stating_fees,
    tomorrow_at,
};

/// Every seat of a trip.
fn whole_trip() -> Item {
    Item::raft_trip()
        .tickets(&[("seat", 12)])
        .price("USD", 612_000_000)
}

fn paid_trip(token: &str, payment_token: &str) -> CreateOrderRequest {
    paid_with(
        order_request(token, "rafting", [whole_trip()]),
        payment_token,
    )
}

async fn seats_open(server: &TestServer) -> i32 {
    server.spots_open("rafting", whole_trip()).await
}

async fn with_gateway(gateway: &Arc<GatewayDouble>) -> TestServer {
    Setup::default().with_gateway(gateway).start().await
}

/// A failure's cause and its companions.
fn failure(created: Created) -> (&'static str, &'static str, Option<ThreeDs1Parameters>) {
    let failure = created.failure();
    let challenge = failure
        .payment_failure
        .clone()
        .map(|failure| failure.threeds1_parameters.unwrap());
    let card = match failure.rejected_card_type {
        0 => "",
        _ => failure.rejected_card_type().as_str_name(),
    };
    (failure.cause().as_str_name(), card, challenge)
}

#[tokio::test]
async fn each_payment_token_of_the_simulated_gateway_has_its_outcome() {
    let gateway = Arc::new(SimulatedGateway::default());
    let mut config = config();
    config.sales.payment_timeout = Duration::from_millis(50);
    let server = Setup::with_config(config)
        .with_gateway(&gateway)
        .start()
        .await;
    let rejected = "PAYMENT_ERROR_CARD_TYPE_REJECTED";
    for (payment_token, cause, card) in [
        ("decline", "PAYMENT_ERROR_CARD_DECLINED", ""),
        ("reject-visa", rejected, "VISA"),
        ("reject-mastercard", rejected, "MASTERCARD"),
        ("reject-american-express", rejected, "AMERICAN_EXPRESS"),
        ("reject-discover", rejected, "DISCOVER"),
        ("reject-jcb", rejected, "JCB"),
        ("error", "PAYMENT_ERROR", ""),
        ("hang", "PAYMENT_ERROR", ""),
    ] {
        let created = server.send(paid_trip("t", payment_token)).await.unwrap();
        assert_eq!(failure(created), (cause, card, None), "{payment_token}");
        assert_eq!(seats_open(&server).await, 12, "{payment_token}");
        assert_eq!(
            server.list_user("user-1").await.unwrap(),
            [],
            "{payment_token}"
        );
        assert_eq!(gateway.captured(), 0, "{payment_token}");
    }
    server
        .send(paid_trip("t", "approve"))
        .await
        .unwrap()
        .order();
    assert_eq!((gateway.captured(), seats_open(&server).await), (1, 0));
}

#[tokio::test]
async fn a_slow_gateway_is_waited_for() {
    let gateway = Arc::new(SimulatedGateway::default());
    let server = Setup::default().with_gateway(&gateway).start().await;
    server.send(paid_trip("t", "slow")).await.unwrap().order();
    assert_eq!(gateway.captured(), 1);
}

#[tokio::test]
async fn a_challenge_is_a_failure_and_its_answer_comes_in_another_request() {
    let gateway = Arc::new(SimulatedGateway::default());
    let server = Setup::default().with_gateway(&gateway).start().await;
    for (captured, (first, second, hour)) in [("same", "same", 13), ("one", "another", 16)]
        .into_iter()
        .enumerate()
    {
        let mut item = whole_trip();
        item.0.start_sec = tomorrow_at(hour, 0);
        let trip = |token| paid_with(order_request(token, "rafting", [item.clone()]), "3ds1");
        let (cause, card, challenge) = failure(server.send(trip(first)).await.unwrap());
        assert_eq!((cause, card), ("PAYMENT_REQUIRES_3DS1", ""));
        let challenge = challenge.unwrap();
        let ThreeDs1Parameters {
            acs_url,
            pa_req,
            transaction_id,
            md_merchant_data,
        } = &challenge;
        assert!(
            [acs_url, pa_req, transaction_id, md_merchant_data]
                .iter()
                .all(|text| !text.is_empty())
        );
        assert_eq!(gateway.captured(), captured, "the attempt has failed");
        assert_eq!(server.spots_open("rafting", item.clone()).await, 12);
        let mut answered = trip(second);
        payment_information(&mut answered).pa_response = "passed".into();
        payment_information(&mut answered).md_merchant_data = challenge.md_merchant_data;
        server.send(answered).await.unwrap().order();
        assert_eq!(gateway.captured(), captured + 1);
    }
}

#[tokio::test]
async fn a_charge_of_ours_is_answered_as_provided_with_its_transaction() {
    let gateway = GatewayDouble::silent();
    gateway.capture();
    let server = with_gateway(&gateway).await;
    let item = Item::symphony()
        .tickets(&[("stalls", 2), ("balcony", 1)])
        .price("USD", 205_000_000);
    let request = stating_fees(
        order_request("t", "concert-hall", [item]),
        "USD",
        19_240_000,
    );
    let order = server
        .send(paid_with(request, "card"))
        .await
        .unwrap()
        .order();
    let payment = order.payment_information.clone().unwrap();
    assert_eq!(
        payment.prepayment_status(),
        PrepaymentStatus::PrepaymentProvided
    );
    assert_eq!(payment.payment_transaction_id, "transaction");
    let all_of_it = Asked::charge(format!("{}-1", order.order_id), 224_240_000);
    assert_eq!(gateway.asked(), [all_of_it], "items and fees");
    assert_eq!(server.list_user("user-1").await.unwrap(), [order]);
}

#[tokio::test]
async fn where_nothing_is_due_nothing_is_charged() {
    let free = edited_catalog(&[(
        "services.json",
        "\n      \"price\": { \"price_micros\": \"40000000\"",
        "\n      \"price\": { \"price_micros\": \"0\"",
    )]);
    let gateway = GatewayDouble::silent();
    let server = Setup {
        catalog: free.path().into(),
        payments: gateway.clone(),
        ..Setup::default()
    }
    .start()
    .await;
    let haircut = Item::haircut().price("USD", 0);
    let order = server
        .send(paid_with(order_request("t", "salon", [haircut]), "card"))
        .await
        .unwrap()
        .order();
    assert_eq!(gateway.asked(), []);
    assert_eq!(
        order.payment_information.unwrap().payment_transaction_id,
        order.order_id
    );
}

#[tokio::test]
async fn a_payment_that_is_not_ours_to_take_is_echoed_and_not_taken() {
    let gateway = GatewayDouble::silent();
    let server = with_gateway(&gateway).await;
    let half_trip = || {
        Item::raft_trip()
            .tickets(&[("seat", 2)])
            .price("USD", 120_000_000)
    };
    for (token, processor) in [
        ("google", Some(PaymentProcessedBy::ProcessedByGoogle)),
        ("unsaid", Some(PaymentProcessedBy::Unspecified)),
        ("no payment information", None),
    ] {
        let mut request = paid_with(order_request(token, "rafting", [half_trip()]), "card");
        let payment = payment_information(&mut request);
        payment.prepayment_status = PrepaymentStatus::PrepaymentProvided.into();
        payment.payment_transaction_id = "theirs".into();
        payment.price = payment.fees_and_taxes.clone();
        match processor {
            Some(processor) => payment.payment_processed_by = processor.into(),
            None => request.order.as_mut().unwrap().payment_information = None,
        }
        let sent = request.order.clone().unwrap().payment_information;
        assert_eq!(
            server
                .send(request)
                .await
                .unwrap()
                .order()
                .payment_information,
            sent,
            "{token}"
        );
    }
    assert_eq!(gateway.asked(), []);
}

#[tokio::test]
async fn an_order_that_fails_otherwise_is_not_charged() {
    let gateway = GatewayDouble::silent();
    let server = with_gateway(&gateway).await;
    let alone = Item::raft_trip()
        .tickets(&[("seat", 1)])
        .price("USD", 60_000_000);
    for request in [
        paid_with(order_request("bound", "rafting", [alone]), "card"),
        paid_with(
            order_request("price", "rafting", [whole_trip().price("USD", 1)]),
            "card",
        ),
        stating_fees(paid_trip("fees", "card"), "USD", 10_000),
    ] {
        server.send(request).await.unwrap().failure();
    }
    let mut malformed = paid_trip("malformed", "card");
    malformed.order.as_mut().unwrap().order_id = "mine".into();
    server.client().create_order(malformed).await.unwrap_err();
    assert_eq!(gateway.asked(), []);
}

#[tokio::test]
async fn no_other_price_is_charged_than_the_one_that_is_stated() {
    let gateway = GatewayDouble::silent();
    gateway.capture();
    let server = with_gateway(&gateway).await;
    let item = || {
        Item::symphony()
            .tickets(&[("stalls", 2), ("balcony", 1)])
            .price("USD", 205_000_000)
    };
    let all_of_it = 224_240_000;
    for (rule, stated, created) in [
        ("a cent too little", Some(("USD", 204_990_000)), false),
        ("a cent too much", Some(("USD", 205_010_000)), false),
        (
            "a cent too little with fees",
            Some(("USD", 224_230_000)),
            false,
        ),
        ("another currency", Some(("EUR", 205_000_000)), false),
        ("nothing", Some(("USD", 0)), false),
        ("the items", Some(("USD", 205_000_000)), true),
        ("the items and the fees", Some(("USD", all_of_it)), true),
        ("unsaid", None, true),
    ] {
        let request = stating_fees(
            order_request(rule, "concert-hall", [item()]),
            "USD",
            19_240_000,
        );
        let mut request = paid_with(request, "card");
        payment_information(&mut request).price =
            stated.map(|(currency, micros)| price(currency, micros));
        let answer = server.send(request).await.unwrap();
        assert_eq!(answer.is_order(), created, "{rule}");
        if !created {
            assert_eq!(failure(answer), ("PAYMENT_ERROR", "", None), "{rule}");
        }
    }
    let charged =
        |asked: &Asked| matches!(asked, Asked::Charge { micros, .. } if *micros == all_of_it);
    assert!(
        gateway.asked().len() == 3 && gateway.asked().iter().all(charged),
        "{:?}",
        gateway.asked()
    );
}

#[tokio::test]
async fn a_repeated_request_is_charged_once() {
    let gateway = GatewayDouble::silent();
    gateway.capture();
    let server = with_gateway(&gateway).await;
    let first = server.send(paid_trip("t", "card")).await.unwrap();
    gateway.decline();
    assert_eq!(
        server.send(paid_trip("t", "card")).await.unwrap().0,
        first.0
    );
    assert_eq!(gateway.asked().len(), 1);
}

#[tokio::test]
async fn a_declined_request_is_tried_again_for_real() {
    let gateway = GatewayDouble::silent();
    let server = with_gateway(&gateway).await;
    gateway.decline();
    assert_eq!(
        failure(server.send(paid_trip("t", "card")).await.unwrap()).0,
        "PAYMENT_ERROR_CARD_DECLINED"
    );
    gateway.capture();
    let order = server.send(paid_trip("t", "card")).await.unwrap().order();
    let attempt = |number| Asked::charge(format!("{}-{number}", order.order_id), 612_000_000);
    assert_eq!(gateway.asked(), [attempt(1), attempt(2)]);
}

#[tokio::test]
async fn a_charge_whose_outcome_is_unknown_is_undone() {
    for reversed in [Reversal::Voided, Reversal::Refunded] {
        let gateway = GatewayDouble::silent();
        let server = with_gateway(&gateway).await;
        gateway.answer_charges(ChargeOutcome::Unknown("the line broke".into()));
        gateway.answer_reversals(Ok(reversed));
        assert_eq!(
            failure(server.send(paid_trip("t", "card")).await.unwrap()),
            ("PAYMENT_ERROR", "", None)
        );
        assert_eq!(seats_open(&server).await, 12);
        gateway.capture();
        let id = server
            .send(paid_trip("t", "card"))
            .await
            .unwrap()
            .order()
            .order_id;
        let (first, second) = (format!("{id}-1"), format!("{id}-2"));
        let charge = |key: &str| Asked::charge(key, 612_000_000);
        assert_eq!(
            gateway.asked(),
            [charge(&first), Asked::reverse(&first), charge(&second)],
            "{reversed:?}"
        );
    }
}

#[tokio::test]
async fn a_charge_that_has_no_outcome_in_time_is_undone() {
    let gateway = GatewayDouble::silent();
    gateway.answer_reversals(Ok(Reversal::Voided));
    let mut config = config();
    config.sales.payment_timeout = Duration::from_millis(20);
    let server = Setup::with_config(config)
        .with_gateway(&gateway)
        .start()
        .await;
    assert_eq!(
        failure(server.send(paid_trip("t", "card")).await.unwrap()),
        ("PAYMENT_ERROR", "", None)
    );
    assert!(
        matches!(&gateway.asked()[..], [Asked::Charge { key, .. }, Asked::Reverse { key: reversed }] if key == reversed)
    );
    assert_eq!(seats_open(&server).await, 12);
}

#[tokio::test]
async fn spots_stay_taken_until_the_gateway_has_undone_an_unknown_charge() {
    let gateway = GatewayDouble::silent();
    let server = with_gateway(&gateway).await;
    gateway.answer_charges(ChargeOutcome::Unknown("the line broke".into()));
    gateway.answer_reversals(Err(GatewayError("busy".into())));
    let mut client = server.client();
    let call = tokio::spawn(async move { client.create_order(paid_trip("t", "card")).await });
    gateway.asked_times(3).await;
    assert_eq!(
        seats_open(&server).await,
        0,
        "asked once more, and not reversed yet"
    );
    assert!(
        !server
            .send(paid_trip("somebody", "card"))
            .await
            .unwrap()
            .is_order()
    );
    gateway.answer_reversals(Ok(Reversal::Refunded));
    let answer = Created(call.await.unwrap().unwrap().into_inner());
    assert_eq!(failure(answer), ("PAYMENT_ERROR", "", None));
    assert_eq!(seats_open(&server).await, 12);
}

/// What the disk would hold if the machine stopped now.
fn crash_image(store: &Path) -> TempDir {
    let image = TempDir::new().unwrap();
    copy_dir(store, image.path());
    image
}

fn recovered(image: &TempDir) -> Recovered {
    open_store(image.path()).unwrap().recover().unwrap()
}

#[tokio::test]
async fn the_intent_is_durable_before_the_gateway_is_asked_and_the_outcome_before_the_answer() {
    let (store, gateway) = (TempDir::new().unwrap(), GatewayDouble::silent());
    let server = Setup {
        payments: gateway.clone(),
        ..Setup::embedded(store.path())
    }
    .start()
    .await;
    let declined = ChargeOutcome::Declined(DeclineReason::CardDeclined);
    let captured = ChargeOutcome::Captured("transaction".into());
    for (attempt, answer, orders) in [(1, declined, 0), (2, captured, 1)] {
        let mut client = server.client();
        let call = tokio::spawn(async move { client.create_order(paid_trip("t", "card")).await });
        gateway.asked_times(attempt).await;
        let before = recovered(&crash_image(store.path()));
        assert_eq!(
            (before.orders, &before.pending[..]),
            (0, &[intent(attempt)][..])
        );
        gateway.answer_charges(answer);
        call.await.unwrap().unwrap();
        let after = recovered(&crash_image(store.path()));
        assert_eq!((after.orders, after.pending), (orders, vec![]));
        gateway.fall_silent();
    }
}

/// What is on record of a charge for a whole trip that is under way.
fn intent(attempt: usize) -> PaymentIntent {
    let seats = NamedClaim {
        merchant_id: "rafting".into(),
        service_id: "raft-trip".into(),
        start_sec: EpochSeconds::new(tomorrow_at(9, 0)),
        duration_sec: 10_800.into(),
        ticket_id: Some("seat".into()),
        count: 12,
    };
    PaymentIntent {
        token: "t".into(),
        attempt: attempt.try_into().unwrap(),
        amount: Money::from_micros(612_000_000, Currency::from_code("USD").unwrap()),
        started_sec: EpochSeconds::new(NOW),
        claims: vec![seats],
        hold: None,
    }
}

/// What a crash leaves that comes while a charge is under way.
async fn crash_while_charging() -> TempDir {
    let (store, gateway) = (TempDir::new().unwrap(), GatewayDouble::silent());
    let server = Setup {
        payments: gateway.clone(),
        ..Setup::embedded(store.path())
    }
    .start()
    .await;
    let mut client = server.client();
    let call = tokio::spawn(async move { client.create_order(paid_trip("t", "card")).await });
    gateway.asked_times(1).await;
    let image = crash_image(store.path());
    gateway.decline();
    call.await.unwrap().unwrap();
    server.stop().await;
    image
}

#[tokio::test]
async fn a_payment_that_a_crash_left_open_is_undone_before_its_spots_are_sold_again() {
    let image = crash_while_charging().await;
    let gateway = GatewayDouble::silent();
    let server = Setup {
        payments: gateway.clone(),
        ..Setup::embedded(image.path())
    }
    .start()
    .await;
    gateway.asked_times(1).await;
    assert_eq!(seats_open(&server).await, 0, "taken until it is reversed");
    let failure = server
        .create("somebody", "rafting", [whole_trip()])
        .await
        .unwrap()
        .failure();
    assert_eq!(failure.cause().as_str_name(), "ORDER_UNFULFILLABLE");
    let same = server.create_within("50m", &paid_trip("t", "card")).await;
    assert_eq!(
        (same.code(), &*same.reason()),
        (Code::Aborted, "ORDER_IN_PROGRESS")
    );
    assert_eq!(
        recovered(&crash_image(image.path())).pending,
        [intent(1)],
        "open until it is reversed"
    );
    gateway.answer_reversals(Ok(Reversal::Refunded));
    gateway.capture();
    let order = server.send(paid_trip("t", "card")).await.unwrap().order();
    let key = |attempt| format!("{}-{attempt}", order.order_id);
    assert_eq!(
        gateway.asked(),
        [Asked::reverse(key(1)), Asked::charge(key(2), 612_000_000)]
    );
    server.stop().await;
    let after = recovered(&image);
    assert_eq!((after.orders, after.pending.len()), (1, 0));
}

/// A setup with payments off, whose gateway would tell if it were asked.
fn payments_off(gateway: &Arc<GatewayDouble>) -> Setup {
    let mut config = config();
    config.sales.payments = PaymentsChoice::Off;
    Setup::with_config(config).with_gateway(gateway)
}

#[tokio::test]
async fn with_payments_off_an_order_that_we_are_to_charge_is_not_created() {
    let gateway = GatewayDouble::silent();
    let server = payments_off(&gateway).start().await;
    let held = server
        .check_cart("t", "rafting", [whole_trip()])
        .await
        .unwrap();
    assert!(held.0.cart_expiration_sec > 0);
    let failed = server
        .send(paid_trip("t", "approve"))
        .await
        .unwrap()
        .failure();
    assert_eq!(failed.cause().as_str_name(), "PAYMENT_ERROR");
    assert!(
        failed.description.contains("takes no payments"),
        "{}",
        failed.description
    );
    assert_eq!(server.list_user("user-1").await.unwrap(), []);
    assert_eq!(seats_open(&server).await, 0, "the cart still holds them");
    server
        .send(order_request("t", "rafting", [whole_trip()]))
        .await
        .unwrap()
        .order();
    let mut by_google = order_request(
        "google",
        "museum",
        [Item::museum_entry()
            .tickets(&[("adult", 1)])
            .price("USD", 25_000_000)],
    );
    payment_information(&mut by_google).payment_processed_by =
        PaymentProcessedBy::ProcessedByGoogle.into();
    server.send(by_google).await.unwrap().order();
    assert_eq!(gateway.asked(), []);
}

#[tokio::test]
async fn an_order_that_was_paid_is_answered_again_with_payments_off() {
    let (store, gateway) = (TempDir::new().unwrap(), GatewayDouble::silent());
    gateway.capture();
    let server = Setup {
        payments: gateway.clone(),
        ..Setup::embedded(store.path())
    }
    .start()
    .await;
    let first = server.send(paid_trip("t", "card")).await.unwrap();
    server.stop().await;
    let stored = Setup::embedded(store.path());
    let server = Setup {
        store: stored.store,
        ..payments_off(&gateway)
    }
    .start()
    .await;
    assert_eq!(
        server.send(paid_trip("t", "card")).await.unwrap().0,
        first.0
    );
    assert_eq!(gateway.asked().len(), 1);
}

#[tokio::test]
async fn a_payment_left_open_keeps_its_spots_and_its_token_while_payments_are_off() {
    let image = crash_while_charging().await;
    let gateway = GatewayDouble::silent();
    let stored = Setup::embedded(image.path());
    let server = Setup {
        store: stored.store,
        ..payments_off(&gateway)
    }
    .start()
    .await;
    assert_eq!(seats_open(&server).await, 0, "it may have been captured");
    let same = server.create_within("50m", &paid_trip("t", "card")).await;
    assert_eq!(
        (same.code(), &*same.reason()),
        (Code::Aborted, "ORDER_IN_PROGRESS")
    );
    assert_eq!(
        (
            gateway.asked(),
            recovered(&crash_image(image.path())).pending
        ),
        (vec![], vec![intent(1)])
    );
    server.stop().await;
    gateway.answer_reversals(Ok(Reversal::Refunded));
    let server = Setup {
        payments: gateway.clone(),
        ..Setup::embedded(image.path())
    }
    .start()
    .await;
    gateway.asked_times(1).await;
    gateway.capture();
    server.send(paid_trip("t", "card")).await.unwrap().order();
    assert_eq!(seats_open(&server).await, 0, "sold");
}

/// The sample with a tax of 8.875 % on the rafting, and on the museum one of 10 % but on its lectures.
fn taxed() -> TempDir {
    let rate =
        |id: &str, rate: &str| format!("\"{id}\", \"tax_rate\": {{\"micro_percent\": {rate}}}");
    edited_catalog(&[
        (
            "merchants.json",
            "\"rafting\"",
            &rate("rafting", "\"8875000\""),
        ),
        (
            "merchants.json",
            "\"museum\",\n      \"name\"",
            &format!("{},\n      \"name\"", rate("museum", "10000000")),
        ),
        (
            "services.json",
            "\"museum-lecture\"",
            "\"museum-lecture\", \"tax_rate\": {}",
        ),
        (
            "services.json",
            "\"museum-tour\"",
            &rate("museum-tour", "7250000"),
        ),
    ])
}

/// Per-order fees by name, in cents.
fn order_fees(checked: &Checked) -> Vec<(String, i64)> {
    let fees = checked.0.fees.as_ref().unwrap();
    let cents = |price: &Option<Price>| price.as_ref().unwrap().price_micros / 10_000;
    fees.per_order_fee
        .iter()
        .map(|fee| (fee.fee_name.clone(), cents(&fee.fee_amount)))
        .collect()
}

#[tokio::test]
async fn taxes_are_reported_charged_and_replayed() {
    let (catalog, store, gateway) = (taxed(), TempDir::new().unwrap(), GatewayDouble::silent());
    gateway.capture();
    let open = || Setup {
        catalog: catalog.path().into(),
        payments: gateway.clone(),
        ..Setup::embedded(store.path())
    };
    let server = open().start().await;
    // 8.875 % of 612.00 are 54.315, a half that goes to the even cent.
    let checked = server
        .check("rafting", [whole_trip().price("USD", 700_000_000)])
        .await
        .unwrap();
    assert_eq!(
        order_fees(&checked),
        [("Tax".to_owned(), 5_432)],
        "of the corrected total"
    );
    assert_eq!(checked.0.fees_and_taxes, Some(price("USD", 54_320_000)));
    let untaxed = server.send(paid_trip("t", "card")).await.unwrap();
    assert_eq!(failure(untaxed).0, "INCORRECT_FEE_TOTAL");
    for (stated, is_right) in [
        (Some(price("USD", 54_310_000)), false),
        (Some(price("EUR", 54_320_000)), false),
        (Some(price("USD", 0)), false),
        (Some(price("USD", 54_320_000)), true),
        (None, true),
    ] {
        let token = format!("{stated:?}").replace(char::is_whitespace, "");
        let mut trip = whole_trip();
        trip.0.start_sec = tomorrow_at(if stated.is_some() { 9 } else { 13 }, 0);
        let request = order_request(&token, "rafting", [trip]);
        let mut request = stating_fees(paid_with(request, "card"), "USD", 54_320_000);
        payment_information(&mut request).tax_amount = stated.clone();
        let answer = server.send(request.clone()).await.unwrap();
        assert_eq!(answer.is_order(), is_right, "{stated:?}");
        if is_right {
            assert_eq!(
                server.send(request).await.unwrap().0,
                answer.0,
                "the same again"
            );
            let charged = Asked::charge(format!("{}-1", answer.order().order_id), 666_320_000);
            assert_eq!(gateway.asked().last(), Some(&charged), "{stated:?}");
        } else {
            assert_eq!(failure(answer), ("PAYMENT_ERROR", "", None), "{stated:?}");
        }
    }
    let listed = server.list_user("user-1").await.unwrap();
    server.stop().await;
    let server = open().start().await;
    assert_eq!(server.list_user("user-1").await.unwrap(), listed);
    assert_eq!(
        listed[1].payment_information.as_ref().unwrap().tax_amount,
        Some(price("USD", 54_320_000))
    );
}

#[tokio::test]
async fn each_rate_of_an_order_is_a_fee_and_a_service_may_have_none() {
    let catalog = taxed();
    let server = Setup {
        catalog: catalog.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let adults = |item: Item, micros| item.tickets(&[("adult", 1)]).price("USD", micros);
    let entry = || adults(Item::museum_entry(), 25_000_000);
    let tour = || adults(Item::of("museum-tour", 11, 0, 3600), 15_000_000);
    let lecture = || adults(Item::of("museum-lecture", 10, 30, 3600), 8_000_000);
    for (items, fees) in [
        (vec![entry()], vec![("Tax", 250)]),
        (vec![lecture()], vec![]),
        // 7.25 % of 15.00 are 1.0875.
        (
            vec![entry(), tour()],
            vec![("Tax 10%", 250), ("Tax 7.25%", 109)],
        ),
        (vec![entry(), lecture(), entry()], vec![("Tax", 500)]),
        // What cannot be sold is not taxed.
        (
            vec![entry(), tour().price("EUR", 15_000_000)],
            vec![("Tax", 250)],
        ),
    ] {
        let checked = server.check("museum", items.clone()).await.unwrap();
        let fees: Vec<_> = fees
            .into_iter()
            .map(|(name, cents)| (name.to_owned(), cents))
            .collect();
        assert_eq!(order_fees(&checked), fees, "{items:?}", items = items.len());
        let total = fees.iter().map(|(_, cents)| cents * 10_000).sum();
        assert_eq!(checked.0.fees_and_taxes, Some(price("USD", total)));
    }
}

#[tokio::test]
async fn a_service_with_required_prepayment_is_not_sold_unpaid() {
    let required = edited_catalog(&[(
        "services.json",
        "\"raft-trip\"",
        "\"raft-trip\", \"prepayment_type\": \"REQUIRED\"",
    )]);
    for (processed_by, status, charging, created) in [
        (None, None, true, false),
        (
            Some(PaymentProcessedBy::ProcessedByGoogle),
            None,
            true,
            false,
        ),
        (
            Some(PaymentProcessedBy::ProcessedByGoogle),
            Some(PrepaymentStatus::PrepaymentNotProvided),
            true,
            false,
        ),
        (
            Some(PaymentProcessedBy::ProcessedByGoogle),
            Some(PrepaymentStatus::PrepaymentProvided),
            true,
            true,
        ),
        (
            Some(PaymentProcessedBy::ProcessedByGoogle),
            Some(PrepaymentStatus::PrepaymentProvided),
            false,
            true,
        ),
        (None, Some(PrepaymentStatus::PrepaymentProvided), true, true),
        (
            Some(PaymentProcessedBy::ProcessedByPartner),
            None,
            true,
            true,
        ),
        (
            Some(PaymentProcessedBy::ProcessedByPartner),
            None,
            false,
            false,
        ),
    ] {
        let gateway = GatewayDouble::silent();
        gateway.capture();
        let setup = if charging {
            Setup::default().with_gateway(&gateway)
        } else {
            payments_off(&gateway)
        };
        let server = Setup {
            catalog: required.path().into(),
            ..setup
        }
        .start()
        .await;
        let mut request = order_request("t", "rafting", [whole_trip()]);
        if processed_by == Some(PaymentProcessedBy::ProcessedByPartner) {
            request = paid_with(request, "card");
        }
        if processed_by.is_some() || status.is_some() {
            let payment = payment_information(&mut request);
            payment.payment_processed_by = processed_by.unwrap_or_default().into();
            payment.prepayment_status = status.unwrap_or_default().into();
        }
        let answer = server.send(request).await.unwrap();
        let what = format!("{processed_by:?} {status:?} {charging}");
        assert_eq!(answer.is_order(), created, "{what}");
        if !created {
            let failed = answer.failure();
            assert_eq!(failed.cause().as_str_name(), "PAYMENT_ERROR", "{what}");
            assert!(!failed.description.is_empty(), "{what}");
            assert_eq!(seats_open(&server).await, 12, "{what}");
            assert_eq!(gateway.asked(), [], "{what}");
        }
    }
}

#[tokio::test]
async fn one_item_that_has_to_be_prepaid_makes_the_order_so_and_one_that_may_not_be_is_not_charged()
{
    let catalog = edited_catalog(&[
        (
            "services.json",
            "\"museum-lecture\"",
            "\"museum-lecture\", \"prepayment_type\": \"REQUIRED\"",
        ),
        (
            "services.json",
            "\"museum-tour\"",
            "\"museum-tour\", \"prepayment_type\": \"NOT_SUPPORTED\"",
        ),
    ]);
    let server = Setup {
        catalog: catalog.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let adults = |item: Item, micros| item.tickets(&[("adult", 1)]).price("USD", micros);
    let entry = || adults(Item::museum_entry(), 25_000_000);
    let tour = || adults(Item::of("museum-tour", 11, 0, 3600), 15_000_000);
    let lecture = || adults(Item::of("museum-lecture", 10, 30, 3600), 8_000_000);
    for (name, items, paid, created) in [
        ("entry", vec![entry()], false, true),
        ("entry, paid", vec![entry()], true, true),
        ("lecture", vec![entry(), lecture()], false, false),
        ("lecture, paid", vec![entry(), lecture()], true, true),
        ("tour", vec![tour(), entry()], false, true),
        ("tour, paid", vec![tour(), entry()], true, false),
    ] {
        let request = order_request(name, "museum", items);
        let request = if paid {
            paid_with(request, "approve")
        } else {
            request
        };
        let answer = server.send(request).await.unwrap();
        assert_eq!(answer.is_order(), created, "{name}");
        if !created {
            assert_eq!(failure(answer).0, "PAYMENT_ERROR", "{name}");
        }
    }
}

#[tokio::test]
async fn fees_of_nothing_are_left_out_of_answers() {
    let free = edited_catalog(&[
        ("services.json", "\"3500000\"", "\"0\""),
        ("services.json", "\"2000000\"", "\"0\""),
        ("rules.toml", "price_micros = 990_000", "price_micros = 0"),
    ]);
    let server = Setup {
        catalog: free.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let item = Item::symphony()
        .tickets(&[("stalls", 1)])
        .price("USD", 80_000_000);
    let checked = server.check("concert-hall", [item]).await.unwrap();
    let fees = checked.0.fees.clone().unwrap();
    let names: Vec<&str> = fees
        .per_ticket_fee
        .iter()
        .map(|fee| fee.fee_name.as_str())
        .collect();
    assert_eq!(names, ["Facility fee", "Restoration levy"]);
    assert_eq!(fees.per_order_fee, []);
    assert_eq!(checked.0.fees_and_taxes, Some(price("USD", 2_250_000)));
}
