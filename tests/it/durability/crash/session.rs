//! A user's session, until the connection breaks.

use boxoffice::api::booking::proto::v3::CreateOrderRequest;
use tokio::sync::mpsc;

use super::{
    client::Client,
    history::{Anomaly, History, Operation, Response},
    workload::{self, SimulatedUser},
};
use crate::support::Transport;

/// Makes one request after the other and reports each, until the connection breaks. One in four users
/// comes through the transport for REST.
pub(super) async fn run_session(
    mut user: SimulatedUser,
    mut client: Client,
    tell: mpsc::UnboundedSender<()>,
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
        let _ = tell.send(());
    }
    history
}

/// Does one thing; nothing comes of it if the connection breaks.
async fn step(
    user: &mut SimulatedUser,
    transport: Transport,
    client: &mut Client,
    history: &mut History,
) -> Option<()> {
    match user.chance.u8(..20) {
        0 | 1 => again(user, transport, client, history).await,
        2 => otherwise(user, transport, client, history).await,
        3 => hold(user, client, history).await,
        kind => {
            let mut operation = Operation::new(user.purchase());
            if kind < 7 {
                check(&operation.request, client, history).await?;
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

/// Sends once more what was sent before.
async fn again(
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

/// Sends something else under a token that has led to an order.
async fn otherwise(
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
        .create(transport, &workload::otherwise(&operation.request))
        .await;
    history
        .anomalies
        .extend(operation.check_other_request(&response));
    (response != Response::Lost).then_some(())
}

/// Holds a cart and forgets about it.
async fn hold(user: &mut SimulatedUser, client: &Client, history: &mut History) -> Option<()> {
    check(&user.order(), client, history).await
}

/// Checks the cart of an order.
async fn check(order: &CreateOrderRequest, client: &Client, history: &mut History) -> Option<()> {
    let cart = workload::cart_of(order);
    let checked = client.check(&cart).await;
    history.note_hold(cart, checked.as_ref());
    checked.map(|_| ())
}
