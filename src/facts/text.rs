//! Octets of a text file to lines, whatever the encoding.
//!
//! Takes:  octets: UTF-8, UTF-16 of either order with or without BOM, or a code page of Windows or its console
//! Gives:  [`Line`]s with their numbers
//! Never:  fails; what cannot be decoded becomes U+FFFD

/// Octets read of one file; what lies beyond is left unread, and said to be.
pub(super) const MAX_OCTETS: usize = 64 << 20;
/// Characters kept of one line.
const MAX_LINE: usize = 1 << 16;

/// One line without its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    /// The text, without trailing white space.
    pub(super) text: String,
}

/// All lines of a text.
pub(super) fn lines(octets: &[u8]) -> Vec<Line> {
    let octets = octets.get(..MAX_OCTETS).unwrap_or(octets);
    let text = decode(octets);
    // `wmic` ends its lines with CR CR LF, and a NUL in a text is an artefact of a wrong conversion.
    text.split('\n')
        .enumerate()
        .map(|(at, line)| Line {
            number: at + 1,
            text: line
                .trim_end()
                .chars()
                .filter(|c| !matches!(c, '\r' | '\0'))
                .take(MAX_LINE)
                .collect(),
        })
        .collect()
}

/// What of the file was not read because of a limit, in sentences; `lines`: what [`lines`] made of it.
pub(super) fn unread(file_name: &str, octets: &[u8], lines: &[Line]) -> Vec<String> {
    let mut sentences = Vec::new();
    if octets.len() > MAX_OCTETS {
        sentences.push(format!(
            "{file_name} has {} octets; only the first {MAX_OCTETS} were read",
            octets.len()
        ));
    }
    let is_cut =
        |line: &&Line| line.text.len() >= MAX_LINE && line.text.chars().count() >= MAX_LINE;
    if let Some(line) = lines.iter().find(is_cut) {
        sentences.push(format!(
            "{file_name} has lines of {MAX_LINE} characters and more (the first: line {}); no more than those were read of each",
            line.number
        ));
    }
    sentences
}

fn decode(octets: &[u8]) -> String {
    match octets {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => match zeros(octets) {
            (even, odd) if odd > 4 * even && odd * 8 > octets.len() => {
                utf16(octets, u16::from_le_bytes)
            }
            (even, odd) if even > 4 * odd && even * 8 > octets.len() => {
                utf16(octets, u16::from_be_bytes)
            }
            _ => match std::str::from_utf8(octets) {
                Ok(text) => text.to_owned(),
                // A character that the end of the file cuts is no sign of another encoding.
                Err(e) if e.error_len().is_none() => String::from_utf8_lossy(octets).into_owned(),
                Err(_) => code_page(octets),
            },
        },
    }
}

fn utf16(octets: &[u8], order: fn([u8; 2]) -> u16) -> String {
    let units = octets.chunks_exact(2).filter_map(|pair| match pair {
        [a, b] => Some(order([*a, *b])),
        _ => None,
    });
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Zero octets at even and at odd places: what tells UTF-16 of mostly ASCII text.
fn zeros(octets: &[u8]) -> (usize, usize) {
    octets.chunks(2).fold((0, 0), |(even, odd), pair| {
        (
            even + usize::from(pair.first() == Some(&0)),
            odd + usize::from(pair.get(1) == Some(&0)),
        )
    })
}

/// An 8-bit text that is no UTF-8: code page 932 where all its pairs fit and it has any of its kana or kanji leads in a row,
/// 1252 where the high octets are letters there and none is in the range that it leaves to signs, else 850.
fn code_page(octets: &[u8]) -> String {
    if looks_like_932(octets) {
        return cp932(octets);
    }
    let high = octets.iter().filter(|o| **o >= 0x80);
    let windows = high.clone().all(|o| *o >= 0xa0);
    octets
        .iter()
        .map(|o| match *o {
            0..=0x7f => char::from(*o),
            high if windows => char::from(high),
            high => CP850
                .chars()
                .nth(usize::from(high & 0x7f))
                .unwrap_or(char::REPLACEMENT_CHARACTER),
        })
        .collect()
}

/// 0x80 to 0xff of code page 850; 437 has the same letters up to 0xa5.
const CP850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

/// Whether all high octets are half-width katakana or pairs of code page 932, with more pairs than a chance fit gives.
fn looks_like_932(octets: &[u8]) -> bool {
    let (mut pairs, mut at) = (0, 0);
    while let Some(&lead) = octets.get(at) {
        match lead {
            0..=0x7f | 0xa1..=0xdf => at += 1,
            0x81..=0x9f | 0xe0..=0xfc => match octets.get(at + 1) {
                Some(0x40..=0x7e | 0x80..=0xfc) => {
                    pairs += 1;
                    at += 2;
                }
                // Cut by the end of the file.
                None => at += 1,
                Some(_) => return false,
            },
            _ => return false,
        }
    }
    // In a western text a high octet is followed by a small ASCII letter, which is a pair too; but there high octets
    // seldom stand in a row.
    let rows = octets
        .windows(4)
        .filter(|w| {
            matches!(
                w,
                [0x81..=0x9f | 0xe0..=0xfc, _, 0x81..=0x9f | 0xe0..=0xfc, _]
            )
        })
        .count();
    pairs > 0 && rows * 3 > pairs
}

/// Code page 932 as far as it follows a rule: ASCII, half-width katakana, full-width letters, hiragana, katakana. Kanji
/// become U+FFFD: labels are kept for the eye only, and nothing is decided by them.
fn cp932(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut at = 0;
    while let Some(&lead) = octets.get(at) {
        at += 1;
        let code = match lead {
            0..=0x7f => u32::from(lead),
            0xa1..=0xdf => 0xff61 + u32::from(lead) - 0xa1,
            _ => {
                let trail = octets.get(at).copied().unwrap_or(0);
                at += 1;
                let pair = u32::from(lead) << 8 | u32::from(trail);
                match pair {
                    0x8140 => 0x3000,
                    0x815b => 0x30fc,
                    0x824f..=0x8258 => 0xff10 + pair - 0x824f,
                    0x8260..=0x8279 => 0xff21 + pair - 0x8260,
                    0x8281..=0x829a => 0xff41 + pair - 0x8281,
                    0x829f..=0x82f1 => 0x3041 + pair - 0x829f,
                    0x8340..=0x837e => 0x30a1 + pair - 0x8340,
                    0x8380..=0x8396 => 0x30e0 + pair - 0x8380,
                    _ => 0xfffd,
                }
            }
        };
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn encodings() {
        let le = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>()
        };
        let be = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_be_bytes)
                .collect::<Vec<u8>>()
        };
        let want = "ECN Capability : enabled";
        for (name, octets, want) in [
            ("UTF-8", want.as_bytes().to_vec(), want),
            (
                "UTF-8 with BOM",
                [b"\xef\xbb\xbf", want.as_bytes()].concat(),
                want,
            ),
            (
                "UTF-16LE with BOM",
                [b"\xff\xfe".to_vec(), le(want)].concat(),
                want,
            ),
            (
                "UTF-16BE with BOM",
                [b"\xfe\xff".to_vec(), be(want)].concat(),
                want,
            ),
            ("UTF-16LE", le(want), want),
            ("UTF-16BE", be(want), want),
            (
                "850",
                b"Nicht-SACK-RTT-Widerstandsf\x84higkeit".to_vec(),
                "Nicht-SACK-RTT-Widerstandsfähigkeit",
            ),
            (
                "1252",
                b"Widerstandsf\xe4higkeit".to_vec(),
                "Widerstandsfähigkeit",
            ),
            (
                "932",
                b"\x83^\x83C\x83\x80 \x83X\x83^\x83\x93\x83v : 1".to_vec(),
                "タイム スタンプ : 1",
            ),
            (
                "UTF-8 cut in a character",
                "für ü".as_bytes()[..6].to_vec(),
                "für \u{fffd}",
            ),
        ] {
            assert_eq!(lines(&octets).first().unwrap().text, want, "{name}");
        }
        assert_eq!(CP850.chars().count(), 128);
    }

    #[test]
    fn line_ends() {
        let got: Vec<_> = lines(b"a\r\n\r\r\nb\nc ")
            .into_iter()
            .map(|l| (l.number, l.text))
            .collect();
        let want: Vec<_> = [(1, "a"), (2, ""), (3, "b"), (4, "c")]
            .map(|(n, t)| (n, t.to_owned()))
            .into();
        assert_eq!(got, want);
    }
}
