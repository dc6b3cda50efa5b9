//! The request that is being served: what it is called, for every line of the log that is about it
//! and for whoever is asked on its behalf.
//!
//! It goes along with the work: whatever runs within [`RequestContext::scope`] finds it, also in a panic,
//! and a task that goes on by itself takes it along with [`carried`].

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use data_encoding::HEXLOWER;

use crate::{rpc::Transport, user::User};

/// The longest id that is taken from a caller.
const MAX_ID_BYTES: usize = 128;

/// A request that is being served.
#[derive(Debug, Clone)]
pub struct RequestContext(Arc<Names>);

#[derive(Debug)]
struct Names {
    id: Box<str>,
    trace_id: Option<Box<str>>,
    origin: OnceLock<Origin>,
}

/// How a request came in and who makes it, known once it has been let in.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The transport.
    pub transport: Transport,
    /// Whose password it carries, where passwords are demanded.
    pub user: Option<Arc<User>>,
    /// The accepted name of its client certificate.
    pub certificate: Option<Arc<str>>,
    /// Where it comes from.
    pub address: IpAddr,
}

tokio::task_local! {
    static CURRENT: Option<RequestContext>;
}

impl RequestContext {
    /// A request by the id that its caller has given it, if that can be used, or by one made here; and
    /// by the id of its trace, if it is traced.
    #[must_use]
    pub fn new(given_id: Option<&[u8]>, trace_id: Option<String>) -> Self {
        let id = given_id.and_then(sane).map_or_else(made, Box::from);
        let trace_id = trace_id.map(String::into_boxed_str);
        Self(Arc::new(Names {
            id,
            trace_id,
            origin: OnceLock::new(),
        }))
    }

    /// The one that the present task serves.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok().flatten()
    }

    /// Its id: visible ASCII without quotes and backslashes, so that no format has to escape it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Notes that the request has been let in; what is noted first counts.
    pub fn set_origin(&self, origin: Origin) {
        let _ = self.0.origin.set(origin);
    }

    /// How it came in; nothing of a request that has not been let in.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.0.origin.get()
    }

    /// The names it goes by in the log, each with its field.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let trace_id = self.0.trace_id.as_deref().map(|id| ("trace_id", id));
        [("request_id", self.id())].into_iter().chain(trace_id)
    }

    /// Does `work` for it.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(Some(self), work)
    }
}

/// The same work, for the request that is served here and now, wherever it is done.
pub fn propagate_context<F: Future>(work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(RequestContext::current(), work)
}

/// An id that can stand in a header and in a log as it is.
fn sane(given: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
    let is_sane = (1..=MAX_ID_BYTES).contains(&given.len()) && given.iter().all(is_plain);
    std::str::from_utf8(given).ok().filter(|_| is_sane)
}

fn made() -> Box<str> {
    HEXLOWER.encode(&fastrand::u128(..).to_ne_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_callers_are_taken_if_they_are_plain_and_short() {
        let longest = "x".repeat(MAX_ID_BYTES);
        for id in ["a", "4bf92f35-77b3/4da6.a3ce=:~", &longest] {
            assert_eq!(RequestContext::new(Some(id.as_bytes()), None).id(), id);
        }
        let too_long = "x".repeat(MAX_ID_BYTES + 1);
        for id in [
            "", " ", "a b", "a\"", "a\\", "a\u{7f}", "é", "a\n", &too_long,
        ] {
            assert_ne!(RequestContext::new(Some(id.as_bytes()), None).id(), id);
        }
    }

    #[test]
    fn ids_are_made_where_none_is_given() {
        let (one, other) = (
            RequestContext::new(None, None),
            RequestContext::new(None, None),
        );
        assert_eq!(one.id().len(), 32);
        assert_ne!(one.id(), other.id());
    }

    #[tokio::test]
    async fn a_request_goes_along_with_its_work_and_with_what_it_leaves_behind() {
        let current = || RequestContext::current().map(|served| served.id().to_owned());
        assert_eq!(current(), None);
        let served = RequestContext::new(Some(b"r-1"), None);
        let (seen, left) = served
            .scope(async move {
                let left = tokio::spawn(propagate_context(async move {
                    tokio::task::yield_now().await;
                    current()
                }));
                (current(), left)
            })
            .await;
        assert_eq!(seen.as_deref(), Some("r-1"));
        assert_eq!(left.await.unwrap().as_deref(), Some("r-1"));
        assert_eq!(
            tokio::spawn(propagate_context(async move { current() }))
                .await
                .unwrap(),
            None
        );
    }
}
