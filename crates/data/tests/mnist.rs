//! The MNIST database: known facts of the embedded copy, and folders of files.

use cotangent_data::idx::{Idx, Values};
use cotangent_data::{DataError, Images, Normalize, Per, Problem, mnist};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The sum of a whole IDX file, from the decoded array.
fn sha256(array: Idx) -> String {
    let mut hash = Sha256::new();
    array.write(&mut hash).unwrap();
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(images: &Images, histogram: [usize; 10], first: [u8; 5], pixel_sum: u64, sums: [&str; 2]) {
    let count = images.len();
    assert_eq!((images.size(), images.classes(), images.features()), ([28, 28], 10, 784));
    let mut found = [0; 10];
    images.labels().iter().for_each(|&label| found[label as usize] += 1);
    assert_eq!(found, histogram);
    assert_eq!(images.labels()[..5], first);
    assert_eq!(images.pixels().iter().map(|&p| p as u64).sum::<u64>(), pixel_sum);
    assert_eq!(sha256(Idx::new([count, 28, 28], Values::U8(images.pixels().to_vec()))), sums[0]);
    assert_eq!(sha256(Idx::new([count], Values::U8(images.labels().to_vec()))), sums[1]);
}

/// Histograms and SHA-256 sums as published for the original files; sums of pixels by Python.
#[test]
fn the_embedded_copy_is_the_original() {
    check(
        &mnist::train(),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [5, 0, 4, 1, 9],
        1_567_298_545,
        [
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ],
    );
    check(
        &mnist::test(),
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        [7, 2, 1, 0, 4],
        264_923_200,
        [
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ],
    );
}

/// Exact rational arithmetic in Python, rounded once. On the scale [0, 1] these are the known 0.1307 and 0.3081.
#[test]
fn moments_of_the_training_data() {
    let train = mnist::train();
    let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-13 * b, "{a} {b}");
    let global = Normalize::fit(&train, Per::Global);
    close(global.mean()[0], 33.318421449829934);
    close(global.deviation()[783], 78.56748998339799);
    let each = Normalize::fit(&train, Per::Feature);
    assert_eq!((each.mean()[0], each.deviation()[0]), (0.0, 1.0)); // the corner is always paper
    close(each.mean()[400], 73.75061666666667);
    close(each.deviation()[400], 10871.654524619722f64.sqrt());
    close(each.mean()[406], 130.26725);
    close(each.deviation()[406], 12933.876060770834f64.sqrt());
}

/// A folder that is removed at the end.
struct Folder(PathBuf);
impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// 3 training and 2 test images of 2 × 2 pixels.
fn small() -> [(&'static str, Vec<u8>); 4] {
    [
        ("train-images-idx3-ubyte", [&[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2], &[7; 12][..]].concat()),
        ("train-labels-idx1-ubyte", vec![0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 1]),
        ("t10k-images-idx3-ubyte", [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2], &[8; 8][..]].concat()),
        ("t10k-labels-idx1-ubyte", vec![0, 0, 8, 1, 0, 0, 0, 2, 3, 4]),
    ]
}

fn folder(name: &str, files: &[(&str, Vec<u8>)]) -> Folder {
    let path = std::env::temp_dir().join(format!("cotangent-{}-{name}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).unwrap());
    Folder(path)
}

#[test]
fn a_folder_is_read_in_every_spelling() {
    let mut files = small();
    files[1].0 = "train-labels.idx1-ubyte";
    for (file, name) in [(2, "t10k-images-idx3-ubyte.gz"), (3, "t10k-labels.idx1-ubyte.gz")] {
        let mut encoder = GzEncoder::new(vec![], Compression::fast());
        encoder.write_all(&files[file].1).unwrap();
        files[file] = (name, encoder.finish().unwrap());
    }
    let data = mnist::open(&folder("spelling", &files).0).unwrap();
    assert_eq!((data.train.pixels(), data.train.labels()), (&[7; 12][..], &[9, 0, 1][..]));
    assert_eq!((data.test.pixels(), data.test.labels()), (&[8; 8][..], &[3, 4][..]));
    assert_eq!(data.test.size(), [2, 2]);
}

/// The fault of a folder with one file changed, in which file, and where.
fn fault(name: &str, file: usize, change: impl Fn(&mut Vec<u8>)) -> (u64, Problem) {
    let mut files = small();
    change(&mut files[file].1);
    let folder = folder(name, &files);
    let error = mnist::open(&folder.0).unwrap_err();
    let path = folder.0.join(files[file].0);
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    let DataError::Damaged { file, offset, problem } = error else { panic!("{error:?}") };
    assert_eq!(file, path);
    (offset, problem)
}

#[test]
fn a_damaged_folder_is_told_by_file_and_offset() {
    let label = fault("label", 1, |bytes| bytes[9] = 10);
    assert!(matches!(label, (9, Problem::Label { label: 10, classes: 10 })));
    let count = fault("count", 3, |bytes| {
        bytes[7] = 3;
        bytes.push(0);
    });
    assert!(matches!(count, (4, Problem::Count { images: 2, labels: 3 })));
    let kind = fault("kind", 1, |bytes| bytes[2] = 9);
    assert!(matches!(kind, (2, Problem::Unexpected { found, .. }) if found == "i8 with 1 dimensions"));
    let rank = fault("rank", 0, |bytes| *bytes = small()[1].1.clone());
    assert!(matches!(rank, (3, Problem::Unexpected { found, .. }) if found == "u8 with 1 dimensions"));
    let short = fault("short", 2, |bytes| bytes.truncate(20));
    assert!(matches!(short, (20, Problem::TruncatedData { expected: 24 })));
    let web_page = fault("page", 0, |bytes| *bytes = b"<html>".to_vec());
    assert!(matches!(web_page, (0, Problem::Magic { found: b'<' })));
}

#[test]
fn missing_files_are_listed() {
    for missing in 0..4 {
        let mut files = small().to_vec();
        let (name, _) = files.remove(missing);
        let folder = folder(&format!("missing{missing}"), &files);
        let message = mnist::open(&folder.0).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: no `{name}`;", folder.0.display())), "{message}");
        assert!(mnist::FILES.iter().all(|file| message.contains(file)), "{message}");
    }
    assert!(matches!(mnist::open(Path::new("/no/such")).unwrap_err(), DataError::Missing { .. }));
}
