//! From values to machine code: a loop over vectors, and one more turn for the elements that are left.
//!
//! The function runs over rows. It takes pointers and a table. The pointers are those to the places of the first row, those
//! to the places of one element, those to where combined lanes go, and as many distances in bytes from one row to the next.
//! The table begins with the mask of the elements that a row has beyond whole vectors and with four numbers: the bytes of a
//! row's whole vectors, whether elements are left over, the number of rows, and where the pointers are; then come the slots.

use super::assembler::{Address, Assembler, General, MASKS, Opcode, RAX, RDI, RDX, REST, Right, Vector};
use super::lower::{Combined, Formula, Id, Slot, Value};
use crate::lanes::LANES;
use cotangent_core::host::Line;
use smallvec::SmallVec;

/// Vectors in the table before the slots.
pub const HEADER: usize = 2;

/// Vectors of lanes that combined results have at most, in single precision.
const PARTS: usize = 4;

/// Registers for pointers: those that a call need not keep, those that it has to, and at last the one that the array of
/// pointers is in.
const POINTERS: [General; 12] = [8, 9, 10, 11, 1, 3, 5, 12, 13, 14, 15, RDI];
/// Where in [`POINTERS`] those begin that a call has to keep.
const KEPT: std::ops::Range<usize> = 5..11;
/// The mask of the elements that are left over, with vectors of 32 bytes.
const MASK: Vector = 15;

/// Bytes of a cache line.
const LINE: usize = size_of::<Line>();
/// How far ahead, in bytes, arguments that are far away are fetched: some pages, for at the end of each page of 4 KiB
/// the processor stops to fetch on its own.
const AHEAD: usize = 8192;

/// Vectors that are computed side by side at most.
const MOST_ABREAST: usize = 4;

/// The registers of a combined result's lanes.
type Lanes = SmallVec<[Vector; PARTS]>;

/// What keeps a formula from becoming code: it needs more registers than there are.
#[derive(Debug)]
pub struct TooLarge;

/// The formula as a function on vectors of `width` bytes, 32 or 64. What it computes of slots alone becomes more slots.
pub fn emit(formula: &mut Formula, width: usize) -> Result<Vec<u8>, TooLarge> {
    if formula.pointers.len() > POINTERS.len() || MOST_ABREAST * formula.values.len() > Id::MAX.into() {
        return Err(TooLarge);
    }
    // What is computed of numbers alone is a number, too.
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
    let mut uses = vec![0; flat.len()];
    for at in (0..flat.len()).filter(|&at| flat[at].is_none()) {
        formula.values[at].operands().iter().for_each(|&operand| uses[operand as usize] += 1);
    }
    let mut invariant: Vec<usize> = (0..flat.len()).filter(|&id| flat[id].is_some() && uses[id] > 0).collect();
    invariant.sort_by_key(|&id| std::cmp::Reverse(uses[id]));
    let chooses = |id: usize| width == 64 && flat[id].is_none() && formula.chooses(id as Id);
    let chooses: Vec<bool> = (0..flat.len()).map(chooses).collect();
    // Several vectors abreast if there are registers for them. As many of the numbers that do not change stay in registers
    // as the others leave room for.
    let registers = if width == 64 { 32 } else { MASK };
    let kept = invariant.len().min(registers as usize);
    let most = if formula.combined.is_empty() { MOST_ABREAST } else { 2 };
    [MOST_ABREAST, 2, 1]
        .into_iter()
        .filter(|&abreast| abreast <= most)
        .flat_map(|abreast| (0..=kept).rev().map(move |count| (abreast, count)))
        .find_map(|(abreast, count)| {
            Emitter::new(formula, &flat, &chooses, width, registers).function(&invariant[..count], abreast).ok()
        })
        .ok_or(TooLarge)
}

/// Code in the making.
pub(super) struct Emitter<'a> {
    pub(super) assembler: Assembler,
    pub(super) formula: &'a Formula,
    /// Bytes of a vector.
    pub(super) width: usize,
    /// The slots of values that do not change.
    pub(super) flat: &'a [Option<usize>],
    /// The registers that values are in.
    pub(super) at: Vec<Option<Vector>>,
    /// How often a value is still read.
    pub(super) uses: Vec<usize>,
    pub(super) free: Vec<Vector>,
    /// Which values are comparisons that only choose between others. With vectors of 64 bytes those are in mask registers.
    pub(super) chooses: &'a [bool],
    pub(super) free_masks: Vec<u8>,
}

impl<'a> Emitter<'a> {
    fn new(
        formula: &'a Formula,
        flat: &'a [Option<usize>],
        chooses: &'a [bool],
        width: usize,
        registers: Vector,
    ) -> Self {
        let (at, uses) = (vec![None; MOST_ABREAST * flat.len()], vec![0; MOST_ABREAST * flat.len()]);
        let assembler = Assembler { wide: width == 64, ..Assembler::default() };
        let (free, free_masks) = ((0..registers).rev().collect(), MASKS.collect());
        Emitter { assembler, formula, width, flat, at, uses, free, chooses, free_masks }
    }

    fn function(mut self, pinned: &[usize], abreast: usize) -> Result<Vec<u8>, TooLarge> {
        let Formula { pointers, flats, combined, .. } = self.formula;
        let registers = &POINTERS[..pointers.len()];
        let kept = &POINTERS[KEPT.start..KEPT.end.min(pointers.len()).max(KEPT.start)];
        let count = pointers.len() + flats.len() + combined.len();
        kept.iter().for_each(|&register| self.assembler.push(register));
        let row = self.assembler.code.len();
        for (k, &(_, slot)) in flats.iter().enumerate() {
            self.assembler.load(RAX, pointer(pointers.len() + k));
            self.assembler.vector(Opcode::BROADCAST.of(self.formula.size), 0, 0, Right::Memory(behind(RAX)), None);
            self.assembler.vector(Opcode::STORE, 0, 0, Right::Memory(self.table(HEADER + slot)), None);
        }
        self.hoisted()?;
        let running = self.begin_row(pinned)?;
        for (k, &register) in registers.iter().enumerate() {
            self.assembler.load(register, pointer(k));
        }
        self.assembler.load(RDX, self.number(0));
        self.assembler.clear(RAX);
        self.elements(pinned, &running, abreast)?;

        self.end_row(&running, count)?;
        self.assembler.decrement(self.number(2));
        self.assembler.jump_back_unless_zero(row);
        kept.iter().rev().for_each(|&register| self.assembler.pop(register));
        self.assembler.finish();
        Ok(self.assembler.code)
    }

    /// Loads what stays in registers all over a row: numbers, and what combined results begin with.
    fn begin_row(&mut self, pinned: &[usize]) -> Result<Vec<Lanes>, TooLarge> {
        let mut running = vec![];
        for combined in &self.formula.combined {
            let mut lanes = Lanes::new();
            for _ in 0..self.parts() {
                let register = self.register()?;
                self.assembler.vector(Opcode::LOAD, register, 0, self.slot(combined.start as usize), None);
                lanes.push(register);
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

    /// Stores what was combined and makes the pointers point to the next row.
    fn end_row(&mut self, running: &[Lanes], count: usize) -> Result<(), TooLarge> {
        let combined = &self.formula.combined;
        self.assembler.load(RDI, self.number(3));
        for (k, lanes) in running.iter().enumerate() {
            let join = combined[k].join;
            let mut parts = lanes.len();
            while parts > 1 {
                parts /= 2;
                (0..parts).try_for_each(|part| self.join(join, lanes[part], lanes[part + parts]))?;
            }
            let other = Right::Register(lanes[1]);
            if self.width == 64 {
                self.assembler.vector(Opcode::HALF_OF_64, lanes[0], 0, other, Some(1));
                self.join(join, lanes[0], lanes[1])?;
            }
            self.assembler.vector(Opcode::UPPER_HALF, lanes[0], 0, other, Some(1));
            self.join(join, lanes[0], lanes[1])?;
            self.assembler.load(RAX, pointer(count - combined.len() + k));
            self.assembler.vector(Opcode::STORE, lanes[0], 0, Right::Memory(behind(RAX)), None);
        }
        for k in 0..count {
            self.assembler.load(RAX, pointer(count + k));
            self.assembler.add_to(pointer(k), RAX);
        }
        Ok(())
    }

    /// Vectors of lanes that a combined result has.
    fn parts(&self) -> usize {
        LANES * 4 / self.width
    }

    /// The loop over the vectors of a row, some at a time: as many as combined results have lanes for, or as are `abreast`.
    fn elements(&mut self, pinned: &[usize], running: &[Lanes], abreast: usize) -> Result<(), TooLarge> {
        let of = |part: usize| running.iter().map(|lanes| lanes[part]).collect::<Lanes>();
        let (parts, width) = (if running.is_empty() { abreast } else { self.parts() }, self.width);
        // RDX counts down to what is left of whole vectors, less those of a full turn.
        let full = (parts * width) as i32;
        self.assembler.add(RDX, -full);
        let none = self.assembler.jump_if_negative();
        let start = self.assembler.code.len();
        for part in (0..parts).step_by(abreast) {
            let lanes: Vec<(usize, Lanes)> = (part..part + abreast).map(|part| (part * width, of(part))).collect();
            self.turn(pinned, &lanes, false)?;
        }
        self.assembler.add(RAX, full);
        self.assembler.add(RDX, -full);
        self.assembler.jump_back_unless_negative(start);
        self.assembler.land(none);
        self.assembler.add(RDX, full);
        let mut ends = vec![];
        for part in 0..parts {
            self.assembler.test(RDX);
            let more = self.assembler.jump_unless_zero();
            self.rest(pinned, of(part))?;
            ends.push(self.assembler.jump());
            self.assembler.land(more);
            if part + 1 < parts {
                self.turn(pinned, &[(0, of(part))], false)?;
                self.assembler.add(RAX, width as i32);
                self.assembler.add(RDX, -(width as i32));
            }
        }
        ends.into_iter().for_each(|end| self.assembler.land(end));
        Ok(())
    }

    /// The turn for the elements of a row beyond whole vectors, if there are any.
    fn rest(&mut self, pinned: &[usize], running: Lanes) -> Result<(), TooLarge> {
        self.assembler.load(RDX, self.number(1));
        self.assembler.test(RDX);
        let no_rest = self.assembler.jump_if_zero();
        if self.width == 64 {
            self.assembler.load_rest(self.table(0));
        } else {
            self.assembler.vector(Opcode::LOAD, MASK, 0, Right::Memory(self.table(0)), None);
        }
        self.turn(pinned, &[(0, running)], true)?;
        self.assembler.land(no_rest);
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

    /// The program on vectors abreast, or on what is left over: instructions of one need not wait for those of another. Of
    /// each vector, how many bytes on it is and the lanes of its combined results.
    fn turn(&mut self, pinned: &[usize], vectors: &[(usize, Lanes)], rest: bool) -> Result<(), TooLarge> {
        let Formula { values, stores, combined, .. } = self.formula;
        let varying: Vec<usize> = (0..values.len()).filter(|&id| self.flat[id].is_none()).collect();
        let mut waiting: Vec<(usize, Id, usize)> = vec![];
        self.uses.fill(0);
        for (which, &(offset, _)) in vectors.iter().enumerate() {
            let results = combined.iter().map(|combined| combined.next).chain(stores.iter().map(|&(_, id)| id));
            let read = varying.iter().flat_map(|&id| values[id].operands()).chain(results);
            for id in read {
                let own = self.of(which, id);
                self.uses[own as usize] += 1;
            }
            waiting.extend(stores.iter().map(|&(pointer, id)| (pointer, self.of(which, id), offset)));
        }
        pinned.iter().for_each(|&id| self.uses[id] = usize::MAX / 2);

        // Results may go where arguments come from, so those that are ready wait for the last argument.
        let is_load = |id: &usize| matches!(values[*id], Value::Load(_));
        let mut loads = vectors.len() * varying.iter().filter(|id| is_load(id)).count();
        for &id in &varying {
            for (which, (offset, running)) in vectors.iter().enumerate() {
                let own = self.of(which, id as Id);
                let register = match values[id] {
                    Value::Load(pointer) => {
                        loads -= 1;
                        let register = self.register()?;
                        self.transfer([Opcode::LOAD, Opcode::LOAD_MASKED], register, element(pointer, *offset), rest);
                        if self.formula.far && !rest && offset.is_multiple_of(LINE) {
                            self.assembler.prefetch(address(pointer, offset + AHEAD));
                        }
                        register
                    }
                    // Its register is not given back: it is the running result's own.
                    Value::Running(k) => {
                        self.uses[own as usize] = usize::MAX / 2;
                        running[k]
                    }
                    value if self.chooses[id] => self.comparison(value.map(|id| self.of(which, id)))?,
                    value => self.compute(value.map(|id| self.of(which, id)))?,
                };
                self.at[own as usize] = Some(register);
                if self.uses[own as usize] == 0 {
                    self.release(own);
                }
            }
            if loads == 0 {
                self.store(&mut waiting, rest)?;
            }
        }
        self.store(&mut waiting, rest)?;
        for (which, (_, running)) in vectors.iter().enumerate() {
            for (&Combined { next, .. }, &to) in combined.iter().zip(running) {
                let next = self.of(which, next);
                let from = self.operand(next)?;
                match (rest, self.width) {
                    (false, _) => self.assembler.vector(Opcode::LOAD, to, 0, Right::Register(from), None),
                    (true, 32) => self.blend(to, to, from, MASK),
                    (true, _) => self.assembler.masked(REST, Opcode::CHOOSE, to, to, Right::Register(from), true),
                }
                self.done(next, from);
            }
            let runs = |id: &&usize| matches!(values[**id], Value::Running(_));
            for &id in varying.iter().filter(runs) {
                let own = self.of(which, id as Id);
                self.at[own as usize] = None;
            }
        }
        Ok(())
    }

    /// A value of one of several vectors abreast. All have those in common that do not change.
    fn of(&self, which: usize, id: Id) -> Id {
        if self.flat[id as usize].is_some() { id } else { id + (which * self.flat.len()) as Id }
    }

    /// Stores the results that are ready: in a register, or the same for all elements.
    fn store(&mut self, waiting: &mut Vec<(usize, Id, usize)>, rest: bool) -> Result<(), TooLarge> {
        let constant = |id: Id| self.flat.get(id as usize).is_some_and(Option::is_some);
        let (ready, others): (Vec<_>, _) =
            waiting.drain(..).partition(|&(_, id, _)| self.at[id as usize].is_some() || constant(id));
        *waiting = others;
        for (pointer, id, offset) in ready {
            let register = self.operand(id)?;
            self.transfer([Opcode::STORE, Opcode::STORE_MASKED], register, element(pointer, offset), rest);
            self.done(id, register);
        }
        Ok(())
    }

    /// Moves a whole vector between a register and memory, or what is left over.
    fn transfer(&mut self, [whole, masked]: [Opcode; 2], register: Vector, memory: Right, rest: bool) {
        let size = self.formula.size;
        match (rest, self.width) {
            (false, _) => self.assembler.vector(whole, register, 0, memory, None),
            (true, 32) => self.assembler.vector(masked.of(size), register, MASK, memory, None),
            (true, _) => self.assembler.masked(REST, whole.of(size), register, 0, memory, whole == Opcode::STORE),
        }
    }
}

/// One of the pointers, or of the distances after them.
fn pointer(at: usize) -> Address {
    Address { base: RDI, index: None, offset: 8 * at as i32 }
}

/// The elements of this turn behind a pointer.
fn element(pointer: usize, offset: usize) -> Right {
    Right::Memory(address(pointer, offset))
}

/// The same as an address.
fn address(pointer: usize, offset: usize) -> Address {
    Address { base: POINTERS[pointer], index: Some(RAX), offset: offset as i32 }
}

/// Memory behind a register's address.
fn behind(base: General) -> Address {
    Address { base, index: None, offset: 0 }
}
