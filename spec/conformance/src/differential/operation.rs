//! Operations: the random numbers of one event as sixteen bytes.
//!
//! A fuzzer changes bytes, and a shrinker makes them smaller and leaves some out. So a byte is one decision:
//! it is the upper eight bits of the next number drawn, and a change of it changes one event in one
//! respect.

use core::convert::Infallible;
use core::fmt;

use rand::rand_core::TryRng;

use crate::subject::{Generate, Pace};

/// Event of a history, as what is drawn for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Operation(pub [u8; Operation::BYTES]);

impl Operation {
    /// Bytes of an operation: more than most events draw.
    pub const BYTES: usize = 16;

    /// Operations that these bytes are; what is left at the end is none.
    pub fn all(bytes: &[u8]) -> impl Iterator<Item = Self> {
        bytes.as_chunks().0.iter().copied().map(Self)
    }

    /// Commands that the bytes may be for an object in this state, one after the other, without an end.
    pub fn commands<S: Generate>(&self, state: &S) -> impl Iterator<Item = S::Command> {
        let mut numbers = self.numbers();
        core::iter::repeat_with(move || state.generate(&mut numbers, Pace::Long))
    }

    /// Random numbers that the bytes are.
    pub(super) fn numbers(&self) -> Numbers<'_> {
        let seed = self.0.iter().fold(0_u64, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte));
        Numbers { bytes: self.0.iter(), state: seed }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Random numbers out of an operation: their upper byte is the next one of its bytes, as long as there
/// are any. The rest of them is SplitMix64, seeded with all bytes (Steele, Lea and Flood 2014).
pub(super) struct Numbers<'a> {
    bytes: core::slice::Iter<'a, u8>,
    state: u64,
}

impl TryRng for Numbers<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| (number >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let mixed = mixed ^ (mixed >> 31);
        Ok(match self.bytes.next() {
            Some(byte) => u64::from(*byte) << 56 | mixed >> 8,
            None => mixed,
        })
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = (self.try_next_u64()? >> 56) as u8;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn a_byte_decides_one_draw() {
        let mut bytes = [0; Operation::BYTES];
        bytes[1] = 200;
        let operation = Operation(bytes);
        let mut numbers = operation.numbers();
        let drawn: Vec<u32> = (0..3).map(|_| numbers.random_range(0..100)).collect();
        assert_eq!(drawn, [0, 78, 0]);
    }

    #[test]
    fn what_is_drawn_after_the_last_byte_still_differs() {
        let operation = Operation([7; Operation::BYTES]);
        let mut numbers = operation.numbers();
        let drawn: Vec<u64> = (0..40).map(|_| numbers.random()).collect();
        let different: std::collections::BTreeSet<&u64> = drawn.iter().collect();
        assert_eq!(different.len(), 40);
    }
}
