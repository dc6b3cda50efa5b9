//! Health: serving only while orders can be taken, and no longer once the server goes down.

use tokio::sync::watch;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::Phase;
use crate::{store::StoreState, wire::proto::v3::booking_service_server::SERVICE_NAME};

/// The server as a whole, and the service.
const SERVICES: [&str; 2] = ["", SERVICE_NAME];

/// How the server stands at any moment.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    phase: watch::Receiver<Phase>,
    store: watch::Receiver<StoreState>,
}

impl Standing {
    pub(super) fn new(phase: watch::Receiver<Phase>, store: watch::Receiver<StoreState>) -> Self {
        Self { phase, store }
    }

    /// Whether anything but a restart is of use.
    pub(super) fn is_alive(&self) -> bool {
        *self.store.borrow() == StoreState::Open
    }

    /// Whether it wants to be given orders.
    pub(super) fn takes_orders(&self) -> bool {
        self.is_alive() && *self.phase.borrow() == Phase::Serving
    }
}

/// Says how the server stands, as a whole and for the service.
pub(super) async fn announce(health: &HealthReporter, standing: &Standing) {
    let status = if standing.takes_orders() { ServingStatus::Serving } else { ServingStatus::NotServing };
    report(health, status).await;
}

/// Says that the server goes down.
pub(super) async fn withdraw(health: &HealthReporter) {
    report(health, ServingStatus::NotServing).await;
}

/// Ends what is told to those who watch, who would otherwise keep their connections to the last.
pub(super) async fn end(mut health: HealthReporter) {
    for service in SERVICES {
        health.clear_service_status(service).await;
    }
}

/// Withdraws when the store fails. There is no way back but a restart.
pub(super) async fn follow(
    health: HealthReporter,
    mut state: watch::Receiver<StoreState>,
    mut phase: watch::Receiver<Phase>,
) {
    let failed = tokio::select! {
        failed = state.wait_for(|state| *state != StoreState::Open) => failed.is_ok(),
        _ = phase.wait_for(|phase| *phase == Phase::Over) => false,
    };
    if failed {
        withdraw(&health).await;
    }
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}
