//! The command line.

use lexopt::{Arg, Parser, ValueExt};
use std::path::PathBuf;

pub const HELP: &str = "\
Trains the lecture's network on MNIST: 784-200-BN-ReLU-Dropout-100-BN-ReLU-Dropout-10.

Usage: cargo run --release --example lecture -- [OPTIONS]

Options:
  --epochs N      passes over the training data [4]
  --batch N       images per step [128]
  --validation N  training images held out for validation [2000]
  --threads N     threads [one per core]
  --seed N        seed of weights, order and dropout [0]
  --data DIR      folder with the four IDX files of MNIST or a database in its form [built in]
  --plots DIR     write curves.svg and curves.png there
  --profile       print where the time of a training step goes
  --json          print one line of JSON instead of the report
  --help          print this text";

/// What to do.
pub struct Options {
    pub epochs: usize,
    pub batch: usize,
    pub validation: usize,
    pub threads: Option<usize>,
    pub seed: u64,
    pub data: Option<PathBuf>,
    pub plots: Option<PathBuf>,
    pub profile: bool,
    pub json: bool,
    pub help: bool,
}

impl Options {
    /// The options of this process.
    pub fn parse() -> Result<Options, lexopt::Error> {
        let mut options = Options {
            epochs: 4,
            batch: 128,
            validation: 2_000,
            threads: None,
            seed: 0,
            data: None,
            plots: None,
            profile: false,
            json: false,
            help: false,
        };
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("epochs") => options.epochs = at_least(1, "--epochs", &mut parser)?,
                // Batch statistics need more than one image.
                Arg::Long("batch") => options.batch = at_least(2, "--batch", &mut parser)?,
                Arg::Long("validation") => options.validation = at_least(1, "--validation", &mut parser)?,
                Arg::Long("threads") => options.threads = Some(at_least(1, "--threads", &mut parser)?),
                Arg::Long("seed") => options.seed = parser.value()?.parse()?,
                Arg::Long("data") => options.data = Some(parser.value()?.into()),
                Arg::Long("plots") => options.plots = Some(parser.value()?.into()),
                Arg::Long("profile") => options.profile = true,
                Arg::Long("json") => options.json = true,
                Arg::Long("help") | Arg::Short('h') => options.help = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}

/// The value of an option that counts something.
fn at_least(least: usize, name: &str, parser: &mut Parser) -> Result<usize, lexopt::Error> {
    let n: usize = parser.value()?.parse()?;
    if n < least { Err(format!("{name}: {n} is too small; at least {least}").into()) } else { Ok(n) }
}
