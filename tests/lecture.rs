//! The example `lecture` as a user runs it, on a small database of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Cargo builds the examples before it runs the tests, into the folder beside theirs.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let name = format!("lecture{}", std::env::consts::EXE_SUFFIX);
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not built; run `cargo build --example lecture`", program.display());
    program
}

fn run(args: &[&str]) -> Output {
    Command::new(program()).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An IDX file of bytes.
fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
    let header = [0, 0, 8, shape.len() as u8].into_iter().chain(shape.iter().flat_map(|n| n.to_be_bytes()));
    header.chain(data.iter().copied()).collect()
}

/// A folder with a database of images that tell their class by one bright row.
fn database(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).unwrap();
    for (part, count) in [("train", 600u32), ("t10k", 100)] {
        let labels: Vec<u8> = (0..count).map(|i| (i * 7 % 10) as u8).collect();
        let pixels =
            labels.iter().flat_map(|&label| (0..784).map(move |p| if p / 28 == 2 * label as usize { 250 } else { 3 }));
        fs::write(dir.join(format!("{part}-images-idx3-ubyte")), idx(&[count, 28, 28], &pixels.collect::<Vec<_>>()))
            .unwrap();
        fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), idx(&[count], &labels)).unwrap();
    }
    dir
}

/// The number behind `"field": ` in a line of JSON.
fn field(json: &str, name: &str) -> f64 {
    let (_, rest) = json.split_once(&format!("\"{name}\": ")).unwrap_or_else(|| panic!("no {name} in {json}"));
    rest.split([',', '}']).next().unwrap().parse().unwrap_or_else(|_| panic!("{name} is no number in {json}"))
}

#[test]
fn trains_reports_and_draws() {
    let data = database("lecture");
    let plots = data.join("plots");
    let (data, plots_arg) = (data.to_str().unwrap(), plots.to_str().unwrap());
    let common =
        ["--data", data, "--epochs", "3", "--batch", "50", "--validation", "100", "--threads", "2", "--seed", "3"];
    let output = run(&[&common[..], &["--plots", plots_arg, "--profile"]].concat());
    let report = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for expected in [
        "epoch  1   training loss",
        "epoch  3   training loss",
        "validation loss",
        "test loss",
        "s per epoch",
        "linear (backward) ",
    ] {
        assert!(report.contains(expected), "no `{expected}` in:\n{report}");
    }
    assert!(fs::read(plots.join("curves.png")).unwrap().starts_with(b"\x89PNG\r\n"));
    let svg = fs::read_to_string(plots.join("curves.svg")).unwrap();
    assert!(svg.contains("Accuracy in %") && svg.contains("<polyline"), "{svg}");

    let output = run(&[&common[..], &["--json"]].concat());
    let json = text(&output.stdout);
    assert_eq!(json.lines().count(), 1, "{json}");
    assert!(json.contains("\"peer\": \"cotangent\""), "{json}");
    assert_eq!((field(&json, "batch"), field(&json, "threads")), (50.0, 2.0));
    assert!(field(&json, "test_acc") > 0.9, "one bright row tells the class: {json}");
    for positive in ["s_per_epoch", "us_per_step", "first_epoch_s", "rss_mib"] {
        assert!(field(&json, positive) > 0.0, "{positive} in {json}");
    }
}

#[test]
fn wrong_options_exit_with_2_and_help() {
    let cases: [(&[&str], &str); 6] = [
        (&["--epoch", "3"], "--epoch"),
        (&["--epochs"], "--epochs"),
        (&["--epochs", "many"], "many"),
        (&["--epochs", "0"], "at least 1"),
        (&["--batch", "1"], "at least 2"),
        (&["surplus"], "surplus"),
    ];
    for (args, expected) in cases {
        let output = run(args);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(expected) && message.contains("Usage:"), "{args:?}: {message}");
        assert!(output.stdout.is_empty());
    }
    let help = run(&["--help"]);
    assert!(help.status.success() && text(&help.stdout).contains("--plots DIR"));
}

#[test]
fn wrong_data_exits_with_1_and_says_what_is_wrong() {
    let good = database("lecture-wrong");
    let damaged = good.join("damaged");
    fs::create_dir_all(&damaged).unwrap();
    for file in fs::read_dir(&good).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        fs::copy(&file, damaged.join(file.file_name().unwrap())).unwrap();
    }
    fs::write(damaged.join("t10k-labels-idx1-ubyte"), idx(&[100], &[1; 99])).unwrap();
    let cases: [(&[&str], &str); 3] = [
        (&["--data", "/no/such/folder"], "train-images-idx3-ubyte"),
        (&["--data", damaged.to_str().unwrap()], "t10k-labels-idx1-ubyte: byte 107"),
        (&["--data", good.to_str().unwrap()], "600 training images are too few"),
    ];
    for (args, expected) in cases {
        let output = run(args);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
        assert!(output.stdout.is_empty());
    }
}
