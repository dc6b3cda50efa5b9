//! A load generator that looks at every answer.
//!
//! `cargo bench --bench load -- catalog DIR --slots 1000 --spots 1000` writes a catalogue, and
//! with a server on it `cargo bench --bench load -- create --calls 100000` creates orders:
//! each call under a token of its own, each answer read and counted by what it says. A gRPC error
//! or a business refusal is not a success.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use boxoffice::wire::proto::v3::{
    CheckOrderFulfillabilityRequest, CreateOrderRequest, LineItem, Order, Price, UserInformation,
    booking_service_client::BookingServiceClient, create_order_response, line_item::OrderedTickets,
};
use clap::{Arg, ArgMatches, Command, value_parser};
use hdrhistogram::Histogram;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

/// The first slot of the catalogue: 2040, and one every quarter of an hour from there.
const FIRST_START: i64 = 2_208_988_800;
const DURATION: i64 = 900;
const PRICE_MICROS: i64 = 10_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("catalog", args)) => Ok(write_catalog(args)?),
        Some((kind, args)) => {
            let kind = if kind == "check" { Kind::Check } else { Kind::Create };
            tokio::runtime::Runtime::new()?.block_on(load(kind, args))
        }
        // Cargo runs every bench target when none is named; without words this one does nothing.
        None => Ok(()),
    }
}

fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).default_value(default).value_parser(value_parser!(u64)).help(help)
    };
    let calls = |name: &'static str| {
        Command::new(name)
            .arg(Arg::new("address").long("address").default_value("http://127.0.0.1:50051"))
            .arg(number("calls", "100000", "calls in all"))
            .arg(number("connections", "4", "connections"))
            .arg(number("in-flight", "32", "calls at once on each connection"))
            .arg(number("slots", "1000", "slots to spread over; the catalogue must have them"))
            .arg(Arg::new("run").long("run").default_value("1").help("goes into the tokens"))
    };
    Command::new("load")
        .about("Loads a server and looks at every answer.")
        .arg(Arg::new("bench").long("bench").num_args(0).hide(true))
        .subcommand(
            Command::new("catalog")
                .about("Writes a catalogue of one service.")
                .arg(Arg::new("dir").required(true).value_parser(value_parser!(PathBuf)))
                .arg(number("slots", "1000", "slots"))
                .arg(number("spots", "1000", "spots of each slot")),
        )
        .subcommand(calls("check").about("Looks at carts."))
        .subcommand(calls("create").about("Creates orders."))
}

fn write_catalog(args: &ArgMatches) -> io::Result<()> {
    let dir: &PathBuf = args.get_one("dir").expect("required");
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("merchants.json"), r#"{"merchant":[{"merchant_id":"m","name":"Load"}]}"#)?;
    std::fs::write(
        dir.join("services.json"),
        r#"{"service":[{"merchant_id":"m","service_id":"s","localized_service_name":{"value":"Load"},
            "ticket_type":[{"ticket_type_id":"t","price":{"price_micros":"10000000","currency_code":"USD"}}]}]}"#,
    )?;
    write_availability(dir, number(args, "slots"), number(args, "spots"))
}

fn write_availability(dir: &Path, slots: u64, spots: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(dir.join("availability.json"))?);
    write!(file, r#"{{"service_availability":[{{"availability":["#)?;
    for at in 0..slots {
        let (comma, start) = (if at == 0 { "" } else { "," }, start_of(at));
        write!(
            file,
            r#"{comma}{{"merchant_id":"m","service_id":"s","start_sec":"{start}","duration_sec":"{DURATION}","spots_total":"{spots}","spots_open":"{spots}"}}"#
        )?;
    }
    writeln!(file, "]}}]}}")?;
    file.flush()
}

fn number(args: &ArgMatches, name: &str) -> u64 {
    *args.get_one(name).expect("it has a default")
}

fn start_of(slot: u64) -> i64 {
    FIRST_START + i64::try_from(slot).expect("few slots") * DURATION
}

#[derive(Clone, Copy)]
enum Kind {
    Check,
    Create,
}

struct Plan {
    kind: Kind,
    calls: u64,
    slots: u64,
    run: String,
    next: AtomicU64,
}

/// What came of the calls of one worker.
struct Tally {
    outcomes: BTreeMap<String, u64>,
    micros: Histogram<u64>,
}

async fn load(kind: Kind, args: &ArgMatches) -> Result<(), Box<dyn std::error::Error>> {
    let address: &String = args.get_one("address").expect("it has a default");
    let run: &String = args.get_one("run").expect("it has a default");
    let plan = Arc::new(Plan {
        kind,
        calls: number(args, "calls"),
        slots: number(args, "slots").max(1),
        run: run.clone(),
        next: AtomicU64::new(0),
    });
    let mut channels = Vec::new();
    for _ in 0..number(args, "connections") {
        channels.push(Endpoint::from_shared(address.clone())?.connect().await?);
    }
    let begun = Instant::now();
    let workers: Vec<_> = channels
        .iter()
        .flat_map(|channel| (0..number(args, "in-flight")).map(move |_| channel.clone()))
        .map(|channel| tokio::spawn(work(Arc::clone(&plan), channel)))
        .collect();
    let mut tallies = Vec::new();
    for worker in workers {
        tallies.push(worker.await?);
    }
    report(&plan, begun.elapsed(), tallies)?;
    Ok(())
}

async fn work(plan: Arc<Plan>, channel: Channel) -> Tally {
    let mut client = BookingServiceClient::new(channel);
    let mut tally =
        Tally { outcomes: BTreeMap::new(), micros: Histogram::new(3).expect("three digits are allowed") };
    loop {
        let number = plan.next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.calls {
            return tally;
        }
        let begun = Instant::now();
        let outcome = match plan.kind {
            Kind::Check => check(&mut client, &plan, number).await,
            Kind::Create => create(&mut client, &plan, number).await,
        };
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        tally.micros.record(micros).expect("the histogram grows as it must");
        *tally.outcomes.entry(outcome).or_default() += 1;
    }
}

async fn check(client: &mut BookingServiceClient<Channel>, plan: &Plan, number: u64) -> String {
    let request = CheckOrderFulfillabilityRequest {
        merchant_id: "m".into(),
        item: vec![item(number % plan.slots)],
        cart_id: String::new(),
    };
    match client.check_order_fulfillability(request).await {
        Err(status) => format!("{:?}", status.code()),
        Ok(response) => match response.into_inner().fulfillability {
            Some(verdict) => verdict.result().as_str_name().to_owned(),
            None => "no verdict".to_owned(),
        },
    }
}

async fn create(client: &mut BookingServiceClient<Channel>, plan: &Plan, number: u64) -> String {
    let request = CreateOrderRequest {
        idempotency_token: format!("load-{}-{number}", plan.run),
        payment_processing_parameters: None,
        order: Some(Order {
            order_id: String::new(),
            user_information: Some(UserInformation {
                user_id: format!("user-{}", number / 10),
                given_name: "Grace".into(),
                family_name: "Hopper".into(),
                email: "grace@example.com".into(),
                ..UserInformation::default()
            }),
            payment_information: None,
            merchant_id: "m".into(),
            item: vec![item(number % plan.slots)],
        }),
    };
    match client.create_order(request).await {
        Err(status) => format!("{:?}", status.code()),
        Ok(response) => match response.into_inner().result {
            Some(create_order_response::Result::Order(order)) if !order.order_id.is_empty() => {
                "created".to_owned()
            }
            Some(create_order_response::Result::OrderFailure(failure)) => {
                failure.cause().as_str_name().to_owned()
            }
            Some(create_order_response::Result::Order(_)) | None => "no order".to_owned(),
        },
    }
}

fn item(slot: u64) -> LineItem {
    LineItem {
        service_id: "s".into(),
        start_sec: start_of(slot),
        duration_sec: DURATION,
        tickets: vec![OrderedTickets { ticket_id: "t".into(), count: 1 }],
        price: Some(Price { price_micros: PRICE_MICROS, currency_code: "USD".into(), ..Price::default() }),
        ..LineItem::default()
    }
}

fn report(
    plan: &Plan,
    elapsed: std::time::Duration,
    tallies: Vec<Tally>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut outcomes = BTreeMap::<String, u64>::new();
    let mut micros = Histogram::<u64>::new(3)?;
    for tally in tallies {
        micros.add(&tally.micros)?;
        for (outcome, count) in tally.outcomes {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    let rate = u128::from(plan.calls) * 1_000_000 / elapsed.as_micros().max(1);
    let mut out = io::stdout().lock();
    writeln!(out, "{} calls in {elapsed:.2?}: {rate} calls/s", plan.calls)?;
    for (outcome, count) in outcomes {
        writeln!(out, "  {outcome}: {count}")?;
    }
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        writeln!(out, "  {name}: {} µs", micros.value_at_quantile(quantile))?;
    }
    writeln!(out, "  max: {} µs", micros.max())?;
    Ok(())
}
