//! `boxoffice completions`: what a shell needs to complete the command lines of this program.

use clap::ArgMatches;
use clap_complete::{Shell, generate};

use super::{
    Action,
    commands::{SHELL, command},
};

pub(super) fn action(arguments: &ArgMatches) -> Action {
    let shell: &Shell = arguments.get_one(SHELL).expect("the parser requires it");
    let mut script = Vec::new();
    generate(*shell, &mut command(), "boxoffice", &mut script);
    Action::Write(script)
}
