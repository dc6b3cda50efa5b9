//! Box Office beside its limits, in interleaved rounds on one machine.
//!
//! The speed of a machine drifts. Every round therefore measures every subject, in another order,
//! and ratios are taken within a round.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use crate::{
    Error,
    bench::{AT_ONCE, Bench, Scenario},
    disk, operators,
    postgres::Postgres,
    server::{Server, Storage, hash_password},
    target::Pace,
    workload::CallKind,
};

/// Measures subjects that are compared with each other.
type Group = fn(&mut Bench) -> Result<(), Error>;

/// The groups by name.
pub(crate) const GROUPS: [(&str, Group); 12] = [
    ("throughput", throughput),
    ("single", single),
    ("half", half_load),
    ("slots", slots),
    ("orders", orders),
    ("users", users),
    ("connections", connections),
    ("security", security),
    ("cancels", operators::cancels),
    ("many_orders", operators::many_orders),
    ("postgres", postgres),
    ("baseline", baseline),
];

/// The caller in the group `security`.
const USER: &str = "load";
const PASSWORD: &str = "generator";
const AUTHORIZATION: &str = "Basic bG9hZDpnZW5lcmF0b3I=";

fn throughput(bench: &mut Bench) -> Result<(), Error> {
    let catalog = &bench.catalog(1000)?;
    let (check, create) = (
        Scenario::of(CallKind::Check),
        Scenario::of(CallKind::Create),
    );
    bench.rounds([
        ("echo of a check", &|bench, name| {
            bench.throughput(name, &Server::echo()?, check)
        }),
        ("check", &|bench, name| {
            bench.throughput(name, &bench.server(catalog, Storage::Memory)?, check)
        }),
        ("check, one hot slot", &|bench, name| {
            bench.throughput(name, &bench.server(catalog, Storage::Memory)?, check.hot())
        }),
        ("echo of a creation", &|bench, name| {
            bench.throughput(name, &Server::echo()?, create)
        }),
        ("create in memory", &|bench, name| {
            bench.throughput(name, &bench.server(catalog, Storage::Memory)?, create)
        }),
        ("create", &|bench, name| {
            bench.with_disk_server(catalog, |bench, server| {
                bench.throughput(name, server, create)
            })
        }),
        ("create, one hot slot", &|bench, name| {
            bench.with_disk_server(catalog, |bench, server| {
                bench.throughput(name, server, create.hot())
            })
        }),
        ("list of 10 orders", &|bench, name| {
            bench.with_disk_server(catalog, |bench, server| {
                let calls = bench.calls;
                bench.run_calls(server, create, calls, "list")?;
                let run = bench.run_calls(server, Scenario::of(CallKind::List), calls, "list")?;
                bench.comparison.note(name, "calls/s", run.rate());
                Ok(())
            })
        }),
    ])?;
    let comparison = &mut bench.comparison;
    comparison.compare("check ÷ echo", "≥ 0.90", "check", "echo of a check");
    comparison.compare("create ÷ echo", "≥ 0.63", "create", "echo of a creation");
    comparison.compare(
        "create: hot ÷ uniform",
        "≥ 0.95",
        "create, one hot slot",
        "create",
    );
    comparison.compare(
        "check: hot ÷ uniform",
        "≥ 0.95",
        "check, one hot slot",
        "check",
    );
    comparison.compare(
        "create: on disk ÷ in memory",
        "",
        "create",
        "create in memory",
    );
    Ok(())
}

/// The present build beside an earlier one: the cost of a change.
fn baseline(bench: &mut Bench) -> Result<(), Error> {
    let Some(baseline) = &bench.baseline.clone() else {
        eprintln!("no --baseline is given");
        return Ok(());
    };
    let (catalog, present) = (&bench.catalog(1000)?, &bench.program.clone());
    let check = |bench: &mut Bench, name: &str, program: &Path| {
        bench.throughput(
            name,
            &Server::program(program, &[], catalog, Storage::Memory)?,
            Scenario::of(CallKind::Check),
        )
    };
    let create = |bench: &mut Bench, name: &str, program: &Path| {
        bench.with_disk_server_of(program, catalog, |bench, server| {
            bench.throughput(name, server, Scenario::of(CallKind::Create))
        })
    };
    bench.rounds([
        ("check, baseline", &|bench, name| {
            check(bench, name, baseline)
        }),
        ("check, present", &|bench, name| check(bench, name, present)),
        ("create, baseline", &|bench, name| {
            create(bench, name, baseline)
        }),
        ("create, present", &|bench, name| {
            create(bench, name, present)
        }),
    ])?;
    bench.comparison.compare(
        "check: present ÷ baseline",
        "≈ 1",
        "check, present",
        "check, baseline",
    );
    bench.comparison.compare(
        "create: present ÷ baseline",
        "≈ 1",
        "create, present",
        "create, baseline",
    );
    Ok(())
}

fn single(bench: &mut Bench) -> Result<(), Error> {
    let catalog = &bench.catalog(1000)?;
    let one_by_one = |call| Scenario::of(call).one_by_one();
    let median = |bench: &mut Bench, name: &str, server: &Server, call| {
        let run = bench.measure(server, one_by_one(call))?;
        bench.comparison.note(name, "ns", run.quantile(0.5));
        Ok(())
    };
    bench.rounds([
        ("one echo of a creation", &|bench, name| {
            let run = bench.measure(&Server::echo()?, one_by_one(CallKind::Create))?;
            let echo = run.quantile(0.5);
            bench.comparison.note(name, "ns", echo);
            // Right after it, with its pause: both halves of the limit are then of the same moment.
            let path = bench.dir.path().join("sync");
            let nanos = disk::sync_nanos(&path, Duration::from_nanos(echo))?;
            bench.comparison.note("one sync", "ns", nanos);
            Ok(())
        }),
        ("one creation", &|bench, name| {
            bench.with_disk_server(catalog, |bench, server| {
                median(bench, name, server, CallKind::Create)
            })
        }),
        ("one echo of a check", &|bench, name| {
            median(bench, name, &Server::echo()?, CallKind::Check)
        }),
        ("one check", &|bench, name| {
            median(
                bench,
                name,
                &bench.server(catalog, Storage::Memory)?,
                CallKind::Check,
            )
        }),
    ])?;
    let comparison = &mut bench.comparison;
    comparison.sum(
        "one echo and one sync",
        "ns",
        ["one echo of a creation", "one sync"],
    );
    comparison.compare(
        "one creation ÷ (echo + sync)",
        "≤ 1.30",
        "one creation",
        "one echo and one sync",
    );
    comparison.compare("one check ÷ echo", "", "one check", "one echo of a check");
    Ok(())
}

fn half_load(bench: &mut Bench) -> Result<(), Error> {
    let catalog = &bench.catalog(1000)?;
    let half = |bench: &mut Bench, name: &str, server: &Server, call| {
        let peak = bench.measure(server, Scenario::of(call))?.rate();
        let per_second = (peak / 2).max(1);
        let run = bench.measure(
            server,
            Scenario {
                pace: Pace::Open { per_second },
                ..Scenario::of(call)
            },
        )?;
        bench
            .comparison
            .note(&format!("{name}: rate"), "calls/s", per_second);
        for (quantile, part) in [("median", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            bench.comparison.note(
                &format!("{name}: {quantile}"),
                "µs",
                run.quantile(part) / 1000,
            );
        }
        Ok(())
    };
    bench.rounds([
        ("echo of a check at half load", &|bench, name| {
            half(bench, name, &Server::echo()?, CallKind::Check)
        }),
        ("echo of a creation at half load", &|bench, name| {
            half(bench, name, &Server::echo()?, CallKind::Create)
        }),
        ("check at half load", &|bench, name| {
            half(
                bench,
                name,
                &bench.server(catalog, Storage::Memory)?,
                CallKind::Check,
            )
        }),
        // The limit of the next one: the same work without a disk, in the same round.
        ("create in memory at half load", &|bench, name| {
            half(
                bench,
                name,
                &bench.server(catalog, Storage::Memory)?,
                CallKind::Create,
            )
        }),
        ("create at half load", &|bench, name| {
            bench.with_disk_server(catalog, |bench, server| {
                half(bench, name, server, CallKind::Create)
            })
        }),
    ])
}

/// All servers keep running, so that the largest catalogue is loaded only once.
fn slots(bench: &mut Bench) -> Result<(), Error> {
    const COUNTS: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    let mut servers = Vec::new();
    for count in COUNTS {
        let catalog = bench.catalog(count)?;
        let server = bench.server(&catalog, Storage::Memory)?;
        fs::remove_dir_all(catalog)?;
        let opened = u64::try_from(server.opened_in.as_millis())?;
        bench
            .comparison
            .note(&format!("{count} slots: open"), "ms", opened);
        bench.comparison.note(
            &format!("{count} slots: resident"),
            "KiB",
            server.resident_kib()?,
        );
        servers.push((count, server));
    }
    bench.each_round(|bench| {
        for (count, server) in &servers {
            let run = bench.measure(
                server,
                Scenario {
                    slots: *count,
                    ..Scenario::of(CallKind::Check)
                },
            )?;
            bench
                .comparison
                .note(&format!("{count} slots: check"), "calls/s", run.rate());
        }
        servers.rotate_left(1);
        Ok(())
    })?;
    let (least, most) = ("1000 slots: check", "10000000 slots: check");
    bench
        .comparison
        .compare("time of a check: 10^7 slots ÷ 10^3", "≤ 1.20", least, most);
    Ok(())
}

fn orders(bench: &mut Bench) -> Result<(), Error> {
    const COUNTS: [u64; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
    let catalog = &bench.catalog(1000)?;
    let scenario = Scenario {
        orders_per_user: 100,
        ..Scenario::of(CallKind::Create)
    };
    let mut dirs = Vec::new();
    for count in COUNTS {
        let dir = bench.orders_dir();
        bench.run_calls(
            &bench.server(catalog, Storage::Disk(&dir))?,
            scenario,
            count,
            "kept",
        )?;
        dirs.push((count, dir));
    }
    bench.each_round(|bench| {
        for (count, dir) in &dirs {
            let server = bench.server(catalog, Storage::Disk(dir))?;
            let opened = u64::try_from(server.opened_in.as_millis())?;
            bench
                .comparison
                .note(&format!("{count} orders: open"), "ms", opened);
            bench.comparison.note(
                &format!("{count} orders: resident"),
                "KiB",
                server.resident_kib()?,
            );
            let lists = Scenario {
                call: CallKind::List,
                ..scenario
            }
            .one_by_one();
            let run = bench.run_calls(&server, lists, (*count).min(bench.calls / 10), "kept")?;
            bench.comparison.note(
                &format!("{count} orders: list of 100"),
                "ns",
                run.quantile(0.5),
            );
        }
        dirs.rotate_left(1);
        Ok(())
    })?;
    let (few, many) = ("1000 orders: list of 100", "1000000 orders: list of 100");
    bench
        .comparison
        .compare("list of 100: of 10^6 orders ÷ of 10^3", "≈ 1", many, few);
    Ok(())
}

fn users(bench: &mut Bench) -> Result<(), Error> {
    const COUNTS: [u64; 4] = [1, 1_000, 100_000, 1_000_000];
    let catalog = &bench.catalog(1000)?;
    // They all have the same user.
    let scenario = Scenario {
        orders_per_user: u64::MAX,
        ..Scenario::of(CallKind::Create)
    };
    let mut users = Vec::new();
    for count in COUNTS {
        let dir = bench.orders_dir();
        bench.run_calls(
            &bench.server(catalog, Storage::Disk(&dir))?,
            scenario,
            count,
            "kept",
        )?;
        users.push((count, dir, count));
    }
    bench.each_round(|bench| {
        for (count, dir, next) in &mut users {
            let server = bench.server(catalog, Storage::Disk(dir))?;
            let calls = bench.calls / 10;
            let more = Scenario {
                first: *next,
                ..scenario.one_by_one()
            };
            let run = bench.run_calls(&server, more, calls, "kept")?;
            *next += calls;
            bench.comparison.note(
                &format!("creation for a user of {count}"),
                "ns",
                run.quantile(0.5),
            );
        }
        users.rotate_left(1);
        Ok(())
    })?;
    let (few, many) = ("creation for a user of 1", "creation for a user of 1000000");
    bench.comparison.compare(
        "creation for a user of 10^6 orders ÷ of one",
        "≈ 1",
        many,
        few,
    );
    Ok(())
}

fn connections(bench: &mut Bench) -> Result<(), Error> {
    let catalog = &bench.catalog(1000)?;
    bench.each_round(|bench| {
        for connections in [1, 4, 16, 64] {
            let pace = Pace::Closed {
                in_flight: AT_ONCE / connections,
            };
            let connections = usize::try_from(connections)?;
            let scenario = |call| Scenario {
                connections,
                pace,
                ..Scenario::of(call)
            };
            let server = bench.server(catalog, Storage::Memory)?;
            let run = bench.measure(&server, scenario(CallKind::Check))?;
            bench.comparison.note(
                &format!("check on {connections} connections"),
                "calls/s",
                run.rate(),
            );
            drop(server);
            let run = bench.with_disk_server(catalog, |bench, server| {
                bench.measure(server, scenario(CallKind::Create))
            })?;
            bench.comparison.note(
                &format!("create on {connections} connections"),
                "calls/s",
                run.rate(),
            );
        }
        Ok(())
    })
}

fn security(bench: &mut Bench) -> Result<(), Error> {
    let catalog = &bench.catalog(1000)?;
    let credentials = bench.dir.path().join("users.toml");
    let hash = hash_password(&bench.program, PASSWORD)?;
    fs::write(
        &credentials,
        format!("[users.{USER}]\npasswords = [\"{hash}\"]\n"),
    )?;
    let credentials = format!("--credentials={}", credentials.display());
    let limits = [
        "--caller-rate=1000000",
        "--caller-burst=1000000",
        "--caller-max-in-flight=1000",
    ];
    let check = Scenario::of(CallKind::Check);
    // Sent to all three servers, so that the cost of sending it makes no difference.
    bench.authorization = Some(AUTHORIZATION.parse()?);
    let measure = |bench: &mut Bench, name: &str, settings: &[&str]| {
        bench.throughput(
            name,
            &bench.server_with(settings, catalog, Storage::Memory)?,
            check,
        )
    };
    bench.rounds([
        ("check for everyone", &|bench, name| {
            measure(bench, name, &[])
        }),
        ("check with a password", &|bench, name| {
            measure(bench, name, &[&credentials])
        }),
        ("check with a password and limits", &|bench, name| {
            measure(bench, name, &[&[&*credentials][..], &limits].concat())
        }),
    ])?;
    bench.authorization = None;
    let comparison = &mut bench.comparison;
    comparison.compare(
        "password ÷ none",
        "≥ 0.97",
        "check with a password",
        "check for everyone",
    );
    comparison.compare(
        "password and limits ÷ none",
        "",
        "check with a password and limits",
        "check for everyone",
    );
    Ok(())
}

fn postgres(bench: &mut Bench) -> Result<(), Error> {
    let Some(postgres) = Postgres::start()? else {
        eprintln!("PostgreSQL is not here");
        return Ok(());
    };
    let (catalog, postgres) = (&bench.catalog(1000)?, &postgres);
    let create = Scenario::of(CallKind::Create);
    bench.rounds([
        ("PostgreSQL transaction", &|bench, name| {
            bench
                .comparison
                .note(name, "orders/s", postgres.orders_per_second(1000)?);
            Ok(())
        }),
        ("PostgreSQL transaction, one hot slot", &|bench, name| {
            bench
                .comparison
                .note(name, "orders/s", postgres.orders_per_second(1)?);
            Ok(())
        }),
        ("create beside PostgreSQL", &|bench, name| {
            bench.with_disk_server(catalog, |bench, server| {
                bench.throughput(name, server, create)
            })
        }),
        ("create beside PostgreSQL, one hot slot", &|bench, name| {
            bench.with_disk_server(catalog, |bench, server| {
                bench.throughput(name, server, create.hot())
            })
        }),
    ])?;
    let comparison = &mut bench.comparison;
    comparison.compare(
        "create ÷ PostgreSQL",
        "≥ 6",
        "create beside PostgreSQL",
        "PostgreSQL transaction",
    );
    comparison.compare(
        "create ÷ PostgreSQL, one hot slot",
        "≥ 20",
        "create beside PostgreSQL, one hot slot",
        "PostgreSQL transaction, one hot slot",
    );
    Ok(())
}

/// Measures the groups that are named, or all of them.
pub(crate) fn compare(groups: &BTreeSet<String>, bench: &mut Bench) -> Result<(), Error> {
    for (name, measure) in GROUPS {
        if groups.is_empty() || groups.contains(name) {
            eprintln!("{name}");
            measure(bench)?;
        }
    }
    Ok(())
}
