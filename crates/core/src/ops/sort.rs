//! Order: sorting, the largest few, order statistics, positions among sorted edges.
//!
//! NaN sorts last in both directions. Gradients of values go to the elements that were taken.

use crate::check::{distinct, given, real};
use crate::dtype::DType;
use crate::expr::Expr;
use crate::pointwise::pointwise;
use crate::shape::{Axes, Layout, Shape, resolve_axis};
use crate::tape::at_caller;
use crate::tensor::{Tensor, same_device, same_dtype};

impl Tensor {
    /// Positions (`I64`) that sort along `axis`; equal elements keep their order, NaN comes last.
    #[track_caller]
    pub fn argsort(&self, axis: isize, descending: bool) -> Tensor {
        let at = resolve_axis("argsort", axis, self.shape());
        let storage = self.device().backend().argsort(self.view(), at, descending);
        Tensor::from_storage(storage, Layout::contiguous(self.shape()), DType::I64, self.device().clone())
    }

    /// The elements sorted along `axis`, and their positions as by [`argsort`](Tensor::argsort).
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let (values, order) = Tensor::new([2.0, f32::NAN, 1.0], [3]).sort(0, true);
    /// assert_eq!(values.to_vec::<f32>()[..2], [2.0, 1.0]);
    /// assert_eq!(order.to_vec::<i64>(), [0, 2, 1]);
    /// ```
    #[track_caller]
    pub fn sort(&self, axis: isize, descending: bool) -> (Tensor, Tensor) {
        resolve_axis("sort", axis, self.shape());
        let order = self.argsort(axis, descending);
        (self.gather(axis, &order), order)
    }

    /// The `k` largest (or smallest) elements along `axis` in order, and their positions.
    ///
    /// # Panics
    /// If the axis has fewer than `k` elements.
    #[track_caller]
    pub fn topk(&self, k: usize, axis: isize, largest: bool) -> (Tensor, Tensor) {
        let at = resolve_axis("topk", axis, self.shape());
        if k > self.shape()[at] {
            panic!("topk: axis {at} of shape {} has no {k} elements; ask for fewer", self.shape());
        }
        let order = self.argsort(axis, largest).narrow(axis, 0, k).contiguous();
        (self.gather(axis, &order), order)
    }

    /// The `k`-th smallest element over `axes` (the first is 1) and its position, row-major over them.
    ///
    /// # Panics
    /// If there are fewer than `k` elements, or `k` is 0.
    #[track_caller]
    pub fn kthvalue(&self, k: usize, axes: impl Into<Axes>) -> (Tensor, Tensor) {
        let lanes = self.lanes("kthvalue", axes.into());
        let length = lanes.x.shape()[lanes.x.rank() - 1];
        assert!(k >= 1 && k <= length, "kthvalue: there is no element {k} of {length}; count from 1");
        lanes.pick(rank(&lanes.x, k - 1).reshape(&lanes.shape))
    }

    /// The middle element over `axes`, the lower of the two for an even count, and its position, row-major over them.
    /// NaN if any element is.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    #[track_caller]
    pub fn median(&self, axes: impl Into<Axes>) -> (Tensor, Tensor) {
        let lanes = self.lanes("median", axes.into());
        let middle = (lanes.x.shape()[lanes.x.rank() - 1] - 1) / 2;
        lanes.pick(lanes.nan_or(rank(&lanes.x, middle).reshape(&lanes.shape)))
    }

    /// Quantiles over `axes`, linear between neighbours, in the order of `q` along a new first axis. NaN if any element
    /// is.
    ///
    /// # Panics
    /// If there is nothing to choose from, or a quantile is outside of 0..=1.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 4.0], [3]);
    /// assert_eq!(x.quantile(&[0.5, 0.75], ..).to_vec::<f32>(), [2.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn quantile(&self, q: &[f64], axes: impl Into<Axes>) -> Tensor {
        self.check_float("quantile");
        let lanes = self.lanes("quantile", axes.into());
        let last = lanes.x.shape()[lanes.x.rank() - 1] - 1;
        let order = lanes.x.argsort(-1, false);
        let value = |rank: usize| {
            let at = order.narrow(-1, rank, 1).reshape(&lanes.shape);
            lanes.pick(lanes.nan_or(at)).0
        };
        if let Some(q) = q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            panic!("quantile: {q} is outside of 0 to 1; 0.5 is the median");
        }
        let one = |&q: &f64| {
            let place = q * last as f64;
            let below = place.floor() as usize;
            value(below).lerp(&value((below + 1).min(last)), place - below as f64)
        };
        let all: Vec<Tensor> = at_caller(|| q.iter().map(one).collect());
        Tensor::stack(&all.iter().collect::<Vec<_>>(), 0)
    }

    /// Where each of `values` would go into these edges, which are sorted along the last axis: how many edges lie before
    /// it (`I64`). With `right` it goes after equal edges. Edges are a vector, or one row for each row of `values`.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let edges = Tensor::new([0.0, 1.0, 2.0], [3]);
    /// let x = Tensor::new([-1.0, 1.0, 5.0], [3]);
    /// assert_eq!(edges.searchsorted(&x, false).to_vec::<i64>(), [0, 1, 3]);
    /// ```
    #[track_caller]
    pub fn searchsorted(&self, values: &Tensor, right: bool) -> Tensor {
        same_device("searchsorted", self, values);
        same_dtype("searchsorted", self, values);
        let rows = |x: &Tensor| x.shape()[..x.rank().saturating_sub(1)].to_vec();
        if self.rank() == 0 || (self.rank() > 1 && rows(self) != rows(values)) {
            panic!(
                "searchsorted: edges of shape {} do not fit values of shape {}; edges are a vector, or rows for the same \
                 leading axes",
                self.shape(),
                values.shape()
            );
        }
        let edges = self.detach();
        let wanted = if self.rank() == 1 { values.detach().reshape([values.count()]) } else { values.detach() };
        let n = edges.shape()[edges.rank() - 1];
        let mut found = edges.device().full(wanted.shape(), 0.0, DType::I64);
        if n == 0 {
            return found.reshape(values.shape());
        }
        // Binary search for all values at once: a step is taken where the edge just before its end comes before.
        let mut step = (n + 1).next_power_of_two() / 2;
        while step > 0 {
            let end = (step - 1) as f64;
            let at = pointwise(move |[i]| (i + end).minimum((n - 1) as f64)).named("searchsorted").call([&found]);
            let edge = edges.gather(-1, &at);
            let passed =
                pointwise(move |[e, v]| if right { e.le(v) } else { e.lt(v) }.logical_or(nan_after(e, v, right)));
            let passed = passed.named("searchsorted").call([&edge, &wanted]);
            let (step_size, limit) = (step as f64, n as f64);
            let advance = move |[i, go]: [Expr; 2]| go.logical_and((i + step_size).le(limit)).select(i + step_size, i);
            found = pointwise(advance).named("searchsorted").call([&found, &passed]);
            step /= 2;
        }
        found.reshape(values.shape())
    }

    /// The number of the bucket of each element between sorted `edges`: see [`searchsorted`](Tensor::searchsorted).
    #[track_caller]
    pub fn bucketize(&self, edges: &Tensor, right: bool) -> Tensor {
        edges.searchsorted(self, right)
    }

    /// How many elements (`I64`) lie in each of `bins` equal intervals from `low` to `high`, which itself belongs to the
    /// last one. Elements outside, and NaN, are not counted.
    ///
    /// # Panics
    /// If there are no bins or `low` is not below `high`.
    #[track_caller]
    pub fn histogram(&self, bins: usize, low: f64, high: f64) -> Tensor {
        self.check_float("histogram");
        assert!(bins > 0 && low < high, "histogram: {bins} bins from {low} to {high} hold nothing");
        let x = self.detach().reshape([self.count()]);
        let (scale, last) = (bins as f64 / (high - low), (bins - 1) as f64);
        let place = move |[x]: [Expr; 1]| ((x - low) * scale).floor().maximum(0.0).minimum(last);
        let bin = pointwise(place).named("histogram").call([&x]).to(DType::I64);
        let inside =
            pointwise(move |[x]| x.ge(low).logical_and(x.le(high))).named("histogram").call([&x]).to(DType::I64);
        x.device().full([bins], 0.0, DType::I64).scatter_add(0, &bin, &inside)
    }
}

/// Whether an edge comes before a NaN: NaN sorts last.
fn nan_after(edge: Expr, value: Expr, right: bool) -> Expr {
    if right { value.is_nan() } else { value.is_nan().logical_and(edge.is_nan().logical_not()) }
}

/// The position of the element of a rank (from 0) along the last axis.
fn rank(x: &Tensor, rank: usize) -> Tensor {
    let order = x.argsort(-1, false).narrow(-1, rank, 1);
    let kept: Shape = x.shape()[..x.rank() - 1].iter().copied().collect();
    order.reshape(kept)
}

crate::samples!("argsort", |s| {
    s.case("last axis", [distinct([2, 3], -2.0..2.0)], |[x]| x.argsort(-1, false)).orders(0).with_integers();
    s.case("ties, descending", [given([4], &[1.0, 2.0, 1.0, 2.0])], |[x]| x.argsort(0, true)).orders(0);
});
crate::samples!("sort", |s| {
    s.case("last axis", [distinct([2, 3], -2.0..2.0)], |[x]| x.sort(-1, false));
    s.case("first axis, descending", [distinct([3, 2], -2.0..2.0)], |[x]| x.sort(0, true));
});
crate::samples!("topk", |s| {
    s.case("largest", [distinct([2, 5], -2.0..2.0)], |[x]| x.topk(2, -1, true));
    s.case("smallest of the first axis", [distinct([4, 2], -2.0..2.0)], |[x]| x.topk(3, 0, false));
});
crate::samples!("kthvalue", |s| {
    s.case("second", [distinct([2, 5], -2.0..2.0)], |[x]| x.kthvalue(2, -1));
});
crate::samples!("median", |s| {
    s.case("even count", [distinct([2, 4], -2.0..2.0)], |[x]| x.median(-1));
    s.case("two axes", [distinct([2, 3, 3], -2.0..2.0)], |[x]| x.median([0, 2]));
});
crate::samples!("quantile", |s| {
    s.case("three", [distinct([2, 4], -2.0..2.0)], |[x]| x.quantile(&[0.0, 0.4, 1.0], -1));
    s.case("all axes", [distinct([2, 3], -2.0..2.0)], |[x]| x.quantile(&[0.7], ..));
});
crate::samples!("searchsorted", |s| {
    let edges = || given([5], &[-1.5, -0.5, 0.25, 0.25, 1.75]);
    s.case("one vector", [edges(), real([2, 3], -2.0..2.0)], |[e, x]| e.searchsorted(x, false)).orders(0);
    s.case("equal ones", [edges(), given([3], &[-1.5, 0.25, 9.0])], |[e, x]| e.searchsorted(x, true)).orders(0);
});
crate::samples!("bucketize", |s| {
    let edges = given([3], &[-0.5, 0.25, 1.75]);
    s.case("matrix", [real([2, 3], -2.0..2.0), edges], |[x, e]| x.bucketize(e, true)).orders(0);
});
crate::samples!("histogram", |s| {
    s.case("edges and outside", [given([6], &[0.0, 1.0, 3.0, -0.5, 3.5, 1.5])], |[x]| x.histogram(3, 0.0, 3.0))
        .orders(0);
});
