//! The peer of a connection, and the identity by which a caller is limited.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::net::{ClientCertificate, network};

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

/// Wrong passwords of a connection that make a difference; it is all the same how many more there are.
const MAX_FAILURES: u32 = 3;

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    address: IpAddr,
    certificate: ClientCertificate,
    caller: Caller,
    network: IpAddr,
    /// Wrong passwords since the last right one.
    failures: AtomicU32,
}

impl Peer {
    /// The peer at an address.
    #[must_use]
    pub fn new(address: IpAddr, certificate: ClientCertificate) -> Self {
        let network = network(address);
        let caller = match &certificate {
            ClientCertificate::Accepted(name) => Caller::Certificate(Arc::clone(name)),
            ClientCertificate::None | ClientCertificate::Other => Caller::Address(network),
        };
        Self {
            address,
            certificate,
            caller,
            network,
            failures: AtomicU32::new(0),
        }
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

impl Peer {
    /// Its address; of version 6 the network.
    pub(super) fn network(&self) -> IpAddr {
        self.network
    }

    /// How many wrong passwords have come over the connection since the last right one.
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Notes that a password was wrong, or was not even verified because too many others wait.
    pub(super) fn has_failed(&self) {
        // Calls that fail at once may count as one: the order of a queue depends on it and nothing else.
        self.failures.store(
            self.failures().saturating_add(1).min(MAX_FAILURES),
            Ordering::Relaxed,
        );
    }

    /// Notes that a password was right.
    pub(super) fn has_succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_its_wrong_passwords_since_the_last_right_one() {
        let peer = Peer::new([192, 0, 2, 7].into(), ClientCertificate::None);
        for expected in [1, 2, 3, 3] {
            peer.has_failed();
            assert_eq!(peer.failures(), expected);
        }
        peer.has_succeeded();
        assert_eq!(peer.failures(), 0);
    }

    #[test]
    fn a_caller_is_known_by_certificate_or_else_by_network() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
        ] {
            let peer = Peer::new(address.parse().unwrap(), ClientCertificate::Other);
            assert_eq!(
                *peer.caller(),
                Caller::Address(expected.parse().unwrap()),
                "{address}"
            );
            let peer = Peer::new(
                address.parse().unwrap(),
                ClientCertificate::Accepted("ads".into()),
            );
            assert_eq!(
                *peer.caller(),
                Caller::Certificate("ads".into()),
                "{address}"
            );
        }
    }
}
