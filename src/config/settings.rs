//! The one table of settings. Flags, variables, file keys, help and documentation come from it.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use super::{
    kinds::{
        AuditDestination, AuditLog, BasePath, ByteSize, CertificateNames, DirectoryPath,
        DurationRange, FilePath, Fraction, HostNames, HttpEndpoint, IpAndPort, LogFilter, OneOf,
        OrOff, SamplingRatio, ValueKind, WholeNumber, ZeroIsNone,
    },
    layers::Layers,
    setting::Setting,
};

/// Where the orders are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreChoice {
    /// On the disk of this machine.
    Embedded,
    /// Nowhere: for trying out and for tests.
    Memory,
}

/// How the threads share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// Each thread serves its own connections.
    PerCore,
    /// All threads serve all connections.
    Shared,
}

/// Who takes the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentsChoice {
    /// Nobody: an order that asks us to charge is not created.
    Off,
    /// Nobody: outcomes follow from the payment token, and orders are confirmed as paid.
    Simulated,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The most calls that a caller may make at once after a rest.
const MAX_BURST: NonZeroU32 = NonZeroU32::new(1_000_000).expect("it is not zero");

/// Makes `Config`, its parts and the list of all settings from entries of the form
/// `/// What it does.` `name: Type = "default", Kind;`.
macro_rules! settings {
    ($(
        $(#[doc = $part_doc:literal])+
        $part:ident: $Part:ident {$(
            $(#[doc = $doc:literal])+
            $name:ident: $Type:ty = $default:literal, $kind:expr;
        )+}
    )+) => {
        /// All settings of a server.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {$(
            $(#[doc = $part_doc])+
            pub $part: $Part,
        )+}

        impl Config {
            pub(super) fn read(layers: &mut Layers) -> Self {
                Self {$(
                    $part: $Part {$(
                        $name: layers.value(stringify!($name), &$kind, $default),
                    )+},
                )+}
            }
        }

        $(
            $(#[doc = $part_doc])+
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $Part {$(
                $(#[doc = $doc])+
                pub $name: $Type,
            )+}

            impl $Part {
                /// What this part is about, in a sentence.
                const ABOUT: &str = concat!($($part_doc),+).trim_ascii();
            }
        )+

        /// All settings, in the order of the documentation.
        pub(super) const SETTINGS: &[Setting] = &[$($(
            Setting {
                name: stringify!($name),
                group: $Part::ABOUT,
                default: $default,
                label: || $kind.label(),
                takes: || $kind.takes(),
                accepts: |text| $kind.read(text).is_some(),
                doc: concat!($($doc),+).trim_ascii(),
            },
        )+)+];
    };
}

settings! {
    /// Where and how the server listens.
    serving: Serving {
        /// Address to listen on; port 0 takes any free one.
        listen: SocketAddr = "127.0.0.1:50051", IpAndPort;
        /// Address for those who run the server, plain and without passwords, so not for the world;
        /// `off` closes it.
        admin_listen: Option<SocketAddr> = "127.0.0.1:50052", OrOff(IpAndPort);
        /// Whether each thread serves connections of its own, or all threads serve all of them, which
        /// is better for a few busy ones.
        runtime: RuntimeChoice = "per-core",
            OneOf(&[("per-core", RuntimeChoice::PerCore), ("shared", RuntimeChoice::Shared)]);
        /// Threads that serve calls; 0 means one for each core.
        workers: Option<usize> = "0", ZeroIsNone(WholeNumber(0..=1024));
        /// Path in front of the `/v3/` of REST, where a proxy does not take it off.
        rest_base_path: String = "/", BasePath;
        /// Host names under which the server is called, at both addresses; a request that names
        /// another is rejected (421), which keeps out pages whose name was rebound to this address.
        /// Requests to IP addresses and to `localhost` are always taken.
        allowed_hosts: Option<Vec<String>> = "off", OrOff(HostNames);
    }

    /// Who may call, and what others on the way can read.
    security: Security {
        /// PEM file of the server's certificates, its own first; with it and `tls_key` all calls come
        /// over TLS.
        tls_certificate: Option<PathBuf> = "off", OrOff(FilePath);
        /// PEM file of the private key of `tls_certificate`.
        tls_key: Option<PathBuf> = "off", OrOff(FilePath);
        /// How long the other end may take to agree on TLS.
        tls_handshake_timeout: Duration = "10s", DurationRange("10ms", "1h");
        /// PEM file of the authorities for client certificates, which gRPC callers then have to show,
        /// and REST callers too if there are no `credentials`.
        client_ca: Option<PathBuf> = "off", OrOff(FilePath);
        /// Names of which a client certificate has to have one.
        client_names: Option<Vec<String>> = "off", OrOff(CertificateNames);
        /// TOML file of users and their passwords, which all calls then have to carry.
        credentials: Option<PathBuf> = "off", OrOff(FilePath);
        /// Passwords that are looked at at once when they are seen for the first time, each by a core.
        max_password_checks: usize = "1", WholeNumber(1..=64);
        /// Whether health is told to everyone, without password and certificate.
        health_open: bool = "true", OneOf(&[("true", true), ("false", false)]);
        /// How often the files of these settings are looked at for changes, which are then read; 0
        /// means never.
        security_watch: Option<Duration> = "5s", ZeroIsNone(DurationRange("0s", "1h"));
    }

    /// Bounds of one caller: the user, else the client certificate's name, else the address.
    callers: Callers {
        /// Calls a second of one caller; 0 means any number.
        caller_rate: Option<u32> = "0", ZeroIsNone(WholeNumber(0..=1_000_000));
        /// Calls that a caller may make at once after a rest, where there is a `caller_rate`.
        caller_burst: NonZeroU32 = "100", WholeNumber(NonZeroU32::MIN..=MAX_BURST);
        /// Calls of one caller served at once; 0 means any number.
        caller_max_in_flight: Option<usize> = "0", ZeroIsNone(WholeNumber(0..=1_000_000));
    }

    /// What is sold.
    sales: Sales {
        /// Directory of the catalogue files.
        catalog: PathBuf = "examples/catalog", DirectoryPath;
        /// How often the catalogue's files are looked at for changes, which are then read; 0 means
        /// never.
        catalog_watch: Option<Duration> = "5s", ZeroIsNone(DurationRange("0s", "1h"));
        /// How far ahead recurring availability is opened.
        availability_horizon: Duration = "400d", DurationRange("1d", "3650d");
        /// Line items that one order may have.
        max_items_per_order: usize = "100", WholeNumber(1..=10_000);
        /// Slots that may be looked up in one call.
        max_slots_per_lookup: usize = "10000", WholeNumber(1..=1_000_000);
        /// Who takes the money; with `off` nobody does, and an order that asks for a charge fails;
        /// `simulated` takes none and confirms orders as paid, by the payment token, for trying out only.
        payments: PaymentsChoice = "off",
            OneOf(&[("off", PaymentsChoice::Off), ("simulated", PaymentsChoice::Simulated)]);
        /// Time within which a charge must have an outcome; shorter than `call_timeout`.
        payment_timeout: Duration = "10s", DurationRange("1ms", "1h");
    }

    /// How orders are kept.
    storage: Storage {
        /// Where orders are kept: `embedded` on disk, `memory` nowhere.
        store: StoreChoice = "embedded",
            OneOf(&[("embedded", StoreChoice::Embedded), ("memory", StoreChoice::Memory)]);
        /// Directory that the embedded store keeps its files in.
        data_dir: PathBuf = "./boxoffice-data", DirectoryPath;
        /// Whether a start fails where there is no store yet, so that a volume that is not mounted is not
        /// taken for a new shop; not for the very first start.
        store_must_exist: bool = "false", OneOf(&[("true", true), ("false", false)]);
        /// Orders that may share one write to disk.
        commit_batch_max: usize = "1024", WholeNumber(1..=100_000);
    }

    /// Bounds of a call.
    calls: Calls {
        /// Calls served at once, each until its response has been sent, and requests that may be
        /// incomplete at once; more are refused.
        max_in_flight: usize = "1024", WholeNumber(1..=1_000_000);
        /// The longest request.
        max_request_bytes: usize = "1048576", ByteSize("1KiB", "1GiB");
        /// Bytes of all requests that are incomplete, or long and not answered yet; more are refused.
        max_request_bytes_in_flight: usize = "67108864", ByteSize("64KiB", "1GiB");
        /// The longest response, as it is sent.
        max_response_bytes: usize = "16777216", ByteSize("1KiB", "1GiB");
        /// Bytes of all long responses that are being made or sent; more are refused.
        max_response_bytes_in_flight: usize = "268435456", ByteSize("64KiB", "1GiB");
        /// Time within which a call is answered, even if its caller would wait longer, and after which a
        /// response is reset of which its caller takes nothing.
        call_timeout: Duration = "30s", DurationRange("1ms", "1h");
    }

    /// Bounds of the connections.
    connections: Connections {
        /// Connections open at once; beyond that the longest idle one is closed for a newcomer. Where file
        /// descriptors are few, there are fewer.
        max_connections: usize = "10000", WholeNumber(1..=1_000_000);
        /// Connections open at once from one address (of IPv6, one network of 64 bits); 0 means half of
        /// all. Beyond that the longest idle one of that address is closed for a newcomer.
        max_connections_per_address: Option<usize> = "0", ZeroIsNone(WholeNumber(0..=1_000_000));
        /// Calls at once on one connection.
        max_streams_per_connection: u32 = "256", WholeNumber(1..=1_000_000);
        /// The longest head of a request.
        max_header_bytes: usize = "16384", ByteSize("1KiB", "1MiB");
        /// Headers that a request may have.
        max_headers: usize = "100", WholeNumber(1..=1_000);
        /// How long a connection may go without a call, even if it gives signs of life.
        idle_timeout: Duration = "10m", DurationRange("10ms", "30d");
        /// How long a connection is quiet before it is asked for a sign of life.
        keepalive_interval: Duration = "30s", DurationRange("10ms", "1d");
        /// How long that sign may take before the connection is closed.
        keepalive_timeout: Duration = "10s", DurationRange("10ms", "1h");
        /// Age at which a connection is asked to end, give or take a tenth; 0 means never.
        max_connection_age: Option<Duration> = "30m", ZeroIsNone(DurationRange("0s", "30d"));
        /// How long calls may go on after that.
        max_connection_age_grace: Duration = "30s", DurationRange("0s", "1h");
    }

    /// How the server stops.
    shutdown: Shutdown {
        /// How long to go on serving after reporting that it stops, for load balancers to notice.
        drain_delay: Duration = "2s", DurationRange("0s", "1h");
        /// How long calls may then take to end.
        drain_timeout: Duration = "30s", DurationRange("0s", "1h");
    }

    /// What is logged.
    logging: Logging {
        /// Which events are logged.
        log: String = "info", LogFilter;
        /// Where it is recorded who orders, lists and is kept out: a file of JSON lines, which SIGHUP has
        /// opened anew, or `stderr` among the events of the log.
        audit_log: AuditLog = "off", AuditDestination;
        /// How events are written; `auto` means `human` on a terminal and `json` elsewhere.
        log_format: LogFormat = "auto",
            OneOf(&[("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)]);
    }

    /// What is traced.
    tracing: Tracing {
        /// Where traces are sent, over OTLP with gRPC and without TLS, so to a collector close by; `off`
        /// makes none.
        trace_endpoint: Option<String> = "off", OrOff(HttpEndpoint);
        /// Which share of the calls is traced, where the caller has not decided that.
        trace_sampling: SamplingRatio = "1", Fraction;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_single_and_free_of_other_meanings() {
        let names: HashSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len());
        for taken in ["config", "help", "version"] {
            assert!(!names.contains(taken), "{taken}");
        }
    }

    #[test]
    fn every_setting_is_described_in_sentences() {
        for setting in SETTINGS {
            assert!(
                setting.doc.ends_with('.') && !setting.doc.contains("  "),
                "{}",
                setting.name
            );
            assert!(!(setting.takes)().contains('|'), "{}", setting.name);
        }
    }
}
