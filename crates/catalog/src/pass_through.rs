//! The pass-through members of openings, each combination once.

use indexmap::IndexSet;

use domain::{slot::PassThroughIx, time::Seconds};

/// The members of an availability entry that no rule needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PassThrough {
    /// Members of the element, as an object.
    pub(super) members: Box<str>,
    /// Time before the start until which a booking can be cancelled online; negative for after it.
    /// Relative, so that occurrences share it.
    pub(super) cancellable_before: Option<Seconds>,
}

/// Gives equal pass-through members one index.
#[derive(Debug, Default)]
pub(super) struct PassThroughInterner(IndexSet<PassThrough>);

impl PassThroughInterner {
    pub(super) fn index(&mut self, pass_through: PassThrough) -> PassThroughIx {
        let (ix, _) = self.0.insert_full(pass_through);
        PassThroughIx(u32::try_from(ix).unwrap_or(u32::MAX))
    }

    /// All combinations, in the order of their indexes.
    pub(super) fn into_list(self) -> Vec<PassThrough> {
        self.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_members_share_an_index() {
        let pass_through = |members: &str, cancellable_sec: Option<i64>| PassThrough {
            members: members.into(),
            cancellable_before: cancellable_sec.map(Seconds::new),
        };
        let mut interner = PassThroughInterner::default();
        let given = [
            ("{}", None),
            ("{}", Some(0)),
            ("{\"a\":1}", None),
            ("{}", Some(0)),
            ("{}", None),
        ];
        let indexes = given.map(|(members, sec)| interner.index(pass_through(members, sec)).0);
        assert_eq!(indexes, [0, 1, 2, 1, 0]);
        let list = interner.into_list();
        assert_eq!(
            list,
            [("{}", None), ("{}", Some(0)), ("{\"a\":1}", None)]
                .map(|(it, sec)| pass_through(it, sec))
        );
    }
}
