//! The operator's services over REST: a table of routes, JSON over HTTP.

use std::{error::Error, fmt, sync::Arc};

use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Bytes};
use percent_encoding::percent_decode_str;
use tonic::body::Body;

use super::{
    dispatch::{EncodedRequest, OperatorDispatcher},
    query,
    requests::ORDERS,
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
    /// The segments of its path; `{order}` stands for the id of an order.
    pub path: &'static str,
    /// The method that it leads to.
    pub rpc: OperatorRpc,
    /// The name of the method's request.
    pub request: &'static str,
    /// The field that the id of the order goes to.
    pub order_field: Option<&'static str>,
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
pub const ROUTES: [Route; 6] = [
    Route {
        source: Source::Query,
        path: "operator/v1/orders",
        rpc: OperatorRpc::SearchOrders,
        request: "SearchOrdersRequest",
        order_field: None,
    },
    Route {
        source: Source::Body,
        path: "operator/v1/orders:search",
        rpc: OperatorRpc::SearchOrders,
        request: "SearchOrdersRequest",
        order_field: None,
    },
    Route {
        source: Source::Query,
        path: "operator/v1/orders/{order}",
        rpc: OperatorRpc::GetOrder,
        request: "GetOrderRequest",
        order_field: Some("name"),
    },
    Route {
        source: Source::Query,
        path: "operator/v1/orders/{order}/history",
        rpc: OperatorRpc::ListHistory,
        request: "ListHistoryRequest",
        order_field: Some("parent"),
    },
    Route {
        source: Source::Query,
        path: "operator/v1/slots",
        rpc: OperatorRpc::ListSlots,
        request: "ListSlotsRequest",
        order_field: None,
    },
    Route {
        source: Source::Query,
        path: "operator/v1/door",
        rpc: OperatorRpc::ListDoor,
        request: "ListDoorRequest",
        order_field: None,
    },
];

impl Source {
    /// The HTTP methods, as `Allow` lists them.
    const fn allowed(self) -> &'static str {
        match self {
            Self::Query => "GET, HEAD",
            Self::Body => "POST",
        }
    }

    fn takes(self, method: &Method) -> bool {
        match self {
            Self::Query => [Method::GET, Method::HEAD].contains(method),
            Self::Body => *method == Method::POST,
        }
    }
}

/// The route of a path, and the id of the order in it.
#[must_use]
pub fn route_at(path: &str) -> Option<(&'static Route, Option<&str>)> {
    let mut order = None;
    let route = ROUTES.iter().find(|route| {
        order = None;
        let mut asked = steps(path);
        for step in steps(route.path) {
            let Some(asked) = asked.next() else {
                return false;
            };
            if step == "{order}" {
                order = Some(asked);
            } else if step != asked {
                return false;
            }
        }
        asked.next().is_none()
    });
    Some((route?, order))
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
        let (route, order) = found.ok_or(ApiError::OperatorNotFound)?;
        if !route.source.takes(request.method()) {
            let allowed = route.source.allowed();
            return Err(ApiError::MethodNotAllowed { allowed });
        }
        let value = match route.source {
            Source::Query => {
                let order = order.map(order_name).transpose()?;
                let fixed: Vec<_> = route.order_field.zip(order).into_iter().collect();
                let query = request.uri().query().unwrap_or_default();
                query::from_query(route.request, query, &fixed)?
            }
            Source::Body => {
                rest::check_headers(request.headers())?;
                let reading = ReadOptions::<ApiError> {
                    max_bytes: self.max_request_bytes,
                    check: |_, _| Ok(()),
                };
                let message = self.bodies.read(request.into_body(), reading).await?;
                query::from_body(message.bytes())?
            }
        };
        let reply = self
            .dispatcher
            .dispatch(route.rpc, EncodedRequest::Json(value), Encoding::Json, None)
            .await?;
        Ok(rest::reply(StatusCode::OK, reply))
    }
}

/// The name of the order of an id in a path.
fn order_name(id: &str) -> Result<String, ApiError> {
    let id = percent_decode_str(id).decode_utf8();
    let id = id.map_err(|_| ApiError::OperatorNotFound)?;
    Ok(format!("{ORDERS}{id}"))
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
                Some((OperatorRpc::GetOrder, Some("a"))),
            ),
            (
                "/operator/v1/orders/a/history",
                Some((OperatorRpc::ListHistory, Some("a"))),
            ),
            ("/operator/v1/slots", Some((OperatorRpc::ListSlots, None))),
            ("/operator/v1/door", Some((OperatorRpc::ListDoor, None))),
            ("/operator/v1/orders/a/history/b", None),
            ("/operator/v1/Orders", None),
            ("/operator/v1", None),
            ("/", None),
            ("*", None),
        ] {
            let found = route_at(path).map(|(route, order)| (route.rpc, order));
            assert_eq!(found, expected, "{path}");
        }
    }
}
