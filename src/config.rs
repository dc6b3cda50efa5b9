//! Settings from defaults, a file, the environment and flags, each layer over the one before.
//!
//! Each setting has one name. `max_in_flight` in the file is `BOXOFFICE_MAX_IN_FLIGHT` in the
//! environment and `--max-in-flight` on the command line, with the same values. A table in the file stands for the beginning
//! of names: `factor` in `[steps.refund]` is `steps_refund_factor`. All errors are
//! reported together, including those in values that a later layer overrides.

mod flags;
mod kinds;
mod layers;
mod markdown;
mod setting;
mod settings;

use std::{ffi::OsString, io, path::Path, time::Duration};

pub use self::{
    flags::{Flags, args, names},
    kinds::{AuditLog, SamplingRatio},
    layers::EffectiveSetting,
    markdown::table,
    settings::{
        Callers, Calls, Config, Connections, LogFormat, Logging, PaymentsChoice, RuntimeChoice,
        Sales, Security, Serving, Shutdown, Steps, Storage, StoreChoice, Tracing,
    },
};
use self::{layers::Layers, settings::SETTINGS};
use kernel::diagnostics::Diagnostics;

/// The variable with user name and password for commands that ask a running server; no setting of a server.
pub const LOGIN_VARIABLE: &str = "BOXOFFICE_LOGIN";

/// The environment of this process.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

impl Config {
    /// The settings of these layers. `read_file` is called with the path that the flags or else the
    /// environment name, if they do.
    ///
    /// # Errors
    ///
    /// With everything that is wrong in any layer.
    pub fn from_layers(
        flags: Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        read_file: impl FnOnce(&Path) -> io::Result<String>,
    ) -> Result<Self, Diagnostics> {
        Self::with_origins(flags, environment, read_file).map(|(config, _)| config)
    }

    /// These settings, and where the value of each comes from.
    ///
    /// # Errors
    ///
    /// With everything that is wrong in any layer.
    pub fn with_origins(
        flags: Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        read_file: impl FnOnce(&Path) -> io::Result<String>,
    ) -> Result<(Self, Vec<EffectiveSetting>), Diagnostics> {
        // Collected, because it is read twice: for the name of the file and for the values.
        let environment: Vec<_> = environment.into_iter().collect();
        let mut layers = Layers::of(SETTINGS);
        if let Some((location, path)) = flags.file().or_else(|| layers::file(&environment)) {
            match read_file(&path) {
                Ok(text) => layers.add_file(&path, &text),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    layers.add_unreadable_file(&path, &error);
                }
                // At the flag or the variable, which may name the wrong file.
                Err(error) => {
                    let text = format!("cannot read \"{}\": {error}", path.display());
                    layers.error("unreadable", location, text);
                }
            }
        }
        // The order of the layers is their precedence: the last value given counts.
        layers.add_environment(environment);
        flags.add_to(&mut layers);
        let config = Self::read(&mut layers);
        config.check(&mut layers);
        let effective = layers.effective();
        layers.into_diagnostics().unless_errors((config, effective))
    }

    /// Reports settings that contradict each other.
    fn check(&self, layers: &mut Layers) {
        let (payment, call) = (self.sales.payment_timeout, self.calls.call_timeout);
        // Otherwise every call that waits for a payment would end before the payment does.
        if payment >= call {
            let text = format!(
                "payment_timeout ({payment:?}) has to be shorter than call_timeout ({call:?})"
            );
            layers.contradiction(["payment_timeout", "call_timeout"], text);
        }
        self.calls.check(layers);
        self.security.check(layers);
        self.steps.check(layers);
        self.check_operator(layers);
    }
}

impl Config {
    /// Rejects an operator's listener that other machines reach and that asks nobody for a password: it shows customers.
    fn check_operator(&self, layers: &mut Layers) {
        let Some(address) = self.serving.operator_listen else {
            return;
        };
        if !address.ip().is_loopback() && self.security.operator_credentials.is_none() {
            let text = format!(
                "operator_listen ({address}) can be reached by other machines, so it needs operator_credentials"
            );
            layers.contradiction(["operator_listen", "operator_credentials"], text);
        }
    }
}

impl Calls {
    fn check(&self, layers: &mut Layers) {
        for (one, all, settings) in [
            (
                self.max_request_bytes,
                self.max_request_bytes_in_flight,
                ["max_request_bytes", "max_request_bytes_in_flight"],
            ),
            (
                self.max_response_bytes,
                self.max_response_bytes_in_flight,
                ["max_response_bytes", "max_response_bytes_in_flight"],
            ),
        ] {
            // Otherwise a request within its own limit could never be served.
            if one > all {
                let [name, budget] = settings;
                layers.contradiction(
                    settings,
                    format!("{name} ({one}) has to fit into {budget} ({all})"),
                );
            }
        }
    }
}

/// The settings of a kind of steps that bound each other: the first pause and the longest, an attempt and all of them.
type StepBounds = [(&'static str, Duration); 4];

impl Steps {
    fn bounds(&self) -> [StepBounds; 3] {
        [
            [
                ("steps_refund_first_wait", self.steps_refund_first_wait),
                ("steps_refund_longest_wait", self.steps_refund_longest_wait),
                (
                    "steps_refund_attempt_timeout",
                    self.steps_refund_attempt_timeout,
                ),
                (
                    "steps_refund_give_up_after",
                    self.steps_refund_give_up_after,
                ),
            ],
            [
                ("steps_payment_first_wait", self.steps_payment_first_wait),
                (
                    "steps_payment_longest_wait",
                    self.steps_payment_longest_wait,
                ),
                (
                    "steps_payment_attempt_timeout",
                    self.steps_payment_attempt_timeout,
                ),
                (
                    "steps_payment_give_up_after",
                    self.steps_payment_give_up_after,
                ),
            ],
            [
                ("steps_custom_first_wait", self.steps_custom_first_wait),
                ("steps_custom_longest_wait", self.steps_custom_longest_wait),
                (
                    "steps_custom_attempt_timeout",
                    self.steps_custom_attempt_timeout,
                ),
                (
                    "steps_custom_give_up_after",
                    self.steps_custom_give_up_after,
                ),
            ],
        ]
    }

    /// Rejects policies by which no step would be tried as they say.
    fn check(&self, layers: &mut Layers) {
        for [first, longest, attempt, all] in self.bounds() {
            for ((name, short), (bound, long)) in [(first, longest), (attempt, all)] {
                if short > long {
                    let text = format!("{name} ({short:?}) has to be at most {bound} ({long:?})");
                    layers.contradiction([name, bound], text);
                }
            }
        }
    }
}

impl Security {
    fn check(&self, layers: &mut Layers) {
        let (certificate, key) = (self.tls_certificate.is_some(), self.tls_key.is_some());
        let (authority, names) = (self.client_ca.is_some(), self.client_names.is_some());
        for (wrong, settings, text) in [
            (
                certificate != key,
                ["tls_certificate", "tls_key"],
                "tls_certificate and tls_key go together",
            ),
            (
                authority != names,
                ["client_ca", "client_names"],
                "client_ca and client_names go together",
            ),
            (
                authority && !certificate,
                ["client_ca", "tls_certificate"],
                "client_ca needs tls_certificate",
            ),
        ] {
            if wrong {
                layers.contradiction(settings, text.to_owned());
            }
        }
    }
}

/// The defaults of all settings.
impl Default for Config {
    fn default() -> Self {
        Self::read(&mut Layers::of(SETTINGS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{diagnostics::Diagnostic, files::text};

    const FILE: &str = "/etc/boxoffice.toml";

    fn load(
        flags: &[&str],
        environment: &[(&str, &str)],
        file: &str,
    ) -> Result<Config, Diagnostics> {
        let command = clap::Command::new("boxoffice").args(args());
        let matches = command
            .try_get_matches_from(["boxoffice"].iter().chain(flags))
            .unwrap();
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Config::from_layers(Flags::of(&matches), environment, |path| {
            assert_eq!(path, Path::new(FILE));
            Ok(file.to_owned())
        })
    }

    fn errors(flags: &[&str], environment: &[(&str, &str)], file: &str) -> String {
        let diagnostics = load(flags, environment, file).unwrap_err();
        let messages = diagnostics.list().iter().map(Diagnostic::message);
        messages.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn defaults_can_be_read_and_go_together() {
        assert_eq!(load(&[], &[], "").unwrap(), Config::default());
    }

    #[test]
    fn a_later_layer_wins() {
        let flag = "--max-in-flight=4";
        let from_environment = ("BOXOFFICE_MAX_IN_FLIGHT", "3");
        let config = ("BOXOFFICE_CONFIG", FILE);
        let file = "max_in_flight = 2";
        for (flags, environment, expected) in [
            (&[][..], &[][..], 1024),
            (&[], &[config], 2),
            (&[], &[config, from_environment], 3),
            (&[], &[from_environment], 3),
            (&[flag], &[config, from_environment], 4),
            (&[flag], &[config], 4),
            (&[flag], &[from_environment], 4),
            (&[flag], &[], 4),
            (
                &["--config", FILE],
                &[("BOXOFFICE_CONFIG", "/elsewhere")],
                2,
            ),
        ] {
            let config = load(flags, environment, file).unwrap();
            assert_eq!(
                config.calls.max_in_flight, expected,
                "{flags:?} {environment:?}"
            );
        }
    }

    #[test]
    fn every_layer_writes_values_the_same_way() {
        for (name, value, native) in [
            ("listen", "[::1]:0", "'[::1]:0'"),
            ("workers", "16", "0x10"),
            ("max_request_bytes", "65536", "65_536"),
            ("max_response_bytes", "2MiB", "\"2MiB\""),
            ("max_connection_age", "0", "0"),
            ("availability_horizon", "30d", "'''30d'''"),
            ("store", "memory", "\"memory\""),
            ("log", "warn,boxoffice=debug", "\"warn,boxoffice=debug\""),
        ] {
            let flag = format!("--{}={value}", name.replace('_', "-"));
            let variable = format!("BOXOFFICE_{}", name.to_uppercase());
            let by_flag = load(&[&flag], &[], "").unwrap();
            assert_ne!(by_flag, Config::default(), "{name}");
            assert_eq!(
                load(&[], &[(&variable, value)], "").unwrap(),
                by_flag,
                "{name}"
            );
            assert_eq!(
                load(&["--config", FILE], &[], &format!("{name} = {native}")).unwrap(),
                by_flag,
                "{name}"
            );
        }
    }

    #[test]
    fn zero_means_none_where_it_says_so() {
        let defaults = Config::default();
        assert_eq!(defaults.serving.workers, None);
        assert_eq!(
            defaults.connections.max_connection_age,
            Some(std::time::Duration::from_secs(1_800))
        );
        let config = load(&["--workers=2", "--max-connection-age=0s"], &[], "").unwrap();
        assert_eq!(
            (
                config.serving.workers,
                config.connections.max_connection_age
            ),
            (Some(2), None)
        );
    }

    #[test]
    fn each_error_in_the_file_has_its_position() {
        for (file, expected) in [
            (
                "workers = -1",
                "1:1: workers: expected a number from 0 to 1024, not \"-1\"",
            ),
            (
                "\n\nworkers = 1.5",
                "3:1: workers: expected a number from 0 to 1024, not \"1.5\"",
            ),
            (
                "workers = true",
                "1:1: workers: expected a number from 0 to 1024, not \"true\"",
            ),
            (
                "workers = [1]",
                "1:1: workers: expected a number from 0 to 1024, not an array",
            ),
            (
                "drain_delay = 2",
                "1:1: drain_delay: expected a duration from 0s to 1h, not \"2\"",
            ),
            (
                "max-in-flight = 3",
                "1:1: max-in-flight: unknown; did you mean max_in_flight?",
            ),
            ("# new\nconfig = 'other'", "2:1: config: unknown"),
            ("[calls]\nmax_in_flight = 3", "1:2: calls: unknown"),
            (
                "workers = 1\nworkers = 2",
                "2:1: duplicate key; this is not TOML",
            ),
            (
                "workers = 1\nlisten =\nlog = =",
                "2:9: string values must be quoted, expected literal string; this is not TOML",
            ),
        ] {
            let text = errors(&["--config", FILE], &[], file);
            assert!(
                text.starts_with(&format!("{FILE}:{expected}")),
                "{file:?}: {text}"
            );
        }
    }

    #[test]
    fn settings_of_steps_stand_in_tables() {
        let file = "[steps.refund]\nfactor = 3\nlongest_wait = '2h'\n\n[steps.custom]\ngive_up_after = '2h'\n";
        let config = load(&["--config", FILE, "--steps-custom-factor=4"], &[], file).unwrap();
        let flat = load(
            &["--steps-refund-factor=3"],
            &[
                ("BOXOFFICE_STEPS_REFUND_LONGEST_WAIT", "2h"),
                ("BOXOFFICE_STEPS_CUSTOM_GIVE_UP_AFTER", "2h"),
                ("BOXOFFICE_STEPS_CUSTOM_FACTOR", "4"),
            ],
            "",
        );
        assert_eq!(config, flat.unwrap());
        assert_ne!(config, Config::default());
        let file = "[steps.refund]\nfactor = 0\nfirst_wait = '2h'\n[steps.payment]\nwait = 1\nattempt_timeout = '1h'\ngive_up_after = '1m'\n[steps.capture]\nfactor = 2\n";
        let text = errors(&["--config", FILE], &[], file);
        let expected = [
            "/etc/boxoffice.toml:2:10: steps.refund.factor: expected a number from 1 to 10, not \"0\"",
            "/etc/boxoffice.toml:3:14: steps.refund.first_wait: steps_refund_first_wait (7200s) has to be at most \
             steps_refund_longest_wait (3600s)",
            "/etc/boxoffice.toml:5:8: steps.payment.wait: unknown",
            "/etc/boxoffice.toml:6:19: steps.payment.attempt_timeout: steps_payment_attempt_timeout (3600s) has to be at \
             most steps_payment_give_up_after (60s)",
            "steps.capture",
        ];
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{text}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn unknown_variables_are_errors_if_they_are_ours() {
        for (variable, expected) in [
            (
                "BOXOFFICE_LOGS",
                "BOXOFFICE_LOGS: unknown; did you mean BOXOFFICE_LOG?",
            ),
            ("BOXOFFICE_listen", "BOXOFFICE_listen: unknown"),
            ("BOXOFFICE_", "BOXOFFICE_: unknown"),
            (
                "BOXOFFICE_LISTEN",
                "BOXOFFICE_LISTEN: expected an IP address and port, not \"x\"",
            ),
        ] {
            assert!(
                errors(&[], &[(variable, "x")], "").starts_with(expected),
                "{variable}"
            );
        }
        for variable in [
            "BOXOFFICE",
            "boxoffice_listen",
            "PATH",
            "BOXOFFICE_SERVICE_HOST",
            "BOXOFFICE_PORT",
        ] {
            assert!(load(&[], &[(variable, "x")], "").is_ok(), "{variable}");
        }
    }

    #[test]
    fn a_charge_has_to_fit_into_its_call() {
        let text = "payment_timeout (30s) has to be shorter than call_timeout (30s)";
        let environment = [("BOXOFFICE_PAYMENT_TIMEOUT", "30s")];
        assert_eq!(
            errors(&[], &environment, ""),
            format!("BOXOFFICE_PAYMENT_TIMEOUT: {text}")
        );
        let text = "payment_timeout (10s) has to be shorter than call_timeout (5s)";
        assert_eq!(
            errors(&["--call-timeout=5s"], &[], ""),
            format!("--call-timeout: {text}")
        );
        assert!(load(&["--call-timeout=60s"], &environment, "").is_ok());
        let wrong = [environment[0], ("BOXOFFICE_CALL_TIMEOUT", "5")];
        assert_eq!(
            errors(&[], &wrong, ""),
            "BOXOFFICE_CALL_TIMEOUT: expected a duration from 1ms to 1h, not \"5\""
        );
    }

    #[test]
    fn one_message_has_to_fit_into_what_all_of_them_may_take() {
        for (flags, expected) in [
            (
                "--max-request-bytes=128MiB",
                "max_request_bytes (134217728) has to fit into max_request_bytes_in_flight (67108864)",
            ),
            (
                "--max-response-bytes-in-flight=1MiB",
                "max_response_bytes (16777216) has to fit into max_response_bytes_in_flight (1048576)",
            ),
        ] {
            assert!(errors(&[flags], &[], "").ends_with(expected), "{flags}");
        }
    }

    #[test]
    fn certificates_come_with_what_belongs_to_them() {
        for (flags, expected) in [
            (
                &["--tls-key=k"][..],
                "--tls-key: tls_certificate and tls_key go together",
            ),
            (
                &["--tls-certificate=c"],
                "--tls-certificate: tls_certificate and tls_key go together",
            ),
            (
                &["--tls-certificate=c", "--tls-key=k", "--client-ca=a"],
                "--client-ca: client_ca and client_names go together",
            ),
            (
                &["--tls-certificate=c", "--tls-key=k", "--client-names=a"],
                "--client-names: client_ca and client_names go together",
            ),
            (
                &["--client-ca=a", "--client-names=a"],
                "--client-ca: client_ca needs tls_certificate",
            ),
        ] {
            assert_eq!(errors(flags, &[], ""), expected, "{flags:?}");
        }
        let all = [
            "--tls-certificate=c",
            "--tls-key=k",
            "--client-ca=a",
            "--client-names=a,b",
        ];
        assert!(load(&all, &[], "").is_ok());
    }

    #[test]
    fn all_errors_of_all_layers_are_reported_at_once() {
        let text = errors(
            &["--config", FILE, "--workers=3", "--payment-timeout=1h"],
            &[
                ("BOXOFFICE_WORKERS", "lots"),
                ("BOXOFFICE_COLOUR", "red"),
                ("BOXOFFICE_MAX_IN_FLIGHT", "0"),
            ],
            "log = 'inof'\n\nworkers = 'few'\nlisten = { port = 1 }\ncolour = 'red'\n",
        );
        let expected = "\
            --payment-timeout: payment_timeout (3600s) has to be shorter than call_timeout (30s)\n\
            BOXOFFICE_COLOUR: unknown\n\
            BOXOFFICE_MAX_IN_FLIGHT: expected a number from 1 to 1000000, not \"0\"\n\
            BOXOFFICE_WORKERS: expected a number from 0 to 1024, not \"lots\"\n\
            /etc/boxoffice.toml:1:1: log: expected a level (`off`, `error`, `warn`, `info`, `debug`, `trace`) or \
            `target=level`, with commas between, not \"inof\"\n\
            /etc/boxoffice.toml:3:1: workers: expected a number from 0 to 1024, not \"few\"\n\
            /etc/boxoffice.toml:4:1: listen: expected an IP address and port, not a table\n\
            /etc/boxoffice.toml:5:1: colour: unknown";
        let (text, expected): (Vec<_>, Vec<_>) =
            (text.lines().collect(), expected.lines().collect());
        for line in &expected {
            assert!(text.contains(line), "{line}\nis not in {text:#?}");
        }
        assert_eq!(text.len(), expected.len(), "{text:#?}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let missing = || Err(io::Error::new(io::ErrorKind::NotFound, "no such file"));
        let not_text = || text::of_file(b"# \xff");
        let cases: [(&dyn Fn() -> io::Result<String>, &str); 2] = [
            (
                &missing,
                "error[unreadable]: BOXOFFICE_CONFIG: cannot read \"/a.toml\": no such file",
            ),
            (
                &not_text,
                "error[unreadable]: /a.toml:1:3: cannot be read: this is not UTF-8",
            ),
        ];
        for (read, expected) in cases {
            let environment = [("BOXOFFICE_CONFIG".into(), "/a.toml".into())];
            let errors = Config::from_layers(Flags::default(), environment, |_| read());
            assert_eq!(errors.unwrap_err().to_string(), expected);
        }
    }
}
