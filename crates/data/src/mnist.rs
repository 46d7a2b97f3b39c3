//! The MNIST database of handwritten digits (LeCun, Cortes, Burges): 60 000 training and 10 000 test images of
//! 28 × 28 pixels, 0 for paper and 255 for ink, in 10 classes.
//!
//! The files are part of this crate, compressed; `mnist/README.md` tells their origin and licence.

use crate::error::{DataError, Problem};
use crate::idx::{self, Idx, Values};
use crate::images::Images;
use std::path::{Path, PathBuf};

/// The files that [`open`] looks for.
pub const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

const CLASSES: usize = 10;

/// Both parts of a database in MNIST's form.
#[derive(Clone, Debug)]
pub struct Mnist {
    /// What to learn from.
    pub train: Images,
    /// What to judge by, once.
    pub test: Images,
}

/// The training images, decoded from the copy in this crate at each call: 47 MB.
///
/// ```
/// let train = cotangent_data::mnist::train();
/// assert_eq!((train.len(), train.size(), train.classes()), (60_000, [28, 28], 10));
/// ```
pub fn train() -> Images {
    embedded([
        (FILES[0], include_bytes!("../mnist/train-images-idx3-ubyte.gz")),
        (FILES[1], include_bytes!("../mnist/train-labels-idx1-ubyte.gz")),
    ])
}

/// The test images, decoded from the copy in this crate at each call: 8 MB.
pub fn test() -> Images {
    embedded([
        (FILES[2], include_bytes!("../mnist/t10k-images-idx3-ubyte.gz")),
        (FILES[3], include_bytes!("../mnist/t10k-labels-idx1-ubyte.gz")),
    ])
}

fn embedded([images, labels]: [(&str, &[u8]); 2]) -> Images {
    let parse = |(name, bytes): (&str, &[u8])| Ok((PathBuf::from(name), idx::parse(name, bytes)?));
    let both = || join(parse(images)?, parse(labels)?);
    both().expect("the embedded MNIST files are intact")
}

/// Reads the four [`FILES`] of a folder: MNIST or a database in its form, such as Fashion-MNIST. Each may be compressed
/// (`.gz`), and spelt with a dot (`train-images.idx3-ubyte`).
///
/// # Errors
/// [`DataError`], which names the file and the offset of the fault.
///
/// ```
/// let error = cotangent_data::mnist::open("/no/such/folder").unwrap_err();
/// assert!(error.to_string().contains("train-images-idx3-ubyte"));
/// ```
pub fn open(dir: impl AsRef<Path>) -> Result<Mnist, DataError> {
    let read = |file| {
        let path = find(dir.as_ref(), file)?;
        let array = idx::read(&path)?;
        Ok((path, array))
    };
    let train = join(read(FILES[0])?, read(FILES[1])?)?;
    let test = join(read(FILES[2])?, read(FILES[3])?)?;
    Ok(Mnist { train, test })
}

/// The path of `file` under the spelling that exists.
fn find(dir: &Path, file: &'static str) -> Result<PathBuf, DataError> {
    let dotted = file.replace("-idx", ".idx");
    let names = [file.into(), format!("{file}.gz"), format!("{dotted}.gz"), dotted];
    let found = names.into_iter().map(|name| dir.join(name)).find(|path| path.exists());
    found.ok_or_else(|| DataError::Missing { dir: dir.into(), file, expected: &FILES })
}

/// Images with their labels, each from a named file.
fn join(images: (PathBuf, Idx), labels: (PathBuf, Idx)) -> Result<Images, DataError> {
    let (shape, pixels) = bytes::<3>(images, "an array of u8 with 3 dimensions: images, rows, columns")?;
    let file = labels.0.clone();
    let fault = |offset, problem| DataError::Damaged { file, offset, problem };
    let ([count], labels) = bytes::<1>(labels, "an array of u8 with 1 dimension: labels")?;
    if count != shape[0] {
        return Err(fault(4, Problem::Count { images: shape[0], labels: count }));
    }
    if let Some(i) = labels.iter().position(|&label| label as usize >= CLASSES) {
        // Labels start after the header of 8 bytes.
        return Err(fault(8 + i as u64, Problem::Label { label: labels[i], classes: CLASSES }));
    }
    Ok(Images::new(pixels, labels, [shape[1], shape[2]], CLASSES))
}

/// The content of an array of `R` dimensions of bytes.
fn bytes<const R: usize>(
    (file, array): (PathBuf, Idx),
    expected: &'static str,
) -> Result<([usize; R], Vec<u8>), DataError> {
    let found = format!("{} with {} dimensions", array.values().type_name(), array.shape().len());
    let shape = array.shape().try_into();
    match (array.into_values(), shape) {
        (Values::U8(values), Ok(shape)) => Ok((shape, values)),
        (values, _) => {
            // Type and rank are the third and fourth byte of the header.
            let offset = if matches!(values, Values::U8(_)) { 3 } else { 2 };
            Err(DataError::Damaged { file, offset, problem: Problem::Unexpected { expected, found } })
        }
    }
}
