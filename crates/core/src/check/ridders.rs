//! Derivatives of functions whose scale is not known, extrapolated from many steps.

/// The factor by which each step is shorter than the one before.
pub(super) const SHRINK: f64 = 1.4;

/// Extrapolations of higher order gain nothing in double precision.
const COLUMNS: usize = 10;

/// A derivative, and how far it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    /// NaN if there is none.
    pub(super) slope: f64,
    /// How far it is from what it was extrapolated from.
    pub(super) error: f64,
    /// The shortest step that went into it.
    pub(super) rung: usize,
}

/// Ridders' method (Ridders 1982): `central` gives the central difference over the `rung`-th step, each shorter than the
/// last by [`SHRINK`]; Neville's tableau extrapolates them to a step of 0, and that entry is returned which differs
/// least from the two it was made of. It ends after `rungs` steps, or when the error has doubled and what there is
/// is `enough`. A difference that is not finite, as outside of the function's domain, makes the tableau start anew.
pub(super) fn ridders(rungs: usize, central: impl Fn(usize) -> f64, enough: impl Fn(&Estimate) -> bool) -> Estimate {
    let mut best = Estimate { slope: f64::NAN, error: f64::INFINITY, rung: 0 };
    let mut above: Vec<f64> = vec![];
    for rung in 0..rungs {
        let mut row = vec![central(rung)];
        if !row[0].is_finite() {
            above.clear();
            continue;
        }
        for (k, &old) in above.iter().enumerate().take(COLUMNS - 1) {
            let weight = SHRINK.powi(2 * (k as i32 + 1));
            let slope = (row[k] * weight - old) / (weight - 1.0);
            let error = (slope - row[k]).abs().max((slope - old).abs());
            if error <= best.error {
                best = Estimate { slope, error, rung };
            }
            row.push(slope);
        }
        let moved = above.last().map_or(0.0, |old| (row[row.len() - 1] - old).abs());
        if moved >= 2.0 * best.error && enough(&best) {
            break;
        }
        above = row;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The derivative of `f` at `x`, from the step 0.1 on.
    fn derivative(f: impl Fn(f64) -> f64, x: f64) -> Estimate {
        let central = |rung: usize| {
            let h = 0.1 * SHRINK.powi(-(rung as i32));
            (f(x + h) - f(x - h)) / (2.0 * h)
        };
        ridders(50, central, |best| best.error <= 1e-7 * best.slope.abs())
    }

    #[test]
    fn finds_the_scale_of_the_function() {
        let near = |found: Estimate, expected: f64| {
            let error = (found.slope - expected).abs();
            assert!(error <= 1e-8 * expected.abs() && error <= 16.0 * found.error, "{found:?}, expected {expected}");
        };
        near(derivative(|x| (1e5 * x).sin(), 0.3), 1e5 * 3e4f64.cos());
        near(derivative(|x| (50.0 * x).exp(), 1.0), 50.0 * 50f64.exp());
        near(derivative(f64::ln, 1e-6), 1e6);
        near(derivative(|x| x.powi(5), 2.0), 80.0);
    }

    #[test]
    fn stops_early_where_the_function_is_smooth() {
        let found = derivative(f64::exp, 0.5);
        assert!(found.rung < 10 && (found.slope - 0.5f64.exp()).abs() < 1e-12, "{found:?}");
        let linear = derivative(|x| 3.0 * x, 0.0);
        assert!(linear.rung < 10 && (linear.slope - 3.0).abs() < 1e-14, "{linear:?}");
    }

    #[test]
    fn without_finite_values_there_is_no_slope() {
        assert!(derivative(f64::ln, -1.0).slope.is_nan());
    }
}
