//! The interfaces that there are.
//!
//! Takes:  ports of services, to count the connections to them
//! Gives:  [`Interface`]s: those that are up first, then those with addresses, loopback last
//! Never:  captures

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use pcap::{ConnectionStatus, Device};

use super::ANY;
use crate::capture::CaptureError;

/// An interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its name, as `-i` takes it.
    pub name: String,
    /// What the system says it is; hostile as any text from outside.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is up.
    pub up: bool,
    /// Whether it has a carrier: `None` where the system does not tell.
    pub carrier: Option<bool>,
    /// Whether it leads to this host alone.
    pub loopback: bool,
    /// Speed of the link in Mbit/s, where the system tells.
    pub megabits: Option<u64>,
    /// Connections that are open now over its addresses, by port of the service.
    pub connections: Vec<(u16, usize)>,
    /// Frames received that the interface dropped since it came up, where the system tells.
    pub dropped: Option<u64>,
}

/// Lists what can be captured on: network interfaces, and `any` for all of them. `ports`: those of services whose connections are counted.
///
/// # Errors
/// Where the system does not tell.
pub fn interfaces(ports: &[u16]) -> Result<Vec<Interface>, CaptureError> {
    let open = connections(ports);
    let devices = Device::list().map_err(|error| CaptureError::Interface {
        name: ANY.to_owned(),
        reason: error.to_string(),
    })?;
    let mut found: Vec<Interface> = devices
        .into_iter()
        .filter(|d| d.name == ANY || folder(&d.name).is_dir())
        .map(|d| Interface {
            connections: over(&d.name, &d.addresses, &open),
            description: d.desc.clone(),
            addresses: d.addresses.iter().map(|a| a.addr).collect(),
            up: d.flags.is_up(),
            carrier: match d.flags.connection_status {
                ConnectionStatus::Connected => Some(true),
                ConnectionStatus::Disconnected => Some(false),
                _ => None,
            },
            loopback: d.flags.is_loopback(),
            megabits: number(&d.name, "speed"),
            dropped: number(&d.name, "statistics/rx_dropped"),
            name: d.name,
        })
        .collect();
    found.sort_by_key(|i| (!i.up, i.addresses.is_empty(), i.loopback, i.name.clone()));
    Ok(found)
}

/// The local ends of connections to or from these ports, with the port.
fn connections(ports: &[u16]) -> Vec<(IpAddr, u16)> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|text| {
            text.lines()
                .filter_map(|line| connection(line, ports))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// One line of `/proc/net/tcp`, proc_pid_net(5): number, local end, remote end, state, …
fn connection(line: &str, ports: &[u16]) -> Option<(IpAddr, u16)> {
    const ESTABLISHED: &str = "01";
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    if state != ESTABLISHED {
        return None;
    }
    let ((addr, own), (_, other)) = (end(local)?, end(remote)?);
    let port = [own, other].into_iter().find(|port| ports.contains(port))?;
    Some((addr, port))
}

/// `0100007F:0019`: words of 32 bits in the order of the machine, port.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (addr, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = addr.get(8 * at..8 * at + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let addr = if addr.len() == 8 {
        IpAddr::from(word(0)?)
    } else {
        let mut octets = [0; 16];
        for (at, chunk) in octets.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&word(at)?);
        }
        IpAddr::from(octets)
    };
    Some((addr.to_canonical(), port))
}

/// The connections over an interface, by port.
fn over(name: &str, addresses: &[pcap::Address], open: &[(IpAddr, u16)]) -> Vec<(u16, usize)> {
    let mut found = std::collections::BTreeMap::new();
    for (addr, port) in open {
        if name == ANY || addresses.iter().any(|own| own.addr == *addr) {
            *found.entry(*port).or_default() += 1;
        }
    }
    found.into_iter().collect()
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new("/sys/class/net").join(name)
}

fn number(name: &str, what: &str) -> Option<u64> {
    fs::read_to_string(folder(name).join(what))
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_read() {
        for (name, line, want) in [
            (
                "to a mail server",
                "  1: 0F02000A:A1B2 0100A8C0:0019 01 00000000:00000000 00:00000000",
                Some(("10.0.2.15", 25)),
            ),
            (
                "from a client",
                "  1: 0F02000A:01BD 0100A8C0:C001 01 00000000:00000000 00:00000000",
                Some(("10.0.2.15", 445)),
            ),
            ("listening", "  0: 00000000:0019 00000000:0000 0A 0 0", None),
            (
                "another service",
                "  0: 0F02000A:0016 0100A8C0:C001 01 0 0",
                None,
            ),
            (
                "IPv4 in IPv6",
                "  0: 0000000000000000FFFF00000F02000A:0019 0000000000000000FFFF00000100A8C0:C001 01 0 0",
                Some(("10.0.2.15", 25)),
            ),
            (
                "the head of the table",
                "  sl  local_address rem_address   st tx_queue",
                None,
            ),
            ("cut off", "  0: 0F02000A:00", None),
        ] {
            let got = connection(line, &[25, 445]);
            assert_eq!(
                got.map(|(a, p)| (a.to_string(), p)),
                want.map(|(a, p)| (a.to_owned(), p)),
                "{name}"
            );
        }
    }
}
