//! Availability tags: only those that rules speak of matter.

use std::collections::HashMap;

use crate::domain::catalog::{ServiceIx, TagIx};

use super::mistakes::{Mistake, Place};

/// The tags that rules speak of, by service.
#[derive(Debug, Default)]
pub(super) struct Tags(HashMap<ServiceIx, Vec<Tag>>);

#[derive(Debug)]
struct Tag {
    name: String,
    /// Whether an entry of the availability feed has it.
    carried: bool,
    /// What to remark if none has.
    otherwise: Mistake,
}

impl Tags {
    /// The index of a tag in rules; one beyond the most there can be is reported.
    pub(super) fn of_rules(&mut self, service: ServiceIx, name: &str, at: &Place<'_>) -> Option<TagIx> {
        let tags = self.0.entry(service).or_default();
        let known = tags.iter().position(|tag| tag.name == name);
        let ix = known.unwrap_or_else(|| {
            let otherwise = at.mistake_of(format!("no availability of the service has the tag {name:?}"));
            tags.push(Tag { name: name.to_owned(), carried: false, otherwise });
            tags.len() - 1
        });
        let ix = u16::try_from(ix).ok().map(TagIx);
        if ix.is_none() {
            at.mistake("is a tag beyond the 65536 that rules of one service can speak of");
        }
        ix
    }

    /// The index of the tag of an entry of the availability feed, if rules speak of it.
    pub(super) fn of_entry(&mut self, service: ServiceIx, name: &str) -> Option<TagIx> {
        let tags = self.0.get_mut(&service)?;
        let ix = tags.iter().position(|tag| tag.name == name)?;
        tags[ix].carried = true;
        u16::try_from(ix).ok().map(TagIx)
    }

    /// Remarks on the tags that no entry has, in the order of the services. They may be misspelt, but
    /// the last slots that had them may also be over.
    pub(super) fn idle(self) -> Vec<Mistake> {
        let mut services: Vec<(ServiceIx, Vec<Tag>)> = self.0.into_iter().collect();
        services.sort_by_key(|&(service, _)| service);
        let tags = services.into_iter().flat_map(|(_, tags)| tags);
        tags.filter(|tag| !tag.carried).map(|tag| tag.otherwise).collect()
    }
}
