//! A load generator that checks every answer.
//!
//! ```text
//! cargo build --profile dist -p boxoffice -p boxoffice-load
//! target/dist/boxoffice-load catalog DIR --slots 1000      # writes a catalogue
//! target/dist/boxoffice-load closed --call create          # as fast as the server answers
//! target/dist/boxoffice-load open --call check --rate 5000 # at a rate, however slow it answers
//! target/dist/boxoffice-load compare                       # Box Office beside its limits
//! target/dist/boxoffice-load soak --minutes 30             # half of the maximum rate, for long
//! ```
//!
//! In a closed loop a caller waits for its answer before the next call, so the load follows the
//! server: that measures throughput. In an open loop calls are due at fixed moments and latency
//! counts from that moment, so a stall of the server is part of it.
//!
//! Every answer is decoded and counted by its content. A rejected call never counts as a success.

#![expect(clippy::print_stdout, reason = "results go to standard output")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

mod bench;
mod catalog;
mod codec;
mod compare;
mod comparison;
mod disk;
mod driver;
mod echo;
mod operators;
mod outcomes;
mod plot;
mod postgres;
mod proto;
mod server;
mod soak;
mod target;
mod workload;

use std::{path::PathBuf, sync::Arc};

use clap::{Arg, ArgMatches, Command, value_parser};

use bench::Bench;
use compare::GROUPS;
use soak::SoakPlan;
use target::{Pace, Target};
use workload::{CallKind, Workload};

/// Many small allocations per call: the allocator of the system would distort the results.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The help of `--program`.
const PROGRAM_HELP: &str = "the build of Box Office to measure; else the one beside this program";

fn main() -> Result<(), Error> {
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
        None => unreachable!("a subcommand is required"),
    }
}

fn run(loop_: &str, args: &ArgMatches) -> Result<(), Error> {
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
    let run = runtime.block_on(driver::run(&target, &workload))?;
    print!("{run}");
    write_json(args, &run.json())?;
    if let Some(path) = args.get_one::<PathBuf>("plot") {
        plot::draw(path, &run)?;
    }
    if run.rejected() > 0 {
        Err(format!("{} calls were rejected", run.rejected()).into())
    } else {
        Ok(())
    }
}

fn compare(args: &ArgMatches) -> Result<(), Error> {
    let groups = args
        .get_many::<String>("group")
        .unwrap_or_default()
        .cloned()
        .collect();
    let mut bench = Bench::new(
        program(args)?,
        number(args, "rounds").max(1),
        number(args, "calls").max(1000),
    )?;
    bench.baseline = args.get_one("baseline").cloned();
    compare::compare(&groups, &mut bench)?;
    print!("{}", bench.comparison);
    write_json(args, &bench.comparison.json())
}

fn soak(args: &ArgMatches) -> Result<(), Error> {
    let plan = SoakPlan {
        minutes: number(args, "minutes").max(1),
        slots: number(args, "slots").max(1),
        reload_every: number(args, "reload-every").max(1),
        drain_every: number(args, "drain-every").max(1),
    };
    let mut bench = Bench::new(program(args)?, 1, number(args, "calls").max(1000))?;
    let report = soak::soak(&mut bench, &plan)?;
    print!("{report}");
    write_json(args, &report.json())?;
    if let Some(path) = args.get_one::<PathBuf>("plot") {
        plot::draw_course(path, &report)?;
    }
    Ok(())
}

/// The build to measure.
fn program(args: &ArgMatches) -> Result<PathBuf, Error> {
    match args.get_one::<PathBuf>("program") {
        Some(program) => Ok(program.clone()),
        None => server::built_beside_this(),
    }
}

/// Writes the results to the file that `--json` names.
fn write_json(args: &ArgMatches, measured: &serde_json::Value) -> Result<(), Error> {
    if let Some(path) = args.get_one::<PathBuf>("json") {
        std::fs::write(path, serde_json::to_vec_pretty(measured)?)?;
    }
    Ok(())
}

fn workload(args: &ArgMatches) -> Result<Workload, Error> {
    Ok(Workload {
        call: *args.get_one::<CallKind>("call").expect("it has a default"),
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
            "baseline",
            "an earlier build of the program, for the group baseline",
        ))
        .arg(path("program", PROGRAM_HELP))
        .arg(path("json", "writes the results"));
    let soak = Command::new("soak")
        .about("Half of what a server can take, for long, with reloads and drains.")
        .arg(count("minutes", "30", "minutes"))
        .arg(count("slots", "10000", "slots"))
        .arg(count(
            "reload-every",
            "3",
            "samples from one reload of the catalogue to the next",
        ))
        .arg(count(
            "drain-every",
            "45",
            "samples from one drain to the next; a sample takes ten seconds",
        ))
        .arg(count(
            "calls",
            "300000",
            "calls to find out what it can take",
        ))
        .arg(path("program", PROGRAM_HELP))
        .arg(path("json", "writes the results"))
        .arg(path("plot", "draws a chart as SVG"));
    Command::new("boxoffice-load")
        .about("Loads a server and checks every answer.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([catalog, closed, open, echo, compare, soak])
}

fn path(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

/// Options of both loops.
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
                .value_parser(CallKind::named)
                .help("check, create, buy, list, or mixed: 80 % checks, 15 % creations, 5 % lists"),
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
        .arg(path("json", "writes the results"))
        .arg(path("plot", "draws a chart as SVG"))
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
