//! The traced form of a scalar function.

use super::primitives::{Binary, Unary};
use crate::dtype::Compute;
use crate::tape::lock;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::any::Any;
use std::sync::{Arc, Mutex, OnceLock};

/// Values of a program's run-time constants.
pub type Uniforms = SmallVec<[f64; 4]>;

/// One instruction; operands are positions of earlier instructions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Inst {
    /// An element of the n-th argument.
    Arg(u16),
    /// The n-th run-time constant, given at each call.
    Uniform(u16),
    /// A constant of the formula, as the bits of an `f64`.
    Const(u64),
    /// A function of one operand.
    Unary(Unary, u16),
    /// A function of two operands.
    Binary(Binary, u16, u16),
    /// The second operand where the first is not zero, else the third.
    Select(u16, u16, u16),
    /// A random number: a pure function of the position in the output and of the four uniforms from the given one
    /// on (see [`Draw`]).
    Random(Draw, u16),
}

/// What a random instruction returns. The bits are Philox4x32-10 with the key `(u[0], u[1])` and the counter
/// `(p, u[2], u[3], 0)`; `p` is the element's row-major position in the output divided by 4 (uniform) or by 2 (normal).
/// The uniforms are 32-bit integers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Draw {
    /// Uniform in [0, 1): the upper 24 bits of word `position % 4`, also where the computation is in `f64`, so that
    /// all element types see the same numbers.
    Uniform,
    /// Standard normal, by Box and Muller (1958) in `f64`: words 0 and 1 give the radius, 2 and 3 the angle, an
    /// even position takes the cosine and an odd one the sine.
    Normal,
    /// Uniform in [0, 1) with 53 bits in `f64`, from two words; for integers from a wide range.
    Uniform53,
}

/// What a value of a program is: decides the element type of an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A number.
    Value,
    /// The result of a comparison or of logic: 0 or 1.
    Truth,
}

/// A scalar function in single-assignment form, shared and immutable.
///
/// Programs are interned: equal ones are one allocation, so that backends can cache by address.
#[derive(Debug)]
pub struct Program {
    insts: Vec<Inst>,
    outputs: SmallVec<[u16; 2]>,
    args: usize,
    uniforms: usize,
    /// Bit `k` is set if argument `k` is read.
    reads: u64,
    /// Whether it has random instructions.
    draws: bool,
    /// What each output is where no argument is a truth value.
    kinds: SmallVec<[Kind; 2]>,
    /// Derivatives that were asked for; few, so a list is faster than a map.
    vjps: Mutex<Vec<(VjpKey, Arc<Program>)>>,
    compiled: Derived,
}

/// What backends derived from a program: one value of each type, in a list that only grows.
#[derive(Debug, Default)]
struct Derived(OnceLock<Box<(Box<dyn Any + Send + Sync>, Derived)>>);

/// Which derivative of a program: of one output, with respect to some arguments (a bit for each).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VjpKey {
    /// Position of the output.
    pub output: usize,
    /// Bit `k` asks for the derivative by argument `k`.
    pub wanted: u64,
}

/// Arguments that one program can take: a bit of [`VjpKey::wanted`] for each.
pub const MAX_ARGS: usize = 64;

type Structure = (Vec<Inst>, SmallVec<[u16; 2]>, usize, usize);

impl Program {
    /// The one shared program of this structure.
    pub(super) fn intern(insts: Vec<Inst>, outputs: SmallVec<[u16; 2]>, args: usize, uniforms: usize) -> Arc<Program> {
        static ALL: OnceLock<Mutex<FxHashMap<Structure, Arc<Program>>>> = OnceLock::new();
        let structure = (insts, outputs, args, uniforms);
        let make = |(insts, outputs, args, uniforms): &Structure| {
            let mut program = Program {
                insts: insts.clone(),
                outputs: outputs.clone(),
                args: *args,
                uniforms: *uniforms,
                reads: 0,
                draws: insts.iter().any(|inst| matches!(inst, Inst::Random(..))),
                kinds: SmallVec::new(),
                vjps: Mutex::default(),
                compiled: Derived::default(),
            };
            program.reads = insts.iter().fold(0, |bits, inst| match inst {
                Inst::Arg(k) => bits | 1 << k,
                _ => bits,
            });
            program.kinds = (0..outputs.len()).map(|k| program.infer_kind(k, 0)).collect();
            Arc::new(program)
        };
        let mut all = lock(ALL.get_or_init(Default::default));
        if let Some(known) = all.get(&structure) {
            return known.clone();
        }
        let program = make(&structure);
        all.insert(structure, program.clone());
        program
    }

    /// The instructions, in order of evaluation.
    pub fn insts(&self) -> &[Inst] {
        &self.insts
    }

    /// Positions of the results.
    pub fn outputs(&self) -> &[u16] {
        &self.outputs
    }

    /// Number of arguments.
    pub fn args(&self) -> usize {
        self.args
    }

    /// Number of run-time constants.
    pub fn uniforms(&self) -> usize {
        self.uniforms
    }

    /// Whether any instruction reads argument `arg`.
    pub fn reads(&self, arg: usize) -> bool {
        self.reads >> arg & 1 == 1
    }

    /// Whether any instruction returns a random number.
    pub(crate) fn draws(&self) -> bool {
        self.draws
    }

    /// What the n-th output is, given which arguments are truth values: a bit for each.
    pub fn kind(&self, output: usize, truths: u64) -> Kind {
        if truths != 0 { self.infer_kind(output, truths) } else { self.kinds[output] }
    }

    fn infer_kind(&self, output: usize, truths: u64) -> Kind {
        let mut kinds: SmallVec<[Kind; 16]> = SmallVec::new();
        for inst in &self.insts {
            let at = |i: u16| kinds[i as usize];
            kinds.push(match *inst {
                Inst::Arg(k) if truths >> k & 1 == 1 => Kind::Truth,
                Inst::Unary(u, _) if u.row().truth => Kind::Truth,
                Inst::Binary(b, ..) if b.row().truth => Kind::Truth,
                Inst::Select(_, a, b) if at(a) == Kind::Truth && at(b) == Kind::Truth => Kind::Truth,
                _ => Kind::Value,
            });
        }
        kinds[self.outputs[output] as usize]
    }

    /// The first primitive that cannot run in `compute`, if any: integers have no `exp`.
    pub fn unsupported(&self, compute: Compute) -> Option<&'static str> {
        if compute != Compute::I64 {
            return None;
        }
        self.insts.iter().find_map(|inst| match *inst {
            Inst::Unary(u, _) if u.int().is_none() => Some(u.row().name),
            Inst::Binary(b, ..) if b.int().is_none() => Some(b.row().name),
            Inst::Random(..) => Some("random"),
            _ => None,
        })
    }

    /// What a backend derived from this program, computed at the first call. Each backend uses a type of its own.
    pub fn compiled<T: Send + Sync + 'static>(&self, compile: impl FnOnce(&Program) -> T) -> &T {
        let mut compile = Some(compile);
        let mut place = &self.compiled;
        loop {
            let fresh = || {
                let compile = compile.take().expect("a fresh value has the type that was asked for");
                Box::new((Box::new(compile(self)) as Box<dyn Any + Send + Sync>, Derived::default()))
            };
            let (value, next) = &**place.0.get_or_init(fresh);
            match value.downcast_ref() {
                Some(value) => return value,
                None => place = next,
            }
        }
    }

    /// The derivative named by `key`, built at the first call.
    pub fn vjp(&self, key: VjpKey) -> Arc<Program> {
        let find = || lock(&self.vjps).iter().find(|(known, _)| *known == key).map(|(_, program)| program.clone());
        find().unwrap_or_else(|| {
            // Built without the lock. Another thread that builds it, too, finds the same interned program.
            let program = super::derivative::vjp(self, key);
            lock(&self.vjps).push((key, program.clone()));
            program
        })
    }

    /// Evaluates the program on one element in `f64`; the slow, plain meaning of a program.
    ///
    /// `position` is the element's row-major position in the output, which random instructions read.
    pub fn eval_f64(&self, args: &[f64], uniforms: &[f64], position: usize) -> SmallVec<[f64; 2]> {
        let mut v: SmallVec<[f64; 32]> = SmallVec::new();
        for inst in &self.insts {
            let at = |i: u16| v[i as usize];
            v.push(match *inst {
                Inst::Arg(k) => args[k as usize],
                Inst::Uniform(k) => uniforms[k as usize],
                Inst::Const(bits) => f64::from_bits(bits),
                Inst::Unary(u, a) => u.f64()(at(a)),
                Inst::Binary(b, p, q) => b.f64()(at(p), at(q)),
                Inst::Select(c, p, q) => {
                    if at(c) != 0.0 {
                        at(p)
                    } else {
                        at(q)
                    }
                }
                Inst::Random(draw, k) => crate::rng::draw(draw, &uniforms[k as usize..][..4], position as u64),
            });
        }
        self.outputs.iter().map(|&o| v[o as usize]).collect()
    }

    /// Evaluates the program on one element of integers. The primitives are checked by [`Program::unsupported`].
    pub fn eval_i64(&self, args: &[i64], uniforms: &[f64]) -> SmallVec<[i64; 2]> {
        let mut v: SmallVec<[i64; 32]> = SmallVec::new();
        for inst in &self.insts {
            let at = |i: u16| v[i as usize];
            v.push(match *inst {
                Inst::Arg(k) => args[k as usize],
                Inst::Uniform(k) => uniforms[k as usize] as i64,
                Inst::Const(bits) => f64::from_bits(bits) as i64,
                Inst::Unary(u, a) => u.int().expect("checked: primitive has an integer form")(at(a)),
                Inst::Binary(b, p, q) => b.int().expect("checked: primitive has an integer form")(at(p), at(q)),
                Inst::Select(c, p, q) => {
                    if at(c) != 0 {
                        at(p)
                    } else {
                        at(q)
                    }
                }
                Inst::Random(..) => unreachable!("checked: random numbers are floating-point"),
            });
        }
        self.outputs.iter().map(|&o| v[o as usize]).collect()
    }
}

impl Inst {
    /// Positions of the instructions whose values it reads.
    pub fn operands(self) -> SmallVec<[u16; 3]> {
        match self {
            Inst::Unary(_, a) => SmallVec::from_slice(&[a]),
            Inst::Binary(_, a, b) => SmallVec::from_slice(&[a, b]),
            Inst::Select(a, b, c) => SmallVec::from_slice(&[a, b, c]),
            Inst::Arg(_) | Inst::Uniform(_) | Inst::Const(_) | Inst::Random(..) => SmallVec::new(),
        }
    }
}

/// The program of those instructions that `roots` need, in order.
pub(super) fn prune(insts: &[Inst], roots: &[u16], args: usize, uniforms: usize) -> Arc<Program> {
    let mut live = vec![false; insts.len()];
    roots.iter().for_each(|&root| live[root as usize] = true);
    // Operands precede their users: one pass backwards sees every mark.
    for at in (0..live.len()).rev() {
        if live[at] {
            insts[at].operands().iter().for_each(|&o| live[o as usize] = true);
        }
    }
    let mut place = vec![0u16; insts.len()];
    let mut kept = vec![];
    for (at, &inst) in insts.iter().enumerate().filter(|&(at, _)| live[at]) {
        place[at] = kept.len() as u16;
        kept.push(rename(inst, |o| place[o as usize]));
    }
    let outputs = roots.iter().map(|&root| place[root as usize]).collect();
    Program::intern(kept, outputs, args, uniforms)
}

/// The instruction with its operands renamed.
pub(super) fn rename(inst: Inst, to: impl Fn(u16) -> u16) -> Inst {
    match inst {
        Inst::Unary(u, a) => Inst::Unary(u, to(a)),
        Inst::Binary(b, p, q) => Inst::Binary(b, to(p), to(q)),
        Inst::Select(c, p, q) => Inst::Select(to(c), to(p), to(q)),
        leaf => leaf,
    }
}
