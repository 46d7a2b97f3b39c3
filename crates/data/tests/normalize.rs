//! Normalization, and parts of images.

use cotangent_data::{DataError, Images, Moments, Normalize, Per};
use proptest::prelude::*;

/// Five rows of 4 features, by hand: columns 1 to 5 · {1, 2}, constant 7, and {0, 0, 0, 0, 10}.
const ROWS: [f32; 20] = [1., 2., 7., 0., 2., 4., 7., 0., 3., 6., 7., 0., 4., 8., 7., 0., 5., 10., 7., 10.];

fn standardize(per: Per) -> Normalize {
    let mut moments = Moments::new(4);
    moments.update(&ROWS);
    moments.standardize(per).unwrap()
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-14 * b.abs().max(1.0), "{found:?} {expected:?}");
    }
}

#[test]
fn moments_by_hand() {
    let each = standardize(Per::Feature);
    assert_close(each.mean(), &[3.0, 6.0, 7.0, 2.0]);
    assert_close(each.deviation(), &[2f64.sqrt(), 8f64.sqrt(), 1.0, 4.0]); // 1 where nothing varies
    // Channels of 2: mean 4.5, variance (2 + 8)/2 + 1.5²; mean 4.5, variance (0 + 16)/2 + 2.5².
    let channels = standardize(Per::Channel(2));
    assert_close(channels.mean(), &[4.5; 4]);
    assert_close(channels.deviation(), &[7.25f64.sqrt(), 7.25f64.sqrt(), 14.25f64.sqrt(), 14.25f64.sqrt()]);
    let global = standardize(Per::Global);
    assert_close(global.mean(), &[4.5; 4]);
    assert_close(global.deviation(), &[10.75f64.sqrt(); 4]);
}

#[test]
fn applies_and_inverts() {
    let normalize = standardize(Per::Feature);
    let (mut normal, mut back) = ([0.0; 20], [0.0; 20]);
    normalize.apply(&ROWS, &mut normal);
    let third: Vec<f32> = normal.iter().skip(2).step_by(4).copied().collect();
    assert_eq!(third, [0.0; 5]);
    assert_eq!(normal[19], 2.0);
    normalize.invert(&normal, &mut back);
    for (a, b) in back.iter().zip(ROWS) {
        assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0));
    }
    let mut bytes = [0.0; 3];
    Normalize::unit(3).apply(&[0u8, 51, 255], &mut bytes);
    assert_eq!(bytes, [0.0, 0.2, 1.0]);
}

/// A constant is constant to the last bit, whatever its value and however many rows and blocks.
#[test]
fn constants_have_no_variance() {
    for n in [1, 63, 64, 65, 1000] {
        let mut moments = Moments::new(2);
        moments.update(&[0.1, 1e300 / 3.0].repeat(n));
        moments.merge(&Moments::new(2));
        assert_eq!((moments.mean(), moments.variance()), (vec![0.1, 1e300 / 3.0], vec![0.0, 0.0]));
    }
}

/// Far from zero a sum of squares would lose all digits: variance 2/3 at 1e9.
#[test]
fn no_cancellation_far_from_zero() {
    let mut moments = Moments::new(1);
    (0..1000).for_each(|_| moments.update(&[1e9 - 1.0, 1e9, 1e9 + 1.0]));
    assert!((moments.variance()[0] - 2.0 / 3.0).abs() < 1e-12);
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut moments = Moments::new(2);
        moments.update(&[1.0, 2.0, 3.0, bad, 5.0, 6.0]);
        assert!(matches!(moments.standardize(Per::Feature), Err(DataError::NotFinite { feature: 1 })));
        assert!(matches!(moments.standardize(Per::Global), Err(DataError::NotFinite { feature: 1 })));
    }
}

#[test]
fn parts_share_the_memory() {
    let images = Images::new((0..24).collect(), vec![0, 1, 2, 1, 0, 2], [2, 2], 3);
    let (a, b) = images.split_at(4);
    let (b, c) = b.split_at(1);
    assert_eq!((a.len(), b.len(), c.len()), (4, 1, 1));
    assert_eq!((b.image(0), b.labels()), (&[16, 17, 18, 19][..], &[0][..]));
    assert_eq!((c.pixels(), c.labels()), (&[20, 21, 22, 23][..], &[2][..]));
    assert_eq!(c.pixels().as_ptr(), images.image(5).as_ptr());
    assert!(images.split_at(6).1.is_empty());
}

/// The message of a panic.
fn message(f: impl FnOnce() + std::panic::UnwindSafe) -> String {
    *std::panic::catch_unwind(f).unwrap_err().downcast::<String>().unwrap()
}

#[test]
fn misuse_is_told() {
    let images = Images::new(vec![0; 4], vec![0, 1], [1, 2], 2);
    let of = images.clone();
    assert_eq!(message(move || drop(of.image(2).to_vec())), "Images::image: image 2 of 2");
    assert_eq!(message(move || drop(images.split_at(3))), "Images::split_at: 3 of 2 images");
    let wrong = message(|| drop(Images::new(vec![0; 5], vec![0, 1], [1, 2], 2)));
    assert_eq!(wrong, "Images::new: 5 pixels for 2 labels; expected 1 × 2 per label");
    let wrong = message(|| drop(Images::new(vec![0; 4], vec![0, 2], [1, 2], 2)));
    assert_eq!(wrong, "Images::new: label 2; expected less than 2, the number of classes");
    let wrong = message(|| Moments::new(3).update(&[0u8; 4]));
    assert_eq!(wrong, "Moments::update: 4 numbers are not whole rows of 3");
    let wrong = message(|| drop(standardize(Per::Channel(3))));
    assert_eq!(wrong, "Moments::standardize: 4 features do not divide into 3 channels");
    let wrong = message(|| drop(Normalize::new(vec![0.0], vec![0.0])));
    assert_eq!(wrong, "Normalize::new: deviation 0 of feature 0; expected a finite number other than 0");
    let wrong = message(|| Normalize::unit(2).apply(&[1u8; 4], &mut [0.0; 2]));
    assert_eq!(wrong, "Normalize::apply: 4 numbers into 2; expected whole rows of 2 in both");
}

proptest! {
    /// Data in two pieces, merged, has the moments of the whole by the textbook's formula.
    #[test]
    fn merging_pieces(data in proptest::collection::vec(any::<u8>(), 2..400), cut in 0usize..400) {
        let (left, right) = data.split_at(cut.min(data.len()));
        let (mut a, mut b) = (Moments::new(1), Moments::new(1));
        a.update(left);
        b.update(right);
        a.merge(&b);
        let n = data.len() as f64;
        let mean = data.iter().map(|&x| x as f64).sum::<f64>() / n;
        let variance = data.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / n;
        prop_assert!((a.mean()[0] - mean).abs() <= 1e-12 * 255.0);
        prop_assert!((a.variance()[0] - variance).abs() <= 1e-12 * 65025.0);
    }
}
