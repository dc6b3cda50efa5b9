//! A server whose operator's listener is open, with some orders, and its clients.

use std::{net::SocketAddr, path::Path, sync::Arc};

use boxoffice::api::{
    operator::proto::v1::{
        order_service_client::OrderServiceClient, slot_service_client::SlotServiceClient,
    },
    streamed::JSON_LINES,
};
use boxoffice::store::log::LogStore;
use domain::time::EpochSeconds;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::support::{
    Item, NOW, Setup, TestServer, edited_catalog, museum_visit, open_store, operator_config,
    order_request,
    rest_client::{Answer, post, send, without_body},
    stating_fees,
};

pub(super) use crate::support::request_id;

/// A running server, and the operator's address of it.
pub(super) struct Stage {
    pub(super) server: TestServer,
    pub(super) address: SocketAddr,
    pub(super) channel: Channel,
    _catalog: TempDir,
}

impl Stage {
    /// The concert hall is in Tokyo, nine hours ahead of UTC.
    pub(super) async fn start() -> Self {
        Self::start_with(Setup::with_config(operator_config())).await
    }

    pub(super) async fn start_with(setup: Setup) -> Self {
        Self::start_edited(setup, &[]).await
    }

    /// The same on a store on disk.
    pub(super) async fn on_disk(dir: &Path) -> Self {
        let store: LogStore = open_store(dir).unwrap();
        let setup = Setup {
            store: Arc::new(store),
            ..Setup::with_config(operator_config())
        };
        Box::pin(Self::start_with(setup)).await
    }

    /// The same with other edits of files of the catalogue: what stands there, and what takes its place.
    pub(super) async fn start_edited(setup: Setup, edits: &[(&str, &str, &str)]) -> Self {
        let hall = "id = \"concert-hall\"\n";
        let in_tokyo = "id = \"concert-hall\"\ntime_zone = 'Asia/Tokyo'\n";
        let mut edits = edits.to_vec();
        edits.push(("rules.toml", hall, in_tokyo));
        let catalog = edited_catalog(&edits);
        let setup = Setup {
            catalog: catalog.path().to_owned(),
            ..setup
        };
        let server = setup.start().await;
        let address = server.server.operator_address().unwrap();
        let channel = Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            server,
            address,
            channel,
            _catalog: catalog,
        }
    }

    pub(super) fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel.clone())
    }

    pub(super) fn slots(&self) -> SlotServiceClient<Channel> {
        SlotServiceClient::new(self.channel.clone())
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        send(self.address, without_body(Method::GET, path)).await
    }

    /// The message at a path.
    pub(super) async fn read<M: DeserializeOwned>(&self, path: &str) -> Result<M, Status> {
        message(&self.get(path).await)
    }

    /// Creates an order at a second after [`NOW`], and returns its id.
    pub(super) async fn order(&self, token: &str, second: i64, ordered: Ordered) -> String {
        self.server.clock.set(EpochSeconds::new(NOW + second));
        let (merchant, item) = ordered.line();
        let mut request = order_request(token, merchant, [item]);
        if let Ordered::Symphony = ordered {
            request = stating_fees(request, "USD", 7_740_000);
        }
        let order = request.order.as_mut().unwrap();
        let user = order.user_information.as_mut().unwrap();
        user.user_id = format!("user-{token}");
        user.given_name = "Ada".into();
        user.family_name = format!("Lovelace-{token}");
        user.email = format!("Ada-{token}@example.com");
        let created = self.server.send(request).await.unwrap();
        created.order().order_id.clone()
    }

    /// Creates an order of the museum that this server charges: two adults at ten for 50 dollars, and one at two in the
    /// afternoon for 25. Returns its id.
    pub(super) async fn paid_order(&self, token: &str, payment_token: &str) -> String {
        let created = self.server.send(museum_visit(token, payment_token)).await;
        created.unwrap().order().order_id.clone()
    }

    /// Sends a request with a body.
    pub(super) async fn post<M: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<M, Status> {
        let path = format!("/operator/v1/{path}");
        message(&send(self.address, post(&path, body.to_string())).await)
    }

    /// Sends a request with a body that is answered by a stream without an error in it.
    pub(super) async fn post_streamed<M: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Vec<M>, Status> {
        let path = format!("/operator/v1/{path}");
        messages(&send(self.address, post(&path, body.to_string())).await)
    }

    pub(super) async fn stop(self) {
        let Self {
            server, channel, ..
        } = self;
        drop(channel);
        server.stop().await;
    }
}

/// What is ordered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ordered {
    /// Two adults at the museum, tomorrow at ten.
    Museum,
    /// A haircut tomorrow at nine, with answers.
    Haircut,
    /// The symphony, tomorrow at half past seven in the evening by UTC, and the day after in Tokyo.
    Symphony,
}

impl Ordered {
    fn line(self) -> (&'static str, Item) {
        match self {
            Self::Museum => {
                let entry = Item::museum_entry().tickets(&[("adult", 2)]);
                ("museum", entry.price("USD", 50_000_000))
            }
            Self::Haircut => ("salon", Item::haircut()),
            Self::Symphony => {
                let seats = Item::symphony().tickets(&[("balcony", 1)]);
                ("concert-hall", seats.price("USD", 45_000_000))
            }
        }
    }
}

/// The messages of a stream over REST, or the rejection of its call.
pub(super) fn messages<M: DeserializeOwned>(answer: &Answer) -> Result<Vec<M>, Status> {
    if answer.http != 200 {
        return Err(answer.rejection());
    }
    assert_eq!(answer.headers["content-type"], JSON_LINES);
    let text = std::str::from_utf8(&answer.body).unwrap();
    let lines = text.split_terminator('\n');
    Ok(lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect())
}

/// The message of an answer over REST, or its rejection.
pub(super) fn message<M: DeserializeOwned>(answer: &Answer) -> Result<M, Status> {
    if answer.http == 200 {
        Ok(serde_json::from_value(answer.json()).unwrap())
    } else {
        Err(answer.rejection())
    }
}

/// The reason of a rejection, and the fields that it names.
pub(super) fn named_by(rejection: &Status) -> (Code, String, Vec<String>) {
    let reason = rejection.get_details_error_info().unwrap().reason;
    let fields = rejection.get_details_bad_request();
    let fields = fields.map(|details| details.field_violations);
    let fields = fields.unwrap_or_default().into_iter();
    let fields = fields.map(|violation| violation.field).collect();
    (rejection.code(), reason, fields)
}
