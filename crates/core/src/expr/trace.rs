//! Tracing a closure into a [`Program`].

use super::primitives::{Binary, Unary};
use super::program::{Draw, Inst, MAX_ARGS, Program, Uniforms, prune};
use crate::shape::few;
use crate::tensor::Tensor;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::any::TypeId;
use std::cell::RefCell;
use std::sync::Arc;

/// A scalar inside a traced closure. `Copy`, with operators and methods, so that formulas read like scalar Rust.
///
/// Numbers in a user's closure are run-time constants of the program: a closure that captures a learning rate is
/// the same program whatever its value.
#[derive(Clone, Copy, Debug)]
pub struct Expr {
    id: u16,
    trace: u32,
}

/// A traced closure: its structure, and the numbers that it captured.
#[derive(Debug)]
pub struct Traced {
    /// The structure.
    pub program: Arc<Program>,
    /// The values of its run-time constants.
    pub uniforms: Uniforms,
}

impl Traced {
    /// Another program of the same run-time constants.
    pub(crate) fn with(&self, program: Arc<Program>) -> Traced {
        Traced { program, uniforms: few(&self.uniforms) }
    }
}

impl Clone for Traced {
    fn clone(&self) -> Traced {
        self.with(self.program.clone())
    }
}

/// Whether a number written in a formula is part of its structure.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Literals {
    /// It is: derivatives fold their zeros and ones.
    Constant,
    /// It is a run-time constant.
    Uniform,
}

/// Instructions of a program that is not short.
const TYPICAL: usize = 28;

struct Trace {
    serial: u32,
    insts: Vec<Inst>,
    known: FxHashMap<Inst, u16>,
    literals: Literals,
    uniforms: Uniforms,
}

thread_local! {
    static TRACES: RefCell<(u32, Vec<Trace>)> = const { RefCell::new((0, Vec::new())) };
    /// Closures that capture nothing are the same program at every call.
    static CAPTURELESS: RefCell<FxHashMap<TypeId, Traced>> = RefCell::default();
}

fn with_trace<R>(f: impl FnOnce(&mut Trace) -> R) -> R {
    TRACES.with_borrow_mut(|(_, all)| {
        f(all.last_mut().expect("pointwise: an Expr was used outside of the closure that received it"))
    })
}

/// Ends the innermost trace also when its closure panics.
struct Guard;
impl Drop for Guard {
    fn drop(&mut self) {
        TRACES.with_borrow_mut(|(_, all)| drop(all.pop()));
    }
}

/// Builds a program of `args` arguments: runs `f` on their expressions and keeps what its results need.
pub(super) fn build(
    args: usize,
    uniforms: usize,
    literals: Literals,
    f: &dyn Fn(&[Expr]) -> SmallVec<[Expr; 2]>,
) -> Traced {
    assert!(args <= MAX_ARGS, "pointwise: a derivative of this order takes more than {MAX_ARGS} arguments; use fewer");
    TRACES.with_borrow_mut(|(serial, all)| {
        *serial += 1;
        let trace = Trace {
            serial: *serial,
            insts: Vec::with_capacity(TYPICAL),
            known: FxHashMap::with_capacity_and_hasher(TYPICAL, Default::default()),
            literals,
            uniforms: SmallVec::from_elem(0.0, uniforms),
        };
        all.push(trace);
    });
    let guard = Guard;
    let inputs: SmallVec<[Expr; 4]> = (0..args).map(|k| push(Inst::Arg(k as u16))).collect();
    let roots = f(&inputs);
    let traced = with_trace(|t| t.finish(&roots, args));
    drop(guard);
    traced
}

impl Trace {
    /// The program of what `roots` need.
    fn finish(&self, roots: &[Expr], args: usize) -> Traced {
        let root = |root: &Expr| {
            assert!(root.trace == self.serial, "pointwise: an Expr was used outside of the closure that received it");
            root.id
        };
        let roots: SmallVec<[u16; 2]> = roots.iter().map(root).collect();
        Traced { program: prune(&self.insts, &roots, args, self.uniforms.len()), uniforms: self.uniforms.clone() }
    }
}

/// Adds an instruction, or finds the equal one, after folding constants and identities.
pub(super) fn push(inst: Inst) -> Expr {
    with_trace(|t| {
        let constant = |i: u16| match t.insts[i as usize] {
            Inst::Const(bits) => Some(f64::from_bits(bits)),
            _ => None,
        };
        let folded = match inst {
            Inst::Unary(u, a) => constant(a).map(|a| Ok(u.f64()(a))),
            Inst::Binary(b, p, q) => match (b, constant(p), constant(q)) {
                (_, Some(x), Some(y)) => Some(Ok(b.f64()(x, y))),
                // Zero is absorbing here: constants come from derivative rules, where 0 means "does not depend".
                (Binary::Mul, Some(0.0), _) | (Binary::Mul, _, Some(0.0)) => Some(Ok(0.0)),
                (Binary::Mul, Some(1.0), _) | (Binary::Add, Some(0.0), _) => Some(Err(q)),
                (Binary::Mul | Binary::Div, _, Some(1.0)) | (Binary::Add | Binary::Sub, _, Some(0.0)) => Some(Err(p)),
                _ => None,
            },
            Inst::Select(_, p, q) if p == q => Some(Err(p)),
            _ => None,
        };
        let inst = match folded {
            Some(Err(same)) => return Expr { id: same, trace: t.serial },
            Some(Ok(value)) => Inst::Const(value.to_bits()),
            None => inst,
        };
        let Ok(next) = u16::try_from(t.insts.len()) else {
            panic!("pointwise: a program has at most 65536 instructions; split the formula, or take fewer derivatives")
        };
        let id = *t.known.entry(inst).or_insert(next);
        if id == next {
            t.insts.push(inst);
        }
        Expr { id, trace: t.serial }
    })
}

/// A number as an expression: part of the formula, or a run-time constant (see [`Literals`]).
fn literal(value: f64) -> Expr {
    let inst = with_trace(|t| match t.literals {
        Literals::Constant => Inst::Const(value.to_bits()),
        Literals::Uniform => {
            t.uniforms.push(value);
            Inst::Uniform(t.uniforms.len() as u16 - 1)
        }
    });
    push(inst)
}

impl Expr {
    pub(super) fn id(self) -> u16 {
        self.id
    }

    /// A primitive given as a value: `x.unary(Unary::Exp)` is `x.exp()`.
    pub fn unary(self, u: Unary) -> Expr {
        push(Inst::Unary(u, self.id))
    }

    /// A primitive given as a value: `x.binary(Binary::Pow, y)` is `x.pow(y)`.
    pub fn binary(self, b: Binary, rhs: Expr) -> Expr {
        push(Inst::Binary(b, self.id, rhs.id))
    }

    /// `yes` where `self` is not zero, else `no`. The branch that is not taken never reaches the gradient, not
    /// even as NaN.
    pub fn select(self, yes: impl IntoExpr, no: impl IntoExpr) -> Expr {
        let (yes, no) = (yes.into_expr(), no.into_expr());
        push(Inst::Select(self.id, yes.id, no.id))
    }

    /// The value, if it is a constant of the formula.
    pub(super) fn known(self) -> Option<f64> {
        with_trace(|t| match t.insts[self.id as usize] {
            Inst::Const(bits) => Some(f64::from_bits(bits)),
            _ => None,
        })
    }

    /// A constant of the formula, which derivatives may fold, unlike a captured number.
    pub fn constant(value: f64) -> Expr {
        push(Inst::Const(value.to_bits()))
    }
}

/// A random number for each element of the output: a pure function of `ticket` and of the element's position, so a
/// gradient recomputes it instead of storing it. See [`Rng::ticket`](crate::Rng::ticket).
pub fn draw(kind: Draw, ticket: crate::rng::Ticket) -> Expr {
    let slot = with_trace(|t| {
        let slot = t.uniforms.len() as u16;
        t.uniforms.extend(ticket.words().map(f64::from));
        slot
    });
    push(Inst::Random(kind, slot))
}

/// What can stand for a scalar in a formula.
pub trait IntoExpr {
    /// The value as an expression of the current closure.
    fn into_expr(self) -> Expr;
}
impl IntoExpr for Expr {
    fn into_expr(self) -> Expr {
        self
    }
}
impl IntoExpr for f64 {
    fn into_expr(self) -> Expr {
        literal(self)
    }
}

macro_rules! operators {
    ($($Op:ident $f:ident $B:ident),*) => {$(
        impl<R: IntoExpr> std::ops::$Op<R> for Expr {
            type Output = Expr;
            fn $f(self, rhs: R) -> Expr { self.binary(Binary::$B, rhs.into_expr()) }
        }
        impl std::ops::$Op<Expr> for f64 {
            type Output = Expr;
            fn $f(self, rhs: Expr) -> Expr { literal(self).binary(Binary::$B, rhs) }
        }
    )*};
}
operators!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);
impl std::ops::Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        self.unary(Unary::Neg)
    }
}

/// What a traced closure may return: one expression, or an array of them for several outputs in one pass.
pub trait Outputs {
    /// One tensor, or an array of them.
    type Tensors;
    /// The expressions in order.
    fn exprs(self) -> SmallVec<[Expr; 2]>;
    /// The computed tensors in the closure's form.
    fn pack(tensors: SmallVec<[Tensor; 1]>) -> Self::Tensors;
}
impl Outputs for Expr {
    type Tensors = Tensor;
    fn exprs(self) -> SmallVec<[Expr; 2]> {
        smallvec::smallvec![self]
    }
    fn pack(mut tensors: SmallVec<[Tensor; 1]>) -> Tensor {
        tensors.pop().expect("one output")
    }
}
impl<const M: usize> Outputs for [Expr; M] {
    type Tensors = [Tensor; M];
    fn exprs(self) -> SmallVec<[Expr; 2]> {
        self.into_iter().collect()
    }
    fn pack(tensors: SmallVec<[Tensor; 1]>) -> [Tensor; M] {
        let mut tensors = tensors.into_iter();
        std::array::from_fn(|_| tensors.next().expect("as many tensors as expressions"))
    }
}

/// Traces a user's closure. One that captures nothing is traced once per thread.
pub fn trace<const N: usize, O: Outputs, F: Fn([Expr; N]) -> O + 'static>(f: F) -> Traced {
    trace_with([], move |args, []| f(args))
}

/// Traces a user's closure of scalars, and of numbers that are given beside it as run-time constants. One that captures
/// nothing is traced once per thread.
pub fn trace_with<const N: usize, const U: usize, O: Outputs, F: Fn([Expr; N], [Expr; U]) -> O + 'static>(
    numbers: [f64; U],
    f: F,
) -> Traced {
    // Each order of derivative adds a cotangent, up to MAX_ARGS.
    const { assert!(N <= MAX_ARGS / 2, "a pointwise closure takes at most 32 arguments") };
    let f = |args: &[Expr], given: &[Expr]| {
        let few = "as many expressions as parameters";
        f(*args.first_chunk().expect(few), *given.first_chunk().expect(few)).exprs()
    };
    traced(N, &numbers, (size_of::<F>() == 0).then(TypeId::of::<F>), &f)
}

/// A closure of scalars and numbers.
type OfSlices<'a> = &'a dyn Fn(&[Expr], &[Expr]) -> SmallVec<[Expr; 2]>;

/// [`trace_with`] for slices: it is compiled once, not for each closure.
fn traced(args: usize, numbers: &[f64], captureless: Option<TypeId>, f: OfSlices) -> Traced {
    let fresh = || {
        build(args, numbers.len(), Literals::Uniform, &|args| {
            let given: SmallVec<[Expr; 4]> = (0..numbers.len()).map(|k| push(Inst::Uniform(k as u16))).collect();
            f(args, &given)
        })
    };
    let known = |id: TypeId| {
        if let Some(known) = CAPTURELESS.with_borrow(|all| all.get(&id).cloned()) {
            return known;
        }
        let traced = fresh();
        CAPTURELESS.with_borrow_mut(|all| all.insert(id, traced.clone()));
        traced
    };
    let mut traced = captureless.map_or_else(fresh, known);
    traced.uniforms[..numbers.len()].copy_from_slice(numbers);
    traced
}
