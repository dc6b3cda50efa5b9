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

    /// Replaces the configuration for new connections. Open ones keep theirs.
    pub(crate) fn replace(&self, config: Arc<ServerConfig>) {
        self.config.store(config);
    }

    /// The time limit of a handshake.
    pub(super) fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    /// Performs the handshake, and returns what the client's certificate is.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, ClientCertificate)> {
        // Loaded once per handshake, so that a reload in between cannot mix two configurations.
        let acceptor = tokio_rustls::TlsAcceptor::from(self.config.load_full());
        let stream = acceptor.accept(stream).await?;
        let (_, session) = stream.get_ref();
        // The first is the client's own certificate; the others only complete the chain.
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map_or(ClientCertificate::None, |shown| self.recognize(shown));
        Ok((stream, certificate))
    }

    fn recognize(&self, shown: &CertificateDer<'_>) -> ClientCertificate {
        let names = &self.accepted_names;
        let Ok(shown) = EndEntityCert::try_from(shown) else {
            // The TLS library has verified the chain already; without readable names no name can
            // match.
            return ClientCertificate::Other;
        };
        let has = |name: &&Arc<str>| {
            shown
                .valid_dns_names()
                // DNS names ignore case, URIs do not.
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

/// Whether a handshake failed because the client's certificate is not trusted. Port scanners cause
/// most other failures, which are therefore not audited.
pub(crate) fn is_untrusted(error: &io::Error) -> bool {
    let error = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidCertificate(_)))
}
