//! The contract over gRPC: unary methods, protocol buffers over HTTP/2.

use std::{error::Error, sync::Arc};

use http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes};
use tonic::body::Body;

use crate::{
    api::{
        booking::proto::v3::booking_service_server::SERVICE_NAME, dispatch::Dispatcher,
        error::ApiError, responses::Encoding, unary,
    },
    net::request_bodies::RequestBodies,
};
use kernel::rpc::Rpc;

/// Serves the methods of the contract over gRPC.
#[derive(Debug, Clone)]
pub struct GrpcService {
    dispatcher: Dispatcher,
    bodies: Arc<RequestBodies>,
    max_request_bytes: usize,
}

impl GrpcService {
    /// A service whose messages have at most `max_request_bytes`, without their prefix.
    #[must_use]
    pub fn new(
        dispatcher: Dispatcher,
        bodies: Arc<RequestBodies>,
        max_request_bytes: usize,
    ) -> Self {
        Self {
            dispatcher,
            bodies,
            max_request_bytes,
        }
    }

    /// Handles a call of one of the methods.
    ///
    /// # Errors
    /// [`ApiError`], if there is no response of the contract.
    pub async fn answer<B>(&self, request: Request<B>) -> Result<Response<Body>, ApiError>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let rpc = rpc_at(request.uri().path())
            // Health has a service of its own over gRPC.
            .filter(|rpc| *rpc != Rpc::HealthCheck)
            .ok_or(ApiError::UnknownMethod)?;
        let (message, timeout) =
            unary::receive(request, &self.bodies, self.max_request_bytes).await?;
        self.dispatcher
            .dispatch(rpc, message, Encoding::Grpc, timeout)
            .await
            .map(unary::respond)
    }
}

/// The method of a path, which is case-sensitive in gRPC.
#[must_use]
pub fn rpc_at(path: &str) -> Option<Rpc> {
    let name = path
        .strip_prefix('/')?
        .strip_prefix(SERVICE_NAME)?
        .strip_prefix('/')?;
    Rpc::ALL.into_iter().find(|method| method.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_method_to_the_letter() {
        for (path, expected) in [
            ("/CreateOrder", Some(Rpc::CreateOrder)),
            ("/createorder", None),
            ("//CreateOrder", None),
            ("/CreateOrder/", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(
                rpc_at(&format!("/{SERVICE_NAME}{path}")),
                expected,
                "{path}"
            );
            assert_eq!(rpc_at(path), None);
        }
    }
}
