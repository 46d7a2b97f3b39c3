//! The command line.

use lexopt::{Arg, Parser, ValueExt};
use std::path::PathBuf;
use std::time::Duration;

pub const HELP: &str = "\
Checks every operation on the default device: values in every element type, layouts, gradients of both orders.

Usage: cargo run --release --example conformance -- [OPTIONS]

Options:
  --only NAME   this operation only
  --seed N      seed of inputs and cotangents [1]
  --seconds S   start no further operation after this time, and say which were not checked
  --junit FILE  write the report as JUnit XML; what was not checked is skipped there
  --json FILE   write the report as JSON
  --reference   check the reference device instead
  --list        print the names of the operations instead of checking them
  --help        print this text

Exit code: 0 if no check failed, 1 if one did or there was none, 2 for wrong options and files that cannot be written.";

/// What to do.
pub struct Options {
    pub only: Option<String>,
    pub seed: u64,
    pub budget: Option<Duration>,
    pub junit: Option<PathBuf>,
    pub json: Option<PathBuf>,
    pub reference: bool,
    pub list: bool,
    pub help: bool,
}

impl Options {
    /// The options of this process.
    pub fn parse() -> Result<Options, lexopt::Error> {
        let mut options = Options {
            only: None,
            seed: 1,
            budget: None,
            junit: None,
            json: None,
            reference: false,
            list: false,
            help: false,
        };
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("only") => options.only = Some(parser.value()?.string()?),
                Arg::Long("seed") => options.seed = parser.value()?.parse()?,
                Arg::Long("seconds") => options.budget = Some(seconds(parser.value()?.parse()?)?),
                Arg::Long("junit") => options.junit = Some(parser.value()?.into()),
                Arg::Long("json") => options.json = Some(parser.value()?.into()),
                Arg::Long("reference") => options.reference = true,
                Arg::Long("list") => options.list = true,
                Arg::Long("help") | Arg::Short('h') => options.help = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }

    /// The command that checks the same again, without a limit of time.
    pub fn replay(&self) -> String {
        let only = self.only.as_ref().map_or(String::new(), |name| format!(" --only '{name}'"));
        let reference = if self.reference { " --reference" } else { "" };
        format!("cargo run --release --example conformance -- --seed {}{only}{reference}", self.seed)
    }
}

fn seconds(seconds: f64) -> Result<Duration, lexopt::Error> {
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("--seconds {seconds}: {error}").into())
}
