//! Random numbers of consecutive positions, many at a time.

use crate::float::Float;
use crate::math::{self, Fma, Kernel, Real, dispatch};
use crate::number::Number;
use cotangent_core::expr::Draw;
use cotangent_core::rng::{uniform, uniform53, words_lanes};

/// Groups of positions that are computed side by side; so many that loops over them are not unrolled before they are
/// vectorized.
const GROUPS: usize = 64;

/// Fills a slice with the draws of the positions from `start` on.
pub fn fill<T: Float>(draw: Draw, ticket: [u32; 4], start: u64, to: &mut [T]) {
    dispatch(Fill { draw, ticket, start, to })
}

struct Fill<'a, T> {
    draw: Draw,
    ticket: [u32; 4],
    start: u64,
    to: &'a mut [T],
}

impl<T: Float> Kernel for Fill<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<F: Fma>(self) {
        let Fill { draw, ticket, start, to } = self;
        let per_group = if draw == Draw::Uniform { 4 } else { 2 };
        // The first group may have begun before the slice, and the last may end behind it.
        let mut skip = (start % per_group as u64) as usize;
        let mut group = start / per_group as u64;
        let mut words = [[0; GROUPS]; 4];
        let mut left = to;
        while !left.is_empty() {
            let count = usize::min(left.len(), per_group * GROUPS - skip);
            let (now, later) = left.split_at_mut(count);
            words_lanes(ticket, group, &mut words);
            if count == per_group * GROUPS {
                convert::<F, T>(draw, &words, now);
            } else {
                let mut numbers = [<T as Number>::of(0.0); 4 * GROUPS];
                convert::<F, T>(draw, &words, &mut numbers[..per_group * GROUPS]);
                now.copy_from_slice(&numbers[skip..skip + count]);
            }
            (left, skip, group) = (later, 0, group + GROUPS as u64);
        }
    }
}

#[inline(always)]
fn convert<F: Fma, T: Float>(draw: Draw, words: &[[u32; GROUPS]; 4], to: &mut [T]) {
    match draw {
        Draw::Uniform => uniforms(words, to),
        Draw::Uniform53 => uniforms53(words, to),
        Draw::Normal => normals::<F, T>(words, to),
    }
}

#[inline(always)]
fn uniforms<T: Float>(w: &[[u32; GROUPS]; 4], to: &mut [T]) {
    let [a, b, c, d] = w;
    let groups = to.as_chunks_mut::<4>().0.iter_mut();
    for ((((to, &a), &b), &c), &d) in groups.zip(a).zip(b).zip(c).zip(d) {
        *to = [T::read(uniform(a)), T::read(uniform(b)), T::read(uniform(c)), T::read(uniform(d))];
    }
}

#[inline(always)]
fn uniforms53<T: Float>(w: &[[u32; GROUPS]; 4], to: &mut [T]) {
    let [a, b, c, d] = w;
    let groups = to.as_chunks_mut::<2>().0.iter_mut();
    for ((((to, &a), &b), &c), &d) in groups.zip(a).zip(b).zip(c).zip(d) {
        *to = [T::read(uniform53(a, b)), T::read(uniform53(c, d))];
    }
}

/// Box and Muller (1958); see [`normal_pair`](cotangent_core::rng::normal_pair).
#[inline(always)]
fn normals<F: Fma, T: Float>(w: &[[u32; GROUPS]; 4], to: &mut [T]) {
    let (mut even, mut odd) = ([0.0; GROUPS], [0.0; GROUPS]);
    for k in 0..GROUPS {
        let radius = (-2.0 * math::log::<F, f64>(1.0 - uniform53(w[0][k], w[1][k]))).sqrt();
        let angle = std::f64::consts::TAU * uniform53(w[2][k], w[3][k]);
        even[k] = radius * angle.cos_near::<F>();
        odd[k] = radius * angle.sin_near::<F>();
    }
    for ((to, &even), &odd) in to.as_chunks_mut::<2>().0.iter_mut().zip(&even).zip(&odd) {
        *to = [T::read(even), T::read(odd)];
    }
}
