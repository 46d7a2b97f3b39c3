//! Normalization with statistics of the training data.

use crate::error::DataError;
use crate::images::Images;

/// Over what a mean and a standard deviation are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// Every feature (pixel) has its own.
    Feature,
    /// Every one of this many channels has its own; a channel is a run of neighbouring features.
    Channel(usize),
    /// All features share one.
    Global,
}

/// Count, mean and sum of squared deviations of some numbers.
#[derive(Clone, Copy)]
struct Moment {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moment {
    const NONE: Moment = Moment { count: 0.0, mean: 0.0, squares: 0.0 };

    /// The moments of both (Chan, Golub, LeVeque 1979).
    fn merge(self, other: Moment) -> Moment {
        if self.count == 0.0 || other.count == 0.0 {
            return if self.count == 0.0 { other } else { self };
        }
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        let share = other.count / count;
        Moment {
            count,
            mean: self.mean + delta * share,
            squares: self.squares + other.squares + delta * delta * self.count * share,
        }
    }
}

/// Mean and variance of every feature, gathered from any number of pieces in double precision.
///
/// ```
/// use cotangent_data::Moments;
/// let mut moments = Moments::new(2);
/// moments.update(&[1.0f32, 5.0, 2.0, 5.0]);
/// moments.update(&[3.0f32, 5.0]);
/// assert_eq!(moments.mean(), [2.0, 5.0]);
/// assert_eq!(moments.variance(), [2.0 / 3.0, 0.0]);
/// ```
#[derive(Clone)]
pub struct Moments(Vec<Moment>);

/// Rows whose moments are found in two passes, before they are merged: few enough to stay in the cache.
const BLOCK: usize = 64;

impl Moments {
    /// No data yet, of `features` numbers a row.
    ///
    /// # Panics
    /// If there are no features.
    #[track_caller]
    pub fn new(features: usize) -> Moments {
        assert!(features > 0, "Moments::new: 0 features; expected at least 1");
        Moments(vec![Moment::NONE; features])
    }

    /// Adds rows.
    ///
    /// # Panics
    /// If the length is no multiple of the number of features.
    #[track_caller]
    pub fn update<T: Copy + Into<f64>>(&mut self, rows: &[T]) {
        let features = self.0.len();
        assert!(
            rows.len().is_multiple_of(features),
            "Moments::update: {} numbers are not whole rows of {features}",
            rows.len()
        );
        let (mut mean, mut squares) = (vec![0.0; features], vec![0.0; features]);
        for block in rows.chunks(BLOCK * features) {
            let count = (block.len() / features) as f64;
            // Deviations from the first row are exactly 0 for a constant feature, so its mean and variance are exact.
            let pivot = &block[..features];
            mean.fill(0.0);
            for row in block.chunks_exact(features) {
                mean.iter_mut().zip(row).zip(pivot).for_each(|((sum, &x), &p)| *sum += x.into() - p.into());
            }
            mean.iter_mut().zip(pivot).for_each(|(mean, &p)| *mean = p.into() + *mean / count);
            squares.fill(0.0);
            for row in block.chunks_exact(features) {
                squares.iter_mut().zip(row).zip(&mean).for_each(|((sum, &x), mean)| *sum += (x.into() - mean).powi(2));
            }
            for ((all, &mean), &squares) in self.0.iter_mut().zip(&mean).zip(&squares) {
                *all = all.merge(Moment { count, mean, squares });
            }
        }
    }

    /// Adds what other moments have seen.
    ///
    /// # Panics
    /// If the numbers of features differ.
    #[track_caller]
    pub fn merge(&mut self, other: &Moments) {
        let (ours, theirs) = (self.0.len(), other.0.len());
        assert!(ours == theirs, "Moments::merge: {ours} features with {theirs}");
        self.0.iter_mut().zip(&other.0).for_each(|(a, &b)| *a = a.merge(b));
    }

    /// The mean of every feature; 0 without data.
    pub fn mean(&self) -> Vec<f64> {
        self.0.iter().map(|m| m.mean).collect()
    }

    /// The variance of every feature, Σ(x − mean)²/n; 0 without data.
    pub fn variance(&self) -> Vec<f64> {
        self.0.iter().map(|m| m.squares / m.count.max(1.0)).collect()
    }

    /// The normalization to mean 0 and standard deviation 1: (x − mean)/√variance. What does not vary is divided by
    /// 1, and so becomes 0.
    ///
    /// # Errors
    /// [`DataError::NotFinite`] if the data held NaN or infinities.
    ///
    /// # Panics
    /// If the features do not divide evenly into channels.
    #[track_caller]
    pub fn standardize(&self, per: Per) -> Result<Normalize, DataError> {
        let features = self.0.len();
        let groups = match per {
            Per::Feature => features,
            Per::Channel(channels) => channels,
            Per::Global => 1,
        };
        assert!(
            groups > 0 && features.is_multiple_of(groups),
            "Moments::standardize: {features} features do not divide into {groups} channels"
        );
        if let Some(feature) = self.0.iter().position(|m| !(m.mean.is_finite() && m.squares.is_finite())) {
            return Err(DataError::NotFinite { feature });
        }
        let share = features / groups;
        let mut shared = Moments(vec![]);
        for group in self.0.chunks_exact(share) {
            let moment = group.iter().fold(Moment::NONE, |all, &m| all.merge(m));
            shared.0.extend(std::iter::repeat_n(moment, share));
        }
        let deviations = shared.variance().into_iter().map(|v| if v == 0.0 { 1.0 } else { v.sqrt() }).collect();
        Ok(Normalize::new(shared.mean(), deviations))
    }
}

/// x ↦ (x − mean) / deviation, feature by feature.
///
/// ```
/// use cotangent_data::{Images, Normalize, Per};
/// let images = Images::new(vec![0, 7, 2, 7], vec![0, 0], [1, 2], 1);
/// let normalize = Normalize::fit(&images, Per::Feature);
/// let mut row = [0.0; 2];
/// normalize.apply(images.image(1), &mut row);
/// assert_eq!(row, [1.0, 0.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    /// The same in the precision of the results.
    single: (Vec<f32>, Vec<f32>),
}

impl Normalize {
    /// A normalization with known numbers, one per feature.
    ///
    /// # Panics
    /// If they are not of one length, or a deviation is 0 or not finite in `f32`.
    #[track_caller]
    pub fn new(mean: Vec<f64>, deviation: Vec<f64>) -> Normalize {
        assert!(
            mean.len() == deviation.len(),
            "Normalize::new: {} means with {} deviations",
            mean.len(),
            deviation.len()
        );
        let single = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let single = (single(&mean), single(&deviation));
        if let Some(i) = single.1.iter().position(|&d| d == 0.0 || !d.is_finite()) {
            panic!("Normalize::new: deviation {} of feature {i}; expected a finite number other than 0", deviation[i]);
        }
        Normalize { mean, deviation, single }
    }

    /// Bytes to [0, 1]: mean 0, deviation 255.
    pub fn unit(features: usize) -> Normalize {
        Normalize::new(vec![0.0; features], vec![255.0; features])
    }

    /// Standardization by the moments of `images`: fit it on training data alone. See [`Moments::standardize`].
    ///
    /// # Panics
    /// If the images have no pixels, or these do not divide evenly into channels.
    #[track_caller]
    pub fn fit(images: &Images, per: Per) -> Normalize {
        let mut moments = Moments::new(images.features());
        moments.update(images.pixels());
        moments.standardize(per).expect("bytes are finite")
    }

    /// How many features.
    pub fn features(&self) -> usize {
        self.mean.len()
    }

    /// What is subtracted, for every feature.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What is divided by, for every feature.
    pub fn deviation(&self) -> &[f64] {
        &self.deviation
    }

    /// Writes the normalized `rows`.
    ///
    /// # Panics
    /// If `rows` and `out` are not the same number of whole rows.
    #[track_caller]
    pub fn apply<T: Copy + Into<f32>>(&self, rows: &[T], out: &mut [f32]) {
        self.map("apply", rows, out, |x, mean, deviation| (x.into() - mean) / deviation);
    }

    /// Writes the data behind normalized `rows`: x · deviation + mean.
    ///
    /// # Panics
    /// If `rows` and `out` are not the same number of whole rows.
    #[track_caller]
    pub fn invert(&self, rows: &[f32], out: &mut [f32]) {
        self.map("invert", rows, out, |x, mean, deviation| x * deviation + mean);
    }

    #[track_caller]
    fn map<T: Copy>(&self, name: &str, rows: &[T], out: &mut [f32], f: impl Fn(T, f32, f32) -> f32) {
        let features = self.features();
        assert!(
            rows.len() == out.len() && (rows.is_empty() || features > 0 && rows.len().is_multiple_of(features)),
            "Normalize::{name}: {} numbers into {}; expected whole rows of {features} in both",
            rows.len(),
            out.len()
        );
        let (means, deviations) = &self.single;
        for (row, out) in rows.chunks(features.max(1)).zip(out.chunks_mut(features.max(1))) {
            for (((out, &x), &mean), &deviation) in out.iter_mut().zip(row).zip(means).zip(deviations) {
                *out = f(x, mean, deviation);
            }
        }
    }
}
