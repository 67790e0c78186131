//! Fixed-width numbers out of a slice, `None` past its end.
//!
//! Takes:  octets of which none is trusted
//! Gives:  numbers
//! Never:  panics

/// The `N` octets from `at` on.
pub(crate) fn array<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..)?.first_chunk::<N>().copied()
}

/// One octet.
pub(crate) fn u8_at(octets: &[u8], at: usize) -> Option<u8> {
    octets.get(at).copied()
}

/// Little-endian, 16 bits.
pub(crate) fn le16(octets: &[u8], at: usize) -> Option<u16> {
    array(octets, at).map(u16::from_le_bytes)
}

/// Little-endian, 32 bits.
pub(crate) fn le32(octets: &[u8], at: usize) -> Option<u32> {
    array(octets, at).map(u32::from_le_bytes)
}

/// Little-endian, 64 bits.
pub(crate) fn le64(octets: &[u8], at: usize) -> Option<u64> {
    array(octets, at).map(u64::from_le_bytes)
}

/// `len` octets from `at` on, as far as they are there.
pub(crate) fn part(octets: &[u8], at: usize, len: usize) -> &[u8] {
    let rest = octets.get(at..).unwrap_or(&[]);
    rest.get(..len).unwrap_or(rest)
}

/// UTF-16, little-endian, as text; unpaired surrogates become U+FFFD. At most `limit` characters.
pub(crate) fn utf16(octets: &[u8], limit: usize) -> String {
    let units = octets.as_chunks::<2>().0.iter();
    char::decode_utf16(units.map(|unit| u16::from_le_bytes(*unit)))
        .take(limit)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_end() {
        let octets = [1, 2, 3, 4, 5];
        assert_eq!(le16(&octets, 0), Some(0x0201));
        assert_eq!(le32(&octets, 1), Some(0x0504_0302));
        assert_eq!(le32(&octets, 2), None);
        assert_eq!(le64(&octets, usize::MAX), None);
        assert_eq!(part(&octets, 3, 9), &[4, 5]);
        assert_eq!(part(&octets, 9, 1), &[] as &[u8]);
        assert_eq!(utf16(b"S\0R\0V\0x", 2), "SR");
    }
}
