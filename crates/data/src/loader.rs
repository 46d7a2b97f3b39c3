//! Batches of tensors.

use crate::images::Images;
use crate::normalize::Normalize;
use crate::shuffle::permutation;
use cotangent_core::{Device, Tensor};

/// Makes batches of images, epoch by epoch.
///
/// By default the order is that of the data, bytes become numbers in [0, 1], the last batch may be smaller, and
/// tensors are made on the default device.
///
/// ```
/// use cotangent_data::{Images, Loader};
/// let images = Images::new(vec![0, 51, 102, 153, 204, 255], vec![0, 1, 2], [1, 2], 3);
/// let batches: Vec<_> = Loader::new(images, 2).epoch(0).collect();
/// assert_eq!(batches.len(), 2);
/// assert_eq!(batches[0].0.to_vec::<f32>(), [0.0, 0.2, 0.4, 0.6]);
/// assert_eq!(batches[1].1.to_vec::<i64>(), [2]);
/// ```
#[derive(Clone, Debug)]
pub struct Loader {
    images: Images,
    batch: usize,
    normalize: Normalize,
    seed: Option<u64>,
    drop_last: bool,
    device: Device,
}

impl Loader {
    /// Batches of `batch` images.
    ///
    /// # Panics
    /// If `batch` is 0.
    #[track_caller]
    pub fn new(images: Images, batch: usize) -> Loader {
        assert!(batch > 0, "Loader::new: batches of 0 images; expected at least 1");
        let normalize = Normalize::unit(images.features());
        Loader { images, batch, normalize, seed: None, drop_last: false, device: Device::default() }
    }

    /// A new order for every epoch: [`permutation`]`(len, seed, epoch)`.
    pub fn shuffle(mut self, seed: u64) -> Loader {
        self.seed = Some(seed);
        self
    }

    /// Another normalization.
    ///
    /// # Panics
    /// If its number of features is not that of the images.
    #[track_caller]
    pub fn normalize(mut self, normalize: Normalize) -> Loader {
        let (expected, found) = (self.images.features(), normalize.features());
        assert!(expected == found, "Loader::normalize: {found} features for images of {expected} pixels");
        self.normalize = normalize;
        self
    }

    /// Leaves out a last batch that is smaller than the others: batch statistics of few images are poor.
    pub fn drop_last(mut self) -> Loader {
        self.drop_last = true;
        self
    }

    /// Another device for the tensors.
    pub fn device(mut self, device: &Device) -> Loader {
        self.device = device.clone();
        self
    }

    /// The images.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// Batches per epoch.
    pub fn len(&self) -> usize {
        let n = self.images.len();
        if self.drop_last { n / self.batch } else { n.div_ceil(self.batch) }
    }

    /// Whether an epoch has no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches of an epoch, a pure function of the loader and the number. To resume within an epoch, `skip`
    /// batches: none of those is made.
    pub fn epoch(&self, epoch: u64) -> Epoch<'_> {
        let n = self.images.len();
        let order = self.seed.map_or_else(|| (0..n).collect(), |seed| permutation(n, seed, epoch));
        Epoch { loader: self, order, next: 0, bytes: vec![], rows: vec![], labels: vec![] }
    }
}

/// Iterates over the batches of an epoch: images as `f32` of shape `[batch, pixels]`, and labels as `i64` of shape
/// `[batch]`.
pub struct Epoch<'a> {
    loader: &'a Loader,
    order: Vec<usize>,
    /// The batch to come.
    next: usize,
    /// Memory in which batches are put together.
    bytes: Vec<u8>,
    rows: Vec<f32>,
    labels: Vec<i64>,
}

impl Epoch<'_> {
    fn gather(&mut self, batch: usize) -> (Tensor, Tensor) {
        let Loader { images, normalize, device, .. } = self.loader;
        let start = batch * self.loader.batch;
        let chosen = &self.order[start..self.order.len().min(start + self.loader.batch)];
        let features = images.features();
        // The bytes are brought together first: waiting for memory row by row is several times slower within arithmetic.
        self.bytes.clear();
        chosen.iter().for_each(|&i| self.bytes.extend_from_slice(images.image(i)));
        self.rows.resize(self.bytes.len(), 0.0);
        normalize.apply(&self.bytes, &mut self.rows);
        self.labels.clear();
        self.labels.extend(chosen.iter().map(|&i| images.labels()[i] as i64));
        (device.tensor(&self.rows, [chosen.len(), features]), device.tensor(&self.labels, [chosen.len()]))
    }
}

impl Iterator for Epoch<'_> {
    type Item = (Tensor, Tensor);

    fn next(&mut self) -> Option<(Tensor, Tensor)> {
        self.nth(0)
    }

    fn nth(&mut self, n: usize) -> Option<(Tensor, Tensor)> {
        let batch = self.next.saturating_add(n).min(self.loader.len());
        let more = batch < self.loader.len();
        self.next = batch + more as usize;
        more.then(|| self.gather(batch))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.loader.len() - self.next;
        (left, Some(left))
    }
}
impl ExactSizeIterator for Epoch<'_> {}
