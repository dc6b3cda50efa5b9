//! Compares the history of the clients with the orders of the server.

use futures_util::future::join_all;

use super::{
    client::Client,
    history::{Anomaly, HeldCart, History, HoldPromise, Operation, Response},
    workload::{self, Pool},
};
use crate::support::{Transport, byte_client::ByteClient, process::Running};

/// Concurrent clients that repeat tokens.
const AUDITORS: usize = 16;

/// Verifies a server on which nothing is held but what the last round has held. That is released.
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

    /// Everything that is wrong with what the server has of the last round. Outcomes that are unknown
    /// become known by this: their tokens are sent again.
    pub(super) async fn of_last(&mut self, pools: &[Pool], history: &mut History) -> Vec<Anomaly> {
        let mut anomalies = std::mem::take(&mut history.anomalies);
        anomalies.extend(history.compare(
            &self.client().list_by_users(history.user_ids()).await,
            false,
        ));
        let ids = history.orders().map(|order| &order.order_id);
        anomalies.extend(history.compare(&self.client().list_by_ids(ids).await, false));
        anomalies.extend(self.send_again(&mut history.operations, settle).await);
        for held in history.standing_holds() {
            anomalies.extend(self.of_hold(&held).await);
        }
        // They are released now.
        history.holds.clear();
        anomalies.extend(self.of_record(pools, history).await);
        once_each(anomalies)
    }

    /// Everything that is wrong with what it has of a round whose outcomes are known.
    pub(super) async fn of_settled(
        &mut self,
        pools: &[Pool],
        history: &mut History,
    ) -> Vec<Anomaly> {
        let mut anomalies = self.send_again(&mut history.operations, send_once).await;
        anomalies.extend(self.of_record(pools, history).await);
        once_each(anomalies)
    }

    /// What is wrong with what a cart holds. It holds nothing afterwards.
    async fn of_hold(&self, held: &HeldCart) -> Option<Anomaly> {
        let others = self.client().look(&workload::beyond(&held.cart, "")).await;
        // More than there is: such a check counts the cart's own hold as open, and releases it.
        let own = workload::beyond(&held.cart, &held.cart.cart_id);
        let own = self.client().look(&own).await;
        let counts = held.cart.item.iter().map(|line| line.tickets[0].count);
        let differences = own.iter().zip(&others).map(|(own, others)| own - others);
        let is_held = differences.clone().eq(counts);
        let is_nothing = differences.clone().all(|held| held == 0);
        let is_right = match held.promise {
            HoldPromise::Lasts => is_held,
            HoldPromise::IsOver => is_nothing,
            HoldPromise::Unknown => is_held || is_nothing,
        };
        (!is_right).then(|| Anomaly::Hold {
            token: held.cart.cart_id.clone(),
        })
    }

    async fn of_record(&self, pools: &[Pool], history: &History) -> Vec<Anomaly> {
        let mut anomalies =
            history.compare(&self.client().list_by_users(history.user_ids()).await, true);
        anomalies.extend(history.count(pools, &[], &self.client().spots_open(pools).await));
        anomalies
    }

    /// Sends all tokens again, in the same way, and says what was wrong with the answers.
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

/// Sends a token again, first twice at once if its outcome is unknown, and then something else under it.
async fn settle(client: &mut Client, operation: &mut Operation) -> Vec<Anomaly> {
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
            .create(Transport::Grpc, &workload::otherwise(&operation.request))
            .await;
        anomalies.extend(unanswered(operation, &response));
        anomalies.extend(operation.check_other_request(&response));
    }
    anomalies
}

/// Sends a token that has led to an order once more.
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
