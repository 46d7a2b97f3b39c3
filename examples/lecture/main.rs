//! The lecture's network on MNIST:
//!
//! ```text
//! 784 -> Dense 200, BatchNorm, ReLU, Dropout 0.5
//!     -> Dense 100, BatchNorm, ReLU, Dropout 0.5
//!     -> Dense  10, softmax cross-entropy;        Adam with learning rate 0.01 and decay 1e-6
//! ```
//!
//! `cargo run --release --example lecture`; `-- --help` lists the options.

mod curves;
mod options;

use cotangent::data::{Images, Loader, mnist};
use cotangent::prelude::*;
use cotangent::profile::{self, Report};
use curves::{History, Point};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use options::Options;
use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Instant;

/// The network.
struct Lecture {
    first: Hidden,
    second: Hidden,
    output: Dense,
}
module!(Lecture { first, second, output });

/// Dense, batch normalization, ReLU, dropout.
type Hidden = (Dense, BatchNorm, Relu, Dropout);

impl Lecture {
    fn new(rng: &Rng) -> Lecture {
        let hidden = |inputs, outputs| (Dense::new(inputs, outputs, rng), BatchNorm::new(outputs), Relu, Dropout(0.5));
        Lecture { first: hidden(784, 200), second: hidden(200, 100), output: Dense::new(100, 10, rng) }
    }
}

impl Layer for Lecture {
    fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor {
        let hidden = self.second.forward(&self.first.forward(x, mode), mode);
        self.output.forward(&hidden, mode)
    }
}

/// Mean loss and accuracy over images, as they come in.
#[derive(Default)]
struct Meter {
    loss: f64,
    correct: f64,
    images: f64,
}

impl Meter {
    fn add(&mut self, loss: &Tensor, logits: &Tensor, classes: &Tensor) {
        let batch = classes.count() as f64;
        self.loss += loss.item() * batch;
        self.correct += logits.argmax(-1).eq(classes).sum(..).item();
        self.images += batch;
    }

    fn merge(&mut self, other: &Meter) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.images += other.images;
    }

    fn at(&self, epoch: f64) -> Point {
        Point { epoch, loss: self.loss / self.images, accuracy: self.correct / self.images }
    }
}

/// One step of the training; the loss and the logits before it.
fn training_step(
    model: &mut Lecture,
    opt: &mut Optimizer<Adam>,
    rng: &Rng,
    x: &Tensor,
    y: &Tensor,
) -> (Tensor, Tensor) {
    let logits = model.forward(x, &Mode::Train(rng));
    let loss = cross_entropy(&logits, y);
    opt.step(model, &loss.backward());
    (loss, logits)
}

/// Loss and accuracy of the model as it is, without dropout and with the running statistics.
fn evaluate(model: &Lecture, images: &Images) -> Meter {
    let mut meter = Meter::default();
    no_grad(|| {
        for (x, y) in Loader::new(images.clone(), 1000).epoch(0) {
            let logits = model.forward(&x, &Mode::Eval);
            meter.add(&cross_entropy(&logits, &y), &logits, &y);
        }
    });
    meter
}

/// What a training has led to.
struct Outcome {
    history: History,
    /// Of training alone, for each epoch.
    seconds: Vec<f64>,
    steps: usize,
    test: Point,
    /// Of one more step, if it was asked for.
    profile: Option<Report>,
}

fn train(options: &Options) -> Result<Outcome, Box<dyn Error>> {
    let (images, test) = match &options.data {
        Some(dir) => mnist::open(dir).map(|data| (data.train, data.test))?,
        None => (mnist::train(), mnist::test()),
    };
    let Some(rest) = images.len().checked_sub(options.validation).filter(|&rest| rest >= options.batch) else {
        let (n, held, batch) = (images.len(), options.validation, options.batch);
        return Err(format!(
            "{n} training images are too few: --validation {held} and one step of --batch {batch} need {}",
            held + batch
        )
        .into());
    };
    if images.size() != [28, 28] || test.size() != [28, 28] {
        return Err(format!("the network takes images of 28 × 28 pixels, the data has {:?}", images.size()).into());
    }
    let (images, validation) = images.split_at(rest);
    let loader = Loader::new(images, options.batch).shuffle(options.seed).drop_last();

    let rng = Rng::new(options.seed);
    let mut model = Lecture::new(&rng);
    let mut opt = Adam::new(0.01).decay(1e-6);
    let mut history = History::default();
    let mut seconds = vec![];
    // The curves get about 20 points of the training in an epoch.
    let window = loader.len().div_ceil(20);
    for epoch in 0..options.epochs {
        let bar = progress(options, epoch, loader.len());
        let start = Instant::now();
        let (mut whole, mut recent) = (Meter::default(), Meter::default());
        for (step, (x, y)) in loader.epoch(epoch as u64).enumerate() {
            let (loss, logits) = training_step(&mut model, &mut opt, &rng, &x, &y);
            recent.add(&loss, &logits, &y);
            if (step + 1) % window == 0 || step + 1 == loader.len() {
                let point = recent.at(epoch as f64 + (step + 1) as f64 / loader.len() as f64);
                bar.set_message(format!("loss {:.4}", point.loss));
                bar.set_position(step as u64 + 1);
                history.training.push(point);
                whole.merge(&std::mem::take(&mut recent));
            }
        }
        seconds.push(start.elapsed().as_secs_f64());
        bar.finish_and_clear();
        let (trained, validated) = (whole.at(epoch as f64 + 1.0), evaluate(&model, &validation).at(epoch as f64 + 1.0));
        history.validation.push(validated);
        if !options.json {
            println!(
                "epoch {:>2}   training {}   validation {}   {:.2} s",
                epoch + 1,
                show(&trained),
                show(&validated),
                seconds[epoch]
            );
        }
    }
    let test = evaluate(&model, &test).at(options.epochs as f64);
    let profile = options.profile.then(|| {
        let (x, y) = loader.epoch(options.epochs as u64).next().expect("an epoch has at least one step");
        profile::scope(|| training_step(&mut model, &mut opt, &rng, &x, &y)).1
    });
    Ok(Outcome { history, seconds, steps: loader.len(), test, profile })
}

fn show(point: &Point) -> String {
    format!("loss {:.4}  accuracy {:.2} %", point.loss, 100.0 * point.accuracy)
}

/// A bar on the terminal; nothing where there is none.
fn progress(options: &Options, epoch: usize, steps: usize) -> ProgressBar {
    if options.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "epoch {prefix} [{bar:40}] {pos}/{len}  {msg}  {eta} left";
    let style = ProgressStyle::with_template(style).expect("the template is well-formed").progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr()).with_style(style);
    bar.with_prefix(format!("{}/{}", epoch + 1, options.epochs))
}

/// The most memory that this process held, in MiB; known on Linux.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    if let Some(threads) = options.threads {
        cotangent::cpu::set_threads(threads);
    }
    let Outcome { history, seconds, steps, test, profile } = train(options)?;
    // The first epoch also warms up.
    let mut sorted = if seconds.len() > 1 { seconds[1..].to_vec() } else { seconds.clone() };
    sorted.sort_by(f64::total_cmp);
    let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
    let memory = peak_memory();
    if let Some(dir) = &options.plots {
        let written = curves::save(&history, dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        if !options.json {
            println!("curves in {} and {}", written[0].display(), written[1].display());
        }
    }
    if options.json {
        println!(
            "{{\"peer\": \"cotangent\", \"batch\": {}, \"threads\": {}, \"s_per_epoch\": {median:.4}, \
             \"us_per_step\": {:.1}, \"first_epoch_s\": {:.3}, \"test_acc\": {:.4}, \"rss_mib\": {}}}",
            options.batch,
            cotangent::cpu::threads(),
            median / steps as f64 * 1e6,
            seconds[0],
            test.accuracy,
            memory.map_or("null".into(), |mib| mib.to_string())
        );
    } else {
        let memory = memory.map_or("not known on this system".into(), |mib| format!("{mib} MiB"));
        println!("test {}   {median:.2} s per epoch   peak memory {memory}", show(&test));
        if let Some(profile) = profile {
            println!("\na training step\n{profile}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("lecture: {error}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    if options.help {
        println!("{}", options::HELP);
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lecture: {error}");
            ExitCode::FAILURE
        }
    }
}
