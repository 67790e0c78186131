//! The Internet checksum (RFC 1071) and what a TCP checksum field that is not right may hold.
//!
//! Takes:  a whole TCP segment and the addresses around it
//! Gives:  a [`Checksum`]
//! Never:  judges a host: one adapter's unfinished field is another's damage

use super::Checksum;

/// Sum of 16-bit words, folded, not inverted. In the machine's order: one's complement addition does not care
/// (RFC 1071 section 2 B), so the words are summed two at a time as they lie.
#[inline]
pub(super) fn sum(octets: &[u8]) -> u64 {
    let mut sum = 0u64;
    let (words, rest) = octets.as_chunks::<4>();
    for word in words {
        sum += u64::from(u32::from_ne_bytes(*word));
    }
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    sum + u64::from(u32::from_ne_bytes(last))
}

/// Folds a sum to 16 bits, still in the machine's order.
#[inline]
pub(super) const fn fold(sum: u64) -> u16 {
    let a = (sum >> 32) + (sum & 0xFFFF_FFFF);
    let b = (a >> 32) + (a & 0xFFFF_FFFF);
    let c = (b >> 16) + (b & 0xFFFF);
    let d = (c >> 16) + (c & 0xFFFF);
    let e = (d >> 16) + (d & 0xFFFF);
    e as u16
}

/// Looks at the checksum field of a whole segment. `addresses` is the [`sum`] of both IP addresses.
///
/// RFC 9293 section 3.1. Unfilled fields are recognised as Linux and Windows leave them: the sum of the pseudo-header alone, not
/// inverted, with the TCP length or (large send offload) with zero in its place.
#[inline]
pub(super) fn judge(segment: &[u8], field: [u8; 2], addresses: u64) -> Checksum {
    const TCP: u64 = 6;
    let whole = sum(segment);
    let network_order = |n: u64| u64::from((n as u32).to_be());
    let without_length = addresses + network_order(TCP);
    let pseudo = without_length + network_order(segment.len() as u64);
    // All words with the right field sum to all ones; so they do where 0xFFFF stands for 0.
    if fold(whole + pseudo) == 0xFFFF {
        return Checksum::Good;
    }
    match u16::from_ne_bytes(field) {
        0 => Checksum::Zero,
        f if f == fold(pseudo) => Checksum::UnfilledPartial,
        f if f == fold(without_length) => Checksum::UnfilledLso,
        _ => Checksum::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_rfc() {
        // RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
        let example = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&example)).to_ne_bytes(), [0xdd, 0xf2]);
        for (name, octets, want) in [
            ("nothing", &[][..], [0, 0]),
            ("one octet is the high half", &[0x12], [0x12, 0]),
            ("three octets", &[0x12, 0x34, 0x56], [0x68, 0x34]),
            ("carry goes round", &[0xff, 0xff, 0x00, 0x01], [0x00, 0x01]),
        ] {
            assert_eq!(fold(sum(octets)).to_ne_bytes(), want, "{name}");
        }
        let naive = |octets: &[u8]| {
            let mut s: u64 = 0;
            for pair in octets.chunks(2) {
                s += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            }
            while s >> 16 != 0 {
                s = (s >> 16) + (s & 0xffff);
            }
            (s as u16).to_be_bytes()
        };
        let long: Vec<u8> = (0..1500u32).map(|i| (i * i * 7 + 3) as u8).collect();
        for cut in 0..long.len() {
            assert_eq!(
                fold(sum(&long[..cut])).to_ne_bytes(),
                naive(&long[..cut]),
                "{cut} octets"
            );
        }
    }
}
