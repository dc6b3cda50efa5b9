//! Cancellation policies of services, and what the rules say of refunded fees.

use std::sync::Arc;

use serde_json::{Value, json};

use domain::{
    catalog::{CancellationTerms, Catalog},
    refunds::{RefundFees, RefundTerms},
    time::Seconds,
};

use super::{Folder, without_column};
use crate::{RecordKind, load_after};

const FILE: &str = "services.json";

/// The sample with these rules at its service of that index.
fn with_rules(service: usize, rules: Value) -> Folder {
    let folder = Folder::sample();
    folder.set(FILE, &format!("/service/{service}/rules"), rules);
    folder
}

/// The sample with this cancellation policy at its first service.
fn with_policy(policy: &Value) -> Folder {
    with_rules(0, json!({ "cancellation_policy": policy }))
}

fn terms(catalog: &Catalog, service: usize) -> CancellationTerms {
    let (_, service) = catalog.services().nth(service).unwrap();
    service.cancellation.clone()
}

/// Seconds and per cent of the conditions; `None` without terms.
fn stated(terms: &RefundTerms) -> Option<Vec<(i64, u8)>> {
    let RefundTerms::Stated(conditions) = terms else {
        return None;
    };
    let pairs = conditions
        .iter()
        .map(|condition| (condition.min_before_start.get(), condition.percent.get()));
    Some(pairs.collect())
}

fn condition(seconds: i64, percent: i64) -> Value {
    json!({"min_duration_before_start_time_sec": seconds, "refund_percent": percent})
}

#[test]
fn a_policy_becomes_the_refund_terms_of_its_service() {
    for (policy, expected) in [
        (json!(null), None),
        (json!({}), None),
        (json!({"refund_condition": []}), None),
        (
            json!({"refund_condition": [condition(86_400, 100)]}),
            Some(vec![(86_400, 100)]),
        ),
        (
            json!({"refund_condition": [condition(0, 0), condition(172_800, 100), condition(86_400, 50)]}),
            Some(vec![(172_800, 100), (86_400, 50), (0, 0)]),
        ),
        // Absent numbers are 0: nothing is given back, or it is until the start.
        (json!({"refund_condition": [{}]}), Some(vec![(0, 0)])),
        (
            json!({"refund_condition": [{"refund_percent": 30}]}),
            Some(vec![(0, 30)]),
        ),
        (
            json!({"refund_condition": [
                {"min_duration_before_start_time_sec": "3600", "refund_percent": 25.0},
            ]}),
            Some(vec![(3_600, 25)]),
        ),
        (
            json!({"refund_condition": [condition(i64::MAX, 100)]}),
            Some(vec![(i64::MAX, 100)]),
        ),
    ] {
        let loaded = with_policy(&policy).loaded();
        let terms = terms(&loaded.catalog, 0);
        assert_eq!(stated(&terms.refund), expected, "{policy}");
        assert_eq!(terms.min_advance, None);
        assert_eq!(loaded.warnings.list(), [], "{policy}");
    }
}

#[test]
fn both_spellings_of_a_policy_are_read() {
    for rules in [
        json!({
            "min_advance_online_canceling": 7_200,
            "cancellation_policy": {"refund_condition": [condition(3_600, 40)]},
        }),
        json!({
            "minAdvanceOnlineCanceling": "7200",
            "cancellationPolicy": {"refundCondition": [
                {"minDurationBeforeStartTimeSec": "3600", "refundPercent": 40},
            ]},
        }),
    ] {
        let loaded = with_rules(0, rules.clone()).loaded();
        let terms = terms(&loaded.catalog, 0);
        assert_eq!(stated(&terms.refund), Some(vec![(3_600, 40)]), "{rules}");
        assert_eq!(terms.min_advance, Some(Seconds::new(7_200)), "{rules}");
        assert_eq!(loaded.warnings.list(), [], "{rules}");
    }
}

#[test]
fn invalid_policies_are_errors() {
    let list = |conditions: Vec<Value>| json!({ "refund_condition": conditions });
    let each = (0..101).map(|second| condition(second, 0)).collect();
    for (policy, expected) in [
        (json!(true), vec![": expected an object, found true"]),
        (
            json!({"refund_condition": {}}),
            vec![".refund_condition: expected a list, found an object"],
        ),
        (
            list(vec![json!(null), json!(50)]),
            vec![
                ".refund_condition[0]: is missing",
                ".refund_condition[1]: expected an object, found 50",
            ],
        ),
        (
            list(vec![condition(-1, 101), condition(60, -1)]),
            vec![
                ".refund_condition[0].min_duration_before_start_time_sec: is -1; expected a number of seconds, not \
                 below zero",
                ".refund_condition[0].refund_percent: expected 0 to 100 per cent, found 101",
                ".refund_condition[1].refund_percent: expected 0 to 100 per cent, found -1",
            ],
        ),
        (
            list(vec![condition(0, 356), condition(1, 256)]),
            vec![
                ".refund_condition[0].refund_percent: expected 0 to 100 per cent, found 356",
                ".refund_condition[1].refund_percent: expected 0 to 100 per cent, found 256",
            ],
        ),
        (
            list(vec![
                json!({"min_duration_before_start_time_sec": "a day", "refund_percent": "half"}),
                condition(0, 10),
                json!({"refund_percent": 12.5}),
            ]),
            vec![
                ".refund_condition[0].min_duration_before_start_time_sec: expected a whole number of 64 bits, found \
                 \"a day\"",
                ".refund_condition[0].refund_percent: expected a whole number of 64 bits, found \"half\"",
                ".refund_condition[2].refund_percent: expected a whole number of 64 bits, found 12.5",
            ],
        ),
        (
            list(vec![
                condition(60, 10),
                condition(60, 20),
                condition(60, 10),
            ]),
            vec![
                ".refund_condition[1].min_duration_before_start_time_sec: is 60, as in another condition of the policy",
                ".refund_condition[2].min_duration_before_start_time_sec: is 60, as in another condition of the policy",
            ],
        ),
        (
            list(each),
            vec![".refund_condition: has 101 conditions; expected 100 at most"],
        ),
    ] {
        let expected: Vec<String> = expected
            .iter()
            .map(|error| format!("{FILE}: service[0].rules.cancellation_policy{error}"))
            .collect();
        assert_eq!(with_policy(&policy).errors(), expected, "{policy}");
    }
    for (value, expected) in [
        (
            json!(-1),
            "is -1; expected a number of seconds, not below zero",
        ),
        (
            json!("1h"),
            "expected a whole number of 64 bits, found \"1h\"",
        ),
    ] {
        let folder = with_rules(0, json!({ "min_advance_online_canceling": value }));
        let place = "service[0].rules.min_advance_online_canceling";
        assert_eq!(folder.errors(), [format!("{FILE}: {place}: {expected}")]);
    }
}

#[test]
fn policies_that_are_perhaps_not_meant_are_warnings() {
    let rising = json!({"refund_condition": [condition(3_600, 80), condition(0, 90), condition(86_400, 50)]});
    let misspelt = json!({"refund_condition": [{"refund_percentage": 50}], "refundConditions": []});
    for (policy, expected) in [
        (
            rising,
            vec![
                ".refund_condition: gives back 50 % until 86400 s before the start, and more, 80 %, until 3600 s before \
                 it",
            ],
        ),
        (
            misspelt,
            vec![
                ".refundConditions: is not a member of a cancellation policy and not read",
                ".refund_condition[0].refund_percentage: is not a member of a refund condition and not read",
            ],
        ),
    ] {
        let expected: Vec<String> = expected
            .iter()
            .map(|warning| format!("{FILE}: service[0].rules.cancellation_policy{warning}"))
            .collect();
        assert_eq!(with_policy(&policy).warnings(), expected, "{policy}");
    }
}

#[test]
fn services_with_equal_terms_share_them() {
    let folder = Folder::sample();
    for (service, conditions) in [
        (0, json!([condition(86_400, 100), condition(0, 50)])),
        (1, json!([condition(0, 50), condition(86_400, 100)])),
        (2, json!([condition(86_400, 100), condition(0, 51)])),
    ] {
        let rules = json!({"cancellation_policy": {"refund_condition": conditions}});
        folder.set(FILE, &format!("/service/{service}/rules"), rules);
    }
    let catalog = folder.loaded().catalog;
    let refund = |service| terms(&catalog, service).refund;
    let (RefundTerms::Stated(one), RefundTerms::Stated(two), RefundTerms::Stated(other)) =
        (refund(0), refund(1), refund(2))
    else {
        panic!("all three have terms");
    };
    assert!(Arc::ptr_eq(&one, &two));
    assert!(!Arc::ptr_eq(&one, &other));
}

#[test]
fn a_changed_policy_leaves_the_terms_of_earlier_sales_alone() {
    let folder = with_policy(&json!({"refund_condition": [condition(86_400, 100)]}));
    let before = folder.loaded().catalog;
    let sold = terms(&before, 0).refund;
    let changed = json!({"refund_condition": [condition(86_400, 10)]});
    folder.set(FILE, "/service/0/rules/cancellation_policy", changed);
    let after = load_after(folder.0.path(), before.ids().clone())
        .unwrap()
        .catalog;
    drop(before);
    assert_eq!(stated(&sold), Some(vec![(86_400, 100)]));
    assert_eq!(stated(&terms(&after, 0).refund), Some(vec![(86_400, 10)]));
}

#[test]
fn a_policy_is_exported_as_it_was_read() {
    let rules = json!({
        "minAdvanceOnlineCanceling": "7200",
        "cancellation_policy": {"refund_condition": [condition(0, 0), condition(9, 100)]},
    });
    let loaded = with_rules(0, rules.clone()).loaded();
    let exported = loaded
        .source_feeds
        .pieces()
        .find(|record| record.kind == RecordKind::Service)
        .unwrap();
    let exported: Value = serde_json::from_str(&exported.text).unwrap();
    assert_eq!(exported["rules"], rules);
}

#[test]
fn rules_say_what_happens_to_the_fees_of_refunded_items() {
    let hall = "id = \"concert-hall\"\n";
    for (value, expected) in [
        (None, Ok(RefundFees::WithPrice)),
        (Some("'with_price'"), Ok(RefundFees::WithPrice)),
        (Some("'never'"), Ok(RefundFees::Never)),
        (Some("'always'"), Ok(RefundFees::Always)),
        (
            Some("'sometimes'"),
            Err(r#"expected "with_price" or "never" or "always", found "sometimes""#),
        ),
        (
            Some("true"),
            Err("expected a text that is not empty, found a value of type boolean"),
        ),
    ] {
        let folder = Folder::sample();
        let mut place = String::new();
        if let Some(value) = value {
            let line = format!("{hall}refund_fees = {value}\n");
            folder.replace(
                "rules.toml",
                &format!("{hall}\n[[merchant.fee]]"),
                &format!("{line}\n[[merchant.fee]]"),
            );
            place = folder.rules_line(&format!("refund_fees = {value}"));
        }
        match expected {
            Ok(expected) => {
                let loaded = folder.loaded();
                let found = loaded.catalog.merchants()[2].refund_fees;
                assert_eq!(found, expected, "{value:?}");
            }
            Err(text) => {
                let errors: Vec<_> = folder
                    .errors()
                    .iter()
                    .map(|it| without_column(it))
                    .collect();
                assert_eq!(errors, [format!("{place}: {text}")], "{value:?}");
            }
        }
    }
}
