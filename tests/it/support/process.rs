//! The real program in a process of its own, with its log read as it is written.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use boxoffice::kernel::clock::{Clock, SystemClock};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};
use tonic::transport::Channel;

use crate::support::{Item, NOW, sample_catalog, seeds};

const DAY: i64 = 24 * 3600;

/// Longer than every expected wait.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two polls of a condition without an event.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits for an event that must happen; fails after a minute.
pub(crate) async fn with_timeout<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happened = tokio::time::timeout(TIMEOUT, happens).await;
    happened.unwrap_or_else(|_| panic!("{what}: timed out"))
}

/// Polls until a condition holds that has no event.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    with_timeout(what, waiting).await;
}

/// The line, `days` after today by the system clock.
pub(crate) fn in_days(mut item: Item, days: i64) -> Item {
    let today = SystemClock.now_sec().get().div_euclid(DAY);
    item.0.start_sec += (today - NOW.div_euclid(DAY) - 1 + days) * DAY;
    item
}

/// A command that starts the program. Defaults: the sample catalogue, a store in memory, any free port, no
/// admin listener or operator's listener, two workers, shutdown without delay, JSON logs.
pub(crate) struct Program {
    command: Command,
    dir: TempDir,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self::of(Command::new(env!("CARGO_BIN_EXE_boxoffice")))
    }

    /// Runs the program in a shell after these commands, which may set limits.
    pub(crate) fn after(shell_words: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            &format!("{shell_words}; exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_boxoffice"),
        ]);
        Self::of(shell)
    }

    /// Runs the program under a tool with these arguments.
    pub(crate) fn under<S: AsRef<std::ffi::OsStr>>(
        tool: &str,
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut command = Command::new(tool);
        command.args(words).arg(env!("CARGO_BIN_EXE_boxoffice"));
        Self::of(command)
    }

    /// Runs one of these tests in place of the program, with a variable.
    pub(crate) fn this_test(name: &str, variable: &str, value: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env(variable, value);
        Self::of(command)
    }

    /// Runs such a test under a tool with these arguments.
    pub(crate) fn this_test_under<S: AsRef<std::ffi::OsStr>>(
        (tool, words): (&str, impl IntoIterator<Item = S>),
        name: &str,
        (variable, value): (&str, &str),
    ) -> Self {
        let mut command = Command::new(tool);
        command
            .args(words)
            .arg(std::env::current_exe().unwrap())
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env(variable, value);
        Self::of(command)
    }

    /// Sets its standard input.
    pub(crate) fn reading(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    fn of(mut command: Command) -> Self {
        // Flags of a test have precedence over these variables.
        command
            .env("BOXOFFICE_ADMIN_LISTEN", "off")
            .env("BOXOFFICE_CATALOG", sample_catalog())
            .env("BOXOFFICE_DRAIN_DELAY", "0s")
            .env("BOXOFFICE_LISTEN", "127.0.0.1:0")
            .env("BOXOFFICE_LOG_FORMAT", "json")
            .env("BOXOFFICE_OPERATOR_LISTEN", "off")
            .env("BOXOFFICE_PAYMENTS", "simulated")
            .env("BOXOFFICE_STORE", "memory")
            .env("BOXOFFICE_WORKERS", "2");
        for variable in seeds::VARIABLES {
            command.env_remove(variable);
        }
        let dir = TempDir::new().unwrap();
        command
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        Self { command, dir }
    }

    pub(crate) fn args<S: AsRef<std::ffi::OsStr>>(
        mut self,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the embedded store in this directory.
    pub(crate) fn with_store(self, dir: &std::path::Path) -> Self {
        let dir = dir.to_str().unwrap();
        self.args(["--store=embedded", "--data-dir", dir])
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn start(self) -> Running {
        let started = self.start_or_end().await;
        started.unwrap_or_else(|ended| panic!("listening: it exited instead: {}", ended.text()))
    }

    /// Starts it and waits until it listens or has ended instead.
    pub(crate) async fn start_or_end(self) -> Result<Running, Ended> {
        let mut running = self.spawn();
        let Some(line) = running
            .nth_line_or_end("listening", 1, |line| line["message"] == "listening")
            .await
        else {
            return Err(running.ended().await);
        };
        running.address = Some(line["address"].as_str().unwrap().parse().unwrap());
        Ok(running)
    }

    /// Starts it and waits until it has ended by itself.
    pub(crate) async fn run(self) -> Ended {
        self.spawn().ended().await
    }

    /// Starts it without waiting.
    pub(crate) fn spawn(mut self) -> Running {
        let spawned = self.command.spawn();
        let mut child =
            spawned.unwrap_or_else(|error| panic!("{:?}: {error}", self.command.as_std()));
        let lines = watch::Sender::new(Vec::new());
        let is_read = watch::Sender::new(true);
        let readers = [
            tokio::spawn(read(
                child.stderr.take().unwrap(),
                lines.clone(),
                is_read.subscribe(),
            )),
            tokio::spawn(read(
                child.stdout.take().unwrap(),
                lines.clone(),
                is_read.subscribe(),
            )),
        ];
        Running {
            child,
            lines: lines.subscribe(),
            readers,
            is_read,
            address: None,
            _dir: self.dir,
        }
    }
}

async fn read(
    output: impl AsyncRead + Unpin,
    lines: watch::Sender<Vec<String>>,
    mut is_read: watch::Receiver<bool>,
) {
    let mut output = BufReader::new(output).lines();
    while let Some(line) = output.next_line().await.unwrap() {
        lines.send_modify(|lines| lines.push(line));
        // Without a sender the output is read to its end.
        let _ = is_read.wait_for(|is_read| *is_read).await;
    }
}

/// A running program. It is killed on drop.
pub(crate) struct Running {
    child: Child,
    lines: watch::Receiver<Vec<String>>,
    readers: [JoinHandle<()>; 2],
    is_read: watch::Sender<bool>,
    address: Option<SocketAddr>,
    _dir: TempDir,
}

/// Runs a command of the program until it ends.
pub(crate) async fn run(words: &[&str]) -> Ended {
    Program::new().args(words).run().await
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// The address of its admin listener.
    pub(crate) async fn admin_address(&mut self) -> SocketAddr {
        self.address_of("admin_address").await
    }

    /// The address of its operator's listener.
    pub(crate) async fn operator_address(&mut self) -> SocketAddr {
        self.address_of("operator_address").await
    }

    async fn address_of(&mut self, listener: &str) -> SocketAddr {
        let listening = self
            .line("listening", |line| line["message"] == "listening")
            .await;
        listening[listener].as_str().unwrap().parse().unwrap()
    }

    /// Whether it has a file open.
    pub(crate) fn has_open(&self, file: &std::path::Path) -> bool {
        let id = self.child.id().expect("it runs");
        let open = std::fs::read_dir(format!("/proc/{id}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        let mut open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        open.any(|open| open == file)
    }

    pub(crate) async fn connect(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address()))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// Waits for a line of the log, and returns the first.
    pub(crate) async fn line(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.nth_line(what, 1, is_it).await
    }

    /// Waits for `count` lines of a kind in the log, and returns the last of them.
    pub(crate) async fn nth_line(
        &mut self,
        what: &str,
        count: usize,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        let found = self.nth_line_or_end(what, count, is_it).await;
        found.unwrap_or_else(|| panic!("{what}: it exited instead: {:#?}", self.output()))
    }

    async fn nth_line_or_end(
        &mut self,
        what: &str,
        count: usize,
        is_it: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let find = |lines: &[String]| json(lines).filter(&is_it).nth(count - 1);
        let waiting = async {
            match self.lines.wait_for(|lines| find(lines).is_some()).await {
                Ok(lines) => find(&lines),
                Err(_) => None,
            }
        };
        with_timeout(what, waiting).await
    }

    /// Its output so far, standard error included.
    pub(crate) fn output(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Reads its output, or stops reading it after the next line.
    pub(crate) fn read_output(&self, is_read: bool) {
        self.is_read.send_replace(is_read);
    }

    /// The process id.
    pub(crate) fn id(&self) -> String {
        self.child.id().expect("it runs").to_string()
    }

    /// Waits for its exit, also while its output is not read.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        with_timeout("the end of the program", self.child.wait())
            .await
            .unwrap()
            .code()
    }

    /// Sends it a signal by its short name.
    pub(crate) async fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.id()])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Kills it, like a crash.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let status = with_timeout("the end of the program", self.child.wait())
            .await
            .unwrap();
        drop(self.is_read);
        for reader in self.readers {
            with_timeout("the end of its output", reader).await.unwrap();
        }
        let lines = self.lines.borrow().clone();
        Ended { status, lines }
    }

    /// Stops it by SIGTERM and waits for its exit.
    pub(crate) async fn stop(self) -> Ended {
        self.signal("TERM").await;
        self.ended().await
    }
}

/// An exited program.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Its output, standard error included.
    pub(crate) lines: Vec<String>,
}

impl Ended {
    /// Its exit code; being killed fails the test.
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("killed: {:?}", self.status))
    }

    /// Its output as text.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Lines of its log.
    pub(crate) fn log(&self) -> impl Iterator<Item = Value> {
        json(&self.lines)
    }
}

fn json(lines: &[String]) -> impl Iterator<Item = Value> {
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
}
