//! Addresses and names of machines.

use std::net::SocketAddr;

use http::Uri;

use super::ValueKind;

/// An IP address with a port.
pub(in crate::config) struct IpAndPort;

impl ValueKind for IpAndPort {
    type Value = SocketAddr;

    fn label(&self) -> &'static str {
        "ADDRESS"
    }

    fn takes(&self) -> String {
        "an IP address and port".to_owned()
    }

    fn read(&self, text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }
}

/// The address of a service that is asked over plain HTTP/2.
pub(in crate::config) struct HttpEndpoint;

impl ValueKind for HttpEndpoint {
    type Value = String;

    fn label(&self) -> &'static str {
        "URL"
    }

    fn takes(&self) -> String {
        "a URL such as `http://127.0.0.1:4317`".to_owned()
    }

    fn read(&self, text: &str) -> Option<String> {
        let url: Uri = text.parse().ok()?;
        let is_plain =
            // The exporter speaks plain HTTP/2 and chooses the path itself.
            url.scheme_str() == Some("http") && url.path() == "/" && url.query().is_none();
        (is_plain && url.port_u16().is_some()).then(|| text.to_owned())
    }
}

/// Names of a certificate, with commas between.
pub(in crate::config) struct CertificateNames;

impl ValueKind for CertificateNames {
    type Value = Vec<String>;

    fn label(&self) -> &'static str {
        "NAMES"
    }

    fn takes(&self) -> String {
        "DNS names or URIs with commas between".to_owned()
    }

    fn read(&self, text: &str) -> Option<Vec<String>> {
        let names = text.split(',').map(str::trim);
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_graphic());
        names
            .map(|name| is_name(name).then(|| name.to_owned()))
            .collect()
    }
}

/// Host names without ports, with commas between.
pub(in crate::config) struct HostNames;

impl ValueKind for HostNames {
    type Value = Vec<String>;

    fn label(&self) -> &'static str {
        "HOSTS"
    }

    fn takes(&self) -> String {
        "host names with commas between".to_owned()
    }

    fn read(&self, text: &str) -> Option<Vec<String>> {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        let is_name =
            |name: &str| !name.trim_matches('.').is_empty() && name.chars().all(is_letter);
        text.split(',')
            .map(str::trim)
            .map(|name| is_name(name).then(|| name.to_owned()))
            .collect()
    }
}
