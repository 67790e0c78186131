//! A packet from some layer on.
//!
//! Takes:  octets, their place in the batch, their length on the wire
//! Gives:  the same, some header further in
//! Never:  reads past what was captured

/// The octets of a packet from some layer on: the captured ones, where they lie in the batch, and how many there were on the
/// wire. Holds `wire >= octets.len()`.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// Captured octets.
    pub(super) octets: &'a [u8],
    /// Place of the first of them, as [`OctetRef::offset`](super::OctetRef::offset) counts.
    pub(super) at: u64,
    /// Octets on the wire.
    pub(super) wire: usize,
}

impl<'a> View<'a> {
    pub(super) fn new(octets: &'a [u8], at: u64, wire: usize) -> Self {
        Self {
            octets,
            at,
            wire: wire.max(octets.len()),
        }
    }

    /// What follows a header of `header` octets; `None` where the header itself is cut.
    #[inline]
    pub(super) fn skip(self, header: usize) -> Option<Self> {
        Some(Self {
            octets: self.octets.get(header..)?,
            at: self.at + header as u64,
            wire: self.wire - header,
        })
    }

    /// The same packet, whose own length field says `wire`: what follows is padding, what is missing was cut.
    #[inline]
    pub(super) fn with_length(self, wire: usize) -> Self {
        Self {
            octets: self.octets.get(..wire).unwrap_or(self.octets),
            at: self.at,
            wire,
        }
    }

    /// The first `N` octets.
    #[inline]
    pub(super) fn head<const N: usize>(self) -> Option<&'a [u8; N]> {
        self.octets.first_chunk()
    }

    /// The octet at `index`.
    #[inline]
    pub(super) fn octet(self, index: usize) -> Option<u8> {
        self.octets.get(index).copied()
    }

    /// The 16 bits at `index`, in network order.
    #[inline]
    pub(super) fn be16(self, index: usize) -> Option<u16> {
        let field = self.octets.get(index..)?.first_chunk()?;
        Some(u16::from_be_bytes(*field))
    }

    /// The 32 bits at `index`, in network order.
    #[inline]
    pub(super) fn be32(self, index: usize) -> Option<u32> {
        let field = self.octets.get(index..)?.first_chunk()?;
        Some(u32::from_be_bytes(*field))
    }

    /// Whether all octets were captured.
    #[inline]
    pub(super) fn is_whole(self) -> bool {
        self.octets.len() == self.wire
    }
}
