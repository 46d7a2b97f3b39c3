//! The product of a matrix and a vector: memory is what it waits for, so the matrix is read once and in its own order.

use super::Matrix;
use super::kernel::Factor;
use crate::lanes::LANES;
use crate::math::{Fma, Kernel, dispatch};
use std::array::from_fn;

/// Columns that are added in one pass over the result.
const COLUMNS: usize = 4;

/// Writes `matrix · vector`, where `vector` has one column. `false` if the matrix has neither contiguous rows nor contiguous
/// columns; then nothing is written.
pub fn multiply<T: Factor>(matrix: Matrix<T>, vector: Matrix<T>, len: usize, to: &mut [T]) -> bool {
    if !matrix.strides.contains(&1) {
        return false;
    }
    let copy: Vec<T>;
    let vector = if vector.strides[0] == 1 {
        vector.line([0, 0], len)
    } else {
        copy = (0..len).map(|k| vector.get(k, 0)).collect();
        &copy
    };
    dispatch(Product { matrix, vector, to });
    true
}

/// What [`multiply`] is asked for.
struct Product<'a, T> {
    matrix: Matrix<'a, T>,
    vector: &'a [T],
    to: &'a mut [T],
}

impl<T: Factor> Kernel for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<F: Fma>(self) {
        if self.matrix.strides[1] == 1 { self.by_rows::<F>() } else { self.by_columns::<F>() }
    }
}

impl<T: Factor> Product<'_, T> {
    /// Each row times the vector, in sums that are kept apart so that one need not wait for the other.
    #[inline(always)]
    fn by_rows<F: Fma>(self) {
        let Product { matrix, vector, to } = self;
        let (xs, rest) = vector.as_chunks::<LANES>();
        for (row, to) in to.iter_mut().enumerate() {
            let (ys, others) = matrix.line([row, 0], vector.len()).as_chunks::<LANES>();
            let mut sums = [T::zeroed(); LANES];
            for (x, y) in xs.iter().zip(ys) {
                for lane in 0..LANES {
                    sums[lane] = x[lane].fma::<F>(y[lane], sums[lane]);
                }
            }
            *to = rest.iter().zip(others).fold(total(sums), |sum, (&x, &y)| x.fma::<F>(y, sum));
        }
    }

    /// The columns, each times an element of the vector, added up.
    #[inline(always)]
    fn by_columns<F: Fma>(self) {
        let Product { matrix, vector, to } = self;
        to.fill(T::zeroed());
        let len = to.len();
        let (fours, rest) = vector.as_chunks::<COLUMNS>();
        for (k, x) in fours.iter().enumerate().map(|(k, x)| (k * COLUMNS, x)) {
            let columns: [&[T]; COLUMNS] = from_fn(|c| matrix.line([0, k + c], len));
            for (i, to) in to.iter_mut().enumerate() {
                for c in 0..COLUMNS {
                    *to = x[c].fma::<F>(columns[c][i], *to);
                }
            }
        }
        for (k, &x) in rest.iter().enumerate() {
            for (to, &y) in to.iter_mut().zip(matrix.line([0, fours.len() * COLUMNS + k], len)) {
                *to = x.fma::<F>(y, *to);
            }
        }
    }
}

/// The sum, by halves. Not inlined: that would have the loop above run in the narrow vectors of the last halves.
#[inline(never)]
fn total<T: Factor>(mut sums: [T; LANES]) -> T {
    let mut left = LANES;
    while left > 1 {
        left /= 2;
        let (low, high) = sums.split_at_mut(left);
        low.iter_mut().zip(&high[..left]).for_each(|(low, &high)| *low = *low + high);
    }
    sums[0]
}
