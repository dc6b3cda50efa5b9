//! A load generator that looks at every answer.
//!
//! ```text
//! cargo bench --bench load -- catalog DIR --slots 1000      # writes a catalogue to sell from
//! cargo bench --bench load -- closed --call create          # as fast as the server answers
//! cargo bench --bench load -- open --call check --rate 5000 # at a rate, however slow it answers
//! cargo bench --bench load -- compare                       # Box Office beside its limits
//! cargo bench --bench load -- soak --minutes 30             # half of what it can, for long
//! ```
//!
//! In a closed loop a caller waits for its answer before it asks again, so the load follows the
//! server: that measures throughput. In an open loop calls are due at fixed moments and a call's
//! time counts from that moment, so a server that stands still is seen to: that measures waiting.
//!
//! Every answer is read and counted by what it says. A refusal is never taken for a success.

#![expect(
    clippy::print_stdout,
    reason = "what was measured goes to standard output"
)]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

mod catalog;
mod compare;
mod disk;
mod drive;
mod echo;
mod lab;
mod plot;
mod postgres;
mod results;
mod server;
mod soak;
mod tally;
mod target;
mod workload;

use std::{path::PathBuf, sync::Arc};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use compare::GROUPS;
use lab::Lab;
use soak::Plan;
use target::{Pace, Target};
use workload::{Call, Workload};

/// Calls take small pieces of memory; the system's allocator would be what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    match command().get_matches().subcommand() {
        Some(("catalog", args)) => {
            let dir = args.get_one::<PathBuf>("dir").expect("required");
            Ok(catalog::write(
                dir,
                number(args, "slots"),
                number(args, "spots"),
            )?)
        }
        Some(("echo", _)) => echo::serve(),
        Some(("compare", args)) => compare(args),
        Some(("soak", args)) => soak(args),
        Some((loop_, args)) => run(loop_, args),
        // Cargo runs every bench target when none is named; without words this one does nothing.
        None => Ok(()),
    }
}

fn run(loop_: &str, args: &ArgMatches) -> Result<(), Failure> {
    let pace = match loop_ {
        "open" => Pace::Open {
            per_second: number(args, "rate").max(1),
        },
        _ => Pace::Closed {
            in_flight: number(args, "in-flight").max(1),
        },
    };
    let target = Target {
        address: text(args, "address").to_owned(),
        connections: usize::try_from(number(args, "connections"))?.max(1),
        calls: number(args, "calls"),
        pace,
    };
    let workload = Arc::new(workload(args)?);
    let runtime = tokio::runtime::Runtime::new()?;
    let run = runtime.block_on(drive::run(&target, &workload))?;
    print!("{run}");
    write_json(args, &run.json())?;
    if let Some(path) = args.get_one::<PathBuf>("plot") {
        plot::draw(path, &run)?;
    }
    if run.bad() > 0 {
        Err(format!("{} answers were not good", run.bad()).into())
    } else {
        Ok(())
    }
}

fn compare(args: &ArgMatches) -> Result<(), Failure> {
    let groups = args
        .get_many::<String>("group")
        .unwrap_or_default()
        .cloned()
        .collect();
    let mut lab = Lab::new(
        number(args, "rounds").max(1),
        number(args, "calls").max(1000),
    )?;
    lab.earlier = args.get_one("earlier").cloned();
    compare::compare(&groups, &mut lab)?;
    print!("{}", lab.results);
    write_json(args, &lab.results.json())
}

fn soak(args: &ArgMatches) -> Result<(), Failure> {
    let plan = Plan {
        minutes: number(args, "minutes").max(1),
        slots: number(args, "slots").max(1),
        reload_every: number(args, "reload-every").max(1),
        drain_every: number(args, "drain-every").max(1),
    };
    let mut lab = Lab::new(1, number(args, "calls").max(1000))?;
    let course = soak::soak(&mut lab, &plan)?;
    print!("{course}");
    write_json(args, &course.json())?;
    if let Some(path) = args.get_one::<PathBuf>("plot") {
        plot::draw_course(path, &course)?;
    }
    Ok(())
}

/// Writes what was measured, if that is asked for.
fn write_json(args: &ArgMatches, measured: &serde_json::Value) -> Result<(), Failure> {
    if let Some(path) = args.get_one::<PathBuf>("json") {
        std::fs::write(path, serde_json::to_vec_pretty(measured)?)?;
    }
    Ok(())
}

fn workload(args: &ArgMatches) -> Result<Workload, Failure> {
    Ok(Workload {
        call: *args.get_one::<Call>("call").expect("it has a default"),
        slots: number(args, "slots").max(1),
        hot_percent: number(args, "hot"),
        orders_per_user: number(args, "orders-per-user").max(1),
        first: 0,
        run: text(args, "run").to_owned(),
        authorization: args
            .get_one("authorization")
            .map(|text: &String| text.parse())
            .transpose()?,
    })
}

fn command() -> Command {
    let catalog = Command::new("catalog")
        .about("Writes a catalogue of one service.")
        .arg(
            Arg::new("dir")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(count("slots", "1000", "slots"))
        .arg(count("spots", "1000", "spots of each slot"));
    let closed = loop_command("closed")
        .about("Calls as fast as the answers come.")
        .arg(count("in-flight", "32", "calls at once on each connection"));
    let open = loop_command("open")
        .about("Calls at fixed moments, whether or not answers have come.")
        .arg(count("rate", "1000", "calls a second"));
    let echo = Command::new("echo").about("Answers without doing anything, until it is ended.");
    let groups = GROUPS.map(|(name, _)| name);
    let compare = Command::new("compare")
        .about("Measures Box Office beside its limits, in rounds that take turns.")
        .arg(
            Arg::new("group")
                .num_args(0..)
                .value_parser(groups)
                .help("what to compare; else everything"),
        )
        .arg(count("rounds", "5", "rounds"))
        .arg(count("calls", "100000", "calls of each measurement"))
        .arg(path(
            "earlier",
            "an earlier build of the program, for the group of that name",
        ))
        .arg(path("json", "writes what was measured"));
    let soak = Command::new("soak")
        .about("Half of what a server can take, for long, with reloads and drains.")
        .arg(count("minutes", "30", "minutes"))
        .arg(count("slots", "10000", "slots"))
        .arg(count(
            "reload-every",
            "3",
            "looks from one reload of the catalogue to the next",
        ))
        .arg(count(
            "drain-every",
            "45",
            "looks from one drain to the next; a look takes ten seconds",
        ))
        .arg(count(
            "calls",
            "300000",
            "calls to find out what it can take",
        ))
        .arg(path("json", "writes what was measured"))
        .arg(path("plot", "draws it as SVG"));
    Command::new("load")
        .about("Loads a server and looks at every answer.")
        .arg(
            Arg::new("bench")
                .long("bench")
                .action(ArgAction::SetTrue)
                .global(true)
                .hide(true),
        )
        .subcommands([catalog, closed, open, echo, compare, soak])
}

fn path(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

/// What both loops have in common.
fn loop_command(name: &'static str) -> Command {
    Command::new(name)
        .arg(
            Arg::new("address")
                .long("address")
                .default_value("http://127.0.0.1:50051"),
        )
        .arg(
            Arg::new("call")
                .long("call")
                .default_value("check")
                .value_parser(Call::named)
                .help("check, create, list, or mixed: 80 % checks, 15 % creations, 5 % lists"),
        )
        .arg(count("calls", "100000", "calls in all"))
        .arg(count("connections", "4", "connections"))
        .arg(count(
            "slots",
            "1000",
            "slots to spread over; the catalogue must have them",
        ))
        .arg(
            Arg::new("hot")
                .long("hot")
                .default_value("0")
                .value_parser(value_parser!(u64).range(0..=100))
                .help("calls out of a hundred that are for the first slot"),
        )
        .arg(count(
            "orders-per-user",
            "10",
            "orders that one user makes, one after the other",
        ))
        .arg(
            Arg::new("run")
                .long("run")
                .default_value("1")
                .help("goes into tokens and the names of users"),
        )
        .arg(
            Arg::new("authorization")
                .long("authorization")
                .help("such as 'Basic YWRhOnNlY3JldA=='"),
        )
        .arg(path("json", "writes what was measured"))
        .arg(path("plot", "draws it as SVG"))
}

fn count(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .default_value(default)
        .value_parser(value_parser!(u64))
        .help(help)
}

fn number(args: &ArgMatches, name: &str) -> u64 {
    *args.get_one(name).expect("it has a default")
}

fn text<'a>(args: &'a ArgMatches, name: &str) -> &'a str {
    args.get_one::<String>(name).expect("it has a default")
}
