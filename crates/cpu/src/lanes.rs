//! Loops of folds, as macros for the sake of inlining (see [`float`](crate::float)).

/// Elements that are combined side by side.
pub const LANES: usize = 32;

/// Combines a row: [`LANES`] running results side by side, then those by halves and in the wide type.
macro_rules! fold_row {
    ($row:ident, $start:expr, |$x:ident, $y:ident| $join:expr, $fold:ident) => {{
        const LANES: usize = crate::lanes::LANES;
        let mut lanes = [$start; LANES];
        let (chunks, rest) = $row.as_chunks::<LANES>();
        for chunk in chunks {
            for ($x, &$y) in lanes.iter_mut().zip(chunk) {
                let new = { let $x = *$x; $join };
                *$x = new;
            }
        }
        for ($x, &$y) in lanes.iter_mut().zip(rest) {
            let new = { let $x = *$x; $join };
            *$x = new;
        }
        let mut left = if chunks.is_empty() { rest.len().next_power_of_two() } else { LANES };
        while left > 4 {
            left /= 2;
            let (low, high) = lanes.split_at_mut(left);
            for ($x, &$y) in low.iter_mut().zip(&high[..left]) {
                let new = { let $x = *$x; $join };
                *$x = new;
            }
        }
        let wide = lanes[1..left].iter().map(|x| x.widen());
        wide.fold(lanes[0].widen(), |a, b| crate::number::Wide::join(a, b, $fold))
    }};
    ($row:expr, $fold:ident) => {
        $row.fold(T::start($fold).widen(), |a, b| crate::number::Wide::join(a, b, $fold))
    };
}
pub(crate) use fold_row;

/// Combines a row into running results.
macro_rules! fold_into {
    ($acc:ident, $row:ident, |$x:ident, $y:ident| $join:expr) => {
        for (acc, &$y) in $acc.iter_mut().zip($row) {
            let $x = *acc;
            *acc = $join;
        }
    };
}
pub(crate) use fold_into;
