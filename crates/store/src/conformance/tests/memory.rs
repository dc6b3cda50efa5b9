//! The store in memory: kept by its home, or begun anew each time.

use std::{any::Any, sync::Arc};

use crate::{Store, conformance::StoreHome, memory::MemoryStore};
use domain::time::EpochSeconds;

/// Keeps one store in memory, which so outlives its handles.
#[derive(Default)]
pub(super) struct MemoryHome(Arc<MemoryStore>);

impl StoreHome for MemoryHome {
    fn open(&self) -> Arc<dyn Store> {
        Arc::<MemoryStore>::clone(&self.0)
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn interrupt(&self) -> Option<Box<dyn Any>> {
        Some(Box::new(Outage::of(Arc::clone(&self.0))))
    }
}

/// Opens a store that has nothing of the one before.
pub(super) struct Forgetful;

impl StoreHome for Forgetful {
    fn open(&self) -> Arc<dyn Store> {
        Arc::<MemoryStore>::default()
    }

    fn is_durable(&self) -> bool {
        false
    }
}

/// An outage that ends when it is dropped.
pub(super) struct Outage(Arc<MemoryStore>);

impl Outage {
    pub(super) fn of(store: Arc<MemoryStore>) -> Self {
        store.begin_outage(EpochSeconds::new(1));
        Self(store)
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        self.0.end_outage();
    }
}
