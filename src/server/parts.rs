//! The concrete parts of the settings: store, payment gateway, limits and budgets.

use std::{io, path::Path, sync::Arc, time::Duration};

use super::{ServeError, admin, observability::CallMetrics, operator, reload};
use crate::{
    api::{booking::requests::RequestLimits, dispatch::CallLimits, responses::Responses},
    config::{Config, PaymentsChoice, Steps, StoreChoice},
    net::{
        self, ConnectionLimits,
        budgets::Budget,
        request_bodies::{BodyLimits, RequestBodies},
        stalled::StalledResponses,
        workers,
    },
};
use catalog::{self, CatalogSummary, Loaded};
use kernel::{
    blocking,
    clock::{Clock, SystemClock},
    descriptors,
};
use orders::{
    Limits,
    lifecycle::{LifecycleFile, LifecycleSource},
    steps::{RetryPolicy, StepSettings},
};
use payments::{PaymentGateway, simulated::SimulatedGateway};
use store::{
    Store,
    log::{LogStore, OpenError},
    memory::MemoryStore,
};

/// Reads the catalogue on a blocking thread, and summarizes it.
pub(super) async fn load_catalog(config: &Config) -> Result<(Loaded, CatalogSummary), ServeError> {
    let (dir, horizon) = (config.sales.catalog.clone(), limits(config).horizon);
    let load = move || {
        let loaded = catalog::load(&dir)?;
        Ok(reload::summarized(loaded, SystemClock.now_sec(), horizon))
    };
    let loaded = blocking::run(load).await;
    let loaded = loaded.map_err(|error| ServeError::Start(io::Error::other(error)))?;
    loaded.map_err(ServeError::Catalog)
}

/// Where the lifecycle of orders comes from. A file of the settings is read.
///
/// # Errors
/// [`ServeError::Lifecycle`] with every error of the file.
pub fn lifecycle_source(config: &Config) -> Result<LifecycleSource, ServeError> {
    match &config.sales.lifecycle {
        None => Ok(LifecycleSource::Published),
        Some(path) => match LifecycleFile::read(path) {
            Ok(file) => Ok(LifecycleSource::File(file)),
            Err(errors) => Err(ServeError::Lifecycle(errors)),
        },
    }
}

/// How often and how long steps are tried.
pub(super) fn step_settings(config: &Config) -> StepSettings {
    let Steps {
        steps_at_once,
        steps_refund_attempt_timeout,
        steps_refund_first_wait,
        steps_refund_factor,
        steps_refund_longest_wait,
        steps_refund_give_up_after,
        steps_refund_max_attempts,
        steps_payment_attempt_timeout,
        steps_payment_first_wait,
        steps_payment_factor,
        steps_payment_longest_wait,
        steps_payment_give_up_after,
        steps_payment_max_attempts,
        steps_custom_attempt_timeout,
        steps_custom_first_wait,
        steps_custom_factor,
        steps_custom_longest_wait,
        steps_custom_give_up_after,
        steps_custom_max_attempts,
    } = config.steps;
    StepSettings {
        refund: RetryPolicy {
            attempt_timeout: steps_refund_attempt_timeout,
            first_pause: steps_refund_first_wait.into(),
            factor: steps_refund_factor,
            longest_pause: steps_refund_longest_wait.into(),
            gives_up_after: steps_refund_give_up_after.into(),
            max_attempts: steps_refund_max_attempts,
        },
        payment: RetryPolicy {
            attempt_timeout: steps_payment_attempt_timeout,
            first_pause: steps_payment_first_wait.into(),
            factor: steps_payment_factor,
            longest_pause: steps_payment_longest_wait.into(),
            gives_up_after: steps_payment_give_up_after.into(),
            max_attempts: steps_payment_max_attempts,
        },
        custom: RetryPolicy {
            attempt_timeout: steps_custom_attempt_timeout,
            first_pause: steps_custom_first_wait.into(),
            factor: steps_custom_factor,
            longest_pause: steps_custom_longest_wait.into(),
            gives_up_after: steps_custom_give_up_after.into(),
            max_attempts: steps_custom_max_attempts,
        },
        max_steps: steps_at_once,
        // Nothing is delivered yet that would need settings of its own.
        delivery: StepSettings::default().delivery,
    }
}

pub(super) fn gateway(config: &Config) -> Option<Arc<dyn PaymentGateway>> {
    match config.sales.payments {
        PaymentsChoice::Off => None,
        PaymentsChoice::Simulated => {
            tracing::warn!(
                "PAYMENTS ARE SIMULATED: NO MONEY IS TAKEN, AND ORDERS ARE CONFIRMED AS PAID; for trying out only"
            );
            Some(Arc::new(SimulatedGateway::default()))
        }
    }
}

pub(super) fn open_store(config: &Config) -> Result<Arc<dyn Store>, ServeError> {
    match config.storage.store {
        StoreChoice::Embedded => {
            let dir = &config.storage.data_dir;
            // Checked before the store is opened, because opening creates one: an unmounted volume
            // would start empty.
            if config.storage.store_must_exist && !LogStore::is_in(dir) {
                return Err(ServeError::NoStore {
                    dir: dir.clone(),
                    hint: "; to begin one there, start once with --store-must-exist=false",
                });
            }
            let store = LogStore::open(dir, config.storage.commit_batch_max)
                .map_err(ServeError::OpenStore)?;
            Ok(Arc::new(store))
        }
        StoreChoice::Memory => {
            tracing::warn!("orders are kept in memory only and are GONE when this process ends");
            Ok(Arc::new(MemoryStore::default()))
        }
    }
}

/// Opens the embedded store of a server that is stopped, for a command that changes it.
///
/// # Errors
/// [`OpenError`].
pub fn stopped_store(dir: &Path) -> Result<Arc<dyn Store>, OpenError> {
    // One change at a time: nobody else writes.
    Ok(Arc::new(LogStore::open(dir, 1)?))
}

/// The limits of the use cases that the settings ask for.
#[must_use]
pub fn limits(config: &Config) -> Limits {
    Limits {
        payment_timeout: config.sales.payment_timeout,
        max_commands: config.calls.max_in_flight,
        // Saturates: a horizon that long has no end in practice.
        horizon: config.sales.availability_horizon.into(),
    }
}

/// Counters and budgets of requests and responses in flight, shared by all transports.
#[derive(Debug, Clone)]
pub(super) struct CallTraffic {
    pub(super) calls: Arc<CallMetrics>,
    pub(super) bodies: Arc<RequestBodies>,
    pub(super) responses: Arc<Responses>,
    pub(super) stalled: Arc<StalledResponses>,
}

impl CallTraffic {
    pub(super) fn new(config: &Config) -> Self {
        let settings = &config.calls;
        let stalled = Arc::new(StalledResponses::default());
        let budget = Arc::new(Budget::new(settings.max_response_bytes_in_flight));
        let limits = BodyLimits {
            max_bytes_in_flight: settings.max_request_bytes_in_flight,
            // As many as calls: more could not be served anyway.
            max_incomplete: settings.max_in_flight,
            timeout: settings.call_timeout,
        };
        Self {
            calls: Arc::default(),
            bodies: Arc::new(RequestBodies::new(limits)),
            responses: Arc::new(Responses::new(
                budget,
                settings.max_response_bytes,
                Arc::clone(&stalled),
            )),
            stalled,
        }
    }
}

/// The limits of connections of the settings, lowered to what the file descriptors of the process allow.
pub(super) fn connection_limits(config: &Config) -> ConnectionLimits {
    let wanted = config.connections.max_connections;
    let files = descriptors::limit();
    // Each listener may have some closing connections beside its open ones.
    let others = admin::MAX_CONNECTIONS + operator::MAX_CONNECTIONS + 3 * net::CLOSING;
    // The store and the files come first; connections get the descriptors that are left.
    let max =
        descriptors::for_connections(files, wanted, workers::threads(&config.serving) + 4, others);
    if max < wanted {
        tracing::warn!(
            max_connections = wanted,
            connections = max,
            file_descriptors = files,
            "FEWER CONNECTIONS THAN max_connections: this process may open too few files (`ulimit -n`, \
             `LimitNOFILE`) for more, as the store and the catalogue need some; raise that limit or lower \
             max_connections"
        );
    }
    // Half by default: one address, such as that of a proxy gone wrong, cannot keep all others out.
    let half = max.div_ceil(2);
    let max_per_address = config
        .connections
        .max_connections_per_address
        .map_or(half, |most| most.min(max));
    ConnectionLimits {
        max,
        max_per_address,
    }
}

/// Time limit of a call, its message included. Twice the timeout: the time of a call begins when its message is complete,
/// and receiving that may take as long again.
pub(super) fn max_call(config: &Config) -> Duration {
    config.calls.call_timeout.saturating_mul(2)
}

pub(super) fn call_limits(config: &Config) -> CallLimits {
    CallLimits {
        max_in_flight: config.calls.max_in_flight,
        call_timeout: config.calls.call_timeout,
        request: RequestLimits {
            max_items_per_order: config.sales.max_items_per_order,
            max_slots_per_lookup: config.sales.max_slots_per_lookup,
            max_id_bytes: crate::api::booking::requests::MAX_ID_BYTES,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_tried_as_their_settings_say() {
        let mut config = Config::default();
        assert_eq!(step_settings(&config), StepSettings::default());
        config.steps.steps_at_once = 3;
        config.steps.steps_refund_max_attempts = 4;
        config.steps.steps_payment_max_attempts = 5;
        config.steps.steps_custom_max_attempts = 6;
        let settings = step_settings(&config);
        assert_eq!(settings.max_steps, 3);
        let policies = [settings.refund, settings.payment, settings.custom];
        assert_eq!(policies.map(|policy| policy.max_attempts), [4, 5, 6]);
    }
}
