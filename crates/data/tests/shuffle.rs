//! The seeded shuffle.

use cotangent_data::{permutation, shuffle};
use proptest::prelude::*;

/// From an independent implementation in Python of Philox (checked against the published vectors), of Lemire's
/// bounded numbers and of the shuffle.
#[test]
fn permutations_as_specified() {
    assert_eq!(permutation(10, 0, 0), [7, 8, 1, 4, 6, 2, 0, 3, 5, 9]);
    assert_eq!(permutation(10, 0, 1), [4, 3, 0, 6, 5, 7, 2, 8, 1, 9]);
    assert_eq!(permutation(10, 0xa4093822_299f31d0, (3 << 32) + 5), [3, 5, 9, 1, 7, 8, 6, 4, 2, 0]);
    let large = permutation(60_000, 7, 3);
    assert_eq!(large[..8], [25644, 47671, 13102, 22407, 36172, 16426, 33739, 8351]);
    assert_eq!(large[59_999], 51395);
}

/// χ² over the 24 orders of 4 items in 24 000 epochs: 23 degrees of freedom, beyond 58.6 with probability 6e-5.
#[test]
fn every_order_is_equally_likely() {
    let mut counts = std::collections::HashMap::new();
    (0..24_000).for_each(|epoch| *counts.entry(permutation(4, 1, epoch)).or_insert(0.0) += 1.0);
    assert_eq!(counts.len(), 24);
    let chi2: f64 = counts.values().map(|n: &f64| (n - 1000.0).powi(2) / 1000.0).sum();
    assert!(chi2 < 58.6, "{chi2}");
}

proptest! {
    #[test]
    fn a_permutation_by_seed_and_epoch(n in 0usize..300, seed: u64, epoch: u64) {
        let order = permutation(n, seed, epoch);
        prop_assert_eq!(&order, &permutation(n, seed, epoch));
        if n >= 30 {
            prop_assert_ne!(&order, &permutation(n, seed, epoch.wrapping_add(1)));
            prop_assert_ne!(&order, &permutation(n, seed.wrapping_add(1), epoch));
        }
        let mut sorted = order;
        sorted.sort();
        prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>());
    }

    #[test]
    fn any_source_of_words_gives_a_permutation(words in proptest::collection::vec(1u64.., 20)) {
        let mut words = words.into_iter().cycle();
        let mut items: Vec<u32> = (0..20).collect();
        // Words that are refused at one bound are taken at another; odd words are never refused for ever.
        shuffle(&mut items, || words.next().unwrap() | 1);
        items.sort();
        prop_assert_eq!(items, (0..20).collect::<Vec<_>>());
    }
}
