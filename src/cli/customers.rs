//! The commands `customers erase` and `customers export`.

use std::{
    ffi::OsString,
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
    operator::{OperatorServer, SERVER},
    store_reports::require_store,
    table::grouped,
};
use crate::{
    api::{
        booking::from_proto::user_id,
        customers::{ExportedCustomer, erase_at, export, export_at},
    },
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
    /// In the store of this running server.
    Operator(OperatorServer),
}

/// The action that the arguments ask for.
pub(super) fn action(
    arguments: &ArgMatches,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Action, CliError> {
    let (name, arguments) = arguments.subcommand().expect("the parser requires one");
    let user: &String = arguments.get_one(USER).expect("the parser requires it");
    let source = if let Some(server) = arguments.get_one::<Uri>(FROM) {
        CustomerSource::Server(server.clone())
    } else if let Some(address) = arguments.get_one::<Uri>(SERVER) {
        let server = OperatorServer::of(address, arguments, environment, read_file)?;
        CustomerSource::Operator(server)
    } else {
        let directory: &PathBuf = arguments.get_one(DATA).expect("the parser requires one");
        CustomerSource::Directory(directory.clone())
    };
    let step = if name == ERASE {
        CustomerStep::Erase
    } else {
        CustomerStep::Export
    };
    Ok(Action::Customer(CustomerCommand {
        step,
        user: user.clone(),
        source,
    }))
}

impl CustomerCommand {
    /// Erases or prints the data of the customer. Returns the exit code: of several customers, that of the first error.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        let opened = match self.open() {
            Ok(opened) => opened,
            Err(error) => return error.print(stdout, stderr),
        };
        let mut code = SUCCESS;
        for user in &opened.users {
            // By its line: an output that is kept has no user id in it.
            let place = match opened.users.len() {
                1 => String::new(),
                _ => format!("{}: ", user.place),
            };
            let done = match self.step {
                CustomerStep::Erase => opened.erase(&user.id, &place, stdout)?,
                CustomerStep::Export => opened.export(&user.id, stdout)?,
            };
            if let Err(error) = done {
                stderr.write_all(place.as_bytes())?;
                let failed = error.print(stdout, stderr)?;
                code = if code == SUCCESS { failed } else { code };
            }
        }
        Ok(code)
    }

    fn open(&self) -> Result<OpenedCustomers<'_>, CliError> {
        // All of them before the first is erased.
        let users = self.users()?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Start)?;
        let source = match &self.source {
            CustomerSource::Server(server) => OpenedSource::Server(server),
            CustomerSource::Directory(dir) => OpenedSource::Store(open(dir)?),
            CustomerSource::Operator(server) => OpenedSource::Operator(server),
        };
        Ok(OpenedCustomers {
            users,
            runtime,
            source,
        })
    }

    fn users(&self) -> Result<Vec<GivenUser>, CliError> {
        if self.user != STDIN {
            return Ok(vec![given_user("--user".to_owned(), &self.user)?]);
        }
        let text = io::read_to_string(io::stdin()).map_err(CliError::Input)?;
        let mut users = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if !line.is_empty() {
                users.push(given_user(format!("line {}", at + 1), line)?);
            }
        }
        if users.is_empty() {
            users.push(given_user("standard input".to_owned(), "")?);
        }
        if users.len() > 1 && self.step == CustomerStep::Export {
            return Err(CliError::ManyUsers(users.len()));
        }
        Ok(users)
    }
}

/// A user id, and where it was given.
struct GivenUser {
    place: String,
    id: UserId,
}

fn given_user(place: String, id: &str) -> Result<GivenUser, CliError> {
    match user_id(id.to_owned()) {
        Ok(id) => Ok(GivenUser { place, id }),
        Err(violations) => Err(CliError::User { place, violations }),
    }
}

/// Customers, and the store that has their orders.
struct OpenedCustomers<'c> {
    users: Vec<GivenUser>,
    runtime: Runtime,
    source: OpenedSource<'c>,
}

enum OpenedSource<'c> {
    Server(&'c Uri),
    Store(Arc<dyn Store>),
    Operator(&'c OperatorServer),
}

impl OpenedCustomers<'_> {
    fn erase(
        &self,
        user_id: &UserId,
        place: &str,
        stdout: &mut dyn Write,
    ) -> io::Result<Result<(), CliError>> {
        let erased = match &self.source {
            OpenedSource::Server(server) => self
                .runtime
                .block_on(erase_at(server, user_id))
                .map_err(|error| CliError::CustomersServer((*server).clone(), Box::new(error))),
            OpenedSource::Store(store) => self
                .runtime
                .block_on(async { store.erase_person(user_id).await })
                .map_err(CliError::Erase),
            OpenedSource::Operator(server) => server.erase_customer(user_id),
        };
        match erased {
            Ok(orders) => writeln!(stdout, "{place}{}", erasure(orders)).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    fn export(&self, user_id: &UserId, stdout: &mut dyn Write) -> io::Result<Result<(), CliError>> {
        let exported = match &self.source {
            OpenedSource::Server(server) => self
                .runtime
                .block_on(export_at(server, user_id))
                .map_err(|error| CliError::CustomersServer((*server).clone(), Box::new(error))),
            OpenedSource::Store(store) => {
                export_from(&self.runtime, Arc::clone(store), user_id.clone())
            }
            OpenedSource::Operator(server) => server.export_customer(user_id),
        };
        match exported {
            Ok(ExportedCustomer { json, unreadable }) => {
                stdout.write_all(&json)?;
                if unreadable.is_empty() {
                    return Ok(Ok(()));
                }
                Ok(Err(CliError::ExportPartly(unreadable)))
            }
            Err(error) => Ok(Err(error)),
        }
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
) -> Result<ExportedCustomer, CliError> {
    let read = move || {
        let mut text = String::new();
        let exported = export(&*store, &user_id, &mut |piece| {
            text.push_str(&piece);
            ControlFlow::Continue(())
        });
        exported.map(|unreadable| ExportedCustomer {
            json: text.into_bytes(),
            unreadable,
        })
    };
    let exported = runtime.block_on(blocking::run(read));
    let exported = exported.map_err(|error| CliError::Start(io::Error::other(error)))?;
    Ok(exported?)
}

fn erasure(orders: u64) -> String {
    match orders {
        0 => {
            "there was nothing to erase: no order has the personal data of this customer".to_owned()
        }
        1 => "the personal data of 1 order was erased".to_owned(),
        orders => format!("the personal data of {} orders was erased", grouped(orders)),
    }
}
