//! The walk over TCP options.
//!
//! Takes:  the captured octets of the options
//! Gives:  what a diagnosis needs of them
//! Never:  stops at a kind that it does not know (RFC 9293 section 3.1: they have lengths for that), goes on behind a bad length

use super::SynOptions;
use crate::net::SeqNum;

/// Options of one segment, SACK blocks apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) timestamps: Option<(u32, u32)>,
    pub(super) syn: SynOptions,
    pub(super) sack_blocks: u8,
}

/// Reads the options; SACK blocks go to the end of `sacks`. A repeated option counts once, the last wins.
#[inline]
pub(super) fn read(options: &[u8], is_syn: bool, sacks: &mut Vec<(SeqNum, SeqNum)>) -> Options {
    let mut found = Options::default();
    // What nearly every segment has: two no-operations and the timestamps (RFC 7323 appendix A).
    if let [1, 1, 8, 10, a, b, c, d, e, f, g, h] = *options {
        found.timestamps = Some((
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([e, f, g, h]),
        ));
        return found;
    }
    let mut rest = options;
    while let Some((&kind, after_kind)) = rest.split_first() {
        match kind {
            0 => break,
            1 => {
                rest = after_kind;
                continue;
            }
            _ => {}
        }
        let Some(length) = after_kind.first().map(|&n| usize::from(n)) else {
            break;
        };
        let (Some(value), Some(next)) = (rest.get(2..length), rest.get(length..)) else {
            break;
        };
        match (kind, value) {
            (2, &[a, b]) if is_syn => found.syn.mss = Some(u16::from_be_bytes([a, b])),
            (3, &[shift]) if is_syn => found.syn.window_scale = Some(shift.min(14)),
            (4, []) if is_syn => found.syn.sack_permitted = true,
            (5, blocks) if found.sack_blocks == 0 => {
                for block in blocks.as_chunks::<8>().0 {
                    let [a, b, c, d, e, f, g, h] = *block;
                    sacks.push((
                        SeqNum(u32::from_be_bytes([a, b, c, d])),
                        SeqNum(u32::from_be_bytes([e, f, g, h])),
                    ));
                    found.sack_blocks += 1;
                }
            }
            (8, &[a, b, c, d, e, f, g, h]) => {
                found.timestamps = Some((
                    u32::from_be_bytes([a, b, c, d]),
                    u32::from_be_bytes([e, f, g, h]),
                ));
            }
            _ => {}
        }
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walk() {
        const TS: [u8; 10] = [8, 10, 0, 0, 0, 7, 0, 0, 0, 9];
        let join = |parts: &[&[u8]]| parts.concat();
        for (name, options, is_syn, timestamps, syn, blocks) in [
            ("none", vec![], true, None, SynOptions::default(), 0),
            (
                "the usual",
                join(&[&[1, 1], &TS]),
                false,
                Some((7, 9)),
                SynOptions::default(),
                0,
            ),
            (
                "a SYN",
                join(&[&[2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2], &TS]),
                true,
                Some((7, 9)),
                SynOptions {
                    mss: Some(1460),
                    window_scale: Some(8),
                    sack_permitted: true,
                },
                0,
            ),
            (
                "an MSS outside a SYN does not count",
                vec![2, 4, 5, 0xb4],
                false,
                None,
                SynOptions::default(),
                0,
            ),
            (
                "a shift over 14 counts as 14",
                vec![3, 3, 200],
                true,
                None,
                SynOptions {
                    window_scale: Some(14),
                    ..SynOptions::default()
                },
                0,
            ),
            (
                "SACK behind multipath TCP, fast open and MD5",
                join(&[
                    &[
                        30, 4, 1, 2, 34, 2, 19, 4, 0, 0, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2,
                    ],
                    &TS,
                ]),
                false,
                Some((7, 9)),
                SynOptions::default(),
                1,
            ),
            (
                "end of list",
                join(&[&[0], &TS]),
                false,
                None,
                SynOptions::default(),
                0,
            ),
            (
                "length 0 stops the walk",
                join(&[&[77, 0], &TS]),
                false,
                None,
                SynOptions::default(),
                0,
            ),
            (
                "length 1 stops the walk",
                join(&[&[77, 1], &TS]),
                false,
                None,
                SynOptions::default(),
                0,
            ),
            (
                "length past the end stops the walk",
                vec![8, 10, 0, 0],
                false,
                None,
                SynOptions::default(),
                0,
            ),
            (
                "kind without length",
                vec![1, 8],
                false,
                None,
                SynOptions::default(),
                0,
            ),
            (
                "timestamps of a wrong length",
                vec![8, 6, 0, 0, 0, 1, 4, 2],
                true,
                None,
                SynOptions {
                    sack_permitted: true,
                    ..SynOptions::default()
                },
                0,
            ),
            (
                "half a SACK block",
                vec![5, 14, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3],
                false,
                None,
                SynOptions::default(),
                1,
            ),
        ] {
            let mut sacks = Vec::new();
            let got = read(&options, is_syn, &mut sacks);
            assert_eq!(got.timestamps, timestamps, "{name}");
            assert_eq!(got.syn, syn, "{name}");
            assert_eq!(usize::from(got.sack_blocks), blocks, "{name}");
            assert_eq!(sacks.len(), blocks, "{name}");
            for cut in 0..options.len() {
                read(&options[..cut], is_syn, &mut Vec::new());
            }
        }
    }
}
