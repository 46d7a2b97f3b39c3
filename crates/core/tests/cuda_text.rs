//! Printed CUDA text means what the CPU computes: compiled as C++ (where `__device__` is nothing) and run on points
//! inside of each domain and on zeros, ties, infinities and NaN, in double and in single precision.
//!
//! Needs `g++`; `COTANGENT_SKIP_GXX=1` skips the test where there is none. NVRTC compiles the same source in
//! `tests/cuda/nvrtc.py`.

#[path = "common/programs.rs"]
mod programs;

use programs::{Case, cases, source};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands in for CUDA's own declarations.
const HEADER: &str = r#"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <vector>
#define __device__
#define __global__ static
struct Index { unsigned long long x; };
static Index blockIdx, blockDim = {1}, threadIdx = {0};
static double __longlong_as_double(unsigned long long bits) { double x; memcpy(&x, &bits, 8); return x; }
"#;

/// Reads the points of one program after the other, as doubles, and writes its results.
fn main_function(cases: &[Case]) -> String {
    let mut text = String::from(
        r#"
template <typename T, typename F> void run(F kernel, size_t args, size_t uniforms, size_t outputs, size_t n, FILE* in, FILE* out) {
  std::vector<double> u(uniforms + 1), x(args * n), y(outputs * n);
  if (fread(u.data(), 8, uniforms, in) != uniforms || fread(x.data(), 8, x.size(), in) != x.size()) throw "input ends";
  std::vector<T> xt(x.begin(), x.end()), yt(y.size());
  for (size_t i = 0; i < n; ++i) { blockIdx.x = i; kernel(xt.data(), u.data(), yt.data(), n); }
  for (size_t k = 0; k < y.size(); ++k) y[k] = yt[k];
  fwrite(y.data(), 8, y.size(), out);
}
int main(int, char** argv) {
  FILE* in = fopen(argv[1], "rb");
  FILE* out = fopen(argv[2], "wb");
"#,
    );
    for (ty, suffix) in [("float", "f"), ("double", "d")] {
        for case in cases {
            let (args, outputs) = (case.program.args(), case.program.outputs().len());
            text += &format!(
                "  run<{ty}>(k_{}_{suffix}, {args}, {}, {outputs}, {}, in, out);\n",
                case.name,
                case.uniforms.len(),
                case.points().len()
            );
        }
    }
    text + "  return fclose(out);\n}\n"
}

/// Compiles and runs the source on all points: results of every case in single, then in double precision.
fn compiled(cases: &[Case], folder: &Path) -> Vec<f64> {
    let [cpp, program, input, output] = ["main.cpp", "main", "input", "output"].map(|name| folder.join(name));
    // `extern "C"` and `static` exclude each other.
    let kernels = source(cases).replace("extern \"C\" __global__", "__global__");
    std::fs::write(&cpp, HEADER.to_owned() + &kernels + &main_function(cases)).unwrap();
    let built = Command::new("g++").args(["-std=c++17", "-O1", "-ffp-contract=off", "-o"]).arg(&program).arg(&cpp).output();
    let built = built.expect("g++ runs (COTANGENT_SKIP_GXX=1 skips this test where there is none)");
    assert!(built.status.success(), "g++: {}", String::from_utf8_lossy(&built.stderr));
    let one = |case: &Case| [case.uniforms.clone(), case.points().concat()].concat();
    let numbers: Vec<f64> = cases.iter().chain(cases).flat_map(one).collect();
    std::fs::write(&input, numbers.iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<u8>>()).unwrap();
    assert!(Command::new(&program).args([&input, &output]).status().unwrap().success());
    let bytes = std::fs::read(&output).unwrap();
    bytes.chunks(8).map(|b| f64::from_ne_bytes(b.try_into().unwrap())).collect()
}

fn temporary() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cuda_text");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether a result is the expected number up to rounding: `tolerance` relative to the number, and to the numbers that
/// were added on the way, which are about 1 inside of the domains.
fn agrees(found: f64, expected: f64, tolerance: f64) -> bool {
    if expected.is_nan() || expected.is_infinite() {
        return found == expected || found.is_nan() && expected.is_nan();
    }
    (found - expected).abs() <= tolerance * (1.0 + expected.abs())
}

#[test]
fn printed_programs_compute_what_the_table_says() {
    if std::env::var_os("COTANGENT_SKIP_GXX").is_some() {
        eprintln!("skipped: COTANGENT_SKIP_GXX is set");
        return;
    }
    let cases = cases();
    let mut results = compiled(&cases, &temporary()).into_iter();
    let mut wrong = vec![];
    for (ty, tolerance) in [("float", 2e-5), ("double", 4e-14)] {
        for case in &cases {
            for (position, point) in case.points().iter().enumerate() {
                let expected = case.program.eval_f64(point, &case.uniforms, position);
                for (k, &expected) in expected.iter().enumerate() {
                    let found = results.next().expect("a result for every point");
                    if !agrees(found, expected, tolerance) {
                        wrong.push(format!("{} ({ty}) output {k} at {point:?}: {found:?}, not {expected:?}", case.name));
                    }
                }
            }
        }
    }
    assert!(results.next().is_none());
    assert!(wrong.is_empty(), "{} wrong results, such as\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

#[test]
fn the_comparison_finds_a_wrong_row() {
    assert!(agrees(1.0, 1.0 + 1e-14, 4e-14) && agrees(f64::NAN, f64::NAN, 0.0) && agrees(f64::INFINITY, f64::INFINITY, 0.0));
    assert!(!agrees(1.0, 1.0 + 1e-12, 4e-14) && !agrees(0.0, f64::NAN, 1.0) && !agrees(f64::NAN, 0.0, 1.0));
    assert!(!agrees(f64::INFINITY, f64::NEG_INFINITY, 1.0) && !agrees(1e300, f64::INFINITY, 1.0));
}
