//! From the steps of a program to vector instructions on values, each of which is computed once.

use super::assembler::Opcode;
use super::symbol::{Symbol, record};
use crate::math::{self, Fused};
use crate::vm::code::{Op, Step};
use cotangent_core::backend::Fold;
use cotangent_core::expr::{Binary, Unary};
use smallvec::SmallVec;

/// Position of a value.
pub type Id = u16;

/// A vector of the formula.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value {
    /// Elements of the memory behind the n-th pointer.
    Load(usize),
    /// The same number in all elements, from the n-th slot.
    Slot(usize),
    /// What was combined of the n-th result so far.
    Running(usize),
    /// Of one operand.
    One(Opcode, Id, Option<u8>),
    /// Of two operands.
    Two(Opcode, Id, Id, Option<u8>),
    /// The product of the first two plus the third, rounded once.
    Fma(Id, Id, Id),
    /// The second operand where the mask, the third one, is set, else the first.
    Blend(Id, Id, Id),
}

impl Value {
    /// The values that it is computed from.
    pub fn operands(self) -> SmallVec<[Id; 3]> {
        match self {
            Value::Load(_) | Value::Slot(_) | Value::Running(_) => SmallVec::new(),
            Value::One(_, a, _) => SmallVec::from_slice(&[a]),
            Value::Two(_, a, b, _) => SmallVec::from_slice(&[a, b]),
            Value::Fma(a, b, c) | Value::Blend(a, b, c) => SmallVec::from_slice(&[a, b, c]),
        }
    }

    /// The same of other operands.
    pub fn map(self, f: impl Fn(Id) -> Id) -> Value {
        match self {
            Value::Load(_) | Value::Slot(_) | Value::Running(_) => self,
            Value::One(op, a, immediate) => Value::One(op, f(a), immediate),
            Value::Two(op, a, b, immediate) => Value::Two(op, f(a), f(b), immediate),
            Value::Fma(a, b, c) => Value::Fma(f(a), f(b), f(c)),
            Value::Blend(no, yes, mask) => Value::Blend(f(no), f(yes), f(mask)),
        }
    }
}

/// What a slot holds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Slot {
    /// An element of these bits.
    Bits(u64),
    /// The one element of a place.
    Flat,
    /// What the code itself computes before it begins with the elements.
    Computed,
}

/// How a step may read a place that was written before.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Outside {
    /// Each element has its own value.
    Varying,
    /// All have that of the first one.
    Flat,
}

/// What becomes of results.
#[derive(Clone, Copy, Debug)]
pub enum Sink<'a> {
    /// The places are stored.
    Store(&'a [u16]),
    /// The places' elements are combined in each row, [`LANES`](crate::lanes) side by side, and those by halves. The last
    /// [`LEFT`](super::LEFT) are stored.
    Combine(Fold, &'a [u16]),
}

/// A result that is combined over a row.
#[derive(Clone, Copy, Debug)]
pub struct Combined {
    /// The place that the row's lanes are stored to.
    pub place: u16,
    /// What it is before the first element.
    pub start: Id,
    /// What it is after one more.
    pub next: Id,
    /// How two of them are combined.
    pub join: Binary,
}

/// Comparisons, by the immediate byte of [`Opcode::COMPARE`].
pub mod comparison {
    pub const EQ: u8 = 0x00;
    pub const UNORDERED: u8 = 0x03;
    pub const NE: u8 = 0x04;
    pub const LT: u8 = 0x11;
    pub const LE: u8 = 0x12;
    pub const GE: u8 = 0x1d;
    pub const GT: u8 = 0x1e;
}
use comparison::*;

/// The values of some steps.
#[derive(Default)]
pub struct Formula {
    /// Bytes of an element.
    pub size: usize,
    /// In order of evaluation.
    pub values: Vec<Value>,
    /// What slots hold.
    pub slots: Vec<Slot>,
    /// Places behind the pointers.
    pub pointers: SmallVec<[u16; 8]>,
    /// Places of one element, and their slots.
    pub flats: SmallVec<[(u16, usize); 8]>,
    /// What is stored behind which pointer.
    pub stores: SmallVec<[(usize, Id); 4]>,
    /// What is combined.
    pub combined: SmallVec<[Combined; 2]>,
    /// Whether arguments come from memory rather than from a cache.
    pub far: bool,
    /// Which value a place has.
    known: Vec<(u16, Id)>,
}

impl Formula {
    /// The formula of steps on elements of `size` bytes; `None` if a step, or the sink, is not made of simple instructions.
    pub fn new(size: usize, steps: &[Step], outside: impl Fn(u16) -> Outside, sink: Sink) -> Option<Formula> {
        let mut formula = Formula { size, ..Formula::default() };
        for step in steps {
            let read = &step.from[..step.op.operands()?];
            let operands: SmallVec<[Id; 3]> = read.iter().map(|&place| formula.read(place, &outside)).collect();
            let result = match (step.op, &operands[..]) {
                (Op::Copy, &[a]) => a,
                (Op::Unary(op), &[a]) => formula.unary(op, a)?,
                (Op::Binary(op), &[a, b]) => formula.binary(op, a, b)?,
                (Op::Select, &[condition, a, b]) => {
                    let mask = formula.truth(condition);
                    formula.add(Value::Blend(b, a, mask))
                }
                _ => return None,
            };
            formula.known.retain(|&(place, _)| place != step.to);
            formula.known.push((step.to, result));
        }
        let (Sink::Store(results) | Sink::Combine(_, results)) = sink;
        for (k, &place) in results.iter().enumerate() {
            let &(_, value) = formula.known.iter().find(|&&(known, _)| known == place)?;
            match sink {
                Sink::Store(_) => {
                    let pointer = formula.pointer(place);
                    formula.stores.push((pointer, value));
                }
                Sink::Combine(fold, _) => {
                    let (join, start) = joined(fold)?;
                    let (start, running) = (formula.number(start), formula.add(Value::Running(k)));
                    let [a, b] = ordered(join, running, value);
                    let next = formula.binary(join, a, b)?;
                    formula.combined.push(Combined { place, start, next, join });
                }
            }
        }
        Some(formula)
    }

    /// Whether a value is a comparison that does nothing but choose between other values.
    pub fn chooses(&self, id: Id) -> bool {
        let Value::Two(op, ..) = self.values[id as usize] else { return false };
        let elsewhere = |value: &Value| match *value {
            Value::Blend(no, yes, _) => no == id || yes == id,
            other => other.operands().contains(&id),
        };
        let result = self.stores.iter().any(|&(_, of)| of == id) || self.combined.iter().any(|c| c.next == id);
        op.is_comparison() && !result && !self.values.iter().any(elsewhere)
    }

    /// Whether a step is made of simple instructions.
    pub fn takes(step: &Step) -> bool {
        Formula::new(4, &[*step], |_| Outside::Varying, Sink::Store(&[])).is_some()
    }

    fn read(&mut self, place: u16, outside: impl Fn(u16) -> Outside) -> Id {
        if let Some(&(_, value)) = self.known.iter().find(|&&(known, _)| known == place) {
            return value;
        }
        let value = match outside(place) {
            Outside::Varying => Value::Load(self.pointer(place)),
            Outside::Flat => {
                self.flats.push((place, self.slots.len()));
                self.slots.push(Slot::Flat);
                Value::Slot(self.slots.len() - 1)
            }
        };
        let id = self.add(value);
        self.known.push((place, id));
        id
    }

    fn pointer(&mut self, place: u16) -> usize {
        self.pointers.iter().position(|&known| known == place).unwrap_or_else(|| {
            self.pointers.push(place);
            self.pointers.len() - 1
        })
    }

    fn slot(&mut self, slot: Slot) -> Value {
        Value::Slot(self.slots.iter().position(|&known| known == slot).unwrap_or_else(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        }))
    }

    /// A value, computed once.
    pub fn add(&mut self, value: Value) -> Id {
        let known = self.values.iter().position(|&known| known == value);
        known.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        }) as Id
    }

    /// Given bits in all elements.
    fn bits(&mut self, of_double: u64, of_single: u32) -> Id {
        self.constant(if self.size == 8 { of_double } else { of_single.into() })
    }

    /// The number of these bits.
    pub fn constant(&mut self, bits: u64) -> Id {
        let slot = self.slot(Slot::Bits(bits));
        self.add(slot)
    }

    fn number(&mut self, x: f64) -> Id {
        self.bits(x.to_bits(), (x as f32).to_bits())
    }

    /// An instruction of the elements' size.
    pub fn one(&mut self, op: Opcode, a: Id, immediate: Option<u8>) -> Id {
        self.add(Value::One(op.of(self.size), a, immediate))
    }

    /// An instruction of the elements' size.
    pub fn two(&mut self, op: Opcode, a: Id, b: Id) -> Id {
        self.add(Value::Two(op.of(self.size), a, b, None))
    }

    /// An instruction of the elements' size.
    pub fn compare(&mut self, a: Id, how: u8, b: Id) -> Id {
        self.add(Value::Two(Opcode::COMPARE.of(self.size), a, b, Some(how)))
    }

    /// `yes` where the mask is set, else `no`. Where those are what the mask compares, it is one instruction.
    pub fn pick(&mut self, mask: Id, yes: Id, no: Id) -> Id {
        match self.values[mask as usize] {
            Value::Two(op, a, b, Some(GT)) if op == Opcode::COMPARE.of(self.size) && (yes, no) == (a, b) => {
                self.two(Opcode::MAX, a, b)
            }
            Value::Two(op, a, b, Some(GT)) if op == Opcode::COMPARE.of(self.size) && (yes, no) == (b, a) => {
                self.two(Opcode::MIN, b, a)
            }
            _ => self.add(Value::Blend(no, yes, mask)),
        }
    }

    /// The mask of a number's truth.
    fn truth(&mut self, a: Id) -> Id {
        let zero = self.number(0.0);
        self.compare(a, NE, zero)
    }

    /// 1 where a mask is set, else 0.
    fn counted(&mut self, mask: Id) -> Id {
        let one = self.number(1.0);
        self.two(Opcode::AND, mask, one)
    }

    fn abs(&mut self, a: Id) -> Id {
        let magnitude = self.bits(!0 >> 1, !0 >> 1);
        self.two(Opcode::AND, a, magnitude)
    }

    fn round(&mut self, a: Id, how: u8) -> Id {
        const QUIET: u8 = 8;
        self.one(Opcode::ROUND, a, Some(how | QUIET))
    }

    /// A function of the library, for either size.
    fn elementary(
        &mut self,
        a: Id,
        single: impl Fn(Symbol<f32>) -> Symbol<f32>,
        double: impl Fn(Symbol<f64>) -> Symbol<f64>,
    ) -> Id {
        if self.size == 4 {
            record(self, || single(Symbol::Value(a)))
        } else {
            record(self, || double(Symbol::Value(a)))
        }
    }

    fn unary(&mut self, op: Unary, a: Id) -> Option<Id> {
        Some(match op {
            Unary::Neg => {
                let sign = self.number(-0.0);
                self.two(Opcode::XOR, a, sign)
            }
            Unary::Abs => self.abs(a),
            Unary::Square => self.two(Opcode::MUL, a, a),
            Unary::Sqrt => self.one(Opcode::SQRT, a, None),
            Unary::Recip => {
                let one = self.number(1.0);
                self.two(Opcode::DIV, one, a)
            }
            Unary::Rsqrt => {
                let (one, root) = (self.number(1.0), self.one(Opcode::SQRT, a, None));
                self.two(Opcode::DIV, one, root)
            }
            Unary::Relu => {
                let zero = self.number(0.0);
                let off = self.compare(a, LE, zero);
                self.two(Opcode::AND_NOT, off, a)
            }
            Unary::Sign => {
                let [zero, one, minus] = [0.0, 1.0, -1.0].map(|x| self.number(x));
                let (below, above) = (self.compare(a, LT, zero), self.compare(a, GT, zero));
                let neither = self.two(Opcode::ADD, a, zero);
                let other = self.add(Value::Blend(neither, minus, below));
                self.add(Value::Blend(other, one, above))
            }
            Unary::Round => self.round(a, 0),
            Unary::Floor => self.round(a, 1),
            Unary::Ceil => self.round(a, 2),
            Unary::Trunc => self.round(a, 3),
            Unary::Not => {
                let zero = self.number(0.0);
                let mask = self.compare(a, EQ, zero);
                self.counted(mask)
            }
            Unary::IsNan => {
                let mask = self.compare(a, UNORDERED, a);
                self.counted(mask)
            }
            Unary::IsInf | Unary::IsFinite => {
                let (magnitude, infinity) = (self.abs(a), self.number(f64::INFINITY));
                let mask = self.compare(magnitude, if op == Unary::IsInf { EQ } else { LT }, infinity);
                self.counted(mask)
            }
            Unary::Exp => self.elementary(a, math::exp::<Fused, _>, math::exp::<Fused, _>),
            Unary::Exp2 => self.elementary(a, math::exp2::<Fused, _>, math::exp2::<Fused, _>),
            Unary::Expm1 => self.elementary(a, math::expm1::<Fused, _>, math::expm1::<Fused, _>),
            Unary::Log => self.elementary(a, math::log::<Fused, _>, math::log::<Fused, _>),
            Unary::Log1p => self.elementary(a, math::log1p::<Fused, _>, math::log1p::<Fused, _>),
            Unary::Log2 => self.elementary(a, math::log2::<Fused, _>, math::log2::<Fused, _>),
            Unary::Log10 => self.elementary(a, math::log10::<Fused, _>, math::log10::<Fused, _>),
            Unary::Sinh => self.elementary(a, math::sinh::<Fused, _>, math::sinh::<Fused, _>),
            Unary::Cosh => self.elementary(a, math::cosh::<Fused, _>, math::cosh::<Fused, _>),
            Unary::Tanh => self.elementary(a, math::tanh::<Fused, _>, math::tanh::<Fused, _>),
            Unary::Asinh => self.elementary(a, math::asinh::<Fused, _>, math::asinh::<Fused, _>),
            Unary::Acosh => self.elementary(a, math::acosh::<Fused, _>, math::acosh::<Fused, _>),
            Unary::Atanh => self.elementary(a, math::atanh::<Fused, _>, math::atanh::<Fused, _>),
            Unary::Sigmoid => self.elementary(a, math::sigmoid::<Fused, _>, math::sigmoid::<Fused, _>),
            Unary::Softplus => self.elementary(a, math::softplus::<Fused, _>, math::softplus::<Fused, _>),
            _ => return None,
        })
    }

    fn binary(&mut self, op: Binary, a: Id, b: Id) -> Option<Id> {
        let comparison = match op {
            Binary::Eq => Some(EQ),
            Binary::Ne => Some(NE),
            Binary::Lt => Some(LT),
            Binary::Le => Some(LE),
            Binary::Gt => Some(GT),
            Binary::Ge => Some(GE),
            _ => None,
        };
        if let Some(how) = comparison {
            let mask = self.compare(a, how, b);
            return Some(self.counted(mask));
        }
        Some(match op {
            Binary::Add => self.two(Opcode::ADD, a, b),
            Binary::Sub => self.two(Opcode::SUB, a, b),
            Binary::Mul => self.two(Opcode::MUL, a, b),
            Binary::Div => self.two(Opcode::DIV, a, b),
            Binary::FloorDiv => {
                let quotient = self.two(Opcode::DIV, a, b);
                self.round(quotient, 1)
            }
            Binary::Max | Binary::Min => {
                // The instructions give b where a is NaN.
                let extreme = self.two(if op == Binary::Max { Opcode::MAX } else { Opcode::MIN }, a, b);
                let nan = self.compare(a, UNORDERED, a);
                self.add(Value::Blend(extreme, a, nan))
            }
            Binary::And | Binary::Or | Binary::Xor => {
                let combined = match op {
                    Binary::And => Opcode::AND,
                    Binary::Or => Opcode::OR,
                    _ => Opcode::XOR,
                };
                let (a, b) = (self.truth(a), self.truth(b));
                let mask = self.two(combined, a, b);
                self.counted(mask)
            }
            _ => return None,
        })
    }
}

/// The operands that combine one more value with what there was before: their order decides about NaN and zeros.
pub fn ordered<I>(join: Binary, running: I, value: I) -> [I; 2] {
    if join == Binary::Add { [running, value] } else { [value, running] }
}

/// How a fold combines two numbers, and what it begins with; `None` for products, which leave the range of the type.
pub fn joined(fold: Fold) -> Option<(Binary, f64)> {
    match fold {
        Fold::Sum => Some((Binary::Add, 0.0)),
        Fold::Max => Some((Binary::Max, f64::NEG_INFINITY)),
        Fold::Min => Some((Binary::Min, f64::INFINITY)),
        Fold::Prod => None,
    }
}
