//! The scalar programs that the tests of printed CUDA text go through: every primitive, its derivatives of first and
//! second order, the other instructions, and formulas of several steps.

use cotangent_core::expr::{Binary, Draw, Expr, Program, Traced, Unary, VjpKey, draw, trace};
use cotangent_core::{Rng, rng::philox};
use std::f64::consts::PI;
use std::ops::Range;
use std::sync::Arc;

/// A program, and where its arguments lie.
pub struct Case {
    /// A C identifier.
    pub name: String,
    pub program: Arc<Program>,
    pub uniforms: Vec<f64>,
    pub domains: Vec<Range<f64>>,
}

impl Case {
    /// Arguments to try: inside of the domains, and at zeros, ties, infinities and NaN.
    pub fn points(&self) -> Vec<Vec<f64>> {
        let special = [0.0, -0.0, 1.0, -1.0, 0.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let random = |k: u32, arg: usize, n: u32| philox([k, arg as u32], [n, 0, 0, 0])[0] as f64 / 4294967296.0;
        let inside = (0..24).map(|k| {
            let at =
                |(arg, domain): (usize, &Range<f64>)| domain.start + random(k, arg, 0) * (domain.end - domain.start);
            self.domains.iter().enumerate().map(at).collect()
        });
        let pick = |k: u32, arg: usize| special[(random(k, arg, 1) * special.len() as f64) as usize];
        let edges = (0..64).map(|k| (0..self.domains.len()).map(|arg| pick(k, arg)).collect());
        inside.chain(edges).map(|point: Vec<f64>| point.iter().map(|&x| x as f32 as f64).collect()).collect()
    }

    /// The derivative by every argument together.
    fn derivative(&self) -> Case {
        let key = VjpKey { output: 0, wanted: (1 << self.program.args()) - 1 };
        let mut domains = self.domains.clone();
        domains.push(-2.0..2.0);
        Case {
            name: format!("d_{}", self.name),
            program: self.program.vjp(key),
            uniforms: self.uniforms.clone(),
            domains,
        }
    }
}

fn case(name: &str, traced: Traced, domains: &[Range<f64>]) -> Case {
    Case { name: name.into(), program: traced.program, uniforms: traced.uniforms.to_vec(), domains: domains.to_vec() }
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut smooth = vec![];
    for &u in Unary::ALL {
        smooth.push(case(u.row().name, trace(move |[x]| x.unary(u)), u.row().domains));
    }
    for &b in Binary::ALL {
        smooth.push(case(b.row().name, trace(move |[x, y]| x.binary(b, y)), b.row().domains));
    }
    let wide = || [-2.0..2.0, -2.0..2.0, -2.0..2.0];
    smooth.push(case("mish", trace(|[x]: [Expr; 1]| x * x.softplus().tanh()), &wide()[..1]));
    let gelu = |[x]: [Expr; 1]| 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x * x * x)).tanh());
    smooth.push(case("gelu_tanh", trace(gelu), &wide()[..1]));
    let guarded = |[x]: [Expr; 1]| x.gt(0.0).select(x.sqrt(), -x * x);
    smooth.push(case("guarded", trace(guarded), &wide()[..1]));
    smooth.push(case("choice", trace(|[c, x, y]: [Expr; 3]| c.gt(0.1).select(x * y, x / y)), &wide()));
    let scale = 1.0 / 3.0;
    smooth.push(case("captured", trace(move |[x]: [Expr; 1]| x * scale + 1e-30), &wide()[..1]));
    let constants = |[x]: [Expr; 1]| {
        let c = Expr::constant;
        x.gt(0.0).select(c(f64::INFINITY), x.lt(0.0).select(c(f64::NEG_INFINITY), c(f64::NAN))) + c(1e-300) + c(-2.5)
    };
    smooth.push(case("constants", trace(constants), &wide()[..1]));

    let mut all = vec![];
    for case in smooth {
        let first = case.derivative();
        // Only derivatives of one argument have one output to differentiate again; those of several go one by one.
        for output in 0..first.program.outputs().len() {
            let key = VjpKey { output, wanted: (1 << first.program.args()) - 1 };
            let mut domains = first.domains.clone();
            domains.push(-2.0..2.0);
            all.push(Case {
                name: format!("d{output}_{}", first.name),
                program: first.program.vjp(key),
                uniforms: first.uniforms.clone(),
                domains,
            });
        }
        all.extend([case, first]);
    }
    let rng = Rng::new(0x1234_5678_9abc_def0);
    for (name, kind) in [("uniform", Draw::Uniform), ("uniform53", Draw::Uniform53), ("normal", Draw::Normal)] {
        let ticket = rng.ticket();
        let traced = trace(move |[x]: [Expr; 1]| draw(kind, ticket) + 0.0 * x.is_nan());
        all.push(case(name, traced, &wide()[..1]));
    }
    let pair = trace(|[x, y]: [Expr; 2]| [x + y, x * y]);
    all.push(case("two_outputs", pair, &wide()[..2]));
    all
}

/// The CUDA functions of all programs for `float` and `double`, and a kernel around each.
pub fn source(cases: &[Case]) -> String {
    let mut text = String::from(cotangent_core::expr::PRELUDE);
    for (ty, suffix) in [("float", "f"), ("double", "d")] {
        for case in cases {
            let (name, args, outputs) = (&case.name, case.program.args(), case.program.outputs().len());
            text += &case.program.cuda(&format!("{name}_{suffix}"), ty);
            text += &format!(
                "extern \"C\" __global__ void k_{name}_{suffix}(const {ty}* x, const double* u, {ty}* y, unsigned long long n) {{\n\
                 \x20 unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x;\n\
                 \x20 if (i < n) {name}_{suffix}(x + i * {args}, u, i, y + i * {outputs});\n}}\n"
            );
        }
    }
    text
}
