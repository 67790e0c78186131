//! Which octets of a damaged segment are others than those that left.
//!
//! Takes:  the payload as it left and as it came
//! Gives:  a [`Difference`]: where, and how many; whether a device masked text
//! Never:  keeps or shows the octets themselves, which may be somebody's mail

/// Where two payloads differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Difference {
    /// First and last octet that differ, counted from 0 in the payload.
    pub first: usize,
    /// See [`first`](Self::first).
    pub last: usize,
    /// How many do.
    pub octets: usize,
    /// Letters were replaced by one and the same sign: what devices do that hide a server's greeting.
    pub masked: bool,
}

/// Signs that devices mask text with.
const MASKS: [u8; 3] = [b'*', b'X', b'x'];
/// Octets that a mask covers at least.
const LEAST_MASKED: usize = 3;

/// Compares; `None` where they are the same.
#[must_use]
pub fn difference(left: &[u8], came: &[u8]) -> Option<Difference> {
    let longest = left.len().max(came.len());
    let differs = |n: &usize| left.get(*n) != came.get(*n);
    let first = (0..longest).find(differs)?;
    let last = (0..longest).rev().find(differs)?;
    let changed = (first..=last).filter(differs);
    let (mut octets, mut signs) = (0, Vec::new());
    for n in changed {
        octets += 1;
        if let Some(sign) = came.get(n)
            && !signs.contains(sign)
            && signs.len() < 2
        {
            signs.push(*sign);
        }
    }
    let masked = left.len() == came.len()
        && octets >= LEAST_MASKED
        && matches!(signs.as_slice(), [one] if MASKS.contains(one));
    Some(Difference {
        first,
        last,
        octets,
        masked,
    })
}

impl Difference {
    /// `octet 17 differs`, `9 octets from 100 to 130 differ`.
    #[must_use]
    pub fn sentence(&self) -> String {
        match (self.octets, self.first, self.last) {
            (1, at, _) => format!("octet {at} of its payload differs"),
            (n, from, to) => format!("{n} octets of its payload differ, from {from} to {to}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        for (name, left, came, want) in [
            ("none", &b"250 ok"[..], &b"250 ok"[..], None),
            ("one bit", b"250 ok", b"251 ok", Some((2, 2, 1, false))),
            ("two apart", b"250 ok", b"350 oK", Some((0, 5, 2, false))),
            (
                "a masked greeting",
                b"220 mail.example ESMTP ready\r\n",
                b"220 ************************\r\n",
                Some((4, 27, 24, true)),
            ),
            (
                "one star is an accident",
                b"220 mail",
                b"220 ma*l",
                Some((6, 6, 1, false)),
            ),
            ("shorter", b"220 mail", b"220 ma", Some((6, 7, 2, false))),
            ("from nothing", b"", b"x", Some((0, 0, 1, false))),
        ] {
            let got = difference(left, came).map(|d| (d.first, d.last, d.octets, d.masked));
            assert_eq!(got, want, "{name}");
        }
    }
}
