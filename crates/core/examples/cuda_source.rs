//! Prints the CUDA text of every primitive, its derivatives and some formulas, for a compiler to check:
//! `cargo run -q -p cotangent-core --example cuda_source > programs.cu && python3 tests/cuda/nvrtc.py programs.cu`.

#[path = "../tests/common/programs.rs"]
#[allow(dead_code)] // the points are the tests'
mod programs;

#[path = "../tests/common/kernels.rs"]
#[allow(dead_code)]
mod kernels;

fn main() {
    print!("{}typedef float T;\n{}", programs::source(&programs::cases()), kernels::DIFFUSE.cuda);
}
