//! In which pieces the steps of a program run: machine code as far as it goes, loops for single steps for the rest.

use super::code::{Code, Op, Step};
use crate::native::{Formula, Native, Outside, Sink, joined, ordered};
use cotangent_core::backend::Fold;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// A piece of a program.
#[derive(Debug)]
pub enum Piece {
    /// The step with this number.
    Step(usize),
    /// Several steps.
    Native(Native),
}

/// A program in pieces.
#[derive(Debug)]
pub struct Plan {
    /// In order.
    pub pieces: Vec<Piece>,
    /// Which steps have one value all over a block, as what is computed of a row's mean.
    pub flat: SmallVec<[bool; 24]>,
}

/// What a program is made for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Purpose {
    /// Its results are stored.
    Store,
    /// Its results are looked at block by block. Those that are copies of other places are not made; see [`Code::origins`].
    Inspect,
    /// Its results are combined over rows, several lanes side by side, by machine code.
    Combine(Fold),
    /// Its results are combined with what is in one more place for each, after the temporary ones, by machine code.
    Accumulate(Fold),
}

/// What a plan depends on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Key {
    /// Bytes of an element.
    pub size: usize,
    /// Arguments that are the same all over each block, as bits.
    pub flat: u64,
    /// What for.
    pub purpose: Purpose,
    /// Whether machine code is wanted, where it is possible.
    pub native: bool,
    /// Whether arguments come from memory rather than from a cache.
    pub far: bool,
}

/// The plans of a program that were asked for; few, so a list is faster than a map.
#[derive(Debug, Default)]
pub struct Plans(Mutex<Vec<(Key, Arc<Plan>)>>);

impl Plans {
    /// See [`Code::plan`].
    pub fn get(&self, code: &Code, key: Key) -> Arc<Plan> {
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((_, plan)) = known.iter().find(|(other, _)| *other == key) {
            return plan.clone();
        }
        let plan = Arc::new(Plan::new(code, key));
        known.push((key, plan.clone()));
        plan
    }
}

impl Plan {
    fn new(code: &Code, key: Key) -> Plan {
        let Key { size, flat, purpose, native, far } = key;
        let mut places: SmallVec<[bool; 24]> = (0..code.reads.len()).map(|k| flat >> k & 1 == 1).collect();
        places.resize(code.first_output(), true);
        places.resize(code.first_output() + code.outputs + code.temporaries, false);
        let mut plan = Plan { pieces: vec![], flat: SmallVec::new() };
        if let Purpose::Combine(fold) | Purpose::Accumulate(fold) = purpose {
            let outside =
                |place: u16| if places.get(place as usize) == Some(&true) { Outside::Flat } else { Outside::Varying };
            let native = match purpose {
                Purpose::Combine(_) => {
                    Native::new(size, &code.steps, outside, Sink::Combine(fold, &code.output_places()), far)
                }
                _ => accumulating(code, fold).and_then(|(steps, accumulators)| {
                    Native::new(size, &steps, outside, Sink::Store(&accumulators), far)
                }),
            };
            plan.pieces.extend(native.map(Piece::Native));
            return plan;
        }
        let skipped = |step: &Step| purpose == Purpose::Inspect && matches!(step.op, Op::Copy);
        let mut at = 0;
        while at < code.steps.len() {
            let simple = |step: &&Step| native && !skipped(step) && Formula::takes(step);
            let count = code.steps[at..].iter().take_while(simple).count();
            let end = at + count.max(1);
            if count > 0 {
                plan.add(code, key, &places, at..end);
            } else if !skipped(&code.steps[at]) {
                plan.pieces.push(Piece::Step(at));
            }
            for step in &code.steps[at..end] {
                let flat = step.op.operands().is_some_and(|n| step.from[..n].iter().all(|&k| places[k as usize]));
                places[step.to as usize] = flat;
                plan.flat.push(flat);
            }
            at = end;
        }
        plan
    }

    /// Adds simple steps as one piece of machine code, or in smaller ones.
    fn add(&mut self, code: &Code, key: Key, places: &[bool], range: Range<usize>) {
        let steps = &code.steps[range.clone()];
        let outside = |place: u16| if places[place as usize] { Outside::Flat } else { Outside::Varying };
        if let Some(native) = Native::new(key.size, steps, outside, Sink::Store(&needed(code, range.clone())), key.far)
        {
            self.pieces.push(Piece::Native(native));
            return;
        }
        if steps.len() == 1 {
            self.pieces.push(Piece::Step(range.start));
            return;
        }
        let middle = range.start + steps.len() / 2;
        self.add(code, key, places, range.start..middle);
        let mut places = places.to_vec();
        code.steps[range.start..middle].iter().for_each(|step| places[step.to as usize] = false);
        self.add(code, key, &places, middle..range.end);
    }

    /// Whether all of it is one piece of machine code, which needs no memory for values in between.
    pub fn is_native(&self) -> bool {
        matches!(self.pieces[..], [Piece::Native(_)])
    }
}

/// A program's steps and those that combine its results with accumulators; the accumulators' places.
fn accumulating(code: &Code, fold: Fold) -> Option<(Vec<Step>, SmallVec<[u16; 2]>)> {
    let (join, _) = joined(fold)?;
    let (mut steps, mut accumulators) = (code.steps.clone(), SmallVec::new());
    for (k, result) in code.output_places().into_iter().enumerate() {
        let to = code.accumulator(k) as u16;
        let [a, b] = ordered(join, to, result);
        steps.push(Step { op: Op::Binary(join), to, from: [a, b, 0] });
        accumulators.push(to);
    }
    Some((steps, accumulators))
}

/// The places that some steps write and later ones read, or that are results.
fn needed(code: &Code, range: Range<usize>) -> SmallVec<[u16; 4]> {
    let outputs = code.output_places();
    let mut needed = SmallVec::new();
    for step in &code.steps[range.clone()] {
        let read = |later: &Step| later.from[..later.op.operands().unwrap_or(0)].contains(&step.to);
        let next = code.steps[range.end..].iter().find(|later| read(later) || later.to == step.to);
        let wanted = outputs.contains(&step.to) || next.is_some_and(read);
        if wanted && !needed.contains(&step.to) {
            needed.push(step.to);
        }
    }
    needed
}
