//! Where values come from: the file, the environment, the command line, in rising order.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use serde_spanned::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{
    kinds::Kind,
    mistakes::{Mistake, Place, Problem},
    setting::{self, PREFIX, Setting},
};

/// The name under which flags and environment give the file.
pub(super) const CONFIG: &str = "config";

/// All that was given, and what was found wrong with it so far.
pub(super) struct Layers {
    settings: &'static [Setting],
    given: Vec<Given>,
    mistakes: Vec<Mistake>,
    unsound: Vec<&'static str>,
}

/// A setting and the value that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Its name, as in the file.
    pub name: &'static str,
    /// Its value, as it was given or as the default is written.
    pub value: String,
    /// Its value where none is given.
    pub default: &'static str,
    /// Where it was given, if it was.
    pub place: Option<Place>,
}

impl InForce {
    /// Whether it is not as it would be if nobody had said anything.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.value != self.default
    }
}

/// One value, not yet read.
struct Given {
    name: &'static str,
    text: String,
    place: Place,
}

impl Layers {
    /// Nothing given yet of these settings.
    pub(super) fn of(settings: &'static [Setting]) -> Self {
        Self {
            settings,
            given: Vec::new(),
            mistakes: Vec::new(),
            unsound: Vec::new(),
        }
    }

    /// Takes note of a mistake.
    pub(super) fn wrong(&mut self, place: Place, problem: Problem) {
        self.mistakes.push(Mistake { place, problem });
    }

    /// All that was found wrong.
    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// The value that counts: the last one given, or the default. All others have to be values too.
    pub(super) fn value<K: Kind>(
        &mut self,
        name: &'static str,
        kind: &K,
        default: &str,
    ) -> K::Value {
        let mut value = kind.read(default);
        for given in self.given.iter().filter(|given| given.name == name) {
            let read = kind.read(&given.text);
            if read.is_none() {
                let problem = Problem::Value {
                    expected: kind.takes(),
                    found: format!("{:?}", given.text),
                };
                self.mistakes.push(Mistake {
                    place: given.place.clone(),
                    problem,
                });
                self.unsound.push(name);
            }
            value = read.or(value);
        }
        value.expect("the default of every setting can be read, as a test makes sure")
    }

    /// Takes note that two settings contradict each other, at the first of them that was given. Of
    /// values that are wrong by themselves nothing more is said.
    pub(super) fn contradiction(&mut self, names: [&'static str; 2], text: String) {
        if names.iter().any(|name| self.unsound.contains(name)) {
            return;
        }
        let place = names.iter().find_map(|name| self.place_of(name)).cloned();
        let place = place.unwrap_or_else(|| Place::Word(names[0].to_owned()));
        self.wrong(place, Problem::Other(text));
    }

    /// Adds the values of the file, unless it is no TOML at all.
    pub(super) fn add_file(&mut self, file: &Path, text: &str) {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = line(text, error.span().map_or(0, |span| span.start));
            let place = Place::Line {
                file: file.to_owned(),
                line,
            };
            self.wrong(place, Problem::Other(error.message().to_owned()));
        }
        if errors.is_empty() {
            for (key, value) in table.get_ref() {
                let line = line(text, key.span().start);
                let name = key.get_ref().to_string();
                let place = Place::Key {
                    file: file.to_owned(),
                    line,
                    key: name.clone(),
                };
                self.add_entry(place, &name, value);
            }
        }
    }

    fn add_entry(&mut self, place: Place, name: &str, value: &Spanned<DeValue<'_>>) {
        let Some(setting) = self.settings.iter().find(|setting| setting.name == name) else {
            let known = self.settings.iter().map(|setting| setting.name.to_owned());
            return self.wrong(place, Problem::unknown(name, known));
        };
        match scalar(value.get_ref()) {
            Ok(text) => self.given.push(Given {
                name: setting.name,
                text,
                place,
            }),
            Err(found) => {
                self.unsound.push(setting.name);
                self.wrong(
                    place,
                    Problem::Value {
                        expected: (setting.takes)(),
                        found: found.to_owned(),
                    },
                );
            }
        }
    }

    /// Adds the variables of this program.
    pub(super) fn add_environment(&mut self, pairs: Vec<(OsString, OsString)>) {
        for (variable, value) in pairs {
            let variable = variable.to_string_lossy().into_owned();
            let ours = variable.starts_with(PREFIX) && !is_service_link(&variable);
            if ours && variable != setting::variable(CONFIG) {
                self.add_variable(variable, &value);
            }
        }
    }

    fn add_variable(&mut self, variable: String, value: &OsStr) {
        if let Some(setting) = self
            .settings
            .iter()
            .find(|setting| setting.variable() == variable)
        {
            self.add_text(setting.name, Place::Variable(variable), value);
        } else {
            let problem = Problem::unknown(&variable, self.settings.iter().map(Setting::variable));
            self.wrong(Place::Variable(variable), problem);
        }
    }

    /// Adds a value of the setting `name` as the system hands it over.
    pub(super) fn add_text(&mut self, name: &'static str, place: Place, value: &OsStr) {
        if let Some(text) = value.to_str() {
            self.given.push(Given {
                name,
                text: text.to_owned(),
                place,
            });
        } else {
            self.unsound.push(name);
            let found = format!("{:?}", value.to_string_lossy());
            self.wrong(
                place,
                Problem::Value {
                    expected: "UTF-8".to_owned(),
                    found,
                },
            );
        }
    }

    fn place_of(&self, name: &str) -> Option<&Place> {
        self.given
            .iter()
            .rfind(|given| given.name == name)
            .map(|given| &given.place)
    }

    /// All settings with the values that count.
    pub(super) fn in_force(&self) -> Vec<InForce> {
        let in_force = |setting: &Setting| {
            let given = self.given.iter().rfind(|given| given.name == setting.name);
            InForce {
                name: setting.name,
                value: given
                    .map_or(setting.default, |given| &given.text)
                    .to_owned(),
                default: setting.default,
                place: given.map(|given| given.place.clone()),
            }
        };
        self.settings.iter().map(in_force).collect()
    }
}

/// The file, if a variable names one.
pub(super) fn file(environment: &[(OsString, OsString)]) -> Option<(Place, PathBuf)> {
    let variable = setting::variable(CONFIG);
    let (_, path) = environment.iter().find(|(name, _)| *name == *variable)?;
    Some((Place::Variable(variable), PathBuf::from(path)))
}

/// Whether the variable is one of those that Kubernetes sets in every pod for a service named
/// `boxoffice` or `boxoffice-something`, such as `BOXOFFICE_PORT_50051_TCP_ADDR`.
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

/// The text of a value, or what it is if it is made of others.
fn scalar(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(decimal(number)),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Datetime(time) => Ok(time.to_string()),
        DeValue::Array(_) => Err("an array"),
        DeValue::Table(_) => Err("a table"),
    }
}

fn decimal(number: &DeInteger<'_>) -> String {
    match i128::from_str_radix(number.as_str(), number.radix()) {
        Ok(value) => value.to_string(),
        Err(_) => number.to_string(),
    }
}

fn line(text: &str, at: usize) -> usize {
    1 + text
        .as_bytes()
        .iter()
        .take(at)
        .filter(|byte| **byte == b'\n')
        .count()
}

#[cfg(test)]
mod tests {
    use super::{super::settings::SETTINGS, *};

    #[test]
    fn service_links_are_told_from_settings() {
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
