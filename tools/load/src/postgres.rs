//! The same order as a transaction of PostgreSQL, as most booking systems would write it: two
//! guarded updates of stock and an order with a unique token, committed to disk.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::Error;

/// Where Debian keeps the programs of each version.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// Where other systems keep them.
const ELSEWHERE: [&str; 2] = ["/usr/local/bin", "/usr/bin"];

/// The account that runs it where we are root, which PostgreSQL does not accept.
const USER: &str = "postgres";

const SECONDS: &str = "5";

const TABLES: &str = "
CREATE TABLE stock (slot int PRIMARY KEY, open int NOT NULL);
CREATE TABLE orders (token text PRIMARY KEY, first int NOT NULL, second int NOT NULL);
INSERT INTO stock SELECT slot, 100000000 FROM generate_series(1, 2000) AS slot;
";

/// The first slot is one of so many, the second one of as many others, so that no two orders wait
/// for each other in a circle.
const ORDER: &str = r"
\set first random(1, :slots)
\set second 1000 + random(1, :slots)
\set token random(1, 9000000000000000000)
BEGIN;
UPDATE stock SET open = open - 1 WHERE slot = :first AND open >= 1;
UPDATE stock SET open = open - 1 WHERE slot = :second AND open >= 1;
INSERT INTO orders VALUES (:token, :first, :second);
COMMIT;
";

/// A temporary database, removed when this is dropped.
pub(crate) struct Postgres {
    programs: PathBuf,
    dir: TempDir,
}

impl Postgres {
    /// Starts one; none if PostgreSQL is not installed.
    pub(crate) fn start() -> Result<Option<Self>, Error> {
        let Some(programs) = programs() else {
            return Ok(None);
        };
        let postgres = Self {
            programs,
            dir: TempDir::new()?,
        };
        let dir = postgres.dir.path().display().to_string();
        output_of(Command::new("chmod").args(["777", &dir]))?;
        fs::write(postgres.dir.path().join("order.sql"), ORDER)?;
        let data = format!("{dir}/data");
        postgres.run(
            "initdb",
            &["--pgdata", &data, "--auth=trust", "--username=bench"],
        )?;
        let options =
            format!("-c listen_addresses= -c unix_socket_directories={dir} -c max_connections=200");
        postgres.run(
            "pg_ctl",
            &[
                "start",
                "--wait",
                "--pgdata",
                &data,
                "--options",
                &options,
                "--log",
                &format!("{dir}/log"),
            ],
        )?;
        postgres.run(
            "psql",
            &[
                "--host",
                &dir,
                "--username=bench",
                "--quiet",
                "--command",
                TABLES,
                "postgres",
            ],
        )?;
        Ok(Some(postgres))
    }

    /// Orders per second, over so many slots.
    pub(crate) fn orders_per_second(&self, slots: u32) -> Result<u64, Error> {
        let dir = self.dir.path().display().to_string();
        let out = self.run(
            "pgbench",
            &[
                "--host",
                &dir,
                "--username=bench",
                "--no-vacuum",
                "--protocol=prepared",
                "--client=32",
                "--jobs=2",
                "--time",
                SECONDS,
                "--define",
                &format!("slots={slots}"),
                "--file",
                &format!("{dir}/order.sql"),
                "postgres",
            ],
        )?;
        let rate = out.lines().find_map(|line| line.strip_prefix("tps = "));
        let whole = rate
            .and_then(|rate| rate.split('.').next())
            .ok_or("pgbench printed no rate")?;
        Ok(whole.parse()?)
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String, Error> {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        output_of(command.args(args).current_dir(self.dir.path()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.dir.path().join("data").display().to_string();
        if let Err(error) = self.run("pg_ctl", &["stop", "--mode=immediate", "--pgdata", &data]) {
            eprintln!("PostgreSQL is still running: {error}");
        }
    }
}

/// The folder of the newest version's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(PROGRAMS)
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    let folders = versions.chain(ELSEWHERE.map(PathBuf::from));
    folders
        .filter(|folder| folder.join("initdb").exists() && folder.join("pgbench").exists())
        .max()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(Path::new("/proc/self")).is_ok_and(|process| process.uid() == 0)
}

/// The output of a program. It goes to a file: a database that outlives the program would keep a
/// pipe open, and reading it would never end.
fn output_of(command: &mut Command) -> Result<String, Error> {
    let out = tempfile::tempfile()?;
    let status = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out.try_clone()?)
        .status()?;
    let output = std::io::read_to_string({
        let mut out = out;
        std::io::Seek::rewind(&mut out)?;
        out
    })?;
    if status.success() {
        Ok(output)
    } else {
        Err(format!("{command:?}: {output}").into())
    }
}
