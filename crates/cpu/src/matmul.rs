//! Matrix products.

use crate::Cpu;
use crate::along::rows;
use cotangent_core::backend::{Storage, View};
use cotangent_core::host::{HostBuffer, elements};
use cotangent_core::{Compute, DType, Element, Layout, with_element};
use gemm_common::Parallelism;
use num_traits::{One, Zero};
use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

/// Multiplications from which a product is divided among threads.
const THREADED: usize = 1 << 20;
/// Multiplications of a part of a product, unless that would be a small tile. Parts depend on shapes and strides only.
const PART: usize = 1 << 21;
/// Tiles are not cut further below so many rows, and columns: three AVX-512 vectors are the unit of gemm.
const ROWS: usize = 64;
const COLUMNS: usize = 96;
const UNIT: usize = 48;
/// Most tiles of one product.
const TILES: usize = 64;

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

/// `(m, n, k, product, its column and row strides, whether it is added to, left, its column and row strides, right, its
/// column and row strides, alpha, beta, three conjugations, threads)`, with a product whose columns are contiguous.
type Kernel<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    T,
    bool,
    bool,
    bool,
    Parallelism,
);

/// An element that gemm multiplies. Its crates for single types are used, as the one for all takes twice as long to build.
trait Gemm: Element + Zero + One {
    fn kernel() -> Kernel<Self>;
}
impl Gemm for f32 {
    fn kernel() -> Kernel<f32> {
        gemm_f32::gemm::f32::get_gemm_fn()
    }
}
impl Gemm for f64 {
    fn kernel() -> Kernel<f64> {
        gemm_f64::gemm::f64::get_gemm_fn()
    }
}

/// A row-major matrix that several threads write to, each to tiles of its own.
struct Target<'a, T> {
    data: *mut T,
    len: usize,
    columns: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: sharing a target lets other threads call `multiply` only, whose callers promise that no two calls at the same
// time write the same elements; elements are plain numbers.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Target<'_, T> {}

/// A part of a product: some rows and some columns.
#[derive(Clone, Debug)]
struct Tile {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<T: Gemm> Target<'_, T> {
    fn new(data: &mut [T], columns: usize) -> Target<'_, T> {
        Target { len: data.len(), data: data.as_mut_ptr(), columns, borrow: PhantomData }
    }

    /// Writes `a · b` to the rows from `first + tile.rows.start` on.
    ///
    /// # Safety
    /// No other thread writes to that tile of those rows meanwhile.
    #[allow(unsafe_code)]
    unsafe fn multiply(&self, a: Matrix<T>, b: Matrix<T>, k: usize, first: usize, tile: &Tile) {
        let [m, n] = [tile.rows.len(), tile.columns.len()];
        let (a, b) = (a.skip(tile.rows.start, 0), b.skip(0, tile.columns.start));
        let at = (first + tile.rows.start) * self.columns + tile.columns.start;
        assert!(m > 0 && n > 0 && at + (m - 1) * self.columns + n <= self.len, "matmul: a tile lies in the product");
        assert!(k == 0 || (a.fits(m, k) && b.fits(k, n)), "matmul: the factors lie in their memory");
        // The kernel writes columns: it multiplies the transposed factors, the right one's first. It walks the left one's
        // columns upwards.
        let [mut left, mut right] = [(b, b.strides[0]), (a, a.strides[1])];
        if left.1 < 0 && k > 0 {
            left = (b.skip(k - 1, 0), -left.1);
            right = (a.skip(0, k - 1), -right.1);
        }
        // SAFETY: every element of the two factors, at `at + i·strides[0] + j·strides[1]`, lies within the slice that
        // `data` borrows, and every element of the product, at `at + i·columns + j`, lies within the target, which
        // borrows it mutably: the assertions checked it. No other thread writes to the tile (promised), and gemm
        // writes nothing else. The product is not read (the first `false`). With `k = 0`, gemm fills the tile with
        // zeros and does not read the factors.
        unsafe {
            T::kernel()(
                n,
                m,
                k,
                self.data.add(at),
                self.columns as isize,
                1,
                false,
                left.0.data.as_ptr().wrapping_offset(left.0.at),
                left.1,
                b.strides[1],
                right.0.data.as_ptr().wrapping_offset(right.0.at),
                a.strides[0],
                right.1,
                T::zero(),
                T::one(),
                false,
                false,
                false,
                Parallelism::None,
            );
        }
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
        half if half.compute() == Compute::F32 => floats::<f32>(cpu, widened(cpu, a), widened(cpu, b), half),
        _ => with_element!(a.dtype, E => integers::<E>(cpu, a, b)),
    }
}

/// Half-precision elements in single precision. Axes that are stretched stay so.
fn widened<'a>(cpu: &Cpu, view: View<'a>) -> Batch<'a, f32> {
    let mut compact = view.layout.clone();
    for (n, &stride) in compact.shape.iter_mut().zip(&view.layout.strides) {
        *n = if stride == 0 { (*n).min(1) } else { *n };
    }
    let inner = View { layout: &compact, ..view };
    let data = with_element!(view.dtype, E => rows::<E>(cpu, inner).iter().map(|x| x.to_f32()).collect::<Vec<f32>>());
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

/// Extents of the tiles that a product is cut into.
fn tile_size([m, k, n]: [usize; 3], b_is_row_major: bool) -> [usize; 2] {
    let [mut rows, mut columns] = [m, n];
    while rows * columns * k > PART && m.div_ceil(rows) * n.div_ceil(columns) < TILES {
        let [wide, tall] = [columns >= 2 * COLUMNS, rows >= 2 * ROWS];
        // A right factor that is not row-major is copied for each tile: cut it rather than copy it again.
        match (tall && (b_is_row_major || !wide), wide) {
            (true, _) => rows = rows.div_ceil(2).next_multiple_of(8),
            (_, true) => columns = columns.div_ceil(2).next_multiple_of(UNIT),
            _ => break,
        }
    }
    [rows, columns]
}

/// All products of a batch; none of the extents but `k` is 0.
fn products<T: Gemm>(cpu: &Cpu, a: &Batch<T>, b: &Batch<T>, [m, k, n]: [usize; 3], to: &mut [T]) {
    let batch = to.len() / (m * n);
    let [rows, columns] = tile_size([m, k, n], b.matrix(0).strides[1] == 1);
    let [down, across] = [m.div_ceil(rows), n.div_ceil(columns)];
    let tiles = batch * down * across;
    let target = Target::new(to, n);
    let run = |number: usize| {
        let (product, tile) = (number / (down * across), number % (down * across));
        let (i, j) = (tile / across * rows, tile % across * columns);
        let tile = Tile { rows: i..m.min(i + rows), columns: j..n.min(j + columns) };
        // SAFETY: each number is run once, and the tiles of different numbers have no element in common.
        #[allow(unsafe_code)]
        unsafe {
            target.multiply(a.matrix(product), b.matrix(product), k, product * m, &tile);
        }
    };
    let work = rows * columns * k.max(1);
    if tiles == 1 || work * tiles < THREADED {
        return (0..tiles).for_each(run);
    }
    let per_item = (PART / work).max(1);
    let items = (0..tiles).step_by(per_item).map(|first| first..tiles.min(first + per_item));
    cpu.threads.each(tiles.div_ceil(per_item), items, |some| some.for_each(run));
}

/// Products of integers, in wrapping `i64`.
fn integers<E: Element>(cpu: &Cpu, a: View, b: View) -> Storage {
    let rank = a.layout.shape.len();
    let [m, k, n] = [a.layout.shape[rank - 2], a.layout.shape[rank - 1], b.layout.shape[rank - 1]];
    let (x, y) = (rows::<E>(cpu, a), rows::<E>(cpu, b));
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
