//! The peer of a connection: its certificate and its network.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// The certificate of a client, whose key it has proved to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificate {
    /// The client has shown no certificate.
    None,
    /// A certificate with this accepted name.
    Accepted(Arc<str>),
    /// A certificate without an accepted name.
    Other,
}

/// The part of an address that belongs to one client: the IPv4 address, or the /64 network of an IPv6 address.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    // An IPv4 address may arrive mapped into IPv6; both forms are one client.
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        // A provider gives each client a /64 at least, whose addresses it can change at will.
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}
