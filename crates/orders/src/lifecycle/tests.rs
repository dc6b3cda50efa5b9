//! Drafts, publications, maps and stranded states, with orders between them.

use std::fmt::Write as _;

use domain::{
    fixtures::NOW,
    lifecycle::Entity,
    order::OrderId,
    slot::{Confirmation, SlotTerms},
};
use fastrand::Rng;
use kernel::clock::ManualClock;
use store::{LifecycleChange, Precondition, StatesInUse, Store, StoredOrder};
use testkit::seeds::seeds;

use super::*;
use crate::{
    App, MerchantScope,
    audit::{Audit, AuditLog},
    lifecycle::stranded::StrandCheck,
    search::{OrderPage, OrderSearch},
    tests::{SPOTS, app_on, parts_on, raft_catalog},
    update::{
        ChangeError, ChangeMode, MerchantDecision, OrderChange, RefundChoice,
        tests::{Office, cancel, command, far, note, states, with_terms},
    },
};

fn request(number: u32) -> LifecycleRequest {
    LifecycleRequest {
        request_id: format!("00000000-0000-4000-9000-{number:012}"),
        fingerprint: [1; 32],
        user: None,
        mode: ChangeMode::Commit,
    }
}

fn dry_run(number: u32) -> LifecycleRequest {
    LifecycleRequest {
        mode: ChangeMode::ValidateOnly,
        ..request(number)
    }
}

/// A publication that waits for the work that holds the lifecycle in force.
async fn waiting_publication(
    office: &Office,
) -> tokio::task::JoinHandle<Result<LifecycleRevision, LifecycleError>> {
    office
        .app
        .put_draft(request(1), named("next"))
        .await
        .unwrap();
    let app = Arc::clone(&office.app);
    let publication = tokio::spawn(async move { app.publish_draft(request(2)).await });
    while !office.app.lifecycles.is_publication_waiting() {
        tokio::task::yield_now().await;
    }
    publication
}

/// The default under another name.
fn named(name: &str) -> String {
    lifecycle_files::DEFAULT.replacen("name = \"default\"", &format!("name = \"{name}\""), 1)
}

/// The default with another name of a state.
fn renamed(from: &str, to: &str) -> String {
    lifecycle_files::DEFAULT.replace(from, to)
}

/// A definition that gives states of the order and of its items other names.
fn mapped(text: &str, order: &[(&str, &str)], items: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (entity, maps) in [("order", order), ("line_item", items)] {
        if !maps.is_empty() {
            writeln!(text, "\n[map.{entity}]").unwrap();
        }
        for (from, to) in maps {
            writeln!(text, "{from} = \"{to}\"").unwrap();
        }
    }
    text
}

async fn publish(app: &Arc<App>, number: u32, text: &str) -> Result<u32, LifecycleError> {
    app.put_draft(request(number), text.to_owned()).await?;
    let published = app.publish_draft(request(number + 1)).await?;
    Ok(published.number)
}

fn stranded(error: &LifecycleError) -> Vec<(Entity, &str, u64)> {
    let LifecycleError::Stranded(states) = error else {
        panic!("{error:?}")
    };
    let states = states.iter();
    states
        .map(|state| (state.entity, state.state.as_str(), state.orders))
        .collect()
}

#[tokio::test]
async fn the_first_revision_of_a_store_is_the_one_that_is_built_in() {
    let office = Office::new();
    let in_force = office.app.lifecycle();
    assert_eq!(in_force.number(), 1);
    let revisions: Vec<&LifecycleRevision> = in_force.revisions().collect();
    assert_eq!(revisions.len(), 1);
    assert_eq!(revisions[0].text, lifecycle_files::DEFAULT);
    assert_eq!(
        (revisions[0].by.as_deref(), revisions[0].published_sec),
        (None, NOW)
    );
    // A later start of the same version finds it.
    let office = office.restarted();
    assert_eq!(office.app.lifecycle().revisions().count(), 1);
}

#[tokio::test]
async fn a_draft_is_kept_published_and_gone_also_over_restarts() {
    let office = Office::new();
    assert_eq!(office.app.draft().await, None);
    let text = named("second");
    let checked = office
        .app
        .put_draft(request(1), text.clone())
        .await
        .unwrap();
    assert_eq!(checked, DraftChecked::default());
    let office = office.restarted();
    assert_eq!(office.app.draft().await, Some(text.clone()));
    let would_be = office.app.publish_draft(dry_run(2)).await.unwrap();
    assert_eq!((would_be.number, office.app.lifecycle().number()), (2, 1));
    let published = office.app.publish_draft(request(2)).await.unwrap();
    assert_eq!((published.number, published.name.as_str()), (2, "second"));
    assert_eq!(office.app.draft().await, None);
    assert_eq!(office.app.lifecycle().number(), 2);
    let office = office.restarted();
    assert_eq!(office.app.lifecycle().number(), 2);
    assert_eq!(office.app.draft().await, None);
    let names: Vec<String> = office
        .app
        .lifecycle()
        .revisions()
        .map(|revision| revision.name.clone())
        .collect();
    assert_eq!(names, ["second", "default"]);
}

#[tokio::test]
async fn the_audit_log_has_drafts_and_publications_and_no_dry_runs() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("audit.jsonl");
    let clock = Arc::new(ManualClock::at(NOW));
    let audit = Audit::open(&AuditLog::File(file.clone()), clock.clone()).unwrap();
    let office = Office::opened(
        (Arc::default(), Arc::default(), clock),
        with_terms,
        |parts| {
            parts.audit = Arc::clone(&audit);
        },
    );
    let app = &office.app;
    app.put_draft(request(1), named("next")).await.unwrap();
    app.publish_draft(dry_run(2)).await.unwrap();
    app.publish_draft(request(2)).await.unwrap();
    app.publish_draft(request(2)).await.unwrap();
    app.publish_draft(request(3)).await.unwrap_err();
    app.discard_draft(request(4)).await.unwrap_err();
    let file_of_settings = LifecycleFile::of_text(&named("own"), "lifecycle.toml").unwrap();
    app.adopt_lifecycle(&file_of_settings).await.unwrap();
    audit.flush(std::time::Duration::from_secs(10));
    let lines = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = lines
        .lines()
        .map(|line| line.split_once(r#""event":"#).unwrap().1)
        .collect();
    let line = |event: &str, number, outcome: &str| {
        let change_id = request(number).request_id;
        format!(r#""{event}",{outcome}}}"#).replace("ID", &change_id)
    };
    let expected = [
        line(
            "lifecycle_drafted",
            1,
            r#""change_id":"ID","outcome":"changed""#,
        ),
        line(
            "lifecycle_published",
            2,
            r#""change_id":"ID","outcome":"changed","revision":2"#,
        ),
        line(
            "lifecycle_published",
            2,
            r#""change_id":"ID","outcome":"repeated","revision":2"#,
        ),
        line(
            "lifecycle_published",
            3,
            r#""reason":"DRAFT_NOT_FOUND","change_id":"ID","outcome":"rejected""#,
        ),
        line(
            "lifecycle_drafted",
            4,
            r#""reason":"DRAFT_NOT_FOUND","change_id":"ID","outcome":"rejected""#,
        ),
        line(
            "lifecycle_published",
            0,
            r#""outcome":"changed","revision":3"#,
        ),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_repetition_has_the_first_answer_and_changes_nothing_more() {
    let office = Office::new();
    office
        .app
        .put_draft(request(1), named("one"))
        .await
        .unwrap();
    let published = office.app.publish_draft(request(2)).await.unwrap();
    office
        .app
        .put_draft(request(3), named("two"))
        .await
        .unwrap();
    let office = office.restarted();
    // The draft of before does not come back, and the other one is not published.
    office
        .app
        .put_draft(request(1), named("one"))
        .await
        .unwrap();
    assert_eq!(
        office.app.publish_draft(request(2)).await.unwrap(),
        published
    );
    assert_eq!(office.app.draft().await, Some(named("two")));
    assert_eq!(office.app.lifecycle().number(), 2);
    office.app.discard_draft(request(4)).await.unwrap();
    office
        .app
        .put_draft(request(5), named("three"))
        .await
        .unwrap();
    office.app.discard_draft(request(4)).await.unwrap();
    assert_eq!(office.app.draft().await, Some(named("three")));
    let other = LifecycleRequest {
        fingerprint: [2; 32],
        ..request(4)
    };
    let reused = office.app.discard_draft(other).await.unwrap_err();
    assert!(
        matches!(reused, LifecycleError::RequestReused),
        "{reused:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_changes_nothing() {
    let office = Office::new();
    let app = &office.app;
    let wrong = app.put_draft(request(1), "schema = 1".to_owned()).await;
    let Err(LifecycleError::InvalidDefinition(errors)) = wrong else {
        panic!("{wrong:?}")
    };
    assert!(errors.to_string().contains("draft.toml:1:"), "{errors}");
    assert!(matches!(
        app.publish_draft(request(2)).await,
        Err(LifecycleError::NoDraft)
    ));
    assert!(matches!(
        app.discard_draft(request(3)).await,
        Err(LifecycleError::NoDraft)
    ));
    let no_uuid = LifecycleRequest {
        request_id: "1".to_owned(),
        ..request(4)
    };
    assert!(matches!(
        app.put_draft(no_uuid, named("x")).await,
        Err(LifecycleError::InvalidRequest(_))
    ));
    app.put_draft(dry_run(5), named("x")).await.unwrap();
    assert_eq!(app.draft().await, None);
    let same = publish(app, 6, lifecycle_files::DEFAULT).await;
    assert!(matches!(same, Err(LifecycleError::Unchanged)), "{same:?}");
    // A map from a state that is not there is odd, and allowed.
    let odd = mapped(&named("odd"), &[("booked", "processing")], &[]);
    let checked = app.put_draft(request(8), odd).await.unwrap();
    assert_eq!(checked.warnings.len(), 1, "{checked:?}");
    assert!(checked.warnings[0].contains("\"booked\""), "{checked:?}");
    // So is a step that nobody may do.
    let launching = named("own").replacen(
        "on_start = [{ action = \"update_reserved_stock\", creation = true }]",
        "on_start = [{ action = \"launch\", step = \"stamp\" }]",
        1,
    );
    let launching = launching.replacen("name = \"own\"", "name = \"own\"\nsteps = [\"stamp\"]", 1);
    let checked = app.put_draft(request(9), launching).await.unwrap();
    assert_eq!(checked.warnings.len(), 1, "{checked:?}");
    assert!(
        checked.warnings[0].contains("step \"stamp\""),
        "{checked:?}"
    );
}

#[tokio::test]
async fn a_publication_strands_no_order() {
    let office = Office::new();
    let app = &office.app;
    let one = office.order("a", &[1], Some("card"));
    office.changed(&one, note("hello")).await;
    let other = office.order("b", &[1], None);
    // Both orders are in processing: the one as placed, the other on record.
    let text = renamed("confirmed", "booked");
    let error = publish(app, 3, &text).await.unwrap_err();
    assert_eq!(stranded(&error), [(Entity::LineItem, "confirmed", 2)]);
    assert_eq!(app.lifecycle().number(), 1);
    let warned = app.put_draft(dry_run(5), text.clone()).await.unwrap();
    assert!(
        warned.warnings[0].contains("line_item \"confirmed\" (2 orders)"),
        "{warned:?}"
    );
    let text = mapped(&text, &[], &[("confirmed", "booked")]);
    assert_eq!(publish(app, 6, &text).await.unwrap(), 2);
    for order in [&one, &other] {
        let stored = office.stored(order).await;
        let next = app.next_states(&stored).unwrap();
        assert!(next.iter().any(|next| next.to == "cancelled"), "{next:?}");
        let changed = office.changed(order, note("again")).await;
        let update = changed.update.unwrap();
        assert_eq!(update.tree.items[0].state.as_str(), "booked");
        assert_eq!(update.entry.lifecycle, 2);
    }
}

#[tokio::test]
async fn orders_are_counted_by_their_own_state_under_its_name_in_force() {
    let office = Office::new();
    let by_state = async |office: &Office| {
        let by_state = office.app.order_stats().await.unwrap().by_state;
        let mut text = String::new();
        for (state, orders) in by_state {
            write!(text, "{state} {orders}, ").unwrap();
        }
        text
    };
    assert_eq!(by_state(&office).await, "");
    let [_, gone, lost, noted] = ["a", "b", "c", "d"].map(|token| office.order(token, &[1], None));
    office
        .changed(&gone, cancel(&[], RefundChoice::Policy))
        .await;
    // A timer leads to `timed_out`, where the order is not yet.
    let withdrawn = OrderChange::Withdraw {
        items: Vec::new(),
        spots: crate::update::WithdrawnSpots::ForSale,
        reason: String::new(),
    };
    office.changed(&lost, withdrawn).await;
    office.changed(&noted, note("called")).await;
    let expected = "cancelled 1, customer_action_required 1, processing 2, ";
    assert_eq!(by_state(&office).await, expected);
    let text = renamed("customer_action_required", "asked");
    let text = mapped(&text, &[("customer_action_required", "asked")], &[]);
    publish(&office.app, 1, &text).await.unwrap();
    let expected = "asked 1, cancelled 1, processing 2, ";
    assert_eq!(by_state(&office).await, expected);
    let office = office.restarted();
    assert_eq!(by_state(&office).await, expected);
}

#[tokio::test]
async fn orders_that_were_only_placed_are_counted_by_the_revision_of_their_sale() {
    let office = Office::new();
    office.order("a", &[1], None);
    let noted = office.order("b", &[1], None);
    // From here on they begin in another state, and the one before is still there.
    let sold = "from = [\"pending\"]\nto = \"processing\"\n";
    assert!(lifecycle_files::DEFAULT.contains(sold));
    let text = renamed(sold, "from = [\"pending\"]\nto = \"new\"\n");
    let text = text.replacen("  \"pending\", ", "  \"new\", \"pending\", ", 1);
    let begun = "from = [\"new\"]\nto = \"processing\"\nkind = \"manual\"\n";
    let text = format!("{text}\n[[entity.order.transition]]\n{begun}");
    publish(&office.app, 1, &text).await.unwrap();
    for token in ["c", "d", "e"] {
        office.order(token, &[1], None);
    }
    office.changed(&noted, note("called")).await;
    let office = office.restarted();
    let by_state = office.app.order_stats().await.unwrap().by_state;
    let expected = [("new".into(), 3), ("processing".into(), 2)];
    assert_eq!(by_state, expected.into());
}

/// A server with trips that their merchant has to confirm.
fn asking() -> Office {
    let clock = Arc::new(ManualClock::at(NOW));
    Office::opened(
        (Arc::default(), Arc::default(), clock),
        with_terms,
        |parts| {
            let terms = SlotTerms {
                confirmation: Confirmation::ByMerchant,
                ..SlotTerms::default()
            };
            parts.loaded.openings[0].terms = terms.boxed();
        },
    )
}

#[tokio::test]
async fn orders_as_they_began_are_not_stranded_and_follow_the_names() {
    let office = asking();
    let app = &office.app;
    let (one, other) = (office.order("a", &[1], None), office.order("b", &[1], None));
    let text = renamed("pending_confirmation", "asked");
    let error = publish(app, 1, &text).await.unwrap_err();
    assert_eq!(
        stranded(&error),
        [(Entity::LineItem, "pending_confirmation", 2)]
    );
    let text = mapped(&text, &[], &[("pending_confirmation", "asked")]);
    assert_eq!(publish(app, 3, &text).await.unwrap(), 2);
    let item_of = |stored: &StoredOrder| stored.tree().unwrap().items[0].state.to_string();
    assert_eq!(item_of(&office.stored(&one).await), "asked");
    let page = OrderPage {
        most: 10,
        before: None,
    };
    let found = app.search(OrderSearch::default(), page, MerchantScope::ALL);
    let found = found.await.unwrap().orders;
    assert_eq!(found.len(), 2);
    for listed in &found {
        assert_eq!(listed.tree().unwrap().items[0].state.as_str(), "asked");
    }
    let confirm = OrderChange::Confirm {
        items: Vec::new(),
        decision: MerchantDecision::Confirm,
        reason: String::new(),
    };
    let confirmed = office.changed(&one, confirm).await;
    assert_eq!(item_of(&confirmed), "confirmed");
    assert_eq!(confirmed.update.unwrap().entry.lifecycle, 2);
    // What was placed before a map and what after it may have the same name.
    let third = office.order("c", &[1], None);
    let back = mapped(
        lifecycle_files::DEFAULT,
        &[],
        &[("asked", "pending_confirmation")],
    );
    assert_eq!(publish(app, 5, &back).await.unwrap(), 3);
    let office = office.restarted();
    for order in [&other, &third] {
        assert_eq!(item_of(&office.stored(order).await), "pending_confirmation");
    }
    assert_eq!(office.app.timers_and_steps(), (2, 0));
}

#[tokio::test]
async fn an_order_is_placed_by_the_lifecycle_in_force_which_stays_so_until_it_is_on_record() {
    let office = Office::new();
    let (in_force, guard) = office.app.lifecycles.hold().await;
    let publication = waiting_publication(&office).await;
    let app = Arc::clone(&office.app);
    let command = command("a", &[1], None);
    let creation = tokio::spawn(async move { app.create(command, None, far()).await });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!publication.is_finished() && !creation.is_finished());
    assert_eq!(office.app.lifecycle().number(), in_force.number());
    drop(guard);
    assert_eq!(publication.await.unwrap().unwrap().number, 2);
    let order = creation.await.unwrap().unwrap().unwrap();
    assert_eq!(office.stored(&order.id).await.placed.lifecycle, 2);
}

#[tokio::test]
async fn names_follow_a_chain_of_maps() {
    let office = Office::new();
    let order = office.order("a", &[1, 1], None);
    let placed = office.order("b", &[1], None);
    office
        .changed(&order, cancel(&[0], RefundChoice::Nothing))
        .await;
    let mut before = "confirmed";
    for (number, name) in [(2, "booked"), (3, "reserved"), (4, "confirmed")] {
        let text = mapped(&renamed("confirmed", name), &[], &[(before, name)]);
        assert_eq!(
            publish(&office.app, number * 10, &text).await.unwrap(),
            number
        );
        before = name;
        let stored = office.stored(&order).await;
        let shown = states(&stored);
        assert!(format!("{shown:?}").contains(name), "{shown:?}");
    }
    let office = office.restarted();
    let changed = office.changed(&order, note("still here")).await;
    assert_eq!(
        changed.update.unwrap().tree.items[1].state.as_str(),
        "confirmed"
    );
    let changed = office.changed(&placed, note("I, too")).await;
    assert_eq!(
        changed.update.unwrap().tree.items[0].state.as_str(),
        "confirmed"
    );
}

#[tokio::test]
async fn a_decision_by_an_earlier_revision_is_not_recorded() {
    let office = Office::new();
    let order = office.order("a", &[1], None);
    // Another server on the same store has published.
    let record = LifecycleFile::of_text(&named("theirs"), "theirs").unwrap();
    let revision = record.revision(2, NOW, Some("them".into()));
    let unit = store::UnitOfWork::write(store::Write::Lifecycle(Box::new(revision)))
        .requiring(Precondition::LifecycleRevision(1));
    office.store.commit(&unit).await.unwrap();
    let changed = office.change(&order, note("by the first")).await;
    assert_eq!(changed.unwrap_err(), ChangeError::Contended);
    let command = command("b", &[1], None);
    let created = office.app.create(command, None, far()).await;
    assert_eq!(created.map(drop), Err(crate::OrderError::StoreUnavailable));
    assert_eq!(office.open(), SPOTS - 1);
    let office = office.restarted();
    let changed = office.changed(&order, note("by the second")).await;
    assert_eq!(changed.update.unwrap().entry.lifecycle, 2);
}

#[tokio::test]
async fn a_publication_waits_for_changes_under_way_and_they_for_it() {
    let office = Office::new();
    let order = office.order("a", &[1], None);
    let (in_force, guard) = office.app.lifecycles.hold().await;
    let publication = waiting_publication(&office).await;
    let change_request = office.request(&order);
    let app = Arc::clone(&office.app);
    let change =
        tokio::spawn(async move { app.change_order(change_request, note("later"), far()).await });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!publication.is_finished() && !change.is_finished());
    assert_eq!(office.app.lifecycle().number(), in_force.number());
    drop(guard);
    assert_eq!(publication.await.unwrap().unwrap().number, 2);
    let changed = change.await.unwrap().unwrap();
    assert_eq!(changed.update.unwrap().entry.lifecycle, 2);
}

#[tokio::test]
async fn a_file_of_the_settings_is_the_next_revision_and_nobody_else_publishes() {
    let office = Office::new();
    let order = office.order("a", &[1], None);
    office.changed(&order, note("x")).await;
    let start = |text: &str| {
        let file = LifecycleFile::of_text(text, "lifecycle.toml").unwrap();
        let mut parts = parts_on(
            office.store.clone(),
            office.clock.clone(),
            raft_catalog(Some(5), with_terms),
        );
        parts.lifecycle = LifecycleSource::File(file);
        App::open(parts)
    };
    let app = start(&named("own")).await.unwrap();
    assert_eq!(app.lifecycle().number(), 2);
    // The same file again is the same revision.
    let app_again = start(&named("own")).await.unwrap();
    assert_eq!(app_again.lifecycle().number(), 2);
    let refused = app.put_draft(request(1), named("theirs")).await;
    assert!(
        matches!(refused, Err(LifecycleError::FromFile)),
        "{refused:?}"
    );
    let refused = app.publish_draft(request(2)).await;
    assert!(
        matches!(refused, Err(LifecycleError::FromFile)),
        "{refused:?}"
    );
    let next = LifecycleFile::of_text(&named("next"), "lifecycle.toml").unwrap();
    assert!(app.adopt_lifecycle(&next).await.unwrap());
    assert!(!app.adopt_lifecycle(&next).await.unwrap());
    assert_eq!(app.lifecycle().number(), 3);
    // One that would strand the order.
    let lacking =
        LifecycleFile::of_text(&renamed("confirmed", "booked"), "lifecycle.toml").unwrap();
    let error = app.adopt_lifecycle(&lacking).await.unwrap_err();
    assert_eq!(stranded(&error), [(Entity::LineItem, "confirmed", 1)]);
    assert_eq!(app.lifecycle().number(), 3);
    let started = start(&renamed("confirmed", "booked")).await;
    let error = started.unwrap_err().to_string();
    assert!(
        error.contains("line_item \"confirmed\" (1 order)"),
        "{error}"
    );
    // Without the setting, what was in force stays so, and callers may go on.
    let app = app_on(
        office.store.clone(),
        office.clock.clone(),
        raft_catalog(Some(5), with_terms),
    );
    assert_eq!(app.lifecycle().number(), 3);
    assert_eq!(publish(&app, 10, &named("ours")).await.unwrap(), 4);
}

#[test]
fn every_state_of_an_order_counts_and_each_order_once() {
    let in_force = ActiveLifecycle::new(
        vec![Arc::new(KnownRevision::read(
            LifecycleFile::of_text(lifecycle_files::DEFAULT, "default")
                .unwrap()
                .revision(1, NOW, None),
        ))],
        Arc::new(lifecycle_files::default().unwrap()),
    );
    let next =
        LifecycleFile::of_text(&renamed("customer_action_required", "asked"), "next").unwrap();
    let count = |lifecycle, state: &str, orders| store::StateCount {
        lifecycle,
        entity: Entity::Order,
        state: state.into(),
        orders,
    };
    let in_use = |placed, counts| StatesInUse {
        placed,
        counts,
        order_states: Vec::new(),
    };
    let check = StrandCheck {
        in_force: &in_force,
        next: next.definition(),
        maps: &[],
    };
    for (in_use, expected) in [
        (in_use(7, vec![]), vec![]),
        (in_use(7, vec![count(1, "processing", 3)]), vec![]),
        (
            in_use(
                0,
                vec![
                    count(1, "customer_action_required", 3),
                    count(2, "customer_action_required", 4),
                ],
            ),
            vec![("customer_action_required", 7)],
        ),
    ] {
        let found = check.stranded(&in_use);
        let found: Vec<(&str, u64)> = found
            .iter()
            .map(|it| (it.state.as_str(), it.orders))
            .collect();
        assert_eq!(found, expected);
    }
}

/// A name of the state in which an item is once its order is placed.
const ITEM_STATES: [&str; 3] = ["confirmed", "booked", "reserved"];

/// Publications by chance between changes of orders and restarts: no order is ever stranded, and every rejection has a reason.
#[tokio::test]
async fn publications_between_changes_strand_nobody() {
    for seed in seeds(6) {
        let mut random = Rng::with_seed(seed);
        let mut office = Office::new();
        let mut orders: Vec<OrderId> = Vec::new();
        let mut current = 0;
        for step in 0..60_u32 {
            match random.u8(..10) {
                0..3 if office.open() > 0 => {
                    orders.push(office.order(&format!("{seed}-{step}"), &[1], None));
                }
                0..7 => {
                    let Some(order) = random.choice(orders.clone()) else {
                        continue;
                    };
                    let change = if random.u8(..4) == 0 {
                        cancel(&[], RefundChoice::Nothing)
                    } else {
                        note("a note")
                    };
                    match office.change(&order, change).await {
                        Ok(_) | Err(ChangeError::NoTransition { .. }) => {}
                        Err(error) => panic!("seed {seed}: {error}"),
                    }
                }
                7 => office = office.restarted(),
                _ => {
                    let next = random.usize(..ITEM_STATES.len());
                    let is_mapped = random.bool() && next != current;
                    let (from, to) = (ITEM_STATES[current], ITEM_STATES[next]);
                    let text = renamed("confirmed", to);
                    let text =
                        text.replacen("name = \"default\"", &format!("name = \"{step}\""), 1);
                    let maps: &[(&str, &str)] = if is_mapped { &[(from, to)] } else { &[] };
                    let text = mapped(&text, &[], maps);
                    let is_used = is_in_use(&office, &orders, from).await;
                    let published = publish(&office.app, 1_000 + step * 2, &text).await;
                    let is_refused = next != current && !is_mapped && is_used;
                    assert_eq!(published.is_err(), is_refused, "seed {seed}: {published:?}");
                    if published.is_ok() {
                        current = next;
                    } else {
                        office
                            .app
                            .discard_draft(request(5_000 + step))
                            .await
                            .unwrap();
                    }
                }
            }
            for order in &orders {
                let stored = office.stored(order).await;
                let next = office.app.next_states(&stored);
                assert!(next.is_ok(), "seed {seed}, step {step}: {next:?}");
            }
        }
    }
}

/// Whether an item of some order is in this state.
async fn is_in_use(office: &Office, orders: &[OrderId], state: &str) -> bool {
    for order in orders {
        let stored = office.stored(order).await;
        let is_there = match &stored.update {
            Some(update) => update
                .tree
                .items
                .iter()
                .any(|it| it.state.as_str() == state),
            None => true,
        };
        if is_there {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn drafts_and_publications_are_on_record_with_their_requests() {
    let office = Office::new();
    publish(&office.app, 1, &named("second")).await.unwrap();
    let mut changes = Vec::new();
    office
        .store
        .lifecycle_changes(&mut |change| {
            changes.push(change);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let kinds: Vec<&str> = changes
        .iter()
        .map(|change| match change {
            LifecycleChange::Published(_) => "published",
            LifecycleChange::Drafted(draft) if draft.text.is_some() => "drafted",
            LifecycleChange::Drafted(_) => "gone",
        })
        .collect();
    assert_eq!(kinds, ["gone", "published", "drafted", "published"]);
    assert!(changes[1].answer().is_some() && changes[2].answer().is_some());
}
