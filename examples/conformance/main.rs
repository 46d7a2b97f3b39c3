//! Runs the conformance suite: every operation on a device, values, layouts and gradients.
//!
//! `cargo run --release --example conformance`; `-- --help` lists the options.

mod options;

use cotangent::Device;
use cotangent::check::{Conformance, Report};
use options::Options;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("conformance: {error}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    if options.help {
        println!("{}", options::HELP);
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all checks passed.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let device = if options.reference { Device::reference() } else { Device::default() };
    let mut suite = Conformance::new(&device).seed(options.seed);
    if let Some(name) = &options.only {
        suite = suite.only(name);
    }
    if let Some(time) = options.budget {
        suite = suite.budget(time);
    }
    let operations = suite.operations();
    if operations.is_empty() {
        let name = options.only.as_deref().unwrap_or_default();
        return Err(format!("no operation is called '{name}'; --list prints their names").into());
    }
    if options.list {
        println!("{}", operations.join("\n"));
        return Ok(true);
    }
    // A file that cannot be written is found before the suite has run.
    let junit = options.junit.as_deref().map(create).transpose()?;
    let json = options.json.as_deref().map(create).transpose()?;
    println!("{} operations on {device}, seed {}", operations.len(), options.seed);
    let report = Report { replay: options.replay(), ..suite.run() };
    println!("{report}");
    for (file, text) in [(junit, report.to_junit()), (json, report.to_json())] {
        if let Some(mut file) = file {
            file.write_all(text.as_bytes())?;
        }
    }
    if report.is_ok() {
        println!("replay: {}", report.replay);
    }
    Ok(report.is_ok())
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}
