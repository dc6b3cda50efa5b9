//! The documents stay short, their links lead somewhere, and their words are the field's.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

/// How many bytes the documents that everybody reads may have.
const MAX_BYTES: [(&str, usize); 2] = [("README.md", 8 * 1024), ("ARCHITECTURE.md", 12 * 1024)];

/// Words for which the field has better ones; `GLOSSARY.md` has those.
const FORBIDDEN: &[&str] = &[
    "door",
    "doors",
    "edition",
    "editions",
    "figures",
    "handoff",
    "merges",
    "mistake",
    "mistakes",
    "newcomer",
    "newcomers",
    "refusal",
    "refusals",
    "refuse",
    "refuses",
    "told",
    "whoever",
];

/// Where old names must stand beside the new ones.
const OLD_NAMES: &str = "CHANGELOG.md";

/// The folders whose files documents name in full.
const FOLDERS: &[&str] = &[
    "crates",
    "deploy",
    "docs",
    "examples",
    "fuzz",
    "grpcurl-examples",
    "proto",
    "scripts",
    "src",
    "tests",
    "tools",
];

/// A Markdown document, by its path from the root of the repository.
struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    /// Its lines outside of code blocks, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
    }

    /// The anchors of its headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().filter(|(_, line)| line.starts_with('#'));
        headings.map(|(_, line)| anchor(line)).collect()
    }

    /// The links that lead nowhere. `others` are all documents.
    fn broken_links(&self, root: &Path, others: &[Document]) -> Vec<String> {
        let mut broken = Vec::new();
        for (number, line) in self.prose() {
            for target in links(line) {
                if !self.leads_somewhere(target, root, others) {
                    broken.push(format!("{}:{number}: {target}", self.path.display()));
                }
            }
        }
        broken
    }

    fn leads_somewhere(&self, target: &str, root: &Path, others: &[Document]) -> bool {
        if target.contains("://") || target.starts_with("mailto:") {
            return true;
        }
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = if file.is_empty() {
            self.path.clone()
        } else {
            normalized(&self.path.with_file_name("").join(file))
        };
        if heading.is_empty() {
            return root.join(path).exists();
        }
        let document = others.iter().find(|other| other.path == path);
        document.is_some_and(|document| document.anchors().contains(heading))
    }

    /// The paths that it names between backticks and that do not exist.
    fn missing_paths(&self, root: &Path) -> Vec<String> {
        let mut missing = Vec::new();
        for (number, line) in self.prose() {
            for name in line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|name| is_path(name))
            {
                if !root.join(name).exists() {
                    missing.push(format!("{}:{number}: {name}", self.path.display()));
                }
            }
        }
        missing
    }

    /// The forbidden words that it uses outside of code.
    fn forbidden_words(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (number, line) in self.prose() {
            // Every other part stands between backticks: names are right as they are in the code.
            for text in line.split('`').step_by(2) {
                let words = text.split(|letter: char| !letter.is_alphanumeric());
                for word in words.filter(|word| FORBIDDEN.contains(&&*word.to_lowercase())) {
                    found.push(format!("{}:{number}: {word}", self.path.display()));
                }
            }
        }
        found
    }
}

/// The anchor of a heading: small letters, hyphens for spaces, no punctuation.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

/// Whether a text in backticks is the path of one file or folder, and not a command or a pattern.
fn is_path(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    let folder = text.split_once('/').map(|(folder, _)| folder);
    folder.is_some_and(|folder| FOLDERS.contains(&folder)) && text.chars().all(is_plain)
}

/// The targets of the links in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let behind = line.split("](").skip(1);
    behind.filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// A path without `.` and `..`.
fn normalized(path: &Path) -> PathBuf {
    let mut normalized = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normalized.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                normalized.push(component);
            }
        }
    }
    normalized
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document of the repository.
fn documents() -> Vec<Document> {
    let mut found = Vec::new();
    collect(root(), &mut found);
    assert!(found.len() > 10, "these are not all of the documents");
    found
}

fn collect(folder: &Path, found: &mut Vec<Document>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            // What is built and installed is not ours.
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "md") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_owned();
            found.push(Document { path, text });
        }
    }
}

fn document(path: &str, text: &str) -> Document {
    Document {
        path: PathBuf::from(path),
        text: text.to_owned(),
    }
}

#[test]
fn entry_documents_are_short() {
    for (path, max) in MAX_BYTES {
        let bytes = fs::read(root().join(path)).unwrap().len();
        assert!(bytes <= max, "{path} has {bytes} bytes of {max}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let all = documents();
    let broken: Vec<_> = all
        .iter()
        .flat_map(|document| document.broken_links(root(), &all))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn broken_links_are_found() {
    let text = "[a](README.md) [b](nowhere.md) [c](#there)\n## There it is\n[d](#there-it-is)\n\
                ```\n[e](nowhere)\n```\n[f](../docs/README.md#x) [g](https://example.com/x)\n";
    let page = [document("docs/page.md", text)];
    assert_eq!(
        page[0].broken_links(root(), &page),
        [
            "docs/page.md:1: README.md",
            "docs/page.md:1: nowhere.md",
            "docs/page.md:1: #there",
            "docs/page.md:7: ../docs/README.md#x",
        ]
    );
}

#[test]
fn every_path_exists() {
    let all = documents();
    let ours = all
        .iter()
        .filter(|document| document.path != Path::new(OLD_NAMES));
    let missing: Vec<_> = ours
        .flat_map(|document| document.missing_paths(root()))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn missing_paths_are_found() {
    let page = document(
        "a.md",
        "`src/main.rs` `src/nothing.rs` `src/*` `tests/it -x` `srcs/x`\n",
    );
    assert_eq!(page.missing_paths(root()), ["a.md:1: src/nothing.rs"]);
}

#[test]
fn documents_use_the_words_of_the_field() {
    let all = documents();
    let ours = all
        .iter()
        .filter(|document| document.path != Path::new(OLD_NAMES));
    let found: Vec<_> = ours.flat_map(Document::forbidden_words).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn forbidden_words_are_found() {
    let page = document(
        "a.md",
        "Indoors.\nA `door`, a Door, two mistakes.\n```\nfigures\n```\n",
    );
    assert_eq!(page.forbidden_words(), ["a.md:2: Door", "a.md:2: mistakes"]);
}

#[test]
fn the_index_of_decisions_has_every_decision() {
    let folder = root().join("docs/adr");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let listed: BTreeSet<_> = index.lines().flat_map(links).map(str::to_owned).collect();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || listed.contains(&name),
            "{name} is not in the index"
        );
    }
}
