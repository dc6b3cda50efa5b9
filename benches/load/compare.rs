//! Box Office beside its limits, in rounds that take turns, on one machine.
//!
//! A machine is never the same for long, so nothing is measured once and nothing alone: every
//! round measures everything, in another order, and ratios are taken within a round.

use std::{collections::BTreeSet, fs, path::Path};

use super::{
    Failure, disk,
    lab::{AT_ONCE, Asked, Lab},
    postgres::Postgres,
    server::{Keeping, PRESENT, Server},
    target::Pace,
    workload::Call,
};

/// Measures a group of things that belong together.
type Group = fn(&mut Lab) -> Result<(), Failure>;

/// What can be compared, by name.
pub(super) const GROUPS: [(&str, Group); 10] = [
    ("throughput", throughput),
    ("single", single),
    ("half", half_load),
    ("slots", slots),
    ("orders", orders),
    ("users", users),
    ("connections", connections),
    ("security", security),
    ("postgres", postgres),
    ("earlier", earlier),
];

/// Who asks where that matters.
const USER: &str = "load";
const PASSWORD: &str = "generator";
const AUTHORIZATION: &str = "Basic bG9hZDpnZW5lcmF0b3I=";

fn throughput(lab: &mut Lab) -> Result<(), Failure> {
    let catalog = &lab.catalog(1000)?;
    let (check, create) = (Asked::of(Call::Check), Asked::of(Call::Create));
    lab.rounds([
        ("echo of a check", &|lab, name| {
            lab.rate(name, &Server::echo()?, check)
        }),
        ("check", &|lab, name| {
            lab.rate(name, &Server::box_office(catalog, Keeping::Nowhere)?, check)
        }),
        ("check, one hot slot", &|lab, name| {
            lab.rate(
                name,
                &Server::box_office(catalog, Keeping::Nowhere)?,
                check.hot(),
            )
        }),
        ("echo of a creation", &|lab, name| {
            lab.rate(name, &Server::echo()?, create)
        }),
        ("create in memory", &|lab, name| {
            lab.rate(
                name,
                &Server::box_office(catalog, Keeping::Nowhere)?,
                create,
            )
        }),
        ("create", &|lab, name| {
            lab.embedded(catalog, |lab, server| lab.rate(name, server, create))
        }),
        ("create, one hot slot", &|lab, name| {
            lab.embedded(catalog, |lab, server| lab.rate(name, server, create.hot()))
        }),
        ("list of 10 orders", &|lab, name| {
            lab.embedded(catalog, |lab, server| {
                let calls = lab.calls;
                lab.ask(server, create, calls, "list")?;
                let run = lab.ask(server, Asked::of(Call::List), calls, "list")?;
                lab.results.note(name, "calls/s", run.rate());
                Ok(())
            })
        }),
    ])?;
    let results = &mut lab.results;
    results.compare("check ÷ echo", "≥ 0.90", "check", "echo of a check");
    results.compare("create ÷ echo", "≥ 0.65", "create", "echo of a creation");
    results.compare(
        "create: hot ÷ uniform",
        "≥ 0.90",
        "create, one hot slot",
        "create",
    );
    results.compare(
        "check: hot ÷ uniform",
        "≥ 0.90",
        "check, one hot slot",
        "check",
    );
    results.compare(
        "create: on disk ÷ in memory",
        "",
        "create",
        "create in memory",
    );
    Ok(())
}

/// The present build beside an earlier one: what a change costs.
fn earlier(lab: &mut Lab) -> Result<(), Failure> {
    let Some(earlier) = &lab.earlier.clone() else {
        eprintln!("no --earlier is given");
        return Ok(());
    };
    let (catalog, present) = (&lab.catalog(1000)?, Path::new(PRESENT));
    let check = |lab: &mut Lab, name: &str, program: &Path| {
        lab.rate(
            name,
            &Server::program(program, &[], catalog, Keeping::Nowhere)?,
            Asked::of(Call::Check),
        )
    };
    let create = |lab: &mut Lab, name: &str, program: &Path| {
        lab.embedded_by(program, catalog, |lab, server| {
            lab.rate(name, server, Asked::of(Call::Create))
        })
    };
    lab.rounds([
        ("check, earlier", &|lab, name| check(lab, name, earlier)),
        ("check, present", &|lab, name| check(lab, name, present)),
        ("create, earlier", &|lab, name| create(lab, name, earlier)),
        ("create, present", &|lab, name| create(lab, name, present)),
    ])?;
    lab.results.compare(
        "check: present ÷ earlier",
        "≈ 1",
        "check, present",
        "check, earlier",
    );
    lab.results.compare(
        "create: present ÷ earlier",
        "≈ 1",
        "create, present",
        "create, earlier",
    );
    Ok(())
}

fn single(lab: &mut Lab) -> Result<(), Failure> {
    let catalog = &lab.catalog(1000)?;
    let median = |lab: &mut Lab, name: &str, server: &Server, call| {
        let run = lab.measure(server, Asked::of(call).one_by_one())?;
        lab.results.note(name, "ns", run.quantile(0.5));
        Ok(())
    };
    lab.rounds([
        ("one sync", &|lab, name| {
            let nanos = disk::sync_nanos(&lab.dir.path().join("sync"))?;
            lab.results.note(name, "ns", nanos);
            Ok(())
        }),
        ("one echo of a creation", &|lab, name| {
            median(lab, name, &Server::echo()?, Call::Create)
        }),
        ("one creation", &|lab, name| {
            lab.embedded(catalog, |lab, server| {
                median(lab, name, server, Call::Create)
            })
        }),
        ("one echo of a check", &|lab, name| {
            median(lab, name, &Server::echo()?, Call::Check)
        }),
        ("one check", &|lab, name| {
            median(
                lab,
                name,
                &Server::box_office(catalog, Keeping::Nowhere)?,
                Call::Check,
            )
        }),
    ])?;
    let results = &mut lab.results;
    results.sum(
        "one echo and one sync",
        "ns",
        ["one echo of a creation", "one sync"],
    );
    results.compare(
        "one creation ÷ (echo + sync)",
        "≤ 1.30",
        "one creation",
        "one echo and one sync",
    );
    results.compare("one check ÷ echo", "", "one check", "one echo of a check");
    Ok(())
}

fn half_load(lab: &mut Lab) -> Result<(), Failure> {
    let catalog = &lab.catalog(1000)?;
    let half = |lab: &mut Lab, name: &str, server: &Server, call| {
        let peak = lab.measure(server, Asked::of(call))?.rate();
        let per_second = (peak / 2).max(1);
        let run = lab.measure(
            server,
            Asked {
                pace: Pace::Open { per_second },
                ..Asked::of(call)
            },
        )?;
        lab.results
            .note(&format!("{name}: rate"), "calls/s", per_second);
        for (quantile, part) in [("median", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            lab.results.note(
                &format!("{name}: {quantile}"),
                "µs",
                run.quantile(part) / 1000,
            );
        }
        Ok(())
    };
    lab.rounds([
        ("echo of a check at half load", &|lab, name| {
            half(lab, name, &Server::echo()?, Call::Check)
        }),
        ("echo of a creation at half load", &|lab, name| {
            half(lab, name, &Server::echo()?, Call::Create)
        }),
        ("check at half load", &|lab, name| {
            half(
                lab,
                name,
                &Server::box_office(catalog, Keeping::Nowhere)?,
                Call::Check,
            )
        }),
        ("create at half load", &|lab, name| {
            lab.embedded(catalog, |lab, server| half(lab, name, server, Call::Create))
        }),
    ])
}

/// All servers stay up while one of them is asked, so that the largest is loaded only once.
fn slots(lab: &mut Lab) -> Result<(), Failure> {
    const COUNTS: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    let mut servers = Vec::new();
    for count in COUNTS {
        let catalog = lab.catalog(count)?;
        let server = Server::box_office(&catalog, Keeping::Nowhere)?;
        fs::remove_dir_all(catalog)?;
        let opened = u64::try_from(server.opened_in.as_millis())?;
        lab.results
            .note(&format!("{count} slots: open"), "ms", opened);
        lab.results.note(
            &format!("{count} slots: resident"),
            "KiB",
            server.resident_kib()?,
        );
        servers.push((count, server));
    }
    lab.each_round(|lab| {
        for (count, server) in &servers {
            let run = lab.measure(
                server,
                Asked {
                    slots: *count,
                    ..Asked::of(Call::Check)
                },
            )?;
            lab.results
                .note(&format!("{count} slots: check"), "calls/s", run.rate());
        }
        servers.rotate_left(1);
        Ok(())
    })?;
    let (least, most) = ("1000 slots: check", "10000000 slots: check");
    lab.results
        .compare("time of a check: 10^7 slots ÷ 10^3", "≤ 1.20", least, most);
    Ok(())
}

fn orders(lab: &mut Lab) -> Result<(), Failure> {
    const COUNTS: [u64; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
    let catalog = &lab.catalog(1000)?;
    let asked = Asked {
        orders_per_user: 100,
        ..Asked::of(Call::Create)
    };
    let mut dirs = Vec::new();
    for count in COUNTS {
        let dir = lab.orders_dir();
        lab.ask(
            &Server::box_office(catalog, Keeping::In(&dir))?,
            asked,
            count,
            "kept",
        )?;
        dirs.push((count, dir));
    }
    lab.each_round(|lab| {
        for (count, dir) in &dirs {
            let server = Server::box_office(catalog, Keeping::In(dir))?;
            let opened = u64::try_from(server.opened_in.as_millis())?;
            lab.results
                .note(&format!("{count} orders: open"), "ms", opened);
            let lists = Asked {
                call: Call::List,
                ..asked
            }
            .one_by_one();
            let run = lab.ask(&server, lists, (*count).min(lab.calls / 10), "kept")?;
            lab.results.note(
                &format!("{count} orders: list of 100"),
                "ns",
                run.quantile(0.5),
            );
        }
        dirs.rotate_left(1);
        Ok(())
    })?;
    let (few, many) = ("1000 orders: list of 100", "1000000 orders: list of 100");
    lab.results
        .compare("list of 100: of 10^6 orders ÷ of 10^3", "≈ 1", many, few);
    Ok(())
}

fn users(lab: &mut Lab) -> Result<(), Failure> {
    const COUNTS: [u64; 4] = [1, 1_000, 100_000, 1_000_000];
    let catalog = &lab.catalog(1000)?;
    // They all have the same user.
    let asked = Asked {
        orders_per_user: u64::MAX,
        ..Asked::of(Call::Create)
    };
    let mut users = Vec::new();
    for count in COUNTS {
        let dir = lab.orders_dir();
        lab.ask(
            &Server::box_office(catalog, Keeping::In(&dir))?,
            asked,
            count,
            "kept",
        )?;
        users.push((count, dir, count));
    }
    lab.each_round(|lab| {
        for (count, dir, next) in &mut users {
            let server = Server::box_office(catalog, Keeping::In(dir))?;
            let calls = lab.calls / 10;
            let more = Asked {
                first: *next,
                ..asked.one_by_one()
            };
            let run = lab.ask(&server, more, calls, "kept")?;
            *next += calls;
            lab.results.note(
                &format!("creation for a user of {count}"),
                "ns",
                run.quantile(0.5),
            );
        }
        users.rotate_left(1);
        Ok(())
    })?;
    let (few, many) = ("creation for a user of 1", "creation for a user of 1000000");
    lab.results.compare(
        "creation for a user of 10^6 orders ÷ of one",
        "≈ 1",
        many,
        few,
    );
    Ok(())
}

fn connections(lab: &mut Lab) -> Result<(), Failure> {
    let catalog = &lab.catalog(1000)?;
    lab.each_round(|lab| {
        for connections in [1, 4, 16, 64] {
            let pace = Pace::Closed {
                in_flight: AT_ONCE / connections,
            };
            let connections = usize::try_from(connections)?;
            let asked = |call| Asked {
                connections,
                pace,
                ..Asked::of(call)
            };
            let server = Server::box_office(catalog, Keeping::Nowhere)?;
            let run = lab.measure(&server, asked(Call::Check))?;
            lab.results.note(
                &format!("check on {connections} connections"),
                "calls/s",
                run.rate(),
            );
            drop(server);
            let run = lab.embedded(catalog, |lab, server| {
                lab.measure(server, asked(Call::Create))
            })?;
            lab.results.note(
                &format!("create on {connections} connections"),
                "calls/s",
                run.rate(),
            );
        }
        Ok(())
    })
}

fn security(lab: &mut Lab) -> Result<(), Failure> {
    let catalog = &lab.catalog(1000)?;
    let credentials = lab.dir.path().join("users.toml");
    let hash = boxoffice::access::hash(PASSWORD.as_bytes())?;
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
    let check = Asked::of(Call::Check);
    // Said to all of them, so that what it takes to say it is no difference.
    lab.authorization = Some(AUTHORIZATION.parse()?);
    let measure = |lab: &mut Lab, name: &str, settings: &[&str]| {
        lab.rate(
            name,
            &Server::box_office_with(settings, catalog, Keeping::Nowhere)?,
            check,
        )
    };
    lab.rounds([
        ("check for everyone", &|lab, name| measure(lab, name, &[])),
        ("check with a password", &|lab, name| {
            measure(lab, name, &[&credentials])
        }),
        ("check with a password and limits", &|lab, name| {
            measure(lab, name, &[&[&*credentials][..], &limits].concat())
        }),
    ])?;
    lab.authorization = None;
    let results = &mut lab.results;
    results.compare(
        "password ÷ none",
        "≥ 0.97",
        "check with a password",
        "check for everyone",
    );
    results.compare(
        "password and limits ÷ none",
        "",
        "check with a password and limits",
        "check for everyone",
    );
    Ok(())
}

fn postgres(lab: &mut Lab) -> Result<(), Failure> {
    let Some(postgres) = Postgres::start()? else {
        eprintln!("PostgreSQL is not here");
        return Ok(());
    };
    let (catalog, postgres) = (&lab.catalog(1000)?, &postgres);
    let create = Asked::of(Call::Create);
    lab.rounds([
        ("PostgreSQL transaction", &|lab, name| {
            lab.results
                .note(name, "orders/s", postgres.orders_per_second(1000)?);
            Ok(())
        }),
        ("PostgreSQL transaction, one hot slot", &|lab, name| {
            lab.results
                .note(name, "orders/s", postgres.orders_per_second(1)?);
            Ok(())
        }),
        ("create beside PostgreSQL", &|lab, name| {
            lab.embedded(catalog, |lab, server| lab.rate(name, server, create))
        }),
        ("create beside PostgreSQL, one hot slot", &|lab, name| {
            lab.embedded(catalog, |lab, server| lab.rate(name, server, create.hot()))
        }),
    ])?;
    let results = &mut lab.results;
    results.compare(
        "create ÷ PostgreSQL",
        "≥ 5",
        "create beside PostgreSQL",
        "PostgreSQL transaction",
    );
    results.compare(
        "create ÷ PostgreSQL, one hot slot",
        "≥ 20",
        "create beside PostgreSQL, one hot slot",
        "PostgreSQL transaction, one hot slot",
    );
    Ok(())
}

/// Compares what is named, or everything.
pub(super) fn compare(groups: &BTreeSet<String>, lab: &mut Lab) -> Result<(), Failure> {
    for (name, measure) in GROUPS {
        if groups.is_empty() || groups.contains(name) {
            eprintln!("{name}");
            measure(lab)?;
        }
    }
    Ok(())
}
