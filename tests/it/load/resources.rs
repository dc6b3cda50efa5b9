//! What there may be no more of: file descriptors, threads, places for connections, a reader of the log. And
//! how a server ends whatever it waits for.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    time::Duration,
};

use boxoffice::api::booking::proto::v3::{
    CheckOrderFulfillabilityRequest, ListOrdersRequest,
    booking_service_client::BookingServiceClient, list_orders_request::Ids,
};
use http::Method;
use prost::Message;
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    process::Command,
};
use tonic::{Code, transport::Channel};

use crate::support::{
    Item, Setup,
    byte_client::{ByteClient, framed, whole},
    config,
    doubles::GatewayDouble,
    keys::{Keys, basic},
    order_request, paid_with,
    process::{Program, in_days, until, with_timeout},
    rest_client::{Answer, send, without_body},
};

fn visit(day: i64) -> Item {
    in_days(Item::museum_entry(), day)
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000)
}

fn check() -> Vec<u8> {
    let item = vec![visit(2).0];
    CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item,
        cart_id: String::new(),
    }
    .encode_to_vec()
}

async fn is_served(client: &ByteClient) {
    let answer = with_timeout(
        "an answer",
        client.call("CheckOrderFulfillability", &check()),
    )
    .await;
    assert_eq!(answer.code(), Code::Ok);
}

async fn get(address: SocketAddr, path: &'static str) -> Answer {
    with_timeout(path, send(address, without_body(Method::GET, path))).await
}

/// The value of a metric, which has to be there.
async fn metric(admin: SocketAddr, name: &str) -> u64 {
    let page = get(admin, "/metrics").await.body;
    let page = std::str::from_utf8(&page).unwrap().to_owned();
    let found = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no {name} in\n{page}"))
        .parse()
        .unwrap()
}

/// Connections that never say anything.
async fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..count {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    silent
}

/// Whether the other end has closed it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

// File descriptors.

#[tokio::test]
async fn where_descriptors_are_few_connections_leave_some_for_everything_else() {
    let dir = TempDir::new().unwrap();
    let words = [
        "--admin-listen=127.0.0.1:0",
        "--max-connections-per-address=1000",
    ];
    let mut server = Program::after("ulimit -n 200")
        .with_store(dir.path())
        .args(words)
        .start()
        .await;
    let warned = server
        .line("a warning", |line| line["connections"] == 50)
        .await;
    let message = warned["message"].as_str().unwrap();
    assert!(
        message.contains("max_connections") && message.contains("ulimit -n"),
        "{message}"
    );
    assert_eq!(
        (&warned["max_connections"], &warned["file_descriptors"]),
        (&10_000.into(), &200.into())
    );
    let admin = server.admin_address().await;
    let _silent = silent(server.address(), 180).await;
    let client = BookingServiceClient::new(server.connect().await);
    for number in 0..3 {
        let request = order_request(&format!("order-{number}"), "museum", [visit(2)]);
        with_timeout("an order", client.clone().create_order(request))
            .await
            .unwrap();
    }
    server.signal("HUP").await;
    server
        .line("the catalogue", |line| {
            line["message"] == "catalogue reloaded"
        })
        .await;
    assert_eq!(metric(admin, "boxoffice_connections_max").await, 50);
    assert!(metric(admin, "boxoffice_connections_open").await <= 50);
    assert_eq!(get(admin, "/readyz").await.http, 200);
    assert_eq!(get(admin, "/feeds").await.http, 200);
    let ended = server.stop().await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    assert!(
        !ended.text().contains("Too many open files"),
        "{}",
        ended.text()
    );
}

#[tokio::test]
async fn a_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let args = ["--admin-listen=127.0.0.1:0", "--max-connections=300"];
    let mut server = Program::after("ulimit -Sn 100").args(args).start().await;
    let admin = server.admin_address().await;
    assert_eq!(metric(admin, "boxoffice_connections_max").await, 300);
    assert!(metric(admin, "process_max_fds").await > 1000);
    server.stop().await;
}

#[tokio::test]
async fn connections_that_cannot_be_accepted_are_logged_once_and_accepted_later() {
    let mut server = Program::new().start().await;
    let open = fs::read_dir(format!("/proc/{}/fd", server.id()))
        .unwrap()
        .count();
    let id = server.id();
    let limit = |files: usize| {
        let id = id.clone();
        async move {
            let words = ["--pid".to_owned(), id, format!("--nofile={files}:20000")];
            assert!(
                Command::new("prlimit")
                    .args(words)
                    .status()
                    .await
                    .unwrap()
                    .success()
            );
        }
    };
    limit(open + 2).await;
    let mut streams = silent(server.address(), 8).await;
    let is_it = |line: &serde_json::Value| {
        line["level"] == "ERROR"
            && line["message"]
                .as_str()
                .unwrap()
                .contains("no file descriptor left")
    };
    server.line("the lack of descriptors", is_it).await;
    // The idle ones make room, so a new connection is served even now.
    is_served(&ByteClient::connect(server.address()).await).await;
    limit(10_000).await;
    is_served(&ByteClient::connect(server.address()).await).await;
    streams.clear();
    let ended = server.stop().await;
    assert_eq!(ended.code(), 0);
    let count = ended.log().filter(is_it).count();
    assert_eq!(count, 1, "{}", ended.text());
}

// Connections.

#[tokio::test]
async fn where_all_places_are_taken_the_idlest_connection_makes_room() {
    let mut config = config();
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    config.connections.max_connections = 3;
    config.connections.max_connections_per_address = Some(3);
    let server = Setup::with_config(config).open().await.unwrap();
    let admin = server.admin_address().unwrap();
    let client = ByteClient::connect(server.address()).await;
    is_served(&client).await;
    let mut first = silent(server.address(), 1).await;
    is_served(&client).await;
    let mut second = silent(server.address(), 1).await;
    until("three are open", async || {
        metric(admin, "boxoffice_connections_open").await == 3
    })
    .await;
    let page = get(admin, "/readyz").await;
    assert!(
        page.http == 200 && page.body.starts_with(b"ok, but all connections are in use"),
        "{page:?}"
    );
    is_served(&client).await;
    let latest = ByteClient::connect(server.address()).await;
    is_served(&latest).await;
    assert!(is_closed(&mut first[0]).await && !is_closed(&mut second[0]).await);
    is_served(&client).await;
    is_served(&latest).await;
    let evicted = "boxoffice_connections_evicted_total{limit=\"all\"}";
    assert_eq!(metric(admin, evicted).await, 1);
    server.stop(std::future::pending()).await;
}

#[tokio::test]
async fn where_none_is_idle_a_newcomer_waits_and_the_server_is_not_ready() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    config.connections.max_connections = 1;
    let setup = Setup::with_config(config).with_gateway(&payments);
    let server = setup.open().await.unwrap();
    let admin = server.admin_address().unwrap();
    let busy = ByteClient::connect(server.address()).await;
    let item = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    let order = paid_with(order_request("token", "museum", [item]), "slow").encode_to_vec();
    let slow = tokio::spawn(async move { busy.call("CreateOrder", &order).await });
    payments.asked_times(1).await;
    let latest = from(Ipv4Addr::new(127, 0, 0, 2), server.address()).await;
    until("it is not ready", async || {
        get(admin, "/readyz").await.http == 503
    })
    .await;
    assert_eq!(metric(admin, "boxoffice_connections_full").await, 1);
    payments.capture();
    assert_eq!(
        with_timeout("the order", slow).await.unwrap().code(),
        Code::Ok
    );
    is_served(&ByteClient::over(server.address(), latest).await).await;
    until("it is ready", async || {
        get(admin, "/readyz").await.http == 200
    })
    .await;
    server.stop(std::future::pending()).await;
}

/// A connection from another address of this machine.
async fn from(address: impl Into<IpAddr>, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address.into(), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn an_address_with_many_connections_pushes_out_its_own_only() {
    let mut config = config();
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    config.connections.max_connections = 20;
    let server = Setup::with_config(config).open().await.unwrap();
    let admin = server.admin_address().unwrap();
    let mut other = from(Ipv4Addr::new(127, 0, 0, 2), server.address()).await;
    let _flood = silent(server.address(), 100).await;
    let count = "boxoffice_connections_evicted_total{limit=\"address\"}";
    until("all of the flood is seen", async || {
        metric(admin, count).await == 90
    })
    .await;
    assert_eq!(
        metric(admin, "boxoffice_connections_open").await,
        11,
        "half of the places, and the other"
    );
    assert!(!is_closed(&mut other).await);
    is_served(&ByteClient::over(server.address(), other).await).await;
    is_served(&ByteClient::connect(server.address()).await).await;
    server.stop(std::future::pending()).await;
}

#[tokio::test]
async fn incomplete_heads_at_the_admin_listener_do_not_keep_probes_out() {
    let mut config = config();
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    let server = Setup::with_config(config).open().await.unwrap();
    let admin = server.admin_address().unwrap();
    let mut halves = silent(admin, 300).await;
    for half in &mut halves {
        // Some are closed already.
        let _ = half
            .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nx-a:")
            .await;
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(admin, path).await.http, 200, "{path}");
    }
    assert!(is_closed(&mut halves[0]).await, "the oldest has made room");
    server.stop(std::future::pending()).await;
}

// The log.

#[tokio::test]
async fn an_unread_log_blocks_nothing() {
    let words = ["--admin-listen=127.0.0.1:0", "--log=trace"];
    let mut server = Program::new().args(words).start().await;
    let admin = server.admin_address().await;
    let client = ByteClient::connect(server.address()).await;
    server.read_output(false);
    until("lines are dropped", async || {
        is_served(&client).await;
        metric(admin, "boxoffice_log_lines_dropped_total").await > 0
    })
    .await;
    assert_eq!(get(admin, "/livez").await.http, 200);
    is_served(&client).await;
    server.read_output(true);
    let dropped = server.line("the lines that were dropped", |line| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.starts_with("log lines were dropped"))
    });
    assert!(dropped.await["lines"].as_u64() > Some(0));
    assert_eq!(server.stop().await.code(), 0);
}

#[tokio::test]
async fn an_unread_log_does_not_block_the_shutdown() {
    for (signals, drain_delay) in [(1, "0s"), (2, "1h")] {
        let words = [
            "--admin-listen=127.0.0.1:0",
            "--log=trace",
            "--drain-delay",
            drain_delay,
        ];
        let mut server = Program::new().args(words).start().await;
        let admin = server.admin_address().await;
        server.read_output(false);
        let client = ByteClient::connect(server.address()).await;
        until("lines are dropped", async || {
            is_served(&client).await;
            metric(admin, "boxoffice_log_lines_dropped_total").await > 0
        })
        .await;
        server.signal("TERM").await;
        if signals == 2 {
            until("it is ending", async || {
                get(admin, "/readyz").await.http == 503
            })
            .await;
            server.signal("TERM").await;
        }
        assert_eq!(server.exit_code().await, Some(0), "{signals} signals");
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_program_whatever_it_waits_for() {
    // A collector of traces that takes connections and never says anything: the last spans are waited for.
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let mut server = Program::new()
        .args(["--trace-endpoint", &endpoint])
        .start()
        .await;
    is_served(&ByteClient::connect(server.address()).await).await;
    server.signal("TERM").await;
    server
        .line("the end of the server", |line| {
            line["message"] == "shutdown complete"
        })
        .await;
    server.signal("TERM").await;
    let ended = server.ended().await;
    assert_eq!(ended.code(), 75, "{}", ended.text());
    assert!(
        ended.text().contains("a second signal ends it by force"),
        "{}",
        ended.text()
    );
}

#[tokio::test]
async fn errors_at_startup_are_logged_completely() {
    let ended = Program::new().args(["--catalog=/nowhere"]).run().await;
    assert_eq!(ended.code(), 65);
    let last = ended.log().last().unwrap();
    assert_eq!(last["message"], "the server failed", "{}", ended.text());
}

// Threads.

/// A user that has no other process, so that a limit of processes is one of threads of the program.
const LONELY_USER: &str = "48151";

/// How to run something as a user whom a limit of processes binds, which it does not where the user is root.
fn bound() -> (&'static str, Vec<String>) {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return ("env", Vec::new());
    }
    let words = [
        &format!("--reuid={LONELY_USER}"),
        &format!("--regid={LONELY_USER}"),
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ];
    ("setpriv", words.map(str::to_owned).to_vec())
}

async fn list(client: &BookingServiceClient<Channel>) -> Result<usize, tonic::Status> {
    let request = ListOrdersRequest {
        ids: Some(Ids::UserId("user-1".into())),
    };
    Ok(with_timeout("a list", client.clone().list_orders(request))
        .await?
        .into_inner()
        .order
        .len())
}

#[tokio::test]
async fn a_running_server_needs_no_further_thread() {
    for runtime in ["per-core", "shared"] {
        let (tool, words) = bound();
        let program =
            Program::under(tool, &words).args(["--runtime", runtime, "--catalog-watch=1s"]);
        let mut server = program.start().await;
        let threads = || {
            fs::read_dir(format!("/proc/{}/task", server.id()))
                .unwrap()
                .count()
        };
        let (before, id) = (threads(), server.id());
        let prlimit = ["prlimit", "--pid", &id, "--nproc=1:1"];
        let limited = Command::new(tool)
            .args(&words)
            .args(prlimit)
            .status()
            .await
            .unwrap();
        assert!(limited.success());
        let client = BookingServiceClient::new(server.connect().await);
        let request = order_request("order-1", "museum", [visit(2)]);
        client.clone().create_order(request).await.unwrap();
        let lists = (0..40).map(|_| list(&client));
        for listed in futures_util::future::join_all(lists).await {
            assert_eq!(listed.unwrap(), 1, "{runtime}");
        }
        assert_eq!(threads(), before, "{runtime}");
        server.signal("HUP").await;
        server
            .line("the catalogue", |line| {
                line["message"] == "catalogue reloaded"
            })
            .await;
        let ended = server.stop().await;
        assert_eq!(ended.code(), 0, "{}", ended.text());
        assert!(!ended.text().contains("panic"), "{}", ended.text());
    }
}

#[tokio::test]
async fn a_start_without_threads_fails_with_the_cause() {
    let (tool, words) = bound();
    let limited = words
        .into_iter()
        .chain(["prlimit", "--nproc=4:4"].map(str::to_owned));
    let ended = Program::under(tool, limited).run().await;
    assert_eq!(ended.code(), 70, "{}", ended.text());
    let last = ended.log().last().unwrap();
    assert_eq!(last["message"], "the server failed");
    assert!(
        last["error"]
            .as_str()
            .unwrap()
            .contains("no further thread"),
        "{last}"
    );
}

// Passwords.

#[tokio::test]
async fn a_flood_of_wrong_passwords_does_not_keep_a_new_caller_waiting() {
    const FLOOD: usize = 60;
    let keys = Keys::new();
    let mut config = config();
    keys.with_users(&mut config, &[("ada", &["secret"])]);
    let server = Setup::with_config(config).open().await.unwrap();
    let address = server.address();
    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..FLOOD {
        let answered = answered.clone();
        tokio::spawn(async move {
            let client = ByteClient::connect(address).await;
            let wrong = basic("ada", &format!("wrong-{number}"));
            loop {
                let call = client
                    .request("CheckOrderFulfillability")
                    .header("authorization", &wrong);
                let answer = client
                    .send(call.body(whole(framed(&check()))).unwrap())
                    .await;
                let Ok(answer) = answer else { return };
                if answered.send(answer.code()).is_err() {
                    return;
                }
            }
        });
    }
    // The flood has begun, and some of its calls were rejected.
    for _ in 0..3 {
        assert_eq!(
            with_timeout("an answer to the flood", answers.recv()).await,
            Some(Code::Unauthenticated)
        );
    }
    let client = ByteClient::connect(address).await;
    let call = client
        .request("CheckOrderFulfillability")
        .header("authorization", basic("ada", "secret"));
    while answers.try_recv().is_ok() {}
    let answer = client.send(call.body(whole(framed(&check()))).unwrap());
    let answer = with_timeout("the answer to the new caller", answer)
        .await
        .unwrap();
    assert_eq!(answer.code(), Code::Ok);
    let mut before = 0;
    while answers.try_recv().is_ok() {
        before += 1;
    }
    // One after the other, nearly all of it would have been.
    assert!(
        before < FLOOD / 2,
        "{before} of the flood were verified first"
    );
    server.stop(std::future::pending()).await;
}

// A terminal.

/// Both ends of a terminal.
fn terminal() -> (File, File) {
    let other_end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&other_end).unwrap();
    unlockpt(&other_end).unwrap();
    let name = ptsname(&other_end, Vec::new()).unwrap();
    let terminal = rustix::fs::open(
        name,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .unwrap();
    (other_end.into(), terminal.into())
}

#[tokio::test]
async fn a_hang_up_ends_a_server_on_a_terminal_and_has_others_reload() {
    let (_other_end, terminal) = terminal();
    let server = Program::new().reading(terminal).start().await;
    server.signal("HUP").await;
    let ended = server.ended().await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    assert_eq!(ended.log().last().unwrap()["message"], "shutdown complete");

    let mut server = Program::new().start().await;
    server.signal("HUP").await;
    server
        .line("the catalogue", |line| {
            line["message"] == "catalogue reloaded"
        })
        .await;
    assert_eq!(server.stop().await.code(), 0);
}

#[tokio::test]
async fn a_terminal_that_closes_ends_its_server() {
    let (other_end, terminal) = terminal();
    // The terminal becomes the controlling terminal of its session.
    let mut server = Program::under("setsid", ["--ctty"])
        .reading(terminal)
        .start()
        .await;
    drop(other_end);
    assert_eq!(server.exit_code().await, Some(0));
}
