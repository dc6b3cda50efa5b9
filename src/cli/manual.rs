//! `boxoffice man`: pages of the manual.

use clap::{ArgMatches, error::ErrorKind};
use clap_mangen::Man;

use super::{
    Action,
    commands::{COMMAND, command},
    error::CliError,
};

/// The page of the command that the names lead to, each below the one before.
pub(super) fn action(arguments: &ArgMatches) -> Result<Action, CliError> {
    let mut found = command();
    // So that pages below name the program, too.
    found.build();
    for name in arguments.get_many::<String>(COMMAND).into_iter().flatten() {
        let Some(below) = found.find_subcommand(name).cloned() else {
            let text = format!("unrecognized subcommand '{name}'");
            return Err(command().error(ErrorKind::InvalidSubcommand, text).into());
        };
        found = below;
    }
    let mut text = Vec::new();
    Man::new(found)
        .render(&mut text)
        .expect("memory takes all bytes");
    Ok(Action::Write(text))
}
