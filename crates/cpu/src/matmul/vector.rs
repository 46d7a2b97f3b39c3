//! The product of a matrix and a vector: memory is what it waits for, so the matrix is read once and in its own order.

use super::Matrix;
use super::kernel::Factor;
use crate::math::{Fma, Kernel, dispatch};
use std::array::from_fn;

/// Sums that are kept apart along a row, so that one need not wait for the other.
const LANES: usize = 32;
/// Columns that are added in one pass over the result.
const COLUMNS: usize = 4;

/// Writes `matrix · vector`, where `vector` has one column. `false` if the matrix has neither contiguous rows nor contiguous
/// columns; then nothing is written.
pub fn multiply<T: Factor>(matrix: Matrix<T>, vector: Matrix<T>, len: usize, to: &mut [T]) -> bool {
    let vector: Vec<T> = (0..len).map(|k| vector.get(k, 0)).collect();
    match matrix.strides {
        [_, 1] => dispatch(Rows { matrix, vector: &vector, to }),
        [1, _] => dispatch(Columns { matrix, vector: &vector, to }),
        _ => return false,
    }
    true
}

/// Each row times the vector.
struct Rows<'a, T> {
    matrix: Matrix<'a, T>,
    vector: &'a [T],
    to: &'a mut [T],
}

impl<T: Factor> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<F: Fma>(self) {
        let Rows { matrix, vector, to } = self;
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

/// The columns, each times an element of the vector, added up.
struct Columns<'a, T> {
    matrix: Matrix<'a, T>,
    vector: &'a [T],
    to: &'a mut [T],
}

impl<T: Factor> Kernel for Columns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<F: Fma>(self) {
        let Columns { matrix, vector, to } = self;
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
