//! Addresses of hosts, adapters and services.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// IP version of a flow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// IPv4 (RFC 791).
    V4,
    /// IPv6 (RFC 8200).
    V6,
}

/// One end of a TCP connection. Displays as `192.0.2.1:25` or `[2001:db8::1]:25`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    /// Address of the host.
    pub addr: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// From the 16 octets of an address key, where IPv4 stands in the IPv4-mapped form (RFC 4291 section 2.5.5.2).
    #[must_use]
    pub fn from_octets(octets: [u8; 16], family: Family, port: u16) -> Self {
        let v6 = Ipv6Addr::from(octets);
        let addr = match family {
            Family::V4 => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
            Family::V6 => IpAddr::V6(v6),
        };
        Self { addr, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr {
            IpAddr::V4(a) => write!(f, "{a}:{}", self.port),
            IpAddr::V6(a) => write!(f, "[{a}]:{}", self.port),
        }
    }
}

/// Hardware address of an adapter (EUI-48). All zero where the link layer shows none.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Whether the link layer showed one.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.0 != [0; 6]
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
