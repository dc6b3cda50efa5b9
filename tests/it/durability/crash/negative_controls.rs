//! Negative controls: each error that is made on purpose is found, and as what it is.

use std::collections::BTreeSet;

use boxoffice::api::booking::proto::v3::Order;
use bytes::Bytes;
use fastrand::Rng;

use super::{
    Deployment, Started,
    client::Client,
    history::{Anomaly, HeldCart, History, HoldPromise, Operation, Response},
    run_until_killed,
    verifier::Verifier,
    workload::{self, SimulatedUser},
};
use crate::support::Transport;

/// A deployment after a crash, and the history of what came before it.
async fn after_a_crash(deployment: &Deployment) -> (Started, History) {
    let server = deployment.open().await.server;
    let history = run_until_killed(server, &deployment.workload, 0, &mut Rng::with_seed(0)).await;
    assert!(
        history.orders().count() > 1,
        "there is something to be lost"
    );
    (deployment.open().await, history)
}

async fn found(started: &Started, deployment: &Deployment, history: &History) -> Vec<Anomaly> {
    Verifier::of(&started.server)
        .await
        .of_last(&deployment.workload.pools(0), &mut history.clone())
        .await
}

/// An operation that somebody made who made others, too, and that led to an order.
fn pick(history: &History) -> (usize, Order) {
    let of_user = |user_id: &str| {
        history
            .operations
            .iter()
            .filter(|operation| operation.user_id() == user_id)
            .count()
    };
    let mut operations = history.operations.iter().enumerate();
    let (at, operation) = operations
        .find(|(_, it)| it.order.is_some() && of_user(it.user_id()) > 1)
        .unwrap();
    (at, operation.order.clone().unwrap())
}

#[tokio::test]
async fn a_history_that_differs_by_one_order_is_found_out() {
    let deployment = Deployment::of(1);
    let (started, mut history) = after_a_crash(&deployment).await;
    let pools = deployment.workload.pools(0);
    assert_eq!(
        Verifier::of(&started.server)
            .await
            .of_last(&pools, &mut history)
            .await,
        []
    );
    let (at, order) = pick(&history);

    let mut forgetful = history.clone();
    forgetful.operations.remove(at);
    let mut expected = vec![Anomaly::Unasked {
        order_id: order.order_id.clone(),
    }];
    for pool in pools.iter().filter(|pool| pool.drawn(&order.item) > 0) {
        let missing = forgetful.count(std::slice::from_ref(pool), &[], &[0]);
        let [
            Anomaly::Spots {
                start_sec,
                sold,
                held,
                allotment,
                ..
            },
        ] = missing[..]
        else {
            panic!("{missing:?}")
        };
        let open = allotment - sold - pool.drawn(&order.item);
        expected.push(Anomaly::Spots {
            start_sec,
            sold,
            held,
            open,
            allotment,
        });
    }
    assert_eq!(
        as_set(found(&started, &deployment, &forgetful).await),
        as_set(expected)
    );

    let mut altered = history.clone();
    altered.operations[at]
        .order
        .as_mut()
        .unwrap()
        .merchant_id
        .push('x');
    let token = altered.operations[at].token();
    let expected = vec![
        Anomaly::Altered {
            token: token.clone(),
        },
        Anomaly::OtherOrder { token },
    ];
    assert_eq!(found(&started, &deployment, &altered).await, expected);

    let mut too_much = history.clone();
    let mut invented = Operation::new(SimulatedUser::new(&deployment.workload, 0, 99, 0).order());
    let order = Order {
        order_id: "invented".into(),
        ..*invented.request.order.clone().unwrap()
    };
    assert_eq!(
        invented.record(Response::Order(Box::new((
            order,
            Transport::Grpc,
            Bytes::new()
        )))),
        None
    );
    let token = invented.token();
    too_much.operations.push(invented);
    let anomalies = found(&started, &deployment, &too_much).await;
    let made_now = |anomaly: &Anomaly| matches!(anomaly, Anomaly::Unasked { .. });
    let (made, others): (Vec<_>, Vec<_>) = anomalies.into_iter().partition(made_now);
    assert_eq!(
        others,
        [
            Anomaly::Lost {
                token: token.clone()
            },
            Anomaly::OtherOrder { token }
        ]
    );
    assert_eq!(
        made.len(),
        1,
        "the order that the verifier itself asked for: {made:?}"
    );
}

fn as_set(anomalies: Vec<Anomaly>) -> BTreeSet<Anomaly> {
    anomalies.into_iter().collect()
}

#[tokio::test]
async fn a_pool_that_differs_by_one_spot_is_found_out() {
    let deployment = Deployment::of(1);
    let (started, mut history) = after_a_crash(&deployment).await;
    let pools = deployment.workload.pools(0);
    assert_eq!(
        Verifier::of(&started.server)
            .await
            .of_last(&pools, &mut history)
            .await,
        []
    );
    started.server.kill().await;
    deployment.workload.write(deployment.catalog.path(), 1);
    let anomalies = found(&deployment.open().await, &deployment, &history).await;
    let [
        Anomaly::Spots {
            start_sec,
            sold,
            held: 0,
            open,
            allotment,
        },
    ] = anomalies[..]
    else {
        panic!("{anomalies:?}")
    };
    assert_eq!(
        (start_sec, allotment),
        (pools[0].start_sec, pools[0].allotment)
    );
    assert_eq!(sold + open, allotment + 1);
}

#[tokio::test]
async fn a_hold_that_nobody_counts_is_found_out() {
    let deployment = Deployment::of(1);
    let server = deployment.open().await.server;
    let client = Client::at(&server).await;
    let pools = deployment.workload.pools(0);
    let request = SimulatedUser::new(&deployment.workload, 0, 0, 0).order();
    client.check(&workload::cart_of(&request)).await.unwrap();
    let (held, open) = (
        &request.order.as_ref().unwrap().item,
        client.spots_open(&pools).await,
    );
    assert_eq!(History::default().count(&pools, held, &open), []);
    assert!(!History::default().count(&pools, &[], &open).is_empty());
}

#[tokio::test]
async fn a_server_that_keeps_nothing_is_found_out_by_every_order() {
    let deployment = Deployment {
        is_kept: false,
        ..Deployment::of(1)
    };
    let (started, history) = after_a_crash(&deployment).await;
    let acknowledged = history
        .operations
        .iter()
        .filter(|operation| operation.order.is_some());
    let expected: BTreeSet<Anomaly> = acknowledged
        .map(|operation| Anomaly::Lost {
            token: operation.token(),
        })
        .collect();
    let is_settled = |held: &HeldCart| {
        let operation = history
            .operations
            .iter()
            .find(|it| it.token() == held.cart.cart_id);
        held.promise == HoldPromise::Lasts && operation.is_none_or(|operation| !operation.is_open)
    };
    let holds = history.standing_holds();
    let broken: BTreeSet<Anomaly> = holds
        .iter()
        .filter(|held| is_settled(held))
        .map(|held| Anomaly::Hold {
            token: held.cart.cart_id.clone(),
        })
        .collect();
    let anomalies = as_set(found(&started, &deployment, &history).await);
    assert!(
        !broken.is_empty() && broken.is_subset(&anomalies),
        "{broken:?}"
    );
    let lost: BTreeSet<Anomaly> = anomalies
        .into_iter()
        .filter(|anomaly| matches!(anomaly, Anomaly::Lost { .. }))
        .collect();
    assert_eq!(lost, expected);
}
