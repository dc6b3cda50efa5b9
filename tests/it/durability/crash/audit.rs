//! What clients heard against what the server has.

use futures_util::future::join_all;

use super::{
    counter::Counter,
    fair::{self, Pool},
    journal::{Entry, Fault, Heard, Journal},
};
use crate::support::{Transport, byte_client::ByteClient, process::Running};

/// Those who send tokens again.
const AUDITORS: usize = 16;

/// Looks at a server on which nothing is held.
pub(super) struct Audit {
    counters: Vec<Counter>,
}

impl Audit {
    pub(super) async fn of(server: &Running) -> Self {
        let grpc = ByteClient::connect(server.address()).await;
        let mut counters = Vec::new();
        for _ in 0..AUDITORS {
            counters.push(Counter::beside(grpc.clone(), server).await);
        }
        Self { counters }
    }

    /// Where it asks.
    pub(super) fn counter(&self) -> &Counter {
        &self.counters[0]
    }

    /// Everything that is wrong with what the server has of the last round. Outcomes that are unknown
    /// become known by this: their tokens are sent again.
    pub(super) async fn of_last(&mut self, pools: &[Pool], journal: &mut Journal) -> Vec<Fault> {
        let mut faults = std::mem::take(&mut journal.faults);
        faults.extend(journal.compare(
            &self.counter().list_by_users(journal.user_ids()).await,
            false,
        ));
        let ids = journal.orders().map(|order| &order.order_id);
        faults.extend(journal.compare(&self.counter().list_by_ids(ids).await, false));
        faults.extend(self.send_again(&mut journal.entries, settle).await);
        faults.extend(self.of_record(pools, journal).await);
        once_each(faults)
    }

    /// Everything that is wrong with what it has of a round whose outcomes are known.
    pub(super) async fn of_settled(&mut self, pools: &[Pool], journal: &mut Journal) -> Vec<Fault> {
        let mut faults = self.send_again(&mut journal.entries, send_once).await;
        faults.extend(self.of_record(pools, journal).await);
        once_each(faults)
    }

    async fn of_record(&self, pools: &[Pool], journal: &Journal) -> Vec<Fault> {
        let mut faults = journal.compare(
            &self.counter().list_by_users(journal.user_ids()).await,
            true,
        );
        faults.extend(journal.count(pools, &[], &self.counter().spots_open(pools).await));
        faults
    }

    /// Sends all tokens again, in the same way, and says what was wrong with the answers.
    async fn send_again(
        &mut self,
        entries: &mut [Entry],
        send: impl AsyncFn(&mut Counter, &mut Entry) -> Vec<Fault>,
    ) -> Vec<Fault> {
        let share = entries.len().div_ceil(AUDITORS).max(1);
        let parts = self.counters.iter_mut().zip(entries.chunks_mut(share));
        let sent = parts.map(async |(counter, entries)| {
            let mut faults = Vec::new();
            for entry in entries {
                faults.extend(send(counter, entry).await);
            }
            faults
        });
        join_all(sent).await.concat()
    }
}

fn once_each(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_unstable();
    faults.dedup();
    faults
}

/// Sends a token again, first twice at once if its outcome is unknown, and then something else under it.
async fn settle(counter: &mut Counter, entry: &mut Entry) -> Vec<Fault> {
    let mut faults = Vec::new();
    if std::mem::take(&mut entry.is_open) {
        let heard = counter.create_twice(&entry.request).await;
        faults.extend(heard.iter().filter_map(|heard| unanswered(entry, heard)));
        faults.extend(entry.hear_both(heard));
    }
    faults.extend(send_once(counter, entry).await);
    if entry.order.is_some() {
        let heard = counter
            .create(Transport::Grpc, &fair::otherwise(&entry.request))
            .await;
        faults.extend(unanswered(entry, &heard));
        faults.extend(entry.hear_of_another(&heard));
    }
    faults
}

/// Sends a token that has led to an order once more.
async fn send_once(counter: &mut Counter, entry: &mut Entry) -> Vec<Fault> {
    let Some(transport) = entry.transport() else {
        return Vec::new();
    };
    let heard = counter.create(transport, &entry.request).await;
    unanswered(entry, &heard)
        .into_iter()
        .chain(entry.hear(heard))
        .collect()
}

fn unanswered(entry: &Entry, heard: &Heard) -> Option<Fault> {
    (*heard == Heard::Nothing).then(|| Fault::Unanswered {
        token: entry.token(),
    })
}
