//! Calls, counted: by transport and method, begun and ended, by status, by how long they took, and rejections
//! by reason.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tonic::Code;

use crate::{
    api::booking::proto::v3::booking_service_server::SERVICE_NAME,
    metrics::{Counter, Histogram, HistogramSnapshot},
    rpc::{Rpc, Transport},
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

/// The names of the statuses as monitoring knows them, in the order of their numbers.
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

/// The service that tells health over gRPC.
const HEALTH: (&str, &str) = ("grpc.health.v1.Health", "Check");

/// What is none of the methods that are told apart.
const OTHER: &str = "other";

/// What a call asks for, as far as calls are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallTarget {
    pub(super) transport: Transport,
    /// None for whatever is not one of the methods: reflection, streams of health, what does not exist.
    pub(super) method: Option<Rpc>,
}

impl CallTarget {
    /// What the path of a gRPC request asks for.
    pub(super) fn over_grpc(transport: Transport, path: &str) -> Self {
        let named = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let target = |method: &Rpc| named == Some(names(transport, *method));
        Self {
            transport,
            method: Rpc::ALL.into_iter().find(target),
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
        let kind = if self.method.is_some() {
            "unary"
        } else {
            OTHER
        };
        [self.transport.name(), kind, service, method]
    }
}

fn names(transport: Transport, method: Rpc) -> (&'static str, &'static str) {
    match (transport, method) {
        (Transport::Grpc | Transport::GrpcWeb, Rpc::HealthCheck) => HEALTH,
        (Transport::Grpc | Transport::GrpcWeb | Transport::Rest, _) => {
            (SERVICE_NAME, method.name())
        }
    }
}

/// What is counted of calls.
#[derive(Debug)]
pub(in crate::server) struct CallMetrics {
    /// For each transport one line a method, and one for the rest.
    lines: [[Line; Rpc::ALL.len() + 1]; Transport::ALL.len()],
    rejections: Mutex<BTreeMap<(Transport, String), u64>>,
}

/// What is counted of one method over one transport.
#[derive(Debug)]
pub(in crate::server) struct Line {
    target: CallTarget,
    begun: Counter,
    ended: [Counter; CODES.len()],
    times: Histogram<19>,
}

/// What became of a call.
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

    /// The name of its status.
    pub(super) fn code_name(&self) -> &'static str {
        CODES[self.code as usize]
    }
}

impl Default for CallMetrics {
    fn default() -> Self {
        let lines = Transport::ALL.map(|transport| {
            std::array::from_fn(|at| {
                Line::new(CallTarget {
                    transport,
                    method: Rpc::ALL.get(at).copied(),
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
    /// Counts a call that begins. It ends when it is dropped.
    pub(super) fn begin(&self, target: CallTarget) -> CallTimer<'_> {
        let at = target
            .method
            .map_or(Rpc::ALL.len(), |method| method as usize);
        let line = &self.lines[target.transport as usize][at];
        line.begun.inc();
        CallTimer {
            line,
            metrics: self,
            begun: Instant::now(),
        }
    }

    /// What is counted of every method over every transport.
    pub(in crate::server) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().flatten()
    }

    /// Rejections by transport and reason.
    pub(in crate::server) fn rejections(&self) -> BTreeMap<(Transport, String), u64> {
        self.rejections_so_far().clone()
    }

    /// Calls that have begun and not ended.
    pub(in crate::server) fn in_flight(&self) -> u64 {
        // In this order, because what has ended has begun before.
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

    /// Those that ended, by the name of their status: good ones, and whatever else there was.
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

/// A call at work.
#[derive(Debug)]
pub(super) struct CallTimer<'a> {
    metrics: &'a CallMetrics,
    line: &'a Line,
    begun: Instant,
}

impl CallTimer<'_> {
    /// Counts its end, and gives the time that it took.
    pub(super) fn end(&self, outcome: &Outcome) -> Duration {
        let time = self.begun.elapsed();
        self.line.ended[outcome.code as usize].inc();
        self.line.times.add_time(time);
        if let Some(reason) = &outcome.reason {
            let counted = (self.line.target.transport, reason.clone());
            *self.metrics.rejections_so_far().entry(counted).or_default() += 1;
        }
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_grpc_are_methods_by_their_exact_names() {
        for (path, expected) in [
            (
                "/ext.maps.booking.partner.v3.BookingService/CreateOrder",
                Some(Rpc::CreateOrder),
            ),
            (
                "/ext.maps.booking.partner.v3.BookingService/createorder",
                None,
            ),
            (
                "/ext.maps.booking.partner.v3.BookingService/HealthCheck",
                None,
            ),
            ("/grpc.health.v1.Health/Check", Some(Rpc::HealthCheck)),
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
            for method in Rpc::ALL.into_iter().map(Some).chain([None]) {
                let target = CallTarget { transport, method };
                assert_eq!(metrics.begin(target).line.target, target);
            }
        }
        assert_eq!(metrics.in_flight(), 21);
    }

    #[test]
    fn codes_have_the_names_of_their_numbers() {
        for (number, name) in (0..).zip(CODES) {
            let code = format!("{:?}", Code::from_i32(number)).replace("Cancelled", "Canceled");
            assert!(code.eq_ignore_ascii_case(name), "{code} {name}");
        }
    }
}
