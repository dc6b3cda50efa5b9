use super::*;

#[test]
fn of_many_diagnostics_of_a_code_the_last_are_counted_and_not_made() {
    let sink = DiagnosticSink::default();
    for number in 0..=MAX_LISTED {
        sink.file("a").error("odd", "is wrong");
        sink.file("a").warning("rare", format!("is {number}"));
    }
    sink.file("b").error("odd", "is wrong, too");
    let mut all = sink.into_diagnostics();
    let at_the_limit = ("a".to_owned(), "odd");
    assert_eq!(all.listed[&at_the_limit], MAX_LISTED);
    all.record(Severity::Error, "odd", "a".to_owned(), None, || {
        panic!("it is only counted")
    });
    assert_eq!(all.of(Severity::Error).count(), MAX_LISTED + 1);
    assert_eq!(all.total(Severity::Error), MAX_LISTED + 3);
    assert_eq!(
        all.unlisted(Severity::Warning),
        BTreeMap::from([("rare", 1)])
    );
    let text = all.to_string();
    assert!(text.starts_with("warning[rare]: a: is 0\n"), "{text}");
    assert!(text.contains("\nwarning[rare]: and 1 more\n"), "{text}");
    assert!(text.ends_with("\nerror[odd]: and 2 more"), "{text}");
}

#[test]
fn errors_that_follow_from_another_are_counted_there() {
    let sink = DiagnosticSink::default();
    let (services, rules) = (sink.file("services.json"), sink.file("rules.toml"));
    rules.follows_from("merchant x");
    services
        .key("service")
        .index(7)
        .error_because("unknown", "merchant x", "is unknown");
    services.error_because("unknown", "merchant y", "is unknown, too");
    for _ in 0..2 {
        rules.error_because("unknown", "merchant x", "is unknown here");
    }
    rules.follows_from("merchant y");
    assert_eq!((services.errors_so_far(), rules.errors_so_far()), (2, 0));
    let all = sink.into_diagnostics();
    assert_eq!(
        (all.total(Severity::Error), all.places(Severity::Error)),
        (2, 5)
    );
    assert_eq!(
        all.to_string(),
        "error[unknown]: services.json: service[7]: is unknown (and 2 more places)\n\
         error[unknown]: services.json: is unknown, too (and 1 more place)"
    );
}

#[test]
fn warnings_that_say_the_same_of_a_file_are_folded() {
    let sink = DiagnosticSink::default();
    for (file, key, text) in [
        ("a", "x", "is odd"),
        ("a", "y", "is odd"),
        ("a", "x", "is strange"),
        ("a", "z", "is odd"),
        ("b", "x", "is odd"),
        ("b", "y", "is odd"),
    ] {
        sink.file(file).key(key).warning("odd", text);
    }
    let mut all = sink.into_diagnostics();
    all.warn_of_file("odd", "b", "is odd");
    let messages: Vec<String> = all.list().iter().map(Diagnostic::message).collect();
    assert_eq!(
        messages,
        [
            "a: x: is odd (and 2 more places)",
            "a: x: is strange",
            "b: x: is odd (and 2 more places)"
        ]
    );
    assert_eq!(all.unless_errors(7), Ok(7));
}

#[test]
fn two_sets_are_folded_and_limited_as_one() {
    let found = |warnings: usize| {
        let sink = DiagnosticSink::default();
        let file = sink.file("a");
        for key in ["x", "y"] {
            file.key(key).error_because("unknown", "x", "is unknown");
        }
        for number in 0..warnings {
            file.warning("rare", format!("is {number}"));
        }
        for _ in 0..MAX_LISTED - 1 {
            file.error("odd", "is wrong");
        }
        sink.into_diagnostics()
    };
    let both = found(MAX_LISTED + 1).and(found(MAX_LISTED + 2));
    let of_code = |code| both.list().iter().filter(move |it| it.code == code);
    assert_eq!(of_code("odd").count(), MAX_LISTED);
    let unlisted = both.unlisted(Severity::Error);
    assert_eq!(unlisted, BTreeMap::from([("odd", MAX_LISTED - 2)]));
    let unknown: Vec<_> = of_code("unknown").map(|it| it.more_places).collect();
    assert_eq!(unknown, [3]);
    // The same warnings twice, and one more of them.
    let places: Vec<_> = of_code("rare").map(|it| it.more_places).collect();
    assert_eq!(places, [1; MAX_LISTED]);
    let unlisted = both.unlisted(Severity::Warning);
    assert_eq!(unlisted, BTreeMap::from([("rare", 2)]));
}

#[test]
fn locations_are_written_as_editors_read_them() {
    let sink = DiagnosticSink::default();
    let text = "a = 1\nö = 'ü' # x\n";
    let file = sink.file("rules.toml");
    for (offset, expected) in [
        (0, "rules.toml:1:1"),
        (5, "rules.toml:1:6"),
        (6, "rules.toml:2:1"),
        (8, "rules.toml:2:2"),
        (text.find('#').unwrap(), "rules.toml:2:9"),
        (text.len() + 7, "rules.toml:3:1"),
    ] {
        assert_eq!(file.byte(text, offset).location().to_string(), expected);
    }
    let position = Position { line: 4, column: 2 };
    let at = file.position(position);
    assert_eq!(at.location().to_string(), "rules.toml:4:2");
    assert_eq!(at.to_string(), "rules.toml:4:2");
    let list = file.key("service");
    let price = list.index(3);
    let price = price.key("price");
    assert_eq!(price.to_string(), "rules.toml: service[3].price");
    let named = Location {
        path: "workers".to_owned(),
        ..at.location()
    };
    assert_eq!(named.to_string(), "rules.toml:4:2: workers");
    assert_eq!(Location::argument("--log").to_string(), "--log");
}

#[test]
fn sets_of_two_files_are_joined_and_settings_are_sorted_by_source() {
    let one = Diagnostics::one(Diagnostic::error(
        "wrong",
        Location::variable("B"),
        "is wrong",
    ));
    let known = ["max".to_owned(), "colours".to_owned()].into_iter();
    let unknown = Diagnostic::unknown("unknown", Location::argument("--colour"), "colour", known);
    let mut both = one.and(Diagnostics::one(unknown));
    both.sort();
    assert_eq!(
        both.to_string(),
        "error[unknown]: --colour: unknown; did you mean colours?\nerror[wrong]: B: is wrong"
    );
    assert_eq!(both.only(Severity::Warning).list(), []);
}
