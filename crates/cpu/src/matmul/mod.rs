//! Matrix products.

mod kernel;
mod vector;

use crate::Cpu;
use crate::along::rows;
use cotangent_core::backend::{Storage, View};
use cotangent_core::host::{HostBuffer, elements};
use cotangent_core::{Compute, DType, Element, Layout, with_element};
use kernel::Factor;
use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

/// Multiplications from which a product is divided among threads.
const THREADED: usize = 1 << 20;
/// Multiplications of a part of a product, unless that would be a small tile. Parts depend on shapes and strides only.
const PART: usize = 1 << 21;
/// Tiles are not cut further below so many rows and columns.
const ROWS: usize = 48;
const COLUMNS: usize = 48;
/// Rows that the kernel takes at a time, or a multiple of them, and columns.
const ROW_UNIT: usize = 12;
const COLUMN_UNIT: usize = 16;
/// About the most tiles of one product. What is copied for each is less, the larger they are.
const TILES: usize = 32;
/// So many are enough for a few threads where more would copy more.
const ENOUGH: usize = 8;

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

impl<'a, T: Copy> Matrix<'a, T> {
    /// The element in a row and a column.
    #[inline(always)]
    fn get(&self, row: usize, column: usize) -> T {
        self.data[self.skip(row, column).at as usize]
    }

    /// Elements from a row and column on that are contiguous, along or down the matrix.
    #[inline(always)]
    fn line(&self, [row, column]: [usize; 2], len: usize) -> &'a [T] {
        if len == 0 { &[] } else { &self.data[self.skip(row, column).at as usize..][..len] }
    }

    /// Columns as rows.
    fn transposed(self) -> Self {
        Matrix { strides: [self.strides[1], self.strides[0]], ..self }
    }

    /// Whether the elements of a `rows`×`columns` matrix lie within the slice.
    fn fits(&self, rows: usize, columns: usize) -> bool {
        let reach = [rows, columns].into_iter().zip(self.strides).map(|(n, s)| (n as isize - 1) * s);
        let (low, high) = reach.fold((self.at, self.at), |(low, high), r| (low + r.min(0), high + r.max(0)));
        low >= 0 && (high as usize) < self.data.len()
    }

    /// Where a row begins.
    #[inline(always)]
    fn pointer_to_row(&self, row: usize) -> *const T {
        self.data.as_ptr().wrapping_offset(self.at + row as isize * self.strides[0])
    }

    /// The matrix without its first rows and columns.
    #[inline(always)]
    fn skip(&self, rows: usize, columns: usize) -> Self {
        Matrix { at: self.at + rows as isize * self.strides[0] + columns as isize * self.strides[1], ..*self }
    }
}

/// Row-major matrices, one after the other, that several threads write to, each to tiles of its own.
struct Target<'a, T> {
    data: *mut T,
    len: usize,
    /// Rows and columns of a matrix.
    rows: usize,
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

impl<T: Factor> Target<'_, T> {
    fn new(data: &mut [T], [rows, columns]: [usize; 2]) -> Target<'_, T> {
        Target { len: data.len(), data: data.as_mut_ptr(), rows, columns, borrow: PhantomData }
    }

    /// Writes `a · b` to the rows from `first + tile.rows.start` on.
    ///
    /// # Safety
    /// No other thread writes to that tile of those rows meanwhile.
    #[allow(unsafe_code)]
    unsafe fn multiply(&self, cpu: &Cpu, a: Matrix<T>, b: Matrix<T>, k: usize, first: usize, tile: &Tile) {
        let [m, n] = [tile.rows.len(), tile.columns.len()];
        let (a, b) = (a.skip(tile.rows.start, 0), b.skip(0, tile.columns.start));
        let at = (first + tile.rows.start) * self.columns + tile.columns.start;
        assert!(m > 0 && n > 0 && at + (m - 1) * self.columns + n <= self.len, "matmul: a tile lies in the product");
        // SAFETY: every element of the tile, at `at + i·columns + j`, lies within the target, which borrows it mutably: the
        // assertion checked it. No other thread writes to the tile (promised). If the matrix has one row or one column,
        // the tile's elements are contiguous.
        unsafe {
            let to = self.data.add(at);
            if self.rows == 1 || self.columns == 1 {
                let (matrix, vector) = if self.rows == 1 { (b.transposed(), a.transposed()) } else { (a, b) };
                if vector::multiply(matrix, vector, k, std::slice::from_raw_parts_mut(to, m * n)) {
                    return;
                }
            }
            kernel::multiply(cpu, [m, k, n], a, b, to, self.columns)
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

fn floats<T: Factor>(cpu: &Cpu, a: Batch<T>, b: Batch<T>, dtype: DType) -> Storage {
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
fn tile_size([m, k, n]: [usize; 3], copies_left: bool) -> [usize; 2] {
    let [mut rows, mut columns] = [m, n];
    let part = PART.max(m * n * k / TILES);
    loop {
        // Each row of tiles copies the right factor again. If the left one is copied, too, each column of tiles does that
        // again, which is more: rows are cut first.
        let enough = copies_left && m.div_ceil(rows) * n.div_ceil(columns) >= ENOUGH;
        if rows * columns * k <= if enough { 2 * part } else { part } {
            break;
        }
        let [wide, tall] = [columns >= 2 * COLUMNS, rows >= 2 * ROWS];
        if wide && !(copies_left && (tall || enough)) {
            columns = columns.div_ceil(2).next_multiple_of(COLUMN_UNIT);
        } else if tall {
            rows = rows.div_ceil(2).next_multiple_of(ROW_UNIT);
        } else {
            break;
        }
    }
    [rows, columns]
}

/// All products of a batch; none of the extents but `k` is 0.
fn products<T: Factor>(cpu: &Cpu, a: &Batch<T>, b: &Batch<T>, [m, k, n]: [usize; 3], to: &mut [T]) {
    let batch = to.len() / (m * n);
    let [rows, columns] = tile_size([m, k, n], kernel::copies_left(&a.matrix(0), n));
    let [down, across] = [m.div_ceil(rows), n.div_ceil(columns)];
    let tiles = batch * down * across;
    let target = Target::new(to, [m, n]);
    let run = |number: usize| {
        let (product, tile) = (number / (down * across), number % (down * across));
        let (i, j) = (tile / across * rows, tile % across * columns);
        let tile = Tile { rows: i..m.min(i + rows), columns: j..n.min(j + columns) };
        // SAFETY: each number is run once, and the tiles of different numbers have no element in common.
        #[allow(unsafe_code)]
        unsafe {
            target.multiply(cpu, a.matrix(product), b.matrix(product), k, product * m, &tile);
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
