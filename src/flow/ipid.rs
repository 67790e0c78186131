//! How a sender fills the IPv4 identification field, learned packet by packet.
//!
//! Takes:  the identifications of one direction of one flow, in order of capture
//! Gives:  whether they count up with each packet of the connection, so that a gap means packets not seen here
//! Never:  judges a segment

use super::record::IpIdUse;

/// Packets needed before an order is believed.
const ENOUGH: u32 = 4;

/// Learns the use of the field.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IpIds {
    /// Highest identification so far, on the circle.
    pub(super) last: Option<u16>,
    by_one: u32,
    small_step: u32,
    /// Small steps of more than a dozen.
    wide: u32,
    back: u32,
    large_step: u32,
    zeros: u32,
    all: u32,
    /// The TTL shows a stack that does not start from 64: Windows and most others share one counter among connections.
    shared_stack: bool,
}

impl IpIds {
    /// Takes the identification of the next packet; `advance` steps are those that it stands for (super-segments count up by
    /// the number of wire segments).
    pub(super) fn see(&mut self, id: Option<u16>, advance: u16, ttl: u8) {
        let Some(id) = id else { return };
        self.shared_stack |= ttl > 64;
        self.all = self.all.saturating_add(1);
        if id == 0 {
            self.zeros = self.zeros.saturating_add(1);
        }
        let end = id.wrapping_add(advance.saturating_sub(1));
        let Some(last) = self.last else {
            self.last = Some(end);
            return;
        };
        let step = id.wrapping_sub(last);
        match step {
            0 => {}
            1 => self.by_one += 1,
            2..=64 => {
                self.small_step += 1;
                self.wide += u32::from(step > 12);
            }
            65..=0x7fff => self.large_step += 1,
            _ => self.back += 1,
        }
        if end.wrapping_sub(last) < 0x8000 {
            self.last = Some(end);
        }
    }

    /// What has been learned.
    pub(super) fn learned(&self) -> IpIdUse {
        match self.order() {
            IpIdUse::PerConnection if self.shared_stack => IpIdUse::Shared,
            order => order,
        }
    }

    fn order(&self) -> IpIdUse {
        let steps = self.by_one + self.small_step + self.large_step + self.back;
        if self.all >= ENOUGH && self.zeros * 10 >= self.all * 9 {
            IpIdUse::Zero
        } else if self.all < ENOUGH {
            IpIdUse::Unknown
        } else if steps == 0 {
            // Always the same number says as little as always zero (RFC 6864 allows it).
            IpIdUse::Zero
        } else if self.by_one * 4 >= steps * 3 && self.large_step * 20 <= steps {
            IpIdUse::PerConnection
        } else if self.by_one * 3 >= steps
            && self.back * 20 <= steps
            && self.large_step == 0
            && self.wide * 20 <= steps
            && steps >= 12
        {
            // Many packets are missing, and still the steps are small: every other acknowledgement may be lost.
            IpIdUse::PerConnection
        } else if (self.by_one + self.small_step) * 10 >= steps * 9
            || (self.back * 20 <= steps && self.small_step * 4 >= steps)
        {
            IpIdUse::Shared
        } else {
            IpIdUse::Random
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_told_apart() {
        let cases: [(&str, Vec<u16>, IpIdUse); 7] = [
            ("too few", vec![1, 2, 3], IpIdUse::Unknown),
            (
                "by one, over the wrap",
                (0..20).map(|n| 65530u16.wrapping_add(n)).collect(),
                IpIdUse::PerConnection,
            ),
            (
                "by one with a loss",
                vec![1, 2, 3, 4, 6, 7, 8, 9, 10],
                IpIdUse::PerConnection,
            ),
            (
                "shared counter",
                (0..20).map(|n| n * 7).collect(),
                IpIdUse::Shared,
            ),
            ("zero", vec![0; 8], IpIdUse::Zero),
            ("always the same", vec![7; 8], IpIdUse::Zero),
            (
                "random",
                vec![40_000, 3, 29_000, 61_000, 12, 33_000, 9_000, 50_000],
                IpIdUse::Random,
            ),
        ];
        for (name, ids, want) in cases {
            let mut learn = IpIds::default();
            for id in ids {
                learn.see(Some(id), 1, 64);
            }
            assert_eq!(learn.learned(), want, "{name}");
            learn.see(Some(0), 1, 128);
            assert_ne!(
                learn.learned(),
                IpIdUse::PerConnection,
                "{name}, from a TTL of 128"
            );
        }
    }
}
