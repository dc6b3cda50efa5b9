//! The settings as flags of the command line.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use super::{
    layers::{CONFIG, Layers},
    setting::{Setting, flag, variable},
    settings::SETTINGS,
};
use kernel::diagnostics::Location;

/// What the command line says about settings. Each value has been checked by the parser.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Flags {
    file: Option<PathBuf>,
    values: Vec<(&'static str, String)>,
}

impl Flags {
    /// The flags among `matches`, of a command that has all of [`args`].
    #[must_use]
    pub fn of(matches: &ArgMatches) -> Self {
        let mut values = Vec::new();
        for setting in SETTINGS {
            let value = matches.get_one::<String>(setting.name);
            values.extend(value.map(|value| (setting.name, value.clone())));
        }
        Self {
            file: matches.get_one(CONFIG).cloned(),
            values,
        }
    }

    /// These and those of `other`.
    ///
    /// # Errors
    ///
    /// With the flag that both of them have.
    pub fn and(self, other: Self) -> Result<Self, String> {
        let mut given = self.given();
        if let Some(twice) = given.find(|flag| other.given().any(|other| other == *flag)) {
            return Err(twice);
        }
        drop(given);
        Ok(Self {
            file: self.file.or(other.file),
            values: [self.values, other.values].concat(),
        })
    }

    /// The flags that were given, as they are written.
    pub fn given(&self) -> impl Iterator<Item = String> {
        let file = self.file.as_ref().map(|_| CONFIG);
        let names = file
            .into_iter()
            .chain(self.values.iter().map(|(name, _)| *name));
        names.map(written)
    }

    /// The file, if a flag names one.
    pub(super) fn file(&self) -> Option<(Location, PathBuf)> {
        let path = self.file.clone()?;
        Some((Location::argument(written(CONFIG)), path))
    }

    /// Adds the values of all settings.
    pub(super) fn add_to(self, layers: &mut Layers) {
        for (name, value) in self.values {
            layers.add_text(name, Location::argument(written(name)), value);
        }
    }
}

/// Settings that the short help has; the long one has all of them.
const COMMON: [&str; 9] = [
    "admin_listen",
    "catalog",
    "credentials",
    "data_dir",
    "listen",
    "log",
    "payments",
    "tls_certificate",
    "tls_key",
];

/// The flags for all settings, and the flag for the file.
pub fn args() -> impl Iterator<Item = Arg> {
    let file = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("File to read settings from")
        .long_help(format!("File to read settings from [{}]", variable(CONFIG)));
    [file].into_iter().chain(SETTINGS.iter().map(arg))
}

/// The names of these flags among the matches of a command.
pub fn names() -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS.iter().map(|setting| setting.name);
    settings.chain([CONFIG])
}

fn arg(setting: &'static Setting) -> Arg {
    let Setting {
        name,
        group,
        default,
        label,
        takes,
        accepts,
        doc,
    } = setting;
    let long = format!(
        "{doc}\nTakes {}. [default: {default}] [{}]",
        takes(),
        setting.variable()
    );
    // Checked by the parser as well, so that its error shows the usage of the flag.
    let parse = |text: &str| {
        if accepts(text) {
            Ok(text.to_owned())
        } else {
            Err(format!("expected {}", takes()))
        }
    };
    Arg::new(*name)
        .long(setting.flag())
        .value_name(label())
        .value_parser(parse)
        .allow_negative_numbers(true)
        .help(format!("{} [default: {default}]", first_clause(doc)))
        .long_help(long)
        .help_heading(group.trim_end_matches('.'))
        // The long list would bury the few that everybody needs.
        .hide_short_help(!COMMON.contains(name))
}

/// As much of a sentence as stands for itself.
fn first_clause(doc: &str) -> &str {
    doc.split(['.', ';', ',']).next().unwrap_or(doc)
}

fn written(name: &str) -> String {
    format!("--{}", flag(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_setting_is_one() {
        for common in COMMON {
            assert!(
                SETTINGS.iter().any(|setting| setting.name == common),
                "{common}"
            );
        }
    }
}
