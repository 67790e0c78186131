//! Frames with errors, as Wireshark's `editcap -E` puts them in.
//!
//! Takes:  the octets of a frame, and how likely an error is at each
//! Gives:  the same number of octets
//! Never:  does anything else twice with the same seed

use super::made::random::Random;

/// Puts errors into one frame: a bit, an octet, a letter, a format directive, or 0xAA to the end, as often as in `editcap -E`.
pub fn mutate(random: &mut Random, rate: f64, octets: &mut [u8]) {
    const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    // Octets up to the next error, rather than a number drawn for each.
    let distance = |random: &mut Random| {
        let drawn = (random.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        ((1.0 - drawn).ln() / (1.0 - rate).ln()) as usize
    };
    let mut at = distance(random);
    while at < octets.len() {
        match random.range(0, 18) {
            0..5 => octets[at] ^= 1 << random.range(0, 8),
            5..10 => octets[at] = random.range(0, 255) as u8,
            10..15 => octets[at] = random.pick(ALPHANUMERIC),
            15..17 => match octets.get_mut(at..at + 2) {
                Some(place) => place.copy_from_slice(b"%s"),
                None => octets[at..].fill(0xaa),
            },
            _ => {
                octets[at..].fill(0xaa);
                return;
            }
        }
        at = at.saturating_add(1).saturating_add(distance(random));
    }
}
