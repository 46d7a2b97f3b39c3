//! Labelled images of one size.

use std::ops::Range;
use std::sync::Arc;

/// Grey images of one size, a byte per pixel, each with a class. Clones and parts share the memory.
///
/// ```
/// use cotangent_data::Images;
/// let images = Images::new(vec![0, 1, 2, 3, 4, 5], vec![1, 0, 1], [1, 2], 2);
/// let (first, rest) = images.split_at(1);
/// assert_eq!(first.image(0), [0, 1]);
/// assert_eq!(rest.labels(), [0, 1]);
/// ```
#[derive(Clone)]
pub struct Images {
    pixels: Arc<Vec<u8>>,
    labels: Arc<Vec<u8>>,
    range: Range<usize>,
    size: [usize; 2],
    classes: usize,
}

impl Images {
    /// Images of `size` rows and columns, one after the other in `pixels`, row by row.
    ///
    /// # Panics
    /// If `pixels` and `labels` are not of the same number of images, or a label is not less than `classes`.
    #[track_caller]
    pub fn new(pixels: Vec<u8>, labels: Vec<u8>, size: [usize; 2], classes: usize) -> Images {
        let [rows, columns] = size;
        assert!(
            rows.checked_mul(columns).and_then(|n| n.checked_mul(labels.len())) == Some(pixels.len()),
            "Images::new: {} pixels for {} labels; expected {rows} × {columns} per label",
            pixels.len(),
            labels.len()
        );
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
            panic!("Images::new: label {label}; expected less than {classes}, the number of classes");
        }
        Images { range: 0..labels.len(), pixels: Arc::new(pixels), labels: Arc::new(labels), size, classes }
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Rows and columns of each image.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Pixels of each image.
    pub fn features(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All pixels, image after image, row after row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels[self.range.start * self.features()..self.range.end * self.features()]
    }

    /// The class of every image.
    pub fn labels(&self) -> &[u8] {
        &self.labels[self.range.clone()]
    }

    /// The pixels of image `i`.
    ///
    /// # Panics
    /// If there is no such image.
    #[track_caller]
    pub fn image(&self, i: usize) -> &[u8] {
        assert!(i < self.len(), "Images::image: image {i} of {}", self.len());
        &self.pixels()[i * self.features()..][..self.features()]
    }

    /// The first `n` images, and the rest; nothing is copied.
    ///
    /// # Panics
    /// If there are fewer than `n`.
    #[track_caller]
    pub fn split_at(&self, n: usize) -> (Images, Images) {
        assert!(n <= self.len(), "Images::split_at: {n} of {} images", self.len());
        let middle = self.range.start + n;
        let part = |range| Images { range, ..self.clone() };
        (part(self.range.start..middle), part(middle..self.range.end))
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let [rows, columns] = self.size;
        write!(f, "Images({} of {rows} × {columns} in {} classes)", self.len(), self.classes)
    }
}
