//! Finite differences: along single elements, and along random directions.

use super::gradcheck::Gradcheck;
use super::graph::{Function, Graph, differentiable, flat};
use super::inputs::{Stream, elements, index_of, plain};
use super::report::{Place, Report, Verdict};
use super::ridders::{SHRINK, ridders};
use crate::tensor::Tensor;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;

/// Compares gradients with slopes.
pub(super) struct Slopes<'a> {
    pub(super) options: &'a Gradcheck,
    pub(super) order: u8,
    pub(super) f: &'a Function<'a>,
    pub(super) inputs: &'a [Tensor],
    pub(super) graph: &'a Graph,
    /// Inputs and their elements that are left out.
    pub(super) skip: &'a HashSet<(usize, usize)>,
    /// Inputs and their elements at which a kink was found.
    pub(super) kinks: HashSet<(usize, usize)>,
    /// The gradients of every output by every input, once they are needed.
    pub(super) jacobian: OnceCell<Vec<Vec<Vec<f64>>>>,
    pub(super) report: &'a mut Report,
}

/// A straight line through an input: x + t·direction.
struct Line<'a> {
    input: usize,
    base: &'a [f64],
    direction: &'a [f64],
    /// Moved elements.
    range: Range<usize>,
    /// Weights of the outputs; without them every output is followed.
    weights: Option<&'a [f64]>,
    /// The length of the direction, by which slopes are divided.
    unit: f64,
}

impl Slopes<'_> {
    /// Every element of the Jacobian by input `k`.
    pub(super) fn whole(&mut self, k: usize) {
        let outputs: Vec<Tensor> = self.graph.outputs.clone();
        let count: usize = outputs.iter().map(Tensor::count).sum();
        let places: Vec<Place> = (outputs.iter().enumerate())
            .flat_map(|(tensor, y)| (0..y.count()).map(move |at| Place { tensor, index: index_of(y.shape(), at) }))
            .collect();
        let row = |j: usize| {
            let one_hot: Vec<f64> = (0..count).map(|other| (other == j) as u8 as f64).collect();
            self.graph.gradients(&one_hot)
        };
        self.jacobian.get_or_init(|| (0..count).map(row).collect());
        let base = elements(&self.inputs[k]);
        let direction: Vec<f64> = base.iter().map(|&x| self.options.scale(x)).collect();
        for i in (0..base.len()).filter(|&i| !self.skip.contains(&(k, i))) {
            let unit = direction[i];
            let line = Line { input: k, base: &base, direction: &direction, range: i..i + 1, weights: None, unit };
            let differences = self.differences(&line);
            for (j, place) in places.iter().enumerate() {
                let analytic = self.jacobian.get().expect("computed above")[j][k][i];
                let judgement = self.judge(&line, &differences, j, analytic);
                self.record(k, i, Some(place), analytic, judgement);
            }
        }
    }

    /// A random projection of the Jacobian by input `k`.
    pub(super) fn projected(&mut self, k: usize, stream: &mut Stream) {
        let weights = stream.weights(self.graph.outputs.iter().map(Tensor::count).sum());
        let gradient = self.graph.gradients(&weights).swap_remove(k);
        let base = elements(&self.inputs[k]);
        let mut direction = stream.weights(base.len());
        for (i, d) in direction.iter_mut().enumerate() {
            *d *= if self.skip.contains(&(k, i)) { 0.0 } else { self.options.scale(base[i]) };
        }
        let line = Line {
            input: k,
            base: &base,
            direction: &direction,
            range: 0..base.len(),
            weights: Some(&weights),
            unit: 1.0,
        };
        self.descend(line, &gradient);
    }

    /// Compares along a line; where it differs, along both halves of it.
    fn descend(&mut self, line: Line, gradient: &[f64]) {
        let Range { start, end } = line.range.clone();
        if line.direction[start..end].iter().all(|&d| d == 0.0) || self.report.counts().failures >= self.options.enough
        {
            return;
        }
        let slope: f64 = line.range.clone().map(|i| gradient[i] * line.direction[i]).sum::<f64>() / line.unit;
        let differences = self.differences(&line);
        let judgement = self.judge(&line, &differences, 0, slope);
        if end - start == 1 || matches!(judgement, Judgement::Agrees) {
            return self.record(line.input, start, None, slope, judgement);
        }
        let middle = (start + end) / 2;
        for range in [start..middle, middle..end] {
            let unit = if range.len() == 1 { line.direction[range.start] } else { 1.0 };
            if unit != 0.0 {
                self.descend(Line { range, unit, ..line }, gradient);
            }
        }
    }

    fn record(&mut self, k: usize, i: usize, output: Option<&Place>, analytic: f64, judgement: Judgement) {
        let index = index_of(self.inputs[k].shape(), i);
        let verdict = match judgement {
            Judgement::Agrees => return self.report.passed("gradcheck", 1),
            Judgement::Kink(left, right) => {
                self.kinks.insert((k, i));
                Verdict::Kink { input: k, index, left, right, analytic }
            }
            Judgement::Differs(numeric) => Verdict::Gradient {
                order: self.order,
                input: k,
                index,
                output: output.cloned(),
                analytic,
                numeric,
                against: "finite differences",
            },
        };
        self.report.found("gradcheck", "", verdict);
    }

    /// The followed outputs on both sides of the line's base, at a distance of `t`.
    fn sides(&self, line: &Line, t: f64) -> [Vec<f64>; 2] {
        [-t, t].map(|t| {
            let mut moved = line.base.to_vec();
            line.range.clone().for_each(|i| moved[i] += t * line.direction[i]);
            let mut inputs = self.inputs.to_vec();
            let x = &inputs[line.input];
            inputs[line.input] = plain(x.device(), &moved, x.shape(), x.dtype());
            line.follow(flat(&differentiable((self.f)(&inputs))))
        })
    }

    fn differences(&self, line: &Line) -> Differences {
        let steps: Vec<f64> = match self.options.ridders {
            true => (0..RUNGS + 11).map(|rung| 0.1 * SHRINK.powi(-(rung as i32))).collect(),
            false => [1.0, 2.0, 10.0].map(|part| self.options.unit_step() / part).into(),
        };
        let sides = vec![OnceCell::new(); steps.len()];
        Differences { here: line.follow(flat(&self.graph.outputs)), steps, sides }
    }

    /// Compares the derivative of the `j`-th followed output along the line with its slopes.
    fn judge(&self, line: &Line, differences: &Differences, j: usize, analytic: f64) -> Judgement {
        let Differences { here, steps, sides } = differences;
        let at = |rung: usize| {
            let outer = sides[rung].get_or_init(|| self.sides(line, steps[rung]));
            Pair::new(here[j], [outer[0][j], outer[1][j]], steps[rung] * line.unit)
        };
        let Derivative { numeric, allowed, rungs } =
            if self.options.ridders { self.extrapolated(at) } else { self.richardson(at) };
        let [at_full, at_half] = [at(rungs[0]), at(rungs[1])];
        let close = (analytic - numeric).abs() <= allowed;
        let noise = at_full.noise();
        // A smooth function bends half as much over half the distance, one with a kink here as much as before.
        let suspect = at_full.bend().abs() > 1e4 * noise && at_half.bend().abs() > 0.75 * at_full.bend().abs();
        if close && !suspect {
            return Judgement::Agrees;
        }
        let at_tenth = at(rungs[2]);
        let excess = (at_tenth.bend() - at_full.bend() * (at_tenth.distance / at_full.distance)).abs();
        let kinked = excess > 0.05 * at_full.bend().abs() + 200.0 * noise;
        match at_full.hull(at_tenth) {
            Some((low, high)) if kinked => {
                let margin = 1e-5 * low.abs().max(high.abs()).max(1.0);
                if analytic >= low - margin && analytic <= high + margin {
                    let side = |t: f64, f: f64| if jumps(f, t) { t.signum() * f64::INFINITY } else { t };
                    Judgement::Kink(side(at_tenth.left, at_full.left), side(at_tenth.right, at_full.right))
                } else {
                    Judgement::Differs(if analytic < low { low } else { high })
                }
            }
            _ if close => Judgement::Agrees,
            _ => Judgement::Differs(numeric),
        }
    }

    /// From one step and its half (Richardson 1911).
    fn richardson(&self, at: impl Fn(usize) -> Pair) -> Derivative {
        let numeric = (4.0 * at(1).mean() - at(0).mean()) / 3.0;
        Derivative { numeric, allowed: self.options.tolerance(numeric, at(0).size), rungs: [0, 1, 2] }
    }

    /// By Ridders' method. What is known of the error takes the place of the absolute tolerance where it is smaller.
    fn extrapolated(&self, at: impl Fn(usize) -> Pair) -> Derivative {
        // A function that bends more over less distance is not resolved yet: it is flat further away, or jumps.
        let central = |rung: usize| {
            let (far, near) = (at(rung), at(rung + 1));
            let grows = near.bend().abs() > 1.2 * far.bend().abs() + 100.0 * near.noise();
            if grows { f64::NAN } else { far.mean() }
        };
        let tolerance = |slope: f64, rung: usize| self.options.tolerance(slope, at(rung).size);
        let found = ridders(RUNGS, central, |best| best.error <= tolerance(best.slope, best.rung));
        let known = self.options.relative(found.slope) + 16.0 * (found.error + at(found.rung).noise());
        let allowed = tolerance(found.slope, found.rung).min(known);
        // Over a quarter of the step a smooth function bends hardly more than its second derivative tells.
        Derivative { numeric: found.slope, allowed, rungs: [4, 6, 11].map(|more| found.rung + more) }
    }
}

/// Steps of Ridders' method, from 0.1 to 4·10⁻⁹ of an element's scale.
const RUNGS: usize = 50;

impl Line<'_> {
    /// The outputs, or their weighted sum.
    fn follow(&self, outputs: Vec<f64>) -> Vec<f64> {
        match self.weights {
            None => outputs,
            Some(weights) => vec![outputs.iter().zip(weights).map(|(y, w)| y * w).sum()],
        }
    }
}

/// Outputs around a point.
struct Differences {
    here: Vec<f64>,
    /// Distances, each shorter than the last.
    steps: Vec<f64>,
    /// The outputs left and right at each distance, once they are needed.
    sides: Vec<OnceCell<[Vec<f64>; 2]>>,
}

/// What finite differences say.
struct Derivative {
    numeric: f64,
    /// How far a right gradient may be from it.
    allowed: f64,
    /// Which distances show a kink: one, about half of it and about a tenth.
    rungs: [usize; 3],
}

enum Judgement {
    Agrees,
    /// Slopes on the left and on the right.
    Kink(f64, f64),
    /// The slope.
    Differs(f64),
}

/// One-sided slopes.
#[derive(Clone, Copy)]
struct Pair {
    left: f64,
    right: f64,
    /// The distance they are taken over.
    distance: f64,
    /// The largest magnitude of the values they are made of.
    size: f64,
}

impl Pair {
    fn new(here: f64, [left, right]: [f64; 2], distance: f64) -> Pair {
        let size = here.abs().max(left.abs()).max(right.abs());
        Pair { left: (here - left) / distance, right: (right - here) / distance, distance, size }
    }

    /// The error of a slope by rounding.
    fn noise(self) -> f64 {
        self.size.max(f64::MIN_POSITIVE) * f64::EPSILON / self.distance.abs()
    }

    fn mean(self) -> f64 {
        (self.left + self.right) / 2.0
    }

    fn bend(self) -> f64 {
        self.right - self.left
    }

    /// The interval of slopes at both distances, without a side on which the function jumps.
    fn hull(self, near: Pair) -> Option<(f64, f64)> {
        let sides = [(self.left, near.left), (self.right, near.right)];
        let slopes = sides.into_iter().filter(|&(far, near)| !jumps(far, near)).flat_map(|(far, near)| [far, near]);
        slopes.fold(None, |hull: Option<(f64, f64)>, s| {
            let (low, high) = hull.unwrap_or((s, s));
            Some((low.min(s), high.max(s)))
        })
    }
}

/// Whether a slope that is taken over a tenth of the distance grows as for a jump.
fn jumps(far: f64, near: f64) -> bool {
    near.abs() > 9.5 * far.abs() && near.abs() > 1.0
}
