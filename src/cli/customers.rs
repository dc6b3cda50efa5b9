//! The commands `customers erase` and `customers export`.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ArgMatches;
use http::Uri;
use tokio::runtime::{self, Runtime};

use super::{
    Action, SUCCESS,
    commands::{DATA, ERASE, FROM, USER},
    error::CliError,
    store_reports::require_store,
    table::grouped,
};
use crate::{
    api::customers::{erase_at, export, export_at},
    server,
};
use domain::ids::UserId;
use kernel::blocking;
use store::Store;

/// In place of a user id: it is read from standard input, so that neither the history of the shell nor the list of
/// processes has it.
const STDIN: &str = "-";

/// `customers erase` or `customers export`.
#[derive(Debug, PartialEq)]
pub(super) struct CustomerCommand {
    step: CustomerStep,
    user: String,
    source: CustomerSource,
}

#[derive(Debug, PartialEq)]
enum CustomerStep {
    Erase,
    Export,
}

/// Where the orders of a customer are.
#[derive(Debug, PartialEq)]
enum CustomerSource {
    /// In the store of the running server with this `admin_listen`.
    Server(Uri),
    /// In this data directory, whose server is stopped.
    Directory(PathBuf),
}

/// The action that the arguments ask for.
pub(super) fn action(arguments: &ArgMatches) -> Action {
    let (name, arguments) = arguments.subcommand().expect("the parser requires one");
    let user: &String = arguments.get_one(USER).expect("the parser requires it");
    let source = if let Some(server) = arguments.get_one::<Uri>(FROM) {
        CustomerSource::Server(server.clone())
    } else {
        let directory: &PathBuf = arguments.get_one(DATA).expect("the parser requires one");
        CustomerSource::Directory(directory.clone())
    };
    let step = if name == ERASE {
        CustomerStep::Erase
    } else {
        CustomerStep::Export
    };
    Action::Customer(CustomerCommand {
        step,
        user: user.clone(),
        source,
    })
}

impl CustomerCommand {
    /// Erases or prints the data of the customer. Returns the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        match self.answer() {
            Ok(answer) => {
                stdout.write_all(&answer)?;
                Ok(SUCCESS)
            }
            Err(error) => error.print(stdout, stderr),
        }
    }

    fn answer(&self) -> Result<Vec<u8>, CliError> {
        let user_id = self.user_id()?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Start)?;
        match (&self.step, &self.source) {
            (CustomerStep::Erase, CustomerSource::Server(server)) => {
                let erased = runtime.block_on(erase_at(server, &user_id));
                let erased = erased
                    .map_err(|error| CliError::CustomersServer(server.clone(), Box::new(error)))?;
                Ok(erasure(erased))
            }
            (CustomerStep::Export, CustomerSource::Server(server)) => runtime
                .block_on(export_at(server, &user_id))
                .map_err(|error| CliError::CustomersServer(server.clone(), Box::new(error))),
            (CustomerStep::Erase, CustomerSource::Directory(dir)) => {
                let store = open(dir)?;
                let erased = runtime.block_on(async { store.erase_person(&user_id).await });
                Ok(erasure(erased?))
            }
            (CustomerStep::Export, CustomerSource::Directory(dir)) => {
                export_from(&runtime, open(dir)?, user_id)
            }
        }
    }

    fn user_id(&self) -> Result<UserId, CliError> {
        let mut line = String::new();
        let user = if self.user == STDIN {
            io::stdin().read_line(&mut line).map_err(CliError::Input)?;
            line.trim_end_matches(['\r', '\n'])
        } else {
            &self.user
        };
        if user.is_empty() {
            return Err(CliError::NoUser);
        }
        Ok(user.into())
    }
}

/// Opens the store of a stopped server.
fn open(dir: &Path) -> Result<Arc<dyn Store>, CliError> {
    require_store(dir)?;
    server::stopped_store(dir).map_err(CliError::opened)
}

fn export_from(
    runtime: &Runtime,
    store: Arc<dyn Store>,
    user_id: UserId,
) -> Result<Vec<u8>, CliError> {
    let read = move || {
        let mut text = String::new();
        let exported = export(&*store, &user_id, &mut |piece| {
            text.push_str(&piece);
            ControlFlow::Continue(())
        });
        exported.map(|()| text.into_bytes())
    };
    let exported = runtime.block_on(blocking::run(read));
    let exported = exported.map_err(|error| CliError::Start(io::Error::other(error)))?;
    Ok(exported?)
}

fn erasure(orders: u64) -> Vec<u8> {
    let text = match orders {
        0 => {
            "there was nothing to erase: no order has the personal data of this customer".to_owned()
        }
        1 => "the personal data of 1 order was erased".to_owned(),
        orders => format!("the personal data of {} orders was erased", grouped(orders)),
    };
    format!("{text}\n").into_bytes()
}
