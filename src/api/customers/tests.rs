//! The export of orders that were updated.

use futures_util::FutureExt;

use super::*;
use domain::{
    ledger::{PaidBy, PaymentLedger},
    lifecycle::OrderTree,
    money::{Currency, Money},
    order::{Customer, Order},
    time::EpochSeconds,
};
use store::{HistoryEntry, UnitOfWork, UpdateCause, UpdateTexts, Write, memory::MemoryStore};

const NOW: EpochSeconds = EpochSeconds::new(1_800_000_000);

fn placed(store: &MemoryStore) -> PlacedOrder {
    let token = "token".into();
    PlacedOrder {
        fingerprint: [0; 32],
        created_sec: NOW,
        created_by: None,
        order: Box::new(Order {
            id: store.order_key(&token).order_id(),
            merchant_id: "museum".into(),
            customer: Customer::of("ada"),
            payment: None,
            items: Vec::new(),
        }),
        claims: Vec::new(),
        payment: None,
        hold: None,
        bill: None,
        begun: None,
        lifecycle: 1,
        token,
    }
}

fn update(placed: &PlacedOrder, revision: u32, note: &str) -> OrderUpdate {
    let lifecycle = lifecycle_files::default().unwrap();
    let nothing = Money::zero(Currency::from_code("USD").unwrap());
    let ledger = PaymentLedger::new(PaidBy::Nobody, nothing);
    let mut tree = lifecycle.named(OrderTree::new(&lifecycle, 0, ledger));
    tree.state = "cancelled".into();
    OrderUpdate {
        order: placed.order.id.clone(),
        revision,
        updated_sec: NOW,
        tree,
        entry: HistoryEntry {
            actor: Some("eve".into()),
            texts: UpdateTexts {
                note: note.to_owned(),
                reason: String::new(),
            },
            ..HistoryEntry::new(UpdateCause::Operator, 1)
        },
        released: Vec::new(),
        answer: None,
    }
}

fn exported(store: &MemoryStore) -> Value {
    let mut text = String::new();
    let exported = export(store, &"ada".into(), &mut |piece| {
        text.push_str(&piece);
        ControlFlow::Continue(())
    });
    exported.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_export_has_what_people_have_written_about_an_order() {
    let store = MemoryStore::default();
    let placed = placed(&store);
    let updates = [update(&placed, 1, "called"), update(&placed, 2, "is ill")];
    let commit = |write: Write| {
        let committed = store.commit(&UnitOfWork::write(write)).now_or_never();
        committed.unwrap().unwrap();
    };
    commit(Write::OrderPlaced(Box::new(placed)));
    assert_eq!(exported(&store)["orders"][0]["history"], json!([]));
    for update in updates {
        commit(Write::OrderUpdated(Box::new(update)));
    }
    let changed = |revision: u32, note: &str| {
        json!({
            "revision": revision,
            "updated_sec": NOW.get(),
            "state": "cancelled",
            "actor": "eve",
            "note": note,
            "reason": "",
        })
    };
    let history = &exported(&store)["orders"][0]["history"];
    assert_eq!(
        *history,
        json!([changed(2, "is ill"), changed(1, "called")])
    );
}
