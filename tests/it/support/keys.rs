//! Passwords and certificates for tests, and clients that show them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use argon2::{Argon2, Params, PasswordHasher};
use boxoffice::config::Config;
use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::operator_config;

/// The value of `authorization` for a user.
pub(crate) fn basic(name: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64.encode(format!("{name}:{password}").as_bytes())
    )
}

/// A folder of credentials and certificates.
pub(crate) struct Keys {
    dir: TempDir,
    authority: Authority,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            authority: Authority::new(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Writes the credentials of these users, whose hashes take next to no work, and has them used.
    pub(crate) fn with_users(&self, config: &mut Config, users: &[(&str, &[&str])]) {
        self.write_users(users);
        config.security.credentials = Some(self.path("users.toml"));
    }

    /// Writes users whose passwords are their names, each with other lines of its table.
    pub(crate) fn write_scopes(&self, users: &[(&str, &str)]) {
        let user = |(name, lines): &(&str, &str)| {
            format!(
                "[users.{name}]\npasswords = [{}]\n{lines}\n",
                cheap_hash(name)
            )
        };
        replace(
            &self.path("users.toml"),
            &users.iter().map(user).collect::<String>(),
        );
    }

    /// A configuration with the operator's listener open to such users.
    pub(crate) fn operator_config(&self, users: &[(&str, &str)]) -> Config {
        self.write_scopes(users);
        let mut config = operator_config();
        config.security.operator_credentials = Some(self.path("users.toml"));
        config
    }

    pub(crate) fn write_users(&self, users: &[(&str, &[&str])]) {
        let user = |(name, passwords): &(&str, &[&str])| {
            let hashes: Vec<_> = passwords
                .iter()
                .map(|password| cheap_hash(password))
                .collect();
            format!("[users.{name}]\npasswords = [{}]\n", hashes.join(", "))
        };
        replace(
            &self.path("users.toml"),
            &users.iter().map(user).collect::<String>(),
        );
    }

    /// Writes a certificate for `localhost` and has it used.
    pub(crate) fn with_tls(&self, config: &mut Config) {
        self.write_pair(&self.authority.issue(&["localhost"]));
        config.security.tls_certificate = Some(self.path("server.pem"));
        config.security.tls_key = Some(self.path("server.key"));
    }

    pub(crate) fn write_pair(&self, pair: &Pair) {
        replace(&self.path("server.pem"), &pair.certificate_pem());
        replace(&self.path("server.key"), &pair.key_pem());
    }

    /// Has client certificates demanded that this authority has issued for one of these names.
    pub(crate) fn with_clients(&self, config: &mut Config, names: &[&str]) {
        replace(
            &self.path("ca.pem"),
            &pem("CERTIFICATE", &self.authority.certificate),
        );
        config.security.client_ca = Some(self.path("ca.pem"));
        config.security.client_names = Some(names.iter().map(|name| (*name).to_owned()).collect());
    }
}

/// A hash of a password that takes next to no work, in quotes.
fn cheap_hash(password: &str) -> String {
    let cheap = Argon2::from(Params::new(8, 1, 1, None).unwrap());
    format!(
        "{:?}",
        cheap
            .hash_password(password.as_bytes())
            .unwrap()
            .to_string()
    )
}

/// Puts a file in the place of another in one step.
pub(crate) fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn pem(label: &str, der: &[u8]) -> String {
    let lines: Vec<_> = der
        .chunks(48)
        .map(|chunk| BASE64.encode(chunk))
        .map(|line| format!("{line}\n"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}-----END {label}-----\n",
        lines.concat()
    )
}

/// Who issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// A certificate for these names, DNS names and URIs.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_until(2100, names)
    }

    /// The same, valid until that year begins.
    pub(crate) fn issue_until(&self, year: i32, names: &[&str]) -> Pair {
        let mut params = CertificateParams::default();
        let name = |name: &&str| {
            let text = (*name).try_into().unwrap();
            if name.contains(':') {
                SanType::URI(text)
            } else {
                SanType::DnsName(text)
            }
        };
        params.subject_alt_names = names.iter().map(name).collect();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Pair {
            certificate,
            key: key.serialize_der(),
        }
    }

    /// Agrees on TLS as somebody who trusts this authority and shows this certificate, if any.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        shown: Option<&Pair>,
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(pair) => builder
                .with_client_auth_cert(vec![pair.certificate.clone()], pair.key())
                .unwrap(),
        };
        config.alpn_protocols = vec![protocol.into()];
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Pair {
    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.clone()).unwrap()
    }

    pub(crate) fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    pub(crate) fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}
