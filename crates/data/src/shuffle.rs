//! Shuffles that depend on a seed and an epoch alone.

use cotangent_core::rng::philox;

/// Sets the shuffle's random numbers apart from all others of the same seed, in the counter's last word.
const STREAM: u32 = 0x0DA7_A0DE;

/// The order of `n` examples in an epoch: a uniformly random permutation of `0..n`, a pure function of the arguments.
///
/// ```
/// use cotangent_data::permutation;
/// assert_eq!(permutation(100, 7, 0), permutation(100, 7, 0));
/// assert_ne!(permutation(100, 7, 0), permutation(100, 7, 1));
/// ```
pub fn permutation(n: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let key = [seed as u32, (seed >> 32) as u32];
    let mut drawn = 0;
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(&mut order, || {
        let words = philox(key, [drawn, epoch as u32, (epoch >> 32) as u32, STREAM]);
        drawn = drawn.wrapping_add(1);
        words[0] as u64 | (words[1] as u64) << 32
    });
    order
}

/// Shuffles in place by uniform random words from `next` (Fisher and Yates; Durstenfeld 1964).
pub fn shuffle<T>(items: &mut [T], mut next: impl FnMut() -> u64) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last as u64 + 1, &mut next) as usize);
    }
}

/// A uniform number less than `bound` without bias (Lemire 2019, "Fast random integer generation in an interval"): the
/// upper half of a product, unless its lower half falls into the part that would be counted once too often.
fn below(bound: u64, next: &mut impl FnMut() -> u64) -> u64 {
    loop {
        let product = next() as u128 * bound as u128;
        let low = product as u64;
        if low >= bound || low >= bound.wrapping_neg() % bound {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::below;

    /// For the bound 3, of the 2^64 words exactly one has to be refused, and that is word 0: 2^64 mod 3 = 1.
    #[test]
    fn bounded_numbers_refuse_what_would_be_biased() {
        let mut words = [0, u64::MAX].into_iter();
        assert_eq!(below(3, &mut || words.next().unwrap()), 2);
        assert_eq!(words.next(), None);
        let mut words = [1].into_iter();
        assert_eq!(below(3, &mut || words.next().unwrap()), 0);
    }
}
