//! Has anything become slower? Times are kept as ratios to a calibration loop that runs in between, on as many threads, so
//! that a baseline is good on other days and on other machines whose processors have the same vectors.
//!
//! A ratio is the median of several rounds. It counts as slower beyond a margin that grows with how far the rounds lie
//! apart, now and when the baseline was made.

use crate::workloads::{Run, Workload, measure};
use serde_json::{Map, Value, json};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

/// Rounds of calibration and workload, in turn.
const ROUNDS: usize = 9;
/// How long a workload is measured in a round.
const LEAST: Duration = Duration::from_millis(250);
/// What may always be added to a ratio: where a linker places loops matters about so much.
const MARGIN: f64 = 0.15;

/// A ratio of times, and the distance between its quartiles over the ratio.
struct Figure {
    ratio: f64,
    spread: f64,
}

/// What bounds a workload, and therefore what it is compared with.
#[derive(Clone, Copy)]
enum Bound {
    Processor,
    Memory,
}

fn bound(name: &str) -> Bound {
    if name.starts_with("mlp") || name == "op_overhead" { Bound::Processor } else { Bound::Memory }
}

/// The time of a loop that the library has no part in.
fn calibrate(bound: Bound, threads: usize) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for seed in 0..threads {
            scope.spawn(move || match bound {
                Bound::Processor => {
                    let turn = |x: u64, _| x ^ (x << 13) ^ (x >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    black_box((0..4_000_000u64).fold(black_box(seed as u64 + 1), turn));
                }
                Bound::Memory => {
                    let from = vec![black_box(seed as u64); 4 << 20];
                    black_box((0..2).map(|_| black_box(&from).iter().sum::<u64>()).sum::<u64>());
                    black_box(black_box(from).clone());
                }
            });
        }
    });
    start.elapsed().as_secs_f64()
}

/// Values at a fourth, half and three fourths of some.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|k| values[(values.len() - 1) * k / 4])
}

fn figure(name: &str, make: fn() -> Run, threads: usize) -> Figure {
    let mut run = make();
    let mut round = |_| {
        let before = calibrate(bound(name), threads);
        let time = measure(&mut run, LEAST).0.as_secs_f64();
        time / before.min(calibrate(bound(name), threads))
    };
    let [low, ratio, high] = quartiles((0..ROUNDS).map(&mut round).collect());
    Figure { ratio, spread: (high - low) / ratio }
}

/// Which processors have a baseline in common, and with how many threads.
fn kind(threads: usize) -> String {
    #[cfg(target_arch = "x86_64")]
    let vectors = match (is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx2")) {
        (true, _) => "avx512",
        (_, true) => "avx2",
        _ => "sse2",
    };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = std::env::consts::ARCH;
    format!("{vectors}, {threads} threads")
}

fn read(file: &Path) -> Result<Map<String, Value>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Measures and writes what [`check`] compares with. Other kinds of processors and other workloads in the file stay.
pub fn record(file: &Path, threads: usize, workloads: impl Iterator<Item = &'static Workload>) -> Result<(), String> {
    let mut all = if file.exists() { read(file)? } else { Map::new() };
    let own = all.entry(kind(threads)).or_insert_with(|| json!({}));
    let own = own.as_object_mut().ok_or("a baseline holds an object for each kind of processor")?;
    for (name, _, make) in workloads {
        let Figure { ratio, spread } = figure(name, *make, threads);
        println!("{name:<20}{ratio:>10.4}   spread {:>3.0} %", 100.0 * spread);
        let rounded = |x: f64| (x * 1e5).round() / 1e5;
        own.insert((*name).into(), json!({ "ratio": rounded(ratio), "spread": rounded(spread) }));
    }
    let text = serde_json::to_string_pretty(&all).expect("values of JSON can be written") + "\n";
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Compares with a baseline; whether nothing is slower.
pub fn check(file: &Path, threads: usize, workloads: impl Iterator<Item = &'static Workload>) -> Result<bool, String> {
    let (all, kind) = (read(file)?, kind(threads));
    let none = || format!("{}: no baseline for {kind}; make one with --record {0}", file.display());
    let own = all.get(&kind).and_then(Value::as_object).ok_or_else(none)?;
    println!("{:<20}{:>10}{:>10}{:>9}{:>9}", "workload", "baseline", "now", "change", "allowed");
    let mut well = true;
    for (name, _, make) in workloads {
        let number = |key: &str| own.get(*name).and_then(|figure| figure.get(key)).and_then(Value::as_f64);
        let (Some(before), Some(spread)) = (number("ratio"), number("spread")) else {
            return Err(format!("{}: no baseline of {name} for {kind}", file.display()));
        };
        let now = figure(name, *make, threads);
        let (change, allowed) = (now.ratio / before - 1.0, MARGIN + 2.0 * (spread + now.spread));
        let verdict = match change {
            _ if change > allowed => "SLOWER",
            _ if change < -allowed => "faster: record it",
            _ => "as before",
        };
        well &= change <= allowed;
        let percent = |x: f64| format!("{:+.0} %", 100.0 * x);
        println!(
            "{name:<20}{before:>10.4}{:>10.4}{:>9}{:>9}   {verdict}",
            now.ratio,
            percent(change),
            percent(allowed)
        );
    }
    Ok(well)
}
