//! Certificates and keys from files, for the TLS of the network layer: read, validated, and
//! reloaded without a restart.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
};
use webpki::{EndEntityCert, KeyUsage};

use crate::{config, net::TlsAcceptor};
use kernel::{
    clock::Clock,
    diagnostics::{Cursor, DiagnosticSink, Diagnostics},
    files::regular,
};

/// The protocols offered by ALPN, in the order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificates of the settings and the TLS that uses them.
#[derive(Debug)]
pub(super) struct Certificates {
    files: Files,
    clock: Arc<dyn Clock>,
    acceptor: Arc<TlsAcceptor>,
    expiries: ArcSwap<Vec<Expiry>>,
}

/// The expiry of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expiry {
    /// The setting that names its file.
    pub(super) setting: &'static str,
    /// Which one of that file it is, from 0.
    pub(super) position: usize,
    /// The last second at which it is valid.
    pub(super) not_after_sec: u64,
}

/// The paths of the files.
#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// The authorities that sign client certificates.
    client_ca: Option<PathBuf>,
}

impl Certificates {
    /// Reads the certificates of the settings, if TLS is on.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub(super) fn open(
        settings: &config::Security,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, Diagnostics> {
        let (Some(certificate), Some(key)) = (&settings.tls_certificate, &settings.tls_key) else {
            return Ok(None);
        };
        let files = Files {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: settings.client_ca.clone(),
        };
        let (config, expiries) = files.read(&clock)?;
        let names = settings.client_names.iter().flatten();
        let names = names.map(|name| name.as_str().into()).collect();
        let acceptor = TlsAcceptor::new(config, names, settings.tls_handshake_timeout);
        Ok(Some(Self {
            files,
            clock,
            acceptor: Arc::new(acceptor),
            expiries: ArcSwap::from_pointee(expiries),
        }))
    }

    /// The TLS acceptor that uses them.
    pub(super) fn acceptor(&self) -> &Arc<TlsAcceptor> {
        &self.acceptor
    }

    /// Reloads the files for new connections. On errors nothing changes.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub(super) fn reload(&self) -> Result<(), Diagnostics> {
        let (config, expiries) = self.files.read(&self.clock)?;
        // After everything was read and validated: a handshake sees the old or the new
        // configuration, never a mixture.
        self.acceptor.replace(config);
        self.expiries.store(Arc::new(expiries));
        Ok(())
    }

    /// The expiries of the certificates in use.
    pub(super) fn expiries(&self) -> Arc<Vec<Expiry>> {
        self.expiries.load_full()
    }
}

/// The contents of the files, as far as they are valid.
struct Contents {
    chain: Option<Vec<CertificateDer<'static>>>,
    key: Option<PrivateKeyDer<'static>>,
    /// `None` without a file, too.
    authorities: Option<Vec<CertificateDer<'static>>>,
}

impl Contents {
    fn expiries(&self) -> Vec<Expiry> {
        let mut expiries = Vec::new();
        if let Some(chain) = &self.chain {
            expiries.extend(expiries_of("tls_certificate", chain));
        }
        if let Some(authorities) = &self.authorities {
            expiries.extend(expiries_of("client_ca", authorities));
        }
        expiries
    }
}

impl Files {
    fn read(
        &self,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Arc<ServerConfig>, Vec<Expiry>), Diagnostics> {
        let sink = DiagnosticSink::default();
        let clock = ClockOfTls(Arc::clone(clock));
        let contents = self.contents(&clock, &sink);
        let expiries = contents.expiries();
        let config = self.config(contents, clock, &sink);
        match (config, sink.into_diagnostics().unless_errors(expiries)) {
            (Some(config), Ok(expiries)) => Ok((Arc::new(config), expiries)),
            (_, expiries) => Err(expiries.err().unwrap_or_default()),
        }
    }

    /// Reads every file before one is missed, so that one run reports the errors of all.
    fn contents(&self, clock: &ClockOfTls, sink: &DiagnosticSink) -> Contents {
        let of_chain = label("tls_certificate", &self.certificate);
        let chain = certificates(&self.certificate, clock, &sink.file(&of_chain));
        let key = private_key(&self.key, &sink.file(&label("tls_key", &self.key)));
        let authorities = self
            .client_ca
            .as_ref()
            .and_then(|ca| certificates(ca, clock, &sink.file(&label("client_ca", ca))));
        Contents {
            chain,
            key,
            authorities,
        }
    }

    fn config(
        &self,
        contents: Contents,
        clock: ClockOfTls,
        sink: &DiagnosticSink,
    ) -> Option<ServerConfig> {
        let Contents {
            chain,
            key,
            authorities,
        } = contents;
        let provider = Arc::new(ring::default_provider());
        // Before anything is missed: its errors are reported, too.
        let verifier = self.client_verifier(authorities, &provider, sink);
        let of_key = label("tls_key", &self.key);
        let unfit = |error| sink.file(&of_key).error("bad_private_key", misfit(&error));
        // Fails if the key is not that of the certificate, as in the middle of a rotation of the
        // two files.
        let certified = CertifiedKey::from_der(chain?, key?, &provider)
            .map_err(unfit)
            .ok()?;
        let builder = ServerConfig::builder_with_details(provider, Arc::new(clock));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(unfit)
            .ok()?;
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        let mut config = builder
            .with_client_cert_verifier(verifier?)
            .with_cert_resolver(resolver);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Some(config)
    }

    fn client_verifier(
        &self,
        authorities: Option<Vec<CertificateDer<'static>>>,
        provider: &Arc<CryptoProvider>,
        sink: &DiagnosticSink,
    ) -> Option<Arc<dyn ClientCertVerifier>> {
        let Some(ca) = &self.client_ca else {
            return Some(WebPkiClientVerifier::no_client_auth());
        };
        verifier_by(authorities?, provider, &sink.file(&label("client_ca", ca)))
    }
}

/// The name of a file in diagnostics.
fn label(setting: &str, path: &Path) -> String {
    format!("{setting} {}", path.display())
}

/// The time at which certificates are checked.
#[derive(Debug, Clone)]
struct ClockOfTls(Arc<dyn Clock>);

impl TimeProvider for ClockOfTls {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now_sec().get()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Reads the certificates of a file. At least one is required, and each must be valid now.
fn certificates(
    path: &Path,
    clock: &ClockOfTls,
    at: &Cursor<'_>,
) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = regular::read(path)
        .map_err(|error| at.error("unreadable", unreadable(&error)))
        .ok()?;
    let read = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let chain = read
        .map_err(|_| at.error("not_pem", no_pem("certificate")))
        .ok()?;
    if chain.is_empty() {
        at.error("not_pem", no_pem("certificate"));
        return None;
    }
    let wrong = chain
        .iter()
        .filter_map(|certificate| wrong_with(certificate, clock));
    // `count` runs the iterator to its end, so that every certificate of the file is reported.
    let is_sound = wrong.map(|text| at.error("bad_certificate", text)).count() == 0;
    is_sound.then_some(chain)
}

/// The error of a certificate by itself. Its signature is for the peer to verify, so it is verified
/// against no authority, and only errors of its validity period count.
fn wrong_with(certificate: &CertificateDer<'_>, clock: &ClockOfTls) -> Option<&'static str> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return Some("not a valid X.509 certificate");
    };
    let now = clock.current_time()?;
    let verified =
        certificate.verify_for_usage(&[], &[], &[], now, KeyUsage::server_auth(), None, None);
    let error = verified.err()?;
    if matches!(error, webpki::Error::CertExpired { .. }) {
        Some("a certificate has expired")
    } else {
        matches!(error, webpki::Error::CertNotValidYet { .. })
            .then_some("a certificate is not valid yet")
    }
}

/// The expiries of the certificates of a file.
fn expiries_of(
    setting: &'static str,
    chain: &[CertificateDer<'_>],
) -> impl Iterator<Item = Expiry> {
    chain
        .iter()
        .enumerate()
        .filter_map(move |(position, certificate)| {
            Some(Expiry {
                setting,
                position,
                not_after_sec: not_after_sec(certificate)?,
            })
        })
}

/// The last second at which a certificate is valid. The library has no accessor, so it is verified
/// at a time when every certificate has expired: the error carries the end of the validity.
fn not_after_sec(certificate: &CertificateDer<'_>) -> Option<u64> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let at_the_end = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let usage = KeyUsage::server_auth();
    let error = certificate
        .verify_for_usage(&[], &[], &[], at_the_end, usage, None, None)
        .err()?;
    if let webpki::Error::CertExpired { not_after, .. } = error {
        Some(not_after.as_secs())
    } else {
        None
    }
}

fn private_key(path: &Path, at: &Cursor<'_>) -> Option<PrivateKeyDer<'static>> {
    let bytes = regular::read(path)
        .map_err(|error| at.error("unreadable", unreadable(&error)))
        .ok()?;
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| at.error("not_pem", no_pem("private key")))
        .ok()
}

/// A verifier that requests a certificate without requiring one: whether one is required depends on
/// the call.
fn verifier_by(
    authorities: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
    at: &Cursor<'_>,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in authorities {
        roots
            .add(certificate)
            .map_err(|error| at.error("bad_certificate", error.to_string()))
            .ok()?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = builder.allow_unauthenticated().build();
    verifier
        .map_err(|error| at.error("bad_certificate", error.to_string()))
        .ok()
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}

/// Never quotes the file: it may be a private key.
fn no_pem(what: &str) -> String {
    format!("there is no {what} in it that is written as PEM writes one")
}

fn misfit(error: &rustls::Error) -> String {
    if matches!(error, rustls::Error::InconsistentKeys(_)) {
        "this is not the key of the first certificate in tls_certificate".to_owned()
    } else {
        format!("this key cannot be used: {error}")
    }
}
