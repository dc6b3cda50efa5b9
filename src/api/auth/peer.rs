//! The peer of a connection, and the identity that its calls are limited by.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::net::{ClientCertificate, network};

/// The identity by which calls are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The name of an authenticated user.
    User(Arc<str>),
    /// The accepted name of a certificate.
    Certificate(Arc<str>),
    /// An IPv4 address, or the /64 network of an IPv6 address.
    Address(IpAddr),
}

/// The number of wrong passwords of a connection beyond which no difference is made.
const MAX_FAILURES: u32 = 3;

/// The peer of a connection.
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

    /// The address of the peer.
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

    /// The identity by its certificate or address, before any password is verified.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Peer {
    /// Its IPv4 address or /64 network.
    pub(super) fn network(&self) -> IpAddr {
        self.network
    }

    /// Wrong passwords on the connection since the last right one.
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Counts a wrong password, or one that was rejected because the queue is full.
    pub(super) fn has_failed(&self) {
        // Load and store without a lock: concurrent failures may count as one, which only affects
        // the order of a queue.
        self.failures.store(
            self.failures().saturating_add(1).min(MAX_FAILURES),
            Ordering::Relaxed,
        );
    }

    /// Resets the count after a right password.
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
