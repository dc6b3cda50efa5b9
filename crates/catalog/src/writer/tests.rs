use std::io::Read;

use serde_json::{Value, json};

use super::{shards::MAX_SHARDS, *};
use crate::{load, tests::sample_dir};

const STAMP: i64 = 1_700_000_000;

fn piece(kind: RecordKind, text: &str) -> FeedRecord<'_> {
    FeedRecord {
        kind,
        text: text.into(),
    }
}

fn merchant(at: usize) -> String {
    format!(r#"{{"merchant_id":"m{at:04}"}}"#)
}

/// Writes a folder with this number of merchants in files of this size in bytes.
fn written(out: &Path, merchants: usize, shape: FeedFileOptions) -> Result<Written, WriteError> {
    let mut writer = FolderWriter::begin(out, shape)?;
    for at in 0..merchants {
        writer.put(&piece(RecordKind::Merchant, &merchant(at)))?;
    }
    writer.finish(STAMP)
}

fn plain(max_bytes: u64) -> FeedFileOptions {
    FeedFileOptions {
        compression: FileCompression::None,
        max_bytes,
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names = names_in(dir).unwrap();
    names.sort();
    names
}

fn json_of(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|ending| ending == "gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
        return serde_json::from_str(&text).unwrap();
    }
    serde_json::from_slice(&bytes).unwrap()
}

/// The size in bytes of a file with this number of merchants.
fn length_with(merchants: usize) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    written(&out, merchants, plain(u64::MAX)).unwrap();
    fs::metadata(out.join("merchants.json")).unwrap().len()
}

#[test]
fn files_say_what_they_are() {
    for compression in [FileCompression::None, FileCompression::Gzip] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let shape = FeedFileOptions {
            compression,
            max_bytes: length_with(2),
        };
        let Written {
            files,
            merchants,
            services,
            availability,
            ..
        } = written(&out, 5, shape).unwrap();
        assert_eq!((merchants, services, availability), (5, 0, 0));
        let ending = match compression {
            FileCompression::None => ".json",
            FileCompression::Gzip => ".json.gz",
        };
        let shard = |at: usize| format!("merchants-0000{at}-of-00003{ending}");
        let alone = ["services", "availability"].map(|stem| format!("{stem}{ending}"));
        let expected: Vec<String> = (0..3).map(shard).chain(alone).collect();
        assert_eq!(files, expected);
        let shards: Vec<Value> = (0..3).map(|at| json_of(&out.join(shard(at)))).collect();
        let nonce = shards[0]["metadata"]["nonce"].as_u64().unwrap();
        for (at, feed) in shards.iter().enumerate() {
            let metadata = json!({
                "processing_instruction": "PROCESS_AS_COMPLETE", "shard_number": at, "total_shards": 3,
                "nonce": nonce, "generation_timestamp": STAMP,
            });
            assert_eq!(feed["metadata"], metadata);
        }
        let found = shards
            .iter()
            .flat_map(|feed| feed["merchant"].as_array().unwrap());
        let found: Vec<String> = found.map(Value::to_string).collect();
        assert_eq!(found, (0..5).map(merchant).collect::<Vec<_>>());
        let empty = json_of(&out.join(&expected[4]));
        assert_eq!(empty["service_availability"], json!([{"availability": []}]));
        assert_eq!(empty["metadata"]["total_shards"], 1);
        assert_ne!(empty["metadata"]["nonce"], nonce, "another feed");
        load(&out).unwrap();
    }
}

#[test]
fn a_file_is_filled_to_its_limit_and_not_beyond() {
    for (merchants, max_bytes, files) in [
        (3, length_with(3), 1),
        (3, length_with(3) - 1, 2),
        (4, length_with(3), 2),
        (2, length_with(1), 2),
        (MAX_SHARDS, length_with(1), MAX_SHARDS),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let names = written(&out, merchants, plain(max_bytes)).unwrap().files;
        let of_merchants: Vec<_> = names
            .iter()
            .filter(|name| name.starts_with("merchants"))
            .collect();
        assert_eq!(
            of_merchants.len(),
            files,
            "{merchants} merchants in {max_bytes} bytes"
        );
        for name in of_merchants {
            let bytes = fs::metadata(out.join(name)).unwrap().len();
            assert!(bytes <= max_bytes, "{name} has {bytes} bytes");
        }
        load(&out).unwrap();
    }
}

#[test]
fn an_export_that_does_not_fit_fails_and_leaves_nothing() {
    for (merchants, max_bytes, expected) in [
        (
            MAX_SHARDS + 1,
            length_with(1),
            "the merchants feed is longer than 20 files of",
        ),
        (
            1,
            length_with(1) - 1,
            "an element of the merchants feed does not fit into a file of",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let error = written(&out, merchants, plain(max_bytes))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

#[test]
fn an_export_is_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    written(&out, 5, plain(length_with(2))).unwrap();
    let before = names(&out);
    let mut begun = FolderWriter::begin(&out, plain(u64::MAX)).unwrap();
    begun.put(&piece(RecordKind::Rules, "# rules")).unwrap();
    assert_eq!(names(&out), before, "while it is written");
    drop(begun);
    assert_eq!(names(&out), before, "and if it is not finished");
    assert_eq!(names(dir.path()), ["out"]);
    written(
        &out,
        1,
        FeedFileOptions {
            compression: FileCompression::Gzip,
            max_bytes: u64::MAX,
        },
    )
    .unwrap();
    let zipped = [
        "availability.json.gz",
        "export.json",
        "merchants.json.gz",
        "services.json.gz",
    ];
    assert_eq!(names(&out), zipped, "with nothing of the one before");
    assert_eq!(names(dir.path()), ["out"]);
    let mode = fs::metadata(&out).unwrap().permissions().mode();
    let usual = fs::metadata(sample_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o700, usual & 0o700);
    assert_ne!(mode & 0o055, 0, "others can read it");
}

#[test]
fn nothing_but_an_export_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let error = || {
        FolderWriter::begin(&out, plain(u64::MAX))
            .unwrap_err()
            .to_string()
    };
    fs::create_dir(&out).unwrap();
    fs::write(out.join("services.json"), "{}").unwrap();
    assert!(
        error().contains(r#"because of "services.json" in it: no export has written it"#),
        "{}",
        error()
    );
    fs::write(out.join(MANIFEST), "{}").unwrap();
    fs::write(out.join("orders.db"), "precious").unwrap();
    assert!(
        error().contains(r#"because of "orders.db" in it"#),
        "{}",
        error()
    );
    let kept = ["export.json", "orders.db", "services.json"];
    assert_eq!(names(&out), kept);
    fs::remove_dir_all(&out).unwrap();
    fs::write(&out, "a file").unwrap();
    assert!(
        error().contains("cannot be written: Not a directory"),
        "{}",
        error()
    );
    fs::remove_file(&out).unwrap();
    let nowhere = FolderWriter::begin(&out.join("deeper"), plain(u64::MAX))
        .unwrap_err()
        .to_string();
    assert!(
        nowhere.contains("out/deeper cannot be written: No such file or directory"),
        "{nowhere}"
    );
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn the_sample_is_written_as_it_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let loaded = load(&sample_dir()).unwrap();
    let mut writer =
        FolderWriter::begin(&out, FeedFileOptions::for_google(FileCompression::None)).unwrap();
    loaded
        .source_feeds
        .pieces()
        .try_for_each(|piece| writer.put(&piece))
        .unwrap();
    writer.finish(STAMP).unwrap();
    for (file, list) in [("merchants.json", "merchant"), ("services.json", "service")] {
        assert_eq!(
            json_of(&out.join(file))[list],
            json_of(&sample_dir().join(file))[list]
        );
    }
    let rules = [out, sample_dir()].map(|dir| fs::read_to_string(dir.join(RULES_FILE)).unwrap());
    assert_eq!(rules[0], rules[1]);
}
