//! The negative controls: what is wrong on purpose is found out, and for what it is.

use std::collections::BTreeSet;

use boxoffice::wire::proto::v3::Order;
use bytes::Bytes;
use fastrand::Rng;

use super::{
    Opened, Site,
    audit::Audit,
    counter::Counter,
    fair::{self, Visitor},
    journal::{Entry, Fault, Heard, Journal},
    trade_until_killed,
};
use crate::support::Transport;

/// A site after a crash, and the journal of what came before it.
async fn after_a_crash(site: &Site) -> (Opened, Journal) {
    let server = site.open().await.server;
    let journal = trade_until_killed(server, &site.fair, 0, &mut Rng::with_seed(0)).await;
    assert!(
        journal.orders().count() > 1,
        "there is something to be lost"
    );
    (site.open().await, journal)
}

async fn found(opened: &Opened, site: &Site, journal: &Journal) -> Vec<Fault> {
    Audit::of(&opened.server)
        .await
        .of_last(&site.fair.pools(0), &mut journal.clone())
        .await
}

/// An entry that somebody made who made others, too, and that led to an order.
fn pick(journal: &Journal) -> (usize, Order) {
    let of_user = |user_id: &str| {
        journal
            .entries
            .iter()
            .filter(|entry| entry.user_id() == user_id)
            .count()
    };
    let mut entries = journal.entries.iter().enumerate();
    let (at, entry) = entries
        .find(|(_, it)| it.order.is_some() && of_user(it.user_id()) > 1)
        .unwrap();
    (at, entry.order.clone().unwrap())
}

#[tokio::test]
async fn a_journal_that_differs_by_one_order_is_found_out() {
    let site = Site::of(1);
    let (opened, mut journal) = after_a_crash(&site).await;
    let pools = site.fair.pools(0);
    assert_eq!(
        Audit::of(&opened.server)
            .await
            .of_last(&pools, &mut journal)
            .await,
        []
    );
    let (at, order) = pick(&journal);

    let mut forgetful = journal.clone();
    forgetful.entries.remove(at);
    let mut expected = vec![Fault::Unasked {
        order_id: order.order_id.clone(),
    }];
    for pool in pools.iter().filter(|pool| pool.drawn(&order.item) > 0) {
        let missing = forgetful.count(std::slice::from_ref(pool), &[], &[0]);
        let [
            Fault::Spots {
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
        expected.push(Fault::Spots {
            start_sec,
            sold,
            held,
            open,
            allotment,
        });
    }
    assert_eq!(
        as_set(found(&opened, &site, &forgetful).await),
        as_set(expected)
    );

    let mut altered = journal.clone();
    altered.entries[at]
        .order
        .as_mut()
        .unwrap()
        .merchant_id
        .push('x');
    let token = altered.entries[at].token();
    let expected = vec![
        Fault::Altered {
            token: token.clone(),
        },
        Fault::OtherOrder { token },
    ];
    assert_eq!(found(&opened, &site, &altered).await, expected);

    let mut too_much = journal.clone();
    let mut invented = Entry::new(Visitor::new(&site.fair, 0, 99, 0).order());
    let order = Order {
        order_id: "invented".into(),
        ..*invented.request.order.clone().unwrap()
    };
    assert_eq!(
        invented.hear(Heard::Order(Box::new((
            order,
            Transport::Grpc,
            Bytes::new()
        )))),
        None
    );
    let token = invented.token();
    too_much.entries.push(invented);
    let faults = found(&opened, &site, &too_much).await;
    let made_now = |fault: &Fault| matches!(fault, Fault::Unasked { .. });
    let (made, others): (Vec<_>, Vec<_>) = faults.into_iter().partition(made_now);
    assert_eq!(
        others,
        [
            Fault::Lost {
                token: token.clone()
            },
            Fault::OtherOrder { token }
        ]
    );
    assert_eq!(
        made.len(),
        1,
        "the order that the audit itself asked for: {made:?}"
    );
}

fn as_set(faults: Vec<Fault>) -> BTreeSet<Fault> {
    faults.into_iter().collect()
}

#[tokio::test]
async fn a_pool_that_differs_by_one_spot_is_found_out() {
    let site = Site::of(1);
    let (opened, mut journal) = after_a_crash(&site).await;
    let pools = site.fair.pools(0);
    assert_eq!(
        Audit::of(&opened.server)
            .await
            .of_last(&pools, &mut journal)
            .await,
        []
    );
    opened.server.kill().await;
    site.fair.write(site.catalog.path(), 1);
    let faults = found(&site.open().await, &site, &journal).await;
    let [
        Fault::Spots {
            start_sec,
            sold,
            held: 0,
            open,
            allotment,
        },
    ] = faults[..]
    else {
        panic!("{faults:?}")
    };
    assert_eq!(
        (start_sec, allotment),
        (pools[0].start_sec, pools[0].allotment)
    );
    assert_eq!(sold + open, allotment + 1);
}

#[tokio::test]
async fn a_hold_that_nobody_counts_is_found_out() {
    let site = Site::of(1);
    let server = site.open().await.server;
    let counter = Counter::at(&server).await;
    let pools = site.fair.pools(0);
    let request = Visitor::new(&site.fair, 0, 0, 0).order();
    counter.check(&fair::cart_of(&request)).await.unwrap();
    let (held, open) = (
        &request.order.as_ref().unwrap().item,
        counter.spots_open(&pools).await,
    );
    assert_eq!(Journal::default().count(&pools, held, &open), []);
    assert!(!Journal::default().count(&pools, &[], &open).is_empty());
}

#[tokio::test]
async fn a_server_that_keeps_nothing_is_found_out_by_every_order() {
    let site = Site {
        is_kept: false,
        ..Site::of(1)
    };
    let (opened, journal) = after_a_crash(&site).await;
    let acknowledged = journal.entries.iter().filter(|entry| entry.order.is_some());
    let expected: BTreeSet<Fault> = acknowledged
        .map(|entry| Fault::Lost {
            token: entry.token(),
        })
        .collect();
    let faults = as_set(found(&opened, &site, &journal).await);
    let lost: BTreeSet<Fault> = faults
        .into_iter()
        .filter(|fault| matches!(fault, Fault::Lost { .. }))
        .collect();
    assert_eq!(lost, expected);
}
