//! How texts of files are written does not matter: marks, forms of numbers; and members given twice.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{FEEDS, Folder};

fn zipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_byte_order_mark_says_nothing() {
    let folder = Folder::sample();
    for file in FEEDS.into_iter().chain(["rules.toml"]) {
        folder.write(file, format!("\u{feff}{}", folder.text(file)));
    }
    folder.write(
        "services.json.gz",
        zipped(folder.text("services.json").as_bytes()),
    );
    folder.remove("services.json");
    folder.loaded();
}

#[test]
fn other_encodings_are_named() {
    let utf16 = |text: &str| utf16(text);
    for (file, contents, what) in [
        (
            "services.json",
            utf16("{}"),
            "services.json: cannot be read: this is UTF-16",
        ),
        (
            "services.json",
            utf16("\u{feff}{}"),
            "services.json: cannot be read: this is UTF-16",
        ),
        (
            "services.json",
            zipped(b"{}"),
            "services.json: cannot be read: this is compressed with gzip",
        ),
        (
            "rules.toml",
            utf16("\u{feff}#"),
            "rules.toml: cannot be read: this is UTF-16",
        ),
        (
            "rules.toml",
            zipped(b"#"),
            "rules.toml: cannot be read: this is compressed with gzip",
        ),
        (
            "rules.toml",
            b"# \xff".to_vec(),
            "rules.toml:1:3: cannot be read: this is not UTF-8",
        ),
    ] {
        let folder = Folder::sample();
        folder.write(file, contents);
        let errors = folder.errors();
        assert!(errors[0].starts_with(what), "{what}: {errors:?}");
    }
    let folder = Folder::sample();
    folder.remove("services.json");
    folder.write("services.json.gz", zipped(&zipped(b"{}")));
    let errors = folder.errors();
    assert!(errors[0].contains("compressed with gzip"), "{errors:?}");
}

#[test]
fn numbers_are_whole_by_their_value() {
    let entry = |number: &str| {
        format!(
            r#"{{"metadata": {{}}, "service_availability": [{{"availability": [{{"merchant_id": "museum",
            "service_id": "museum-entry", "start_sec": {number}, "duration_sec": 7.2e3,
            "spots_total": "5e1", "spots_open": "50.0"}}]}}]}}"#
        )
    };
    for (number, is_whole) in [
        ("1795946400.0", true),
        ("1.7959464e9", true),
        (r#""1795946400.00""#, true),
        ("179594640000e-2", true),
        ("1795946400.5", false),
        ("1795946400.00000000000000000000001", false),
        (r#""+1795946400""#, false),
        (r#"" 1795946400""#, false),
        (r#""NaN""#, false),
        ("1e400", false),
        ("9223372036854775808.0", false),
        ("true", false),
    ] {
        let folder = Folder::sample();
        folder.write("availability.json", entry(number));
        let is_read = match folder.load() {
            Ok(_) => true,
            Err(errors) => {
                let text = errors.to_string();
                let expected =
                    "availability[0].start_sec: expected a whole number of 64 bits, found ";
                assert!(text.contains(expected), "{number}: {text}");
                false
            }
        };
        assert_eq!(is_read, is_whole, "{number}");
    }
}

#[test]
fn a_member_is_given_once() {
    for (file, piece, other, what) in [
        (
            "merchants.json",
            r#""merchant": ["#,
            r#""merchant": [], "merchant": ["#,
            "merchant: is given twice",
        ),
        (
            "availability.json",
            r#""service_availability": ["#,
            r#""serviceAvailability": [], "service_availability": ["#,
            "service_availability: is given twice",
        ),
        (
            "merchants.json",
            r#""merchant_id": "salon""#,
            r#""merchant_id": null, "merchantId": "salon""#,
            ".merchant_id: is given twice",
        ),
        (
            "services.json",
            r#""metadata": {"#,
            r#""metadata": null, "metadata": {"#,
            "metadata: is given twice",
        ),
    ] {
        let folder = Folder::sample();
        let text = folder.text(file);
        assert!(text.contains(piece), "{piece} in {file}");
        folder.write(file, text.replacen(piece, other, 1));
        let errors = folder.errors();
        assert!(
            errors.iter().any(|error| error.ends_with(what)),
            "{other}: {errors:?}"
        );
    }
}
