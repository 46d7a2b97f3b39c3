//! The naive backend: plain loops in `f64` (integers in `i64`), the specification of all others.
//!
//! Nothing here is clever. A value is read, converted, computed with in the widest type, and rounded once when it is
//! stored; sums add in row-major order.

use crate::backend::{Arg, Backend, Call, Fold, Memory, OutOfRange, Outputs, Scan, Scatter, Storage, View};
use crate::dtype::{Compute, DType, Element};
use crate::error::Error;
use crate::expr::Program;
use crate::host::{self, HostBuffer, Plain, Pool, elements};
use crate::kernel::Kernel;
use crate::shape::{Layout, Shape};
use crate::with_element;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::sync::Arc;

/// The backend behind [`Device::reference`](crate::Device::reference).
pub struct Reference {
    pool: Arc<dyn Pool>,
}

impl Default for Reference {
    fn default() -> Reference {
        Reference { pool: Arc::new(Plain::default()) }
    }
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Reference")
    }
}

/// What the loops compute in: `f64`, or `i64` for integers.
trait Number: Copy + PartialOrd + 'static {
    const ZERO: Self;
    const ONE: Self;
    const LOWEST: Self;
    const HIGHEST: Self;
    fn load<T: Element>(x: T) -> Self;
    fn store<T: Element>(self) -> T;
    fn is_nan(self) -> bool;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn logaddexp(self, other: Self) -> Self;
    fn eval(program: &Program, args: &[Self], uniforms: &[f64], position: usize) -> SmallVec<[Self; 2]>;
}

impl Number for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    const LOWEST: f64 = f64::NEG_INFINITY;
    const HIGHEST: f64 = f64::INFINITY;
    fn load<T: Element>(x: T) -> f64 {
        x.to_f64()
    }
    fn store<T: Element>(self) -> T {
        T::from_f64(self)
    }
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    fn plus(self, other: f64) -> f64 {
        self + other
    }
    fn times(self, other: f64) -> f64 {
        self * other
    }
    fn logaddexp(self, other: f64) -> f64 {
        crate::expr::Binary::Logaddexp.f64()(self, other)
    }
    fn eval(program: &Program, args: &[f64], uniforms: &[f64], position: usize) -> SmallVec<[f64; 2]> {
        program.eval_f64(args, uniforms, position)
    }
}

impl Number for i64 {
    const ZERO: i64 = 0;
    const ONE: i64 = 1;
    const LOWEST: i64 = i64::MIN;
    const HIGHEST: i64 = i64::MAX;
    fn load<T: Element>(x: T) -> i64 {
        x.to_i64()
    }
    fn store<T: Element>(self) -> T {
        T::from_i64(self)
    }
    fn is_nan(self) -> bool {
        false
    }
    fn plus(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }
    fn times(self, other: i64) -> i64 {
        self.wrapping_mul(other)
    }
    fn logaddexp(self, _: i64) -> i64 {
        unreachable!("checked: logcumsumexp takes floating-point elements")
    }
    fn eval(program: &Program, args: &[i64], uniforms: &[f64], _: usize) -> SmallVec<[i64; 2]> {
        program.eval_i64(args, uniforms)
    }
}

/// Runs `$body` with `$N` as the type to compute in for elements of `$dtype`.
macro_rules! with_number {
    ($dtype:expr, $N:ident => $body:expr) => {
        match DType::compute($dtype) {
            Compute::I64 => {
                type $N = i64;
                $body
            }
            Compute::F32 | Compute::F64 => {
                type $N = f64;
                $body
            }
        }
    };
}

/// The type in which a program over arguments computes: that of the arguments that are not truth values.
fn compute_dtype(args: &[Arg]) -> DType {
    let value = args.iter().map(|arg| arg.view().dtype).find(|&dtype| dtype != DType::Bool);
    value.unwrap_or(DType::Bool)
}

/// The elements of a view, row by row.
fn load<N: Number>(view: View) -> Vec<N> {
    with_element!(view.dtype, T => {
        let all = elements::<T>(view);
        view.layout.positions().map(|at| N::load(all[at])).collect()
    })
}

impl Reference {
    fn store<N: Number>(&self, dtype: DType, values: &[N]) -> Storage {
        let mut buffer = HostBuffer::new(&self.pool, dtype, values.len());
        with_element!(dtype, T => {
            buffer.slice_mut::<T>().iter_mut().zip(values).for_each(|(out, &x)| *out = x.store());
        });
        Storage::new(buffer)
    }

    fn run<N: Number>(&self, call: &Call) -> Vec<Vec<N>> {
        let args: Vec<Vec<N>> = call.args.iter().map(|arg| load(arg.view())).collect();
        let mut outputs = vec![Vec::with_capacity(call.shape.count()); call.outputs.len()];
        for position in 0..call.shape.count() {
            let here: SmallVec<[N; 4]> = args.iter().map(|arg| arg[position]).collect();
            let values = N::eval(call.program, &here, call.uniforms, position);
            outputs.iter_mut().zip(values).for_each(|(out, value)| out.push(value));
        }
        outputs
    }

    /// Applies `f` to each lane along an axis: `(lane of inputs) -> lane of the output`.
    fn lanes<N: Number, M: Number>(
        &self,
        args: &[View],
        axis: usize,
        dtype: DType,
        f: impl Fn(&[Vec<N>]) -> Vec<M>,
    ) -> Storage {
        let shape = &args[0].layout.shape;
        let (outer, n, inner) = shape.around(axis);
        let data: Vec<Vec<N>> = args.iter().map(|&arg| load(arg)).collect();
        let mut result: Vec<Option<Vec<M>>> = vec![];
        for o in 0..outer {
            for i in 0..inner {
                let lane = |x: &Vec<N>| (0..n).map(|k| x[(o * n + k) * inner + i]).collect();
                result.push(Some(f(&data.iter().map(lane).collect::<Vec<_>>())));
            }
        }
        let lanes: Vec<Vec<M>> = result.into_iter().flatten().collect();
        let length = lanes.first().map_or(0, Vec::len);
        let at = |o: usize, k: usize, i: usize| lanes[o * inner + i][k];
        let order = (0..outer).flat_map(|o| (0..length).flat_map(move |k| (0..inner).map(move |i| (o, k, i))));
        let values: Vec<M> = order.map(|(o, k, i)| at(o, k, i)).collect();
        self.store(dtype, &values)
    }
}

/// `a` against the best so far: whether it takes its place. The first NaN stays.
fn better<N: Number>(a: N, best: N, largest: bool) -> bool {
    !best.is_nan() && (a.is_nan() || if largest { a > best } else { a < best })
}

/// A running combination of a lane.
fn scan_lane<N: Number>(scan: Scan, args: &[Vec<N>], reverse: bool) -> Vec<N> {
    let n = args[0].len();
    let mut out = vec![N::ZERO; n];
    let mut state: Option<N> = None;
    for step in 0..n {
        let at = if reverse { n - 1 - step } else { step };
        let x = args[0][at];
        let next = match (scan, state) {
            (Scan::Linear, state) => state.map_or(args[1][at], |h| x.times(h).plus(args[1][at])),
            (_, None) => x,
            (Scan::Sum, Some(sum)) => sum.plus(x),
            (Scan::Max, Some(best)) => {
                if better(x, best, true) {
                    x
                } else {
                    best
                }
            }
            (Scan::Min, Some(best)) => {
                if better(x, best, false) {
                    x
                } else {
                    best
                }
            }
            (Scan::LogSumExp, Some(sum)) => sum.logaddexp(x),
        };
        state = Some(next);
        out[at] = next;
    }
    out
}

/// The order that sorts a lane; stable, NaN last.
fn sort_lane<N: Number>(lane: &[N], descending: bool) -> Vec<i64> {
    let mut order: Vec<i64> = (0..lane.len() as i64).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (lane[a as usize], lane[b as usize]);
        let (less, greater) = if descending { (b, a) } else { (a, b) };
        a.is_nan().cmp(&b.is_nan()).then(less.partial_cmp(&greater).unwrap_or(Ordering::Equal))
    });
    order
}

/// The flat positions that an index addresses in a tensor of shape `shape`, in the index's row-major order.
fn addressed(shape: &Shape, index: View, axis: usize) -> Result<Vec<usize>, OutOfRange> {
    let (_, n, inner) = shape.around(axis);
    let rows = index.layout.shape[axis];
    let place = |(position, index): (usize, i64)| {
        let along = usize::try_from(index).ok().filter(|&k| k < n).ok_or(OutOfRange { index, position })?;
        let (outer, within) = (position / (rows * inner), position % inner);
        Ok((outer * n + along) * inner + within)
    };
    load::<i64>(index).into_iter().enumerate().map(place).collect()
}

impl Backend for Reference {
    fn name(&self) -> String {
        "reference".into()
    }

    fn upload(&self, dtype: DType, bytes: &[u8]) -> Result<Storage, Error> {
        let mut buffer = HostBuffer::new(&self.pool, dtype, bytes.len() / dtype.size());
        buffer.bytes_mut().copy_from_slice(bytes);
        Ok(Storage::new(buffer))
    }

    fn download(&self, view: View, bytes: &mut [u8]) -> Result<(), Error> {
        with_element!(view.dtype, T => {
            let all = elements::<T>(view);
            // `bytes` need not be aligned to T.
            let cells = bytes.chunks_exact_mut(size_of::<T>());
            cells.zip(view.layout.positions()).for_each(|(cell, at)| cell.copy_from_slice(bytemuck::bytes_of(&all[at])));
        });
        Ok(())
    }

    fn map(&self, call: Call) -> Outputs {
        with_number!(compute_dtype(&call.args), N => {
            let values = self.run::<N>(&call);
            values.iter().zip(call.outputs).map(|(values, &dtype)| self.store(dtype, values)).collect()
        })
    }

    fn fold(&self, call: Call, fold: Fold, reduced: &[bool]) -> Outputs {
        let kept: Shape = call.shape.iter().zip(reduced).map(|(&n, &r)| if r { 1 } else { n }).collect();
        let target = Layout::contiguous(&kept).broadcast_to(call.shape);
        with_number!(compute_dtype(&call.args), N => {
            let start = match fold {
                Fold::Sum => N::ZERO,
                Fold::Prod => N::ONE,
                Fold::Max => N::LOWEST,
                Fold::Min => N::HIGHEST,
            };
            let finish = |(values, &dtype): (&Vec<N>, &DType)| {
                let mut out = vec![start; kept.count()];
                for (&x, at) in values.iter().zip(target.positions()) {
                    let acc = out[at];
                    out[at] = match fold {
                        Fold::Sum => acc.plus(x),
                        Fold::Prod => acc.times(x),
                        Fold::Max => if better(x, acc, true) { x } else { acc },
                        Fold::Min => if better(x, acc, false) { x } else { acc },
                    };
                }
                self.store(dtype, &out)
            };
            self.run::<N>(&call).iter().zip(call.outputs).map(finish).collect()
        })
    }

    fn arg_fold(&self, x: View, axis: usize, largest: bool) -> Storage {
        with_number!(x.dtype, N => self.lanes(&[x], axis, DType::I64, |lane: &[Vec<N>]| {
            let lane = &lane[0];
            let best = (1..lane.len()).fold(0, |best, k| if better(lane[k], lane[best], largest) { k } else { best });
            vec![best as i64]
        }))
    }

    fn scan(&self, scan: Scan, args: &[View], axis: usize, reverse: bool) -> Storage {
        let dtype = args[0].dtype;
        with_number!(dtype, N => self.lanes(args, axis, dtype, |lanes: &[Vec<N>]| scan_lane(scan, lanes, reverse)))
    }

    fn argsort(&self, x: View, axis: usize, descending: bool) -> Storage {
        with_number!(x.dtype, N => self.lanes(&[x], axis, DType::I64, |lane: &[Vec<N>]| sort_lane(&lane[0], descending)))
    }

    fn matmul(&self, a: View, b: View) -> Storage {
        let rank = a.layout.shape.len();
        let [m, k] = [a.layout.shape[rank - 2], a.layout.shape[rank - 1]];
        let n = b.layout.shape[rank - 1];
        let batch: usize = a.layout.shape[..rank - 2].iter().product();
        with_number!(a.dtype, N => {
            let (x, y) = (load::<N>(a), load::<N>(b));
            let mut out = Vec::with_capacity(batch * m * n);
            for (t, i, j) in (0..batch).flat_map(|t| (0..m).flat_map(move |i| (0..n).map(move |j| (t, i, j)))) {
                let terms = (0..k).map(|p| x[(t * m + i) * k + p].times(y[(t * k + p) * n + j]));
                out.push(terms.fold(N::ZERO, N::plus));
            }
            self.store(a.dtype, &out)
        })
    }

    fn gather(&self, x: View, index: View, axis: usize) -> Result<Storage, OutOfRange> {
        let places = addressed(&x.layout.shape, index, axis)?;
        with_number!(x.dtype, N => {
            let data = load::<N>(x);
            Ok(self.store(x.dtype, &places.iter().map(|&at| data[at]).collect::<Vec<N>>()))
        })
    }

    fn scatter(&self, base: Arg, index: View, source: View, axis: usize, mode: Scatter) -> Result<Storage, OutOfRange> {
        let base = base.view();
        let places = addressed(&base.layout.shape, index, axis)?;
        with_number!(base.dtype, N => {
            let mut out = load::<N>(base);
            for (at, x) in places.into_iter().zip(load::<N>(source)) {
                out[at] = if mode == Scatter::Add { out[at].plus(x) } else { x };
            }
            Ok(self.store(base.dtype, &out))
        })
    }

    fn assign(&self, base: Arg, region: &Layout, source: View) -> Storage {
        let base = base.view();
        with_number!(base.dtype, N => {
            let mut out = load::<N>(base);
            region.positions().zip(load::<N>(source)).for_each(|(at, x)| out[at] = x);
            self.store(base.dtype, &out)
        })
    }

    fn launch(&self, kernel: &Kernel, inputs: &[View], outputs: &[(Shape, DType)], params: &[f64]) -> Outputs {
        host::launch(&self.pool, kernel, inputs, outputs, params)
    }

    fn memory(&self) -> Memory {
        self.pool.meter().read()
    }
}
