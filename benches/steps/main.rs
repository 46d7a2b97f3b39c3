//! Times operations and training steps: one JSON line for each workload, with the median of repeated runs.
//!
//! `cargo bench --bench steps -- [--only NAME] [--threads N]`
//!
//! With `--check FILE` it compares them with a baseline instead, and with `--record FILE` it makes one: see [`baseline`].
//! With `--machine` it prints what bounds them: how fast memory is read and copied, and matrices are multiplied.

mod baseline;
mod machine;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use workloads::{WORKLOADS, Workload, measure};

/// What is asked for.
struct Options {
    /// One workload instead of all.
    only: Option<String>,
    threads: usize,
    check: Option<PathBuf>,
    record: Option<PathBuf>,
    machine: bool,
}

impl Options {
    fn read() -> Result<Options, lexopt::Error> {
        use lexopt::{Arg, ValueExt};
        let mut options = Options { only: None, threads: 2, check: None, record: None, machine: false };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("only") => options.only = Some(parser.value()?.string()?),
                Arg::Long("threads") => options.threads = parser.value()?.parse()?,
                Arg::Long("check") => options.check = Some(parser.value()?.into()),
                Arg::Long("record") => options.record = Some(parser.value()?.into()),
                Arg::Long("machine") => options.machine = true,
                Arg::Long("bench") => {} // cargo bench adds it
                other => return Err(other.unexpected()),
            }
        }
        if let Some(name) = options.only.as_ref().filter(|_| options.workloads().next().is_none()) {
            let known: Vec<&str> = WORKLOADS.iter().map(|(name, ..)| *name).collect();
            return Err(format!("no workload '{name}'; there are {}", known.join(", ")).into());
        }
        Ok(options)
    }

    fn workloads(&self) -> impl Iterator<Item = &'static Workload> {
        WORKLOADS.iter().filter(|(name, ..)| self.only.as_deref().is_none_or(|only| only == *name))
    }
}

fn main() -> ExitCode {
    match Options::read().map_err(|error| error.to_string()).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("steps: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all is well.
fn run(options: &Options) -> Result<bool, String> {
    cotangent::cpu::set_threads(options.threads);
    if options.machine {
        machine::print(options.threads);
        return Ok(true);
    }
    if let Some(file) = &options.record {
        return baseline::record(file, options.threads, options.workloads()).map(|()| true);
    }
    if let Some(file) = &options.check {
        return baseline::check(file, options.threads, options.workloads());
    }
    for (name, work, make) in options.workloads() {
        let (median, runs) = measure(&mut make(), Duration::from_secs(1));
        println!(
            "{{\"name\": \"{name}\", \"us\": {:.2}, \"runs\": {runs}, \"work\": \"{work}\", \"peer\": \"cotangent\", \
             \"threads\": {}}}",
            median.as_secs_f64() * 1e6,
            options.threads
        );
    }
    Ok(true)
}
