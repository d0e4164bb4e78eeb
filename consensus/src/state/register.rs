//! The register of an image: its whole story in one hash (protocol section 3).
//!
//! Each purchase and each review is a step from one register to the next. A step names who, how many or how well, what
//! was sold after it, and where it stands in the chain: whoever knows the register before a step, and the steps since, can
//! show that a state holds exactly this step. That is what proves edition numbers.

use crate::hash::{Hash, Tag, tagged};
use crate::key::PublicKey;

use super::entry::Position;

/// What a step of a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterKind {
    /// Kind 0: editions bought; the value is how many.
    Purchase,
    /// Kind 1: a review; the value is its rating.
    Review,
}

impl RegisterKind {
    fn byte(self) -> u8 {
        match self {
            Self::Purchase => 0,
            Self::Review => 1,
        }
    }
}

/// One step of an image's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterStep {
    /// What happened.
    pub kind: RegisterKind,
    /// Who did it.
    pub sender: PublicKey,
    /// How many editions, or which rating.
    pub value: u32,
    /// How many editions were sold after it.
    pub sold: u32,
    /// Where it stands in the chain.
    pub position: Position,
}

impl RegisterStep {
    /// `register = H("printsy/register", register, kind u8, sender, value u32, sold u32 after it, position)`.
    #[must_use]
    pub fn after(&self, register: &Hash) -> Hash {
        tagged(
            Tag::Register,
            &[
                &register.0,
                &[self.kind.byte()],
                &self.sender.0,
                &self.value.to_le_bytes(),
                &self.sold.to_le_bytes(),
                &self.position.height.to_le_bytes(),
                &self.position.index.to_le_bytes(),
            ],
        )
    }
}
