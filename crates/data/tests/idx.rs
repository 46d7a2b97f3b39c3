//! The IDX format: round trips, and damage of every kind with its exact place.

use cotangent_data::idx::{self, Idx, Values};
use cotangent_data::{DataError, Problem};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn written(array: &Idx) -> Vec<u8> {
    let mut bytes = vec![];
    array.write(&mut bytes).unwrap();
    bytes
}

/// Offset and problem of damaged bytes; the message names the file and the offset.
fn fault(bytes: &[u8]) -> (u64, Problem) {
    let error = idx::parse("some-file", bytes).unwrap_err();
    let message = error.to_string();
    let DataError::Damaged { offset, problem, .. } = error else { panic!("{error:?}") };
    assert!(message.starts_with(&format!("some-file: byte {offset}: ")), "{message}");
    (offset, problem)
}

/// 2 × 3 bytes: 12 bytes of header, 6 of data.
const GOOD: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

#[test]
fn reads_a_matrix_plain_and_compressed() {
    let matrix = Idx::new([2, 3], Values::U8(vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(idx::parse("", &GOOD).unwrap(), matrix);
    assert_eq!(idx::parse("", &gzip(&GOOD)).unwrap(), matrix);
    assert_eq!(written(&matrix), GOOD);
    // Compressed in pieces, which gzip allows.
    let pieces = [gzip(&GOOD[..7]), gzip(&GOOD[7..])].concat();
    assert_eq!(idx::parse("", &pieces).unwrap(), matrix);
}

#[test]
fn reads_every_element_type() {
    let head = |code| vec![0, 0, code, 1, 0, 0, 0, 1];
    let read = |code, data: &[u8]| idx::parse("", &[&head(code)[..], data].concat()).unwrap().into_values();
    assert_eq!(read(0x08, &[255]), Values::U8(vec![255]));
    assert_eq!(read(0x09, &[255]), Values::I8(vec![-1]));
    assert_eq!(read(0x0b, &[0xff, 0x7f]), Values::I16(vec![-129]));
    assert_eq!(read(0x0c, &[0, 1, 0, 0]), Values::I32(vec![65536]));
    assert_eq!(read(0x0d, &[0x3f, 0xc0, 0, 0]), Values::F32(vec![1.5]));
    assert_eq!(read(0x0e, &[0xc0, 0x04, 0, 0, 0, 0, 0, 0]), Values::F64(vec![-2.5]));
}

#[test]
fn reads_scalars_and_empty_arrays() {
    assert_eq!(idx::parse("", &[0, 0, 8, 0, 9]).unwrap(), Idx::new([], Values::U8(vec![9])));
    let huge_but_empty = [0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0];
    let shape = [u32::MAX as usize, u32::MAX as usize, 0];
    assert_eq!(idx::parse("", &huge_but_empty).unwrap(), Idx::new(shape, Values::U8(vec![])));
}

#[test]
fn damage_is_named_with_its_offset() {
    assert!(matches!(fault(&[]), (0, Problem::TruncatedHeader { expected: 4 })));
    assert!(matches!(fault(b"PNG"), (0, Problem::Magic { found: b'P' })));
    assert!(matches!(fault(&[0, 7, 8, 1]), (1, Problem::Magic { found: 7 })));
    assert!(matches!(fault(&GOOD[..3]), (3, Problem::TruncatedHeader { expected: 4 })));
    for code in [0, 7, 0x0a, 0x0f, 255] {
        assert!(matches!(fault(&[0, 0, code, 1]), (2, Problem::Type { code: found }) if found == code));
    }
    for end in 4..12 {
        assert!(matches!(fault(&GOOD[..end]), (at, Problem::TruncatedHeader { expected: 12 }) if at == end as u64));
    }
    for end in 12..18 {
        assert!(matches!(fault(&GOOD[..end]), (at, Problem::TruncatedData { expected: 18 }) if at == end as u64));
    }
    assert!(matches!(fault(&[&GOOD[..], &[0]].concat()), (18, Problem::TrailingBytes)));
}

#[test]
fn shapes_that_cannot_be_are_refused_without_reserving_memory() {
    // 2^31 to the third overflows 2^63 at the dimension at byte 12, and with elements of 8 bytes at byte 8.
    let head = |code| [vec![0, 0, code, 3], [0x80, 0, 0, 0].repeat(3)].concat();
    let shape = vec![1 << 31; 3];
    let (at, problem) = fault(&head(0x08));
    assert!(at == 12 && matches!(problem, Problem::TooLarge { shape: s } if s == shape));
    assert!(matches!(fault(&head(0x0e)), (8, Problem::TooLarge { .. })));
    // 2^62 bytes are addressable, and not there.
    let absent = [0, 0, 8, 2, 0x80, 0, 0, 0, 0x80, 0, 0, 0];
    assert!(matches!(fault(&absent), (12, Problem::TruncatedData { expected }) if expected == (1 << 62) + 12));
    assert!(matches!(fault(&gzip(&absent)), (12, Problem::TruncatedData { .. })));
}

#[test]
fn damage_within_gzip_is_named_by_the_offset_in_its_content() {
    assert!(matches!(fault(&gzip(&GOOD[..15])), (15, Problem::TruncatedData { expected: 18 })));
    assert!(matches!(fault(&gzip(&[&GOOD[..], &[0]].concat())), (18, Problem::TrailingBytes)));
    let whole = gzip(&GOOD);
    // All content is there, but its checksum is cut off or wrong.
    assert!(matches!(fault(&whole[..whole.len() - 1]), (18, Problem::Read(_))));
    let mut wrong = whole.clone();
    let crc = wrong.len() - 8;
    wrong[crc] ^= 1;
    assert!(matches!(fault(&wrong), (18, Problem::Read(_))));
    assert!(matches!(fault(&[&whole[..], b"junk"].concat()), (18, Problem::Read(_))));
    assert!(matches!(fault(&whole[..2]), (0, Problem::Read(_))));
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let error = idx::read("/no/such/file").unwrap_err();
    assert!(matches!(&error, DataError::Open { .. }) && error.to_string().starts_with("/no/such/file: "), "{error}");
    let folder = std::env::temp_dir();
    assert!(idx::read(&folder).unwrap_err().to_string().starts_with(&folder.display().to_string()));
}

fn arrays() -> impl Strategy<Value = Idx> {
    proptest::collection::vec(0usize..5, 0..4).prop_flat_map(|shape| {
        let n = shape.iter().product::<usize>();
        let values = prop_oneof![
            proptest::collection::vec(any::<u8>(), n).prop_map(Values::U8),
            proptest::collection::vec(any::<i8>(), n).prop_map(Values::I8),
            proptest::collection::vec(any::<i16>(), n).prop_map(Values::I16),
            proptest::collection::vec(any::<i32>(), n).prop_map(Values::I32),
            proptest::collection::vec(any::<f32>(), n).prop_map(Values::F32),
            proptest::collection::vec(any::<f64>(), n).prop_map(Values::F64),
        ];
        values.prop_map(move |values| Idx::new(shape.clone(), values))
    })
}

proptest! {
    #[test]
    fn round_trip(array in arrays(), compress: bool) {
        let bytes = written(&array);
        let bytes = if compress { gzip(&bytes) } else { bytes };
        let back = idx::parse("", &bytes).unwrap();
        prop_assert_eq!(back.shape(), array.shape());
        prop_assert_eq!(written(&back), written(&array)); // bits, for NaN's sake
    }

    /// Also behind a plausible header, plain or compressed.
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in 0..4) {
        let bytes = match kind {
            0 => bytes,
            1 => [&[0, 0, 8, 1], &bytes[..]].concat(),
            2 => gzip(&[&[0, 0, 0x0e, 2], &bytes[..]].concat()),
            _ => [&[0x1f, 0x8b, 8, 0], &bytes[..]].concat(),
        };
        if let Err(error) = idx::parse("file", &bytes) {
            prop_assert!(error.to_string().starts_with("file: byte "));
        }
    }

    /// No file with one changed byte of header is taken for the same array, and none makes the reader panic.
    #[test]
    fn a_changed_header_is_noticed(at in 0usize..12, value: u8) {
        prop_assume!(GOOD[at] != value);
        let mut bytes = GOOD;
        bytes[at] = value;
        let parsed = idx::parse("", &bytes);
        prop_assert!(parsed.is_err() || parsed.unwrap() != idx::parse("", &GOOD).unwrap());
    }
}
