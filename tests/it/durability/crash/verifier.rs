//! Compares the history of the clients with the orders of the server.

use futures_util::future::join_all;

use super::{
    client::Client,
    history::{Anomaly, History, Operation, Response},
    workload::{self, Pool},
};
use crate::support::{Transport, byte_client::ByteClient, process::Running};

/// Concurrent clients that repeat tokens.
const AUDITORS: usize = 16;

/// Verifies a server without holds.
pub(super) struct Verifier {
    counters: Vec<Client>,
}

impl Verifier {
    pub(super) async fn of(server: &Running) -> Self {
        let grpc = ByteClient::connect(server.address()).await;
        let mut counters = Vec::new();
        for _ in 0..AUDITORS {
            counters.push(Client::beside(grpc.clone(), server).await);
        }
        Self { counters }
    }

    pub(super) fn client(&self) -> &Client {
        &self.counters[0]
    }

    /// The anomalies of the last round. Its unknown outcomes become known, because all tokens are sent again.
    pub(super) async fn of_last(&mut self, pools: &[Pool], history: &mut History) -> Vec<Anomaly> {
        let mut anomalies = std::mem::take(&mut history.anomalies);
        anomalies.extend(history.compare(
            &self.client().list_by_users(history.user_ids()).await,
            false,
        ));
        let ids = history.orders().map(|order| &order.order_id);
        anomalies.extend(history.compare(&self.client().list_by_ids(ids).await, false));
        anomalies.extend(self.send_again(&mut history.operations, resolve).await);
        anomalies.extend(self.of_record(pools, history).await);
        once_each(anomalies)
    }

    /// The anomalies of an earlier round, whose outcomes are known.
    pub(super) async fn of_earlier(
        &mut self,
        pools: &[Pool],
        history: &mut History,
    ) -> Vec<Anomaly> {
        let mut anomalies = self.send_again(&mut history.operations, send_once).await;
        anomalies.extend(self.of_record(pools, history).await);
        once_each(anomalies)
    }

    async fn of_record(&self, pools: &[Pool], history: &History) -> Vec<Anomaly> {
        let mut anomalies =
            history.compare(&self.client().list_by_users(history.user_ids()).await, true);
        anomalies.extend(history.count(pools, &[], &self.client().spots_open(pools).await));
        anomalies
    }

    /// Sends all tokens again by `send`, and returns the anomalies of the responses.
    async fn send_again(
        &mut self,
        operations: &mut [Operation],
        send: impl AsyncFn(&mut Client, &mut Operation) -> Vec<Anomaly>,
    ) -> Vec<Anomaly> {
        let share = operations.len().div_ceil(AUDITORS).max(1);
        let parts = self.counters.iter_mut().zip(operations.chunks_mut(share));
        let sent = parts.map(async |(client, operations)| {
            let mut anomalies = Vec::new();
            for operation in operations {
                anomalies.extend(send(client, operation).await);
            }
            anomalies
        });
        join_all(sent).await.concat()
    }
}

fn once_each(mut anomalies: Vec<Anomaly>) -> Vec<Anomaly> {
    anomalies.sort_unstable();
    anomalies.dedup();
    anomalies
}

/// Sends a token again, first twice concurrently if its outcome is unknown, and then another request under it.
async fn resolve(client: &mut Client, operation: &mut Operation) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    if std::mem::take(&mut operation.is_open) {
        let response = client.create_twice(&operation.request).await;
        anomalies.extend(
            response
                .iter()
                .filter_map(|response| unanswered(operation, response)),
        );
        anomalies.extend(operation.record_both(response));
    }
    anomalies.extend(send_once(client, operation).await);
    if operation.order.is_some() {
        let response = client
            .create(
                Transport::Grpc,
                &workload::other_request(&operation.request),
            )
            .await;
        anomalies.extend(unanswered(operation, &response));
        anomalies.extend(operation.check_other_request(&response));
    }
    anomalies
}

/// Repeats the request of a token that has led to an order.
async fn send_once(client: &mut Client, operation: &mut Operation) -> Vec<Anomaly> {
    let Some(transport) = operation.transport() else {
        return Vec::new();
    };
    let response = client.create(transport, &operation.request).await;
    unanswered(operation, &response)
        .into_iter()
        .chain(operation.record(response))
        .collect()
}

fn unanswered(operation: &Operation, response: &Response) -> Option<Anomaly> {
    (*response == Response::Lost).then(|| Anomaly::Unanswered {
        token: operation.token(),
    })
}
