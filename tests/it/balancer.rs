//! A real load balancer in front of two servers, configured by the files in `deploy/`.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::process::until;

/// The addresses of the servers in the files.
const SERVERS: [&str; 2] = ["127.0.0.1:50051", "127.0.0.1:50061"];

/// Where balancers listen here. Ports of this address are nobody else's, so one that was free stays
/// so until the balancer takes it.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Envoy,
    HaProxy,
}

/// A load balancer at work. It is killed when this is dropped.
pub(crate) struct Balancer {
    _process: Child,
    _dir: TempDir,
    address: SocketAddr,
}

impl Balancer {
    /// Starts the program that the environment names, in front of these servers.
    pub(crate) async fn start(kind: Kind, servers: [SocketAddr; 2]) -> Self {
        let dir = TempDir::new().unwrap();
        let address = free_address();
        let mut command = match kind {
            Kind::Envoy => envoy(dir.path(), address, servers),
            Kind::HaProxy => haproxy(dir.path(), address, servers),
        };
        let log = dir.path().join("log");
        let output = File::create(&log).unwrap();
        command.current_dir(dir.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{kind:?} does not start: {error}"));
        tokio::select! {
            () = until("the balancer listens", async || TcpStream::connect(address).await.is_ok()) => {}
            ended = process.wait() => panic!("{kind:?}: {ended:?} {}", fs::read_to_string(log).unwrap()),
        }
        Self { _process: process, _dir: dir, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap()
}

fn envoy(dir: &Path, address: SocketAddr, servers: [SocketAddr; 2]) -> Command {
    let written = |address: &str| {
        let (host, port) = address.split_once(':').unwrap();
        format!("address: {host}, port_value: {port}")
    };
    let config = configured(
        "envoy.yaml",
        dir,
        &[
            (&written("0.0.0.0:8080"), written(&address.to_string())),
            (&written("127.0.0.1:9901"), written("127.0.0.1:0")),
            (&written(SERVERS[0]), written(&servers[0].to_string())),
            (&written(SERVERS[1]), written(&servers[1].to_string())),
        ],
    );
    let mut command = Command::new(program("ENVOY"));
    // Several of them on one machine would else share memory for restarts.
    command.args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "error", "--config-path"]);
    command.arg(config);
    command
}

fn haproxy(dir: &Path, address: SocketAddr, servers: [SocketAddr; 2]) -> Command {
    let config = configured(
        "haproxy.cfg",
        dir,
        &[
            ("0.0.0.0:8080", address.to_string()),
            ("/run/haproxy/admin.sock", dir.join("admin.sock").to_str().unwrap().to_owned()),
            (SERVERS[0], servers[0].to_string()),
            (SERVERS[1], servers[1].to_string()),
        ],
    );
    let mut command = Command::new(program("HAPROXY"));
    // Without this it would go to the background.
    command.args(["-db", "-f"]).arg(config);
    command
}

/// Writes a file of `deploy/` with these texts replaced, each of which it has to have.
fn configured(file: &str, dir: &Path, edits: &[(&str, String)]) -> std::path::PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
    let mut text = fs::read_to_string(shipped).unwrap();
    for (old, new) in edits {
        assert!(text.contains(old), "{file} does not say {old:?}");
        text = text.replace(old, new);
    }
    let written = dir.join(file);
    fs::write(&written, text).unwrap();
    written
}

#[expect(clippy::disallowed_methods, reason = "where the program is, is no setting of the server")]
fn program(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} has to name the program"))
}
