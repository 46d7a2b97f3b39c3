//! Single values: in which registers they are, and the instructions that compute them.

use super::assembler::{Address, Opcode, RSI, Right, Vector};
use super::emit::{Emitter, HEADER, TooLarge};
use super::lower::comparison::UNORDERED;
use super::lower::{Id, Value};
use cotangent_core::expr::Binary;

impl Emitter<'_> {
    /// Combines two running results into the first.
    pub(super) fn join(&mut self, join: Binary, to: Vector, other: Vector) -> Result<(), TooLarge> {
        let op = match join {
            Binary::Add => {
                self.assembler.vector(Opcode::ADD, to, to, Right::Register(other), None);
                return Ok(());
            }
            Binary::Max => Opcode::MAX,
            _ => Opcode::MIN,
        };
        // The instructions give the right operand where the left one is NaN.
        let (extreme, nan) = (self.register()?, self.register()?);
        self.assembler.vector(op, extreme, other, Right::Register(to), None);
        self.compare(Opcode::COMPARE, nan, other, Right::Register(other), Some(UNORDERED));
        self.blend(nan, extreme, other, nan);
        self.assembler.vector(Opcode::LOAD, to, 0, Right::Register(nan), None);
        self.free.extend([extreme, nan]);
        Ok(())
    }

    /// A comparison: all bits of `to` are set where it holds.
    pub(super) fn compare(&mut self, op: Opcode, to: Vector, left: Vector, right: Right, how: Option<u8>) {
        if self.width == 32 {
            return self.assembler.vector(op, to, left, right, how);
        }
        let mask = *self.free_masks.last().expect("not all are taken");
        self.assembler.vector(op, mask, left, right, how);
        self.assembler.vector(Opcode::SPREAD.of(self.formula.size), to, 0, Right::Register(mask), None);
    }

    /// `yes` where the mask is set, else `no`. With vectors of 64 bytes the result has to be where the mask is.
    pub(super) fn blend(&mut self, to: Vector, no: Vector, yes: Vector, mask: Vector) {
        if self.width == 32 {
            let op = Opcode::BLEND.of(self.formula.size);
            return self.assembler.vector(op, to, no, Right::Register(yes), Some(mask << 4));
        }
        const FIRST_CHOOSES: u8 = 0b1100_1010;
        debug_assert_eq!(to, mask);
        self.assembler.vector(Opcode::TABULATED, to, yes, Right::Register(no), Some(FIRST_CHOOSES));
    }

    /// Computes a value into a register.
    pub(super) fn compute(&mut self, value: Value) -> Result<Vector, TooLarge> {
        let (op, left, right, immediate) = match value {
            Value::One(op, a, immediate) => (op, None, a, immediate),
            Value::Two(op, a, b, immediate) => {
                // Only the right operand may be in memory.
                let swap = op.commutes() && self.at[a as usize].is_none() && self.at[b as usize].is_some();
                let (a, b) = if swap { (b, a) } else { (a, b) };
                (op, Some(a), b, immediate)
            }
            Value::Fma(a, b, c) => return self.fma(a, b, c),
            Value::Blend(no, yes, mask) if self.in_mask(mask) => {
                let no_at = self.operand(no)?;
                let yes_at = self.right(yes);
                let mask_at = self.operand(mask)?;
                self.done(no, no_at);
                self.done_right(yes, yes_at);
                let to = self.register()?;
                self.assembler.masked(mask_at, Opcode::CHOOSE.of(self.formula.size), to, no_at, yes_at, true);
                self.done(mask, mask_at);
                return Ok(to);
            }
            Value::Blend(no, yes, mask) => {
                let to = if self.width == 64 { Some(self.taken(mask)?) } else { None };
                let [no_at, yes_at] = [self.operand(no)?, self.operand(yes)?];
                let mask_at = to.map_or_else(|| self.operand(mask), Ok)?;
                self.done(no, no_at);
                self.done(yes, yes_at);
                let to = match to {
                    Some(to) => to,
                    None => {
                        self.done(mask, mask_at);
                        self.register()?
                    }
                };
                self.blend(to, no_at, yes_at, mask_at);
                return Ok(to);
            }
            Value::Load(_) | Value::Slot(_) | Value::Running(_) => unreachable!("not computed"),
        };
        let left_at = left.map(|a| self.operand(a)).transpose()?;
        let right_at = if op.reads_memory() { self.right(right) } else { Right::Register(self.operand(right)?) };
        if let (Some(left), Some(left_at)) = (left, left_at) {
            self.done(left, left_at);
        }
        self.done_right(right, right_at);
        let to = self.register()?;
        if op.is_comparison() {
            self.compare(op, to, left_at.unwrap_or(0), right_at, immediate);
        } else {
            self.assembler.vector(op, to, left_at.unwrap_or(0), right_at, immediate);
        }
        Ok(to)
    }

    /// a·b + c, in the place of an operand that is not needed any more.
    pub(super) fn fma(&mut self, a: Id, b: Id, c: Id) -> Result<Vector, TooLarge> {
        let dies = |emitter: &Self, id: Id| emitter.at[id as usize].is_some() && emitter.uses[id as usize] == 1;
        let (a, b) = if dies(self, b) && !dies(self, a) { (b, a) } else { (a, b) };
        let sum = dies(self, c) && !dies(self, a);
        let (result, left, right) = if sum { (c, a, b) } else { (a, b, c) };
        let op = if sum { Opcode::FMA_231 } else { Opcode::FMA_213 };
        let to = self.taken(result)?;
        let left_at = self.operand(left)?;
        let right_at = self.right(right);
        self.assembler.vector(op.of(self.formula.size), to, left_at, right_at, None);
        self.done(left, left_at);
        self.done_right(right, right_at);
        Ok(to)
    }

    /// A value in a register that may be overwritten: its own if it is not needed any more, or another one.
    pub(super) fn taken(&mut self, id: Id) -> Result<Vector, TooLarge> {
        if self.at[id as usize].is_some() && self.uses[id as usize] == 1 {
            self.uses[id as usize] = 0;
            return Ok(self.at[id as usize].take().expect("it is in a register"));
        }
        let (to, from) = (self.register()?, self.at[id as usize]);
        self.assembler.vector(Opcode::LOAD, to, 0, self.right(id), None);
        if let Some(register) = from {
            self.done(id, register);
        }
        Ok(to)
    }

    /// A value in a register.
    pub(super) fn operand(&mut self, id: Id) -> Result<Vector, TooLarge> {
        if let Some(register) = self.at[id as usize] {
            return Ok(register);
        }
        let register = self.register()?;
        self.assembler.vector(Opcode::LOAD, register, 0, self.slot(id as usize), None);
        Ok(register)
    }

    /// A value as a right operand: in its register, or in memory if it is in none.
    fn right(&self, id: Id) -> Right {
        self.at[id as usize].map_or_else(|| self.slot(id as usize), Right::Register)
    }

    /// [`done`](Self::done) with a right operand.
    fn done_right(&mut self, id: Id, right: Right) {
        if let Right::Register(register) = right {
            self.done(id, register);
        }
    }

    /// One reading of a value less; its register is free after the last, and at once if it was made for this reading.
    pub(super) fn done(&mut self, id: Id, register: Vector) {
        if self.at[id as usize].is_none() {
            self.free.push(register);
            return;
        }
        self.uses[id as usize] -= 1;
        if self.uses[id as usize] == 0 {
            self.release(id);
        }
    }

    pub(super) fn release(&mut self, id: Id) {
        let register = self.at[id as usize].take();
        if self.in_mask(id) { self.free_masks.extend(register) } else { self.free.extend(register) }
    }

    /// Whether a value's register is a mask.
    pub(super) fn in_mask(&self, id: Id) -> bool {
        self.chooses[id as usize % self.flat.len()]
    }

    /// Compares into a mask register. One is left for comparisons that do not stay there.
    pub(super) fn comparison(&mut self, value: Value) -> Result<u8, TooLarge> {
        let Value::Two(op, a, b, how) = value else { unreachable!("a comparison has two operands") };
        let left = self.operand(a)?;
        let right = self.right(b);
        self.done(a, left);
        self.done_right(b, right);
        if self.free_masks.len() == 1 {
            return Err(TooLarge);
        }
        let to = self.free_masks.remove(0);
        self.assembler.vector(op, to, left, right, how);
        Ok(to)
    }

    pub(super) fn register(&mut self) -> Result<Vector, TooLarge> {
        self.free.pop().ok_or(TooLarge)
    }

    /// A vector of the table.
    pub(super) fn table(&self, at: usize) -> Address {
        Address { base: RSI, index: None, offset: (at * self.width) as i32 }
    }

    /// One of the numbers in the table.
    pub(super) fn number(&self, which: usize) -> Address {
        let Address { base, index, offset } = self.table(1);
        Address { base, index, offset: offset + 8 * which as i32 }
    }

    /// The slot of a value that does not change.
    pub(super) fn slot(&self, id: usize) -> Right {
        Right::Memory(self.table(HEADER + self.flat[id].expect("what is in no register is in a slot")))
    }
}
