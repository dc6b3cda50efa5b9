//! A setting, and its names: in the file, as a flag, as a variable.

/// What the names of this program's environment variables begin with.
pub(super) const PREFIX: &str = "BOXOFFICE_";

/// A setting with its names, its default and its documentation.
pub(super) struct Setting {
    /// Its key in the file, from which the other spellings follow.
    pub(super) name: &'static str,
    /// What its part of the settings is about, in a sentence.
    pub(super) group: &'static str,
    /// Its value where none is given.
    pub(super) default: &'static str,
    /// One word for its value.
    pub(super) label: fn() -> &'static str,
    /// What it takes.
    pub(super) takes: fn() -> String,
    /// Whether a text is a value of it.
    pub(super) accepts: fn(&str) -> bool,
    /// What it does.
    pub(super) doc: &'static str,
}

impl Setting {
    /// Its flag, without the dashes in front.
    pub(super) fn flag(&self) -> String {
        flag(self.name)
    }

    /// Its environment variable.
    pub(super) fn variable(&self) -> String {
        variable(self.name)
    }
}

/// The flag of that name, without the dashes in front.
pub(super) fn flag(name: &str) -> String {
    name.replace('_', "-")
}

/// The environment variable of that name.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}
