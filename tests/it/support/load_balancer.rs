//! A real load balancer in front of two servers, configured by the files in `deploy/`.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
};

use http::Method;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    process::{Child, Command},
};

use crate::support::{
    process::until,
    rest_client::{self, without_body},
};

/// The addresses of the servers in the files.
const SERVERS: [&str; 2] = ["127.0.0.1:50051", "127.0.0.1:50061"];

/// Where balancers listen here. Ports of this address are nobody else's, so one that was free stays
/// so until the balancer takes it.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

/// Where `HAProxy` tells how it stands, in its directory.
const SOCKET: &str = "admin.sock";

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Envoy,
    HaProxy,
}

/// A running load balancer. It is killed on drop.
pub(crate) struct Balancer {
    kind: Kind,
    _process: Child,
    dir: TempDir,
    address: SocketAddr,
    /// Where Envoy tells how it stands.
    admin: SocketAddr,
    servers: [SocketAddr; 2],
}

impl Balancer {
    /// Starts the program that the environment names, in front of these servers.
    pub(crate) async fn start(kind: Kind, servers: [SocketAddr; 2]) -> Self {
        let dir = TempDir::new().unwrap();
        let [address, admin] = free_addresses();
        let mut command = match kind {
            Kind::Envoy => envoy(dir.path(), address, admin, servers),
            Kind::HaProxy => haproxy(dir.path(), address, servers),
        };
        let log = dir.path().join("log");
        let output = File::create(&log).unwrap();
        command.current_dir(dir.path()).kill_on_drop(true);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} does not start: {error}"));
        let socket = dir.path().join(SOCKET);
        let listens = async || {
            TcpStream::connect(address).await.is_ok() && (kind == Kind::Envoy || socket.exists())
        };
        tokio::select! {
            () = until("the balancer listens", listens) => {}
            ended = process.wait() => panic!("{kind:?}: {ended:?} {}", fs::read_to_string(log).unwrap()),
        }
        Self {
            kind,
            _process: process,
            dir,
            address,
            admin,
            servers,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many calls it has at one of the servers.
    pub(crate) async fn calls_at(&self, server: usize) -> usize {
        let begin = match self.kind {
            Kind::Envoy => format!("boxoffice::{}::rq_active::", self.servers[server]),
            Kind::HaProxy => ["read_only,a,0,0,", "read_only,b,0,0,"][server].to_owned(),
        };
        let all = self.statistics().await;
        let line = all.lines().find_map(|line| line.strip_prefix(&begin));
        let count = line.and_then(|line| line.split(',').next()?.parse().ok());
        count.unwrap_or_else(|| panic!("nothing begins with {begin} in {all}"))
    }

    async fn statistics(&self) -> String {
        let mut all = String::new();
        match self.kind {
            Kind::Envoy => {
                let answer =
                    rest_client::send(self.admin, without_body(Method::GET, "/clusters")).await;
                all = String::from_utf8(answer.body.to_vec()).unwrap();
            }
            Kind::HaProxy => {
                let mut socket = UnixStream::connect(self.dir.path().join(SOCKET))
                    .await
                    .unwrap();
                socket.write_all(b"show stat\n").await.unwrap();
                socket.read_to_string(&mut all).await.unwrap();
            }
        }
        all
    }
}

fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind((HOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

fn envoy(dir: &Path, address: SocketAddr, admin: SocketAddr, servers: [SocketAddr; 2]) -> Command {
    let written = |address: &str| {
        let (host, port) = address.split_once(':').unwrap();
        format!("address: {host}, port_value: {port}")
    };
    let config = configured(
        "envoy.yaml",
        dir,
        &[
            (&written("0.0.0.0:8080"), written(&address.to_string())),
            (&written("127.0.0.1:9901"), written(&admin.to_string())),
            (&written(SERVERS[0]), written(&servers[0].to_string())),
            (&written(SERVERS[1]), written(&servers[1].to_string())),
        ],
    );
    let mut command = Command::new(program("ENVOY"));
    // Several of them on one machine would else share memory for restarts.
    command.args([
        "--disable-hot-restart",
        "--concurrency",
        "2",
        "--log-level",
        "error",
        "--config-path",
    ]);
    command.arg(config);
    command
}

fn haproxy(dir: &Path, address: SocketAddr, servers: [SocketAddr; 2]) -> Command {
    let config = configured(
        "haproxy.cfg",
        dir,
        &[
            ("0.0.0.0:8080", address.to_string()),
            (
                "/run/haproxy/admin.sock",
                dir.join(SOCKET).to_str().unwrap().to_owned(),
            ),
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
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(file);
    let mut text = fs::read_to_string(shipped).unwrap();
    for (old, new) in edits {
        assert!(text.contains(old), "{file} does not say {old:?}");
        text = text.replace(old, new);
    }
    let written = dir.join(file);
    fs::write(&written, text).unwrap();
    written
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the program is, is no setting of the server"
)]
fn program(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} has to name the program"))
}
