//! Joining and splitting.

use crate::profile;
use crate::shape::{Layout, Shape, resolve_axis};
use crate::tape::at_caller;
use crate::tensor::{Tensor, same_device, same_dtype};
use smallvec::SmallVec;

impl Tensor {
    /// Tensors one after the other along an existing axis.
    ///
    /// # Panics
    /// If there are none, or they differ in another axis, element type or device.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let (a, b) = (Tensor::zeros([2, 1]), Tensor::ones([2, 2]));
    /// assert_eq!(Tensor::cat(&[&a, &b], 1).to_vec::<f32>(), [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn cat(parts: &[&Tensor], axis: isize) -> Tensor {
        let Some(first) = parts.first() else { panic!("cat: no tensors to join; give at least one") };
        let at = resolve_axis("cat", axis, first.shape());
        let mut shape = first.shape().clone();
        shape[at] = 0;
        for part in parts {
            same_device("cat", first, part);
            same_dtype("cat", first, part);
            let fits = part.rank() == first.rank() && (0..part.rank()).all(|k| k == at || part.shape()[k] == shape[k]);
            if !fits {
                panic!(
                    "cat: shapes {} and {} differ in more than axis {at}; all other extents must be equal",
                    first.shape(),
                    part.shape()
                );
            }
            shape[at] += part.shape()[at];
        }
        crate::tensor::checked_count("cat", &shape);
        let _op = profile::operation("cat");
        let whole = Layout::contiguous(&shape);
        let mut start = 0;
        let mut joined = first.device().full(&shape, 0.0, first.dtype());
        let mut places: SmallVec<[(usize, usize); 4]> = SmallVec::new();
        for part in parts {
            let len = part.shape()[at];
            places.push((start, len));
            joined = joined.overwritten(&whole.slice(at, start, len, 1), part);
            start += len;
        }
        let record = joined.record("cat");
        let each = parts.iter().zip(places);
        each.fold(record, |record, (part, (start, len))| {
            record.wrt(part, [], move |g, []| g.narrow(at as isize, start, len))
        })
        .done()
    }

    /// This untracked tensor with a region replaced, in place if nothing else shares it.
    pub(crate) fn overwritten(mut self, region: &Layout, source: &Tensor) -> Tensor {
        let (shape, dtype, device) = (self.shape().clone(), self.dtype(), self.device().clone());
        let storage = device.backend().assign(self.give_up(None), region, source.view());
        Tensor::from_storage(storage, Layout::contiguous(shape), dtype, device)
    }

    /// Tensors of one shape along a new axis.
    ///
    /// # Panics
    /// If there are none, or they differ in shape, element type or device.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let (a, b) = (Tensor::zeros([2]), Tensor::ones([2]));
    /// assert_eq!(Tensor::stack(&[&a, &b], 0).to_vec::<f32>(), [0.0, 0.0, 1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn stack(parts: &[&Tensor], axis: isize) -> Tensor {
        let Some(first) = parts.first() else { panic!("stack: no tensors to join; give at least one") };
        let mut shape: Shape = first.shape().clone();
        shape.push(1);
        let at = resolve_axis("stack", axis, &shape);
        shape.pop();
        shape.insert(at, 1);
        if let Some(other) = parts.iter().find(|part| part.shape() != first.shape()) {
            panic!("stack: shapes {} and {} differ; all must be equal", first.shape(), other.shape());
        }
        let parts: Vec<Tensor> = at_caller(|| parts.iter().map(|part| part.reshape(&shape)).collect());
        Tensor::cat(&parts.iter().collect::<Vec<_>>(), at as isize)
    }
}

crate::samples!("cat", |s| {
    use crate::check::real;
    let inputs = [real([2, 2], -2.0..2.0), real([2, 0], -2.0..2.0), real([2, 3], -2.0..2.0)];
    s.case("three, one empty", inputs, |[x, y, z]| Tensor::cat(&[x, y, z], 1)).with_integers();
    s.case("one twice", [real([2, 2], -2.0..2.0)], |[x]| Tensor::cat(&[x, x], 0));
});
crate::samples!("stack", |s| {
    use crate::check::real;
    let inputs = || [real([2, 3], -2.0..2.0), real([2, 3], -2.0..2.0)];
    s.case("in front", inputs(), |[x, y]| Tensor::stack(&[x, y], 0)).with_integers();
    s.case("at the end", inputs(), |[x, y]| Tensor::stack(&[x, y], -1));
});
