//! What can be wrong with data.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Data that cannot be used, with the place of the fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file of a dataset is not in its folder, under none of its names.
    #[error(
        "{}: no `{file}`; expected four files, plain or with `.gz`: {}",
        dir.display(),
        expected.join(", ")
    )]
    Missing {
        /// The folder.
        dir: PathBuf,
        /// The file that was looked for.
        file: &'static str,
        /// All files of the dataset.
        expected: &'static [&'static str; 4],
    },
    /// A file cannot be opened.
    #[error("{}: {source}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: byte {offset}: {problem}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where the fault lies: bytes from the start, after decompression.
        offset: u64,
        /// The fault.
        problem: Problem,
    },
    /// Moments of data with NaN or infinities, or so large that they overflow.
    #[error("feature {feature}: mean and variance are not finite; the data holds NaN, infinities or huge numbers")]
    NotFinite {
        /// The column.
        feature: usize,
    },
}

/// A fault in a file, with what was expected in its place.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not an IDX file at all.
    #[error("found {found:#04x}; an IDX file starts with two zero bytes")]
    Magic {
        /// The byte.
        found: u8,
    },
    /// An element type that IDX does not have.
    #[error(
        "unknown element type {code:#04x}; expected 0x08 (u8), 0x09 (i8), 0x0b (i16), 0x0c (i32), 0x0d (f32) or \
         0x0e (f64)"
    )]
    Type {
        /// The byte.
        code: u8,
    },
    /// The file ends before the last dimension.
    #[error("the file ends within its header, which has {expected} bytes")]
    TruncatedHeader {
        /// The header's size as far as it is known: at least 4.
        expected: u64,
    },
    /// The file ends before the last element.
    #[error("the file ends here; by its header it has {expected} bytes")]
    TruncatedData {
        /// The size of the whole file.
        expected: u64,
    },
    /// The file goes on after the last element.
    #[error("the file goes on; by its header it ends here")]
    TrailingBytes,
    /// More bytes than an address can count; the offset is that of the dimension at which the product overflows.
    #[error("a shape of {shape:?} is too large to address")]
    TooLarge {
        /// The dimensions.
        shape: Vec<usize>,
    },
    /// An intact IDX file of another element type or rank.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What the dataset has here.
        expected: &'static str,
        /// What the file has.
        found: String,
    },
    /// A class that does not exist.
    #[error("label {label}; expected less than {classes}")]
    Label {
        /// The label.
        label: u8,
        /// How many classes there are.
        classes: usize,
    },
    /// Images and labels are not of the same number.
    #[error("{labels} labels for {images} images")]
    Count {
        /// In the file of images.
        images: usize,
        /// In this file.
        labels: usize,
    },
    /// Reading failed, or the compressed stream is damaged.
    #[error("{0}")]
    Read(#[from] io::Error),
}
