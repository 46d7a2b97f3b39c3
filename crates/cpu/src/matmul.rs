//! Matrix products.

use crate::Cpu;
use crate::along::rows;
use cotangent_core::backend::{Storage, View};
use cotangent_core::host::{HostBuffer, elements};
use cotangent_core::{Compute, DType, Element, Layout, with_element};
use num_traits::{One, Zero};
use std::borrow::Cow;

/// Multiplications from which a product is divided among threads.
const THREADED: usize = 1 << 20;
/// Multiplications of a part of a product. Parts depend on the shapes only.
const PART: usize = 1 << 22;

/// A matrix within a slice.
#[derive(Clone, Copy)]
struct Matrix<'a, T> {
    data: &'a [T],
    at: isize,
    /// Distances between rows and between columns.
    strides: [isize; 2],
}

/// A batch of matrices within a slice.
struct Batch<'a, T: Clone> {
    data: Cow<'a, [T]>,
    layout: Layout,
}

impl<T: Clone> Batch<'_, T> {
    fn matrix(&self, number: usize) -> Matrix<'_, T> {
        let rank = self.layout.shape.len();
        let (mut at, mut left) = (self.layout.offset as isize, number);
        for axis in (0..rank - 2).rev() {
            let n = self.layout.shape[axis];
            at += (left % n) as isize * self.layout.strides[axis];
            left /= n;
        }
        Matrix { data: &self.data, at, strides: [self.layout.strides[rank - 2], self.layout.strides[rank - 1]] }
    }
}

impl<T> Matrix<'_, T> {
    /// Whether the elements of a `rows`×`columns` matrix lie within the slice.
    fn fits(&self, rows: usize, columns: usize) -> bool {
        let reach = [rows, columns].into_iter().zip(self.strides).map(|(n, s)| (n as isize - 1) * s);
        let (low, high) = reach.fold((self.at, self.at), |(low, high), r| (low + r.min(0), high + r.max(0)));
        low >= 0 && (high as usize) < self.data.len()
    }

    /// The matrix without its first rows and columns.
    fn skip(self, rows: usize, columns: usize) -> Self {
        Matrix { at: self.at + rows as isize * self.strides[0] + columns as isize * self.strides[1], ..self }
    }
}

/// An element that gemm multiplies.
trait Gemm: Element + Zero + One {}
impl Gemm for f32 {}
impl Gemm for f64 {}

/// `to = a · b` with row-major rows of `to` of length `n`.
#[allow(unsafe_code)]
fn multiply<T: Gemm>(a: Matrix<T>, b: Matrix<T>, k: usize, n: usize, to: &mut [T]) {
    let m = to.len() / n;
    if k == 0 {
        return to.fill(T::zero());
    }
    assert!(a.fits(m, k) && b.fits(k, n) && to.len() == m * n, "matmul: a matrix reaches out of its memory");
    // SAFETY: every element of the two factors, at `at + i·strides[0] + j·strides[1]`, lies within the slice that
    // `data` borrows, and every element of the product, at `i·n + j`, lies within `to`, which is borrowed mutably; the
    // assertion checked both. The product is written, not read (`read_dst` is false). `T` is f32 or f64.
    unsafe {
        gemm::gemm(
            m, n, k,
            to.as_mut_ptr(), 1, n as isize, false,
            a.data.as_ptr().offset(a.at), a.strides[1], a.strides[0],
            b.data.as_ptr().offset(b.at), b.strides[1], b.strides[0],
            T::zero(), T::one(), false, false, false,
            gemm::Parallelism::None,
        );
    }
}

/// See [`Backend::matmul`](cotangent_core::backend::Backend::matmul).
pub fn matmul(cpu: &Cpu, a: View, b: View) -> Storage {
    fn whole<'a, T: Element>(view: View<'a>) -> Batch<'a, T> {
        Batch { data: Cow::Borrowed(elements::<T>(view)), layout: view.layout.clone() }
    }
    match a.dtype {
        DType::F32 => floats::<f32>(cpu, whole(a), whole(b), DType::F32),
        DType::F64 => floats::<f64>(cpu, whole(a), whole(b), DType::F64),
        half if half.compute() == Compute::F32 => floats::<f32>(cpu, widened(a), widened(b), half),
        _ => with_element!(a.dtype, E => integers::<E>(cpu, a, b)),
    }
}

/// Half-precision elements in single precision. Axes that are stretched stay so.
fn widened(view: View<'_>) -> Batch<'_, f32> {
    let mut compact = view.layout.clone();
    for (n, &stride) in compact.shape.iter_mut().zip(&view.layout.strides) {
        *n = if stride == 0 { (*n).min(1) } else { *n };
    }
    let inner = View { layout: &compact, ..view };
    let data = with_element!(view.dtype, E => rows::<E>(inner).iter().map(|x| x.to_f32()).collect::<Vec<f32>>());
    let layout = Layout::contiguous(&compact.shape).broadcast_to(&view.layout.shape);
    Batch { data: Cow::Owned(data), layout }
}

fn floats<T: Gemm>(cpu: &Cpu, a: Batch<T>, b: Batch<T>, dtype: DType) -> Storage {
    let rank = a.layout.shape.len();
    let [m, k, n] = [a.layout.shape[rank - 2], a.layout.shape[rank - 1], b.layout.shape[rank - 1]];
    let batch: usize = a.layout.shape[..rank - 2].iter().product();
    let mut out = cpu.buffer(dtype, batch * m * n);
    if batch * m * n > 0 {
        if T::DTYPE == dtype {
            products(cpu, &a, &b, [m, k, n], out.slice_mut::<T>());
        } else {
            let mut product: HostBuffer = cpu.buffer(T::DTYPE, batch * m * n);
            products(cpu, &a, &b, [m, k, n], product.slice_mut::<T>());
            with_element!(dtype, E => {
                let pairs = out.slice_mut::<E>().iter_mut().zip(product.slice::<T>());
                pairs.for_each(|(to, x)| *to = E::from_f32(x.to_f32()));
            });
        }
    }
    Storage::new(out)
}

/// All products of a batch; none of the extents but `k` is 0.
fn products<T: Gemm>(cpu: &Cpu, a: &Batch<T>, b: &Batch<T>, [m, k, n]: [usize; 3], to: &mut [T]) {
    let work = m * n * k.max(1);
    // Large products are cut into bands of rows, so that a part of the batch is some rows of its tall product.
    let bands = (work / PART).clamp(1, m);
    let band = m.div_ceil(bands).next_multiple_of(8).min(m);
    let bands = m.div_ceil(band);
    let per_item = (PART / work.max(1)).max(1);
    let part = |from: usize, to: &mut [T]| {
        // Either a band of one product, or some whole products.
        if bands > 1 {
            let row = from % m;
            return multiply(a.matrix(from / m).skip(row, 0), b.matrix(from / m), k, n, to);
        }
        for (number, to) in to.chunks_exact_mut(m * n).enumerate() {
            multiply(a.matrix(from / m + number), b.matrix(from / m + number), k, n, to);
        }
    };
    let parts: Vec<(usize, &mut [T])> = if bands > 1 {
        let each = |(number, product): (usize, _)| {
            let bands = <[T]>::chunks_mut(product, band * n).enumerate();
            bands.map(move |(k, rows)| (number * m + k * band, rows)).collect::<Vec<_>>()
        };
        to.chunks_exact_mut(m * n).enumerate().flat_map(each).collect()
    } else {
        to.chunks_mut(per_item * m * n).enumerate().map(|(k, to)| (k * per_item * m, to)).collect()
    };
    if parts.iter().map(|(_, to)| to.len()).sum::<usize>() * k < THREADED {
        return parts.into_iter().for_each(|(from, to)| part(from, to));
    }
    cpu.threads.each(parts.len(), parts.into_iter(), |(from, to)| part(from, to));
}

/// Products of integers, in wrapping `i64`.
fn integers<E: Element>(cpu: &Cpu, a: View, b: View) -> Storage {
    let rank = a.layout.shape.len();
    let [m, k, n] = [a.layout.shape[rank - 2], a.layout.shape[rank - 1], b.layout.shape[rank - 1]];
    let (x, y) = (rows::<E>(a), rows::<E>(b));
    let batch: usize = a.layout.shape[..rank - 2].iter().product();
    let mut out = cpu.buffer(a.dtype, batch * m * n);
    let mut sums = vec![0i64; n];
    for (row, to) in out.slice_mut::<E>().chunks_exact_mut(n.max(1)).enumerate() {
        sums.fill(0);
        for p in 0..k {
            let factor = x[row * k + p].to_i64();
            let terms = &y[(row / m * k + p) * n..][..n];
            sums.iter_mut().zip(terms).for_each(|(sum, y)| *sum = sum.wrapping_add(factor.wrapping_mul(y.to_i64())));
        }
        to.iter_mut().zip(&sums).for_each(|(to, &sum)| *to = E::from_i64(sum));
    }
    Storage::new(out)
}
