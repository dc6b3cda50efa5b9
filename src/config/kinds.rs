//! What a setting takes: how its value is read from text, and how that is said.

use std::{
    fmt::Display, net::SocketAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration,
};

use http::Uri;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// A way to read values from text, the same for flags, variables and the file.
pub(super) trait Kind {
    /// What is read.
    type Value;

    /// One word for the help text: `--flag <LABEL>`.
    fn label(&self) -> &'static str;

    /// What is taken, to follow "expected".
    fn takes(&self) -> String;

    /// The value, if the text is one.
    fn read(&self, text: &str) -> Option<Self::Value>;
}

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

/// It is a number.
impl Eq for Share {}

impl Share {
    /// The same as a number.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

/// An IP address with a port.
pub(super) struct Address;

impl Kind for Address {
    type Value = SocketAddr;

    fn label(&self) -> &'static str {
        "ADDRESS"
    }

    fn takes(&self) -> String {
        "an IP address and port".to_owned()
    }

    fn read(&self, text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }
}

/// What `K` takes, or `off` for none.
pub(super) struct OrOff<K>(pub(super) K);

impl<K: Kind> Kind for OrOff<K> {
    type Value = Option<K::Value>;

    fn label(&self) -> &'static str {
        self.0.label()
    }

    fn takes(&self) -> String {
        format!("{} or `off`", self.0.takes())
    }

    fn read(&self, text: &str) -> Option<Self::Value> {
        if text == "off" {
            Some(None)
        } else {
            self.0.read(text).map(Some)
        }
    }
}

pub use orders::audit::AuditLog;

/// `off`, `stderr` or a file.
pub(super) struct AuditTarget;

impl Kind for AuditTarget {
    type Value = AuditLog;

    fn label(&self) -> &'static str {
        "FILE"
    }

    fn takes(&self) -> String {
        "`off`, `stderr` or a file".to_owned()
    }

    fn read(&self, text: &str) -> Option<AuditLog> {
        match text {
            "off" => Some(AuditLog::Off),
            "stderr" => Some(AuditLog::Stderr),
            path => File.read(path).map(AuditLog::File),
        }
    }
}

/// The path of a file, which need not exist.
pub(super) struct File;

impl Kind for File {
    type Value = PathBuf;

    fn label(&self) -> &'static str {
        "FILE"
    }

    fn takes(&self) -> String {
        "a file".to_owned()
    }

    fn read(&self, text: &str) -> Option<PathBuf> {
        Directory.read(text)
    }
}

/// Names of a certificate, with commas between.
pub(super) struct Names;

impl Kind for Names {
    type Value = Vec<String>;

    fn label(&self) -> &'static str {
        "NAMES"
    }

    fn takes(&self) -> String {
        "DNS names or URIs with commas between".to_owned()
    }

    fn read(&self, text: &str) -> Option<Vec<String>> {
        let names = text.split(',').map(str::trim);
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_graphic());
        names
            .map(|name| is_name(name).then(|| name.to_owned()))
            .collect()
    }
}

/// Host names without ports, with commas between.
pub(super) struct HostNames;

impl Kind for HostNames {
    type Value = Vec<String>;

    fn label(&self) -> &'static str {
        "HOSTS"
    }

    fn takes(&self) -> String {
        "host names with commas between".to_owned()
    }

    fn read(&self, text: &str) -> Option<Vec<String>> {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        let is_name =
            |name: &str| !name.trim_matches('.').is_empty() && name.chars().all(is_letter);
        text.split(',')
            .map(str::trim)
            .map(|name| is_name(name).then(|| name.to_owned()))
            .collect()
    }
}

/// The path of a directory, which need not exist.
pub(super) struct Directory;

impl Kind for Directory {
    type Value = PathBuf;

    fn label(&self) -> &'static str {
        "DIR"
    }

    fn takes(&self) -> String {
        "a directory".to_owned()
    }

    fn read(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty()).then(|| PathBuf::from(text))
    }
}

/// The path that others are under, without a slash at its end; the root is nothing.
pub(super) struct BasePath;

impl Kind for BasePath {
    type Value = String;

    fn label(&self) -> &'static str {
        "PATH"
    }

    fn takes(&self) -> String {
        "a path such as `/booking/partner`".to_owned()
    }

    fn read(&self, text: &str) -> Option<String> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~".contains(letter);
        let named = |segment: &str| !segment.is_empty() && segment.chars().all(plain);
        let sound = path.is_empty()
            || path
                .strip_prefix('/')
                .is_some_and(|it| it.split('/').all(named));
        sound.then(|| path.to_owned())
    }
}

/// One of a few words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy> Kind for Choice<T> {
    type Value = T;

    fn label(&self) -> &'static str {
        "WORD"
    }

    fn takes(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| format!("`{word}`")).collect();
        words.join(" or ")
    }

    fn read(&self, text: &str) -> Option<T> {
        self.0
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
    }
}

/// A whole number within bounds.
pub(super) struct Count<T>(pub(super) RangeInclusive<T>);

impl<T: FromStr + PartialOrd + Display> Kind for Count<T> {
    type Value = T;

    fn label(&self) -> &'static str {
        "COUNT"
    }

    fn takes(&self) -> String {
        format!("a number from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, text: &str) -> Option<T> {
        text.parse().ok().filter(|value| self.0.contains(value))
    }
}

/// A number of bytes within bounds, which are written as values are.
pub(super) struct Bytes(pub(super) &'static str, pub(super) &'static str);

impl Kind for Bytes {
    type Value = usize;

    fn label(&self) -> &'static str {
        "SIZE"
    }

    fn takes(&self) -> String {
        format!(
            "a size from {} to {} (plain bytes, KiB, MiB or GiB)",
            self.0, self.1
        )
    }

    fn read(&self, text: &str) -> Option<usize> {
        within(text, self.0, self.1, bytes)
    }
}

/// A duration within bounds, which are written as values are.
pub(super) struct Span(pub(super) &'static str, pub(super) &'static str);

impl Kind for Span {
    type Value = Duration;

    fn label(&self) -> &'static str {
        "DURATION"
    }

    fn takes(&self) -> String {
        format!("a duration from {} to {}", self.0, self.1)
    }

    fn read(&self, text: &str) -> Option<Duration> {
        within(text, self.0, self.1, duration)
    }
}

/// What `K` takes, with zero for none.
pub(super) struct ZeroIsNone<K>(pub(super) K);

impl<K: Kind<Value: Default + PartialEq>> Kind for ZeroIsNone<K> {
    type Value = Option<K::Value>;

    fn label(&self) -> &'static str {
        self.0.label()
    }

    fn takes(&self) -> String {
        self.0.takes()
    }

    fn read(&self, text: &str) -> Option<Self::Value> {
        self.0
            .read(text)
            .map(|value| (value != K::Value::default()).then_some(value))
    }
}

/// The address of a service that is asked over plain HTTP/2.
pub(super) struct Endpoint;

impl Kind for Endpoint {
    type Value = String;

    fn label(&self) -> &'static str {
        "URL"
    }

    fn takes(&self) -> String {
        "a URL such as `http://127.0.0.1:4317`".to_owned()
    }

    fn read(&self, text: &str) -> Option<String> {
        let url: Uri = text.parse().ok()?;
        let is_plain =
            url.scheme_str() == Some("http") && url.path() == "/" && url.query().is_none();
        (is_plain && url.port_u16().is_some()).then(|| text.to_owned())
    }
}

/// A part of a whole.
pub(super) struct Portion;

impl Kind for Portion {
    type Value = Share;

    fn label(&self) -> &'static str {
        "SHARE"
    }

    fn takes(&self) -> String {
        "a number from 0 to 1, such as `0.01`".to_owned()
    }

    fn read(&self, text: &str) -> Option<Share> {
        let is_decimal = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let share = text
            .parse()
            .ok()
            .filter(|share| is_decimal && (0.0..=1.0).contains(share));
        share.map(Share)
    }
}

/// Directives that say which events are logged.
pub(super) struct Filter;

impl Kind for Filter {
    type Value = String;

    fn label(&self) -> &'static str {
        "FILTER"
    }

    fn takes(&self) -> String {
        "a level (`off`, `error`, `warn`, `info`, `debug`, `trace`) or `target=level`, with commas between"
            .to_owned()
    }

    /// A word alone would be taken for a target, so that a misspelt level silences everything; here
    /// it has to be a level.
    fn read(&self, text: &str) -> Option<String> {
        EnvFilter::try_new(text).ok()?;
        let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        let sound = |directive: &str| directive.contains('=') || is_level(directive);
        (text.contains('[') || text.split(',').all(sound)).then(|| text.to_owned())
    }
}

fn within<T: PartialOrd>(
    text: &str,
    min: &str,
    max: &str,
    read: fn(&str) -> Option<T>,
) -> Option<T> {
    read(text)
        .filter(|value| read(min).is_some_and(|min| *value >= min))
        .filter(|value| read(max).is_some_and(|max| *value <= max))
}

fn bytes(text: &str) -> Option<usize> {
    const UNITS: [(&str, usize); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| {
            text.strip_suffix(suffix)
                .map(|number| (number.trim_end(), *unit))
        })
        .unwrap_or((text, 1));
    number.parse::<usize>().ok()?.checked_mul(unit)
}

fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<K: Kind>(kind: &K, taken: &[(&str, K::Value)], refused: &[&str])
    where
        K::Value: PartialEq + std::fmt::Debug,
    {
        for (text, value) in taken {
            assert_eq!(kind.read(text).as_ref(), Some(value), "{text:?}");
        }
        for text in refused {
            assert_eq!(kind.read(text), None, "{text:?} is not {}", kind.takes());
        }
    }

    #[test]
    fn off_is_none_where_it_is_taken() {
        let kind = OrOff(Address);
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
            &Address,
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
            &OrOff(File),
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
        check(&AuditTarget, &taken, &[""]);
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
            &Names,
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
            &Directory,
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
        let refused = [
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
            &refused,
        );
    }

    #[test]
    fn choices_are_exact_words() {
        let kind = Choice(&[("one", 1), ("two", 2)]);
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
            &Count(1..=100_u32),
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
            &Bytes("1KiB", "1GiB"),
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
        let kind = Span("0s", "400d");
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
        let refused = [
            "",
            "127.0.0.1:4317",
            "https://a:1",
            "http://a",
            "http://a:1/b",
            "http://a:1/?b",
            "http://",
        ];
        check(
            &Endpoint,
            &taken.map(|text| (text, text.to_owned())),
            &refused,
        );
    }

    #[test]
    fn portions_are_decimals_between_nothing_and_all() {
        let refused = [
            "", ".", "-0", "1.01", "2", "1e-3", "NaN", "inf", "1%", "0,5", " 1",
        ];
        check(
            &Portion,
            &[("0", Share(0.0)), ("1", Share(1.0)), ("0.25", Share(0.25))],
            &refused,
        );
    }

    #[test]
    fn zero_can_mean_none() {
        check(
            &ZeroIsNone(Count(0..=8_u32)),
            &[("0", None), ("8", Some(8))],
            &["", "9"],
        );
        let second = Duration::from_secs(1);
        check(
            &ZeroIsNone(Span("0s", "1h")),
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
        let refused = [
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
            &Filter,
            &taken.map(|text| (text, text.to_owned())),
            &refused,
        );
    }
}
