use super::*;
use crate::{
    tests::{SPOTS, open_for_others, raft_catalog},
    update::{
        ChangeMode, OrderChange, WithdrawnSpots,
        tests::{Office, cancel, far, withdraw},
    },
};
use domain::fixtures::{HOUR, NOW, START};
use kernel::user::Scope;

/// The slot of the trip.
pub(crate) fn trip() -> SlotName {
    SlotName {
        merchant_id: "town".into(),
        service_id: "raft".into(),
        start_sec: START,
        duration_sec: None,
    }
}

fn block(number: u32, spots: BlockedSpots) -> BlockRequest {
    BlockRequest {
        slot: trip(),
        spots,
        reason: format!("reason {number}"),
        request_id: format!("00000000-0000-4000-9000-{number:012}"),
        fingerprint: [7; 32],
        user: None,
    }
}

async fn set(office: &Office, number: u32, spots: BlockedSpots) {
    let set = office.app.set_block(block(number, spots), far()).await;
    set.unwrap();
}

async fn rejected(office: &Office, request: BlockRequest) -> ChangeError {
    let set = office.app.set_block(request, far()).await;
    set.unwrap_err()
}

/// What is blocked, what can be sold, and the reason, of the only slot.
async fn report(office: &Office) -> (u32, u32, String) {
    let slot = office
        .app
        .find_slot(&trip(), &MerchantScope::ALL)
        .await
        .unwrap();
    let report = office.app.slot(&slot).await.unwrap().unwrap();
    assert_eq!(report.allotment, SPOTS);
    (report.blocked, report.left, report.block_reason)
}

#[tokio::test]
async fn blocked_spots_are_off_sale_until_the_block_ends_also_after_a_restart() {
    let mut office = Office::new();
    for (number, spots, blocked) in [
        (1, BlockedSpots::Count(3), 3),
        (2, BlockedSpots::All, SPOTS),
        (3, BlockedSpots::Count(1), 1),
        (4, BlockedSpots::NONE, 0),
        (5, BlockedSpots::Count(9), SPOTS),
    ] {
        set(&office, number, spots).await;
        let reason = if spots.is_any() {
            format!("reason {number}")
        } else {
            String::new()
        };
        let expected = (blocked, SPOTS - blocked, reason);
        assert_eq!(report(&office).await, expected, "{spots:?}");
        assert_eq!(office.open(), SPOTS - blocked);
        office = office.restarted();
        assert_eq!(report(&office).await, expected, "{spots:?}, restarted");
        assert_eq!(
            office.app.blocks(None, &MerchantScope::ALL).len(),
            usize::from(spots.is_any())
        );
    }
}

#[tokio::test]
async fn a_repetition_changes_nothing_whatever_has_happened_since() {
    let office = Office::new();
    set(&office, 1, BlockedSpots::Count(3)).await;
    set(&office, 2, BlockedSpots::Count(1)).await;
    set(&office, 1, BlockedSpots::Count(3)).await;
    assert_eq!(office.open(), SPOTS - 1);
    let office = office.restarted();
    set(&office, 1, BlockedSpots::Count(3)).await;
    assert_eq!(office.open(), SPOTS - 1);
    // The id stands for that request only.
    let other = BlockRequest {
        fingerprint: [8; 32],
        ..block(1, BlockedSpots::All)
    };
    assert_eq!(rejected(&office, other).await, ChangeError::RequestReused);
    assert_eq!(office.open(), SPOTS - 1);
}

#[tokio::test]
async fn what_is_not_as_it_has_to_be_is_named_and_blocks_nothing() {
    let office = Office::new();
    let of_another = Scope {
        merchants: Some(["museum".into()].into()),
        ..Scope::default()
    };
    let user = User::new("eve".into(), of_another);
    let right = || block(1, BlockedSpots::All);
    let elsewhere = |change: fn(&mut SlotName)| {
        let mut request = right();
        change(&mut request.slot);
        request
    };
    let unknown = [
        BlockRequest {
            user: Some(Arc::new(user)),
            ..right()
        },
        elsewhere(|slot| slot.merchant_id = "city".into()),
        elsewhere(|slot| slot.service_id = "canoe".into()),
        elsewhere(|slot| slot.start_sec = START + HOUR),
        elsewhere(|slot| slot.duration_sec = Some(60.into())),
    ];
    for request in unknown {
        let told = format!("{request:?}");
        let found = rejected(&office, request).await;
        assert_eq!(found, ChangeError::UnknownSlot, "{told}");
    }
    let wrong = BlockRequest {
        reason: "x".repeat(501),
        request_id: "1".into(),
        ..right()
    };
    let ChangeError::Invalid(fields) = rejected(&office, wrong).await else {
        panic!("both are named")
    };
    let fields: Vec<&str> = fields.iter().map(|invalid| invalid.field).collect();
    assert_eq!(fields, ["request_id", "reason"]);
    assert_eq!(office.open(), SPOTS);
    assert_eq!(office.app.blocks(None, &MerchantScope::ALL), []);
}

#[tokio::test]
async fn a_block_that_cannot_be_recorded_is_none() {
    let office = Office::new();
    set(&office, 1, BlockedSpots::Count(1)).await;
    office.store.begin_outage(NOW);
    for (number, spots) in [(2, BlockedSpots::All), (3, BlockedSpots::NONE)] {
        let found = rejected(&office, block(number, spots)).await;
        assert_eq!(found, OrderError::StoreUnavailable.into());
        assert_eq!(office.open(), SPOTS - 1);
    }
    office.store.end_outage();
    set(&office, 2, BlockedSpots::All).await;
    assert_eq!(office.open(), 0);
}

#[tokio::test]
async fn spots_that_are_given_back_stay_blocked_where_all_are() {
    for (spots, open) in [(BlockedSpots::All, 0), (BlockedSpots::Count(2), SPOTS - 2)] {
        let office = Office::new();
        let order = office.order("a", &[2], None);
        set(&office, 1, spots).await;
        let refund = crate::update::RefundChoice::Policy;
        office.changed(&order, cancel(&[], refund)).await;
        assert_eq!(office.open(), open, "{spots:?}");
        assert_eq!(office.restarted().open(), open, "{spots:?}");
    }
}

fn kept_off_sale(items: &[u32]) -> OrderChange {
    let OrderChange::Withdraw { items, reason, .. } = withdraw(items) else {
        unreachable!("it is a withdrawal")
    };
    OrderChange::Withdraw {
        items,
        spots: WithdrawnSpots::OffSale,
        reason,
    }
}

#[tokio::test]
async fn withdrawn_items_are_kept_off_sale_with_what_is_blocked_already() {
    let office = Office::new();
    let order = office.order("a", &[1, 2], None);
    set(&office, 1, BlockedSpots::Count(1)).await;
    assert_eq!(office.open(), SPOTS - 4);
    // A dry run blocks nothing.
    let mut request = office.request(&order);
    request.mode = ChangeMode::ValidateOnly;
    let shown = office.app.change_order(request, kept_off_sale(&[1]), far());
    shown.await.unwrap();
    assert_eq!(report(&office).await, (1, SPOTS - 4, "reason 1".to_owned()));
    let request = office.request(&order);
    for _ in 0..2 {
        let change = kept_off_sale(&[1]);
        let changed = office.app.change_order(request.clone(), change, far());
        changed.await.unwrap();
        let expected = (3, SPOTS - 4, "reason 1".to_owned());
        assert_eq!(
            report(&office).await,
            expected,
            "nothing more by a repetition"
        );
    }
    let office = office.restarted();
    assert_eq!(report(&office).await, (3, SPOTS - 4, "reason 1".to_owned()));
    // The other item without: its spot is for sale again.
    office.changed(&order, withdraw(&[0])).await;
    assert_eq!(report(&office).await, (3, SPOTS - 3, "reason 1".to_owned()));
}

#[tokio::test]
async fn a_withdrawal_that_is_not_recorded_blocks_nothing() {
    let office = Office::new();
    let order = office.order("a", &[1, 2], None);
    office.store.begin_outage(NOW);
    let changed = office.change(&order, kept_off_sale(&[])).await;
    assert!(changed.is_err(), "{changed:?}");
    office.store.end_outage();
    assert_eq!(report(&office).await, (0, SPOTS - 3, String::new()));
}

#[tokio::test]
async fn a_block_survives_reloads_and_ends_with_its_slot_out_of_the_catalogue() {
    let office = Office::new();
    set(&office, 1, BlockedSpots::Count(2)).await;
    let reload = async |spots| {
        let reloaded = office.app.reload(move |_| Ok(raft_catalog(spots, |_| {})));
        reloaded.await.unwrap();
    };
    reload(Some(9)).await;
    assert_eq!(open_for_others(&office.app), 7);
    reload(None).await;
    assert_eq!(open_for_others(&office.app), 0);
    reload(Some(9)).await;
    assert_eq!(open_for_others(&office.app), 7);
    reload(None).await;
    set(&office, 2, BlockedSpots::NONE).await;
    reload(Some(9)).await;
    assert_eq!(open_for_others(&office.app), 9);
}
