//! TLS of incoming connections, with a configuration that can be replaced while connections are open.

use std::{io, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use super::ClientCertificate;

/// Accepts TLS connections.
#[derive(Debug)]
pub(crate) struct TlsAcceptor {
    config: ArcSwap<ServerConfig>,
    /// Subject alternative names, DNS or URI, of which a client certificate needs one.
    accepted_names: Vec<Arc<str>>,
    handshake_timeout: Duration,
}

impl TlsAcceptor {
    pub(crate) fn new(
        config: Arc<ServerConfig>,
        accepted_names: Vec<Arc<str>>,
        handshake_timeout: Duration,
    ) -> Self {
        Self {
            config: ArcSwap::new(config),
            accepted_names,
            handshake_timeout,
        }
    }

    /// Uses another configuration for connections to come.
    pub(crate) fn replace(&self, config: Arc<ServerConfig>) {
        self.config.store(config);
    }

    /// The longest that a handshake may take.
    pub(super) fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    /// Performs the handshake, and tells what certificate the client has shown.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, ClientCertificate)> {
        let acceptor = tokio_rustls::TlsAcceptor::from(self.config.load_full());
        let stream = acceptor.accept(stream).await?;
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map_or(ClientCertificate::None, |shown| self.recognize(shown));
        Ok((stream, certificate))
    }

    fn recognize(&self, shown: &CertificateDer<'_>) -> ClientCertificate {
        let names = &self.accepted_names;
        let Ok(shown) = EndEntityCert::try_from(shown) else {
            return ClientCertificate::Other;
        };
        let has = |name: &&Arc<str>| {
            shown
                .valid_dns_names()
                .any(|dns| dns.eq_ignore_ascii_case(name))
                || shown.valid_uri_names().any(|uri| *uri == ***name)
        };
        names
            .iter()
            .find(has)
            .map_or(ClientCertificate::Other, |name| {
                ClientCertificate::Accepted(Arc::clone(name))
            })
    }
}

/// Whether a handshake failed because no authority vouches for the client's certificate. Port scanners cause
/// every other failure, so those are not worth an audit line.
pub(crate) fn is_untrusted(error: &io::Error) -> bool {
    let error = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidCertificate(_)))
}
