//! VLANs and tunnels around a packet, as numbers.
//!
//! Takes:  one layer after the other, from the outside in
//! Gives:  a number for each distinct stack of layers, and its name
//! Never:  counts what differs between the two directions of one connection (MPLS labels, GTP tunnel endpoints, PPTP call
//!         ids, VLAN 0): that would tear flows in two

use std::collections::HashMap;
use std::fmt;

use super::reason::Reason;
use super::tcp::Seeded;

/// Distinct stacks that get a number. A frame inside one more is not decoded, and counted so: giving two networks one number
/// would join flows that have nothing to do with each other.
pub(super) const MAX_ENCAPSULATIONS: usize = 1 << 16;

/// One layer that separates networks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Layer {
    Vlan(u16),
    Pppoe(u16),
    ServiceInstance(u32),
    IpInIp,
    Ipv6InIpv4,
    Gre(Option<u32>),
    Erspan(u16),
    Vxlan(u32),
    Geneve(u32),
    Gtp,
    Teredo,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vlan(id) => write!(f, "VLAN {id}"),
            Self::Pppoe(session) => write!(f, "PPPoE {session}"),
            Self::ServiceInstance(id) => write!(f, "802.1ah {id}"),
            Self::IpInIp => f.write_str("IP-in-IP"),
            Self::Ipv6InIpv4 => f.write_str("6in4"),
            Self::Gre(None) => f.write_str("GRE"),
            Self::Gre(Some(key)) => write!(f, "GRE {key}"),
            Self::Erspan(session) => write!(f, "ERSPAN {session}"),
            Self::Vxlan(vni) => write!(f, "VXLAN {vni}"),
            Self::Geneve(vni) => write!(f, "GENEVE {vni}"),
            Self::Gtp => f.write_str("GTP-U"),
            Self::Teredo => f.write_str("Teredo"),
        }
    }
}

/// All stacks met so far: a tree in which each stack names the one around it.
#[derive(Debug, Default)]
pub(super) struct Encapsulations {
    /// (outer stack, layer) of number 1, 2, …
    stacks: Vec<(u32, Layer)>,
    numbers: HashMap<(u32, Layer), u32, Seeded>,
    /// The last answer, which is nearly always the next one too.
    last: Option<((u32, Layer), u32)>,
}

impl Encapsulations {
    /// The number of `layer` inside the stack `outer`.
    #[inline]
    pub(super) fn enter(&mut self, outer: u32, layer: Layer) -> Result<u32, Reason> {
        let key = (outer, layer);
        match self.last {
            Some((last, number)) if last == key => Ok(number),
            _ => self.look_up(key),
        }
    }

    fn look_up(&mut self, key: (u32, Layer)) -> Result<u32, Reason> {
        let number = match self.numbers.get(&key) {
            Some(&number) => number,
            None if self.stacks.len() >= MAX_ENCAPSULATIONS => {
                return Err(Reason::Other(
                    "more than 65536 VLANs and tunnels in one capture",
                ));
            }
            None => {
                self.stacks.push(key);
                let number = self.stacks.len() as u32;
                self.numbers.insert(key, number);
                number
            }
        };
        self.last = Some((key, number));
        Ok(number)
    }

    /// From the outside in: `VXLAN 42 / VLAN 7`. `None` for 0 and for numbers never given.
    pub(super) fn name(&self, number: u32) -> Option<String> {
        let mut layers = Vec::new();
        let mut at = number;
        // Outer stacks have smaller numbers, so this ends.
        while let Some(index) = at.checked_sub(1) {
            let &(outer, layer) = self.stacks.get(index as usize)?;
            layers.push(layer.to_string());
            at = outer;
        }
        layers.reverse();
        (!layers.is_empty()).then(|| layers.join(" / "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_stand_for_stacks() {
        let mut all = Encapsulations::default();
        let vlan7 = all.enter(0, Layer::Vlan(7)).unwrap();
        let vxlan = all.enter(0, Layer::Vxlan(42)).unwrap();
        let inner = all.enter(vxlan, Layer::Vlan(7)).unwrap();
        assert_ne!(vlan7, inner);
        assert_eq!(all.enter(0, Layer::Vlan(7)).unwrap(), vlan7);
        for (number, want) in [
            (0, None),
            (vlan7, Some("VLAN 7")),
            (inner, Some("VXLAN 42 / VLAN 7")),
            (99, None),
        ] {
            assert_eq!(all.name(number).as_deref(), want);
        }
    }

    #[test]
    fn a_full_table_refuses_new_stacks_and_knows_the_old() {
        let mut all = Encapsulations::default();
        for vni in 0..MAX_ENCAPSULATIONS as u32 {
            all.enter(0, Layer::Vxlan(vni)).unwrap();
        }
        assert!(all.enter(0, Layer::Vlan(1)).is_err());
        assert_eq!(all.enter(0, Layer::Vxlan(5)), Ok(6));
    }
}
