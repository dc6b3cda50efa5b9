//! A user's session, until the connection breaks.

use tokio::sync::mpsc;

use super::{
    client::Client,
    history::{Anomaly, History, Operation, Response},
    workload::{self, SimulatedUser},
};
use crate::support::Transport;

/// Sends requests one after the other and reports each answer, until the connection breaks. One user in
/// four uses REST.
pub(super) async fn run_session(
    mut user: SimulatedUser,
    mut client: Client,
    answered: mpsc::UnboundedSender<()>,
) -> History {
    let mut history = History::default();
    let transport = if user.chance.u8(..4) == 0 {
        Transport::Rest
    } else {
        Transport::Grpc
    };
    while step(&mut user, transport, &mut client, &mut history)
        .await
        .is_some()
    {
        let _ = answered.send(());
    }
    history
}

/// One step of the session; `None` if the connection breaks.
async fn step(
    user: &mut SimulatedUser,
    transport: Transport,
    client: &mut Client,
    history: &mut History,
) -> Option<()> {
    match user.chance.u8(..20) {
        0 | 1 => repeat(user, transport, client, history).await,
        2 => reuse_token(user, transport, client, history).await,
        3 => hold(user, client).await,
        kind => {
            let mut operation = Operation::new(user.purchase());
            if kind < 7 {
                client.check(&workload::cart_of(&operation.request)).await?;
            }
            let anomalies = &mut history.anomalies;
            let sent = match kind {
                ..10 => send_twice(client, &mut operation, anomalies).await,
                10.. => send(client, transport, &mut operation, anomalies).await,
            };
            history.operations.push(operation);
            sent
        }
    }
}

async fn send(
    client: &mut Client,
    transport: Transport,
    operation: &mut Operation,
    anomalies: &mut Vec<Anomaly>,
) -> Option<()> {
    let response = client.create(transport, &operation.request).await;
    let is_answered = response != Response::Lost;
    anomalies.extend(operation.record(response));
    is_answered.then_some(())
}

async fn send_twice(
    client: &mut Client,
    operation: &mut Operation,
    anomalies: &mut Vec<Anomaly>,
) -> Option<()> {
    let response = client.create_twice(&operation.request).await;
    let is_answered = !response.contains(&Response::Lost);
    anomalies.extend(operation.record_both(response));
    is_answered.then_some(())
}

/// Repeats an earlier request.
async fn repeat(
    user: &mut SimulatedUser,
    transport: Transport,
    client: &mut Client,
    history: &mut History,
) -> Option<()> {
    let Some(operation) = user.chance.choice(&mut history.operations) else {
        return Some(());
    };
    send(client, transport, operation, &mut history.anomalies).await
}

/// Sends another request under a token that has led to an order.
async fn reuse_token(
    user: &mut SimulatedUser,
    transport: Transport,
    client: &mut Client,
    history: &mut History,
) -> Option<()> {
    let used: Vec<&Operation> = history
        .operations
        .iter()
        .filter(|operation| operation.order.is_some())
        .collect();
    let Some(operation) = user.chance.choice(used) else {
        return Some(());
    };
    let response = client
        .create(transport, &workload::other_request(&operation.request))
        .await;
    history
        .anomalies
        .extend(operation.check_other_request(&response));
    (response != Response::Lost).then_some(())
}

/// Holds a cart without ordering it.
async fn hold(user: &mut SimulatedUser, client: &Client) -> Option<()> {
    client
        .check(&workload::cart_of(&user.order()))
        .await
        .map(|_| ())
}
