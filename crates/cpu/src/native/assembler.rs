//! Encodes the few instructions of x86-64 with AVX2 that programs become (Intel's Software Developer's Manual, volume 2).

/// A vector register, of 32 bytes.
pub type Vector = u8;
/// A general register.
pub type General = u8;

/// Result, counter, the first two arguments of a function, in the order of their numbers.
pub const RAX: General = 0;
/// The third general register that calls do not keep.
pub const RDX: General = 2;
/// Second argument of a function.
pub const RSI: General = 6;
/// First argument of a function.
pub const RDI: General = 7;

/// A place in memory: base + index + offset.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// Register of the base.
    pub base: General,
    /// Register that is added, if any.
    pub index: Option<General>,
    /// Bytes that are added.
    pub offset: i32,
}

/// The second operand of a vector instruction.
#[derive(Clone, Copy, Debug)]
pub enum Right {
    /// A register.
    Register(Vector),
    /// 32 bytes in memory, of any alignment.
    Memory(Address),
}

/// A vector instruction: the table of operations, the prefix, the number in the table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Opcode {
    map: u8,
    prefix: u8,
    number: u8,
}

const fn opcode(map: u8, prefix: u8, number: u8) -> Opcode {
    Opcode { map, prefix, number }
}

impl Opcode {
    /// Copies, memory of any alignment to a register.
    pub const LOAD: Opcode = opcode(1, 0, 0x10);
    /// Copies a register to memory of any alignment.
    pub const STORE: Opcode = opcode(1, 0, 0x11);
    /// One element of memory, again and again.
    pub const BROADCAST: Opcode = opcode(2, 1, 0x18);
    /// Copies the elements whose bit of sign is set in the left operand; the others become 0.
    pub const LOAD_MASKED: Opcode = opcode(2, 1, 0x2c);
    /// Copies the elements whose bit of sign is set in the left operand to memory.
    pub const STORE_MASKED: Opcode = opcode(2, 1, 0x2e);
    /// The first bits, and.
    pub const AND: Opcode = opcode(1, 0, 0x54);
    /// The right bits where the left ones are not set.
    pub const AND_NOT: Opcode = opcode(1, 0, 0x55);
    /// Inclusive or of bits.
    pub const OR: Opcode = opcode(1, 0, 0x56);
    /// Exclusive or of bits.
    pub const XOR: Opcode = opcode(1, 0, 0x57);
    /// Sum; like those that follow of `f32`, see [`of`](Opcode::of).
    pub const ADD: Opcode = opcode(1, 0, 0x58);
    /// Product.
    pub const MUL: Opcode = opcode(1, 0, 0x59);
    /// Difference.
    pub const SUB: Opcode = opcode(1, 0, 0x5c);
    /// The smaller one; the right one if either is NaN or both are zeros.
    pub const MIN: Opcode = opcode(1, 0, 0x5d);
    /// Quotient.
    pub const DIV: Opcode = opcode(1, 0, 0x5e);
    /// The larger one; the right one if either is NaN or both are zeros.
    pub const MAX: Opcode = opcode(1, 0, 0x5f);
    /// Square root of the right operand; the left one is not used.
    pub const SQRT: Opcode = opcode(1, 0, 0x51);
    /// All bits set where a comparison, which the immediate byte selects, holds.
    pub const COMPARE: Opcode = opcode(1, 0, 0xc2);
    /// Rounds the right operand to integers, as the immediate byte says.
    pub const ROUND: Opcode = opcode(3, 1, 0x08);
    /// The right element where the sign of the mask, a register in the immediate byte, is set, else the left one.
    pub const BLEND: Opcode = opcode(3, 1, 0x4a);

    /// Copies the upper half of the first operand to the lower half of the right one.
    pub const UPPER_HALF: Opcode = opcode(3, 1, 0x19);

    /// The same operation on elements of `size` bytes.
    pub fn of(self, size: usize) -> Opcode {
        match (size, self) {
            (8, Opcode::ROUND) => opcode(3, 1, 0x09),
            (8, Opcode { map: 1, prefix: 0, number: 0x51 | 0x58..=0x5f | 0xc2 }) => Opcode { prefix: 1, ..self },
            (8, Opcode::BROADCAST | Opcode::LOAD_MASKED | Opcode::STORE_MASKED) => {
                Opcode { number: self.number + 1, ..self }
            }
            _ => self,
        }
    }

    /// Whether the operands may change places without another result.
    pub fn commutes(self) -> bool {
        matches!(self, Opcode { map: 1, number: 0x54 | 0x56..=0x59, .. })
    }
}

/// A jump whose target is not known yet.
#[must_use]
pub struct Jump(usize);

/// Machine code in the making.
#[derive(Default)]
pub struct Assembler {
    /// What there is so far.
    pub code: Vec<u8>,
}

impl Assembler {
    /// A vector instruction: `to` ← `left` ∘ `right`; stores write `to` to `right`. Instructions of one operand have
    /// 0 as `left`.
    pub fn vector(&mut self, op: Opcode, to: Vector, left: Vector, right: Right, immediate: Option<u8>) {
        let (index, base) = match right {
            Right::Register(register) => (0, register),
            Right::Memory(Address { base, index, .. }) => (index.unwrap_or(0), base),
        };
        // Bits of the prefix that extend registers are inverted, and so is the left register.
        let extended = |register: u8, bit: u8| if register < 8 { 1 << bit } else { 0 };
        self.code.push(0xc4);
        self.code.push(extended(to, 7) | extended(index, 6) | extended(base, 5) | op.map);
        self.code.push((!left & 15) << 3 | 1 << 2 | op.prefix);
        self.code.push(op.number);
        self.operands(to, right);
        self.code.extend(immediate);
    }

    /// The bytes after an operation that say what its operands are.
    fn operands(&mut self, register: u8, right: Right) {
        let register = (register & 7) << 3;
        match right {
            Right::Register(right) => self.code.push(0xc0 | register | right & 7),
            Right::Memory(Address { base, index, offset }) => {
                // No index is written as the stack pointer's number.
                let index = index.map_or(4, |index| index & 7);
                self.code.extend([0x80 | register | 4, index << 3 | base & 7]);
                self.code.extend(offset.to_le_bytes());
            }
        }
    }

    /// An instruction with a 64-bit register and another operand.
    fn general(&mut self, number: u8, register: General, right: Right) {
        let (index, base) = match right {
            Right::Register(register) => (0, register),
            Right::Memory(Address { base, index, .. }) => (index.unwrap_or(0), base),
        };
        self.code.push(0x48 | register >> 3 << 2 | index >> 3 << 1 | base >> 3);
        self.code.push(number);
        self.operands(register, right);
    }

    /// Reads a register from memory.
    pub fn load(&mut self, to: General, from: Address) {
        self.general(0x8b, to, Right::Memory(from));
    }

    /// Adds a register to memory.
    pub fn add_to(&mut self, to: Address, register: General) {
        self.general(0x01, register, Right::Memory(to));
    }

    /// Takes 1 off memory.
    pub fn decrement(&mut self, at: Address) {
        self.general(0xff, 1, Right::Memory(at));
    }

    /// Makes a register 0.
    pub fn clear(&mut self, register: General) {
        self.general(0x33, register, Right::Register(register));
    }

    /// Adds a small number.
    pub fn add(&mut self, register: General, number: u8) {
        self.general(0x83, 0, Right::Register(register));
        self.code.push(number);
    }

    /// Adds a number.
    pub fn add_wide(&mut self, register: General, number: i32) {
        self.general(0x81, 0, Right::Register(register));
        self.code.extend(number.to_le_bytes());
    }

    /// Compares two registers.
    pub fn compare(&mut self, left: General, right: General) {
        self.general(0x3b, left, Right::Register(right));
    }

    /// Compares a register with 0.
    pub fn test(&mut self, register: General) {
        self.general(0x85, register, Right::Register(register));
    }

    /// Saves a register on the stack.
    pub fn push(&mut self, register: General) {
        self.code.extend([0x40 | register >> 3, 0x50 | register & 7]);
    }

    /// Takes a register off the stack.
    pub fn pop(&mut self, register: General) {
        self.code.extend([0x40 | register >> 3, 0x58 | register & 7]);
    }

    fn jump_on(&mut self, condition: u8) -> Jump {
        self.code.extend([0x0f, condition, 0, 0, 0, 0]);
        Jump(self.code.len())
    }

    /// Jumps on if the last result was 0.
    pub fn jump_if_zero(&mut self) -> Jump {
        self.jump_on(0x84)
    }

    /// Jumps on if the last result was not 0.
    pub fn jump_unless_zero(&mut self) -> Jump {
        self.jump_on(0x85)
    }

    /// Jumps on if the last result was negative.
    pub fn jump_if_negative(&mut self) -> Jump {
        self.jump_on(0x88)
    }

    /// Jumps on.
    pub fn jump(&mut self) -> Jump {
        self.code.extend([0xe9, 0, 0, 0, 0]);
        Jump(self.code.len())
    }

    /// Makes this place a jump's target.
    pub fn land(&mut self, jump: Jump) {
        let distance = (self.code.len() - jump.0) as i32;
        self.code[jump.0 - 4..jump.0].copy_from_slice(&distance.to_le_bytes());
    }

    /// Jumps back if the last comparison found its left side below the right one.
    pub fn jump_back_if_below(&mut self, target: usize) {
        self.jump_back(0x82, target);
    }

    /// Jumps back if the last result was not 0.
    pub fn jump_back_unless_zero(&mut self, target: usize) {
        self.jump_back(0x85, target);
    }

    /// Jumps back if the last result was not negative.
    pub fn jump_back_unless_negative(&mut self, target: usize) {
        self.jump_back(0x89, target);
    }

    fn jump_back(&mut self, condition: u8, target: usize) {
        let distance = target as i32 - (self.code.len() as i32 + 6);
        self.code.extend([0x0f, condition]);
        self.code.extend(distance.to_le_bytes());
    }

    /// Clears the upper halves of vector registers, without which older instructions are slow, and returns.
    pub fn finish(&mut self) {
        self.code.extend([0xc5, 0xf8, 0x77, 0xc3]);
    }
}
