//! Programs as CUDA C.

use super::program::{Draw, Inst, Program};
use std::fmt::Write;

/// What every generated function needs: no header, so that NVRTC compiles it without an include path.
pub const PRELUDE: &str = include_str!("prelude.cuh");

impl Program {
    /// The program as a CUDA device function `name` for the element type `T` (`float` or `double`):
    /// `x` are the arguments, `u` the run-time constants, `i` the position in the output, `y` the results.
    ///
    /// [`PRELUDE`] must come before it.
    ///
    /// ```
    /// use cotangent_core::expr::trace;
    /// let mish = trace(|[x]: [_; 1]| x * x.softplus().tanh());
    /// assert!(mish.program.cuda("mish", "float").contains("tanh(v1)"));
    /// ```
    pub fn cuda(&self, name: &str, ty: &str) -> String {
        let mut text = format!(
            "__device__ void {name}(const {ty}* x, const double* u, unsigned long long i, {ty}* y) {{\n  typedef {ty} T;\n"
        );
        for (at, inst) in self.insts().iter().enumerate() {
            let value = match *inst {
                Inst::Arg(k) => format!("x[{k}]"),
                Inst::Uniform(k) => format!("T(u[{k}])"),
                Inst::Const(bits) => constant(f64::from_bits(bits)),
                Inst::Unary(f, a) => f.row().cuda.replace("{x}", &format!("v{a}")),
                Inst::Binary(f, a, b) => f.row().cuda.replace("{a}", &format!("v{a}")).replace("{b}", &format!("v{b}")),
                Inst::Select(c, a, b) => format!("(v{c} != T(0) ? v{a} : v{b})"),
                Inst::Random(draw, k) => {
                    let f = match draw {
                        Draw::Uniform => "ct_uniform",
                        Draw::Uniform53 => "ct_uniform53",
                        Draw::Normal => "ct_normal",
                    };
                    format!("T({f}(u + {k}, i))")
                }
            };
            writeln!(text, "  T v{at} = {value};").expect("writing to a String");
        }
        for (k, o) in self.outputs().iter().enumerate() {
            writeln!(text, "  y[{k}] = v{o};").expect("writing to a String");
        }
        text + "}\n"
    }
}

/// A constant exactly: a decimal that reads back as it, or its bits where a literal of single precision would overflow,
/// vanish or be no number, which compilers warn about.
fn constant(value: f64) -> String {
    let single = value as f32;
    if single.is_finite() && (single.is_normal() || value == 0.0) {
        format!("T({value:?})")
    } else {
        format!("T(__longlong_as_double(0x{:016x}LL))", value.to_bits())
    }
}
