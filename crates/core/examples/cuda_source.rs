//! Prints the CUDA text of every primitive, its derivatives and some formulas, for a compiler to check:
//! `cargo run -q -p cotangent-core --example cuda_source > programs.cu && python3 tests/cuda/nvrtc.py programs.cu`.

#[path = "../tests/common/programs.rs"]
#[allow(dead_code)] // the points are the tests'
mod programs;

fn main() {
    print!("{}", programs::source(&programs::cases()));
}
