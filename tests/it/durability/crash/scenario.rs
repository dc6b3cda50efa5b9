//! A deployment and its history before the crash.

use boxoffice::api::booking::proto::v3::CreateOrderRequest;

use super::{
    Deployment,
    client::Client,
    history::{History, Operation},
    workload::SimulatedUser,
};
use crate::support::{Transport, copy_dir, paid_with};

pub(super) struct Scenario {
    pub(super) deployment: Deployment,
    pub(super) history: History,
}

impl Scenario {
    /// A new deployment, with one operation whose outcome is unknown.
    pub(super) fn new() -> Self {
        let deployment = Deployment::of(1);
        let mut first = Operation::new(SimulatedUser::new(&deployment.workload, 0, 0, 0).order());
        first.is_open = true;
        Self {
            deployment,
            history: History {
                operations: vec![first],
                ..History::default()
            },
        }
    }

    /// A copy in other directories.
    pub(super) fn copy(&self) -> Self {
        let deployment = Deployment::selling(self.deployment.workload.clone());
        copy_dir(self.deployment.store.path(), deployment.store.path());
        Self {
            deployment,
            history: self.history.clone(),
        }
    }

    /// A request of a user; with a payment token, it is charged.
    pub(super) fn request(&self, user: u64, payment_token: &str) -> CreateOrderRequest {
        let request = SimulatedUser::new(&self.deployment.workload, 0, user, user).order();
        if payment_token.is_empty() {
            request
        } else {
            paid_with(request, payment_token)
        }
    }

    /// Sends a request and records the response.
    pub(super) async fn order(&mut self, client: &mut Client, user: u64, payment_token: &str) {
        let mut operation = Operation::new(self.request(user, payment_token));
        let response = client.create(Transport::Grpc, &operation.request).await;
        self.history.anomalies.extend(operation.record(response));
        self.history.operations.push(operation);
    }
}
