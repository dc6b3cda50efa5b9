//! Compiles `proto/` into Rust, and finds out which commit is built. Everything made here stays in `OUT_DIR`, and no
//! `protoc` has to be installed.

use std::{
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use protox::prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
};

/// The contract with callers; it imports every message that the service reaches.
const SERVICE: &str = "ext/maps/booking/partner/v3/service.proto";

/// The package of those messages; they have a JSON form too.
const PACKAGE: &str = ".ext.maps.booking.partner.v3";

/// The contract with those who run the box office.
const OPERATOR_SERVICES: [&str; 3] = [
    "boxoffice/operator/v1/orders.proto",
    "boxoffice/operator/v1/slots.proto",
    "boxoffice/operator/v1/lifecycle.proto",
];

/// The package of the operator's messages.
const OPERATOR_PACKAGE: &str = ".boxoffice.operator.v1";

/// The well-known types with a JSON form.
const WELL_KNOWN: (&str, &str) = (".google.protobuf", "::pbjson_types");

/// Most fields of a message: the reader of JSON notes the fields it has met in the bits of a `u64`.
const MAX_FIELDS: usize = 64;

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

    fs::write(
        out_dir()?.join("schema.rs"),
        schema(&BOOKING, &messages_of(&protos.descriptor_pool(), PACKAGE))?,
    )?;

    tonic_prost_build::configure()
        .build_transport(false)
        // Equal messages must have equal bytes, so maps need an order.
        .btree_map(".")
        // Messages that are moved from hand to hand, and the part of an order that few have and that takes most of its
        // room.
        .boxed(format!("{PACKAGE}.CreateOrderRequest.order"))
        .boxed(format!(
            "{PACKAGE}.CreateOrderRequest.payment_processing_parameters"
        ))
        .boxed(format!("{PACKAGE}.CreateOrderResponse.result.order"))
        .boxed(format!("{PACKAGE}.Order.payment_information"))
        .compile_fds(protos.file_descriptor_set())?;
    compile_operator()
}

/// Compiles the operator's services. Only the client is generated: the server decodes messages within its budget of
/// bytes itself.
fn compile_operator() -> Result<(), Box<dyn Error>> {
    let mut protos = protox::Compiler::new(["proto"])?;
    protos.include_imports(true).include_source_info(true);
    for service in OPERATOR_SERVICES {
        protos.open_file(service)?;
    }
    let published = protos.encode_file_descriptor_set();
    fs::write(out_dir()?.join("operator_service.bin"), &published)?;
    pbjson_build::Builder::new()
        .register_descriptors(&published)?
        .preserve_proto_field_names()
        .btree_map(["."])
        .extern_path(WELL_KNOWN.0, WELL_KNOWN.1)
        .build(&[OPERATOR_PACKAGE])?;
    fs::write(
        out_dir()?.join("operator_parameters.rs"),
        parameters(&protos.descriptor_pool())?,
    )?;
    fs::write(
        out_dir()?.join("operator_schema.rs"),
        schema(&OPERATOR, &operator_requests(&protos.descriptor_pool()))?,
    )?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        // Otherwise their place is taken by types without a JSON form.
        .compile_well_known_types(true)
        .btree_map(".")
        .extern_path(WELL_KNOWN.0, WELL_KNOWN.1)
        .compile_fds(protos.file_descriptor_set())?;
    Ok(())
}

/// The fields of the operator's requests as parameters of a query, by the name of the message.
fn parameters(pool: &DescriptorPool) -> Result<String, std::fmt::Error> {
    let mut table = String::from("pub(super) const PARAMETERS: &[(&str, &[Parameter])] = &[");
    for message in pool.all_messages() {
        let is_request = message.package_name() == &OPERATOR_PACKAGE[1..]
            && message.parent_message().is_none()
            && message.name().ends_with("Request");
        if is_request {
            write!(table, "({:?}, &[", message.name())?;
            write_parameters(&mut table, &message, "")?;
            writeln!(table, "]),")?;
        }
    }
    table.push_str("];\n");
    write!(table, "pub(super) const METHODS: &[(&str, &str)] = &[")?;
    for service in pool.services() {
        for method in service.methods() {
            write!(table, "({:?}, {:?}),", service.full_name(), method.name())?;
        }
    }
    write!(
        table,
        "];\n#[cfg(test)]\npub(super) const ORDER_FIELDS: &[&str] = &["
    )?;
    let order = pool.get_message_by_name(&format!("{}.Order", &OPERATOR_PACKAGE[1..]));
    for field in order.iter().flat_map(MessageDescriptor::fields) {
        write!(table, "{:?},", field.name())?;
    }
    table.push_str("];\n");
    Ok(table)
}

/// Writes the fields of a message that a query can have, those of a message within it behind its name and a dot.
fn write_parameters(
    table: &mut String,
    message: &MessageDescriptor,
    within: &str,
) -> std::fmt::Result {
    for field in message.fields() {
        let path = format!("{within}{}", field.name());
        // Choices, enums and further kinds have no form in a query yet: such requests are sent as JSON.
        if field.containing_oneof().is_some() {
            continue;
        }
        let kind = match field.kind() {
            Kind::String if field.is_list() => "TextList",
            Kind::String => "Text",
            Kind::Bool => "Flag",
            // The name of a variant.
            Kind::Enum(_) if !field.is_list() => "Text",
            Kind::Int32 | Kind::Uint32 | Kind::Int64 if !field.is_list() => "Number",
            Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => "Time",
            Kind::Message(inner) if inner.full_name() == "google.protobuf.FieldMask" => "Mask",
            Kind::Message(inner)
                if !field.is_list() && inner.package_name() == &OPERATOR_PACKAGE[1..] =>
            {
                write_parameters(table, &inner, &format!("{path}."))?;
                continue;
            }
            Kind::Double
            | Kind::Float
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Bytes
            | Kind::Message(_)
            | Kind::Enum(_) => continue,
        };
        write!(
            table,
            "Parameter {{ path: {path:?}, kind: ParameterKind::{kind} }},"
        )?;
    }
    Ok(())
}

/// Messages that the reader of JSON reads.
struct Contract {
    /// The module of their types, as the generated statics name it.
    module: &'static str,
    /// Whether members that they do not have are skipped.
    is_open: bool,
}

/// Callers may be of a later version of their contract.
const BOOKING: Contract = Contract {
    module: "v3",
    is_open: true,
};

/// People write requests of operators by hand, and a member that was mistyped must not be passed over.
const OPERATOR: Contract = Contract {
    module: "v1",
    is_open: false,
};

/// All messages of a package.
fn messages_of(pool: &DescriptorPool, package: &str) -> Vec<MessageDescriptor> {
    let messages = pool.all_messages();
    messages
        .filter(|message| message.package_name() == &package[1..])
        .collect()
}

/// The operator's requests and the messages within them. Answers have kinds of fields that no reader needs to know.
fn operator_requests(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    let mut found = messages_of(pool, OPERATOR_PACKAGE);
    found.retain(|message| {
        message.parent_message().is_none() && message.name().ends_with("Request")
    });
    let mut at = 0;
    // Grows while it is gone through, until no message brings a new one.
    while let Some(message) = found.get(at).cloned() {
        for field in message.fields() {
            if let Kind::Message(within) = field.kind()
                && within.package_name() == &OPERATOR_PACKAGE[1..]
                && !found.contains(&within)
            {
                found.push(within);
            }
        }
        at += 1;
    }
    found
}

/// Messages as statics, with the enums of their fields.
fn schema(contract: &Contract, messages: &[MessageDescriptor]) -> Result<String, Box<dyn Error>> {
    let mut schema = String::new();
    let mut enums: Vec<EnumDescriptor> = Vec::new();
    for message in messages.iter().filter(|message| !message.is_map_entry()) {
        write_message(&mut schema, contract, message)?;
        for field in message.fields() {
            if let Kind::Enum(found) = field.kind()
                && !enums.contains(&found)
            {
                write_enum(&mut schema, &found)?;
                enums.push(found);
            }
        }
    }
    Ok(schema)
}

/// The name of the static of a message or an enum.
fn static_name(full_name: &str) -> String {
    let packages = [PACKAGE, OPERATOR_PACKAGE];
    let mut within = packages
        .iter()
        .filter_map(|package| full_name.strip_prefix(&package[1..]));
    within
        .next()
        .unwrap_or(full_name)
        .trim_start_matches('.')
        .replace('.', "_")
        .to_uppercase()
}

fn write_enum(schema: &mut String, found: &EnumDescriptor) -> std::fmt::Result {
    let values: Vec<_> = found
        .values()
        .map(|value| (value.name().to_owned(), value.number()))
        .collect();
    let name = static_name(found.full_name());
    writeln!(
        schema,
        "static {name}: EnumSchema = EnumSchema {{ values: &{values:?} }};"
    )
}

fn write_message(
    schema: &mut String,
    Contract { module, is_open }: &Contract,
    message: &MessageDescriptor,
) -> Result<(), Box<dyn Error>> {
    let fields = message.fields().len();
    if fields > MAX_FIELDS {
        return Err(format!(
            "the reader of JSON knows at most {MAX_FIELDS} fields of a message, and {} has {fields}",
            message.full_name()
        )
        .into());
    }
    let choices: Vec<_> = message
        .oneofs()
        .map(|choice| choice.name().to_owned())
        .collect();
    let (name, short) = (static_name(message.full_name()), message.name());
    writeln!(
        schema,
        "static {name}: MessageSchema = MessageSchema {{ name: {short:?}, is_open: {is_open}, choices: &{choices:?}, fields: &["
    )?;
    for field in message.fields() {
        let (name, json_name, number) = (field.name(), field.json_name(), field.number());
        let (kind, is_list) = (kind(&field)?, field.is_list());
        let choice = field.containing_oneof();
        let choice =
            choice.and_then(|choice| choices.iter().position(|known| known == choice.name()));
        writeln!(
            schema,
            "FieldSchema {{ name: {name:?}, json_name: {json_name:?}, number: {number}, kind: {kind}, \
             is_list: {is_list}, choice: {choice:?} }},"
        )?;
    }
    writeln!(schema, "] }};")?;
    // Nested messages are no requests, and their types have other names than the messages.
    if message.parent_message().is_none() && !short.contains("3DS1") && !short.contains("ThreeDS1")
    {
        writeln!(
            schema,
            "impl Described for {module}::{short} {{ const SCHEMA: &'static MessageSchema = &{name}; }}"
        )?;
    }
    Ok(())
}

/// What a field has, as the reader calls it.
fn kind(field: &FieldDescriptor) -> Result<String, Box<dyn Error>> {
    match field.kind() {
        Kind::String => Ok("FieldKind::Text".to_owned()),
        Kind::Bool => Ok("FieldKind::Boolean".to_owned()),
        Kind::Int32 => Ok("FieldKind::Int32".to_owned()),
        Kind::Int64 => Ok("FieldKind::Int64".to_owned()),
        Kind::Uint32 => Ok("FieldKind::Uint32".to_owned()),
        Kind::Enum(found) => Ok(format!(
            "FieldKind::Enum(&{})",
            static_name(found.full_name())
        )),
        Kind::Message(entry) if entry.is_map_entry() => {
            let is_text = |field: FieldDescriptor| field.kind() == Kind::String;
            if is_text(entry.map_entry_key_field()) && is_text(entry.map_entry_value_field()) {
                return Ok("FieldKind::Texts".to_owned());
            }
            Err(format!(
                "the reader of JSON does not know maps like {}",
                field.full_name()
            )
            .into())
        }
        Kind::Message(time) if time.full_name() == "google.protobuf.Timestamp" => {
            Ok("FieldKind::Time".to_owned())
        }
        Kind::Message(mask) if mask.full_name() == "google.protobuf.FieldMask" => {
            Ok("FieldKind::Mask".to_owned())
        }
        Kind::Message(message) => Ok(format!(
            "FieldKind::Message(&{})",
            static_name(message.full_name())
        )),
        other @ (Kind::Double
        | Kind::Float
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed32
        | Kind::Sfixed64
        | Kind::Bytes) => Err(format!(
            "the reader of JSON does not know {other:?}, as {} is",
            field.full_name()
        )
        .into()),
    }
}

fn out_dir() -> Result<PathBuf, Box<dyn Error>> {
    Ok(variable("OUT_DIR")
        .ok_or("Cargo says where to write")?
        .into())
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
        None => by_git().map_or_else(
            || (packaged(), None),
            |(commit, date)| (Some(commit), Some(date)),
        ),
    };
    let date = variable("SOURCE_DATE_EPOCH")
        .and_then(|seconds| date(&seconds))
        .or(committed);
    let known: Vec<String> = commit.into_iter().chain(date).collect();
    if known.is_empty() {
        version.to_owned()
    } else {
        format!("{version} ({})", known.join(" "))
    }
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
        if let Some(path) =
            git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists())
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for sources in ["src", "crates", "build.rs", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={sources}");
    }
    let format = format!("--abbrev={COMMIT_LETTERS}");
    let shown = git(&["show", "--no-patch", &format, "--format=%h %cs", "HEAD"])?;
    let (commit, date) = shown.split_once(' ')?;
    let is_changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some((
        format!("{commit}{}", if is_changed { "+changes" } else { "" }),
        date.to_owned(),
    ))
}

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("--no-optional-locks")
        .args(words)
        .output()
        .ok()?;
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

/// The UTC date of a number of seconds since 1970.
fn date(seconds: &str) -> Option<String> {
    let days = seconds.trim().parse::<u64>().ok()? / 86_400;
    // Years of 365 or 366 days are few enough to be gone through.
    let mut year = 1970;
    let mut left = days;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
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
