//! A program made ready to run on blocks: operands are places, which are used again when their value is dead.

use super::plan::{Key, Plan, Plans};
use cotangent_core::expr::{Binary, Draw, Inst, Program, Unary};
use smallvec::SmallVec;
use std::sync::Arc;

/// What an instruction does to whole blocks.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// A primitive of one operand.
    Unary(Unary),
    /// A primitive of two operands.
    Binary(Binary),
    /// The second operand where the first is not zero, else the third.
    Select,
    /// Random numbers; the ticket's four words are the uniforms from the given one on.
    Random(Draw, usize),
    /// The operand itself.
    Copy,
}

impl Op {
    /// How many operands a function of its operands alone has; none for random numbers, which depend on the position.
    pub fn operands(self) -> Option<usize> {
        match self {
            Op::Unary(_) | Op::Copy => Some(1),
            Op::Binary(_) => Some(2),
            Op::Select => Some(3),
            Op::Random(..) => None,
        }
    }
}

/// One instruction. It never writes to a place that it reads.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What it does.
    pub op: Op,
    /// The place of its result.
    pub to: u16,
    /// The places of its operands.
    pub from: [u16; 3],
}

/// A number that is the same for all elements.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Splat {
    /// A constant of the formula.
    Const(f64),
    /// A run-time constant.
    Uniform(usize),
}

impl Splat {
    /// Its value, given those of the run-time constants.
    pub fn value(self, uniforms: &[f64]) -> f64 {
        match self {
            Splat::Const(x) => x,
            Splat::Uniform(k) => uniforms[k],
        }
    }
}

/// A program over places: first the arguments, then the splats, then the outputs, then temporary values.
#[derive(Debug)]
pub struct Code {
    /// The instructions.
    pub steps: Vec<Step>,
    /// Numbers that are the same for all elements.
    pub splats: SmallVec<[Splat; 4]>,
    /// Which arguments are read.
    pub reads: SmallVec<[bool; 4]>,
    /// Number of outputs.
    pub outputs: usize,
    /// Number of temporary places.
    pub temporaries: usize,
    /// About how long one element takes, in units of an addition.
    pub cost: usize,
    /// Whether a program of one argument returns just that.
    pub identity: bool,
    /// The places that outputs are copies of, or their own.
    pub origins: SmallVec<[u16; 2]>,
    plans: Plans,
}

/// About how long an instruction takes per element, in units of an addition.
fn cost(op: Op) -> usize {
    match op {
        Op::Unary(u) => match u {
            Unary::Neg | Unary::Abs | Unary::Sign | Unary::Square | Unary::Relu | Unary::Not => 1,
            Unary::Floor | Unary::Ceil | Unary::Round | Unary::Trunc => 1,
            Unary::IsNan | Unary::IsInf | Unary::IsFinite => 1,
            Unary::Sqrt | Unary::Rsqrt | Unary::Recip => 3,
            Unary::Exp | Unary::Exp2 => 6,
            _ => 12,
        },
        Op::Binary(b) => match b {
            Binary::Div | Binary::FloorDiv => 3,
            Binary::Pow | Binary::Atan2 | Binary::Xlogy | Binary::Logaddexp | Binary::Hypot => 20,
            Binary::Rem | Binary::Fmod => 40,
            _ => 1,
        },
        Op::Select | Op::Copy => 1,
        Op::Random(Draw::Normal, _) => 40,
        Op::Random(..) => 8,
    }
}

impl Code {
    /// Assigns places to a program's values.
    pub fn new(program: &Program) -> Code {
        let insts = program.insts();
        let mut last_use: Vec<usize> = vec![0; insts.len()];
        for (at, &inst) in insts.iter().enumerate() {
            inst.operands().iter().for_each(|&o| last_use[o as usize] = at);
        }
        let mut splats: SmallVec<[Splat; 4]> = SmallVec::new();
        for &inst in insts {
            let splat = match inst {
                Inst::Const(bits) => Splat::Const(f64::from_bits(bits)),
                Inst::Uniform(k) => Splat::Uniform(k as usize),
                _ => continue,
            };
            splats.push(splat);
        }
        let first_splat = program.args() as u16;
        let first_output = first_splat + splats.len() as u16;
        let first_temporary = first_output + program.outputs().len() as u16;

        let (mut places, mut steps) = (vec![0u16; insts.len()], vec![]);
        let (mut free, mut temporaries, mut next_splat) = (vec![], 0, first_splat);
        for (at, &inst) in insts.iter().enumerate() {
            let op = match inst {
                Inst::Arg(k) => {
                    places[at] = k;
                    continue;
                }
                Inst::Const(_) | Inst::Uniform(_) => {
                    places[at] = next_splat;
                    next_splat += 1;
                    continue;
                }
                Inst::Unary(u, _) => Op::Unary(u),
                Inst::Binary(b, ..) => Op::Binary(b),
                Inst::Select(..) => Op::Select,
                Inst::Random(draw, k) => Op::Random(draw, k as usize),
            };
            // The result's place is taken before those of dead operands are free again, so that it is none of them.
            let output = program.outputs().iter().position(|&o| o as usize == at);
            places[at] = match output {
                Some(k) => first_output + k as u16,
                None => free.pop().unwrap_or_else(|| {
                    temporaries += 1;
                    first_temporary + temporaries as u16 - 1
                }),
            };
            let read = inst.operands();
            let mut from = [0; 3];
            for (k, &operand) in read.iter().enumerate() {
                from[k] = places[operand as usize];
                let dead = last_use[operand as usize] == at && !read[..k].contains(&operand);
                if dead && from[k] >= first_temporary {
                    free.push(from[k]);
                }
            }
            steps.push(Step { op, to: places[at], from });
        }
        for (k, &output) in program.outputs().iter().enumerate() {
            let to = first_output + k as u16;
            let from = places[output as usize];
            if from != to {
                steps.push(Step { op: Op::Copy, to, from: [from, 0, 0] });
            }
        }
        Code {
            reads: (0..program.args()).map(|k| program.reads(k)).collect(),
            outputs: program.outputs().len(),
            temporaries,
            cost: steps.iter().map(|step| cost(step.op)).sum(),
            identity: insts == [Inst::Arg(0)] && program.outputs() == [0],
            steps,
            splats,
            origins: program.outputs().iter().map(|&output| places[output as usize]).collect(),
            plans: Plans::default(),
        }
    }

    /// The first place of the outputs.
    pub fn first_output(&self) -> usize {
        self.reads.len() + self.splats.len()
    }

    /// The places of the outputs.
    pub fn output_places(&self) -> SmallVec<[u16; 2]> {
        (0..self.outputs).map(|k| (self.first_output() + k) as u16).collect()
    }

    /// The place of an accumulator, if there is one for each output.
    pub fn accumulator(&self, output: usize) -> usize {
        self.first_output() + self.outputs + self.temporaries + output
    }

    /// How the steps run.
    pub fn plan(&self, key: Key) -> Arc<Plan> {
        self.plans.get(self, key)
    }
}
