//! Matrix products.

use crate::shape::{Layout, Shape};
use crate::tensor::{Tensor, same_device, same_dtype};

impl Tensor {
    /// Matrix product by NumPy's rules: `[.., m, k] · [.., k, n] = [.., m, n]`, leading axes broadcast; a vector on the
    /// left is a row, on the right a column, and its axis disappears.
    ///
    /// # Panics
    /// If an operand is a scalar or the inner extents differ.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let a = Tensor::new([1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// assert_eq!(a.matmul(&Tensor::new([1.0, 1.0], [2])).to_vec::<f32>(), [3.0, 7.0]);
    /// ```
    #[track_caller]
    pub fn matmul(&self, rhs: &Tensor) -> Tensor {
        same_device("matmul", self, rhs);
        same_dtype("matmul", self, rhs);
        let (sa, sb) = (self.shape(), rhs.shape());
        if sa.is_empty() || sb.is_empty() {
            panic!("matmul: shapes {sa} and {sb}: a scalar has no rows; multiply with `*`");
        }
        let inner = if sb.len() == 1 { sb[0] } else { sb[sb.len() - 2] };
        if sa[sa.len() - 1] != inner {
            panic!(
                "matmul: shapes {sa} and {sb}: the inner extents {} and {inner} differ; transpose one with .t()?",
                sa[sa.len() - 1]
            );
        }
        match (sa.len(), sb.len()) {
            (1, 1) => self.reshape([1, inner]).matrices(&rhs.reshape([inner, 1])).reshape(()),
            (1, _) => drop_axis(self.reshape([1, inner]).matrices(rhs), 2),
            (_, 1) => drop_axis(self.matrices(&rhs.reshape([inner, 1])), 1),
            _ => self.matrices(rhs),
        }
    }

    /// The product of (batches of) matrices.
    #[track_caller]
    fn matrices(&self, rhs: &Tensor) -> Tensor {
        let (sa, sb) = (self.shape(), rhs.shape());
        let (m, k, n) = (sa[sa.len() - 2], sa[sa.len() - 1], sb[sb.len() - 1]);
        let lead = |s: &Shape| s[..s.len() - 2].iter().copied().collect::<Shape>();
        let batch = lead(sa).broadcast(&lead(sb)).unwrap_or_else(|| {
            panic!("matmul: shapes {sa} and {sb}: the batch axes {} and {} do not broadcast", lead(sa), lead(sb))
        });
        let with = |rows, columns| batch.iter().copied().chain([rows, columns]).collect::<Shape>();
        let (la, lb) = (self.layout().broadcast_to(&with(m, k)), rhs.layout().broadcast_to(&with(k, n)));
        let view = |x, layout| crate::backend::View { layout, ..Tensor::view(x) };
        let storage = self.device().backend().matmul(view(self, &la), view(rhs, &lb));
        Tensor::from_storage(storage, Layout::contiguous(with(m, n)), self.dtype(), self.device().clone())
            .record("matmul")
            .wrt(self, [rhs], |g, [b]| g.matmul(&b.t()))
            .wrt(rhs, [self], |g, [a]| a.t().matmul(g))
            .done()
    }
}

/// Without the axis of extent 1 at `from_end` places from the end.
fn drop_axis(x: Tensor, from_end: usize) -> Tensor {
    let mut shape = x.shape().clone();
    let at = shape.len() - from_end;
    shape.remove(at);
    x.reshape(shape)
}

crate::samples!("matmul", |s| {
    use crate::check::real;
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    s.case("matrices", [x(&[2, 3]), x(&[3, 4])], |[a, b]| a.matmul(b)).with_integers();
    s.case("vectors", [x(&[3]), x(&[3])], |[a, b]| a.matmul(b));
    s.case("vector and matrix", [x(&[3]), x(&[3, 2])], |[a, b]| a.matmul(b));
    s.case("matrix and vector", [x(&[2, 3]), x(&[3])], |[a, b]| a.matmul(b));
    s.case("batches broadcast", [x(&[2, 1, 2, 3]), x(&[3, 3, 2])], |[a, b]| a.matmul(b));
    s.case("inner extent 0", [x(&[2, 0]), x(&[0, 3])], |[a, b]| a.matmul(b));
});
