//! Customers that are exported and erased by the operator's services, and by the command that asks them.

use std::fs;

use boxoffice::{
    api::operator::proto::v1::{
        AddNoteRequest, EraseCustomerRequest, EraseCustomerResponse, ExportCustomerRequest,
        ExportCustomerResponse, GetOrderRequest,
    },
    config::AuditLog,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::stage::{Ordered, Stage, request_id};
use crate::support::{
    Setup, agree,
    keys::{Keys, basic},
    process::{Ended, Program},
};

fn export_request(user_id: &str) -> ExportCustomerRequest {
    ExportCustomerRequest {
        user_id: user_id.to_owned(),
    }
}

fn erase_request(user_id: &str, number: u32) -> EraseCustomerRequest {
    EraseCustomerRequest {
        user_id: user_id.to_owned(),
        request_id: request_id(number),
    }
}

/// All answers of an export.
async fn exported(stage: &Stage, user_id: &str) -> Result<Vec<ExportCustomerResponse>, Status> {
    let answers = stage
        .orders()
        .export_customer(export_request(user_id))
        .await?;
    let mut answers = answers.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.push(answer);
    }
    Ok(all)
}

async fn erased(stage: &Stage, user_id: &str, number: u32) -> Result<u64, Status> {
    let request = erase_request(user_id, number);
    let answer = stage.orders().erase_customer(request).await?;
    Ok(answer.into_inner().orders)
}

async fn noted(stage: &Stage, id: &str) {
    let request = AddNoteRequest {
        name: format!("orders/{id}"),
        note: "asked for a quiet corner".into(),
        request_id: request_id(100),
        ..AddNoteRequest::default()
    };
    stage.orders().add_note(request).await.unwrap();
}

#[tokio::test]
async fn everything_about_a_customer_is_exported_over_both_transports() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Haircut).await;
    stage.order("b", 1, Ordered::Museum).await;
    noted(&stage, &id).await;
    let by_grpc = exported(&stage, "user-a").await.unwrap();
    let body = json!({"user_id": "user-a"});
    let by_rest = stage.post_streamed::<ExportCustomerResponse>("customers:export", &body);
    assert_eq!(by_rest.await.unwrap(), by_grpc);
    let [answer] = &by_grpc[..] else {
        panic!("{by_grpc:?}")
    };
    let order = answer.order.as_ref().unwrap();
    assert_eq!(order.name, format!("orders/{id}"));
    assert_eq!(order.customer.as_ref().unwrap().email, "Ada-a@example.com");
    assert!(!order.items[0].answers.is_empty());
    assert_eq!(answer.history[0].note, "asked for a quiet corner");
    assert_eq!(answer.history.len(), 2);
    assert_eq!(answer.idempotency_token, "a");
    assert_eq!(exported(&stage, "nobody").await.unwrap(), []);
    stage.stop().await;
}

#[tokio::test]
async fn an_erasure_is_answered_once_and_the_order_stays() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Haircut).await;
    noted(&stage, &id).await;
    assert_eq!(erased(&stage, "user-a", 1).await.unwrap(), 1);
    let body = json!({"user_id": "user-a", "request_id": request_id(1)});
    let by_rest: Result<EraseCustomerResponse, Status> = stage.post("customers:erase", &body).await;
    agree(&Ok(EraseCustomerResponse { orders: 1 }), &by_rest);
    assert_eq!(erased(&stage, "user-a", 2).await.unwrap(), 0);
    assert_eq!(exported(&stage, "user-a").await.unwrap(), []);
    let rejection = erased(&stage, "user-b", 1).await.unwrap_err();
    let reason = rejection.get_details_error_info().unwrap().reason;
    assert_eq!(reason, "REQUEST_ID_REUSED");
    let request = GetOrderRequest {
        name: format!("orders/{id}"),
        read_mask: Some(pbjson_types::FieldMask {
            paths: vec!["*".into()],
        }),
    };
    let order = stage.orders().get_order(request).await.unwrap();
    let order = order.into_inner().order.unwrap();
    assert_eq!((&*order.state, order.customer), ("processing", None));
    stage.stop().await;
}

#[tokio::test]
async fn a_rejection_names_the_field() {
    let stage = Stage::start().await;
    for (path, body, fields) in [
        ("customers:export", json!({}), &["user_id"][..]),
        ("customers:export", json!({"user_id": 5}), &["user_id"]),
        ("customers:export", json!({"user": "a"}), &["user"]),
        ("customers:erase", json!({}), &["user_id", "request_id"]),
        (
            "customers:erase",
            json!({"user_id": "a", "request_id": "1"}),
            &["request_id"],
        ),
    ] {
        let answer: Result<Value, Status> = stage.post(path, &body).await;
        let rejection = answer.unwrap_err();
        let details = rejection.get_details_bad_request().unwrap();
        let named = details.field_violations.iter();
        let named: Vec<&str> = named.map(|violation| &*violation.field).collect();
        assert_eq!(named, fields, "{path} {body}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn an_erasure_has_the_same_answer_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let stage = Stage::on_disk(dir.path()).await;
    for (second, token) in [(0, "a"), (1, "b")] {
        stage.order(token, second, Ordered::Museum).await;
    }
    assert_eq!(erased(&stage, "user-a", 1).await.unwrap(), 1);
    assert_eq!(erased(&stage, "user-a", 2).await.unwrap(), 0);
    stage.stop().await;
    let stage = Stage::on_disk(dir.path()).await;
    assert_eq!(erased(&stage, "user-a", 1).await.unwrap(), 1);
    let body = json!({"user_id": "user-a", "request_id": request_id(1)});
    let again: Result<EraseCustomerResponse, Status> = stage.post("customers:erase", &body).await;
    assert_eq!(again.unwrap().orders, 1);
    // The id stands for that request only.
    let rejection = erased(&stage, "user-b", 1).await.unwrap_err();
    let reason = rejection.get_details_error_info().unwrap().reason;
    assert_eq!(
        (rejection.code(), &*reason),
        (Code::InvalidArgument, "REQUEST_ID_REUSED")
    );
    assert_eq!(
        erased(&stage, "user-b", 3).await.unwrap(),
        1,
        "it was spared"
    );
    stage.stop().await;
}

#[tokio::test]
async fn only_an_admin_exports_and_erases_and_the_audit_log_has_who_it_was() {
    let keys = Keys::new();
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("audit.log");
    let mut config =
        keys.operator_config(&[("agnes", "role = 'agent'"), ("adam", "role = 'admin'")]);
    config.logging.audit_log = AuditLog::File(log.clone());
    let stage = Stage::start_with(Setup::with_config(config)).await;
    stage.order("a", 0, Ordered::Museum).await;
    for (name, expected) in [("agnes", Code::PermissionDenied), ("adam", Code::Ok)] {
        let password: tonic::metadata::MetadataValue<_> = basic(name, name).parse().unwrap();
        let mut export = Request::new(export_request("user-a"));
        export
            .metadata_mut()
            .insert("authorization", password.clone());
        let mut erase = Request::new(erase_request("user-a", 1));
        erase.metadata_mut().insert("authorization", password);
        let code = match stage.orders().export_customer(export).await {
            Ok(answers) => {
                let mut answers = answers.into_inner();
                while answers.message().await.unwrap().is_some() {}
                Code::Ok
            }
            Err(rejection) => rejection.code(),
        };
        assert_eq!(code, expected, "{name}");
        let erased = stage.orders().erase_customer(erase).await;
        let code = erased.err().map_or(Code::Ok, |rejection| rejection.code());
        assert_eq!(code, expected, "{name}");
    }
    stage.stop().await;
    let lines = fs::read_to_string(log).unwrap();
    for event in ["customer_exported", "customer_erased"] {
        let line: Vec<&str> = lines.lines().filter(|line| line.contains(event)).collect();
        assert!(line.len() == 1 && line[0].contains("adam"), "{line:?}");
        assert!(!line[0].contains("user-a"), "{line:?}");
        let is_uniform = line[0].contains(r#""role":"admin""#) && line[0].contains(r#""method":""#);
        assert!(is_uniform, "{line:?}");
    }
    assert!(lines.contains(
        r#""change_id":"00000000-0000-4000-8000-000000000001","outcome":"changed","orders":1"#
    ));
}

async fn customers(stage: &Stage, command: &str, more: &[&str]) -> Ended {
    let server = format!("--server=http://{}", stage.address);
    let words = ["customers", command, "--user", "user-a", &*server];
    Program::new().args(words).args(more).run().await
}

#[tokio::test]
async fn the_command_speaks_to_the_operators_port() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Haircut).await;
    let ended = customers(&stage, "export", &[]).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    let export: Value = serde_json::from_str(&ended.text()).unwrap();
    assert_eq!(
        (&export["format"], &export["user_id"]),
        (&2.into(), &"user-a".into())
    );
    let order = &export["orders"][0]["order"];
    assert_eq!(order["name"], format!("orders/{id}"));
    assert_eq!(order["customer"]["email"], "Ada-a@example.com");
    for expected in ["of 1 order was erased", "nothing to erase"] {
        let ended = customers(&stage, "erase", &[]).await;
        assert_eq!(ended.code(), 0, "{}", ended.text());
        assert!(ended.text().contains(expected), "{}", ended.text());
    }
    let ended = customers(&stage, "erase", &["--from=http://127.0.0.1:1"]).await;
    assert_eq!(ended.code(), 64, "{}", ended.text());
    stage.stop().await;
}
