//! Descriptions as tables of plain text.

use super::Described;

/// Before each line of a table.
const INDENT: &str = "  ";

/// Between two columns.
const GAP: usize = 2;

/// States and transitions of each entity. Conditions and actions stand one below the other.
#[must_use]
pub fn text(entities: &[Described]) -> String {
    let mut texts = Vec::new();
    for described in entities {
        let mut states = vec![["state", "meaning"].map(str::to_owned).to_vec()];
        for (state, meaning) in &described.states {
            states.push(vec![state.clone(), meaning.clone()]);
        }
        let headings = ["from", "to", "kind", "if, do"];
        let mut rows = vec![headings.map(str::to_owned).to_vec()];
        for row in &described.rows {
            let condition = (!row.conditions.is_empty()).then(|| format!("if {}", row.conditions));
            let mut lines = condition.into_iter().chain(row.actions.iter().cloned());
            let first = lines.next().unwrap_or_default();
            let from = row.from.clone();
            rows.push(vec![from, row.to.clone(), row.kind.to_owned(), first]);
            for line in lines {
                rows.push(vec![String::new(), String::new(), String::new(), line]);
            }
        }
        texts.push(format!(
            "{}\n\n{}\n{}",
            described.entity,
            aligned(&states),
            aligned(&rows)
        ));
    }
    texts.join("\n")
}

/// Rows with their cells one below the other.
fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = INDENT.to_owned();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            let padding = width - cell.chars().count() + GAP;
            line.extend(std::iter::repeat_n(' ', padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
