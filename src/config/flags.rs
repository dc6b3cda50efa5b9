//! The settings as flags of the command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::{
    layers::{CONFIG, Layers},
    mistakes::{Mistake, Mistakes, Place, Problem},
    setting::{Setting, flag, variable},
    settings::SETTINGS,
};

/// What the command line says about settings.
#[derive(Debug, Default)]
pub struct Flags {
    given: Vec<(&'static str, OsString)>,
    mistakes: Vec<Mistake>,
}

impl Flags {
    /// The flags among `matches`, of a command that has all of [`args`].
    #[must_use]
    pub fn of(matches: &ArgMatches) -> Self {
        let names = SETTINGS.iter().map(|setting| setting.name).chain([CONFIG]);
        let values = |name| matches.get_many::<OsString>(name).into_iter().flatten();
        let given = names.flat_map(|name| values(name).map(move |value| (name, value.clone())));
        Self {
            given: given.collect(),
            mistakes: Vec::new(),
        }
    }

    /// These and those of `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.given.extend(other.given);
        self.mistakes.extend(other.mistakes);
        self
    }

    /// These, along with mistakes that the reading of the command line found.
    #[must_use]
    pub fn with_mistakes(mut self, mistakes: Vec<Mistake>) -> Self {
        self.mistakes.extend(mistakes);
        self
    }

    /// Passes if there are none, for a command that takes no settings.
    ///
    /// # Errors
    ///
    /// With all flags, and the mistakes that were found before.
    pub fn refuse(self) -> Result<(), Mistakes> {
        let out_of_place = |(name, _): &(&str, _)| Mistake {
            place: place(name),
            problem: Problem::NotHere,
        };
        Mistakes::refuse(
            self.given
                .iter()
                .map(out_of_place)
                .chain(self.mistakes)
                .collect(),
        )
    }

    /// The file, if a flag names one.
    pub(super) fn file(&self) -> Option<(Place, PathBuf)> {
        let named = self.given.iter().rfind(|(name, _)| *name == CONFIG);
        named.map(|(name, path)| (place(name), PathBuf::from(path)))
    }

    /// Adds the values of all settings.
    pub(super) fn add_to(self, layers: &mut Layers) {
        for (at, (name, value)) in self.given.iter().enumerate() {
            if *name != CONFIG {
                layers.add_text(name, place(name), value);
            }
            if self.given[..at]
                .iter()
                .filter(|(earlier, _)| earlier == name)
                .count()
                == 1
            {
                layers.wrong(place(name), Problem::Repeated);
            }
        }
        for Mistake { place, problem } in self.mistakes {
            layers.wrong(place, problem);
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

/// The flags for all settings, and the one that names the file.
pub fn args() -> impl Iterator<Item = Arg> {
    let file = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .help("File to read settings from");
    let file = file.long_help(format!("File to read settings from [{}]", variable(CONFIG)));
    [file]
        .into_iter()
        .chain(SETTINGS.iter().map(arg))
        .map(|arg| {
            arg.action(ArgAction::Append)
                .value_parser(value_parser!(OsString))
                .allow_negative_numbers(true)
        })
}

fn arg(setting: &Setting) -> Arg {
    let Setting {
        name,
        group,
        default,
        label,
        takes,
        doc,
    } = setting;
    let long = format!(
        "{doc}\nTakes {}. [default: {default}] [{}]",
        takes(),
        setting.variable()
    );
    Arg::new(*name)
        .long(setting.flag())
        .value_name(label())
        .help(format!("{} [default: {default}]", first_clause(doc)))
        .long_help(long)
        .help_heading(group.trim_end_matches('.'))
        .hide_short_help(!COMMON.contains(name))
}

/// As much of a sentence as stands for itself.
fn first_clause(doc: &str) -> &str {
    doc.split(['.', ';', ',']).next().unwrap_or(doc)
}

fn place(name: &str) -> Place {
    Place::Word(format!("--{}", flag(name)))
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
