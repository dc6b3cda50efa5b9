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
    /// Listening and threads.
    serving: Serving {
        /// Address of the callers' port; port 0 takes any free one.
        listen: SocketAddr = "127.0.0.1:50051", IpAndPort;
        /// Address of the admin listener, plain and without passwords, so never public; `off` closes it.
        admin_listen: Option<SocketAddr> = "127.0.0.1:50052", OrOff(IpAndPort);
        /// Address of the operator's services, with TLS where the callers' port has it; beyond this machine only with
        /// `operator_credentials`; `off` closes it.
        operator_listen: Option<SocketAddr> = "127.0.0.1:50053", OrOff(IpAndPort);
        /// Threading model: `per-core` gives each thread connections of its own; `shared` lets all
        /// threads serve all connections, which is better for a few busy ones.
        runtime: RuntimeChoice = "per-core",
            OneOf(&[("per-core", RuntimeChoice::PerCore), ("shared", RuntimeChoice::Shared)]);
        /// Threads that serve calls; 0 means one per core.
        workers: Option<usize> = "0", ZeroIsNone(WholeNumber(0..=1024));
        /// Threads of lower priority for the operator's services, for which callers do not wait.
        background_threads: usize = "2", WholeNumber(1..=64);
        /// Path in front of the `/v3/` of REST, if a proxy does not remove it.
        rest_base_path: String = "/", BasePath;
        /// Host names of the server, at all addresses; a request to another name is rejected
        /// (421), which excludes pages whose name was rebound to this address. Requests to IP
        /// addresses and to `localhost` are always accepted.
        allowed_hosts: Option<Vec<String>> = "off", OrOff(HostNames);
    }

    /// TLS and authentication.
    security: Security {
        /// PEM file with the server's certificate chain, the server's own certificate first; with
        /// it and `tls_key` all calls require TLS.
        tls_certificate: Option<PathBuf> = "off", OrOff(FilePath);
        /// PEM file with the private key of `tls_certificate`.
        tls_key: Option<PathBuf> = "off", OrOff(FilePath);
        /// Maximum duration of a TLS handshake.
        tls_handshake_timeout: Duration = "10s", DurationRange("10ms", "1h");
        /// PEM file with the authorities of client certificates, which gRPC callers must then
        /// present, and REST callers too without `credentials`.
        client_ca: Option<PathBuf> = "off", OrOff(FilePath);
        /// Accepted subject alternative names (DNS or URI); a client certificate must carry at
        /// least one.
        client_names: Option<Vec<String>> = "off", OrOff(CertificateNames);
        /// TOML file of users and their password hashes; all calls must then carry a password.
        credentials: Option<PathBuf> = "off", OrOff(FilePath);
        /// TOML file of users of the operator's services, with their password hashes and roles; without it nobody is
        /// asked for a password there.
        operator_credentials: Option<PathBuf> = "off", OrOff(FilePath);
        /// Maximum concurrent Argon2 verifications of credentials that are not cached yet; each
        /// occupies one core.
        max_password_checks: usize = "1", WholeNumber(1..=64);
        /// Whether health is public, without password and certificate.
        health_open: bool = "true", OneOf(&[("true", true), ("false", false)]);
        /// Interval at which the files of these settings are checked for changes, which are then
        /// loaded; 0 means never.
        security_watch: Option<Duration> = "5s", ZeroIsNone(DurationRange("0s", "1h"));
    }

    /// Limits per caller: the user, else the client certificate's name, else the address.
    callers: Callers {
        /// Calls per second of one caller; 0 means unlimited.
        caller_rate: Option<u32> = "0", ZeroIsNone(WholeNumber(0..=1_000_000));
        /// Calls that a caller may make at once after a pause, if `caller_rate` is set.
        caller_burst: NonZeroU32 = "100", WholeNumber(NonZeroU32::MIN..=MAX_BURST);
        /// Concurrent calls of one caller; 0 means unlimited.
        caller_max_in_flight: Option<usize> = "0", ZeroIsNone(WholeNumber(0..=1_000_000));
    }

    /// Catalogue, orders and payments.
    sales: Sales {
        /// Directory of the catalogue.
        catalog: PathBuf = "examples/catalog", DirectoryPath;
        /// Interval at which the catalogue is checked for changes, which are then loaded; 0 means
        /// never.
        catalog_watch: Option<Duration> = "5s", ZeroIsNone(DurationRange("0s", "1h"));
        /// How far ahead recurring availability is opened.
        availability_horizon: Duration = "400d", DurationRange("1d", "3650d");
        /// Maximum number of line items of an order.
        max_items_per_order: usize = "100", WholeNumber(1..=10_000);
        /// Maximum number of slots of a lookup.
        max_slots_per_lookup: usize = "10000", WholeNumber(1..=1_000_000);
        /// Payment gateway; with `off` there is none, and an order that asks for a charge fails;
        /// `simulated` takes no money and confirms orders as paid, by the payment token, for trials
        /// only.
        payments: PaymentsChoice = "off",
            OneOf(&[("off", PaymentsChoice::Off), ("simulated", PaymentsChoice::Simulated)]);
        /// Time within which a charge must have an outcome; shorter than `call_timeout`.
        payment_timeout: Duration = "10s", DurationRange("1ms", "1h");
        /// TOML file with the lifecycle of orders, read at the start and on SIGHUP; `off`: the one that operators have
        /// published, at first the one that is built in.
        lifecycle: Option<PathBuf> = "off", OrOff(FilePath);
    }

    /// Steps of orders in the outside world.
    steps: Steps {
        /// Maximum number of steps and timers of orders at work at once.
        steps_at_once: usize = "64", WholeNumber(1..=10_000);
        /// Maximum duration of an attempt at a refund.
        steps_refund_attempt_timeout: Duration = "2m", DurationRange("1s", "1h");
        /// Pause after the first attempt at a refund.
        steps_refund_first_wait: Duration = "5s", DurationRange("1s", "1d");
        /// How many times longer each further pause is.
        steps_refund_factor: u32 = "2", WholeNumber(1..=10);
        /// Longest pause between attempts at a refund.
        steps_refund_longest_wait: Duration = "1h", DurationRange("1s", "7d");
        /// Time after which a refund is given up.
        steps_refund_give_up_after: Duration = "7d", DurationRange("1s", "365d");
        /// Attempts after which a refund is given up.
        steps_refund_max_attempts: u32 = "1000", WholeNumber(1..=1_000_000);
        /// Maximum duration of an attempt at a void, a capture or a charge in the background.
        steps_payment_attempt_timeout: Duration = "2m", DurationRange("1s", "1h");
        /// Pause after the first attempt at a void, a capture or a charge in the background.
        steps_payment_first_wait: Duration = "5s", DurationRange("1s", "1d");
        /// How many times longer each further pause is.
        steps_payment_factor: u32 = "2", WholeNumber(1..=10);
        /// Longest pause between attempts at a void, a capture or a charge in the background.
        steps_payment_longest_wait: Duration = "5m", DurationRange("1s", "7d");
        /// Time after which a void, a capture or a charge in the background is given up.
        steps_payment_give_up_after: Duration = "1d", DurationRange("1s", "365d");
        /// Attempts after which a void, a capture or a charge in the background is given up.
        steps_payment_max_attempts: u32 = "1000", WholeNumber(1..=1_000_000);
        /// Maximum duration of an attempt at a step of your own.
        steps_custom_attempt_timeout: Duration = "30s", DurationRange("1s", "1h");
        /// Pause after the first attempt at a step of your own.
        steps_custom_first_wait: Duration = "1s", DurationRange("1s", "1d");
        /// How many times longer each further pause is.
        steps_custom_factor: u32 = "2", WholeNumber(1..=10);
        /// Longest pause between attempts at a step of your own.
        steps_custom_longest_wait: Duration = "100s", DurationRange("1s", "7d");
        /// Time after which a step of your own is given up.
        steps_custom_give_up_after: Duration = "1d", DurationRange("1s", "365d");
        /// Attempts after which a step of your own is given up.
        steps_custom_max_attempts: u32 = "1000", WholeNumber(1..=1_000_000);
    }

    /// Storage.
    storage: Storage {
        /// Store of orders: `embedded` on disk, `memory` until the process ends.
        store: StoreChoice = "embedded",
            OneOf(&[("embedded", StoreChoice::Embedded), ("memory", StoreChoice::Memory)]);
        /// Directory of the embedded store.
        data_dir: PathBuf = "./boxoffice-data", DirectoryPath;
        /// Whether a start without an existing store fails, so that an unmounted volume is not
        /// taken for a new shop; not for the very first start.
        store_must_exist: bool = "false", OneOf(&[("true", true), ("false", false)]);
        /// Maximum number of orders that share one write to disk.
        commit_batch_max: usize = "1024", WholeNumber(1..=100_000);
        /// Whether `/backup` on the admin listener hands out the embedded store, with all personal data in it, to
        /// `boxoffice backup create --from`.
        admin_backup: bool = "false", OneOf(&[("true", true), ("false", false)]);
        /// Whether `/customers` on the admin listener exports and erases the personal data of customers, for
        /// `boxoffice customers --from`.
        admin_customers: bool = "false", OneOf(&[("true", true), ("false", false)]);
        /// Time after the end of a visit at which the personal data of its order is erased, for good;
        /// `off`: never.
        customer_retention: Option<Duration> = "off", OrOff(DurationRange("1d", "36500d"));
    }

    /// Limits per call.
    calls: Calls {
        /// Maximum number of calls in flight, each until its response has been sent, and of
        /// incomplete requests; more are rejected.
        max_in_flight: usize = "1024", WholeNumber(1..=1_000_000);
        /// Maximum size of a request.
        max_request_bytes: usize = "1048576", ByteSize("1KiB", "1GiB");
        /// Byte budget of all requests that are incomplete, or long and not answered yet; more are
        /// rejected.
        max_request_bytes_in_flight: usize = "67108864", ByteSize("64KiB", "1GiB");
        /// Maximum size of a response, as it is sent.
        max_response_bytes: usize = "16777216", ByteSize("1KiB", "1GiB");
        /// Byte budget of all long responses that are being made or sent; more are rejected.
        max_response_bytes_in_flight: usize = "268435456", ByteSize("64KiB", "1GiB");
        /// Maximum duration of a call, even if its caller would wait longer, and the time after
        /// which a stalled response is reset.
        call_timeout: Duration = "30s", DurationRange("1ms", "1h");
    }

    /// Limits of connections.
    connections: Connections {
        /// Maximum number of open connections; beyond it the longest idle one is closed for a new
        /// one. Few file descriptors lower it.
        max_connections: usize = "10000", WholeNumber(1..=1_000_000);
        /// Maximum number of open connections from one address (for IPv6, one network of 64 bits);
        /// 0 means half of `max_connections`. Beyond it the longest idle one of that address is
        /// closed for a new one.
        max_connections_per_address: Option<usize> = "0", ZeroIsNone(WholeNumber(0..=1_000_000));
        /// Maximum number of concurrent calls on one connection.
        max_streams_per_connection: u32 = "256", WholeNumber(1..=1_000_000);
        /// Maximum size of the head of a request.
        max_header_bytes: usize = "16384", ByteSize("1KiB", "1MiB");
        /// Maximum number of headers of a request.
        max_headers: usize = "100", WholeNumber(1..=1_000);
        /// Time without a call after which a connection is closed, even if it answers pings.
        idle_timeout: Duration = "10m", DurationRange("10ms", "30d");
        /// Time without traffic after which a connection is pinged.
        keepalive_interval: Duration = "30s", DurationRange("10ms", "1d");
        /// Time within which a ping must be answered before the connection is closed.
        keepalive_timeout: Duration = "10s", DurationRange("10ms", "1h");
        /// Age at which a connection is asked to end, plus or minus a tenth; 0 means never.
        max_connection_age: Option<Duration> = "30m", ZeroIsNone(DurationRange("0s", "30d"));
        /// Time for calls to finish after that.
        max_connection_age_grace: Duration = "30s", DurationRange("0s", "1h");
    }

    /// Shutdown.
    shutdown: Shutdown {
        /// Time for which calls are still accepted after health reports the shutdown, so that load
        /// balancers notice it.
        drain_delay: Duration = "2s", DurationRange("0s", "1h");
        /// Time for calls in flight to finish after that.
        drain_timeout: Duration = "30s", DurationRange("0s", "1h");
    }

    /// Logging.
    logging: Logging {
        /// Filter of log events.
        log: String = "info", LogFilter;
        /// Audit log of orders, lists and rejected access: a file of JSON lines, reopened on
        /// SIGHUP, or `stderr` among the events of the log.
        audit_log: AuditLog = "off", AuditDestination;
        /// Format of log events; `auto` means `human` on a terminal and `json` elsewhere.
        log_format: LogFormat = "auto",
            OneOf(&[("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)]);
    }

    /// Tracing.
    tracing: Tracing {
        /// Collector of traces, over OTLP with gRPC and without TLS, so close by; `off` disables
        /// traces.
        trace_endpoint: Option<String> = "off", OrOff(HttpEndpoint);
        /// Share of calls that are traced, if the caller has not decided.
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
