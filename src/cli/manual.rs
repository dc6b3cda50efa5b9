//! `boxoffice man`: pages of the manual.

use clap::{ArgMatches, Command};
use clap_mangen::Man;

use super::{
    Action,
    commands::{COMMAND, command},
};
use crate::config::{Flags, Mistake, Mistakes, Place, Problem};

pub(super) fn action(flags: Flags, words: &ArgMatches) -> Result<Action, Mistakes> {
    let names: Vec<&String> = words.get_many(COMMAND).into_iter().flatten().collect();
    let mut mistakes = Vec::new();
    let page = find(&names).unwrap_or_else(|unknown| {
        let known = command()
            .get_subcommands()
            .map(|known| known.get_name().to_owned())
            .collect::<Vec<_>>();
        let problem = Problem::unknown(unknown, known.into_iter());
        mistakes.push(Mistake {
            place: Place::Word(unknown.to_owned()),
            problem,
        });
        command()
    });
    flags.with_mistakes(mistakes).refuse()?;
    let mut text = Vec::new();
    Man::new(page)
        .render(&mut text)
        .expect("memory takes all bytes");
    Ok(Action::Write(text))
}

/// The command of those names, each below the one before; or the first name that there is none of.
fn find<'a>(names: &[&'a String]) -> Result<Command, &'a str> {
    let mut found = command();
    // So that pages below name the program, too.
    found.build();
    for name in names {
        found = found.find_subcommand(name).cloned().ok_or(name.as_str())?;
    }
    Ok(found)
}
