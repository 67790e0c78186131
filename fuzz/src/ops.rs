//! Reads a fuzzer's input as a list of operations.
//!
//! Takes:  any octets
//! Gives:  numbers and slices from the front, fewer or none where they end
//! Never:  fails

/// What is left of the input.
#[derive(Clone, Copy, Debug)]
pub struct Ops<'a>(pub &'a [u8]);

impl<'a> Ops<'a> {
    /// The next octet.
    pub fn octet(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// The next octet, or 0 at the end.
    pub fn small(&mut self) -> u8 {
        self.octet().unwrap_or(0)
    }

    /// The next two octets, the first one weighing less; 0 for those that are missing.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.small(), self.small()])
    }

    /// The next `length` octets, or as many as there are.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
