//! Users who act for some merchants: what every method finds for them, over both transports.

use std::collections::BTreeSet;

use boxoffice::{
    api::operator::{
        proto::{FILE_DESCRIPTOR_SET, v1},
        rest::{ROUTES, Route, Source},
    },
    kernel::rpc::{OperatorRpc, Subject},
};
use bytes::{Buf, BufMut};
use http::{Method, uri::PathAndQuery};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message;
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_types::StatusExt;

use super::stage::{Stage, request_id};
use crate::support::{
    Item, Setup,
    keys::{Keys, basic},
    order_request, paid_with, payment_information, price,
    rest_client::{post, send, without_body},
};

/// What a user finds who acts for one merchant and names, or could be shown, what is of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The same rejection as for what is not there.
    NotThere(&'static str),
    /// The same answer as for what is not there.
    Nothing,
    /// A list of its own things only.
    OwnOnly,
    /// No answer: the method is about the whole server.
    Rejected,
    /// The same answer as everybody: it says nothing of merchants.
    Definition,
}

use Found::{Definition, NotThere, Nothing, OwnOnly, Rejected};

/// What is asked for.
#[derive(Debug, Clone)]
struct Target {
    merchant: &'static str,
    service: &'static str,
    start: &'static str,
    order: String,
    request: u32,
}

impl Target {
    fn name(&self) -> String {
        format!("orders/{}", self.order)
    }

    fn slot(&self) -> Value {
        json!({"merchant_id": self.merchant, "service_id": self.service, "start_time": self.start})
    }

    /// A change of the order, or of a part of it.
    fn change(&self, part: &str, fields: &Value) -> Value {
        let mut message = json!({
            "name": format!("{}{part}", self.name()),
            "request_id": request_id(self.request),
        });
        let fields = fields.as_object().unwrap().clone();
        message.as_object_mut().unwrap().extend(fields);
        message
    }
}

/// One way to ask a method.
struct Row {
    rpc: OperatorRpc,
    found: Found,
    message: fn(&Target) -> Value,
    encode: fn(&Value) -> Vec<u8>,
}

/// The bytes of a message.
fn encoded<M: Message + DeserializeOwned>(message: &Value) -> Vec<u8> {
    M::deserialize(message).unwrap().encode_to_vec()
}

macro_rules! rows {
    ($($rpc:ident $request:ident $found:expr, $message:expr;)*) => {
        vec![$(Row {
            rpc: OperatorRpc::$rpc,
            found: $found,
            message: $message,
            encode: encoded::<v1::$request>,
        }),*]
    };
}

/// Every method at least once.
fn rows() -> Vec<Row> {
    let (order, slot) = ("ORDER_NOT_FOUND", "SLOT_NOT_FOUND");
    let invalid = "INVALID_REQUEST";
    rows! {
        GetOrder GetOrderRequest NotThere(order), |it| json!({"name": it.name()});
        WatchOrder WatchOrderRequest NotThere(order), |it| json!({"name": it.name()});
        ListHistory ListHistoryRequest NotThere(order), |it| json!({"parent": it.name()});
        SearchOrders SearchOrdersRequest OwnOnly, |_| json!({});
        SearchOrders SearchOrdersRequest OwnOnly, |_| json!({"user_id": "both"});
        SearchOrders SearchOrdersRequest OwnOnly, |_| json!({"visit_date": "2026-01-16"});
        SearchOrders SearchOrdersRequest NotThere(invalid), |it| json!({"merchant_id": it.merchant});
        SearchOrders SearchOrdersRequest Nothing, |it| json!({"order_id_prefix": it.order});
        ListSlots ListSlotsRequest NotThere(invalid),
            |it| json!({"merchant_id": it.merchant, "date": "2026-01-16"});
        ListDoor ListDoorRequest NotThere(invalid), |it| json!({"slot": it.slot()});
        ListBlocks ListBlocksRequest OwnOnly, |_| json!({});
        ListBlocks ListBlocksRequest NotThere(invalid), |it| json!({"merchant_id": it.merchant});
        ListSteps ListStepsRequest OwnOnly, |_| json!({});
        ListSteps ListStepsRequest NotThere(order), |it| json!({"parent": it.name()});
        ExportCustomer ExportCustomerRequest OwnOnly, |_| json!({"user_id": "both"});
        CancelOrder CancelOrderRequest NotThere(order),
            |it| it.change("", &json!({"refund": {"full": {}}}));
        RefundItems RefundItemsRequest NotThere(order),
            |it| it.change("", &json!({"refund": {"full": {}}}));
        WithdrawItems WithdrawItemsRequest NotThere(order), |it| json!({
            "order_items": {"name": it.name()}, "request_id": request_id(it.request),
        });
        WithdrawItems WithdrawItemsRequest NotThere(slot), |it| json!({
            "slot": it.slot(), "request_id": request_id(it.request),
        });
        CustomerAction CustomerActionRequest NotThere(order),
            |it| it.change("", &json!({"decision": "CUSTOMER_DECISION_CANCEL"}));
        ConfirmItems ConfirmItemsRequest NotThere(order),
            |it| it.change("", &json!({"decision": "MERCHANT_DECISION_CONFIRM"}));
        MarkNoShow MarkNoShowRequest NotThere(order), |it| it.change("", &json!({}));
        AddNote AddNoteRequest NotThere(order), |it| it.change("", &json!({"note": "seen"}));
        RetryStep RetryStepRequest NotThere(order), |it| it.change("/steps/1", &json!({}));
        AbandonStep AbandonStepRequest NotThere(order),
            |it| it.change("/steps/1", &json!({"reason": "lost"}));
        ChangeState ChangeStateRequest NotThere(order),
            |it| it.change("", &json!({"to_state": "cancelled"}));
        ChangeState ChangeStateRequest NotThere(order),
            |it| it.change("/items/0", &json!({"to_state": "cancelled"}));
        SetBlock SetBlockRequest NotThere(slot), |it| json!({
            "slot": it.slot(), "count": 1, "request_id": request_id(it.request),
        });
        EraseCustomer EraseCustomerRequest Rejected,
            |it| json!({"user_id": "nobody", "request_id": request_id(it.request)});
        GetStats GetStatsRequest Rejected, |_| json!({});
        GetDraft GetDraftRequest Rejected, |_| json!({});
        PutDraft PutDraftRequest Rejected,
            |it| json!({"definition": "x", "request_id": request_id(it.request)});
        DiscardDraft DiscardDraftRequest Rejected,
            |it| json!({"request_id": request_id(it.request)});
        PublishDraft PublishDraftRequest Rejected,
            |it| json!({"request_id": request_id(it.request)});
        DescribeLifecycle DescribeLifecycleRequest Definition, |_| json!({});
        ListRevisions ListRevisionsRequest Definition, |_| json!({});
    }
}

/// The methods of the published files, each with whether its request can be a dry run.
fn published() -> Vec<(String, bool)> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let services: Vec<_> = pool.services().collect();
    let mut methods = Vec::new();
    for method in services.iter().flat_map(ServiceDescriptor::methods) {
        let can_be_dry = method.input().get_field_by_name("validate_only").is_some();
        methods.push((method.name().to_owned(), can_be_dry));
    }
    methods
}

#[test]
fn every_published_method_says_what_a_user_of_some_merchants_finds() {
    let tried: BTreeSet<_> = rows().iter().map(|row| row.rpc.name()).collect();
    let methods = published();
    let methods: BTreeSet<_> = methods.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(tried, methods);
    for row in rows() {
        let expected = match row.found {
            NotThere(_) | Nothing | OwnOnly => Subject::Merchants,
            Rejected => Subject::Server,
            Definition => Subject::Definition,
        };
        assert_eq!(row.rpc.subject(), expected, "{:?}", row.rpc);
    }
}

/// Messages as they are on the wire.
#[derive(Debug, Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let bytes = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(bytes).to_vec()))
    }
}

/// All bytes of the answer, or of the first message of one that does not end.
async fn by_grpc(stage: &Stage, user: &str, row: &Row, message: &Value) -> Result<Vec<u8>, Status> {
    let mut client = Grpc::new(stage.channel.clone());
    client.ready().await.unwrap();
    let path = format!("/{}/{}", row.rpc.service(), row.rpc.name());
    let mut request = Request::new((row.encode)(message));
    let password = basic(user, user).parse().unwrap();
    request.metadata_mut().insert("authorization", password);
    let path = PathAndQuery::try_from(path).unwrap();
    let answers = client.server_streaming(request, path, RawCodec).await?;
    let mut answers = answers.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.extend(answer);
        if row.rpc == OperatorRpc::WatchOrder {
            break;
        }
    }
    Ok(all)
}

/// The route of a message.
fn route_of(row: &Row, message: &Value) -> &'static Route {
    let has_name = |route: &Route| {
        let name = route.name_field.and_then(|field| message[field].as_str());
        // Parts of orders have routes of their own.
        let has_part = |name: &str| name.split('/').count() > 2;
        let takes_part = route.path.matches('{').count() > 1;
        name.is_none_or(|name| has_part(name) == takes_part)
    };
    let mut routes = ROUTES.iter();
    routes
        .find(|route| route.rpc == row.rpc && has_name(route))
        .unwrap()
}

async fn by_rest(stage: &Stage, user: &str, row: &Row, message: &Value) -> Result<Vec<u8>, Status> {
    let route = route_of(row, message);
    let mut fields = message.as_object().unwrap().clone();
    let name = route.name_field.and_then(|field| fields.remove(field));
    let path = path_of(route, name.as_ref().and_then(Value::as_str));
    let mut request = match route.source {
        Source::Query => without_body(Method::GET, &format!("{path}?{}", query_of("", &fields))),
        Source::Body => post(&path, Value::Object(fields).to_string()),
    };
    let password = basic(user, user).parse().unwrap();
    request.headers_mut().insert("authorization", password);
    let answer = send(stage.address, request).await;
    if answer.http == 200 {
        Ok(answer.body.to_vec())
    } else {
        Err(answer.rejection())
    }
}

/// The path of a route with the parts of a name in place of the braces.
fn path_of(route: &Route, name: Option<&str>) -> String {
    let version = "operator/v1/";
    let pattern = route.path.strip_prefix(version).unwrap();
    let mut name = name.unwrap_or_default().split('/');
    let mut path = format!("/{version}");
    for segment in pattern.split('/') {
        let given = name.next();
        match segment.split_once('}') {
            Some((_, rest)) => path.extend([given.unwrap(), rest]),
            None => path.push_str(segment),
        }
        path.push('/');
    }
    path.trim_end_matches('/').to_owned()
}

/// Fields as parameters, those of inner messages behind dots.
fn query_of(before: &str, fields: &Map<String, Value>) -> String {
    let mut parameters = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Object(inner) => parameters.push(query_of(&format!("{before}{name}."), inner)),
            Value::String(text) => {
                let text = utf8_percent_encode(text, NON_ALPHANUMERIC);
                parameters.push(format!("{before}{name}={text}"));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                parameters.push(format!("{before}{name}={value}"));
            }
        }
    }
    parameters.join("&")
}

/// A rejection by its reason and its text, without the name of what was asked for.
fn told(rejection: &Status, target: &Target) -> (String, String) {
    let reason = rejection.get_details_error_info().unwrap().reason;
    let text = rejection.message().replace(&target.order, "<order>");
    (reason, text.replace(target.merchant, "<merchant>"))
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// A server with an order, an open step and a block at each of two merchants, all of one customer, and two admins: `mia`
/// of the salon, and `adam` of all merchants.
async fn two_merchants(keys: &Keys) -> (Stage, Target, Target) {
    let config = keys.operator_config(&[
        ("mia", "role = 'admin'\nmerchants = ['salon']"),
        ("adam", "role = 'admin'"),
    ]);
    let stage = Stage::start_with(Setup::with_config(config)).await;
    let entry = Item::museum_entry().tickets(&[("adult", 2)]);
    let museum = ("museum", entry.price("USD", 50_000_000), 50_000_000);
    let salon = ("salon", Item::haircut(), 40_000_000);
    let mut targets = Vec::new();
    for ((merchant, item, micros), service, start, request) in [
        (salon, "haircut", "2026-01-16T09:00:00Z", 100),
        (museum, "museum-entry", "2026-01-16T10:00:00Z", 200),
    ] {
        let request_of = order_request(merchant, merchant, [item]);
        let mut paid = paid_with(request_of, "refund-fails-3");
        payment_information(&mut paid).price = Some(price("USD", micros));
        let order = paid.order.as_mut().unwrap();
        order.user_information.as_mut().unwrap().user_id = "both".into();
        let created = stage.server.send(paid).await.unwrap();
        let target = Target {
            merchant,
            service,
            start,
            order: created.order().order_id.clone(),
            request,
        };
        let refund = target.change("", &json!({"refund": {"full": {}}}));
        let row = row_of(OperatorRpc::RefundItems);
        by_grpc(&stage, "adam", &row, &refund).await.unwrap();
        let block = json!({"slot": target.slot(), "count": 1, "request_id": request_id(request)});
        let row = row_of(OperatorRpc::SetBlock);
        by_grpc(&stage, "adam", &row, &block).await.unwrap();
        targets.push(target);
    }
    let foreign = targets.pop().unwrap();
    (stage, targets.pop().unwrap(), foreign)
}

fn row_of(rpc: OperatorRpc) -> Row {
    rows().into_iter().find(|row| row.rpc == rpc).unwrap()
}

/// A row that is asked over one transport, by `mia` of the salon.
struct Case<'s> {
    stage: &'s Stage,
    row: &'s Row,
    is_rest: bool,
    /// Whether it is asked as a dry run.
    is_dry: bool,
    /// Whether it can be.
    can_be_dry: bool,
    own: Target,
    foreign: Target,
    unknown: Target,
}

impl Case<'_> {
    async fn ask(&self, user: &str, target: &Target, is_dry: bool) -> Result<Vec<u8>, Status> {
        let mut message = (self.row.message)(target);
        if is_dry {
            message["validate_only"] = true.into();
        }
        if self.is_rest {
            by_rest(self.stage, user, self.row, &message).await
        } else {
            by_grpc(self.stage, user, self.row, &message).await
        }
    }

    async fn by(&self, user: &str, target: &Target) -> Result<Vec<u8>, Status> {
        self.ask(user, target, self.is_dry).await
    }

    async fn check(&self, case: &str) {
        match self.row.found {
            NotThere(reason) => self.is_not_there(reason, case).await,
            Nothing => self.is_nothing(case).await,
            OwnOnly => self.is_own_only(case).await,
            Rejected => self.is_rejected(case).await,
            Definition => {
                let found = self.by("mia", &self.foreign).await.unwrap();
                let of_all = self.by("adam", &self.foreign).await.unwrap();
                assert_eq!(found, of_all, "{case}");
            }
        }
    }

    async fn is_not_there(&self, reason: &str, case: &str) {
        let found = self.by("mia", &self.foreign).await;
        let rejection = told(&found.unwrap_err(), &self.foreign);
        assert_eq!(rejection.0, reason, "{case}");
        let of_unknown = self.by("mia", &self.unknown).await.unwrap_err();
        assert_eq!(rejection, told(&of_unknown, &self.unknown), "{case}");
        // A stream that does not end has an answer over gRPC only.
        if self.is_rest && self.row.rpc == OperatorRpc::WatchOrder {
            return;
        }
        // Dry if possible, so that the rows do not disturb each other.
        if let Err(rejection) = self.ask("mia", &self.own, self.can_be_dry).await {
            assert_ne!(told(&rejection, &self.own).0, reason, "{case}");
        }
        if !self.can_be_dry && self.row.rpc != OperatorRpc::SetBlock {
            let of_all = self.by("adam", &self.foreign).await;
            assert!(of_all.is_ok(), "{case}: {of_all:?}");
        }
    }

    async fn is_nothing(&self, case: &str) {
        let found = self.by("mia", &self.foreign).await.unwrap();
        let of_unknown = self.by("mia", &self.unknown).await.unwrap();
        assert_eq!(found, of_unknown, "{case}");
        for (user, target) in [("adam", &self.foreign), ("mia", &self.own)] {
            assert_ne!(self.by(user, target).await.unwrap(), of_unknown, "{case}");
        }
    }

    async fn is_own_only(&self, case: &str) {
        let found = self.by("mia", &self.foreign).await.unwrap();
        let of_all = self.by("adam", &self.unknown).await.unwrap();
        let shows = |bytes: &[u8], target: &Target| {
            // Lists of slots have no orders, and those of steps no merchants.
            has(bytes, &target.order) || has(bytes, target.merchant)
        };
        assert!(shows(&of_all, &self.foreign), "{case}");
        assert!(!shows(&found, &self.foreign), "{case}");
        assert!(shows(&found, &self.own), "{case}");
    }

    async fn is_rejected(&self, case: &str) {
        let reason = "MERCHANT_OUT_OF_SCOPE";
        let found = self.by("mia", &self.foreign).await;
        assert_eq!(told(&found.unwrap_err(), &self.foreign).0, reason, "{case}");
        if let Err(rejection) = self.by("adam", &self.foreign).await {
            assert_ne!(told(&rejection, &self.foreign).0, reason, "{case}");
        }
    }
}

#[tokio::test]
async fn a_user_of_some_merchants_finds_theirs_and_nothing_of_others() {
    let keys = Keys::new();
    let (stage, own, foreign) = Box::pin(two_merchants(&keys)).await;
    let unknown = Target {
        merchant: "nobody",
        order: "A".repeat(foreign.order.len()),
        ..foreign.clone()
    };
    let mut number = 1_000;
    for row in rows() {
        let name = row.rpc.name();
        let can_be_dry = published().contains(&(name.to_owned(), true));
        for (is_rest, is_dry) in [(false, false), (true, false), (false, true), (true, true)] {
            if is_dry && !can_be_dry {
                continue;
            }
            number += 10;
            let numbered = |target: &Target| Target {
                request: number,
                ..target.clone()
            };
            let case = Case {
                stage: &stage,
                row: &row,
                is_rest,
                is_dry,
                can_be_dry,
                own: numbered(&own),
                foreign: numbered(&foreign),
                unknown: numbered(&unknown),
            };
            let found = row.found;
            case.check(&format!("{name} {found:?} REST {is_rest} dry {is_dry}"))
                .await;
        }
    }
    // Nothing of the other merchant has changed.
    let history = row_of(OperatorRpc::ListHistory);
    let of_foreign = json!({"parent": foreign.name()});
    let history = by_rest(&stage, "adam", &history, &of_foreign)
        .await
        .unwrap();
    assert!(has(&history, "adam") && !has(&history, "mia"));
    stage.stop().await;
}

#[tokio::test]
async fn pages_of_a_list_have_own_things_only() {
    let keys = Keys::new();
    let (stage, own, foreign) = Box::pin(two_merchants(&keys)).await;
    for rpc in [
        OperatorRpc::SearchOrders,
        OperatorRpc::ListSteps,
        OperatorRpc::ListBlocks,
    ] {
        let row = row_of(rpc);
        let (mut token, mut pages) = (String::new(), Vec::new());
        loop {
            let message = json!({"page_size": 1, "page_token": token});
            let page = by_rest(&stage, "mia", &row, &message).await.unwrap();
            let json: Value = serde_json::from_slice(&page).unwrap();
            pages.extend(page);
            token = json["next_page_token"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if token.is_empty() {
                break;
            }
        }
        assert!(
            has(&pages, &own.order) || has(&pages, own.merchant),
            "{rpc:?}"
        );
        assert!(!has(&pages, &foreign.order), "{rpc:?}");
    }
    stage.stop().await;
}
