//! The IDX format of the MNIST files: a multidimensional array with a header.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0, 1 | zero |
//! | 2 | element type: 0x08 `u8`, 0x09 `i8`, 0x0b `i16`, 0x0c `i32`, 0x0d `f32`, 0x0e `f64` |
//! | 3 | rank *r* |
//! | 4 to 4 + 4*r* | dimensions, `u32` each |
//! | the rest | elements, the last index changing fastest |
//!
//! All numbers are big-endian. Source: <http://yann.lecun.com/exdb/mnist/>.
//!
//! ```
//! use cotangent_data::idx::{self, Values};
//! let array = idx::parse("inline", &[0, 0, 0x0b, 1, 0, 0, 0, 2, 0, 1, 0xff, 0xff])?;
//! assert_eq!(array.shape(), [2]);
//! assert_eq!(*array.values(), Values::I16(vec![1, -1]));
//! # Ok::<(), cotangent_data::DataError>(())
//! ```

use crate::error::{DataError, Problem};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

/// The elements of an array.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Values {
    U8(Vec<u8>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// An array with its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Idx {
    shape: Vec<usize>,
    values: Values,
}

/// Reads a file, plain or compressed by gzip.
///
/// # Errors
/// [`DataError::Open`] if the file cannot be opened; [`DataError::Damaged`] if it is not exactly one IDX array.
pub fn read(path: impl AsRef<Path>) -> Result<Idx, DataError> {
    let path = path.as_ref();
    let open = || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok((BufReader::with_capacity(1 << 16, file), length))
    };
    let (file, length) = open().map_err(|source| DataError::Open { file: path.into(), source })?;
    decode(file, length, path)
}

/// Reads bytes, plain or compressed by gzip; errors name them `name`.
///
/// # Errors
/// [`DataError::Damaged`] if they are not exactly one IDX array.
pub fn parse(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Idx, DataError> {
    decode(bytes, bytes.len() as u64, name.as_ref())
}

/// A byte of DEFLATE stands for at most this many.
const MOST_EXPANSION: u64 = 1032;

/// Reads from `input`, whose size is `length`.
fn decode(mut input: impl BufRead, length: u64, name: &Path) -> Result<Idx, DataError> {
    let fault = |(offset, problem)| DataError::Damaged { file: name.into(), offset, problem };
    let start = input.fill_buf().map_err(|error| fault((0, error.into())))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        array(MultiGzDecoder::new(input), length.saturating_mul(MOST_EXPANSION)).map_err(fault)
    } else {
        array(input, length).map_err(fault)
    }
}

/// A fault and its offset.
type Fault = (u64, Problem);

/// Reads one array and the end of the file. Nothing beyond `limit`, the most that the source can hold, is reserved
/// whatever the header says.
fn array(mut input: impl Read, limit: u64) -> Result<Idx, Fault> {
    let mut header = take(&mut input, 4, 4, 0)?;
    if let Some(at) = header.iter().take(2).position(|&byte| byte != 0) {
        return Err((at as u64, Problem::Magic { found: header[at] }));
    }
    let [_, _, code, rank] = header[..] else {
        return Err((header.len() as u64, Problem::TruncatedHeader { expected: 4 }));
    };
    let size = element_size(code).ok_or((2, Problem::Type { code }))?;
    let start = 4 + 4 * rank as u64;
    header = take(&mut input, start - 4, start, 4)?;
    if header.len() as u64 != start - 4 {
        return Err((4 + header.len() as u64, Problem::TruncatedHeader { expected: start }));
    }
    let shape: Vec<usize> = header.as_chunks().0.iter().map(|&d| u32::from_be_bytes(d) as usize).collect();
    let bytes = byte_count(&shape, size)?;
    let data = take(&mut input, bytes, limit, start)?;
    let end = start + data.len() as u64;
    if (data.len() as u64) < bytes {
        return Err((end, Problem::TruncatedData { expected: start + bytes }));
    }
    if !take(&mut input, 1, 1, end)?.is_empty() {
        return Err((end, Problem::TrailingBytes));
    }
    Ok(Idx { shape, values: values(code, data) })
}

/// The next `count` bytes, or fewer if the input, which is at `offset`, ends before. Reserves exactly what is needed,
/// so that large files are in memory once.
fn take(input: &mut impl Read, count: u64, limit: u64, offset: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![];
    bytes.try_reserve_exact(count.min(limit) as usize).map_err(|error| (offset, Problem::Read(error.into())))?;
    match input.take(count).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err((offset + bytes.len() as u64, error.into())),
    }
}

/// Bytes of all elements. A dimension of zero makes any others harmless.
fn byte_count(shape: &[usize], size: usize) -> Result<u64, Fault> {
    if shape.contains(&0) {
        return Ok(0);
    }
    let mut bytes = size;
    for (axis, &dimension) in shape.iter().enumerate() {
        let product = bytes.checked_mul(dimension).filter(|&bytes| bytes <= isize::MAX as usize);
        bytes = product.ok_or_else(|| (4 + 4 * axis as u64, Problem::TooLarge { shape: shape.into() }))?;
    }
    Ok(bytes as u64)
}

fn element_size(code: u8) -> Option<usize> {
    Some(match code {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => return None,
    })
}

/// The elements behind big-endian bytes of a known type.
fn values(code: u8, bytes: Vec<u8>) -> Values {
    fn words<const N: usize, T>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks().0.iter().map(|&word| from(word)).collect()
    }
    match code {
        0x08 => Values::U8(bytes),
        0x09 => Values::I8(words(&bytes, i8::from_be_bytes)),
        0x0b => Values::I16(words(&bytes, i16::from_be_bytes)),
        0x0c => Values::I32(words(&bytes, i32::from_be_bytes)),
        0x0d => Values::F32(words(&bytes, f32::from_be_bytes)),
        _ => Values::F64(words(&bytes, f64::from_be_bytes)),
    }
}

impl Values {
    /// How many elements.
    pub fn len(&self) -> usize {
        match self {
            Values::U8(v) => v.len(),
            Values::I8(v) => v.len(),
            Values::I16(v) => v.len(),
            Values::I32(v) => v.len(),
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type's name in Rust.
    pub fn type_name(&self) -> &'static str {
        match self {
            Values::U8(_) => "u8",
            Values::I8(_) => "i8",
            Values::I16(_) => "i16",
            Values::I32(_) => "i32",
            Values::F32(_) => "f32",
            Values::F64(_) => "f64",
        }
    }

    fn code(&self) -> u8 {
        match self {
            Values::U8(_) => 0x08,
            Values::I8(_) => 0x09,
            Values::I16(_) => 0x0b,
            Values::I32(_) => 0x0c,
            Values::F32(_) => 0x0d,
            Values::F64(_) => 0x0e,
        }
    }
}

impl Idx {
    /// An array of at most 255 dimensions, each less than 2³².
    ///
    /// # Panics
    /// If `values` do not fill `shape`, or the format cannot hold it.
    #[track_caller]
    pub fn new(shape: impl Into<Vec<usize>>, values: Values) -> Idx {
        let shape = shape.into();
        assert!(shape.len() <= 255, "Idx::new: {} dimensions; the format has at most 255", shape.len());
        assert!(
            shape.iter().all(|&d| u32::try_from(d).is_ok()),
            "Idx::new: shape {shape:?}; dimensions are less than 2^32"
        );
        let count = byte_count(&shape, 1).ok();
        assert!(count == Some(values.len() as u64), "Idx::new: {} values do not fill shape {shape:?}", values.len());
        Idx { shape, values }
    }

    /// The dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, the last index changing fastest.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The elements, without a copy.
    pub fn into_values(self) -> Values {
        self.values
    }

    /// Writes the array in the IDX format.
    ///
    /// # Errors
    /// Those of `output`.
    pub fn write(&self, mut output: impl Write) -> io::Result<()> {
        output.write_all(&[0, 0, self.values.code(), self.shape.len() as u8])?;
        self.shape.iter().try_for_each(|&d| output.write_all(&(d as u32).to_be_bytes()))?;
        match &self.values {
            Values::U8(v) => output.write_all(v),
            Values::I8(v) => v.iter().try_for_each(|x| output.write_all(&x.to_be_bytes())),
            Values::I16(v) => v.iter().try_for_each(|x| output.write_all(&x.to_be_bytes())),
            Values::I32(v) => v.iter().try_for_each(|x| output.write_all(&x.to_be_bytes())),
            Values::F32(v) => v.iter().try_for_each(|x| output.write_all(&x.to_be_bytes())),
            Values::F64(v) => v.iter().try_for_each(|x| output.write_all(&x.to_be_bytes())),
        }
    }
}
