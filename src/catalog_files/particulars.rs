//! What openings have besides their slots and spots, each once.

use indexmap::IndexSet;

use crate::domain::{order::EpochSeconds, slot::ParticularsIx};

/// What an element of the availability feed says that rules take no interest in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Particulars {
    /// Members of the element, as an object.
    pub(super) members: Box<str>,
    /// Until how long before the start a booking can be cancelled online; negative for after it.
    pub(super) cancellable_sec: Option<EpochSeconds>,
}

/// Gives equal particulars one index.
#[derive(Debug, Default)]
pub(super) struct Gathered(IndexSet<Particulars>);

impl Gathered {
    pub(super) fn index(&mut self, particulars: Particulars) -> ParticularsIx {
        let (ix, _) = self.0.insert_full(particulars);
        ParticularsIx(u32::try_from(ix).unwrap_or(u32::MAX))
    }

    /// All of them, in the order of their indexes.
    pub(super) fn into_list(self) -> Vec<Particulars> {
        self.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_particulars_share_an_index() {
        let particulars = |members: &str, cancellable_sec| Particulars {
            members: members.into(),
            cancellable_sec,
        };
        let mut gathered = Gathered::default();
        let given = [
            ("{}", None),
            ("{}", Some(0)),
            ("{\"a\":1}", None),
            ("{}", Some(0)),
            ("{}", None),
        ];
        let indexes = given.map(|(members, sec)| gathered.index(particulars(members, sec)).0);
        assert_eq!(indexes, [0, 1, 2, 1, 0]);
        let list = gathered.into_list();
        assert_eq!(
            list,
            [("{}", None), ("{}", Some(0)), ("{\"a\":1}", None)]
                .map(|(it, sec)| particulars(it, sec))
        );
    }
}
