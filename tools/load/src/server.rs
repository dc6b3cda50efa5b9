//! Servers that are measured, each in a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::Error;

/// The program that Cargo builds into the same directory as this one.
pub(crate) fn built_beside_this() -> Result<PathBuf, Error> {
    Ok(std::env::current_exe()?.with_file_name("boxoffice"))
}

/// The hash of a password for a file of credentials, as the program makes it.
pub(crate) fn hash_password(program: &Path, password: &str) -> Result<String, Error> {
    let mut child = Command::new(program)
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // The pipe is closed by dropping it, which is the end of the program's input.
    child
        .stdin
        .take()
        .expect("it is piped")
        .write_all(password.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("hash-password: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Where a server keeps its orders.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Storage<'a> {
    Memory,
    Disk(&'a Path),
}

/// A server process, killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// Of a build that has one.
    pub(crate) operator_address: Option<String>,
    /// From its start until it listened.
    pub(crate) opened_in: Duration,
}

impl Server {
    /// Starts a build of Box Office on a free port. The fixed settings exist in every build.
    pub(crate) fn program(
        program: &Path,
        settings: &[&str],
        catalog: &Path,
        storage: Storage<'_>,
    ) -> Result<Self, Error> {
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
        match storage {
            Storage::Memory => command.arg("--store=memory"),
            Storage::Disk(dir) => command.args(["--store=embedded", "--data-dir"]).arg(dir),
        };
        command.stderr(Stdio::piped());
        Self::start(command, |child| {
            Box::new(child.stderr.take().expect("it is piped"))
        })
    }

    /// Starts the echo.
    pub(crate) fn echo() -> Result<Self, Error> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("echo").stdout(Stdio::piped());
        Self::start(command, |child| {
            Box::new(child.stdout.take().expect("it is piped"))
        })
    }

    fn start(
        mut command: Command,
        log: fn(&mut Child) -> Box<dyn Read + Send>,
    ) -> Result<Self, Error> {
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
                let operator_address = line["operator_address"].as_str();
                let operator_address = operator_address.map(|it| format!("http://{it}"));
                // A full pipe would hold the server up.
                std::thread::spawn(|| lines.for_each(drop));
                return Ok(Self {
                    child,
                    address,
                    operator_address,
                    opened_in,
                });
            }
        }
        Err("a server ended instead of listening".into())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Error> {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()?;
        if sent.success() {
            Ok(())
        } else {
            Err(format!("{name} could not be sent").into())
        }
    }

    /// Stops it by SIGTERM; the time until it has ended.
    pub(crate) fn drain(mut self) -> Result<Duration, Error> {
        let begun = Instant::now();
        self.signal("TERM")?;
        let ended = self.child.wait()?;
        if ended.success() {
            Ok(begun.elapsed())
        } else {
            Err(format!("drained: {ended}").into())
        }
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> Result<u64, Error> {
        Ok(u64::try_from(
            fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count(),
        )?)
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64, Error> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line
            .and_then(|line| line.split_whitespace().next())
            .ok_or("no VmRSS")?;
        Ok(number.parse()?)
    }

    /// Processor time used, in hundredths of a second.
    pub(crate) fn cpu_ticks(&self) -> Result<u64, Error> {
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
        // Best effort: the process may have ended by itself, which the rejected calls have shown.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
