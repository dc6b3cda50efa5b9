//! The operator's services over REST: a table of routes, JSON over HTTP.

use std::{error::Error, fmt, sync::Arc};

use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Bytes};
use percent_encoding::percent_decode_str;
use tonic::body::Body;

use super::{
    dispatch::{CallAnswer, EncodedRequest, OperatorDispatcher},
    query::JsonRequest,
};
use crate::{
    api::{
        booking::rest::{self, OPENAPI_PATH, steps},
        error::ApiError,
        responses::Encoding,
    },
    net::request_bodies::{ReadOptions, RequestBodies},
};
use kernel::rpc::OperatorRpc;

/// The description of the interface.
pub const OPENAPI: &str = include_str!("../../../docs/openapi/operator.json");

/// A route of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Where the message comes from.
    pub source: Source,
    /// The segments of its path. Those in braces stand for ids; the name of what is asked for ends with the last of them.
    pub path: &'static str,
    /// The method that it leads to.
    pub rpc: OperatorRpc,
    /// The name of the method's request.
    pub request: &'static str,
    /// The field that the name in the path goes to.
    pub name_field: Option<&'static str>,
}

/// Where the message of a route comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The query of a GET.
    Query,
    /// The body of a POST.
    Body,
}

/// All routes.
pub const ROUTES: [Route; 30] = [
    Route {
        source: Source::Query,
        path: "operator/v1/orders",
        rpc: OperatorRpc::SearchOrders,
        request: "SearchOrdersRequest",
        name_field: None,
    },
    Route {
        source: Source::Body,
        path: "operator/v1/orders:search",
        rpc: OperatorRpc::SearchOrders,
        request: "SearchOrdersRequest",
        name_field: None,
    },
    Route {
        source: Source::Query,
        path: "operator/v1/orders/{order}",
        rpc: OperatorRpc::GetOrder,
        request: "GetOrderRequest",
        name_field: Some("name"),
    },
    Route {
        source: Source::Query,
        path: "operator/v1/orders/{order}:watch",
        rpc: OperatorRpc::WatchOrder,
        request: "WatchOrderRequest",
        name_field: Some("name"),
    },
    Route {
        source: Source::Query,
        path: "operator/v1/orders/{order}/history",
        rpc: OperatorRpc::ListHistory,
        request: "ListHistoryRequest",
        name_field: Some("parent"),
    },
    Route {
        source: Source::Query,
        path: "operator/v1/slots",
        rpc: OperatorRpc::ListSlots,
        request: "ListSlotsRequest",
        name_field: None,
    },
    Route {
        source: Source::Query,
        path: "operator/v1/door",
        rpc: OperatorRpc::ListDoor,
        request: "ListDoorRequest",
        name_field: None,
    },
    Route {
        source: Source::Query,
        path: "operator/v1/blocks",
        rpc: OperatorRpc::ListBlocks,
        request: "ListBlocksRequest",
        name_field: None,
    },
    Route {
        source: Source::Query,
        path: "operator/v1/steps",
        rpc: OperatorRpc::ListSteps,
        request: "ListStepsRequest",
        name_field: None,
    },
    Route {
        source: Source::Query,
        path: "operator/v1/lifecycle",
        rpc: OperatorRpc::DescribeLifecycle,
        request: "DescribeLifecycleRequest",
        name_field: None,
    },
    Route {
        source: Source::Query,
        path: "operator/v1/lifecycle/revisions",
        rpc: OperatorRpc::ListRevisions,
        request: "ListRevisionsRequest",
        name_field: None,
    },
    Route {
        source: Source::Query,
        path: "operator/v1/lifecycle/draft",
        rpc: OperatorRpc::GetDraft,
        request: "GetDraftRequest",
        name_field: None,
    },
    write(
        "operator/v1/lifecycle/draft:put",
        OperatorRpc::PutDraft,
        "PutDraftRequest",
        None,
    ),
    write(
        "operator/v1/lifecycle/draft:discard",
        OperatorRpc::DiscardDraft,
        "DiscardDraftRequest",
        None,
    ),
    write(
        "operator/v1/lifecycle/draft:publish",
        OperatorRpc::PublishDraft,
        "PublishDraftRequest",
        None,
    ),
    write(
        "operator/v1/slots:block",
        OperatorRpc::SetBlock,
        "SetBlockRequest",
        None,
    ),
    Route {
        source: Source::Query,
        path: "operator/v1/stats",
        rpc: OperatorRpc::GetStats,
        request: "GetStatsRequest",
        name_field: None,
    },
    write(
        "operator/v1/orders:withdraw",
        OperatorRpc::WithdrawItems,
        "WithdrawItemsRequest",
        None,
    ),
    write(
        "operator/v1/orders/{order}:cancel",
        OperatorRpc::CancelOrder,
        "CancelOrderRequest",
        Some("name"),
    ),
    write(
        "operator/v1/orders/{order}:refund",
        OperatorRpc::RefundItems,
        "RefundItemsRequest",
        Some("name"),
    ),
    write(
        "operator/v1/orders/{order}:customerAction",
        OperatorRpc::CustomerAction,
        "CustomerActionRequest",
        Some("name"),
    ),
    write(
        "operator/v1/orders/{order}:confirm",
        OperatorRpc::ConfirmItems,
        "ConfirmItemsRequest",
        Some("name"),
    ),
    write(
        "operator/v1/orders/{order}:noShow",
        OperatorRpc::MarkNoShow,
        "MarkNoShowRequest",
        Some("name"),
    ),
    write(
        "operator/v1/orders/{order}:addNote",
        OperatorRpc::AddNote,
        "AddNoteRequest",
        Some("name"),
    ),
    write(
        "operator/v1/orders/{order}:changeState",
        OperatorRpc::ChangeState,
        "ChangeStateRequest",
        Some("name"),
    ),
    write(
        "operator/v1/orders/{order}/{part}/{index}:changeState",
        OperatorRpc::ChangeState,
        "ChangeStateRequest",
        Some("name"),
    ),
    write(
        "operator/v1/orders/{order}/steps/{step}:retry",
        OperatorRpc::RetryStep,
        "RetryStepRequest",
        Some("name"),
    ),
    write(
        "operator/v1/orders/{order}/steps/{step}:abandon",
        OperatorRpc::AbandonStep,
        "AbandonStepRequest",
        Some("name"),
    ),
    // In the body and not in the query: proxies log addresses.
    write(
        "operator/v1/customers:export",
        OperatorRpc::ExportCustomer,
        "ExportCustomerRequest",
        None,
    ),
    write(
        "operator/v1/customers:erase",
        OperatorRpc::EraseCustomer,
        "EraseCustomerRequest",
        None,
    ),
];

/// A route whose message is a body.
const fn write(
    path: &'static str,
    rpc: OperatorRpc,
    request: &'static str,
    name_field: Option<&'static str>,
) -> Route {
    Route {
        source: Source::Body,
        path,
        rpc,
        request,
        name_field,
    }
}

impl Route {
    /// The HTTP methods, as `Allow` lists them.
    fn allowed(&self) -> &'static str {
        match self.source {
            // The head of a stream is there with its first message, so nothing would be spared.
            Source::Query if self.rpc.is_streamed() => "GET",
            Source::Query => "GET, HEAD",
            Source::Body => "POST",
        }
    }

    fn takes(&self, method: &Method) -> bool {
        let mut allowed = self.allowed().split(", ");
        allowed.any(|allowed| method == allowed)
    }
}

/// What the paths of all routes begin with.
const VERSION: &str = "operator/v1/";

/// The route of a path, and the name in it, percent-encoded as it came.
#[must_use]
pub fn route_at(path: &str) -> Option<(&'static Route, Option<String>)> {
    for route in &ROUTES {
        if let Some(name) = name_in(path, route.path) {
            return Some((route, (!name.is_empty()).then_some(name)));
        }
    }
    None
}

/// The name in a path, empty where the pattern has none; `None` if the path does not follow the pattern.
fn name_in(path: &str, pattern: &str) -> Option<String> {
    let (mut walked, mut named) = (String::new(), 0);
    let mut asked = steps(path);
    for step in steps(pattern) {
        let asked = asked.next()?;
        let Some((_, after)) = step.split_once('}') else {
            if step != asked {
                return None;
            }
            walked.push_str(asked);
            walked.push('/');
            continue;
        };
        let id = asked.strip_suffix(after)?;
        // A colon ends the name: behind it is what is done.
        if id.is_empty() || id.contains(':') {
            return None;
        }
        walked.push_str(id);
        named = walked.len();
        walked.push('/');
    }
    if asked.next().is_some() {
        return None;
    }
    let name = walked.get(..named)?;
    Some(name.strip_prefix(VERSION).unwrap_or(name).to_owned())
}

/// Serves the operator's methods over REST.
#[derive(Clone)]
pub struct OperatorRest {
    dispatcher: OperatorDispatcher,
    bodies: Arc<RequestBodies>,
    max_request_bytes: usize,
}

impl fmt::Debug for OperatorRest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorRest").finish_non_exhaustive()
    }
}

impl OperatorRest {
    /// A handler whose messages have at most `max_request_bytes`.
    #[must_use]
    pub fn new(
        dispatcher: OperatorDispatcher,
        bodies: Arc<RequestBodies>,
        max_request_bytes: usize,
    ) -> Self {
        Self {
            dispatcher,
            bodies,
            max_request_bytes,
        }
    }

    /// Handles a request; errors become responses.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        // Kept, because the request is consumed before the response is known to need no body.
        let method = request.method().clone();
        let answer = self
            .outcome(request)
            .await
            .unwrap_or_else(|error| rest::error_response(&error));
        rest::answer_to(&method, answer)
    }

    async fn outcome<B>(&self, request: Request<B>) -> Result<Response<Body>, ApiError>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        if request.uri().path() == OPENAPI_PATH {
            return rest::described(request.method(), OPENAPI);
        }
        let found = route_at(request.uri().path());
        let (route, name) = found.ok_or(ApiError::OperatorNotFound)?;
        if !route.takes(request.method()) {
            let allowed = route.allowed();
            return Err(ApiError::MethodNotAllowed { allowed });
        }
        let name = name.as_deref().map(decoded_name).transpose()?;
        let fixed = route.name_field.zip(name);
        let request = match route.source {
            Source::Query => {
                let query = request.uri().query().unwrap_or_default();
                JsonRequest::of_query(route.request, query, fixed)?
            }
            Source::Body => {
                rest::check_headers(request.headers())?;
                let reading = ReadOptions::<ApiError> {
                    max_bytes: self.max_request_bytes,
                    check: |_, _| Ok(()),
                };
                let message = self.bodies.read(request.into_body(), reading).await?;
                JsonRequest::of_body(message, fixed)
            }
        };
        let answer = self
            .dispatcher
            .dispatch(
                route.rpc,
                EncodedRequest::Json(request),
                Encoding::Json,
                None,
            )
            .await?;
        Ok(match answer {
            CallAnswer::Unary(reply) => rest::reply(StatusCode::OK, reply),
            CallAnswer::Stream(reply) => reply.respond(Encoding::Json),
        })
    }
}

/// A name as it is meant.
fn decoded_name(name: &str) -> Result<String, ApiError> {
    let name = percent_decode_str(name).decode_utf8();
    let name = name.map_err(|_| ApiError::OperatorNotFound)?;
    Ok(name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_method() {
        for (path, expected) in [
            (
                "/operator/v1/orders",
                Some((OperatorRpc::SearchOrders, None)),
            ),
            (
                "//operator/v1/orders/",
                Some((OperatorRpc::SearchOrders, None)),
            ),
            (
                "/operator/v1/orders:search",
                Some((OperatorRpc::SearchOrders, None)),
            ),
            (
                "/operator/v1/orders/a",
                Some((OperatorRpc::GetOrder, Some("orders/a"))),
            ),
            (
                "/operator/v1/orders/a:watch",
                Some((OperatorRpc::WatchOrder, Some("orders/a"))),
            ),
            (
                "/operator/v1/orders/a/history",
                Some((OperatorRpc::ListHistory, Some("orders/a"))),
            ),
            ("/operator/v1/slots", Some((OperatorRpc::ListSlots, None))),
            ("/operator/v1/door", Some((OperatorRpc::ListDoor, None))),
            ("/operator/v1/blocks", Some((OperatorRpc::ListBlocks, None))),
            (
                "/operator/v1/slots:block",
                Some((OperatorRpc::SetBlock, None)),
            ),
            (
                "/operator/v1/orders/a:cancel",
                Some((OperatorRpc::CancelOrder, Some("orders/a"))),
            ),
            (
                "/operator/v1/orders/a/items/0:changeState",
                Some((OperatorRpc::ChangeState, Some("orders/a/items/0"))),
            ),
            (
                "/operator/v1/orders/a/steps/1:retry",
                Some((OperatorRpc::RetryStep, Some("orders/a/steps/1"))),
            ),
            (
                "/operator/v1/orders:withdraw",
                Some((OperatorRpc::WithdrawItems, None)),
            ),
            (
                "/operator/v1/lifecycle",
                Some((OperatorRpc::DescribeLifecycle, None)),
            ),
            (
                "/operator/v1/lifecycle/draft",
                Some((OperatorRpc::GetDraft, None)),
            ),
            (
                "/operator/v1/lifecycle/draft:publish",
                Some((OperatorRpc::PublishDraft, None)),
            ),
            ("/operator/v1/lifecycle/drafts", None),
            ("/operator/v1/orders/:cancel", None),
            ("/operator/v1/orders/a:b:cancel", None),
            ("/operator/v1/orders/a:nothing", None),
            ("/operator/v1/orders/a/history/b", None),
            ("/operator/v1/Orders", None),
            ("/operator/v1", None),
            ("/", None),
            ("*", None),
        ] {
            let found = route_at(path);
            let found = found
                .as_ref()
                .map(|(route, name)| (route.rpc, name.as_deref()));
            assert_eq!(found, expected, "{path}");
        }
    }
}
