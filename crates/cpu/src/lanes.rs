//! Loops of folds, as macros for the sake of inlining (see [`float`](crate::float)).

/// Elements that are combined side by side.
pub const LANES: usize = 32;

/// Combines each row: [`LANES`] running results side by side, then those by halves and in the wide type. Short rows
/// are combined one element after the other, many rows overlapping.
macro_rules! fold_rows {
    ($rows:ident, $len:ident, $start:expr, |$x:ident, $y:ident| $join:expr, $fold:ident) => {{
        const LANES: usize = crate::lanes::LANES;
        if $len <= LANES / 2 {
            for (row, to) in $rows {
                let mut all = $start;
                for &$y in row {
                    let $x = all;
                    all = $join;
                }
                *to = all.widen();
            }
            return;
        }
        for (row, to) in $rows {
            let mut lanes = [$start; LANES];
            let (chunks, rest) = row.as_chunks::<LANES>();
            for chunk in chunks {
                fold_into!(lanes, chunk, |$x, $y| $join);
            }
            fold_into!(lanes, rest, |$x, $y| $join);
            let mut left = LANES;
            while left > 4 {
                left /= 2;
                let (low, high) = lanes.split_at_mut(left);
                let high = &high[..left];
                fold_into!(low, high, |$x, $y| $join);
            }
            let wide = lanes[1..left].iter().map(|x| x.widen());
            *to = wide.fold(lanes[0].widen(), |a, b| a.join(b, $fold));
        }
    }};
}
pub(crate) use fold_rows;

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
