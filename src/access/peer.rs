//! What a connection tells of its other end, and by what a caller is known.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// The certificate that the other end of a connection has shown and proved to be its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificate {
    /// None.
    None,
    /// One with this accepted name.
    Accepted(Arc<str>),
    /// One with no accepted name.
    Other,
}

/// By what a caller's calls are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The name of a user whose password was right.
    User(Arc<str>),
    /// The accepted name of a certificate.
    Certificate(Arc<str>),
    /// An address; of version 6 the network of 64 bits, which one caller has to himself.
    Address(IpAddr),
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    address: IpAddr,
    certificate: ClientCertificate,
    caller: Caller,
}

impl Peer {
    /// The peer at an address.
    #[must_use]
    pub fn new(address: IpAddr, certificate: ClientCertificate) -> Self {
        let caller = match &certificate {
            ClientCertificate::Accepted(name) => Caller::Certificate(Arc::clone(name)),
            ClientCertificate::None | ClientCertificate::Other => Caller::Address(network(address)),
        };
        Self { address, certificate, caller }
    }

    pub(super) fn certificate(&self) -> &ClientCertificate {
        &self.certificate
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The accepted name of its certificate.
    #[must_use]
    pub fn accepted_name(&self) -> Option<&Arc<str>> {
        match &self.certificate {
            ClientCertificate::Accepted(name) => Some(name),
            ClientCertificate::None | ClientCertificate::Other => None,
        }
    }

    /// Who it is as far as the connection tells.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_known_by_certificate_or_else_by_network() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
        ] {
            let peer = Peer::new(address.parse().unwrap(), ClientCertificate::Other);
            assert_eq!(*peer.caller(), Caller::Address(expected.parse().unwrap()), "{address}");
            let peer = Peer::new(address.parse().unwrap(), ClientCertificate::Accepted("ads".into()));
            assert_eq!(*peer.caller(), Caller::Certificate("ads".into()), "{address}");
        }
    }
}
