//! Encodes the few instructions of x86-64 that programs become (Intel's Software Developer's Manual, volume 2): those of
//! AVX2 on vectors of 32 bytes, or those of AVX-512 on vectors of 64 bytes.

/// A vector register.
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
    /// A vector in memory, of any alignment.
    Memory(Address),
}

/// A vector instruction: the table of operations, the prefix, the number in the table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Opcode {
    map: u8,
    prefix: u8,
    number: u8,
    /// Whether elements have 8 bytes.
    double: bool,
    /// What stands in place of the result's register, which the left one stands for, if anything.
    extension: Option<u8>,
}

const fn opcode(map: u8, prefix: u8, number: u8) -> Opcode {
    Opcode { map, prefix, number, double: false, extension: None }
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

    /// Result times left operand plus right one, rounded once.
    pub const FMA_213: Opcode = opcode(2, 1, 0xa8);
    /// Left times right operand plus result, rounded once.
    pub const FMA_231: Opcode = opcode(2, 1, 0xb8);
    /// Sum of integers.
    pub const ADD_INTEGERS: Opcode = opcode(1, 1, 0xfe);
    /// Difference of integers.
    pub const SUB_INTEGERS: Opcode = opcode(1, 1, 0xfa);
    /// All bits set where the left integer is above the right one, both signed.
    pub const ABOVE_INTEGERS: Opcode = opcode(1, 1, 0x66);
    /// Shifts the right operand, a register, by an immediate number of places and fills with zeros.
    pub const SHIFT_LEFT: Opcode = Opcode { extension: Some(6), ..opcode(1, 1, 0x72) };
    /// The same to the right.
    pub const SHIFT_RIGHT: Opcode = Opcode { extension: Some(2), ..opcode(1, 1, 0x72) };
    /// All bits of the elements set whose bit in a mask register, the right operand, is; AVX-512 only.
    pub const SPREAD: Opcode = opcode(2, 2, 0x38);
    /// Any function of the bits of the result, the left and the right operand, which the immediate byte tabulates; AVX-512
    /// only.
    pub const TABULATED: Opcode = opcode(3, 1, 0x25);
    /// The right element where the bit in the instruction's mask is set, else the left one; AVX-512 only.
    pub const CHOOSE: Opcode = opcode(2, 1, 0x65);
    /// Copies half of the first operand, by the immediate byte, to the lower half of the right one; AVX-512 only.
    pub const HALF_OF_64: Opcode = opcode(3, 1, 0x1b);
    /// Copies the second quarter of 64 bytes, or the upper half of 32, of the first operand to the start of the right one.
    pub const UPPER_HALF: Opcode = opcode(3, 1, 0x19);

    /// The same operation on elements of `size` bytes.
    pub fn of(self, size: usize) -> Opcode {
        if size == 4 {
            return self;
        }
        let double = Opcode { double: true, ..self };
        match self {
            Opcode::LOAD | Opcode::STORE => Opcode { prefix: 1, ..double },
            Opcode { map: 1, prefix: 0, number: 0x51 | 0x58..=0x5f | 0xc2, .. } => Opcode { prefix: 1, ..double },
            Opcode::ROUND | Opcode::BROADCAST | Opcode::LOAD_MASKED | Opcode::STORE_MASKED => {
                Opcode { number: self.number + 1, ..double }
            }
            Opcode::ADD_INTEGERS => Opcode { number: 0xd4, ..double },
            Opcode::SUB_INTEGERS => Opcode { number: 0xfb, ..double },
            Opcode::ABOVE_INTEGERS => Opcode { map: 2, number: 0x37, ..double },
            Opcode::SHIFT_LEFT | Opcode::SHIFT_RIGHT => Opcode { number: 0x73, ..double },
            Opcode::FMA_213 | Opcode::FMA_231 | Opcode::SPREAD | Opcode::CHOOSE => double,
            other => other,
        }
    }

    /// Whether the result is a mask: a register of its own kind in AVX-512.
    pub fn is_comparison(self) -> bool {
        let of_size = |size| self == Opcode::COMPARE.of(size) || self == Opcode::ABOVE_INTEGERS.of(size);
        of_size(4) || of_size(8)
    }

    /// Whether the right operand may be in memory.
    pub fn reads_memory(self) -> bool {
        self.extension.is_none()
    }

    /// Whether the operands may change places without another result.
    pub fn commutes(self) -> bool {
        matches!(self, Opcode { map: 1, number: 0x54 | 0x56..=0x59 | 0xd4 | 0xfe, .. })
    }
}

/// A jump whose target is not known yet.
#[must_use]
pub struct Jump(usize);

/// The mask register of a row's last elements.
pub const REST: u8 = 1;
/// The mask registers of comparisons.
pub const MASKS: std::ops::Range<u8> = 2..8;

/// Machine code in the making.
#[derive(Default)]
pub struct Assembler {
    /// What there is so far.
    pub code: Vec<u8>,
    /// Whether vectors have 64 bytes.
    pub wide: bool,
}

impl Assembler {
    /// A vector instruction: `to` ← `left` ∘ `right`; stores write `to` to `right`. Instructions of one operand have
    /// 0 as `left`.
    pub fn vector(&mut self, op: Opcode, to: Vector, left: Vector, right: Right, immediate: Option<u8>) {
        let (to, left) = op.extension.map_or((to, left), |extension| (extension, to));
        if self.wide {
            self.prefix_of_64(op, to, left, right, 0)
        } else {
            self.prefix_of_32(op, to, left, right)
        }
        self.code.push(op.number);
        self.operands(to, right);
        self.code.extend(immediate);
    }

    /// A vector instruction on the elements in a mask register; the others become 0, or are as the instruction says if
    /// `keep`. AVX-512 only.
    pub fn masked(&mut self, mask: u8, op: Opcode, to: Vector, left: Vector, right: Right, keep: bool) {
        self.prefix_of_64(op, to, left, right, mask | if keep { 0 } else { 1 << 7 });
        self.code.push(op.number);
        self.operands(to, right);
    }

    /// Reads [`REST`] from memory. AVX-512 only.
    pub fn load_rest(&mut self, from: Address) {
        debug_assert!(from.base < 8 && from.index.is_none());
        self.code.extend([0xc4, 0xe1, 0x78, 0x90]);
        self.operands(REST, Right::Memory(from));
    }

    fn prefix_of_32(&mut self, op: Opcode, to: Vector, left: Vector, right: Right) {
        let (index, base) = Self::registers(right);
        // Bits of the prefix that extend registers are inverted, and so is the left register.
        let extended = |register: u8, bit: u8| if register < 8 { 1 << bit } else { 0 };
        let fma = op.map == 2 && matches!(op.number, 0xa8 | 0xb8);
        self.code.push(0xc4);
        self.code.push(extended(to, 7) | extended(index, 6) | extended(base, 5) | op.map);
        self.code.push(u8::from(op.double && fma) << 7 | (!left & 15) << 3 | 1 << 2 | op.prefix);
    }

    fn prefix_of_64(&mut self, op: Opcode, to: Vector, left: Vector, right: Right, mask: u8) {
        let (mut index, base) = Self::registers(right);
        if let Right::Register(_) = right {
            // Its highest bit is where an index would have one.
            index = base >> 1;
        }
        let inverted = |register: u8, from: u8, bit: u8| (!register >> from & 1) << bit;
        self.code.push(0x62);
        self.code.push(inverted(to, 3, 7) | inverted(index, 3, 6) | inverted(base, 3, 5) | inverted(to, 4, 4) | op.map);
        self.code.push(u8::from(op.double) << 7 | (!left & 15) << 3 | 1 << 2 | op.prefix);
        self.code.push(mask | 2 << 5 | inverted(left, 4, 3));
    }

    /// The registers of an address, or 0 and the register.
    fn registers(right: Right) -> (u8, u8) {
        match right {
            Right::Register(register) => (0, register),
            Right::Memory(Address { base, index, .. }) => (index.unwrap_or(0), base),
        }
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
        let (index, base) = Self::registers(right);
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

    /// Adds a number.
    pub fn add(&mut self, register: General, number: i32) {
        self.general(0x81, 0, Right::Register(register));
        self.code.extend(number.to_le_bytes());
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

    /// Has the cache line of an address fetched, if there is one.
    pub fn prefetch(&mut self, from: Address) {
        let (index, base) = Self::registers(Right::Memory(from));
        self.code.extend([0x40 | index >> 3 << 1 | base >> 3, 0x0f, 0x18]);
        self.operands(1, Right::Memory(from));
    }

    /// Clears the upper halves of vector registers, without which older instructions are slow, and returns.
    pub fn finish(&mut self) {
        self.code.extend([0xc5, 0xf8, 0x77, 0xc3]);
    }
}
