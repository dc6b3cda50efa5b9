//! `boxoffice completions`: what a shell needs to complete the words of this program.

use clap::{ArgMatches, ValueEnum};
use clap_complete::{Shell, generate};

use super::{
    Action,
    commands::{SHELL, command},
};
use crate::config::{Flags, Mistake, Mistakes, Place, Problem};

/// The shells, by the names that they are asked for.
pub(super) fn shells() -> String {
    let names = Shell::value_variants()
        .iter()
        .map(|shell| format!("`{shell}`"));
    names.collect::<Vec<_>>().join(" or ")
}

pub(super) fn action(flags: Flags, words: &ArgMatches) -> Result<Action, Mistakes> {
    let name = words
        .get_one::<String>(SHELL)
        .map(String::as_str)
        .unwrap_or_default();
    let Ok(shell) = Shell::from_str(name, false) else {
        let problem = Problem::Value {
            expected: shells(),
            found: format!("{name:?}"),
        };
        let mistake = Mistake {
            place: Place::Word("<SHELL>".to_owned()),
            problem,
        };
        return Err(flags
            .with_mistakes(vec![mistake])
            .refuse()
            .err()
            .unwrap_or_else(|| Vec::new().into()));
    };
    flags.refuse()?;
    let mut script = Vec::new();
    generate(shell, &mut command(), "boxoffice", &mut script);
    Ok(Action::Write(script))
}
