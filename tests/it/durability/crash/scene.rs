//! A fair with its store and what was heard of it, before something happens.

use boxoffice::wire::proto::v3::CreateOrderRequest;

use super::{
    Site,
    counter::Counter,
    fair::Visitor,
    journal::{Entry, Journal},
};
use crate::support::{Transport, copy_dir, paid_with};

pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) journal: Journal,
}

impl Scene {
    /// A new fair, of which one thing is to be asked for.
    pub(super) fn new() -> Self {
        let site = Site::of(1);
        let mut first = Entry::new(Visitor::new(&site.fair, 0, 0, 0).order());
        first.is_open = true;
        Self {
            site,
            journal: Journal {
                entries: vec![first],
                faults: Vec::new(),
            },
        }
    }

    /// The same in another place.
    pub(super) fn copy(&self) -> Self {
        let site = Site::selling(self.site.fair.clone());
        copy_dir(self.site.store.path(), site.store.path());
        Self {
            site,
            journal: self.journal.clone(),
        }
    }

    /// A request of somebody; what it is paid with, if it is.
    pub(super) fn request(&self, visitor: u64, payment_token: &str) -> CreateOrderRequest {
        let request = Visitor::new(&self.site.fair, 0, visitor, visitor).order();
        if payment_token.is_empty() {
            request
        } else {
            paid_with(request, payment_token)
        }
    }

    /// Sends it and notes what is heard.
    pub(super) async fn order(&mut self, counter: &mut Counter, visitor: u64, payment_token: &str) {
        let mut entry = Entry::new(self.request(visitor, payment_token));
        let heard = counter.create(Transport::Grpc, &entry.request).await;
        self.journal.faults.extend(entry.hear(heard));
        self.journal.entries.push(entry);
    }
}
