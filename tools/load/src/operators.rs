//! Operators beside a store of many orders: cancellations with refunds, searches, door lists, another lifecycle.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tonic::{Status, transport::Channel};

use crate::{
    Error,
    bench::{Bench, Scenario},
    catalog::start_sec,
    proto::operator::{
        CancelOrderRequest, DescribeLifecycleRequest, LifecycleFormat, ListDoorRequest,
        ListStepsRequest, PublishDraftRequest, PutDraftRequest, RefundTerms, SearchOrdersRequest,
        SlotName,
        lifecycle_service_client::LifecycleServiceClient,
        order_service_client::OrderServiceClient,
        refund_terms::{Full, Share},
        slot_service_client::SlotServiceClient,
    },
    server::{Server, Storage},
    workload::CallKind,
};

/// Most elements of one answer: the budget of the server for bytes in flight has room for it.
const PAGE: i32 = 250;

/// Connections of operators, and concurrent calls on each.
const CONNECTIONS: u64 = 4;
const CALLS_AT_ONCE: u64 = 8;

/// The pause between two looks at what is not done yet.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The slots of the store of many orders: a hundred days, and a hundred orders each where there are a million.
const SLOTS: u64 = 9_600;

/// Reads of each kind in a round.
const READS: u64 = 20;

/// A day that the store of many orders has, and a slot of it.
const DAY: &str = "2040-01-11";
const SLOT: u64 = 1000;

/// Cancellations with full refunds, and the time until all money has gone back, on a disk.
pub(crate) fn cancels(bench: &mut Bench) -> Result<(), Error> {
    let catalog = &bench.catalog(1000)?;
    let calls = bench.calls / 10;
    bench.each_round(|bench| {
        let dir = bench.orders_dir();
        let settings = ["--payments=simulated"];
        let server = bench.server_with(&settings, catalog, Storage::Disk(&dir))?;
        bench.run_calls(&server, Scenario::of(CallKind::Buy), calls, "cancelled")?;
        let operators = Operators::of(&server)?;
        let names = bench.block_on(operators.names(usize::MAX))?;
        // Not before: what finding the orders takes is no part of it.
        let ticks = server.cpu_ticks()?;
        let measured = bench.block_on(operators.cancel_all(names))?;
        let ticks = server.cpu_ticks()? - ticks;
        let comparison = &mut bench.comparison;
        comparison.note("cancel", "calls/s", rate(calls, measured.answered));
        comparison.note(
            "cancel, with the refund done",
            "orders/s",
            rate(calls, measured.refunded),
        );
        comparison.note(
            "cancel with its refund: processor time",
            "ns a call",
            ticks * 10_000_000 / calls.max(1),
        );
        drop(server);
        Ok(std::fs::remove_dir_all(dir)?)
    })
}

/// Reads of operators beside ten times as many orders as calls, some of them cancelled, and a publication.
pub(crate) fn many_orders(bench: &mut Bench) -> Result<(), Error> {
    let catalog = &bench.catalog(SLOTS)?;
    let (orders, dir) = (bench.calls * 10, bench.orders_dir());
    fill(bench, catalog, &dir, orders)?;
    bench.each_round(|bench| {
        let server = bench.server_with(&[], catalog, Storage::Disk(&dir))?;
        let operators = Operators::of(&server)?;
        for (name, read) in [
            ("search of a day: first page of 100", Reading::FirstPage),
            ("search of a day: all pages", Reading::WholeDay),
            ("search of a day by name", Reading::ByName),
            ("door list of a slot", Reading::Door),
        ] {
            let (found, times) = bench.block_on(operators.read(read))?;
            let comparison = &mut bench.comparison;
            comparison.note(&format!("{name}: found"), "", found);
            comparison.note(name, "µs", micros(crate::comparison::median(&times)));
            let longest = times.iter().max().copied().unwrap_or(0);
            comparison.note(&format!("{name}: longest"), "µs", micros(longest));
        }
        match bench.block_on(operators.publish()) {
            Ok(took) => bench.comparison.note("publish", "µs", micros(took)),
            Err(error) => eprintln!("this build does not publish: {error}"),
        }
        Ok(())
    })
}

/// Creates so many orders, and cancels one in a hundred.
fn fill(bench: &mut Bench, catalog: &Path, dir: &Path, orders: u64) -> Result<(), Error> {
    let server = bench.server_with(&[], catalog, Storage::Disk(dir))?;
    let scenario = Scenario {
        slots: SLOTS,
        ..Scenario::of(CallKind::Create)
    };
    bench.run_calls(&server, scenario, orders, "kept")?;
    let operators = Operators::of(&server)?;
    let most = usize::try_from(orders / 100)?;
    bench.block_on(operators.cancel_some(most))?;
    server.drain()?;
    Ok(())
}

/// What an operator reads.
#[derive(Debug, Clone, Copy)]
enum Reading {
    FirstPage,
    WholeDay,
    ByName,
    Door,
}

/// The times in which orders were cancelled: until the last answer, and until the last refund was done.
struct CancelTimes {
    answered: Duration,
    refunded: Duration,
}

/// The operator's services of a server.
#[derive(Debug, Clone)]
struct Operators {
    address: String,
}

impl Operators {
    fn of(server: &Server) -> Result<Self, Error> {
        let address = server.operator_address.clone();
        let address = address.ok_or("this build has no operator's services")?;
        Ok(Self { address })
    }

    async fn connect(&self) -> Result<Channel, Error> {
        let endpoint = Channel::from_shared(self.address.clone())?;
        Ok(endpoint.connect().await?)
    }

    async fn cancel_all(&self, names: Vec<String>) -> Result<CancelTimes, Error> {
        let begun = Instant::now();
        self.cancel(names).await?;
        let answered = begun.elapsed();
        self.wait_for_steps().await?;
        Ok(CancelTimes {
            answered,
            refunded: begun.elapsed(),
        })
    }

    async fn cancel_some(&self, most: usize) -> Result<(), Error> {
        let names = self.names(most).await?;
        self.cancel(names).await
    }

    /// The names of the newest orders.
    async fn names(&self, most: usize) -> Result<Vec<String>, Error> {
        let mut client = OrderServiceClient::new(self.connect().await?);
        let mut names = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = SearchOrdersRequest {
                page_size: PAGE,
                page_token,
                read_mask: Some(prost_types::FieldMask {
                    paths: vec!["name".to_owned()],
                }),
                ..SearchOrdersRequest::default()
            };
            let page = client.search_orders(request).await?.into_inner();
            names.extend(page.orders.into_iter().map(|order| order.name));
            page_token = page.next_page_token;
            if page_token.is_empty() || names.len() >= most {
                names.truncate(most);
                return Ok(names);
            }
        }
    }

    /// Cancels these orders as fast as the answers come. A rejected one is an error.
    async fn cancel(&self, names: Vec<String>) -> Result<(), Error> {
        let (names, next) = (Arc::new(names), Arc::new(AtomicU64::new(0)));
        let mut callers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let channel = self.connect().await?;
            for _ in 0..CALLS_AT_ONCE {
                let client = OrderServiceClient::new(channel.clone());
                callers.spawn(cancel_one_after_another(
                    client,
                    Arc::clone(&names),
                    Arc::clone(&next),
                ));
            }
        }
        while let Some(ended) = callers.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Waits until no work in the outside world is left.
    async fn wait_for_steps(&self) -> Result<(), Error> {
        let mut client = OrderServiceClient::new(self.connect().await?);
        loop {
            let request = ListStepsRequest {
                page_size: 1,
                ..ListStepsRequest::default()
            };
            let page = client.list_steps(request).await?.into_inner();
            if page.steps.is_empty() && page.next_page_token.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Reads some times. Returns how much was found, and the nanoseconds of each time.
    async fn read(&self, reading: Reading) -> Result<(u64, Vec<u64>), Error> {
        let channel = self.connect().await?;
        let (mut found, mut times) = (0, Vec::new());
        for _ in 0..READS {
            let begun = Instant::now();
            found = match reading {
                Reading::FirstPage => search(&channel, 100, 1, "").await?,
                Reading::WholeDay => search(&channel, PAGE, usize::MAX, "").await?,
                Reading::ByName => search(&channel, 100, usize::MAX, "hopper").await?,
                Reading::Door => door(&channel).await?,
            };
            times.push(nanos(begun.elapsed()));
        }
        Ok((found, times))
    }

    /// Publishes the lifecycle once more, with another comment. Returns the nanoseconds of the publication.
    async fn publish(&self) -> Result<u64, Error> {
        let mut client = LifecycleServiceClient::new(self.connect().await?);
        let described = DescribeLifecycleRequest {
            format: LifecycleFormat::Source.into(),
            ..DescribeLifecycleRequest::default()
        };
        let described = client.describe_lifecycle(described).await?.into_inner();
        let (revision, source) = (described.revision, described.description);
        let draft = PutDraftRequest {
            definition: format!("{source}\n# revision {revision} again\n"),
            request_id: request_id(u64::from(revision) * 2),
            validate_only: false,
        };
        client.put_draft(draft).await?;
        let publish = PublishDraftRequest {
            request_id: request_id(u64::from(revision) * 2 + 1),
            validate_only: false,
        };
        let begun = Instant::now();
        client.publish_draft(publish).await?;
        Ok(nanos(begun.elapsed()))
    }
}

async fn cancel_one_after_another(
    mut client: OrderServiceClient<Channel>,
    names: Arc<Vec<String>>,
    next: Arc<AtomicU64>,
) -> Result<(), Status> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let name = usize::try_from(number).ok().and_then(|at| names.get(at));
        let Some(name) = name else {
            return Ok(());
        };
        let request = CancelOrderRequest {
            name: name.clone(),
            refund: Some(RefundTerms {
                share: Some(Share::Full(Full {})),
            }),
            request_id: request_id(number),
            ..CancelOrderRequest::default()
        };
        client.cancel_order(request).await?;
    }
}

/// Searches a day, up to so many pages. Returns how many orders were found.
async fn search(channel: &Channel, page_size: i32, pages: usize, name: &str) -> Result<u64, Error> {
    let mut client = OrderServiceClient::new(channel.clone());
    let (mut found, mut page_token) = (0, String::new());
    for _ in 0..pages {
        let request = SearchOrdersRequest {
            visit_date: DAY.to_owned(),
            merchant_id: "m".to_owned(),
            customer_name: name.to_owned(),
            page_size,
            page_token,
            ..SearchOrdersRequest::default()
        };
        let page = client.search_orders(request).await?.into_inner();
        found += u64::try_from(page.orders.len())?;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// Reads the door list of a slot. Returns how many entries it has.
async fn door(channel: &Channel) -> Result<u64, Error> {
    let mut client = SlotServiceClient::new(channel.clone());
    let request = ListDoorRequest {
        slot: Some(SlotName {
            merchant_id: "m".to_owned(),
            service_id: "s".to_owned(),
            start_time: Some(prost_types::Timestamp {
                seconds: start_sec(SLOT),
                nanos: 0,
            }),
            duration_sec: 0,
        }),
        page_size: PAGE,
        page_token: String::new(),
    };
    let list = client.list_door(request).await?.into_inner();
    Ok(u64::try_from(list.entries.len())?)
}

fn request_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

fn rate(calls: u64, took: Duration) -> u64 {
    calls.saturating_mul(1_000_000_000) / nanos(took).max(1)
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

fn micros(nanos: u64) -> u64 {
    nanos / 1000
}
