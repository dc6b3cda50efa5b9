//! Operators at the server and at the model: what is asked for, and whether orders, slots, money and lists agree after it.

use boxoffice::{
    api::{
        booking::proto::v3::{CreateOrderResponse, create_order_response},
        operator::proto::v1,
    },
    payments::ChargeKey,
};
use domain::time::Seconds;
use http::Method;
use prost::Message;
use serde_json::{Value, json};

use super::{
    Agreement, Harness,
    after_sale::{ModelChange, ModelDecision, ModelPart, ModelRefund, ModelRejection, ModelSpots},
    asks::{Ask, AskTerms},
    blocks::Blocked,
    fixture::{self, BEACON, BEACON_PRICE, BEACON_START, MERCHANT, SlotName},
    outline::{Outline, order_of, reason},
    refunds::ModelPayment,
    rules::Rule,
    same,
};
use crate::support::{
    Item, NOW,
    byte_client::ByteClient,
    order_request, request_id,
    rest_client::{Answer, post, send, without_body},
    stating_fees,
};

/// How long the server has for what happens by itself.
const HAPPENS_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// Attempts at a charge that are looked for in the gateway's books.
const ATTEMPTS: u32 = 30;

/// A request that has changed an order.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    order: usize,
    change: ModelChange,
    path: String,
    body: Value,
    outline: Outline,
}

impl Harness {
    pub(super) async fn ask(&mut self, ask: &Ask) -> Agreement {
        match ask {
            Ask::Change {
                order,
                change,
                awaited,
                terms,
            } if !self.model.orders.is_empty() => {
                let count = self.model.orders.len();
                let at = count - 1 - order % count;
                let decided = awaited.and_then(|it| self.model.orders[at].awaited(it));
                self.change(at, &decided.unwrap_or(change.clone()), *terms)
                    .await
            }
            Ask::Again(nth) if !self.answered.is_empty() => {
                let again = self.answered[nth % self.answered.len()].clone();
                self.ask_again(again).await
            }
            Ask::Otherwise(nth) if !self.answered.is_empty() => {
                let before = &self.answered[nth % self.answered.len()];
                let name = self.name(before.order);
                let body = json!({"note": "another", "request_id": before.body["request_id"]});
                let answer = self.post(&format!("{name}:addNote"), &body).await;
                self.note("REQUEST_ID_REUSED");
                same(
                    &order_of(&answer).map(drop),
                    &Err("REQUEST_ID_REUSED".into()),
                )
            }
            Ask::Change { .. } | Ask::Again(_) | Ask::Otherwise(_) => Ok(()),
            Ask::Block(slot, spots) => self.block(&fixture::slots()[*slot], *spots).await,
            Ask::WithdrawSlot(slot) => self.withdraw_slot(&fixture::slots()[*slot]).await,
            Ask::ListSlots => self.list_slots().await,
            Ask::Publish(publication) => self.publish(publication).await,
            Ask::Pass(seconds) => self.pass(*seconds).await,
        }
    }

    fn name(&self, at: usize) -> String {
        format!("orders/{}", self.model.orders[at].first.order_id)
    }

    pub(super) fn next_request(&mut self) -> String {
        self.requests += 1;
        request_id(self.requests)
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        let address = self.server.server.operator_address().unwrap();
        let path = format!("/operator/v1/{path}");
        send(address, post(&path, body.to_string())).await
    }

    pub(super) async fn read(&self, path: &str) -> Value {
        let address = self.server.server.operator_address().unwrap();
        let path = format!("/operator/v1/{path}");
        send(address, without_body(Method::GET, &path)).await.json()
    }

    async fn change(&mut self, at: usize, change: &ModelChange, terms: AskTerms) -> Agreement {
        let order = &self.model.orders[at];
        let change = change.of_items_of(order);
        let stale = order
            .etag
            .as_ref()
            .filter(|_| terms == AskTerms::WithFirstEtag);
        let stale = stale.map(|(updates, etag)| (*updates != order.updates, etag.clone()));
        let (path, mut body) = self.request_of(at, &change);
        body["request_id"] = self.next_request().into();
        if let Some((_, etag)) = &stale {
            // A withdrawal names its order within its target.
            let target = if path == "orders:withdraw" {
                &mut body["order_items"]
            } else {
                &mut body
            };
            target["etag"] = etag.clone().into();
        }
        if terms == AskTerms::DryRun {
            body["validate_only"] = true.into();
        }
        let is_stale = stale.is_some_and(|(is_stale, _)| is_stale);
        let decided = if is_stale && self.model.keeps(Rule::EtagsAreChecked) {
            Err("ORDER_CHANGED")
        } else {
            self.model.decide(at, &change)
        };
        let answer = self.post(&path, &body).await;
        let expected = decided.as_ref().map(|it| Outline::expected(&it.order));
        self.compare_answer(at, &answer, expected.map_err(|reason| *reason))?;
        let decided = match decided {
            Ok(decided) => decided,
            Err(reason) => {
                self.note(reason);
                return Ok(());
            }
        };
        if terms == AskTerms::DryRun {
            self.note("a dry run");
            return self.compare(at).await;
        }
        self.note(change.kind());
        let outline = Outline::expected(&decided.order);
        self.model.commit(at, decided);
        self.answered.push(Answered {
            order: at,
            change,
            path,
            body,
            outline,
        });
        self.happen(Some(at)).await
    }

    /// Compares an answer with what an order should look like.
    fn compare_answer(
        &self,
        at: usize,
        answer: &Answer,
        expected: Result<Outline, ModelRejection>,
    ) -> Agreement {
        self.compare_named(at, answer, expected, |name| self.model.names.first_of(name))
    }

    fn compare_named(
        &self,
        at: usize,
        answer: &Answer,
        expected: Result<Outline, ModelRejection>,
        first: impl Fn(&str) -> String,
    ) -> Agreement {
        let is_charged = self.model.orders[at].payment.is_some();
        let answered = order_of(answer);
        let answered = answered.map(|it| Outline::answered(&it, first, is_charged));
        same(&answered, &expected.map_err(str::to_owned))
    }

    /// The same request has the answer that it has had, and changes nothing.
    async fn ask_again(&mut self, again: Answered) -> Agreement {
        let at = again.order;
        let answer = self.post(&again.path, &again.body).await;
        let expected = if self.model.keeps(Rule::RequestsAreDecidedOnce) {
            Ok(again.outline)
        } else {
            let decided = self.model.decide(at, &again.change);
            decided.map(|decided| Outline::expected(&decided.order))
        };
        self.note("the same request");
        let names = &self.model.names;
        self.compare_named(at, &answer, expected, |name| names.first_of_any(name))?;
        self.compare(at).await
    }

    fn request_of(&self, at: usize, change: &ModelChange) -> (String, Value) {
        let name = self.name(at);
        let refund = |refund: &ModelRefund| match refund {
            ModelRefund::Policy => json!({"by_policy": {}}),
            ModelRefund::Full => json!({"full": {}}),
            ModelRefund::Nothing => json!({"nothing": {}}),
            ModelRefund::Amount(micros) => {
                json!({"amount": {"micros": micros.to_string(), "currency_code": "USD"}})
            }
        };
        let (verb, body) = match change {
            ModelChange::Cancel(items, share) => {
                ("cancel", json!({"items": items, "refund": refund(share)}))
            }
            ModelChange::Refund(items, share) => {
                ("refund", json!({"items": items, "refund": refund(share)}))
            }
            ModelChange::Withdraw(items, spots) => {
                let is_kept = *spots == ModelSpots::OffSale;
                let target = json!({"name": name, "items": items, "keep_off_sale": is_kept});
                return ("orders:withdraw".into(), json!({"order_items": target}));
            }
            ModelChange::Customer(ModelDecision::Keep) => (
                "customerAction",
                json!({"decision": "CUSTOMER_DECISION_AMEND"}),
            ),
            ModelChange::Customer(ModelDecision::Drop) => (
                "customerAction",
                json!({"decision": "CUSTOMER_DECISION_CANCEL"}),
            ),
            ModelChange::NoShow(items) => ("noShow", json!({"items": items})),
            ModelChange::Merchant(items, decision) => {
                let decision = match decision {
                    ModelDecision::Keep => "MERCHANT_DECISION_CONFIRM",
                    ModelDecision::Drop => "MERCHANT_DECISION_DECLINE",
                };
                ("confirm", json!({"items": items, "decision": decision}))
            }
            ModelChange::State(part, from, to) => {
                let names = &self.model.names;
                let from = from.map_or("", |from| names.in_force(from));
                let body = json!({"from_state": from, "to_state": names.in_force(to)});
                let part = match part {
                    ModelPart::Order => String::new(),
                    ModelPart::Item(at) => format!("/items/{at}"),
                    ModelPart::Refund(at) => format!("/refunds/{}", at + 1),
                };
                return (format!("{name}{part}:changeState"), body);
            }
            ModelChange::Note => ("addNote", json!({"note": "called"})),
        };
        (format!("{name}:{verb}"), body)
    }

    /// Has the clock go on, and everything happen that is due by then.
    pub(super) async fn pass(&mut self, seconds: i64) -> Agreement {
        self.clock.advance(Seconds::new(seconds));
        self.model.now += seconds;
        let states: Vec<&str> = self.model.orders.iter().map(|order| order.state).collect();
        let before = self.model.sold.len();
        let changed = self.model.happen();
        for at in &changed {
            if states[*at] != self.model.orders[*at].state {
                self.note("time has changed an order");
            }
        }
        if self.model.sold.len() > before {
            self.note("time has given spots back");
        }
        if changed.is_empty() {
            return Ok(());
        }
        self.wake().await;
        for at in changed {
            self.compare(at).await?;
        }
        Ok(())
    }

    /// Compares an order that was changed, once everything has happened that is due.
    async fn happen(&mut self, changed: Option<usize>) -> Agreement {
        let mut all = self.model.happen();
        all.extend(changed.filter(|at| !all.contains(at)));
        for at in all {
            self.compare(at).await?;
        }
        Ok(())
    }

    /// Has the server look at the clock at once and not in a second: work begins whenever an order has changed.
    async fn wake(&mut self) {
        if self.beacon.is_empty() {
            let mut item = Item::of(BEACON, 0, 0, 3600).price("USD", BEACON_PRICE);
            item.0.start_sec = BEACON_START;
            let fees = fixture::HANDLING + self.model.tax(BEACON, BEACON_PRICE);
            let request = stating_fees(order_request("beacon", MERCHANT, [item]), "USD", fees);
            let created = self.server.send(request).await.unwrap();
            self.beacon = created.order().order_id;
            self.model.has_beacon = true;
            self.model.newest = self.model.newest.max(Some(self.model.now));
        }
        let body = json!({"note": "wake", "request_id": self.next_request()});
        let answer = self
            .post(&format!("orders/{}:addNote", self.beacon), &body)
            .await;
        assert_eq!(answer.http, 200, "{}", answer.json());
    }

    /// Compares an order with the model: as operators see it, as lists show it, as its request is answered again, and with
    /// the books of the gateway.
    pub(super) async fn compare(&mut self, at: usize) -> Agreement {
        self.await_updates(at).await?;
        let name = self.name(at);
        let shown = self.read(&name).await;
        let shown: v1::Order = serde_json::from_value(shown["order"].clone()).unwrap();
        let order = &mut self.model.orders[at];
        if order.etag.is_none() {
            order.etag = Some((order.updates, shown.etag.clone()));
        }
        let order = &self.model.orders[at];
        let first = |name: &str| self.model.names.first_of(name);
        let outline = Outline::answered(&shown, first, order.payment.is_some());
        same(&outline, &Outline::expected(order))?;
        let id = order.first.order_id.clone();
        let listed = self.server.list_ids([id.clone()]).await.unwrap();
        same(&listed, &vec![order.listed(&self.model)])?;
        let given = (1..=ATTEMPTS).map(|attempt| {
            let key = ChargeKey::new(&id.as_str().into(), attempt);
            let refunds = self.gateway.refunds_of(&key);
            refunds
                .iter()
                .map(|it| it.to_micros().unwrap())
                .sum::<i64>()
        });
        let refunded = order.payment.as_ref().map_or(0, ModelPayment::refunded);
        same(&given.sum(), &refunded)?;
        let request = &self.led_to_order[&order.token];
        let first = CreateOrderResponse {
            result: Some(create_order_response::Result::Order(Box::new(
                order.replay(&self.model),
            ))),
        };
        let client = ByteClient::connect(self.server.server.address()).await;
        let replayed = client.call("CreateOrder", &request.encode_to_vec()).await;
        if replayed.bytes() == first.encode_to_vec() {
            return Ok(());
        }
        let replayed: CreateOrderResponse = replayed.message();
        Err(format!("answered again {replayed:#?}\nexpected {first:#?}"))
    }

    pub(super) async fn compare_all(&mut self) -> Agreement {
        for at in 0..self.model.orders.len() {
            self.compare(at).await?;
        }
        Ok(())
    }

    /// Waits until an order has had all changes that the model has made of it.
    async fn await_updates(&self, at: usize) -> Agreement {
        let path = format!("{}/history?page_size=1", self.name(at));
        let expected = self.model.orders[at].updates;
        let happened = async {
            loop {
                let history = self.read(&path).await;
                let newest = &history["entries"][0]["revision"];
                let found = u32::try_from(newest.as_u64().unwrap_or(0)).unwrap();
                if found >= expected {
                    return found;
                }
            }
        };
        match tokio::time::timeout(HAPPENS_WITHIN, happened).await {
            Ok(found) => same(&found, &expected),
            Err(_) => Err(format!("an order has not come to its change {expected}")),
        }
    }

    async fn block(&mut self, slot: &SlotName, spots: Blocked) -> Agreement {
        let (service, start, duration) = slot;
        // Whether a slot that is over is still known is a matter of sweeps.
        if start + duration <= self.model.now {
            return Ok(());
        }
        let mut body = json!({
            "slot": slot_as_json(service, *start, *duration),
            "request_id": self.next_request(),
        });
        match spots {
            Blocked::Count(count) => body["count"] = count.into(),
            Blocked::All => body["all"] = json!({}),
        }
        let answer = self.post("slots:block", &body).await;
        let answered = if answer.http == 200 {
            Ok(())
        } else {
            Err(reason(&answer))
        };
        let expected = if self.model.block(slot, spots) {
            self.note("a block");
            Ok(())
        } else {
            self.note("SLOT_NOT_FOUND");
            Err("SLOT_NOT_FOUND".to_owned())
        };
        same(&answered, &expected)
    }

    /// A slot is blocked, and everything that was sold of it is withdrawn, the oldest order first.
    async fn withdraw_slot(&mut self, slot: &SlotName) -> Agreement {
        let (service, start, duration) = slot;
        if start + duration <= self.model.now {
            return Ok(());
        }
        let body = json!({
            "slot": slot_as_json(service, *start, *duration),
            "request_id": self.next_request(),
        });
        let answer = self.post("orders:withdraw", &body).await;
        if !self.model.block(slot, Blocked::All) {
            return same(&order_of(&answer).map(drop), &Err("SLOT_NOT_FOUND".into()));
        }
        self.note("a slot is withdrawn");
        let mut expected = Vec::new();
        let mut is_kept = false;
        for at in 0..self.model.orders.len() {
            let order = &self.model.orders[at];
            let mut items = order.held();
            items.retain(|item| order.items[*item].slot == *slot);
            if items.is_empty() {
                continue;
            }
            let change = ModelChange::Withdraw(items, ModelSpots::ForSale);
            match self.model.decide(at, &change) {
                Ok(decided) => {
                    expected.push((at, Outline::expected(&decided.order)));
                    self.model.commit(at, decided);
                }
                Err(_) => is_kept = true,
            }
        }
        let lines = answer.body.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        let lines: Vec<Value> = lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let reasons = lines.iter().filter(|line| line.get("error").is_some());
        let reasons: Vec<&str> = reasons
            .map(|line| line["error"]["details"][0]["reason"].as_str().unwrap())
            .collect();
        let expected_reasons: &[&str] = if is_kept { &["ORDERS_KEPT"] } else { &[] };
        same(&&reasons[..], &expected_reasons)?;
        if is_kept {
            self.note("ORDERS_KEPT");
        }
        let orders = lines.iter().filter_map(|line| line.get("order"));
        let orders: Vec<v1::Order> = orders
            .map(|order| serde_json::from_value(order.clone()).unwrap())
            .collect();
        same(&orders.len(), &expected.len())?;
        for (order, (at, outline)) in orders.iter().zip(&expected) {
            let is_charged = self.model.orders[*at].payment.is_some();
            let first = |name: &str| self.model.names.first_of(name);
            same(&Outline::answered(order, first, is_charged), outline)?;
        }
        self.happen(None).await?;
        for (at, _) in expected {
            self.compare(at).await?;
        }
        Ok(())
    }

    /// What was sold of each slot, and what is left.
    async fn list_slots(&mut self) -> Agreement {
        let path = format!("slots?merchant_id={MERCHANT}&date={TOMORROW}&page_size=1000");
        let listed: v1::ListSlotsResponse = serde_json::from_value(self.read(&path).await).unwrap();
        for slot in listed.slots {
            let name = slot.name.unwrap();
            let start = name.start_time.unwrap().seconds;
            if start + name.duration_sec <= self.model.now {
                continue;
            }
            let at = (name.service_id, start, name.duration_sec);
            let sold = self.model.sold.iter().filter(|spots| spots.slot == at);
            let sold: i64 = sold.map(|spots| spots.count).sum();
            let expected = (&at, sold, self.model.spots_open(&at, ""));
            same(&(&at, slot.sold.into(), slot.left.into()), &expected)?;
            self.note("a slot of the list");
        }
        Ok(())
    }
}

/// The day of all tours, in the time zone of the merchant.
const TOMORROW: &str = "2026-01-16";

fn slot_as_json(service: &str, start: i64, duration: i64) -> Value {
    let start = jiff::Timestamp::from_second(start).unwrap().to_string();
    json!({
        "merchant_id": MERCHANT,
        "service_id": service,
        "start_time": start,
        "duration_sec": duration.to_string(),
    })
}

#[test]
fn the_day_of_all_tours_is_the_one_after_the_beginning() {
    let day = jiff::Timestamp::from_second(NOW + 24 * 3600).unwrap();
    assert!(day.to_string().starts_with(TOMORROW));
}
