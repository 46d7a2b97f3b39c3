//! Matrix products.

use crate::pointwise::pointwise;
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

    /// Sum of the products of two vectors.
    ///
    /// # Panics
    /// If they are no vectors of one length.
    #[track_caller]
    pub fn dot(&self, rhs: &Tensor) -> Tensor {
        self.ranks("dot", rhs, [1, 1]).matmul(rhs)
    }

    /// Product of a matrix and a vector.
    ///
    /// # Panics
    /// If they are not, or their inner extents differ.
    #[track_caller]
    pub fn mv(&self, rhs: &Tensor) -> Tensor {
        self.ranks("mv", rhs, [2, 1]).matmul(rhs)
    }

    /// Product of two matrices; [`matmul`](Tensor::matmul) takes more.
    ///
    /// # Panics
    /// If they are not, or their inner extents differ.
    #[track_caller]
    pub fn mm(&self, rhs: &Tensor) -> Tensor {
        self.ranks("mm", rhs, [2, 2]).matmul(rhs)
    }

    /// Products of two batches of matrices, `[b, m, k] · [b, k, n] = [b, m, n]`.
    ///
    /// # Panics
    /// If they are not, or their batches or inner extents differ.
    #[track_caller]
    pub fn bmm(&self, rhs: &Tensor) -> Tensor {
        if self.ranks("bmm", rhs, [3, 3]).shape()[0] != rhs.shape()[0] {
            panic!("bmm: shapes {} and {}: the batches differ; matmul broadcasts them", self.shape(), rhs.shape());
        }
        self.matmul(rhs)
    }

    /// All products of an element of one vector with one of another: `out[i, j] = self[i] · rhs[j]`.
    ///
    /// # Panics
    /// If they are no vectors.
    #[track_caller]
    pub fn outer(&self, rhs: &Tensor) -> Tensor {
        self.ranks("outer", rhs, [1, 1]).unsqueeze(1) * rhs.unsqueeze(0)
    }

    /// `beta · self + alpha · a · b` for matrices a and b, to whose product this tensor broadcasts.
    ///
    /// # Panics
    /// If shapes do not agree.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let y = Tensor::ones([2]).addmm(&Tensor::eye(2), &Tensor::eye(2), 1.0, 3.0);
    /// assert_eq!(y.to_vec::<f32>(), [4.0, 1.0, 1.0, 4.0]);
    /// ```
    #[track_caller]
    pub fn addmm(&self, a: &Tensor, b: &Tensor, beta: f64, alpha: f64) -> Tensor {
        let product = a.mm(b);
        if self.shape().broadcast(product.shape()).as_ref() != Some(product.shape()) {
            panic!(
                "addmm: shape {} does not broadcast to the product's {}; extents must be equal or 1",
                self.shape(),
                product.shape()
            );
        }
        pointwise(move |[bias, p]| beta * bias + alpha * p).named("addmm").call([self, &product])
    }

    /// This tensor, if it and `rhs` have the given numbers of axes.
    #[track_caller]
    fn ranks(&self, op: &str, rhs: &Tensor, [left, right]: [usize; 2]) -> &Tensor {
        if (self.rank(), rhs.rank()) != (left, right) {
            panic!(
                "{op}: takes {left} and {right} axes, but the shapes are {} and {}; see matmul",
                self.shape(),
                rhs.shape()
            );
        }
        self
    }

    /// The product of (batches of) matrices.
    #[track_caller]
    fn matrices(&self, rhs: &Tensor) -> Tensor {
        let (sa, sb) = (self.shape(), rhs.shape());
        let (m, k, n) = (sa[sa.len() - 2], sa[sa.len() - 1], sb[sb.len() - 1]);
        let lead = |s: &Shape| s[..s.len() - 2].iter().copied().collect::<Shape>();
        let Some(batch) = lead(sa).broadcast(&lead(sb)) else {
            panic!(
                "matmul: shapes {sa} and {sb}: the batch axes {} and {} do not broadcast; extents must be equal or 1",
                lead(sa),
                lead(sb)
            )
        };
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
#[track_caller]
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
crate::samples!("dot", |s| {
    use crate::check::real;
    s.case("vectors", [real([4], -2.0..2.0), real([4], -2.0..2.0)], |[a, b]| a.dot(b)).with_integers();
});
crate::samples!("mv", |s| {
    use crate::check::real;
    s.case("matrix and vector", [real([2, 3], -2.0..2.0), real([3], -2.0..2.0)], |[a, b]| a.mv(b));
});
crate::samples!("mm", |s| {
    use crate::check::real;
    s.case("matrices", [real([2, 3], -2.0..2.0), real([3, 4], -2.0..2.0)], |[a, b]| a.mm(b));
    s.case("transposed", [real([3, 2], -2.0..2.0), real([4, 3], -2.0..2.0)], |[a, b]| a.t().mm(&b.t()));
});
crate::samples!("bmm", |s| {
    use crate::check::real;
    s.case("batches", [real([2, 2, 3], -2.0..2.0), real([2, 3, 2], -2.0..2.0)], |[a, b]| a.bmm(b));
});
crate::samples!("outer", |s| {
    use crate::check::real;
    s.case("vectors", [real([2], -2.0..2.0), real([3], -2.0..2.0)], |[a, b]| a.outer(b)).with_integers();
});
crate::samples!("addmm", |s| {
    use crate::check::real;
    let inputs = [real([4], -2.0..2.0), real([2, 3], -2.0..2.0), real([3, 4], -2.0..2.0)];
    s.case("broadcast bias", inputs, |[c, a, b]| c.addmm(a, b, -1.3, 0.7));
});
