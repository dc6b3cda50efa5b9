//! Compiles `proto/` into Rust, and finds out which commit is built. Everything made here stays in `OUT_DIR`, and no
//! `protoc` has to be installed.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The contract with callers; it imports every message that the service reaches.
const SERVICE: &str = "ext/maps/booking/partner/v3/service.proto";

/// The package of those messages; they have a JSON form too.
const PACKAGE: &str = ".ext.maps.booking.partner.v3";

/// The records of the embedded store, which are nobody else's business.
const STORE: &str = "boxoffice/store/v1/record.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rustc-env=STAMPED_VERSION={}", stamp());

    let mut protos = protox::Compiler::new(["proto"])?;
    protos.include_imports(true).include_source_info(true);

    protos.open_file(SERVICE)?;
    let published = protos.encode_file_descriptor_set();
    fs::write(out_dir()?.join("booking_service.bin"), &published)?;
    pbjson_build::Builder::new()
        .register_descriptors(&published)?
        .preserve_proto_field_names()
        .ignore_unknown_fields()
        .btree_map(["."])
        .build(&[PACKAGE])?;

    protos.open_file(STORE)?;
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::wire::codec::ContractCodec")
        // Equal messages must have equal bytes, so maps need an order.
        .btree_map(".")
        // Messages that are moved from hand to hand; an order takes 832 bytes before its texts.
        .boxed(format!("{PACKAGE}.CreateOrderRequest.order"))
        .boxed(format!("{PACKAGE}.CreateOrderRequest.payment_processing_parameters"))
        .boxed(format!("{PACKAGE}.CreateOrderResponse.result.order"))
        .compile_fds(protos.file_descriptor_set())?;
    Ok(())
}

fn out_dir() -> Result<PathBuf, Box<dyn Error>> {
    Ok(variable("OUT_DIR").ok_or("Cargo says where to write")?.into())
}

/// Where `cargo package` notes the commit.
const PACKAGED: &str = ".cargo_vcs_info.json";

/// Letters of a commit that tell it apart.
const COMMIT_LETTERS: usize = 12;

/// The version with its commit and a date, such as `0.1.0 (1a2b3c4d5e6f 2026-11-28)`, as far as they can
/// be known: by git where these sources are a repository of their own, by what `cargo package` notes, or
/// by `BUILD_COMMIT`.
///
/// Only release builds are stamped: a stamp changes with every commit, and who develops should not have
/// to wait for a build of sources that have not changed.
fn stamp() -> String {
    for variable in ["BUILD_COMMIT", "SOURCE_DATE_EPOCH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let version = env!("CARGO_PKG_VERSION");
    if variable("PROFILE").as_deref() != Some("release") {
        return format!("{version} (development build)");
    }
    let given = variable("BUILD_COMMIT");
    let (commit, committed) = match given {
        Some(commit) => (Some(commit), None),
        None => by_git().map_or_else(|| (packaged(), None), |(commit, date)| (Some(commit), Some(date))),
    };
    let date = variable("SOURCE_DATE_EPOCH").and_then(|seconds| date(&seconds)).or(committed);
    let known: Vec<String> = commit.into_iter().chain(date).collect();
    if known.is_empty() { version.to_owned() } else { format!("{version} ({})", known.join(" ")) }
}

/// The commit, marked if files differ from it, and its date.
fn by_git() -> Option<(String, String)> {
    // A repository around unpacked sources is not theirs.
    let root = git(&["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(root).ok()? != fs::canonicalize(env!("CARGO_MANIFEST_DIR")).ok()? {
        return None;
    }
    // What changes with the commit: where HEAD points, and what it points to. The sources are watched,
    // too, for the mark.
    for file in ["HEAD", "logs/HEAD"] {
        // What is not there would have this run with every build.
        if let Some(path) = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for sources in ["src", "build.rs", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={sources}");
    }
    let format = format!("--abbrev={COMMIT_LETTERS}");
    let shown = git(&["show", "--no-patch", &format, "--format=%h %cs", "HEAD"])?;
    let (commit, date) = shown.split_once(' ')?;
    let is_changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some((format!("{commit}{}", if is_changed { "+changes" } else { "" }), date.to_owned()))
}

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("--no-optional-locks").args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The commit that sources were packaged from.
fn packaged() -> Option<String> {
    println!("cargo::rerun-if-changed={PACKAGED}");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PACKAGED)).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    commit.get(..COMMIT_LETTERS).map(str::to_owned)
}

/// The day of so many seconds since 1970, in UTC.
fn date(seconds: &str) -> Option<String> {
    let days = seconds.trim().parse::<u64>().ok()? / 86_400;
    // Years of 365 or 366 days are few enough to be gone through.
    let mut year = 1970;
    let mut left = days;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while year < 10_000 && left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (month, length) in (1..).zip(lengths) {
        if left < length {
            return Some(format!("{year:04}-{month:02}-{:02}", left + 1));
        }
        left -= length;
    }
    None
}

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo tells a build script what to build through the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
