//! The other end of a connection, as far as the connection tells.

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

/// The part of an address that belongs to one client: the IPv4 address, or the /64 network of an IPv6 address.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}
