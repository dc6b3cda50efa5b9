//! Servers that are measured, each in a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::Failure;

/// The program that Cargo has built beside this one.
pub(super) const PRESENT: &str = env!("CARGO_BIN_EXE_boxoffice");

/// Where a server keeps its orders.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keeping<'a> {
    Nowhere,
    In(&'a Path),
}

/// A server that runs until this is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: String,
    /// From its start until it listened.
    pub(super) opened_in: Duration,
}

impl Server {
    /// Box Office with this catalogue.
    pub(super) fn box_office(catalog: &Path, keeping: Keeping<'_>) -> Result<Self, Failure> {
        Self::box_office_with(&[], catalog, keeping)
    }

    /// The same with further settings.
    pub(super) fn box_office_with(
        settings: &[&str],
        catalog: &Path,
        keeping: Keeping<'_>,
    ) -> Result<Self, Failure> {
        Self::program(Path::new(PRESENT), settings, catalog, keeping)
    }

    /// A build of Box Office with settings that every build has.
    pub(super) fn program(
        program: &Path,
        settings: &[&str],
        catalog: &Path,
        keeping: Keeping<'_>,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command
            .args([
                "--listen=127.0.0.1:0",
                "--admin-listen=off",
                "--log-format=json",
                "--catalog",
            ])
            .arg(catalog)
            .args(settings);
        match keeping {
            Keeping::Nowhere => command.arg("--store=memory"),
            Keeping::In(dir) => command.args(["--store=embedded", "--data-dir"]).arg(dir),
        };
        command.stderr(Stdio::piped());
        Self::start(command, |child| {
            Box::new(child.stderr.take().expect("it is piped"))
        })
    }

    /// The server that does nothing.
    pub(super) fn echo() -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("echo").stdout(Stdio::piped());
        Self::start(command, |child| {
            Box::new(child.stdout.take().expect("it is piped"))
        })
    }

    fn start(
        mut command: Command,
        log: fn(&mut Child) -> Box<dyn Read + Send>,
    ) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(log(&mut child)).lines();
        for line in lines.by_ref() {
            let Ok(line) = serde_json::from_str::<Value>(&line?) else {
                continue;
            };
            if let (Some("listening"), Some(address)) =
                (line["message"].as_str(), line["address"].as_str())
            {
                let (address, opened_in) = (format!("http://{address}"), begun.elapsed());
                // A full pipe would hold the server up.
                std::thread::spawn(|| lines.for_each(drop));
                return Ok(Self {
                    child,
                    address,
                    opened_in,
                });
            }
        }
        Err("a server ended instead of listening".into())
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, name: &str) -> Result<(), Failure> {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()?;
        if sent.success() {
            Ok(())
        } else {
            Err(format!("{name} could not be sent").into())
        }
    }

    /// Ends it in good order, and tells how long that took.
    pub(super) fn drain(mut self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        self.signal("TERM")?;
        let ended = self.child.wait()?;
        if ended.success() {
            Ok(begun.elapsed())
        } else {
            Err(format!("drained: {ended}").into())
        }
    }

    /// Files and sockets that it has open.
    pub(super) fn descriptors(&self) -> Result<u64, Failure> {
        Ok(u64::try_from(
            fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count(),
        )?)
    }

    /// Memory that it has, in KiB.
    pub(super) fn resident_kib(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line
            .and_then(|line| line.split_whitespace().next())
            .ok_or("no VmRSS")?;
        Ok(number.parse()?)
    }

    /// Time of processors that it has used, in hundredths of a second.
    pub(super) fn cpu_ticks(&self) -> Result<u64, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").ok_or("no name in stat")?;
        let ticks = |at: usize| {
            fields
                .split(' ')
                .nth(at)
                .and_then(|field| field.parse::<u64>().ok())
        };
        Ok(ticks(11)
            .zip(ticks(12))
            .map(|(user, system)| user + system)
            .ok_or("no times in stat")?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself has shown that in its answers.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
