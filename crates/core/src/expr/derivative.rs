//! The derivative of a program, as a program: reverse mode over its instructions.

use super::primitives::Binary;
use super::program::{Inst, Program, VjpKey, rename};
use super::trace::{Expr, Literals, build, push};
use std::sync::Arc;

/// A cotangent and, behind a [`Inst::Select`], the condition under which it can differ from zero.
#[derive(Clone, Copy)]
struct Bar {
    value: Expr,
    mask: Option<Expr>,
}

/// The program of `g · ∂output/∂arg` for every wanted argument; `g` is appended as the last argument.
pub(super) fn vjp(program: &Program, key: VjpKey) -> Arc<Program> {
    let g = program.args();
    build(g + 1, program.uniforms(), Literals::Constant, &|args| {
        let values = replay(program);
        let bars = sweep(program, key.output, &values, args[g]);
        let of_arg = |k: usize| {
            let at = program.insts().iter().position(|&i| i == Inst::Arg(k as u16));
            at.and_then(|at| bars[at]).map(|bar| bar.value).unwrap_or_else(|| Expr::constant(0.0))
        };
        (0..g).filter(|k| key.wanted >> k & 1 == 1).map(of_arg).collect()
    })
    .program
}

/// The program's own instructions inside the new trace.
fn replay(program: &Program) -> Vec<Expr> {
    let mut values: Vec<Expr> = vec![];
    for &inst in program.insts() {
        let value = push(rename(inst, |o| values[o as usize].id()));
        values.push(value);
    }
    values
}

/// Cotangents of all instructions that the output depends on.
fn sweep(program: &Program, output: usize, values: &[Expr], g: Expr) -> Vec<Option<Bar>> {
    let mut bars: Vec<Option<Bar>> = vec![None; values.len()];
    bars[program.outputs()[output] as usize] = Some(Bar { value: g, mask: None });
    let zero = Expr::constant(0.0);
    for (at, &inst) in program.insts().iter().enumerate().rev() {
        let Some(bar) = bars[at] else { continue };
        let value = |i: u16| values[i as usize];
        match inst {
            Inst::Unary(u, a) => add(&mut bars[a as usize], chain(bar, u.derivative(value(a), values[at]))),
            Inst::Binary(b, p, q) => {
                let [dp, dq] = b.derivatives(value(p), value(q), values[at]);
                add(&mut bars[p as usize], chain(bar, dp));
                add(&mut bars[q as usize], chain(bar, dq));
            }
            Inst::Select(c, p, q) => {
                let (c, not_c) = (value(c), value(c).binary(Binary::Eq, zero));
                let within = |c: Expr| Some(bar.mask.map_or(c, |outer| outer.binary(Binary::And, c)));
                add(&mut bars[p as usize], Some(Bar { value: c.select(bar.value, zero), mask: within(c) }));
                add(&mut bars[q as usize], Some(Bar { value: c.select(zero, bar.value), mask: within(not_c) }));
            }
            Inst::Arg(_) | Inst::Uniform(_) | Inst::Const(_) | Inst::Random(..) => {}
        }
    }
    bars
}

/// Adds a contribution; the sum is live where either part is.
fn add(bar: &mut Option<Bar>, term: Option<Bar>) {
    let Some(term) = term else { return };
    *bar = Some(bar.map_or(term, |sum| Bar {
        value: sum.value + term.value,
        mask: sum.mask.zip(term.mask).map(|(a, b)| a.binary(Binary::Or, b)),
    }));
}

/// `bar · factor`; nothing where the factor is the constant 0. Where the mask is off, 0 · ∞ is 0: the branch that
/// was not taken must not leak its singularity. (The mask is the condition, not "the cotangent is 0", so that the
/// product stays linear in the cotangent and can be differentiated again.)
fn chain(bar: Bar, factor: Expr) -> Option<Bar> {
    let product = bar.value * factor;
    match (factor.known(), bar.mask) {
        (Some(0.0), _) => None,
        (None, Some(mask)) => Some(Bar { value: mask.select(product, Expr::constant(0.0)), ..bar }),
        _ => Some(Bar { value: product, ..bar }),
    }
}
