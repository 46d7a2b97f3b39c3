//! Printed CUDA text means what the CPU computes: compiled as C++ (where `__device__` is nothing) and run on points
//! inside of each domain and on zeros, ties, infinities and NaN, in double and in single precision.
//!
//! Needs `g++`; `COTANGENT_SKIP_GXX=1` skips the test where there is none. NVRTC compiles the same source in
//! `tests/cuda/nvrtc.py`.

#[path = "common/kernels.rs"]
mod kernels;
#[path = "common/programs.rs"]
mod programs;

use cotangent_core::{DType, Tensor};
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

/// Compiles a program and runs it with files for input and output.
fn run(folder: &Path, source: &str, input: &[f64]) -> Vec<f64> {
    std::fs::create_dir_all(folder).unwrap();
    let [cpp, program, data, output] = ["main.cpp", "main", "input", "output"].map(|name| folder.join(name));
    // `extern "C"` and `static` exclude each other.
    std::fs::write(&cpp, source.replace("extern \"C\" __global__", "__global__")).unwrap();
    let built =
        Command::new("g++").args(["-std=c++17", "-O1", "-ffp-contract=off", "-o"]).arg(&program).arg(&cpp).output();
    let built = built.expect("g++ runs (COTANGENT_SKIP_GXX=1 skips this test where there is none)");
    assert!(built.status.success(), "g++: {}", String::from_utf8_lossy(&built.stderr));
    std::fs::write(&data, input.iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<u8>>()).unwrap();
    assert!(Command::new(&program).args([&data, &output]).status().unwrap().success());
    let bytes = std::fs::read(&output).unwrap();
    bytes.chunks(8).map(|b| f64::from_ne_bytes(b.try_into().unwrap())).collect()
}

/// Compiles and runs the source on all points: results of every case in single, then in double precision.
fn compiled(cases: &[Case]) -> Vec<f64> {
    let one = |case: &Case| [case.uniforms.clone(), case.points().concat()].concat();
    let numbers: Vec<f64> = cases.iter().chain(cases).flat_map(one).collect();
    run(&folder("programs"), &(HEADER.to_owned() + &source(cases) + &main_function(cases)), &numbers)
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cuda_text").join(name)
}

fn skipped() -> bool {
    let skip = std::env::var_os("COTANGENT_SKIP_GXX").is_some();
    if skip {
        eprintln!("skipped: COTANGENT_SKIP_GXX is set");
    }
    skip
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
    if skipped() {
        return;
    }
    let cases = cases();
    let mut results = compiled(&cases).into_iter();
    let mut wrong = vec![];
    for (ty, tolerance) in [("float", 2e-5), ("double", 4e-14)] {
        for case in &cases {
            for (position, point) in case.points().iter().enumerate() {
                let expected = case.program.eval_f64(point, &case.uniforms, position);
                for (k, &expected) in expected.iter().enumerate() {
                    let found = results.next().expect("a result for every point");
                    if !agrees(found, expected, tolerance) {
                        wrong
                            .push(format!("{} ({ty}) output {k} at {point:?}: {found:?}, not {expected:?}", case.name));
                    }
                }
            }
        }
    }
    assert!(results.next().is_none());
    assert!(wrong.is_empty(), "{} wrong results, such as\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

#[test]
fn both_sides_of_a_kernel_agree() {
    if skipped() {
        return;
    }
    let data: Vec<f64> = (0..21).map(|k| (k * k % 13) as f64 - 4.5).collect();
    let params = [7.0, 0.3];
    let main = r#"
int main(int, char** argv) {
  double x[21], y[21], params[2];
  FILE* in = fopen(argv[1], "rb");
  if (fread(params, 8, 2, in) != 2 || fread(x, 8, 21, in) != 21) return 1;
  for (blockIdx.x = 0; blockIdx.x < 24; ++blockIdx.x) diffuse(x, y, params, 21);
  FILE* out = fopen(argv[2], "wb");
  fwrite(y, 8, 21, out);
  return fclose(out);
}
"#;
    let source = HEADER.to_owned() + &kernels::DIFFUSE.source(DType::F64) + main;
    let found = run(&folder("kernel"), &source, &[&params[..], &data].concat());
    let expected = kernels::diffuse(&Tensor::from_slice(&data, [3, 7]), params[1]).to_vec::<f64>();
    assert!(found.iter().zip(&expected).all(|(a, b)| agrees(*a, *b, 1e-15)), "{found:?}, not {expected:?}");
    assert_eq!(found.len(), 21);
}

#[test]
fn the_comparison_finds_a_wrong_row() {
    assert!(
        agrees(1.0, 1.0 + 1e-14, 4e-14) && agrees(f64::NAN, f64::NAN, 0.0) && agrees(f64::INFINITY, f64::INFINITY, 0.0)
    );
    assert!(!agrees(1.0, 1.0 + 1e-12, 4e-14) && !agrees(0.0, f64::NAN, 1.0) && !agrees(f64::NAN, 0.0, 1.0));
    assert!(!agrees(f64::INFINITY, f64::NEG_INFINITY, 1.0) && !agrees(1e300, f64::INFINITY, 1.0));
}
