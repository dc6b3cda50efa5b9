//! The operator's services over gRPC.

use std::{error::Error, sync::Arc};

use http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes};
use tonic::body::Body;

use super::{
    SERVICES,
    dispatch::{CallAnswer, EncodedRequest, OperatorDispatcher},
};
use crate::{
    api::{error::ApiError, responses::Encoding, unary},
    net::request_bodies::RequestBodies,
};
use kernel::rpc::OperatorRpc;

/// Serves the operator's methods over gRPC.
#[derive(Debug, Clone)]
pub struct OperatorGrpc {
    dispatcher: OperatorDispatcher,
    bodies: Arc<RequestBodies>,
    max_request_bytes: usize,
}

impl OperatorGrpc {
    /// A service whose messages have at most `max_request_bytes`, without their prefix.
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

    /// Handles a call of one of the services.
    ///
    /// # Errors
    /// [`ApiError`], if there is no response of the service.
    pub async fn answer<B>(&self, request: Request<B>) -> Result<Response<Body>, ApiError>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let Some(rpc) = rpc_at(request.uri().path()) else {
            let is_published = is_published(request.uri().path());
            return Err(if is_published {
                ApiError::NotServed
            } else {
                ApiError::UnknownMethod
            });
        };
        let (message, timeout) =
            unary::receive(request, &self.bodies, self.max_request_bytes).await?;
        let message = EncodedRequest::Protobuf(message);
        let answer = self
            .dispatcher
            .dispatch(rpc, message, Encoding::Grpc, timeout)
            .await?;
        Ok(match answer {
            CallAnswer::Unary(reply) => unary::respond(reply),
            CallAnswer::Stream(reply) => reply.respond(Encoding::Grpc),
        })
    }
}

/// The method of a path.
#[must_use]
pub fn rpc_at(path: &str) -> Option<OperatorRpc> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    OperatorRpc::ALL
        .into_iter()
        .find(|rpc| rpc.service() == service && rpc.name() == method)
}

/// Whether a path leads to a method of the published files.
fn is_published(path: &str) -> bool {
    let named = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    named.is_some_and(|(service, method)| {
        SERVICES.contains(&service) && super::query::is_method(service, method)
    })
}
