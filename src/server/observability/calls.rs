//! Counters of calls: by transport and method, started and finished, by status, by duration, and
//! rejections by reason.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tonic::Code;

use crate::api::{booking::proto::v3::booking_service_server::SERVICE_NAME, error::StatusMapping};
use kernel::{
    metrics::{Counter, Histogram, HistogramSnapshot},
    rpc::{Method, Rpc, Transport},
};

/// Nanoseconds, from 50 µs to 30 s; among them what callers allow: 1.5 s for a look-up, 4 s for an order.
const TIMES: [u64; 19] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    1_500_000_000,
    2_500_000_000,
    4_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// The names of gRPC codes as monitoring tools spell them, in the order of their numbers.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The gRPC health service and its method.
const HEALTH: (&str, &str) = ("grpc.health.v1.Health", "Check");

/// The label of everything that is not a known method.
const OTHER: &str = "other";

/// The target of a call, as far as metrics distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallTarget {
    pub(super) transport: Transport,
    /// `None` for everything else: reflection, streams of health, unknown methods.
    pub(super) method: Option<Method>,
}

impl CallTarget {
    /// The target of a gRPC path.
    pub(super) fn over_grpc(transport: Transport, path: &str) -> Self {
        let named = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let target = |method: &Method| named == Some(names(transport, *method));
        Self {
            transport,
            method: Method::all().find(target),
        }
    }

    /// Its service and its method.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        self.method
            .map_or((OTHER, OTHER), |method| names(self.transport, method))
    }

    /// The values of its labels: transport, type, service, method.
    fn labels(self) -> [&'static str; 4] {
        let (service, method) = self.names();
        let kind = match self.method {
            Some(method) if method.is_streamed() => "server_stream",
            Some(_) => "unary",
            None => OTHER,
        };
        [self.transport.name(), kind, service, method]
    }
}

fn names(transport: Transport, method: Method) -> (&'static str, &'static str) {
    match (transport, method) {
        (Transport::Grpc | Transport::GrpcWeb, Method::Booking(Rpc::HealthCheck)) => HEALTH,
        (_, Method::Booking(rpc)) => (SERVICE_NAME, rpc.name()),
        (_, Method::Operator(rpc)) => (rpc.service(), rpc.name()),
    }
}

/// The counters of all calls.
#[derive(Debug)]
pub(in crate::server) struct CallMetrics {
    /// For each transport one line per method, and one for everything else.
    lines: [[Line; Method::COUNT + 1]; Transport::ALL.len()],
    rejections: Mutex<BTreeMap<(Transport, String), u64>>,
}

/// The counters of one method over one transport.
#[derive(Debug)]
pub(in crate::server) struct Line {
    target: CallTarget,
    begun: Counter,
    ended: [Counter; CODES.len()],
    times: Histogram<19>,
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) code: Code,
    /// The reason in the table of errors, if it was rejected by that.
    pub(super) reason: Option<String>,
}

impl Outcome {
    pub(super) const ANSWERED: Self = Self {
        code: Code::Ok,
        reason: None,
    };

    pub(super) const CANCELLED: Self = Self {
        code: Code::Cancelled,
        reason: None,
    };

    /// That of an error.
    pub(super) fn rejected(mapping: StatusMapping) -> Self {
        Self {
            code: mapping.grpc,
            reason: Some(mapping.reason.to_owned()),
        }
    }

    /// The name of its status.
    pub(super) fn code_name(&self) -> &'static str {
        // Cannot be out of range: the table has every code, in the order of the numbers.
        CODES[self.code as usize]
    }
}

impl Default for CallMetrics {
    fn default() -> Self {
        let lines = Transport::ALL.map(|transport| {
            std::array::from_fn(|at| {
                Line::new(CallTarget {
                    transport,
                    method: Method::all().nth(at),
                })
            })
        });
        Self {
            lines,
            rejections: Mutex::default(),
        }
    }
}

impl CallMetrics {
    /// Counts the start of a call.
    pub(super) fn begin(&self, target: CallTarget) -> CallTimer {
        self.line(target).begun.inc();
        CallTimer {
            target,
            begun: Instant::now(),
        }
    }

    /// Counts the end of a call, and returns its duration.
    pub(super) fn end(&self, call: &CallTimer, outcome: &Outcome) -> Duration {
        let time = call.begun.elapsed();
        let line = self.line(call.target);
        line.ended[outcome.code as usize].inc();
        line.times.add_time(time);
        if let Some(reason) = &outcome.reason {
            // Reasons come from the table of errors and never from callers, so the map stays small.
            let counted = (call.target.transport, reason.clone());
            *self.rejections_so_far().entry(counted).or_default() += 1;
        }
        time
    }

    fn line(&self, target: CallTarget) -> &Line {
        // The line after the last method counts everything else.
        let at = target.method.map_or(Method::COUNT, Method::index);
        // An array and no map: counting a call takes no lock and hashes nothing.
        &self.lines[target.transport as usize][at]
    }

    /// The counters of every method over every transport.
    pub(in crate::server) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().flatten()
    }

    /// Rejections by transport and reason.
    pub(in crate::server) fn rejections(&self) -> BTreeMap<(Transport, String), u64> {
        self.rejections_so_far().clone()
    }

    /// Number of calls in flight.
    pub(in crate::server) fn in_flight(&self) -> u64 {
        // `ended` is read first: the other way round, calls that start and end between the two
        // reads would make the difference negative.
        let ended: u64 = self
            .lines()
            .flat_map(|line| &line.ended)
            .map(Counter::get)
            .sum();
        let begun: u64 = self.lines().map(|line| line.begun.get()).sum();
        begun.saturating_sub(ended)
    }

    fn rejections_so_far(&self) -> MutexGuard<'_, BTreeMap<(Transport, String), u64>> {
        self.rejections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new(target: CallTarget) -> Self {
        let ended = std::array::from_fn(|_| Counter::default());
        Self {
            target,
            begun: Counter::default(),
            ended,
            times: Histogram::new(&TIMES),
        }
    }

    pub(in crate::server) fn labels(&self) -> [&'static str; 4] {
        self.target.labels()
    }

    pub(in crate::server) fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// Finished calls by the name of their status: successes always, others if there were any.
    pub(in crate::server) fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = CODES
            .iter()
            .zip(&self.ended)
            .map(|(code, count)| (*code, count.get()));
        counted.filter(|&(code, count)| code == CODES[0] || count > 0)
    }

    pub(in crate::server) fn times(&self) -> HistogramSnapshot {
        self.times.read()
    }
}

/// A call in flight.
#[derive(Debug)]
pub(super) struct CallTimer {
    pub(super) target: CallTarget,
    begun: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::rpc::OperatorRpc;

    #[test]
    fn paths_of_grpc_are_methods_by_their_exact_names() {
        for (path, expected) in [
            (
                "/ext.maps.booking.partner.v3.BookingService/CreateOrder",
                Some(Method::Booking(Rpc::CreateOrder)),
            ),
            (
                "/ext.maps.booking.partner.v3.BookingService/createorder",
                None,
            ),
            (
                "/ext.maps.booking.partner.v3.BookingService/HealthCheck",
                None,
            ),
            (
                "/grpc.health.v1.Health/Check",
                Some(Method::Booking(Rpc::HealthCheck)),
            ),
            (
                "/boxoffice.operator.v1.SlotService/ListDoor",
                Some(Method::Operator(OperatorRpc::ListDoor)),
            ),
            ("/boxoffice.operator.v1.OrderService/ListDoor", None),
            ("/grpc.health.v1.Health/Watch", None),
            ("/CreateOrder", None),
            ("*", None),
        ] {
            assert_eq!(
                CallTarget::over_grpc(Transport::Grpc, path).method,
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn every_method_has_its_own_line() {
        let metrics = CallMetrics::default();
        for transport in Transport::ALL {
            for method in Method::all().map(Some).chain([None]) {
                let target = CallTarget { transport, method };
                metrics.begin(target);
                assert_eq!(metrics.line(target).target, target);
            }
        }
        let lines = Transport::ALL.len() * (Method::COUNT + 1);
        assert_eq!(metrics.in_flight(), u64::try_from(lines).unwrap());
    }

    #[test]
    fn codes_have_the_names_of_their_numbers() {
        for (number, name) in (0..).zip(CODES) {
            let code = format!("{:?}", Code::from_i32(number)).replace("Cancelled", "Canceled");
            assert!(code.eq_ignore_ascii_case(name), "{code} {name}");
        }
    }
}
