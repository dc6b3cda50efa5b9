//! The lifecycle over both transports and from the command line: descriptions, drafts, publication, revisions, the setting.

use boxoffice::api::operator::proto::v1::{
    AddNoteRequest, DescribeLifecycleRequest, DescribeLifecycleResponse, DiscardDraftRequest,
    GetDraftRequest, GetDraftResponse, GetOrderRequest, LifecycleFormat, ListHistoryRequest,
    ListRevisionsRequest, ListRevisionsResponse, Order, PublishDraftRequest, PublishDraftResponse,
    PutDraftRequest, PutDraftResponse, lifecycle_service_client::LifecycleServiceClient,
};
use boxoffice::lifecycle_files::DEFAULT;
use serde_json::json;
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt;

use super::stage::{Ordered, Stage, named_by, request_id};
use crate::support::{
    Setup, agree,
    keys::{Keys, basic, replace},
    operator_config,
    process::{Ended, Program},
};

fn lifecycle(stage: &Stage) -> LifecycleServiceClient<Channel> {
    LifecycleServiceClient::new(stage.channel.clone())
}

/// The default with another name of itself.
fn named(name: &str) -> String {
    DEFAULT.replacen("name = \"default\"", &format!("name = \"{name}\""), 1)
}

/// The default, in which placed items are booked and not confirmed.
fn booked() -> String {
    named("booked").replace("confirmed", "booked")
}

/// The same, with the new name for items that are confirmed.
fn mapped() -> String {
    format!("{}\n[map.line_item]\nconfirmed = \"booked\"\n", booked())
}

fn put(number: u32, definition: &str) -> PutDraftRequest {
    PutDraftRequest {
        definition: definition.to_owned(),
        request_id: request_id(number),
        validate_only: false,
    }
}

fn publish(number: u32) -> PublishDraftRequest {
    PublishDraftRequest {
        request_id: request_id(number),
        validate_only: false,
    }
}

async fn order(stage: &Stage, id: &str) -> Order {
    let request = GetOrderRequest {
        name: format!("orders/{id}"),
        read_mask: None,
    };
    let found = stage.orders().get_order(request).await.unwrap();
    found.into_inner().order.unwrap()
}

async fn note(stage: &Stage, id: &str, number: u32) -> Order {
    let request = AddNoteRequest {
        name: format!("orders/{id}"),
        note: "a note".into(),
        request_id: request_id(number),
        ..AddNoteRequest::default()
    };
    let noted = stage.orders().add_note(request).await.unwrap();
    noted.into_inner().order.unwrap()
}

#[tokio::test]
async fn a_definition_is_described_in_every_form_over_either_transport() {
    let stage = Stage::start().await;
    for (format, name, expected) in [
        (LifecycleFormat::Unspecified, "", "processing"),
        (
            LifecycleFormat::Text,
            "LIFECYCLE_FORMAT_TEXT",
            "customer_action_required",
        ),
        (
            LifecycleFormat::Mermaid,
            "LIFECYCLE_FORMAT_MERMAID",
            "stateDiagram-v2",
        ),
        (LifecycleFormat::Source, "LIFECYCLE_FORMAT_SOURCE", DEFAULT),
    ] {
        let request = DescribeLifecycleRequest {
            format: format.into(),
            ..DescribeLifecycleRequest::default()
        };
        let by_grpc = lifecycle(&stage).describe_lifecycle(request).await;
        let by_grpc = by_grpc.map(Response::into_inner);
        let query = if name.is_empty() {
            String::new()
        } else {
            format!("?format={name}")
        };
        let by_rest: Result<DescribeLifecycleResponse, Status> =
            stage.read(&format!("/operator/v1/lifecycle{query}")).await;
        agree(&by_grpc, &by_rest);
        let answer = by_grpc.unwrap();
        assert_eq!(answer.revision, 1);
        assert!(
            answer.description.contains(expected),
            "{}",
            answer.description
        );
    }
    let only: DescribeLifecycleResponse = stage
        .read("/operator/v1/lifecycle?entity=refund&state=failed")
        .await
        .unwrap();
    assert!(
        only.description.starts_with("refund\n"),
        "{}",
        only.description
    );
    assert!(
        !only.description.contains("line_item"),
        "{}",
        only.description
    );
    for (query, field) in [
        ("entity=refnd", "entity"),
        ("state=nowhere", "state"),
        ("action=nothing", "action"),
        ("format=LIFECYCLE_FORMAT_SOURCE&entity=refund", "format"),
    ] {
        let path = format!("/operator/v1/lifecycle?{query}");
        let found: Result<DescribeLifecycleResponse, Status> = stage.read(&path).await;
        let expected = (
            Code::InvalidArgument,
            "INVALID_REQUEST".to_owned(),
            vec![field.to_owned()],
        );
        assert_eq!(named_by(&found.unwrap_err()), expected, "{query}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_draft_is_kept_shown_and_discarded() {
    let stage = Stage::start().await;
    let none = lifecycle(&stage).get_draft(GetDraftRequest {}).await;
    let not_found = (Code::NotFound, "DRAFT_NOT_FOUND".to_owned(), vec![]);
    assert_eq!(named_by(&none.unwrap_err()), not_found);
    let body = json!({"definition": named("ours"), "request_id": request_id(1)});
    let kept: PutDraftResponse = stage.post("lifecycle/draft:put", &body).await.unwrap();
    assert_eq!(kept.warnings, Vec::<String>::new());
    // The same request over the other transport.
    let again = lifecycle(&stage).put_draft(put(1, &named("ours"))).await;
    assert_eq!(again.unwrap().into_inner(), kept);
    let other = lifecycle(&stage).put_draft(put(1, &named("theirs"))).await;
    let reused = (
        Code::InvalidArgument,
        "REQUEST_ID_REUSED".to_owned(),
        vec!["request_id".to_owned()],
    );
    assert_eq!(named_by(&other.unwrap_err()), reused);
    let draft: GetDraftResponse = stage.read("/operator/v1/lifecycle/draft").await.unwrap();
    assert_eq!(draft.definition, named("ours"));
    let dry_run = PutDraftRequest {
        validate_only: true,
        ..put(2, &named("theirs"))
    };
    lifecycle(&stage).put_draft(dry_run).await.unwrap();
    let draft = lifecycle(&stage).get_draft(GetDraftRequest {}).await;
    assert_eq!(draft.unwrap().into_inner().definition, named("ours"));
    let discard = |number| DiscardDraftRequest {
        request_id: request_id(number),
    };
    lifecycle(&stage).discard_draft(discard(3)).await.unwrap();
    lifecycle(&stage).discard_draft(discard(3)).await.unwrap();
    let gone = lifecycle(&stage).discard_draft(discard(4)).await;
    assert_eq!(named_by(&gone.unwrap_err()), not_found);
    stage.stop().await;
}

#[tokio::test]
async fn errors_of_a_definition_are_violations_with_their_places() {
    let stage = Stage::start().await;
    let wrong = DEFAULT
        .replacen("start = \"held\"", "start = \"hold\"", 1)
        .replacen("name = \"default\"", "nmae = \"default\"", 1);
    let rejection = lifecycle(&stage)
        .put_draft(put(1, &wrong))
        .await
        .unwrap_err();
    let details = rejection.get_details_bad_request().unwrap();
    let rules: Vec<&str> = details
        .field_violations
        .iter()
        .map(|violation| {
            assert_eq!(violation.field, "definition");
            &*violation.description
        })
        .collect();
    assert!(rules.len() >= 2, "{rules:?}");
    assert!(
        rules.iter().all(|rule| rule.starts_with("draft.toml:")),
        "{rules:?}"
    );
    assert!(
        rules.iter().any(|rule| rule.contains("did you mean held?")),
        "{rules:?}"
    );
    for (request, field) in [
        (put(1, ""), "definition"),
        (
            PutDraftRequest {
                request_id: "1".into(),
                ..put(1, DEFAULT)
            },
            "request_id",
        ),
    ] {
        let rejection = lifecycle(&stage).put_draft(request).await.unwrap_err();
        let expected = (
            Code::InvalidArgument,
            "INVALID_REQUEST".to_owned(),
            vec![field.to_owned()],
        );
        assert_eq!(named_by(&rejection), expected);
    }
    stage.stop().await;
}

#[tokio::test]
async fn orders_follow_what_is_published_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::on_disk(dir.path()).await;
    let noted = stage.order("a", 0, Ordered::Museum).await;
    let placed = stage.order("b", 1, Ordered::Museum).await;
    note(&stage, &noted, 1).await;
    // Both are in the state that would be lost.
    let warned = lifecycle(&stage)
        .put_draft(put(2, &booked()))
        .await
        .unwrap();
    let warnings = warned.into_inner().warnings;
    assert!(
        warnings[0].contains("line_item \"confirmed\" (2 orders)"),
        "{warnings:?}"
    );
    let refused = lifecycle(&stage)
        .publish_draft(publish(3))
        .await
        .unwrap_err();
    let expected = (Code::FailedPrecondition, "NOT_PUBLISHED".to_owned(), vec![]);
    assert_eq!(named_by(&refused), expected);
    assert!(
        refused
            .message()
            .contains("line_item \"confirmed\" (2 orders)"),
        "{}",
        refused.message()
    );
    lifecycle(&stage)
        .put_draft(put(4, &mapped()))
        .await
        .unwrap();
    let dry_run = PublishDraftRequest {
        validate_only: true,
        ..publish(5)
    };
    let would_be = lifecycle(&stage).publish_draft(dry_run).await.unwrap();
    assert_eq!(would_be.into_inner().revision.unwrap().revision, 2);
    let body = json!({"request_id": request_id(5)});
    let published: PublishDraftResponse =
        stage.post("lifecycle/draft:publish", &body).await.unwrap();
    let revision = published.revision.clone().unwrap();
    assert_eq!((revision.revision, &*revision.name), (2, "booked"));
    for id in [&noted, &placed] {
        let shown = order(&stage, id).await;
        assert_eq!(shown.items[0].state, "booked");
        assert_eq!(shown.items[0].booking_status, "CONFIRMED");
        assert!(!shown.next_states.is_empty());
    }
    stage.stop().await;
    let stage = Stage::on_disk(dir.path()).await;
    let again = lifecycle(&stage).publish_draft(publish(5)).await.unwrap();
    assert_eq!(again.into_inner(), published);
    let later = stage.order("c", 2, Ordered::Museum).await;
    for (id, number) in [(&noted, 6), (&placed, 7), (&later, 8)] {
        assert_eq!(order(&stage, id).await.items[0].state, "booked");
        assert_eq!(note(&stage, id, number).await.items[0].state, "booked");
    }
    // What has happened keeps the names of its time.
    let history = |id: &str| ListHistoryRequest {
        parent: format!("orders/{id}"),
        ..ListHistoryRequest::default()
    };
    for (id, lifecycles, created) in [
        (&noted, vec![2, 1, 1], "confirmed"),
        (&later, vec![2, 2], "booked"),
    ] {
        let found = stage.orders().list_history(history(id)).await.unwrap();
        let entries = found.into_inner().entries;
        let found: Vec<u32> = entries.iter().map(|it| it.lifecycle_revision).collect();
        assert_eq!(found, lifecycles);
        let creation = entries.last().unwrap();
        assert_eq!(creation.transitions[1].to_state, created);
    }
    stage.stop().await;
}

#[tokio::test]
async fn revisions_are_listed_page_by_page() {
    let stage = Stage::start().await;
    for number in [10, 20] {
        let text = named(&format!("revision-{number}"));
        lifecycle(&stage)
            .put_draft(put(number, &text))
            .await
            .unwrap();
        lifecycle(&stage)
            .publish_draft(publish(number + 1))
            .await
            .unwrap();
    }
    let all = lifecycle(&stage)
        .list_revisions(ListRevisionsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let names: Vec<&str> = all.revisions.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["revision-20", "revision-10", "default"]);
    assert!(all.next_page_token.is_empty());
    assert!(
        all.revisions
            .iter()
            .all(|it| it.digest.len() == 64 && it.publish_time.is_some())
    );
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/operator/v1/lifecycle/revisions?page_size=1&page_token={token}");
        let page: ListRevisionsResponse = stage.read(&path).await.unwrap();
        paged.extend(page.revisions);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all.revisions);
    stage.stop().await;
}

#[tokio::test]
async fn only_an_admin_changes_the_lifecycle() {
    let keys = Keys::new();
    let config = keys.operator_config(&[
        ("vera", "role = 'viewer'"),
        ("anna", "role = 'agent'"),
        ("adam", "role = 'admin'"),
    ]);
    let stage = Stage::start_with(Setup::with_config(config)).await;
    let by = |user: &str| basic(user, user);
    for (user, may) in [("vera", false), ("anna", false), ("adam", true)] {
        let mut request = Request::new(put(1, &named("ours")));
        request
            .metadata_mut()
            .insert("authorization", by(user).parse().unwrap());
        let kept = lifecycle(&stage).put_draft(request).await;
        assert_eq!(kept.is_ok(), may, "{user}: {kept:?}");
        if let Err(rejection) = kept {
            assert_eq!(named_by(&rejection).1, "ROLE_OUT_OF_SCOPE");
        }
        let mut request = Request::new(DescribeLifecycleRequest::default());
        request
            .metadata_mut()
            .insert("authorization", by(user).parse().unwrap());
        assert!(lifecycle(&stage).describe_lifecycle(request).await.is_ok());
    }
    let mut request = Request::new(publish(2));
    request
        .metadata_mut()
        .insert("authorization", by("adam").parse().unwrap());
    let published = lifecycle(&stage).publish_draft(request).await.unwrap();
    assert_eq!(published.into_inner().revision.unwrap().actor, "adam");
    stage.stop().await;
}

#[tokio::test]
async fn a_file_of_the_settings_is_reloaded_and_keeps_callers_from_publishing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lifecycle.toml");
    replace(&file, &named("first"));
    let mut config = operator_config();
    config.sales.lifecycle = Some(file.clone());
    let stage = Stage::start_with(Setup::with_config(config)).await;
    let described = async || {
        let request = DescribeLifecycleRequest::default();
        let answer = lifecycle(&stage).describe_lifecycle(request).await.unwrap();
        answer.into_inner().revision
    };
    assert_eq!(described().await, 2);
    let refused = lifecycle(&stage).put_draft(put(1, &named("theirs"))).await;
    let expected = (Code::FailedPrecondition, "NOT_PUBLISHED".to_owned(), vec![]);
    assert_eq!(named_by(&refused.unwrap_err()), expected);
    assert!(!stage.server.server.reload_lifecycle().await);
    stage.order("a", 0, Ordered::Museum).await;
    for (text, number) in [
        (named("second"), 3),
        // With an error, and without a state that the order is in.
        ("schema = 1".to_owned(), 3),
        (booked(), 3),
        (mapped(), 4),
    ] {
        replace(&file, &text);
        stage.server.server.reload_lifecycle().await;
        assert_eq!(described().await, number);
    }
    stage.stop().await;
}

async fn ask(stage: &Stage, words: &[&str]) -> Ended {
    let server = format!("--server=http://{}", stage.address);
    Program::new().args(words).args([&*server]).run().await
}

#[tokio::test]
async fn the_command_line_publishes_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lifecycle.toml");
    replace(&file, &named("by-hand"));
    let path = file.to_str().unwrap();
    let stage = Stage::start().await;
    for (words, code, expected) in [
        (
            &["lifecycle", "describe"][..],
            0,
            "customer_action_required",
        ),
        (
            &["lifecycle", "describe", "--mermaid", "--entity=refund"],
            0,
            "stateDiagram-v2",
        ),
        (&["lifecycle", "describe", path], 64, "cannot be used with"),
        (
            &["lifecycle", "draft", "show"],
            64,
            "the lifecycle has no draft",
        ),
        (
            &["lifecycle", "draft", "put", path, "--dry-run"],
            0,
            "has no errors",
        ),
        (&["lifecycle", "publish"], 64, "the lifecycle has no draft"),
        (&["lifecycle", "draft", "put", path], 0, "is the draft now"),
        (&["lifecycle", "draft", "show"], 0, "name = \"by-hand\""),
        (
            &["lifecycle", "publish", "--dry-run"],
            0,
            "can be published as revision 2",
        ),
        (&["lifecycle", "publish"], 0, "Revision 2 is in force now."),
        (&["lifecycle", "revisions"], 0, "by-hand"),
        (&["lifecycle", "revisions", "--json"], 0, "\"revision\": 2"),
        (
            &["lifecycle", "revisions", "--limit=1", "--csv"],
            0,
            "revision,name,published,by,digest",
        ),
        (
            &["lifecycle", "draft", "discard"],
            64,
            "the lifecycle has no draft",
        ),
        (
            &["lifecycle", "draft", "put", "missing.toml"],
            64,
            "missing.toml",
        ),
    ] {
        let ended = ask(&stage, words).await;
        assert_eq!(ended.code(), code, "{words:?}: {}", ended.text());
        assert!(
            ended.text().contains(expected),
            "{words:?}: {}",
            ended.text()
        );
    }
    replace(&file, "schema = 1");
    let ended = ask(&stage, &["lifecycle", "draft", "put", path]).await;
    assert_eq!(ended.code(), 64, "{}", ended.text());
    assert!(ended.text().contains("draft.toml:1:"), "{}", ended.text());
    stage.stop().await;
}

#[tokio::test]
async fn a_wrong_file_ends_a_start_and_is_found_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lifecycle.toml");
    replace(
        &file,
        &DEFAULT.replacen("start = \"held\"", "start = \"hold\"", 1),
    );
    let setting = format!("--lifecycle={}", file.display());
    for words in [
        &["check-config"][..],
        &["serve", "--store=memory", "--listen=127.0.0.1:0"],
    ] {
        let ended = Program::new().args(words).args([&*setting]).run().await;
        assert_eq!(ended.code(), 65, "{words:?}: {}", ended.text());
        // In a line of JSON, quotes are escaped.
        let expected = "did you mean held?";
        assert!(
            ended.text().contains(expected),
            "{words:?}: {}",
            ended.text()
        );
    }
    replace(&file, DEFAULT);
    let ended = Program::new().args(["check-config", &setting]).run().await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
}
