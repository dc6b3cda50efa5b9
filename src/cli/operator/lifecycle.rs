//! The commands that ask a running server about its lifecycle, and change it.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use kernel::files::regular;

use super::{
    CA, CSV, JSON, JSON_LINES, LOGIN_FILE, SERVER, SHOW,
    changes::{DRY_RUN, REQUEST_ID, new_request_id},
    connection::{Connection, RequestFailed},
    given, limit, most,
    output::{Report, local},
    text, with_connection,
};
use crate::{
    api::operator::proto::v1::{self, LifecycleFormat, LifecycleRevision},
    cli::{
        commands::{ACTION, DESCRIBE, ENTITY, FILE, MERMAID, STATE},
        error::CliError,
        table::Align,
    },
};

const DRAFT: &str = "draft";
const PUT: &str = "put";
const DISCARD: &str = "discard";
const PUBLISH: &str = "publish";
const REVISIONS: &str = "revisions";

/// Revisions of one answer.
const PAGE: i32 = 1_000;

/// What is asked of the lifecycle of a server.
#[derive(Debug, PartialEq)]
pub(super) enum LifecycleQuery {
    Describe(v1::DescribeLifecycleRequest),
    ShowDraft,
    PutDraft(v1::PutDraftRequest),
    DiscardDraft(v1::DiscardDraftRequest),
    Publish(v1::PublishDraftRequest),
    Revisions { most: usize },
}

/// The commands for a running server.
pub(in crate::cli) fn commands() -> [Command; 3] {
    [
        Command::new(DRAFT)
            .about("The draft of the next definition of a running server")
            .subcommand_required(true)
            .subcommand(with_connection(Command::new(SHOW).about("Print the draft")))
            .subcommand(with_connection(with_request(
                Command::new(PUT)
                    .about("Check a definition and keep it as the draft")
                    .arg(
                        Arg::new(FILE)
                            .value_name("FILE")
                            .required(true)
                            .value_parser(value_parser!(PathBuf))
                            .help("The definition, a TOML file"),
                    )
                    .arg(dry_run("Check only, keep nothing")),
            )))
            .subcommand(with_connection(with_request(
                Command::new(DISCARD).about("Remove the draft"),
            ))),
        with_connection(with_request(
            Command::new(PUBLISH)
                .about("Put the draft of a running server in force")
                .arg(dry_run("Check only, publish nothing")),
        )),
        with_connection(
            Command::new(REVISIONS)
                .about("List the definitions that are or were in force, newest first")
                .arg(limit()),
        ),
    ]
}

/// A command of a file with the arguments to ask a server instead.
pub(in crate::cli) fn or_of_server(command: Command) -> Command {
    let command = with_connection(command).mut_arg(SERVER, |server| {
        server
            .default_value(None::<&'static str>)
            .conflicts_with(FILE)
            .help("Describe the definition in force of the server with this operator's address")
    });
    let of_server = [CA, LOGIN_FILE, JSON, JSON_LINES, CSV];
    of_server.into_iter().fold(command, |command, name| {
        command.mut_arg(name, |argument| argument.requires(SERVER))
    })
}

/// Whether the arguments of `lifecycle` ask a server.
pub(in crate::cli) fn asks_server(arguments: &ArgMatches) -> bool {
    match arguments.subcommand() {
        Some((DESCRIBE, arguments)) => arguments.contains_id(SERVER),
        Some((DRAFT | PUBLISH | REVISIONS, _)) => true,
        _ => false,
    }
}

fn with_request(command: Command) -> Command {
    command.arg(text(
        REQUEST_ID,
        "UUID",
        "The request; the same one again changes nothing more; default: a new one",
    ))
}

fn dry_run(help: &'static str) -> Arg {
    Arg::new(DRY_RUN)
        .long(DRY_RUN)
        .action(ArgAction::SetTrue)
        .help(help)
}

impl LifecycleQuery {
    /// The query of a command, and the arguments that it came with.
    pub(super) fn of<'a>(
        command: &str,
        arguments: &'a ArgMatches,
    ) -> Result<(Self, &'a ArgMatches), CliError> {
        let (command, arguments) = match (command, arguments.subcommand()) {
            (DRAFT, Some((command, arguments))) => (command, arguments),
            (command, _) => (command, arguments),
        };
        let query = match command {
            DESCRIBE => Self::Describe(v1::DescribeLifecycleRequest {
                format: if arguments.get_flag(MERMAID) {
                    LifecycleFormat::Mermaid.into()
                } else {
                    LifecycleFormat::Text.into()
                },
                entity: given(arguments, ENTITY),
                state: given(arguments, STATE),
                action: given(arguments, ACTION),
            }),
            SHOW => Self::ShowDraft,
            PUT => Self::PutDraft(v1::PutDraftRequest {
                definition: definition(arguments)?,
                request_id: request_id(arguments)?,
                validate_only: arguments.get_flag(DRY_RUN),
            }),
            DISCARD => Self::DiscardDraft(v1::DiscardDraftRequest {
                request_id: request_id(arguments)?,
            }),
            PUBLISH => Self::Publish(v1::PublishDraftRequest {
                request_id: request_id(arguments)?,
                validate_only: arguments.get_flag(DRY_RUN),
            }),
            // The parser knows no other.
            _ => Self::Revisions {
                most: most(arguments),
            },
        };
        Ok((query, arguments))
    }

    pub(super) async fn answer(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let mut client = connection.lifecycle();
        match self {
            Self::Describe(request) => {
                let answer = client.describe_lifecycle(request.clone()).await?;
                let answer = answer.into_inner();
                Ok(Report::of_text(answer.description.clone(), &answer))
            }
            Self::ShowDraft => {
                let answer = client.get_draft(v1::GetDraftRequest {}).await?.into_inner();
                Ok(Report::of_text(answer.definition.clone(), &answer))
            }
            Self::PutDraft(request) => {
                let answer = client.put_draft(request.clone()).await?.into_inner();
                let outcome = if request.validate_only {
                    "The definition has no errors."
                } else {
                    "The definition is the draft now."
                };
                let mut lines = vec![outcome.to_owned()];
                for warning in &answer.warnings {
                    lines.push(format!("warning: {warning}"));
                }
                Ok(Report::of_text(lines.join("\n"), &answer))
            }
            Self::DiscardDraft(request) => {
                let answer = client.discard_draft(request.clone()).await?.into_inner();
                Ok(Report::of_text(
                    "The draft is discarded.".to_owned(),
                    &answer,
                ))
            }
            Self::Publish(request) => {
                let answer = client.publish_draft(request.clone()).await?.into_inner();
                let revision = answer.revision.clone().unwrap_or_default();
                let number = revision.revision;
                let outcome = if request.validate_only {
                    format!("The draft can be published as revision {number}.")
                } else {
                    format!("Revision {number} is in force now.")
                };
                Ok(Report::of_text(outcome, &answer))
            }
            Self::Revisions { most } => {
                let mut request = v1::ListRevisionsRequest {
                    page_size: PAGE,
                    page_token: String::new(),
                };
                let mut revisions = Vec::new();
                while revisions.len() < *most {
                    let page = client.list_revisions(request.clone()).await?.into_inner();
                    revisions.extend(page.revisions);
                    request.page_token = page.next_page_token;
                    if request.page_token.is_empty() {
                        break;
                    }
                }
                revisions.truncate(*most);
                Ok(revision_report(&revisions))
            }
        }
    }
}

fn revision_report(revisions: &[LifecycleRevision]) -> Report {
    let columns = vec![
        ("revision", "Revision", Align::Right),
        ("name", "Name", Align::Left),
        ("published", "Published", Align::Left),
        ("by", "By", Align::Left),
        ("digest", "Digest", Align::Left),
    ];
    let mut rows = Vec::new();
    for revision in revisions {
        rows.push(vec![
            revision.revision.to_string(),
            revision.name.clone(),
            local(revision.publish_time.as_ref(), "UTC"),
            revision.actor.clone(),
            revision.digest.clone(),
        ]);
    }
    Report::new(columns, rows, &revisions)
}

fn definition(arguments: &ArgMatches) -> Result<String, CliError> {
    let file: &PathBuf = arguments.get_one(FILE).expect("the parser requires it");
    regular::read_text(file).map_err(|error| CliError::Read(file.clone(), error))
}

fn request_id(arguments: &ArgMatches) -> Result<String, CliError> {
    match given(arguments, REQUEST_ID) {
        id if id.is_empty() => new_request_id().map_err(CliError::Start),
        id => Ok(id),
    }
}
