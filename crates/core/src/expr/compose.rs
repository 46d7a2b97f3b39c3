//! Programs made of programs: one in place of several that feed each other.

use super::program::{Inst, Program, prune, rename};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::sync::Arc;

/// Where an argument of a part comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wire {
    /// It is an argument of the whole.
    Leaf(u16),
    /// It is the n-th output of an earlier part.
    Part(u16, u16),
    /// The part does not read it.
    Unread,
}

/// A program inside of a larger one.
pub(crate) struct Part {
    pub program: Arc<Program>,
    pub wires: SmallVec<[Wire; 4]>,
    /// Where the whole keeps the part's uniforms.
    pub uniforms: SmallVec<[u16; 4]>,
}

/// Composed programs by what they are made of: addresses of interned programs, wires, uniforms, outputs.
type Known = FxHashMap<Box<[u64]>, Arc<Program>>;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// The program of `leaves` arguments and `uniforms` run-time constants that computes the given outputs of its parts
/// (part, output). Equal instructions become one and unneeded ones are left out; nothing else is simplified, so the
/// results have the bits of the parts run one after the other.
pub(crate) fn compose(parts: &[Part], outputs: &[(u16, u16)], leaves: usize, uniforms: usize) -> Arc<Program> {
    let key = key(parts, outputs);
    if let Some(known) = KNOWN.with_borrow(|all| all.get(&key[..]).cloned()) {
        return known;
    }
    let program = build(parts, outputs, leaves, uniforms);
    KNOWN.with_borrow_mut(|all| all.insert(key.into(), program.clone()));
    program
}

fn key(parts: &[Part], outputs: &[(u16, u16)]) -> Vec<u64> {
    let pair = |tag: u64, a: u16, b: u16| tag << 32 | (a as u64) << 16 | b as u64;
    let mut key = Vec::with_capacity(8 * parts.len());
    for Part { program, wires, uniforms } in parts {
        key.push(Arc::as_ptr(program).addr() as u64);
        key.extend(wires.iter().map(|&wire| match wire {
            Wire::Leaf(k) => pair(1, k, 0),
            Wire::Part(k, output) => pair(2, k, output),
            Wire::Unread => pair(3, 0, 0),
        }));
        key.extend(uniforms.iter().map(|&slot| pair(4, slot, 0)));
    }
    key.extend(outputs.iter().map(|&(part, output)| pair(5, part, output)));
    key
}

fn build(parts: &[Part], outputs: &[(u16, u16)], leaves: usize, uniforms: usize) -> Arc<Program> {
    let mut insts: Vec<Inst> = vec![];
    let mut known: FxHashMap<Inst, u16> = FxHashMap::default();
    let mut add = |inst: Inst| {
        *known.entry(inst).or_insert_with(|| {
            insts.push(inst);
            u16::try_from(insts.len() - 1).expect("the parts are few and short")
        })
    };
    let mut results: Vec<SmallVec<[u16; 2]>> = vec![];
    for Part { program, wires, uniforms } in parts {
        let mut place: Vec<u16> = Vec::with_capacity(program.insts().len());
        for &inst in program.insts() {
            let at = match inst {
                Inst::Arg(k) => match wires[k as usize] {
                    Wire::Leaf(leaf) => add(Inst::Arg(leaf)),
                    Wire::Part(part, output) => results[part as usize][output as usize],
                    Wire::Unread => unreachable!("an instruction reads it"),
                },
                Inst::Uniform(k) => add(Inst::Uniform(uniforms[k as usize])),
                Inst::Random(draw, k) => add(Inst::Random(draw, uniforms[k as usize])),
                other => add(rename(other, |o| place[o as usize])),
            };
            place.push(at);
        }
        results.push(program.outputs().iter().map(|&o| place[o as usize]).collect());
    }
    let roots: Vec<u16> = outputs.iter().map(|&(part, output)| results[part as usize][output as usize]).collect();
    prune(&insts, &roots, leaves, uniforms)
}
