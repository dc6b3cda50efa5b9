//! Where values come from: the file, the environment, the command line, in rising order.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
};

use super::{
    LOGIN_VARIABLE,
    kinds::ValueKind,
    setting::{self, PREFIX, Setting},
};
use kernel::{
    diagnostics::{Diagnostic, DiagnosticSink, Diagnostics, Location},
    files::{
        text,
        toml::{Document, TomlValue},
    },
};

/// The name under which flags and environment give the file.
pub(super) const CONFIG: &str = "config";

/// The code of a name that no setting has.
const UNKNOWN_SETTING: &str = "unknown_setting";

/// The given values, and the errors found so far.
pub(super) struct Layers {
    settings: &'static [Setting],
    given: Vec<GivenValue>,
    diagnostics: Diagnostics,
    /// Settings of which some value cannot be read.
    invalid: Vec<&'static str>,
}

/// A setting and the value that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Its name, as in the file.
    pub name: &'static str,
    /// Its value, as it was given or as the default is written.
    pub value: String,
    /// Its value where none is given.
    pub default: &'static str,
    /// Where it was given, if it was.
    pub location: Option<Location>,
}

impl EffectiveSetting {
    /// Whether its value is another than the default.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.value != self.default
    }
}

/// One value, not yet read.
struct GivenValue {
    name: &'static str,
    text: String,
    location: Location,
}

impl Layers {
    /// No values yet, of these settings.
    pub(super) fn of(settings: &'static [Setting]) -> Self {
        Self {
            settings,
            given: Vec::new(),
            diagnostics: Diagnostics::default(),
            invalid: Vec::new(),
        }
    }

    /// Adds an error.
    pub(super) fn error(&mut self, code: &'static str, location: Location, text: String) {
        self.diagnostics
            .add(Diagnostic::error(code, location, text));
    }

    /// All errors, in the order of their locations.
    pub(super) fn into_diagnostics(self) -> Diagnostics {
        let mut diagnostics = self.diagnostics;
        diagnostics.sort();
        diagnostics
    }

    /// The value that counts: the last one given, or the default. All others have to be values too.
    pub(super) fn value<K: ValueKind>(
        &mut self,
        name: &'static str,
        kind: &K,
        default: &str,
    ) -> K::Value {
        let mut value = kind.read(default);
        for given in self.given.iter().filter(|given| given.name == name) {
            let read = kind.read(&given.text);
            if read.is_none() {
                let text = format!("expected {}, not {:?}", kind.takes(), given.text);
                self.diagnostics.add(Diagnostic::error(
                    "wrong_value",
                    given.location.clone(),
                    text,
                ));
                self.invalid.push(name);
            }
            // An invalid value leaves the one before, so that later checks have something to work
            // with.
            value = read.or(value);
        }
        value.expect("the default of every setting can be read, as a test makes sure")
    }

    /// Reports that two settings contradict each other, at the first of them that was given. Values
    /// that are invalid by themselves get no further error.
    pub(super) fn contradiction(&mut self, names: [&'static str; 2], text: String) {
        if names.iter().any(|name| self.invalid.contains(name)) {
            return;
        }
        let location = names.iter().find_map(|name| self.location_of(name));
        let location = location.unwrap_or_else(|| Location::argument(names[0]));
        self.error("contradiction", location, text);
    }

    /// Reports a file that is not text.
    pub(super) fn add_unreadable_file(&mut self, path: &Path, error: &io::Error) {
        let file = path.display().to_string();
        let sink = DiagnosticSink::default();
        text::report_unreadable(&sink.file(&file), error);
        self.merge(sink);
    }

    /// Adds the values of the file, unless it is not TOML at all.
    pub(super) fn add_file(&mut self, path: &Path, text: &str) {
        let file = path.display().to_string();
        let sink = DiagnosticSink::default();
        if let Some(document) = Document::parse(text, sink.file(&file)) {
            for (key, at, value) in document.entries() {
                let location = Location {
                    path: key.to_owned(),
                    ..at.location()
                };
                self.add_entry(location, key, &value);
            }
        }
        self.merge(sink);
    }

    /// Adds what a reader of the file has reported: it has a sink of its own.
    fn merge(&mut self, sink: DiagnosticSink) {
        let earlier = std::mem::take(&mut self.diagnostics);
        self.diagnostics = earlier.and(sink.into_diagnostics());
    }

    fn add_entry(&mut self, location: Location, name: &str, value: &TomlValue<'_>) {
        if let Some(members) = self.table_of(name, value) {
            for (key, member) in members {
                let location = Location {
                    path: format!("{}.{key}", location.path),
                    ..member.at.location()
                };
                self.add_entry(location, &format!("{name}_{key}"), &member);
            }
            return;
        }
        let Some(setting) = self.settings.iter().find(|setting| setting.name == name) else {
            let known = self.settings.iter().map(|setting| setting.name.to_owned());
            let unknown = Diagnostic::unknown(UNKNOWN_SETTING, location, name, known);
            return self.diagnostics.add(unknown);
        };
        match value.scalar() {
            Ok(text) => self.add_text(setting.name, location, text),
            Err(found) => {
                self.invalid.push(setting.name);
                let text = format!("expected {}, not {found}", (setting.takes)());
                self.error("wrong_value", location, text);
            }
        }
    }

    /// The members of a table, if its name is what names of settings begin with.
    fn table_of<'t>(
        &self,
        name: &str,
        value: &TomlValue<'t>,
    ) -> Option<Vec<(&'t str, TomlValue<'t>)>> {
        let is_beginning = self.settings.iter().any(|setting| {
            let rest = setting.name.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with('_'))
        });
        // What is no table is reported as an unknown setting.
        (is_beginning && value.scalar().is_err())
            .then(|| value.members())
            .flatten()
    }

    /// Adds the variables of this program.
    pub(super) fn add_environment(&mut self, pairs: Vec<(OsString, OsString)>) {
        for (variable, value) in pairs {
            let variable = variable.to_string_lossy().into_owned();
            // Unknown variables with our prefix are errors: a misspelt setting must not be ignored.
            let ours = variable.starts_with(PREFIX) && !is_service_link(&variable);
            let is_setting = ours && variable != LOGIN_VARIABLE;
            if is_setting && variable != setting::variable(CONFIG) {
                self.add_variable(variable, &value);
            }
        }
    }

    fn add_variable(&mut self, variable: String, value: &OsStr) {
        let mut settings = self.settings.iter();
        let Some(setting) = settings.find(|setting| setting.variable() == variable) else {
            let known = self.settings.iter().map(Setting::variable);
            let location = Location::variable(variable.clone());
            let unknown = Diagnostic::unknown(UNKNOWN_SETTING, location, &variable, known);
            return self.diagnostics.add(unknown);
        };
        let location = Location::variable(variable);
        if let Some(text) = value.to_str() {
            self.add_text(setting.name, location, text.to_owned());
        } else {
            self.invalid.push(setting.name);
            let text = format!("expected UTF-8, not {:?}", value.to_string_lossy());
            self.error("wrong_value", location, text);
        }
    }

    /// Adds a value of the setting `name`.
    pub(super) fn add_text(&mut self, name: &'static str, location: Location, text: String) {
        self.given.push(GivenValue {
            name,
            text,
            location,
        });
    }

    fn location_of(&self, name: &str) -> Option<Location> {
        self.counting(name).map(|given| given.location.clone())
    }

    /// The value that counts among those given.
    fn counting(&self, name: &str) -> Option<&GivenValue> {
        // The last one: layers are added in rising precedence.
        self.given.iter().rfind(|given| given.name == name)
    }

    /// All settings with the values that count.
    pub(super) fn effective(&self) -> Vec<EffectiveSetting> {
        let effective = |setting: &Setting| {
            let given = self.counting(setting.name);
            EffectiveSetting {
                name: setting.name,
                value: given
                    .map_or(setting.default, |given| &given.text)
                    .to_owned(),
                default: setting.default,
                location: given.map(|given| given.location.clone()),
            }
        };
        self.settings.iter().map(effective).collect()
    }
}

/// The file, if a variable names one.
pub(super) fn file(environment: &[(OsString, OsString)]) -> Option<(Location, PathBuf)> {
    let variable = setting::variable(CONFIG);
    let (_, path) = environment.iter().find(|(name, _)| *name == *variable)?;
    Some((Location::variable(variable), PathBuf::from(path)))
}

/// Whether Kubernetes sets the variable in every pod for a service named `boxoffice` or
/// `boxoffice-something`, such as `BOXOFFICE_PORT_50051_TCP_ADDR`.
fn is_service_link(variable: &str) -> bool {
    let words: Vec<_> = variable.split('_').collect();
    let follows = |first: &str, may_follow: fn(&[&str]) -> bool| {
        words
            .iter()
            .enumerate()
            .any(|(at, word)| at > 0 && *word == first && may_follow(&words[at + 1..]))
    };
    follows("SERVICE", |rest| matches!(rest, ["HOST"] | ["PORT", ..]))
        || follows("PORT", |rest| match rest {
            [] => true,
            [port, "TCP" | "UDP" | "SCTP"]
            | [port, "TCP" | "UDP" | "SCTP", "PROTO" | "PORT" | "ADDR"] => {
                port.parse::<u16>().is_ok()
            }
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::{super::settings::SETTINGS, *};

    #[test]
    fn service_links_are_not_settings() {
        let links = [
            "BOXOFFICE_SERVICE_HOST",
            "BOXOFFICE_SERVICE_PORT",
            "BOXOFFICE_SERVICE_PORT_GRPC",
            "BOXOFFICE_PORT",
            "BOXOFFICE_PORT_50051_TCP",
            "BOXOFFICE_PORT_50051_TCP_ADDR",
            "BOXOFFICE_GRPC_SERVICE_HOST",
            "BOXOFFICE_GRPC_PORT_50051_TCP_PROTO",
        ];
        for link in links {
            assert!(is_service_link(link), "{link}");
        }
        for other in [
            "BOXOFFICE_PORT_A_TCP",
            "BOXOFFICE_PORTS",
            "BOXOFFICE_SERVICE",
            "BOXOFFICE_LISTEN_PORT_1",
        ] {
            assert!(!is_service_link(other), "{other}");
        }
        for setting in SETTINGS {
            assert!(!is_service_link(&setting.variable()), "{}", setting.name);
        }
    }
}
