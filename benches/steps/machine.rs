//! What bounds every program on this machine.

use crate::workloads::peak;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Bytes that each thread reads or copies: more than caches hold.
const BYTES: usize = 64 << 20;

/// Prints, as one JSON line, GB/s in which memory is read, and copied (read and written), and GFLOP/s of the product of two
/// matrices of 1024×1024.
pub fn print(threads: usize) {
    let product = peak(Duration::from_secs(1)) / 1e9;
    let read = bandwidth(threads, BYTES, |from, _| {
        black_box(from.iter().fold(0, |sum: u64, x| sum.wrapping_add(*x)));
    });
    let copy = bandwidth(threads, 2 * BYTES, |from, to| to.copy_from_slice(from));
    println!(
        "{{\"threads\": {threads}, \"read_gb_s\": {read:.1}, \"copy_gb_s\": {copy:.1}, \"product_gflop_s\": {product:.1}}}"
    );
}

/// GB/s of so many bytes in each thread: the best of ten, as what else runs only slows it down.
fn bandwidth(threads: usize, bytes: usize, work: impl Fn(&[u64], &mut [u64]) + Sync) -> f64 {
    let mut memory: Vec<[Vec<u64>; 2]> = (0..threads).map(|_| [vec![1; BYTES / 8], vec![2; BYTES / 8]]).collect();
    let round = |_| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for [from, to] in &mut memory {
                scope.spawn(|| work(black_box(from), black_box(to)));
            }
        });
        (threads * bytes) as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..10).map(round).fold(0.0, f64::max)
}
