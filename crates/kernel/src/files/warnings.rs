//! What is allowed in files and perhaps not meant.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use super::mistakes::Mistake;

/// As many warnings of each kind are kept; further ones are counted.
const MAX_KEPT_PER_KIND: usize = 20;

/// One thing that is perhaps not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// One word for all warnings of its sort, which stays the same over versions.
    pub kind: &'static str,
    /// What it is, and where it was found first.
    pub what: Mistake,
    /// At how many more places of the file the same was found.
    pub more_places: usize,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)?;
        match self.more_places {
            0 => Ok(()),
            1 => f.write_str("; 1 more place like this"),
            more => write!(f, "; {more} more places like this"),
        }
    }
}

/// All that is perhaps not meant. A warning that is found again in its file is counted where it was
/// found first, so that a million entries with one habit give one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings {
    /// In the order in which they were found first, at most 20 of each kind.
    pub list: Vec<Warning>,
    /// How many others there are, by kind.
    pub unlisted: BTreeMap<&'static str, usize>,
    kept: BTreeMap<&'static str, usize>,
    /// Where in the list the warning of a kind, a file and a text is.
    known: HashMap<(&'static str, String, String), usize>,
}

impl Warnings {
    /// Keeps a warning of that kind on a file, or counts it. Words for the place, which cost the
    /// more the larger the file is, are made only where it is kept.
    pub fn add(
        &mut self,
        kind: &'static str,
        file: &str,
        text: String,
        at: impl FnOnce() -> String,
    ) {
        let key = (kind, file.to_owned(), text);
        if let Some(known) = self.known.get(&key) {
            self.list[*known].more_places += 1;
            return;
        }
        let kept = self.kept.entry(kind).or_default();
        if *kept == MAX_KEPT_PER_KIND {
            *self.unlisted.entry(kind).or_default() += 1;
            return;
        }
        *kept += 1;
        let what = Mistake {
            file: key.1.clone(),
            at: at(),
            text: key.2.clone(),
            follow_ups: 0,
        };
        self.known.insert(key, self.list.len());
        self.list.push(Warning {
            kind,
            what,
            more_places: 0,
        });
    }

    /// Keeps a warning on a file as a whole.
    pub fn add_of_file(&mut self, kind: &'static str, file: &str, text: impl Into<String>) {
        self.add(kind, file, text.into(), String::new);
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> usize {
        let listed: usize = self
            .list
            .iter()
            .map(|warning| 1 + warning.more_places)
            .sum();
        listed + self.unlisted.values().sum::<usize>()
    }
}

/// One warning a line, those of a kind together.
impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in self.kept.keys() {
            for warning in self.list.iter().filter(|warning| warning.kind == *kind) {
                writeln!(f, "warning: {warning}")?;
            }
            if let Some(more) = self.unlisted.get(kind) {
                writeln!(f, "warning: and {more} more of this kind ({kind})")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_warnings_of_a_kind_the_last_are_counted_and_their_places_not_worded() {
        let mut warnings = Warnings::default();
        for number in 0..MAX_KEPT_PER_KIND {
            warnings.add_of_file("odd", "a", format!("is {number}"));
        }
        warnings.add("odd", "a", "is odd".to_owned(), || {
            panic!("it is only counted")
        });
        warnings.add_of_file("even", "b", "is even");
        assert_eq!(
            (warnings.list.len(), warnings.total()),
            (MAX_KEPT_PER_KIND + 1, MAX_KEPT_PER_KIND + 2)
        );
        let told = warnings.to_string();
        assert!(
            told.starts_with("warning: b: is even\nwarning: a: is 0\n"),
            "{told}"
        );
        assert!(
            told.ends_with("warning: and 1 more of this kind (odd)\n"),
            "{told}"
        );
    }

    #[test]
    fn a_warning_is_kept_once_a_file_and_counted_from_then_on() {
        let mut warnings = Warnings::default();
        for (file, at, text) in [
            ("a", "x", "is odd"),
            ("a", "y", "is odd"),
            ("a", "x", "is strange"),
            ("a", "z", "is odd"),
            ("b", "x", "is odd"),
            ("b", "y", "is odd"),
        ] {
            warnings.add("odd", file, text.to_owned(), || at.to_owned());
        }
        let told: Vec<String> = warnings.list.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "a: x: is odd; 2 more places like this",
                "a: x: is strange",
                "b: x: is odd; 1 more place like this"
            ]
        );
        assert_eq!(warnings.total(), 6);
    }
}
