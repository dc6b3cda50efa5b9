//! What a visitor does until the connection breaks.

use tokio::sync::mpsc;

use super::{
    counter::Counter,
    fair::{self, Visitor},
    journal::{Entry, Fault, Heard, Journal},
};
use crate::support::Door;

/// The refusal of another request under a used token.
pub(super) const TOKEN_REUSED: &str = "TOKEN_REUSED";

/// Does one thing after the other and tells of each, until the connection breaks. One in four visitors
/// comes through the door for REST.
pub(super) async fn visit(
    mut visitor: Visitor,
    mut counter: Counter,
    tell: mpsc::UnboundedSender<()>,
) -> Journal {
    let mut journal = Journal::default();
    let door = if visitor.chance.u8(..4) == 0 { Door::Rest } else { Door::Grpc };
    while step(&mut visitor, door, &mut counter, &mut journal).await.is_some() {
        let _ = tell.send(());
    }
    journal
}

/// Does one thing; nothing comes of it if the connection breaks.
async fn step(visitor: &mut Visitor, door: Door, counter: &mut Counter, journal: &mut Journal) -> Option<()> {
    match visitor.chance.u8(..20) {
        0 | 1 => again(visitor, door, counter, journal).await,
        2 => otherwise(visitor, door, counter, journal).await,
        3 => hold(visitor, counter).await,
        kind => {
            let mut entry = Entry::new(visitor.purchase());
            if kind < 7 {
                counter.check(&fair::cart_of(&entry.request)).await?;
            }
            let lost = if kind < 10 {
                let heard = counter.create_twice(&entry.request).await;
                let lost = heard.contains(&Heard::Nothing);
                journal.faults.extend(entry.hear_both(heard));
                lost
            } else {
                let heard = counter.create(door, &entry.request).await;
                let lost = heard == Heard::Nothing;
                journal.faults.extend(entry.hear(heard));
                lost
            };
            journal.entries.push(entry);
            (!lost).then_some(())
        }
    }
}

/// Sends once more what was sent before.
async fn again(
    visitor: &mut Visitor,
    door: Door,
    counter: &mut Counter,
    journal: &mut Journal,
) -> Option<()> {
    let Some(entry) = visitor.chance.choice(&mut journal.entries) else { return Some(()) };
    let heard = counter.create(door, &entry.request).await;
    let lost = heard == Heard::Nothing;
    journal.faults.extend(entry.hear(heard));
    (!lost).then_some(())
}

/// Sends something else under a token that has led to an order.
async fn otherwise(
    visitor: &mut Visitor,
    door: Door,
    counter: &mut Counter,
    journal: &mut Journal,
) -> Option<()> {
    let used = journal.entries.iter().filter(|entry| entry.order.is_some());
    let Some(entry) = visitor.chance.choice(used.collect::<Vec<_>>()) else { return Some(()) };
    match counter.create(door, &fair::otherwise(&entry.request)).await {
        Heard::Nothing => return None,
        Heard::Refusal(reason) if reason == TOKEN_REUSED => {}
        _ => journal.faults.push(Fault::TokenShared { token: entry.token() }),
    }
    Some(())
}

/// Holds a cart and forgets about it.
async fn hold(visitor: &mut Visitor, counter: &Counter) -> Option<()> {
    counter.check(&fair::cart_of(&visitor.order())).await.map(|_| ())
}
