//! Mistakes in files, gathered while reading goes on.

use std::{cell::RefCell, collections::HashMap, fmt};

use indexmap::IndexMap;

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
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, text } = self;
        if at.is_empty() { write!(f, "{file}: {text}") } else { write!(f, "{file}: {at}: {text}") }
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
    pub(crate) fn one(file: &str, text: &str) -> Self {
        let mistake = Mistake { file: file.to_owned(), at: String::new(), text: text.to_owned() };
        Self { list: vec![mistake], unlisted: 0 }
    }

    /// These and those of another file.
    pub(crate) fn and(mut self, other: Self) -> Self {
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
pub(crate) struct Report {
    mistakes: RefCell<Mistakes>,
    found_in: RefCell<HashMap<String, usize>>,
    warnings: RefCell<Warnings>,
}

/// What is no mistake and perhaps not meant. A warning that is found again in its file is counted
/// where it was found first, so that a million entries with one habit give one line.
#[derive(Debug, Default)]
struct Warnings {
    /// By file and text: where it was found first, and how often more.
    list: IndexMap<(String, String), (String, usize)>,
    kept_of: HashMap<String, usize>,
}

impl Warnings {
    fn add(&mut self, place: &Place<'_>, text: String) {
        let key = (place.file.to_owned(), text);
        if let Some((_, more)) = self.list.get_mut(&key) {
            *more += 1;
            return;
        }
        let kept = self.kept_of.entry(place.file.to_owned()).or_default();
        // Words for the place cost the more the larger the file is; beyond the bound none are made.
        if *kept < MAX_KEPT_PER_FILE {
            *kept += 1;
            self.list.insert(key, (place.to_string(), 0));
        }
    }

    fn into_list(self) -> Vec<Mistake> {
        let mut list = Vec::with_capacity(self.list.len());
        for ((file, text), (at, more)) in self.list {
            let text = if more == 0 { text } else { format!("{text}; {more} more places like this") };
            list.push(Mistake { file, at, text });
        }
        list
    }
}

impl Report {
    /// Keeps a mistake, or counts it where there are many of its file: then nobody works out where it
    /// stands, which takes the longer the larger the file is.
    fn add(&self, file: &str, mistake: impl FnOnce() -> Mistake) {
        let mut found_in = self.found_in.borrow_mut();
        let found = found_in.entry(file.to_owned()).or_default();
        *found += 1;
        let mut mistakes = self.mistakes.borrow_mut();
        if *found <= MAX_KEPT_PER_FILE {
            mistakes.list.push(mistake());
        } else {
            mistakes.unlisted += 1;
        }
    }

    /// A file as a whole.
    pub(crate) fn file<'a>(&'a self, file: &'a str) -> Place<'a> {
        Place { report: self, file, step: Step::Top }
    }

    /// The mistakes if there are any, or else what is no mistake and perhaps not meant, each text of
    /// a file once.
    pub(crate) fn into_warnings(self) -> Result<Vec<Mistake>, Mistakes> {
        let warnings = self.warnings.take().into_list();
        self.into_mistakes().map_or(Ok(warnings), Err)
    }

    /// Everything reported, if anything was.
    pub(crate) fn into_mistakes(self) -> Option<Mistakes> {
        let mistakes = self.mistakes.into_inner();
        (!mistakes.list.is_empty()).then_some(mistakes)
    }
}

/// A place in a file. It costs nothing to go to one; words are made when a mistake is found there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
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
    pub(crate) fn key<'b>(&'b self, name: &'b str) -> Place<'b> {
        Place { step: Step::Key(self, name), ..*self }
    }

    /// That element of the list that stands here.
    pub(crate) fn index(&self, index: usize) -> Place<'_> {
        Place { step: Step::Index(self, index), ..*self }
    }

    /// A line and column of the same file.
    pub(crate) fn line_and_column(&self, line: usize, column: usize) -> Self {
        Self { step: Step::LineAndColumn(line, column), ..*self }
    }

    /// The line of the same file that has the byte `offset` of its `text`.
    pub(crate) fn offset<'b>(&self, text: &'b str, offset: usize) -> Place<'b>
    where
        'a: 'b,
    {
        Place { step: Step::Offset(text, offset), ..*self }
    }

    /// Reports a mistake at this place.
    pub(crate) fn mistake(&self, text: impl Into<String>) {
        self.report.add(self.file, || self.mistake_of(text));
    }

    /// Reports what is no mistake here and perhaps not meant. Say what it means for the partner, in
    /// words that are the same wherever it is found in a file.
    pub(crate) fn warning(&self, text: impl Into<String>) {
        self.report.warnings.borrow_mut().add(self, text.into());
    }

    /// The same to be kept, for a mistake that is certain only later.
    pub(crate) fn mistake_of(&self, text: impl Into<String>) -> Mistake {
        Mistake { file: self.file.to_owned(), at: self.to_string(), text: text.into() }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Step::Top => Ok(()),
            Step::Key(Place { step: Step::Top, .. }, name) => f.write_str(name),
            Step::Key(parent, name) => write!(f, "{parent}.{name}"),
            Step::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Step::LineAndColumn(line, column) => write!(f, "line {line} column {column}"),
            Step::Offset(text, offset) => {
                let before = text.as_bytes().iter().take(offset);
                write!(f, "line {}", before.filter(|&&byte| byte == b'\n').count() + 1)
            }
        }
    }
}

/// A text in quotes, cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
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
        report.add("a", || panic!("it is only counted"));
        report.file("b").mistake("is wrong, too");
        let mistakes = report.into_mistakes().unwrap();
        assert_eq!((mistakes.list.len(), mistakes.unlisted), (MAX_KEPT_PER_FILE + 1, 1));
    }

    #[test]
    fn a_warning_is_kept_once_a_file_and_counted_from_then_on() {
        let report = Report::default();
        let (one, two) = (report.file("a"), report.file("b"));
        for key in ["x", "y", "z"] {
            one.key(key).warning("is odd");
        }
        one.key("x").warning("is strange");
        two.key("x").warning("is odd");
        let told: Vec<String> = report.into_warnings().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(told, ["a: x: is odd; 2 more places like this", "a: x: is strange", "b: x: is odd"]);
    }

    #[test]
    fn warnings_beside_a_mistake_are_not_what_stops_the_reading() {
        let report = Report::default();
        report.file("a").warning("is odd");
        report.file("a").mistake("is wrong");
        let mistakes = report.into_warnings().unwrap_err();
        assert_eq!(mistakes.to_string(), "a: is wrong");
    }

    #[test]
    fn of_many_different_warnings_of_a_file_only_the_first_are_kept() {
        let report = Report::default();
        for number in 0..=MAX_KEPT_PER_FILE {
            report.file("a").warning(format!("is {number}"));
        }
        assert_eq!(report.into_warnings().unwrap().len(), MAX_KEPT_PER_FILE);
    }
}
