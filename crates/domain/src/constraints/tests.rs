use super::*;
use crate::{
    catalog::{ChildRule, SlotLimits, TicketLimits, TicketRules},
    fixtures::{ADULT, CHILD, Fixture, SENIOR, STALLS_ONLY, START, tickets},
    slot::{Pool, SlotTerms},
};

fn museum() -> Service {
    Fixture::new().service("museum").clone()
}

fn at_least(min: u32) -> CountBounds {
    CountBounds {
        min: Some(min),
        max: None,
    }
}

fn at_most(max: u32) -> CountBounds {
    CountBounds {
        min: None,
        max: Some(max),
    }
}

#[test]
fn entries_of_one_type_are_added_up() {
    let asked = tickets(&[("child", 1), ("adult", 2), ("child", 3)]);
    assert_eq!(
        read_tickets(&museum(), None, &asked).map(|counts| counts.to_vec()),
        Ok(vec![(CHILD, 4), (ADULT, 2)])
    );
    let most = tickets(&[
        ("adult", i32::MAX),
        ("adult", i32::MAX),
        ("adult", i32::MAX),
    ]);
    assert_eq!(
        read_tickets(&museum(), None, &most).map(|counts| counts.to_vec()),
        Ok(vec![(ADULT, u32::MAX)])
    );
}

#[test]
fn every_entry_that_makes_no_sense_is_named() {
    let fixture = Fixture::new();
    let concert = fixture.service("concert");
    let mut stalls_only = Slot::default();
    stalls_only.open(
        Pool {
            tickets: STALLS_ONLY,
            allotment: 9,
        },
        &SlotTerms::default(),
    );
    for (asked, slot, faulty) in [
        (&[("stalls", 1), ("balcony", 1)][..], None, &[][..]),
        (
            &[("stalls", 1), ("balcony", 1)],
            Some(&stalls_only),
            &["balcony"][..],
        ),
        (&[("box", 1), ("stalls", 1)], None, &["box"]),
        (&[("", 1)], None, &[""]),
        (&[("Stalls", 1)], None, &["Stalls"]),
        (&[("stalls", 0)], None, &["stalls"]),
        (&[("stalls", -1), ("stalls", 2)], None, &["stalls"]),
        (
            &[("stalls", i32::MIN), ("box", 0)],
            None,
            &["stalls", "box"],
        ),
    ] {
        let messages = match read_tickets(concert, slot, &tickets(asked)) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.listed().iter().map(ToString::to_string).collect(),
        };
        assert_eq!(messages.len(), faulty.len(), "{asked:?}: {messages:?}");
        for (fault, id) in messages.iter().zip(faulty) {
            assert!(fault.contains(&format!("{id:?}")), "{asked:?}: {fault}");
        }
    }
}

#[test]
fn the_first_of_very_many_faults_are_listed() {
    let long = "x".repeat(1_000_000);
    let asked = tickets(&vec![(long.as_str(), 1); 50]);
    let faults = read_tickets(&museum(), None, &asked).unwrap_err();
    assert_eq!(faults.count(), 50);
    let messages = faults.to_string();
    assert!(messages.ends_with("; and 40 more"), "{messages}");
    assert!(messages.len() < 2_000, "{messages}");
}

#[test]
fn a_child_needs_an_adult_and_each_adult_brings_so_many() {
    let mut service = museum();
    let mut check = |per_adult, counts: &[(TicketIx, u32)], good: bool| {
        service.rules.children[0].per_adult = per_adult;
        let fault = child_fault(&service, Party::alone(counts));
        assert_eq!(fault.is_none(), good, "{per_adult:?} {counts:?}: {fault:?}");
    };
    check(None, &[(CHILD, 1)], false);
    check(None, &[(CHILD, 99), (ADULT, 1)], true);
    check(None, &[(CHILD, 1), (SENIOR, 1)], true);
    check(None, &[(ADULT, 1)], true);
    check(Some(2), &[(CHILD, 2), (ADULT, 1)], true);
    check(Some(2), &[(CHILD, 3), (ADULT, 1)], false);
    check(Some(2), &[(CHILD, 4), (ADULT, 1), (SENIOR, 1)], true);
    check(Some(0), &[(CHILD, 1), (ADULT, 1)], false);
    check(
        Some(u32::MAX),
        &[(CHILD, u32::MAX), (ADULT, u32::MAX)],
        true,
    );
}

#[test]
fn forbidden_and_required_companions_are_named() {
    let mut service = museum();
    service.rules.forbidden = vec![ForbiddenTickets {
        tickets: vec![SENIOR, CHILD],
        scope: RuleScope::Line,
    }];
    service.rules.required = vec![RequiredTicket {
        ticket: SENIOR,
        any_of: vec![ADULT, CHILD],
        scope: RuleScope::Line,
    }];
    for (counts, expected) in [
        (&[(ADULT, 1), (CHILD, 1)][..], &[][..]),
        (&[(ADULT, 1), (SENIOR, 1)], &[]),
        (
            &[(SENIOR, 2)],
            &["ticket type \"senior\" needs one of \"adult\", \"child\""][..],
        ),
        (
            &[(SENIOR, 1), (CHILD, 1)],
            &["ticket types \"senior\", \"child\" cannot be combined"],
        ),
    ] {
        let faults = combination_faults(&service, Party::alone(counts));
        let messages: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(messages, expected, "{counts:?}");
    }
}

/// What is violated by a party, in a slot with these tags.
fn violated_in(
    rules: &TicketRules,
    tags: &[TagIx],
    party: Party<'_>,
) -> Vec<(CountLimit, Option<TicketId>)> {
    let mut service = museum();
    service.rules = rules.clone();
    let violated = violated_limits(&service, START, tags, party);
    violated
        .into_iter()
        .map(|violated| (violated.bound, violated.ticket_id))
        .collect()
}

fn check_rules(
    rules: &TicketRules,
    tags: &[TagIx],
    counts: &[(TicketIx, u32)],
    expected: &[(CountLimit, Option<&str>)],
) {
    let violated = violated_in(rules, tags, Party::alone(counts));
    let violated: Vec<_> = violated
        .iter()
        .map(|(bound, id)| (*bound, id.as_ref().map(TicketId::as_str)))
        .collect();
    assert_eq!(violated, expected, "{rules:?} {tags:?} {counts:?}");
}

fn check_limits(
    limits: &TicketLimits,
    counts: &[(TicketIx, u32)],
    expected: &[(CountLimit, Option<&str>)],
) {
    check_rules(
        &TicketRules {
            limits: limits.clone(),
            ..TicketRules::default()
        },
        &[],
        counts,
        expected,
    );
}

fn of_line(line: CountBounds) -> TicketLimits {
    TicketLimits {
        line,
        ..TicketLimits::default()
    }
}

fn of_types(tickets: Vec<(TicketIx, CountBounds)>) -> TicketLimits {
    TicketLimits {
        tickets,
        ..TicketLimits::default()
    }
}

fn tagged(tag: u16, limits: TicketLimits) -> SlotLimits {
    SlotLimits {
        tag: Some(TagIx(tag)),
        limits,
        ..SlotLimits::default()
    }
}

#[test]
fn a_bound_of_the_line_is_reported_without_a_ticket_type() {
    let limits = of_line(CountBounds {
        min: Some(5),
        max: Some(8),
    });
    check_limits(&limits, &[(ADULT, 4)], &[(CountLimit::Min(5), None)]);
    check_limits(&limits, &[(ADULT, 2), (CHILD, 3)], &[]);
    check_limits(&limits, &[(ADULT, 8)], &[]);
    check_limits(
        &limits,
        &[(ADULT, 4), (CHILD, 5)],
        &[(CountLimit::Max(8), None)],
    );
    check_limits(
        &limits,
        &[(ADULT, u32::MAX), (CHILD, u32::MAX)],
        &[(CountLimit::Max(8), None)],
    );
}

#[test]
fn a_bound_of_one_ticket_type_is_reported_with_its_id() {
    let limits = of_types(vec![(ADULT, at_least(5))]);
    check_limits(
        &limits,
        &[(ADULT, 4), (CHILD, 1)],
        &[(CountLimit::Min(5), Some("adult"))],
    );
    check_limits(&limits, &[(ADULT, 5)], &[]);
    check_limits(&limits, &[(CHILD, 1)], &[]);
}

#[test]
fn bounds_of_several_ticket_types_are_all_reported() {
    let tickets = vec![
        (ADULT, at_least(3)),
        (CHILD, at_most(4)),
        (SENIOR, at_least(2)),
    ];
    let limits = of_types(tickets);
    check_limits(
        &limits,
        &[(CHILD, 5), (ADULT, 2)],
        &[
            (CountLimit::Max(4), Some("child")),
            (CountLimit::Min(3), Some("adult")),
        ],
    );
}

#[test]
fn bounds_of_the_line_and_of_the_slot_are_all_reported() {
    let own = of_types(vec![(ADULT, at_least(3)), (CHILD, at_least(4))]);
    let limits = TicketLimits {
        tickets: vec![(ADULT, at_least(1))],
        ..of_line(at_least(8))
    };
    let rules = TicketRules {
        limits,
        slot_limits: vec![tagged(1, own)],
        ..TicketRules::default()
    };
    let asked = &[(ADULT, 2), (CHILD, 3)];
    let line = (CountLimit::Min(8), None);
    check_rules(&rules, &[], asked, &[line]);
    let all = [
        line,
        (CountLimit::Min(3), Some("adult")),
        (CountLimit::Min(4), Some("child")),
    ];
    check_rules(&rules, &[TagIx(1)], asked, &all);
}

#[test]
fn bounds_for_some_slots_replace_what_they_speak_of_and_the_strictest_of_them_counts() {
    let some = |tag: Option<u16>, from_sec, until_sec, line| SlotLimits {
        tag: tag.map(TagIx),
        from_sec,
        until_sec,
        limits: of_line(line),
    };
    let rules = TicketRules {
        limits: of_line(CountBounds {
            min: Some(2),
            max: Some(9),
        }),
        slot_limits: vec![
            some(Some(1), None, None, at_least(5)),
            some(
                None,
                Some(EpochSeconds::new(100)),
                Some(EpochSeconds::new(200)),
                at_most(16),
            ),
            some(Some(1), Some(EpochSeconds::new(150)), None, at_least(4)),
            some(Some(2), Some(EpochSeconds::new(150)), None, at_most(12)),
            some(Some(2), Some(EpochSeconds::new(180)), None, at_most(14)),
            some(Some(3), None, None, at_least(1)),
        ],
        ..TicketRules::default()
    };
    for (start_sec, tags, min, max) in [
        (99, &[][..], 2, 9),
        (99, &[1], 5, 9),
        (99, &[2], 2, 9),
        (99, &[3], 1, 9),
        (99, &[1, 3], 5, 9),
        (100, &[], 2, 16),
        (199, &[1], 5, 16),
        (150, &[1, 2, 3], 5, 12),
        (180, &[2], 2, 12),
        (200, &[2], 2, 12),
        (i64::MIN, &[], 2, 9),
        (i64::MAX, &[], 2, 9),
    ] {
        let of: Vec<TagIx> = tags.iter().copied().map(TagIx).collect();
        let line = rules.bounds(EpochSeconds::new(start_sec), &of, RuleScope::Line, None);
        assert_eq!(
            line,
            CountBounds {
                min: Some(min),
                max: Some(max)
            },
            "{start_sec} {tags:?}"
        );
    }
}

#[test]
fn every_violated_bound_is_reported_even_if_bounds_contradict() {
    let slot_limits = vec![
        tagged(1, of_line(at_least(5))),
        tagged(2, of_line(at_most(3))),
    ];
    let rules = TicketRules {
        slot_limits,
        ..TicketRules::default()
    };
    check_rules(
        &rules,
        &[TagIx(1), TagIx(2)],
        &[(ADULT, 4)],
        &[(CountLimit::Min(5), None), (CountLimit::Max(3), None)],
    );
    check_rules(
        &rules,
        &[TagIx(1), TagIx(2)],
        &[(ADULT, 6)],
        &[(CountLimit::Max(3), None)],
    );
}

#[test]
fn rules_on_a_slot_look_at_all_of_its_lines() {
    let slot = |limits| TicketLimits {
        scope: RuleScope::Slot,
        ..limits
    };
    let types = vec![(ADULT, at_most(3)), (CHILD, at_most(1))];
    let limits = slot(TicketLimits {
        tickets: types,
        ..of_line(at_most(4))
    });
    let several = TicketRules {
        limits,
        ..TicketRules::default()
    };
    let both = SlotLimits {
        limits: of_line(at_most(2)),
        ..SlotLimits::default()
    };
    let both = TicketRules {
        slot_limits: vec![both],
        ..several.clone()
    };
    for (rules, line, slot, expected) in [
        (&several, &[(ADULT, 2)][..], &[(ADULT, 3)][..], &[][..]),
        (
            &several,
            &[(ADULT, 2)],
            &[(ADULT, 4)],
            &[(CountLimit::Max(3), Some("adult"))][..],
        ),
        (
            &several,
            &[(ADULT, 2)],
            &[(ADULT, 3), (CHILD, 2)],
            &[(CountLimit::Max(4), None)],
        ),
        (
            &several,
            &[(CHILD, 1)],
            &[(ADULT, 3), (CHILD, 2)],
            &[
                (CountLimit::Max(4), None),
                (CountLimit::Max(1), Some("child")),
            ],
        ),
        // Of two bounds on one side the stricter is reported.
        (
            &both,
            &[(SENIOR, 3)],
            &[(SENIOR, 5)],
            &[(CountLimit::Max(2), None)],
        ),
        (
            &both,
            &[(SENIOR, 2)],
            &[(SENIOR, 5)],
            &[(CountLimit::Max(4), None)],
        ),
    ] {
        let (line, slot) = (line.to_vec(), slot.to_vec());
        let violated = violated_in(
            rules,
            &[],
            Party {
                line: &line,
                slot: &slot,
            },
        );
        let violated: Vec<_> = violated
            .iter()
            .map(|(bound, id)| (*bound, id.as_ref().map(TicketId::as_str)))
            .collect();
        assert_eq!(violated, expected, "{line:?} of {slot:?}");
    }
}

#[test]
fn company_is_looked_for_where_the_rule_says() {
    for scope in [RuleScope::Line, RuleScope::Slot] {
        let mut service = museum();
        service.rules.children[0] = ChildRule {
            scope,
            per_adult: Some(2),
            ..service.rules.children[0].clone()
        };
        service.rules.forbidden = vec![ForbiddenTickets {
            tickets: vec![SENIOR, CHILD],
            scope,
        }];
        service.rules.required = vec![RequiredTicket {
            ticket: SENIOR,
            any_of: vec![ADULT],
            scope,
        }];
        let by_slot = scope == RuleScope::Slot;
        let (children, adult, senior) = (vec![(CHILD, 2)], vec![(ADULT, 1)], vec![(SENIOR, 1)]);
        let families = vec![(CHILD, 2), (ADULT, 1)];
        let crowd = vec![(CHILD, 3), (ADULT, 1)];
        let grown = vec![(SENIOR, 1), (ADULT, 1)];
        let mixed = vec![(SENIOR, 1), (CHILD, 2)];
        for (line, slot, child_alone, cannot_be_combined) in [
            (&children, &families, !by_slot, false),
            (&children, &crowd, true, false),
            (&adult, &crowd, false, false),
            (&senior, &grown, false, !by_slot),
            (&children, &mixed, !by_slot, by_slot),
            (&adult, &mixed, false, false),
        ] {
            let party = Party { line, slot };
            assert_eq!(
                child_fault(&service, party).is_some(),
                child_alone,
                "{scope:?} {party:?}"
            );
            assert_eq!(
                !combination_faults(&service, party).is_empty(),
                cannot_be_combined,
                "{scope:?} {party:?}"
            );
        }
    }
}
