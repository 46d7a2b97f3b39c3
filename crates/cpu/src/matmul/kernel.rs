//! The product of two matrices on one thread: strips of the right factor in the first-level cache, a few rows of the product at
//! a time in registers (K. Goto, R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008).

use super::Matrix;
use crate::Cpu;
use crate::math::{Fma, Kernel, Real, dispatch};
use cotangent_core::Element;
use std::array::from_fn;
use std::ops::Range;

/// Steps along the inner axis before sums leave the registers; so much of a strip stays in the first-level cache.
const DEPTH: usize = 256;
/// Rows of the left factor that, `DEPTH` long, stay in the second-level cache.
const HEIGHT: usize = 192;
/// Rows up to which a strip of the right factor is read where it is.
const FEW: usize = 16;
/// Columns from which on copying the left factor pays.
const MANY: usize = 32;
/// Rows of the left factor whose distance, in bytes, is a multiple of this fall on the same places of a cache.
const CLASH: usize = 1024;
/// What a copy has between rows, or columns, so that they do not.
const GAP: usize = 16;

/// An element type that has a kernel.
pub trait Factor: Element + Real {
    /// Most columns of a strip.
    const COLUMNS: usize;

    /// Calls [`Product::run_tiles`] with the extents whose sums fit into registers.
    fn run<F: Fma>(product: Product<Self>);
}

/// The columns fill two vectors of 16, 32 and 64 bytes. Six rows of them leave a few of 16 registers to the factors, twelve
/// rows a few of 32.
macro_rules! factor {
    ($T:ident: $plain:literal $fused:literal $wide:literal) => {
        impl Factor for $T {
            const COLUMNS: usize = $wide;

            #[inline(always)]
            fn run<F: Fma>(product: Product<$T>) {
                if F::WIDE {
                    product.run_tiles::<F, 12, $wide, { $wide / 2 }>()
                } else if F::FUSED {
                    product.run_tiles::<F, 6, $fused, { $fused / 2 }>()
                } else {
                    product.run_tiles::<F, 6, $plain, { $plain / 2 }>()
                }
            }
        }
    };
}
factor!(f32: 8 16 32);
factor!(f64: 4 8 16);

/// Writes `a · b` to `m` rows of `n` elements, `row` apart.
///
/// # Safety
/// Those elements lie in memory that this thread may write, and no other thread reads or writes them meanwhile.
#[allow(unsafe_code)]
pub unsafe fn multiply<T: Factor>(cpu: &Cpu, size: [usize; 3], a: Matrix<T>, b: Matrix<T>, to: *mut T, row: usize) {
    // SAFETY: promised by the caller.
    unsafe { multiply_by(cpu, size, a, b, to, row, |product| dispatch(product)) }
}

/// [`multiply`] where `run` runs the product.
///
/// # Safety
/// As for [`multiply`].
#[allow(unsafe_code)]
unsafe fn multiply_by<T: Factor>(
    cpu: &Cpu,
    size: [usize; 3],
    a: Matrix<T>,
    b: Matrix<T>,
    to: *mut T,
    row: usize,
    run: impl FnOnce(Product<T>),
) {
    let [m, k, n] = size;
    assert!(m > 0 && n > 0 && (k == 0 || (a.fits(m, k) && b.fits(k, n))), "matmul: the factors lie in their memory");
    let mut strip = cpu.buffer(T::DTYPE, k.min(DEPTH) * T::COLUMNS);
    let mut block = cpu.buffer(T::DTYPE, if copies_left(&a, n) { (DEPTH + GAP) * (HEIGHT + GAP) } else { 0 });
    run(Product { size, a, b, to, row, strip: strip.slice_mut(), block: block.slice_mut() });
}

/// Whether a left factor is copied rather than read where it is: that pays for many columns, unless its rows are contiguous.
pub fn copies_left<T: Factor>(a: &Matrix<T>, columns: usize) -> bool {
    let same_place = |stride: isize| stride != 0 && (stride * size_of::<T>() as isize) % CLASH as isize == 0;
    columns >= MANY && (a.strides[1] != 1 || same_place(a.strides[0]))
}

/// What [`multiply`] is asked for, and memory for copies. Only [`multiply_by`] makes one.
pub struct Product<'a, T> {
    size: [usize; 3],
    a: Matrix<'a, T>,
    b: Matrix<'a, T>,
    to: *mut T,
    row: usize,
    strip: &'a mut [T],
    /// Empty if the left factor is read where it is.
    block: &'a mut [T],
}

impl<T: Factor> Kernel for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<F: Fma>(self) {
        T::run::<F>(self)
    }
}

impl<T: Factor> Product<'_, T> {
    /// The product in tiles of `M` rows and `N` columns, or half as many columns, `H`, where no more are left.
    #[inline(always)]
    fn run_tiles<F: Fma, const M: usize, const N: usize, const H: usize>(self) {
        let [m, k, n] = self.size;
        for inner in pieces(k, DEPTH) {
            for rows in pieces(m, HEIGHT) {
                let a = self.a.skip(rows.start, inner.start);
                let a = if self.block.is_empty() { a } else { a.copy(rows.len(), inner.len(), self.block) };
                for columns in pieces(n, N) {
                    let b = self.b.skip(inner.start, columns.start);
                    let in_place = rows.len() <= FEW && columns.len() == N && b.strides[1] == 1;
                    let b = if in_place { b } else { b.strip::<N>(inner.len(), columns.len(), self.strip) };
                    for top in rows.clone().step_by(M) {
                        let tile = Tile {
                            depth: inner.len(),
                            a: a.skip(top - rows.start, 0),
                            b,
                            rows: M.min(rows.end - top),
                            columns: columns.len(),
                            to: self.to.wrapping_add(top * self.row + columns.start),
                            row: self.row,
                            add: inner.start > 0,
                        };
                        // SAFETY: `a` has `rows` rows and `b` has N columns, both `depth` long: `multiply_by` checked the factors, and
                        // copies have whole rows. The tile is a part of the product, which is this thread's.
                        #[allow(unsafe_code)]
                        unsafe {
                            if columns.len() > H { tile.run::<F, M, N>() } else { tile.run::<F, M, H>() }
                        }
                    }
                }
            }
        }
    }
}

/// `0..n` in pieces, the last of which may be smaller; one piece if `n` is 0.
#[inline(always)]
fn pieces(n: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n.max(1)).step_by(size).map(move |start| start..n.min(start + size))
}

impl<'a, T: Factor> Matrix<'a, T> {
    /// A copy of the first rows and columns, in the same order.
    #[inline(always)]
    fn copy<'b>(self, rows: usize, columns: usize, to: &'b mut [T]) -> Matrix<'b, T> {
        let by_columns = self.strides[0].abs() < self.strides[1].abs();
        let [lines, len] = if by_columns { [columns, rows] } else { [rows, columns] };
        let pitch = if by_columns { HEIGHT } else { DEPTH } + GAP;
        for (line, to) in to.chunks_mut(pitch).take(lines).enumerate() {
            let from = if by_columns { self.skip(0, line) } else { self.skip(line, 0) };
            let step = from.strides[if by_columns { 0 } else { 1 }];
            let to = &mut to[..len];
            if step == 1 {
                to.copy_from_slice(from.line([0, 0], len));
            } else {
                to.iter_mut().enumerate().for_each(|(k, to)| *to = from.data[(from.at + k as isize * step) as usize]);
            }
        }
        let strides = if by_columns { [1, pitch as isize] } else { [pitch as isize, 1] };
        Matrix { data: to, at: 0, strides }
    }

    /// A copy of the first rows and columns, filled up to `N` columns with zeros.
    #[inline(always)]
    fn strip<'b, const N: usize>(self, rows: usize, columns: usize, to: &'b mut [T]) -> Matrix<'b, T> {
        let (lines, _) = to[..rows * N].as_chunks_mut::<N>();
        match self.strides {
            [_, 1] if columns == N => {
                for (row, to) in lines.iter_mut().enumerate() {
                    to.copy_from_slice(self.line([row, 0], N));
                }
            }
            [1, _] if columns == N => {
                let from: [&[T]; N] = from_fn(|column| self.line([0, column], rows));
                for (row, to) in lines.iter_mut().enumerate() {
                    *to = from_fn(|column| from[column][row]);
                }
            }
            _ => {
                for (row, to) in lines.iter_mut().enumerate() {
                    *to = from_fn(|column| if column < columns { self.get(row, column) } else { T::zeroed() });
                }
            }
        }
        Matrix { data: to, at: 0, strides: [N as isize, 1] }
    }
}

/// A part of the product whose sums fit into registers.
struct Tile<'a, T> {
    depth: usize,
    a: Matrix<'a, T>,
    b: Matrix<'a, T>,
    rows: usize,
    columns: usize,
    to: *mut T,
    row: usize,
    /// Whether the sums are added to what is there.
    add: bool,
}

impl<T: Factor> Tile<'_, T> {
    /// At most `M` rows and `N` columns.
    ///
    /// # Safety
    /// `a` has `rows` rows of `depth` elements, at least one row, and `b` has `depth` rows of `N` contiguous elements. The
    /// `rows` times `columns` elements from `to` on may be written.
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run<F: Fma, const M: usize, const N: usize>(self) {
        let along = self.a.strides[1];
        // Where rows are missing the last one is multiplied again: all tiles have the same code.
        let a: [*const T; M] = from_fn(|i| self.a.pointer_to_row(i.min(self.rows - 1)));
        let b = self.b.pointer_to_row(0);
        let mut sums = [[T::zeroed(); N]; M];
        for p in 0..self.depth as isize {
            // SAFETY: promised for each `p` below `depth`; the address of an element is a multiple of its alignment.
            let b: [T; N] = unsafe { *b.offset(p * self.b.strides[0]).cast() };
            for i in 0..M {
                // SAFETY: promised for each row, and the last one stands for those that are missing.
                let a = unsafe { *a[i].offset(p * along) };
                for j in 0..N {
                    sums[i][j] = a.fma::<F>(b[j], sums[i][j]);
                }
            }
        }
        if self.columns == N {
            for (i, sums) in sums.iter().enumerate() {
                if i < self.rows {
                    // SAFETY: N elements of a row of the product.
                    let to: &mut [T; N] = unsafe { &mut *self.to.add(i * self.row).cast() };
                    let old = if self.add { *to } else { [T::zeroed(); N] };
                    *to = from_fn(|j| old[j] + sums[j]);
                }
            }
        } else {
            // A copy, so that the sums above need not be in memory, which alone can be indexed.
            let sums = sums;
            for (i, sums) in sums.iter().enumerate().take(self.rows) {
                for (j, &sum) in sums.iter().enumerate().take(self.columns) {
                    // SAFETY: an element of the product.
                    let to = unsafe { &mut *self.to.add(i * self.row + j) };
                    *to = if self.add { *to + sum } else { sum };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::{Fused, Separate, Wide};

    /// Small whole numbers, whose products and sums are exact.
    fn matrix<T: Factor>(count: usize, seed: usize) -> Vec<T> {
        (0..count).map(|k| T::from_i64(((k * 5 + k / 7 + seed) % 7) as i64 - 3)).collect()
    }

    /// Products in the arrangement of rows and columns for `F`, which need not be that of the processor at hand.
    fn check<T: Factor, F: Fma>() {
        let cpu = Cpu::with_threads(1);
        for [m, k, n] in [[13, 300, 33], [1, 3, 70], [25, 7, 1], [12, 0, 5], [30, 9, 49]] {
            for transposed in [false, true] {
                let (left, right) = (matrix::<T>(m * k, 1), matrix::<T>(k * n, 2));
                let strides = if transposed { [1, m as isize] } else { [k as isize, 1] };
                let a = Matrix { data: &left, at: 0, strides };
                let b = Matrix { data: &right, at: 0, strides: [n as isize, 1] };
                let mut to = vec![T::from_i64(100); m * n];
                // SAFETY: the product fills the vector.
                #[allow(unsafe_code)]
                unsafe {
                    multiply_by(&cpu, [m, k, n], a, b, to.as_mut_ptr(), n, |product| T::run::<F>(product));
                }
                let sum = |i: usize, j: usize| (0..k).map(|l| a.get(i, l).to_i64() * b.get(l, j).to_i64()).sum::<i64>();
                for (at, x) in to.iter().enumerate() {
                    assert_eq!(x.to_i64(), sum(at / n, at % n), "{m}x{k}x{n}, {at}");
                }
            }
        }
    }

    #[test]
    fn every_arrangement_computes_the_product() {
        check::<f32, Separate>();
        check::<f32, Fused>();
        check::<f32, Wide>();
        check::<f64, Separate>();
        check::<f64, Fused>();
        check::<f64, Wide>();
    }
}
