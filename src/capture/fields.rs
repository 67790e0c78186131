//! Reads fixed-width numbers out of octets in either byte order.
//!
//! Takes:  octets and an offset
//! Gives:  the number, or `None` where the octets end before it does
//! Never:  panics

/// Byte order of a file or of a section of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// Most significant octet first.
    Big,
    /// Least significant octet first.
    Little,
}

impl Order {
    pub(super) fn u16(self, octets: &[u8], at: usize) -> Option<u16> {
        let field = *octets.get(at..)?.first_chunk::<2>()?;
        Some(match self {
            Self::Big => u16::from_be_bytes(field),
            Self::Little => u16::from_le_bytes(field),
        })
    }

    pub(super) fn u32(self, octets: &[u8], at: usize) -> Option<u32> {
        let field = *octets.get(at..)?.first_chunk::<4>()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(field),
            Self::Little => u32::from_le_bytes(field),
        })
    }

    pub(super) fn u64(self, octets: &[u8], at: usize) -> Option<u64> {
        let field = *octets.get(at..)?.first_chunk::<8>()?;
        Some(match self {
            Self::Big => u64::from_be_bytes(field),
            Self::Little => u64::from_le_bytes(field),
        })
    }
}
