//! The paths that a source file names, as a parser sees them: grouped and renamed imports, relative paths,
//! and paths within macros are distinguished from comments and texts.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ItemFn, ItemImpl, ItemMod, ItemUse, Macro, Meta, Path, UseTree,
    spanned::Spanned,
    visit::{self, Visit},
};

/// A path that is named somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedPath {
    pub(super) line: usize,
    /// From the root: a package, `std` or `crate`. An imported glob ends in `*`, a macro in `!`.
    pub(super) segments: Vec<String>,
}

impl NamedPath {
    /// Whether this is something of `prefix`, such as `std::fs` of `std`; a type, such as `Instant`, is
    /// found wherever it stands.
    pub(super) fn is_of(&self, prefix: &str) -> bool {
        if prefix.starts_with(char::is_uppercase) {
            return self.segments.iter().any(|segment| segment == prefix);
        }
        let prefix = prefix.split("::").map(str::to_owned);
        self.segments.starts_with(&prefix.collect::<Vec<_>>())
    }
}

/// The paths named in the text of a module, but for its tests.
pub(super) fn named_paths(module: &[&str], text: &str) -> Vec<NamedPath> {
    let file = syn::parse_file(text).expect("the compiler has read it");
    let mut reader = Reader {
        module: module.iter().map(ToString::to_string).collect(),
        found: Vec::new(),
    };
    reader.visit_file(&file);
    reader.found
}

struct Reader {
    /// The module that is being read, from the root of its package.
    module: Vec<String>,
    found: Vec<NamedPath>,
}

impl Reader {
    fn note(&mut self, line: usize, segments: &[String]) {
        let segments = self.absolute(segments);
        self.found.push(NamedPath { line, segments });
    }

    /// Turns `self` and `super` into paths from the root of the package.
    fn absolute(&self, segments: &[String]) -> Vec<String> {
        let (mut module, mut rest) = (self.module.clone(), segments);
        let is_relative = matches!(segments, [first, ..] if first == "self" || first == "super");
        if !is_relative {
            return segments.to_vec();
        }
        while let [first, after @ ..] = rest {
            match first.as_str() {
                "self" => {}
                "super" => drop(module.pop()),
                _ => break,
            }
            rest = after;
        }
        ["crate".to_owned()]
            .into_iter()
            .chain(module)
            .chain(rest.iter().cloned())
            .collect()
    }

    fn note_import(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |ident: &syn::Ident| [prefix, &[ident.to_string()]].concat();
        let line = tree.span().start().line;
        match tree {
            UseTree::Path(path) => self.note_import(&path.tree, &with(&path.ident)),
            UseTree::Name(name) if name.ident == "self" => self.note(line, prefix),
            UseTree::Name(name) => self.note(line, &with(&name.ident)),
            UseTree::Rename(rename) => self.note(line, &with(&rename.ident)),
            UseTree::Glob(_) => self.note(line, &[prefix, &["*".to_owned()]].concat()),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_import(tree, prefix);
                }
            }
        }
    }

    /// Notes what looks like a path among the tokens of a macro or an attribute.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut segments: Vec<String> = Vec::new();
        let mut line = 0;
        // Between two names of one path there are two colons.
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.note_segments(line, &mut segments);
                        line = ident.span().start().line;
                    }
                    segments.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.note_segments(line, &mut segments);
                    self.note_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.note_segments(line, &mut segments);
                    colons = 0;
                }
            }
        }
        self.note_segments(line, &mut segments);
    }

    fn note_segments(&mut self, line: usize, segments: &mut Vec<String>) {
        let segments = std::mem::take(segments);
        if !segments.is_empty() && !is_local(&segments) {
            self.note(line, &segments);
        }
    }
}

/// Whether this is a variable or a function of the file: packages are named alone only by imports.
fn is_local(segments: &[String]) -> bool {
    matches!(segments, [name] if name.starts_with(char::is_lowercase))
}

/// The names of a path.
fn names(path: &Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect()
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            self.module.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_test(&item.attrs) {
            self.note_import(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.note_segments(path.span().start().line, &mut names(path));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        let mut names = names(&item.path);
        if let Some(last) = names.last_mut() {
            last.push('!');
        }
        self.note(item.path.span().start().line, &names);
        self.note_tokens(item.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.note_tokens(list.tokens.clone());
        }
    }
}

/// Whether something is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => {
            list.path.is_ident("cfg")
                && list
                    .tokens
                    .clone()
                    .into_iter()
                    .any(|token| matches!(token, TokenTree::Ident(ident) if ident == "test"))
        }
        Meta::NameValue(_) => false,
    })
}

#[test]
fn imports_are_read_however_they_are_written() {
    let text = "\
use std::{collections::HashMap, {fs as files, io::{self, Write}}}; // tonic
use crate::{server::{Server, routes::*}, audit};
use super::super::wire::json;
mod inner {
    use super::Outer;
    fn wait() { tokio::spawn(async { sleep(\"hyper::Error\") }); println!(\"{}\", http::StatusCode::OK); let axum = 1; axum }
}
#[cfg(test)]
mod tests { use tonic::Status; }
#[derive(serde::Serialize)]
struct Wrapped(prost::bytes::Bytes);
";
    let found = named_paths(&["rest", "url"], text);
    let found: Vec<String> = found.iter().map(|path| path.segments.join("::")).collect();
    for expected in [
        "std::collections::HashMap",
        "std::fs",
        "std::io",
        "std::io::Write",
        "crate::server::Server",
        "crate::server::routes::*",
        "crate::audit",
        "crate::wire::json",
        "crate::rest::url::Outer",
        "tokio::spawn",
        "println!",
        "http::StatusCode::OK",
        "serde::Serialize",
        "prost::bytes::Bytes",
    ] {
        assert!(
            found.iter().any(|path| path == expected),
            "{expected}: {found:?}"
        );
    }
    for absent in ["tonic", "hyper", "axum"] {
        assert!(
            !found.iter().any(|path| path.starts_with(absent)),
            "{absent}: {found:?}"
        );
    }
}
