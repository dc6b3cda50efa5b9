use super::*;
use crate::domain::{
    catalog::{RequiredTicket, SlotLimits, TagIx},
    fixtures::{ADULT, CHILD, House, SENIOR, STALLS_ONLY, START, tickets},
    slot::{Pool, SlotTerms},
    wording::MAX_FAULTS,
};

fn museum() -> Service {
    House::new().service("museum").clone()
}

fn at_least(min: u32) -> CountBounds {
    CountBounds { min: Some(min), max: None }
}

fn at_most(max: u32) -> CountBounds {
    CountBounds { min: None, max: Some(max) }
}

#[test]
fn entries_of_one_type_are_added_up() {
    let asked = tickets(&[("child", 1), ("adult", 2), ("child", 3)]);
    assert_eq!(read_tickets(&museum(), None, &asked), Ok(vec![(CHILD, 4), (ADULT, 2)]));
    let most = tickets(&[("adult", i32::MAX), ("adult", i32::MAX), ("adult", i32::MAX)]);
    assert_eq!(read_tickets(&museum(), None, &most), Ok(vec![(ADULT, u32::MAX)]));
}

#[test]
fn every_entry_that_makes_no_sense_is_named() {
    let house = House::new();
    let concert = house.service("concert");
    let mut stalls_only = Slot::default();
    stalls_only.open(Pool { tickets: STALLS_ONLY, allotment: 9 }, &SlotTerms::default());
    for (asked, slot, faulty) in [
        (&[("stalls", 1), ("balcony", 1)][..], None, &[][..]),
        (&[("stalls", 1), ("balcony", 1)], Some(&stalls_only), &["balcony"][..]),
        (&[("box", 1), ("stalls", 1)], None, &["box"]),
        (&[("", 1)], None, &[""]),
        (&[("Stalls", 1)], None, &["Stalls"]),
        (&[("stalls", 0)], None, &["stalls"]),
        (&[("stalls", -1), ("stalls", 2)], None, &["stalls"]),
        (&[("stalls", i32::MIN), ("box", 0)], None, &["stalls", "box"]),
    ] {
        let faults = read_tickets(concert, slot, &tickets(asked)).err().unwrap_or_default();
        assert_eq!(faults.len(), faulty.len(), "{asked:?}: {faults:?}");
        for (fault, id) in faults.iter().zip(faulty) {
            assert!(fault.contains(&format!("{id:?}")), "{asked:?}: {fault}");
        }
    }
}

#[test]
fn of_very_many_faults_the_first_are_told_and_briefly() {
    let long = "x".repeat(1_000_000);
    let asked = tickets(&vec![(long.as_str(), 1); 50]);
    let faults = read_tickets(&museum(), None, &asked).unwrap_err();
    assert_eq!(faults.len(), MAX_FAULTS + 1);
    assert!(faults[MAX_FAULTS].starts_with("and "), "{faults:?}");
    assert!(faults.iter().all(|fault| fault.len() < 200));
}

#[test]
fn a_child_needs_an_adult_and_each_adult_brings_so_many() {
    let mut service = museum();
    let mut check = |per_adult, counts: &[(TicketIx, u32)], good: bool| {
        service.rules.children[0].per_adult = per_adult;
        let fault = child_fault(&service, &counts.to_vec());
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
    check(Some(u32::MAX), &[(CHILD, u32::MAX), (ADULT, u32::MAX)], true);
}

#[test]
fn forbidden_and_required_companions_are_named() {
    let mut service = museum();
    service.rules.forbidden = vec![vec![SENIOR, CHILD]];
    service.rules.required = vec![RequiredTicket { ticket: SENIOR, any_of: vec![ADULT, CHILD] }];
    for (counts, expected) in [
        (&[(ADULT, 1), (CHILD, 1)][..], &[][..]),
        (&[(ADULT, 1), (SENIOR, 1)], &[]),
        (&[(SENIOR, 2)], &["ticket type \"senior\" needs one of \"adult\", \"child\""][..]),
        (&[(SENIOR, 1), (CHILD, 1)], &["ticket types \"senior\", \"child\" cannot be combined"]),
    ] {
        assert_eq!(combination_faults(&service, &counts.to_vec()), expected, "{counts:?}");
    }
}

fn check_limits(limits: &TicketLimits, counts: &[(TicketIx, u32)], expected: &[(Bound, Option<&str>)]) {
    let violated = violated_limits(&museum(), limits, &counts.to_vec());
    let violated: Vec<(Bound, Option<&str>)> =
        violated.iter().map(|violated| (violated.bound, violated.ticket_id.as_deref())).collect();
    assert_eq!(violated, expected, "{limits:?} {counts:?}");
}

#[test]
fn a_bound_of_the_line_is_told_without_a_ticket_type() {
    let limits = TicketLimits { line: CountBounds { min: Some(5), max: Some(8) }, tickets: Vec::new() };
    check_limits(&limits, &[(ADULT, 4)], &[(Bound::Min(5), None)]);
    check_limits(&limits, &[(ADULT, 2), (CHILD, 3)], &[]);
    check_limits(&limits, &[(ADULT, 8)], &[]);
    check_limits(&limits, &[(ADULT, 4), (CHILD, 5)], &[(Bound::Max(8), None)]);
    check_limits(&limits, &[(ADULT, u32::MAX), (CHILD, u32::MAX)], &[(Bound::Max(8), None)]);
}

#[test]
fn a_bound_of_one_ticket_type_is_told_with_its_id() {
    let limits = TicketLimits { line: CountBounds::default(), tickets: vec![(ADULT, at_least(5))] };
    check_limits(&limits, &[(ADULT, 4), (CHILD, 1)], &[(Bound::Min(5), Some("adult"))]);
    check_limits(&limits, &[(ADULT, 5)], &[]);
    check_limits(&limits, &[(CHILD, 1)], &[]);
}

#[test]
fn bounds_of_several_ticket_types_are_all_told() {
    let tickets = vec![(ADULT, at_least(3)), (CHILD, at_most(4)), (SENIOR, at_least(2))];
    let limits = TicketLimits { line: CountBounds::default(), tickets };
    check_limits(
        &limits,
        &[(CHILD, 5), (ADULT, 2)],
        &[(Bound::Max(4), Some("child")), (Bound::Min(3), Some("adult"))],
    );
}

#[test]
fn a_bound_of_the_line_and_the_slots_own_for_several_types_are_all_told() {
    let mut rules = museum().rules;
    rules.limits = TicketLimits { line: at_least(8), tickets: vec![(ADULT, at_least(1))] };
    let own = TicketLimits {
        line: CountBounds::default(),
        tickets: vec![(ADULT, at_least(3)), (CHILD, at_least(4))],
    };
    rules.slot_limits = vec![SlotLimits { tag: Some(TagIx(1)), limits: own, ..SlotLimits::default() }];
    let asked = &[(ADULT, 2), (CHILD, 3)];
    let line = (Bound::Min(8), None);
    check_limits(&rules.limits_for(START, None), asked, &[line]);
    check_limits(
        &rules.limits_for(START, Some(TagIx(1))),
        asked,
        &[line, (Bound::Min(3), Some("adult")), (Bound::Min(4), Some("child"))],
    );
}

#[test]
fn bounds_for_some_slots_replace_only_what_they_speak_of() {
    let mut rules = museum().rules;
    rules.limits.line = CountBounds { min: Some(2), max: Some(9) };
    let some = |tag, from_sec, until_sec, line| SlotLimits {
        tag,
        from_sec,
        until_sec,
        limits: TicketLimits { line, tickets: Vec::new() },
    };
    rules.slot_limits = vec![
        some(Some(TagIx(1)), None, None, at_least(4)),
        some(None, Some(100), Some(200), at_most(6)),
        some(Some(TagIx(1)), Some(150), None, at_least(5)),
    ];
    for (start_sec, tag, min, max) in [
        (99, None, 2, 9),
        (99, Some(TagIx(1)), 4, 9),
        (99, Some(TagIx(2)), 2, 9),
        (100, None, 2, 6),
        (199, Some(TagIx(1)), 5, 6),
        (200, Some(TagIx(1)), 5, 9),
        (i64::MIN, None, 2, 9),
        (i64::MAX, None, 2, 9),
    ] {
        let line = rules.limits_for(start_sec, tag).line;
        assert_eq!(line, CountBounds { min: Some(min), max: Some(max) }, "{start_sec} {tag:?}");
    }
}
