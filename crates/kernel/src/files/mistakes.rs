//! Mistakes in files, gathered while reading goes on.

use std::{cell::RefCell, collections::HashMap, fmt};

use super::warnings::Warnings;

/// As many mistakes are kept for each file; further ones are counted.
const MAX_KEPT_PER_FILE: usize = 1_000;

/// As many mistakes are printed; further ones are counted.
const MAX_PRINTED: usize = 200;

/// Longest piece of a wrong text that is quoted, in characters.
const MAX_QUOTED: usize = 40;

/// Something in a file that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Name of the file, within its folder where it belongs to one.
    pub file: String,
    /// Where in the file: a path like `service[3].price`, or a line. Empty for the file as a whole.
    pub at: String,
    /// What is wrong and what was expected.
    pub text: String,
    /// How many other entries are wrong only because of this one.
    pub follow_ups: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            at,
            text,
            follow_ups,
        } = self;
        if at.is_empty() {
            write!(f, "{file}: {text}")
        } else {
            write!(f, "{file}: {at}: {text}")
        }?;
        match follow_ups {
            0 => Ok(()),
            1 => f.write_str("; and 1 entry that follows from it"),
            more => write!(f, "; and {more} entries that follow from it"),
        }
    }
}

/// Everything that is wrong with what was read; never nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// The mistakes, file by file in the order of reading: at most a thousand of each file.
    pub list: Vec<Mistake>,
    /// How many more there are.
    pub unlisted: usize,
}

impl Mistakes {
    /// One of a file as a whole.
    pub fn one(file: &str, text: &str) -> Self {
        let mistake = Mistake {
            file: file.to_owned(),
            at: String::new(),
            text: text.to_owned(),
            follow_ups: 0,
        };
        Self {
            list: vec![mistake],
            unlisted: 0,
        }
    }

    /// How many there are, without what follows from them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.list.len() + self.unlisted
    }

    /// These and those of another file.
    pub fn and(mut self, other: Self) -> Self {
        self.list.extend(other.list);
        self.unlisted += other.unlisted;
        self
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printed = self.list.iter().take(MAX_PRINTED);
        for (at, mistake) in printed.enumerate() {
            let line_break = if at == 0 { "" } else { "\n" };
            write!(f, "{line_break}{mistake}")?;
        }
        match self.list.len().saturating_sub(MAX_PRINTED) + self.unlisted {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Mistakes {}

/// Where mistakes are reported to, by whoever finds one.
#[derive(Debug, Default)]
pub struct Report {
    mistakes: RefCell<Mistakes>,
    found_in: RefCell<HashMap<String, usize>>,
    /// Where in the list of mistakes the first one of each cause is; `None` if it is only counted.
    causes: RefCell<HashMap<String, Option<usize>>>,
    warnings: RefCell<Warnings>,
}

impl Report {
    /// Keeps a mistake, or counts it where there are many of its file: then nobody works out where it
    /// stands, which takes the longer the larger the file is.
    ///
    /// The answer is where in the list it is.
    fn add(&self, file: &str, mistake: impl FnOnce() -> Mistake) -> Option<usize> {
        let mut found_in = self.found_in.borrow_mut();
        let found = found_in.entry(file.to_owned()).or_default();
        *found += 1;
        let mut mistakes = self.mistakes.borrow_mut();
        if *found > MAX_KEPT_PER_FILE {
            mistakes.unlisted += 1;
            return None;
        }
        mistakes.list.push(mistake());
        Some(mistakes.list.len() - 1)
    }

    /// Counts an entry that is wrong because of what has been reported under that cause, and tells
    /// whether anything has.
    fn follow_up(&self, cause: &str) -> bool {
        let causes = self.causes.borrow();
        let Some(first) = causes.get(cause) else {
            return false;
        };
        let mut mistakes = self.mistakes.borrow_mut();
        if let Some(first) = first.and_then(|first| mistakes.list.get_mut(first)) {
            first.follow_ups += 1;
        }
        true
    }

    /// A file as a whole.
    pub fn file<'a>(&'a self, file: &'a str) -> Place<'a> {
        Place {
            report: self,
            file,
            step: Step::Top,
        }
    }

    /// Everything wrong that was reported, if anything was.
    pub fn into_mistakes(self) -> Option<Mistakes> {
        self.into_parts().0
    }

    /// Everything reported: what is wrong, if anything is, and what may not be meant.
    pub fn into_parts(self) -> (Option<Mistakes>, Warnings) {
        let mistakes = self.mistakes.into_inner();
        (
            (!mistakes.list.is_empty()).then_some(mistakes),
            self.warnings.into_inner(),
        )
    }
}

/// A place in a file. It costs nothing to go to one; words are made when a mistake is found there.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    report: &'a Report,
    file: &'a str,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Top,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
    LineAndColumn(usize, usize),
    Offset(&'a str, usize),
}

impl<'a> Place<'a> {
    /// The member of that name of the object that stands here.
    pub fn key<'b>(&'b self, name: &'b str) -> Place<'b> {
        Place {
            step: Step::Key(self, name),
            ..*self
        }
    }

    /// That element of the list that stands here.
    pub fn index(&self, index: usize) -> Place<'_> {
        Place {
            step: Step::Index(self, index),
            ..*self
        }
    }

    /// A line and column of the same file.
    pub fn line_and_column(&self, line: usize, column: usize) -> Self {
        Self {
            step: Step::LineAndColumn(line, column),
            ..*self
        }
    }

    /// The line of the same file that has the byte `offset` of its `text`.
    pub fn offset<'b>(&self, text: &'b str, offset: usize) -> Place<'b>
    where
        'a: 'b,
    {
        Place {
            step: Step::Offset(text, offset),
            ..*self
        }
    }

    /// The name of the file.
    pub fn file_name(&self) -> &'a str {
        self.file
    }

    /// The places in lists on the way from here to the top of the file.
    pub fn indexes(&self) -> impl Iterator<Item = usize> {
        let mut at = Some(*self);
        std::iter::from_fn(move || {
            while let Some(place) = at {
                let (parent, index) = match place.step {
                    Step::Index(parent, index) => (Some(*parent), Some(index)),
                    Step::Key(parent, _) => (Some(*parent), None),
                    Step::Top | Step::LineAndColumn(..) | Step::Offset(..) => (None, None),
                };
                at = parent;
                if index.is_some() {
                    return index;
                }
            }
            None
        })
    }

    /// How many mistakes have been found in the file so far.
    pub fn found_so_far(&self) -> usize {
        self.report
            .found_in
            .borrow()
            .get(self.file)
            .copied()
            .unwrap_or_default()
    }

    /// Reports a mistake at this place.
    pub fn mistake(&self, text: impl Into<String>) {
        self.report.add(self.file, || self.mistake_of(text));
    }

    /// Reports a mistake at this place, unless one of the same `cause` has been reported anywhere:
    /// then that one has a further entry that follows from it.
    pub fn mistake_with_cause(&self, cause: impl Into<String>, text: impl Into<String>) {
        let cause = cause.into();
        if !self.report.follow_up(&cause) {
            let first = self.report.add(self.file, || self.mistake_of(text));
            self.report.causes.borrow_mut().insert(cause, first);
        }
    }

    /// Counts an entry here that is wrong only because of what has been reported under `cause`.
    pub fn follows_from(&self, cause: &str) {
        self.report.follow_up(cause);
    }

    /// Reports what is allowed at this place and perhaps not meant. Say what it means for the partner,
    /// in words that are the same wherever it is found in a file. `kind` is one word for all warnings
    /// of its sort, in `snake_case`; scripts go by it, so it stays as it is.
    pub fn warning(&self, kind: &'static str, text: impl Into<String>) {
        self.report
            .warnings
            .borrow_mut()
            .add(kind, self.file, text.into(), || self.to_string());
    }

    /// The same to be kept, for a mistake that is certain only later.
    pub fn mistake_of(&self, text: impl Into<String>) -> Mistake {
        Mistake {
            file: self.file.to_owned(),
            at: self.to_string(),
            text: text.into(),
            follow_ups: 0,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Step::Top => Ok(()),
            Step::Key(
                Place {
                    step: Step::Top, ..
                },
                name,
            ) => f.write_str(name),
            Step::Key(parent, name) => write!(f, "{parent}.{name}"),
            Step::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Step::LineAndColumn(line, column) => write!(f, "line {line} column {column}"),
            Step::Offset(text, offset) => {
                let before = text.as_bytes().iter().take(offset);
                write!(
                    f,
                    "line {}",
                    before.filter(|&&byte| byte == b'\n').count() + 1
                )
            }
        }
    }
}

/// A text in quotes, cut where it is long.
pub fn quoted(text: &str) -> String {
    let mut piece: String = text.chars().take(MAX_QUOTED).collect();
    if piece.len() < text.len() {
        piece.push('…');
    }
    format!("{piece:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_mistakes_of_a_file_the_last_are_counted_and_not_looked_at() {
        let report = Report::default();
        for _ in 0..MAX_KEPT_PER_FILE {
            report.file("a").mistake("is wrong");
        }
        assert_eq!(report.add("a", || panic!("it is only counted")), None);
        report.file("b").mistake("is wrong, too");
        let mistakes = report.into_mistakes().unwrap();
        assert_eq!(
            (mistakes.list.len(), mistakes.unlisted),
            (MAX_KEPT_PER_FILE + 1, 1)
        );
    }

    #[test]
    fn what_follows_from_one_mistake_is_told_with_it() {
        let report = Report::default();
        let (services, rules) = (report.file("services.json"), report.file("rules.toml"));
        rules.follows_from("merchant x");
        services
            .key("service")
            .index(7)
            .mistake_with_cause("merchant x", "is unknown");
        services.mistake_with_cause("merchant y", "is unknown, too");
        for _ in 0..2 {
            rules.mistake_with_cause("merchant x", "is unknown here");
        }
        rules.follows_from("merchant y");
        let told: Vec<_> = report
            .into_mistakes()
            .unwrap()
            .list
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "services.json: service[7]: is unknown; and 2 entries that follow from it",
                "services.json: is unknown, too; and 1 entry that follows from it",
            ]
        );
    }
}
