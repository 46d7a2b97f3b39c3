//! From values to machine code: a loop over vectors, and one more turn for the elements that are left.
//!
//! The function runs over rows. It takes pointers and a table. The pointers are those to the places of the first row, those
//! to the places of one element, those to where combined lanes go, and as many distances in bytes from one row to the next. The table begins with the mask of
//! the elements that a row has beyond whole vectors and with four numbers: the bytes of a row's whole vectors, whether
//! elements are left over, the number of rows, and where the pointers are; then come the slots.

use super::assembler::{Address, Assembler, General, Opcode, RAX, RDI, RDX, RSI, Right, Vector};
use super::lower::comparison::UNORDERED;
use super::lower::{Combined, Formula, Id, Slot, Value};
use crate::lanes::LANES;
use cotangent_core::expr::Binary;
use smallvec::SmallVec;

/// Bytes of a vector.
pub const WIDTH: usize = 32;
/// Vectors in the table before the slots.
pub const HEADER: usize = 2;

/// Vectors of lanes that combined results have, in single precision.
pub const PARTS: usize = LANES * 4 / WIDTH;

/// Registers for pointers: those that a call need not keep, those that it has to, and at last the one that the array of
/// pointers is in.
const POINTERS: [General; 12] = [8, 9, 10, 11, 1, 3, 5, 12, 13, 14, 15, RDI];
/// Where in [`POINTERS`] those begin that a call has to keep.
const KEPT: std::ops::Range<usize> = 5..11;
/// The mask of the elements that are left over.
const MASK: Vector = 15;

/// What keeps a formula from becoming code: it needs more registers than there are.
#[derive(Debug)]
pub struct TooLarge;

/// The formula as a function. What it computes of slots alone becomes more slots.
pub fn emit(formula: &mut Formula) -> Result<Vec<u8>, TooLarge> {
    if formula.pointers.len() > POINTERS.len() {
        return Err(TooLarge);
    }
    // A value that is combined counts as one that changes, even if it is a number.
    let mut flat: Vec<Option<usize>> = vec![];
    for at in 0..formula.values.len() {
        let value = formula.values[at];
        let operands = value.operands();
        flat.push(match value {
            Value::Slot(slot) => Some(slot),
            Value::Load(_) | Value::Running(_) => None,
            _ if operands.iter().all(|&id| flat[id as usize].is_some()) => {
                formula.slots.push(Slot::Computed);
                Some(formula.slots.len() - 1)
            }
            _ => None,
        });
    }
    let uses = |id: usize| {
        let varying = |at: &usize| flat[*at].is_none();
        let operands = (0..flat.len()).filter(varying).flat_map(|at| formula.values[at].operands());
        operands.filter(|&operand| operand as usize == id).count()
    };
    let mut invariant: Vec<usize> = (0..flat.len()).filter(|&id| flat[id].is_some() && uses(id) > 0).collect();
    invariant.sort_by_key(|&id| std::cmp::Reverse(uses(id)));
    // As many of the numbers that do not change stay in registers as the others leave room for.
    (0..=invariant.len().min(12))
        .rev()
        .find_map(|count| Emitter::new(formula, &flat).function(&invariant[..count]).ok())
        .ok_or(TooLarge)
}

struct Emitter<'a> {
    assembler: Assembler,
    formula: &'a Formula,
    /// The slots of values that do not change.
    flat: &'a [Option<usize>],
    /// The registers that values are in.
    at: Vec<Option<Vector>>,
    /// How often a value is still read.
    uses: Vec<usize>,
    free: Vec<Vector>,
}

impl<'a> Emitter<'a> {
    fn new(formula: &'a Formula, flat: &'a [Option<usize>]) -> Self {
        let (at, uses) = (vec![None; flat.len()], vec![0; flat.len()]);
        Emitter { assembler: Assembler::default(), formula, flat, at, uses, free: (0..MASK).rev().collect() }
    }

    fn function(mut self, pinned: &[usize]) -> Result<Vec<u8>, TooLarge> {
        let Formula { pointers, flats, combined, .. } = self.formula;
        let registers = &POINTERS[..pointers.len()];
        let kept = &POINTERS[KEPT.start..KEPT.end.min(pointers.len()).max(KEPT.start)];
        let count = pointers.len() + flats.len() + combined.len();
        kept.iter().for_each(|&register| self.assembler.push(register));
        let row = self.assembler.code.len();
        for (k, &(_, slot)) in flats.iter().enumerate() {
            self.assembler.load(RAX, pointer(pointers.len() + k));
            self.assembler.vector(Opcode::BROADCAST.of(self.formula.size), 0, 0, Right::Memory(behind(RAX)), None);
            self.assembler.vector(Opcode::STORE, 0, 0, Right::Memory(table(HEADER + slot)), None);
        }
        self.hoisted()?;
        let running = self.begin_row(pinned)?;
        for (k, &register) in registers.iter().enumerate() {
            self.assembler.load(register, pointer(k));
        }
        self.assembler.load(RDX, number(0));
        self.assembler.clear(RAX);
        if combined.is_empty() {
            self.elements(pinned)?
        } else {
            self.combined_elements(pinned, &running)?
        }

        self.assembler.load(RDI, number(3));
        for (k, lanes) in running.iter().enumerate() {
            let join = combined[k].join;
            for half in [2, 1] {
                (0..half).try_for_each(|part| self.join(join, lanes[part], lanes[part + half]))?;
            }
            self.assembler.vector(Opcode::UPPER_HALF, lanes[0], 0, Right::Register(lanes[1]), Some(1));
            self.join(join, lanes[0], lanes[1])?;
            self.assembler.load(RAX, pointer(count - combined.len() + k));
            self.assembler.vector(Opcode::STORE, lanes[0], 0, Right::Memory(behind(RAX)), None);
        }
        for k in 0..count {
            self.assembler.load(RAX, pointer(count + k));
            self.assembler.add_to(pointer(k), RAX);
        }
        self.assembler.decrement(number(2));
        self.assembler.jump_back_unless_zero(row);
        kept.iter().rev().for_each(|&register| self.assembler.pop(register));
        self.assembler.finish();
        Ok(self.assembler.code)
    }

    /// Loads what stays in registers all over a row: numbers, and what combined results begin with.
    fn begin_row(&mut self, pinned: &[usize]) -> Result<Vec<[Vector; PARTS]>, TooLarge> {
        let mut running = vec![];
        for combined in &self.formula.combined {
            let mut lanes = [0; PARTS];
            for register in &mut lanes {
                *register = self.register()?;
                self.assembler.vector(Opcode::LOAD, *register, 0, self.slot(combined.start as usize), None);
            }
            running.push(lanes);
        }
        for &id in pinned {
            let register = self.register()?;
            self.assembler.vector(Opcode::LOAD, register, 0, self.slot(id), None);
            self.at[id] = Some(register);
        }
        Ok(running)
    }

    /// Combines two running results into the first.
    fn join(&mut self, join: Binary, to: Vector, other: Vector) -> Result<(), TooLarge> {
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
        self.assembler.vector(Opcode::COMPARE, nan, other, Right::Register(other), Some(UNORDERED));
        self.assembler.vector(Opcode::BLEND, to, extreme, Right::Register(other), Some(nan << 4));
        self.free.extend([extreme, nan]);
        Ok(())
    }

    /// The loop over the vectors of a row.
    fn elements(&mut self, pinned: &[usize]) -> Result<(), TooLarge> {
        self.assembler.test(RDX);
        let no_vectors = self.assembler.jump_if_zero();
        let start = self.assembler.code.len();
        self.turn(pinned, 0, false, &[])?;
        self.assembler.add(RAX, WIDTH as u8);
        self.assembler.compare(RAX, RDX);
        self.assembler.jump_back_if_below(start);
        self.assembler.land(no_vectors);
        self.rest(pinned, &[])
    }

    /// The turn for the elements of a row beyond whole vectors, if there are any.
    fn rest(&mut self, pinned: &[usize], running: &[Vector]) -> Result<(), TooLarge> {
        self.assembler.load(RDX, number(1));
        self.assembler.test(RDX);
        let no_rest = self.assembler.jump_if_zero();
        self.assembler.vector(Opcode::LOAD, MASK, 0, Right::Memory(table(0)), None);
        self.turn(pinned, 0, true, running)?;
        self.assembler.land(no_rest);
        Ok(())
    }

    /// The loop where results are combined: [`PARTS`] vectors side by side, each with lanes of its own.
    fn combined_elements(&mut self, pinned: &[usize], running: &[[Vector; PARTS]]) -> Result<(), TooLarge> {
        let of = |part: usize| running.iter().map(|lanes| lanes[part]).collect::<SmallVec<[Vector; 2]>>();
        // RDX counts down to what is left of whole vectors, less those of a full turn.
        let full = (PARTS * WIDTH) as i32;
        self.assembler.add_wide(RDX, -full);
        let none = self.assembler.jump_if_negative();
        let start = self.assembler.code.len();
        for part in 0..PARTS {
            self.turn(pinned, part * WIDTH, false, &of(part))?;
        }
        self.assembler.add_wide(RAX, full);
        self.assembler.add_wide(RDX, -full);
        self.assembler.jump_back_unless_negative(start);
        self.assembler.land(none);
        self.assembler.add_wide(RDX, full);
        let mut ends = vec![];
        for part in 0..PARTS {
            self.assembler.test(RDX);
            let more = self.assembler.jump_unless_zero();
            self.rest(pinned, &of(part))?;
            ends.push(self.assembler.jump());
            self.assembler.land(more);
            if part + 1 < PARTS {
                self.turn(pinned, 0, false, &of(part))?;
                self.assembler.add_wide(RAX, WIDTH as i32);
                self.assembler.add_wide(RDX, -(WIDTH as i32));
            }
        }
        ends.into_iter().for_each(|end| self.assembler.land(end));
        Ok(())
    }

    /// Computes what does not change, to slots.
    fn hoisted(&mut self) -> Result<(), TooLarge> {
        let values = &self.formula.values;
        let computed = |&id: &usize| self.flat[id].is_some() && !matches!(values[id], Value::Slot(_));
        for id in (0..values.len()).filter(computed).collect::<Vec<_>>() {
            // Operands come from slots, so the result's register is free again at once.
            let register = self.compute(values[id])?;
            let slot = self.slot(id);
            self.assembler.vector(Opcode::STORE, register, 0, slot, None);
            self.free.push(register);
        }
        Ok(())
    }

    /// The program on one vector, `offset` bytes on, or on what is left over. `running` are the lanes of combined results.
    fn turn(&mut self, pinned: &[usize], offset: usize, rest: bool, running: &[Vector]) -> Result<(), TooLarge> {
        let Formula { values, stores, combined, .. } = self.formula;
        let varying: Vec<usize> = (0..values.len()).filter(|&id| self.flat[id].is_none()).collect();
        self.uses.fill(0);
        for &id in &varying {
            values[id].operands().iter().for_each(|&operand| self.uses[operand as usize] += 1);
        }
        stores.iter().for_each(|&(_, id)| self.uses[id as usize] += 1);
        combined.iter().for_each(|combined| self.uses[combined.next as usize] += 1);
        pinned.iter().for_each(|&id| self.uses[id] = usize::MAX / 2);

        // Results may go where arguments come from, so those that are ready wait for the last argument.
        let mut loads = varying.iter().filter(|&&id| matches!(values[id], Value::Load(_))).count();
        let mut waiting: Vec<(usize, Id)> = stores.to_vec();
        for &id in &varying {
            let register = match values[id] {
                Value::Load(pointer) => {
                    loads -= 1;
                    let register = self.register()?;
                    let (op, mask) = self.transfer(Opcode::LOAD, Opcode::LOAD_MASKED, rest);
                    self.assembler.vector(op, register, mask, element(pointer, offset), None);
                    register
                }
                // Its register is not given back: it is the running result's own.
                Value::Running(k) => {
                    self.uses[id] = usize::MAX / 2;
                    running[k]
                }
                value => self.compute(value)?,
            };
            self.at[id] = Some(register);
            if self.uses[id] == 0 {
                self.release(id as Id);
            }
            if loads == 0 {
                self.store(&mut waiting, id, rest)?;
            }
        }
        self.store(&mut waiting, usize::MAX, rest)?;
        for (&Combined { next, .. }, &to) in combined.iter().zip(running) {
            let from = self.operand(next)?;
            if rest {
                let op = Opcode::BLEND.of(self.formula.size);
                self.assembler.vector(op, to, to, Right::Register(from), Some(MASK << 4));
            } else {
                self.assembler.vector(Opcode::LOAD, to, 0, Right::Register(from), None);
            }
            self.done(next, from);
        }
        varying.iter().filter(|&&id| matches!(values[id], Value::Running(_))).for_each(|&id| self.at[id] = None);
        Ok(())
    }

    /// Stores the results that are ready once the values up to `done` are.
    fn store(&mut self, waiting: &mut Vec<(usize, Id)>, done: usize, rest: bool) -> Result<(), TooLarge> {
        let ready = |&(_, id): &(usize, Id)| usize::from(id) <= done;
        for (pointer, id) in waiting.iter().copied().filter(ready).collect::<Vec<_>>() {
            let register = self.operand(id)?;
            let (op, mask) = self.transfer(Opcode::STORE, Opcode::STORE_MASKED, rest);
            self.assembler.vector(op, register, mask, element(pointer, 0), None);
            self.done(id, register);
        }
        waiting.retain(|store| !ready(store));
        Ok(())
    }

    /// The instruction that moves a whole vector, or what is left over, and its left operand.
    fn transfer(&self, whole: Opcode, masked: Opcode, rest: bool) -> (Opcode, Vector) {
        if rest { (masked.of(self.formula.size), MASK) } else { (whole, 0) }
    }

    /// Computes a value into a register.
    fn compute(&mut self, value: Value) -> Result<Vector, TooLarge> {
        let (op, left, right, immediate) = match value {
            Value::One(op, a, immediate) => (op, None, a, immediate),
            Value::Two(op, a, b, immediate) => {
                // Only the right operand may be in memory.
                let swap = op.commutes() && self.at[a as usize].is_none() && self.at[b as usize].is_some();
                let (a, b) = if swap { (b, a) } else { (a, b) };
                (op, Some(a), b, immediate)
            }
            Value::Blend(a, b, mask) => {
                let [left, right, mask_at] = [self.operand(a)?, self.operand(b)?, self.operand(mask)?];
                self.done(a, left);
                self.done(b, right);
                self.done(mask, mask_at);
                let to = self.register()?;
                self.assembler.vector(
                    Opcode::BLEND.of(self.formula.size),
                    to,
                    left,
                    Right::Register(right),
                    Some(mask_at << 4),
                );
                return Ok(to);
            }
            Value::Load(_) | Value::Slot(_) | Value::Running(_) => unreachable!("not computed"),
        };
        let left_at = left.map(|a| self.operand(a)).transpose()?;
        let right_at = match self.at[right as usize] {
            Some(register) => Right::Register(register),
            None => self.slot(right as usize),
        };
        if let (Some(left), Some(left_at)) = (left, left_at) {
            self.done(left, left_at);
        }
        if let Right::Register(register) = right_at {
            self.done(right, register);
        }
        let to = self.register()?;
        self.assembler.vector(op, to, left_at.unwrap_or(0), right_at, immediate);
        Ok(to)
    }

    /// A value in a register.
    fn operand(&mut self, id: Id) -> Result<Vector, TooLarge> {
        if let Some(register) = self.at[id as usize] {
            return Ok(register);
        }
        let register = self.register()?;
        self.assembler.vector(Opcode::LOAD, register, 0, self.slot(id as usize), None);
        Ok(register)
    }

    /// One reading of a value less; its register is free after the last, and at once if it was made for this reading.
    fn done(&mut self, id: Id, register: Vector) {
        if self.at[id as usize].is_none() {
            self.free.push(register);
            return;
        }
        self.uses[id as usize] -= 1;
        if self.uses[id as usize] == 0 {
            self.release(id);
        }
    }

    fn release(&mut self, id: Id) {
        self.free.extend(self.at[id as usize].take());
    }

    fn register(&mut self) -> Result<Vector, TooLarge> {
        self.free.pop().ok_or(TooLarge)
    }

    /// The slot of a value that does not change.
    fn slot(&self, id: usize) -> Right {
        Right::Memory(table(HEADER + self.flat[id].expect("what is in no register is in a slot")))
    }
}

/// A vector of the table.
fn table(at: usize) -> Address {
    Address { base: RSI, index: None, offset: (at * WIDTH) as i32 }
}

/// One of the pointers, or of the distances after them.
fn pointer(at: usize) -> Address {
    Address { base: RDI, index: None, offset: 8 * at as i32 }
}

/// One of the numbers in the table.
fn number(which: usize) -> Address {
    let Address { base, index, offset } = table(1);
    Address { base, index, offset: offset + 8 * which as i32 }
}

/// The elements of this turn behind a pointer.
fn element(pointer: usize, offset: usize) -> Right {
    Right::Memory(Address { base: POINTERS[pointer], index: Some(RAX), offset: offset as i32 })
}

/// Memory behind a register's address.
fn behind(base: General) -> Address {
    Address { base, index: None, offset: 0 }
}
