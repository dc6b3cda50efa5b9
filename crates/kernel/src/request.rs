//! The context of a request: its ids, for log lines and for calls made on its behalf.
//!
//! The context is local to the task. Code within [`RequestContext::scope`] finds it, also in a panic. A
//! detached task takes it along with [`propagate_context`].

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use data_encoding::HEXLOWER;

use crate::{
    rpc::{OperatorRpc, Transport},
    user::User,
};

/// Longest request id that is accepted from a caller, in bytes.
const MAX_ID_BYTES: usize = 128;

/// Bytes of a generated id: two digits for each of 128 bits.
const GENERATED_ID_BYTES: usize = 32;

/// The context of a request. Clones share it.
#[derive(Debug, Clone)]
pub struct RequestContext(Arc<Names>);

#[derive(Debug)]
struct Names {
    id: RequestId,
    trace_id: Option<Box<str>>,
    origin: OnceLock<Origin>,
}

#[derive(Debug)]
enum RequestId {
    Given(Box<str>),
    /// Hexadecimal digits, which take no memory of their own: nearly all callers leave the id to the server.
    Generated([u8; GENERATED_ID_BYTES]),
}

/// The transport and the caller of a request, known once it is authorized.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The transport.
    pub transport: Transport,
    /// The authenticated user, if passwords are required.
    pub user: Option<Arc<User>>,
    /// The accepted name of its client certificate.
    pub certificate: Option<Arc<str>>,
    /// The address of the peer.
    pub address: IpAddr,
    /// The method, if it is one of the operator's services and there is an audit log that names it.
    pub operation: Option<OperatorRpc>,
}

tokio::task_local! {
    static CURRENT: Option<RequestContext>;
}

impl RequestContext {
    /// A request with the caller's id if that is valid, or else a generated one; and with the id of its
    /// trace, if it is traced.
    #[must_use]
    pub fn new(given_id: Option<&[u8]>, trace_id: Option<String>) -> Self {
        let id = given_id
            .and_then(valid_id)
            .map_or_else(RequestId::random, |id| RequestId::Given(id.into()));
        let trace_id = trace_id.map(String::into_boxed_str);
        Self(Arc::new(Names {
            id,
            trace_id,
            origin: OnceLock::new(),
        }))
    }

    /// The context of the current task, if it has one.
    #[must_use]
    pub fn current() -> Option<Self> {
        // Background tasks have no context, and logging must not panic for it.
        CURRENT.try_with(Clone::clone).ok().flatten()
    }

    /// The id: visible ASCII without quotes and backslashes, so that no format has to escape it.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.0.id {
            RequestId::Given(id) => id,
            // Digits are text.
            RequestId::Generated(digits) => std::str::from_utf8(digits).unwrap_or_default(),
        }
    }

    /// Records the origin of an authorized request. The first call counts.
    pub fn set_origin(&self, origin: Origin) {
        // An error only says that the origin is set already, and the first one counts.
        let _ = self.0.origin.set(origin);
    }

    /// The origin; `None` before the request is authorized.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.0.origin.get()
    }

    /// The ids of the request as log fields.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let trace_id = self.0.trace_id.as_deref().map(|id| ("trace_id", id));
        [("request_id", self.id())].into_iter().chain(trace_id)
    }

    /// Runs `work` in this context.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(Some(self), work)
    }
}

/// Runs `work` in the context of the current task, whatever task it is moved to.
pub fn propagate_context<F: Future>(work: F) -> impl Future<Output = F::Output> {
    in_context(RequestContext::current(), work)
}

/// Runs `work` in the context of a request that was kept, or in none.
pub fn in_context<F: Future>(
    context: Option<RequestContext>,
    work: F,
) -> impl Future<Output = F::Output> {
    CURRENT.scope(context, work)
}

/// The id as text, if it can stand unescaped in headers and logs.
fn valid_id(given: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
    let is_valid = (1..=MAX_ID_BYTES).contains(&given.len()) && given.iter().all(is_plain);
    std::str::from_utf8(given).ok().filter(|_| is_valid)
}

impl RequestId {
    fn random() -> Self {
        // Not a secret: an id only has to be unique, so a fast generator is enough.
        let random = fastrand::u128(..).to_ne_bytes();
        let mut digits = [0; GENERATED_ID_BYTES];
        HEXLOWER.encode_mut(&random, &mut digits);
        Self::Generated(digits)
    }
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
    fn ids_are_generated_if_none_is_given() {
        let (one, other) = (
            RequestContext::new(None, None),
            RequestContext::new(None, None),
        );
        assert_eq!(one.id().len(), 32);
        assert_ne!(one.id(), other.id());
    }

    #[tokio::test]
    async fn the_context_follows_the_work_and_its_detached_tasks() {
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
