use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::*;

fn check<K: ValueKind>(kind: &K, taken: &[(&str, K::Value)], rejected: &[&str])
where
    K::Value: PartialEq + std::fmt::Debug,
{
    for (text, value) in taken {
        assert_eq!(kind.read(text).as_ref(), Some(value), "{text:?}");
    }
    for text in rejected {
        assert_eq!(kind.read(text), None, "{text:?} is not {}", kind.takes());
    }
}

#[test]
fn off_is_none_where_it_is_taken() {
    let kind = OrOff(IpAndPort);
    check(
        &kind,
        &[("off", None), ("[::]:0", Some("[::]:0".parse().unwrap()))],
        &["", "OFF", "none"],
    );
    assert_eq!(kind.takes(), "an IP address and port or `off`");
}

#[test]
fn addresses_have_an_ip_and_a_port() {
    let any_port = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0));
    check(
        &IpAndPort,
        &[
            ("127.0.0.1:50051", SocketAddr::from(([127, 0, 0, 1], 50051))),
            ("[::1]:0", any_port),
        ],
        &[
            "",
            "127.0.0.1",
            ":50051",
            "localhost:50051",
            "127.0.0.1:70000",
        ],
    );
}

#[test]
fn files_are_any_text_but_none() {
    check(
        &OrOff(FilePath),
        &[("off", None), ("./off", Some(PathBuf::from("./off")))],
        &[""],
    );
}

#[test]
fn an_audit_log_goes_nowhere_to_the_log_or_to_a_file() {
    let file = |path: &str| AuditLog::File(path.into());
    let taken = [
        ("off", AuditLog::Off),
        ("stderr", AuditLog::Stderr),
        ("./off", file("./off")),
        ("a b", file("a b")),
    ];
    check(&AuditDestination, &taken, &[""]);
}

#[test]
fn names_stand_between_commas() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    check(
        &CertificateNames,
        &[
            ("a.example", names(&["a.example"])),
            ("spiffe://a/b, c", names(&["spiffe://a/b", "c"])),
        ],
        &["", ",", "a,", "a,,b", "a b", "ä.example"],
    );
}

#[test]
fn host_names_have_no_ports() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    check(
        &HostNames,
        &[
            ("a.example", names(&["a.example"])),
            ("localhost, b.example.", names(&["localhost", "b.example."])),
        ],
        &[
            "",
            ",",
            ".",
            "a,",
            "a:80",
            "http://a",
            "a/b",
            "ä.example",
            "a b",
            "[::1]",
        ],
    );
}

#[test]
fn directories_are_any_text_but_none() {
    check(
        &DirectoryPath,
        &[("a b/c", PathBuf::from("a b/c")), (".", PathBuf::from("."))],
        &[""],
    );
}

#[test]
fn base_paths_begin_with_a_slash_and_end_without() {
    let taken = [
        ("", ""),
        ("/", ""),
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/a.b/~c_d-1", "/a.b/~c_d-1"),
    ];
    let rejected = [
        "a",
        "a/",
        "//",
        "/a//b",
        "/a b",
        "/a?b",
        "/a#b",
        "/%41",
        "/ä",
        "http://a/b",
    ];
    check(
        &BasePath,
        &taken.map(|(text, path)| (text, path.to_owned())),
        &rejected,
    );
}

#[test]
fn choices_are_exact_words() {
    let kind = OneOf(&[("one", 1), ("two", 2)]);
    check(
        &kind,
        &[("one", 1), ("two", 2)],
        &["", "One", "two ", "three"],
    );
    assert_eq!(kind.takes(), "`one` or `two`");
}

#[test]
fn counts_keep_their_bounds() {
    check(
        &WholeNumber(1..=100_u32),
        &[("1", 1), ("100", 100), ("007", 7)],
        &[
            "",
            "0",
            "101",
            "-1",
            "1.0",
            "1e2",
            "ten",
            "99999999999999999999",
            "1 ",
        ],
    );
}

#[test]
fn sizes_are_plain_or_binary() {
    check(
        &ByteSize("1KiB", "1GiB"),
        &[
            ("1024", 1024),
            ("4194304", 4 << 20),
            ("4MiB", 4 << 20),
            ("16 KiB", 16 << 10),
            ("1GiB", 1 << 30),
        ],
        &[
            "",
            "1023",
            "0",
            "4MB",
            "4M",
            "4 mib",
            "KiB",
            "1.5MiB",
            "-1KiB",
            "2GiB",
            "99999999999999999GiB",
        ],
    );
}

#[test]
fn durations_carry_a_unit() {
    let kind = DurationRange("0s", "400d");
    check(
        &kind,
        &[
            ("0s", Duration::ZERO),
            ("250ms", Duration::from_millis(250)),
            ("30s", Duration::from_secs(30)),
            ("5m", Duration::from_secs(300)),
            ("1h 30m", Duration::from_secs(5_400)),
            ("400d", Duration::from_secs(400 * 86_400)),
        ],
        &[
            "",
            "30",
            "s",
            "-1s",
            "5 parsecs",
            "401d",
            "99999999999999999999s",
        ],
    );
    assert_eq!(kind.takes(), "a duration from 0s to 400d");
}

#[test]
fn endpoints_are_plain_and_have_a_port() {
    let taken = [
        "http://127.0.0.1:4317",
        "http://collector:4317/",
        "http://[::1]:1",
    ];
    let rejected = [
        "",
        "127.0.0.1:4317",
        "https://a:1",
        "http://a",
        "http://a:1/b",
        "http://a:1/?b",
        "http://",
    ];
    check(
        &HttpEndpoint,
        &taken.map(|text| (text, text.to_owned())),
        &rejected,
    );
}

#[test]
fn portions_are_decimals_between_nothing_and_all() {
    let rejected = [
        "", ".", "-0", "1.01", "2", "1e-3", "NaN", "inf", "1%", "0,5", " 1",
    ];
    check(
        &Fraction,
        &[
            ("0", SamplingRatio(0.0)),
            ("1", SamplingRatio(1.0)),
            ("0.25", SamplingRatio(0.25)),
        ],
        &rejected,
    );
}

#[test]
fn zero_can_mean_none() {
    check(
        &ZeroIsNone(WholeNumber(0..=8_u32)),
        &[("0", None), ("8", Some(8))],
        &["", "9"],
    );
    let second = Duration::from_secs(1);
    check(
        &ZeroIsNone(DurationRange("0s", "1h")),
        &[("0", None), ("0s", None), ("1s", Some(second))],
        &["1", "2h"],
    );
}

#[test]
fn filters_name_levels() {
    let taken = [
        "info",
        "off",
        "INFO",
        "warn,boxoffice=debug",
        "info,hyper=off",
        "boxoffice[call{id=1}]=trace",
    ];
    let rejected = [
        "",
        "inof",
        "warn,boxofice",
        "boxoffice=inof",
        "info,",
        "info, hyper=off",
        "=",
        "a=b=c",
    ];
    check(
        &LogFilter,
        &taken.map(|text| (text, text.to_owned())),
        &rejected,
    );
}
