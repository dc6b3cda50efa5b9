//! Checksums of the log. They are seeded with the store's secret and with the place of what they cover, so that bytes of
//! another place, of another store, or of a caller never pass for those that belong there.

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::planted::{PlantedFault, is_planted};

/// The hash of a frame, which the next frame repeats: a chain in which none can be missing or exchanged.
pub(crate) type ChainHash = [u8; 16];

/// The seed of all checksums of a store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreSeed(u64);

impl std::fmt::Debug for StoreSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreSeed(withheld)")
    }
}

impl StoreSeed {
    /// The seed of the store with this secret.
    pub(crate) fn of_secret(secret: &[u8; 32]) -> Self {
        Self(xxh3_64_with_seed(secret, 0))
    }

    /// The seed itself, for checksums that belong to no place in a segment.
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// The seed for what stands at `offset` of a segment.
    pub(crate) fn at(self, segment: u64, offset: u64) -> u64 {
        if is_planted(PlantedFault::PlaceNotInSeed) {
            return self.0;
        }
        let mut place = [0; 16];
        place[..8].copy_from_slice(&segment.to_le_bytes());
        place[8..].copy_from_slice(&offset.to_le_bytes());
        xxh3_64_with_seed(&place, self.0)
    }
}

/// A checksum of one piece.
pub(crate) fn sum(bytes: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}

/// A hash of several pieces, one after the other.
#[derive(Clone)]
pub(crate) struct PieceHasher(Xxh3);

impl PieceHasher {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xxh3::with_seed(seed))
    }

    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(&self) -> ChainHash {
        self.0.digest128().to_le_bytes()
    }
}

impl std::fmt::Debug for PieceHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PieceHasher")
    }
}
