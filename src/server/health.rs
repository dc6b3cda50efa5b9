//! Health: serving only while orders can be taken, and no longer once the server goes down.

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
    store::StoreState,
};

/// The server as a whole, and the service.
const SERVICES: [&str; 2] = ["", SERVICE_NAME];

/// How the server stands at any moment.
#[derive(Debug, Clone)]
pub(super) struct Readiness {
    phase: watch::Receiver<Phase>,
    store: watch::Receiver<StoreState>,
}

impl Readiness {
    pub(super) fn new(phase: watch::Receiver<Phase>, store: watch::Receiver<StoreState>) -> Self {
        Self { phase, store }
    }

    /// Whether anything but a restart is of use.
    pub(super) fn is_alive(&self) -> bool {
        self.store.borrow().is_open()
    }

    /// Whether it wants to be given orders.
    pub(super) fn is_ready(&self) -> bool {
        self.is_alive() && *self.phase.borrow() == Phase::Serving
    }
}

/// What is told of health over gRPC; its clones tell the same.
#[derive(Debug, Clone)]
pub(super) struct HealthReporter {
    /// The status of every service that there is; `None` once nobody is told any more.
    told: watch::Sender<Option<ServingStatus>>,
}

impl HealthReporter {
    pub(super) fn new() -> Self {
        Self {
            told: watch::Sender::new(Some(ServingStatus::NotServing)),
        }
    }

    /// The service that tells it.
    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService {
            told: self.told.subscribe(),
        })
    }

    /// Says how the server stands, as a whole and for the service.
    pub(super) fn announce(&self, readiness: &Readiness) {
        let status = if readiness.is_ready() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.tell(status);
    }

    /// Says that the server goes down.
    pub(super) fn withdraw(&self) {
        self.tell(ServingStatus::NotServing);
    }

    /// Ends what is told to those who watch, who would otherwise keep their connections to the last.
    pub(super) fn end(&self) {
        self.told.send_replace(None);
    }

    /// Tells a status, unless the end has been told.
    fn tell(&self, status: ServingStatus) {
        self.told.send_if_modified(|told| match told {
            Some(told) => std::mem::replace(told, status) != status,
            None => false,
        });
    }
}

/// Withdraws when the store fails. There is no way back but a restart.
pub(super) async fn follow(
    health: HealthReporter,
    mut state: watch::Receiver<StoreState>,
    mut phase: watch::Receiver<Phase>,
) {
    let failed = tokio::select! {
        failed = state.wait_for(|state| !state.is_open()) => failed.is_ok(),
        _ = phase.wait_for(|phase| *phase == Phase::Stopped) => false,
    };
    if failed {
        health.withdraw();
    }
}

/// `grpc.health.v1.Health`: of a service that does not exist, a look says so and ends, while a watch
/// says so and goes on, as the protocol has it.
#[derive(Debug, Clone)]
pub(super) struct HealthService {
    told: watch::Receiver<Option<ServingStatus>>,
}

/// What is told to those who watch.
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
        let told = self.told.borrow().unwrap_or(ServingStatus::NotServing);
        Ok(Response::new(response(told)))
    }

    type WatchStream = HealthUpdates;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthUpdates>, Status> {
        let told = self.told.clone();
        let watch: HealthUpdates = if is_service(&request) {
            Box::pin(changes(told))
        } else {
            Box::pin(unknown(told))
        };
        Ok(Response::new(watch))
    }
}

/// The status as it is, and then each time that it is another.
fn changes(
    told: watch::Receiver<Option<ServingStatus>>,
) -> impl Stream<Item = Result<HealthCheckResponse, Status>> {
    stream::unfold((told, None), async |(mut told, last)| {
        let next = *told
            .wait_for(|told| *told != last || told.is_none())
            .await
            .ok()?;
        // The end may have been told so soon after bad health that only the end is seen.
        let unsaid = (last != Some(ServingStatus::NotServing)).then_some(ServingStatus::NotServing);
        let next = next.or(unsaid)?;
        Some((Ok(response(next)), (told, Some(next))))
    })
}

/// That there is no such service, and nothing more until nobody is told any more.
fn unknown(
    mut told: watch::Receiver<Option<ServingStatus>>,
) -> impl Stream<Item = Result<HealthCheckResponse, Status>> {
    let end = async move {
        let _ = told.wait_for(Option::is_none).await;
    };
    let said = stream::once(future::ready(Ok(response(ServingStatus::ServiceUnknown))));
    said.chain(stream::once(end).filter_map(|()| future::ready(None)))
}

fn is_service(request: &Request<HealthCheckRequest>) -> bool {
    SERVICES.contains(&request.get_ref().service.as_str())
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
