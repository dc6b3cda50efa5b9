//! The content of a simulated file: what reads see, and what a power failure leaves of it.

use std::{collections::BTreeMap, sync::Arc};

/// What a device writes as a whole or not at all.
pub(super) const SECTOR: usize = 512;

/// Sectors of a block, which a kernel writes at once.
const BLOCK_SECTORS: usize = 8;

/// How much of what was not synced is left.
#[derive(Debug, Clone, Copy)]
pub(super) enum Survival {
    Nothing,
    Everything,
    /// Of every so many sectors some version since the last sync.
    Torn {
        sectors: usize,
    },
}

impl Survival {
    /// The extremes often: most faults of a log show where everything is lost, or nothing.
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        match random.u8(0..4) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 => Self::Torn { sectors: 1 },
            _ => Self::Torn {
                sectors: BLOCK_SECTORS,
            },
        }
    }

    /// How many of so many changes one unit has seen.
    pub(super) fn of(self, changes: usize, random: &mut fastrand::Rng) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Everything => changes,
            Self::Torn { .. } => random.usize(0..=changes),
        }
    }

    fn unit(self, sector: usize) -> usize {
        match self {
            Self::Nothing | Self::Everything => 0,
            Self::Torn { sectors } => sector / sectors,
        }
    }
}

/// The content of a file, twice.
#[derive(Debug, Default)]
pub(super) struct SimulatedContent {
    /// In the page cache.
    cached: Vec<u8>,
    /// On the medium.
    durable: Vec<u8>,
    /// Changes since the last sync, in their order.
    pending: Vec<PendingChange>,
    /// Every open file holds it.
    open: Arc<()>,
}

#[derive(Debug)]
enum PendingChange {
    Write(DirtySectors),
    Truncate,
}

/// Whole sectors as a write has left them, together with the bytes beside its own. The last one ends where the file does.
#[derive(Debug)]
pub(super) struct DirtySectors {
    first: usize,
    bytes: Vec<u8>,
    /// Length of the file after the write.
    length: usize,
}

impl DirtySectors {
    fn sectors(&self) -> impl Iterator<Item = (usize, &[u8])> {
        (self.first..).zip(self.bytes.chunks(SECTOR))
    }
}

impl SimulatedContent {
    pub(super) fn opened(&self) -> Arc<()> {
        Arc::clone(&self.open)
    }

    pub(super) fn is_open(&self) -> bool {
        Arc::strong_count(&self.open) > 1
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        let dirty = self.write_cached(bytes, offset);
        self.pending.push(PendingChange::Write(dirty));
    }

    /// Writes into the page cache only: the sectors go astray. The length is that of the file system and reaches the
    /// medium all the same.
    pub(super) fn write_astray(&mut self, bytes: &[u8], offset: usize) -> DirtySectors {
        let dirty = self.write_cached(bytes, offset);
        self.pending.push(PendingChange::Write(DirtySectors {
            bytes: Vec::new(),
            ..dirty
        }));
        dirty
    }

    fn write_cached(&mut self, bytes: &[u8], offset: usize) -> DirtySectors {
        let end = offset + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        let (first, last) = (offset / SECTOR, end.div_ceil(SECTOR));
        let whole = first * SECTOR..self.cached.len().min(last * SECTOR);
        DirtySectors {
            first,
            bytes: self.cached[whole].to_vec(),
            length: self.cached.len(),
        }
    }

    /// Sectors of another write land here, on the medium only, as far as the file reaches.
    pub(super) fn receive(&mut self, astray: &DirtySectors, first: usize) {
        let start = self.durable.len().min(first * SECTOR);
        let room = &mut self.durable[start..];
        let count = room.len().min(astray.bytes.len());
        room[..count].copy_from_slice(&astray.bytes[..count]);
    }

    pub(super) fn truncate(&mut self) {
        self.cached.clear();
        self.pending.push(PendingChange::Truncate);
    }

    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        for bytes in [&mut self.cached, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= mask;
            }
        }
    }

    /// Carries out the pending changes as far as they survive, and forgets the rest. Reads see no difference yet.
    pub(super) fn persist(&mut self, survival: Survival, random: &mut fastrand::Rng) {
        let survived = survival.of(self.pending.len(), random);
        // A truncation takes effect as a whole: of a file that was emptied and written anew, old and new sectors
        // are never mixed.
        let is_truncation = |change: &PendingChange| matches!(change, PendingChange::Truncate);
        let truncation = self.pending[..survived].iter().rposition(is_truncation);
        let first = truncation.map_or(0, |index| index + 1);
        if truncation.is_some() {
            self.durable.clear();
        }
        let mut length = self.durable.len();
        let writes: Vec<_> = self
            .pending
            .drain(..)
            .skip(first)
            .map_while(|change| match change {
                PendingChange::Write(dirty) => Some(dirty),
                PendingChange::Truncate => None,
            })
            .collect();
        let mut seen = BTreeMap::new();
        for (index, write) in writes.iter().enumerate() {
            if first + index < survived {
                length = write.length;
            }
            for (sector, bytes) in write.sectors() {
                let seen = seen
                    .entry(survival.unit(sector))
                    .or_insert_with(|| survival.of(writes.len(), random));
                if index < *seen {
                    put(&mut self.durable, sector * SECTOR, bytes);
                }
            }
        }
        // The length is chosen for itself: what was written behind it is lost, and what is missing before it is zero.
        self.durable.resize(length, 0);
    }

    /// Forgets the page cache. Pending changes stay.
    pub(super) fn drop_cache(&mut self) {
        self.cached.clone_from(&self.durable);
        for change in &self.pending {
            match change {
                PendingChange::Truncate => self.cached.clear(),
                PendingChange::Write(dirty) => {
                    put(&mut self.cached, dirty.first * SECTOR, &dirty.bytes);
                    self.cached.resize(dirty.length, 0);
                }
            }
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}
