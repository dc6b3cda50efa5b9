//! gRPC health: serving only while orders can be created and no shutdown has begun.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, future, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use crate::{
    api::{booking::proto::v3::booking_service_server::SERVICE_NAME, error::ApiError},
    net::Phase,
};
use store::StoreHealth;

/// The server as a whole, and the service.
const SERVICES: [&str; 2] = ["", SERVICE_NAME];

/// The readiness of the server, from its phase and its store.
#[derive(Debug, Clone)]
pub(super) struct Readiness {
    phase: watch::Receiver<Phase>,
    store: watch::Receiver<StoreHealth>,
}

impl Readiness {
    pub(super) fn new(phase: watch::Receiver<Phase>, store: watch::Receiver<StoreHealth>) -> Self {
        Self { phase, store }
    }

    /// Whether the process is live: only a restart helps a store that has failed, and none helps one that is unavailable.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(*self.store.borrow(), StoreHealth::Failed(_))
    }

    /// Whether orders can be recorded.
    pub(super) fn can_record(&self) -> bool {
        self.store.borrow().is_ready()
    }

    /// Whether it is ready to take orders.
    pub(super) fn is_ready(&self) -> bool {
        self.can_record() && *self.phase.borrow() == Phase::Serving
    }
}

/// Publishes health over gRPC; clones share one state.
#[derive(Debug, Clone)]
pub(super) struct HealthReporter {
    /// The status of every known service; `None` once all watchers are to end.
    status: watch::Sender<Option<ServingStatus>>,
}

impl HealthReporter {
    pub(super) fn new() -> Self {
        Self {
            status: watch::Sender::new(Some(ServingStatus::NotServing)),
        }
    }

    /// The gRPC service that reports it.
    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService {
            status: self.status.subscribe(),
        })
    }

    /// Sets the status from the readiness.
    pub(super) fn announce(&self, readiness: &Readiness) {
        let status = if readiness.is_ready() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.set(status);
    }

    /// Sets the status to not serving.
    pub(super) fn withdraw(&self) {
        self.set(ServingStatus::NotServing);
    }

    /// Ends the streams of all watchers, which would otherwise keep their connections to the last.
    pub(super) fn end(&self) {
        self.status.send_replace(None);
    }

    /// Sets a status, unless the streams have ended.
    fn set(&self, status: ServingStatus) {
        self.status.send_if_modified(|current| match current {
            // Watchers wake only when the status differs: repeated reports cost them nothing.
            Some(current) => std::mem::replace(current, status) != status,
            None => false,
        });
    }
}

/// Sets the status whenever the health of the store changes, until the server stops.
pub(super) async fn follow(reporter: HealthReporter, readiness: Readiness) {
    let (mut store, mut phase) = (readiness.store.clone(), readiness.phase.clone());
    loop {
        reporter.announce(&readiness);
        tokio::select! {
            // An error means that the store is gone, and nothing changes any more.
            changed = store.changed() => if changed.is_err() { return },
            _ = phase.wait_for(|phase| *phase == Phase::Stopped) => return,
        }
    }
}

/// `grpc.health.v1.Health`. As the protocol demands, `Check` of an unknown service fails, while
/// `Watch` reports it and stays open.
#[derive(Debug, Clone)]
pub(super) struct HealthService {
    status: watch::Receiver<Option<ServingStatus>>,
}

/// The stream of a watcher.
type HealthUpdates = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_service(&request) {
            return Err(ApiError::UnknownService.into());
        }
        let status = self.status.borrow().unwrap_or(ServingStatus::NotServing);
        Ok(Response::new(response(status)))
    }

    type WatchStream = HealthUpdates;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthUpdates>, Status> {
        let status = self.status.clone();
        let watch: HealthUpdates = if is_service(&request) {
            Box::pin(changes(status))
        } else {
            Box::pin(unknown(status))
        };
        Ok(Response::new(watch))
    }
}

/// The present status, and then every change.
fn changes(
    status: watch::Receiver<Option<ServingStatus>>,
) -> impl Stream<Item = Result<HealthCheckResponse, Status>> {
    stream::unfold((status, None), async |(mut status, last)| {
        let next = *status
            .wait_for(|current| *current != last || current.is_none())
            .await
            .ok()?;
        // The end may follow a change so closely that the watcher sees only the end.
        let last_change =
            (last != Some(ServingStatus::NotServing)).then_some(ServingStatus::NotServing);
        let next = next.or(last_change)?;
        Some((Ok(response(next)), (status, Some(next))))
    })
}

/// Reports an unknown service once, and then stays open until the end.
fn unknown(
    mut status: watch::Receiver<Option<ServingStatus>>,
) -> impl Stream<Item = Result<HealthCheckResponse, Status>> {
    let end = async move {
        // An error means that the reporter is gone, which is the end as well.
        let _ = status.wait_for(Option::is_none).await;
    };
    let first = stream::once(future::ready(Ok(response(ServingStatus::ServiceUnknown))));
    first.chain(stream::once(end).filter_map(|()| future::ready(None)))
}

fn is_service(request: &Request<HealthCheckRequest>) -> bool {
    SERVICES.contains(&request.get_ref().service.as_str())
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
