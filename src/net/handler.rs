//! What the network layer serves.

use std::{net::IpAddr, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;

use super::ClientCertificate;

/// Handles the requests of connections.
pub(crate) trait HttpHandler: Send + Sync + 'static {
    /// State of one connection, shared by its requests.
    type Connection: Send + Sync + 'static;

    /// Called once for each connection, before its first request.
    fn connected(&self, address: IpAddr, certificate: ClientCertificate) -> Self::Connection;

    /// Called when a TLS handshake failed because no authority vouches for the client's certificate.
    fn certificate_rejected(&self, address: IpAddr);

    /// Responds to one request, whatever it is.
    fn handle(
        &self,
        request: Request<Incoming>,
        connection: Arc<Self::Connection>,
    ) -> impl Future<Output = Response<Body>> + Send;
}
