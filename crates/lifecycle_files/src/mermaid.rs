//! A definition as a state diagram in Mermaid.

use std::fmt::Write;

use super::describe::Described;

/// The diagram of one or several entities: a composite state each. Dashed words mark automatic transitions.
#[must_use]
pub fn mermaid(entities: &[Described]) -> String {
    let mut text = String::from("stateDiagram-v2\n");
    for described in entities {
        let entity = described.entity;
        line(&mut text, format_args!("    state {entity} {{"));
        for (state, _) in &described.states {
            line(
                &mut text,
                format_args!("        state {:?} as {}", state, id(entity, state)),
            );
        }
        for row in &described.rows {
            let to = id(entity, &row.to);
            if row.from.is_empty() {
                line(&mut text, format_args!("        [*] --> {to}"));
                continue;
            }
            for from in row.from.split(", ") {
                let (from, kind) = (id(entity, from), row.kind);
                line(&mut text, format_args!("        {from} --> {to}: {kind}"));
            }
        }
        for (state, _) in &described.states {
            let is_left = |from: &str| from.split(", ").any(|it| it == state);
            if !described.rows.iter().any(|row| is_left(&row.from)) {
                let state = id(entity, state);
                line(&mut text, format_args!("        {state} --> [*]"));
            }
        }
        line(&mut text, format_args!("    }}"));
    }
    text
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Text takes all text.
    let _ = writeln!(text, "{content}");
}

/// An id that Mermaid can read: states of several entities may have one name.
fn id(entity: &str, state: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    let state: String = state.chars().map(plain).collect();
    format!("{entity}__{state}")
}
