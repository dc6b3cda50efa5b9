//! What a visitor does until the connection breaks.

use tokio::sync::mpsc;

use super::{
    counter::Counter,
    fair::{self, Visitor},
    journal::{Entry, Fault, Heard, Journal},
};
use crate::support::Transport;

/// Does one thing after the other and tells of each, until the connection breaks. One in four visitors
/// comes through the transport for REST.
pub(super) async fn visit(
    mut visitor: Visitor,
    mut counter: Counter,
    tell: mpsc::UnboundedSender<()>,
) -> Journal {
    let mut journal = Journal::default();
    let transport = if visitor.chance.u8(..4) == 0 {
        Transport::Rest
    } else {
        Transport::Grpc
    };
    while step(&mut visitor, transport, &mut counter, &mut journal)
        .await
        .is_some()
    {
        let _ = tell.send(());
    }
    journal
}

/// Does one thing; nothing comes of it if the connection breaks.
async fn step(
    visitor: &mut Visitor,
    transport: Transport,
    counter: &mut Counter,
    journal: &mut Journal,
) -> Option<()> {
    match visitor.chance.u8(..20) {
        0 | 1 => again(visitor, transport, counter, journal).await,
        2 => otherwise(visitor, transport, counter, journal).await,
        3 => hold(visitor, counter).await,
        kind => {
            let mut entry = Entry::new(visitor.purchase());
            if kind < 7 {
                counter.check(&fair::cart_of(&entry.request)).await?;
            }
            let faults = &mut journal.faults;
            let sent = match kind {
                ..10 => send_twice(counter, &mut entry, faults).await,
                10.. => send(counter, transport, &mut entry, faults).await,
            };
            journal.entries.push(entry);
            sent
        }
    }
}

async fn send(
    counter: &mut Counter,
    transport: Transport,
    entry: &mut Entry,
    faults: &mut Vec<Fault>,
) -> Option<()> {
    let heard = counter.create(transport, &entry.request).await;
    let is_answered = heard != Heard::Nothing;
    faults.extend(entry.hear(heard));
    is_answered.then_some(())
}

async fn send_twice(
    counter: &mut Counter,
    entry: &mut Entry,
    faults: &mut Vec<Fault>,
) -> Option<()> {
    let heard = counter.create_twice(&entry.request).await;
    let is_answered = !heard.contains(&Heard::Nothing);
    faults.extend(entry.hear_both(heard));
    is_answered.then_some(())
}

/// Sends once more what was sent before.
async fn again(
    visitor: &mut Visitor,
    transport: Transport,
    counter: &mut Counter,
    journal: &mut Journal,
) -> Option<()> {
    let Some(entry) = visitor.chance.choice(&mut journal.entries) else {
        return Some(());
    };
    send(counter, transport, entry, &mut journal.faults).await
}

/// Sends something else under a token that has led to an order.
async fn otherwise(
    visitor: &mut Visitor,
    transport: Transport,
    counter: &mut Counter,
    journal: &mut Journal,
) -> Option<()> {
    let used: Vec<&Entry> = journal
        .entries
        .iter()
        .filter(|entry| entry.order.is_some())
        .collect();
    let Some(entry) = visitor.chance.choice(used) else {
        return Some(());
    };
    let heard = counter
        .create(transport, &fair::otherwise(&entry.request))
        .await;
    journal.faults.extend(entry.hear_of_another(&heard));
    (heard != Heard::Nothing).then_some(())
}

/// Holds a cart and forgets about it.
async fn hold(visitor: &mut Visitor, counter: &Counter) -> Option<()> {
    counter
        .check(&fair::cart_of(&visitor.order()))
        .await
        .map(|_| ())
}
