//! Batches.

use cotangent_data::{Images, Loader, Normalize, permutation};

/// Seven images of 1 × 3 pixels: image i has the pixels 10i, 10i + 1, 10i + 2 and the class i.
fn images() -> Images {
    let pixels = (0..7).flat_map(|i| [10 * i, 10 * i + 1, 10 * i + 2]).collect();
    Images::new(pixels, (0..7).collect(), [1, 3], 7)
}

fn raw() -> Normalize {
    Normalize::new(vec![0.0; 3], vec![1.0; 3])
}

/// The classes of every batch, after a look at the pixels.
fn classes(loader: &Loader, epoch: u64) -> Vec<Vec<i64>> {
    let batches = loader.epoch(epoch).map(|(x, y)| {
        let labels = y.to_vec::<i64>();
        assert_eq!(x.shape(), [labels.len(), 3]);
        assert_eq!(y.shape(), [labels.len()]);
        let pixels = labels.iter().flat_map(|&i| [10 * i, 10 * i + 1, 10 * i + 2]);
        assert_eq!(x.to_vec::<f32>(), pixels.map(|p| p as f32).collect::<Vec<_>>());
        labels
    });
    batches.collect()
}

#[test]
fn batches_in_the_order_of_the_data() {
    let loader = Loader::new(images(), 3).normalize(raw());
    assert_eq!((loader.len(), loader.epoch(0).len()), (3, 3));
    assert_eq!(classes(&loader, 0), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    assert_eq!(classes(&loader.clone().drop_last(), 0), [[0, 1, 2], [3, 4, 5]]);
    assert!(Loader::new(images(), 8).drop_last().is_empty());
}

#[test]
fn batches_of_a_part() {
    let loader = Loader::new(images().split_at(2).1, 3).normalize(raw());
    assert_eq!(classes(&loader, 0), [vec![2, 3, 4], vec![5, 6]]);
}

#[test]
fn shuffled_batches_follow_the_permutation() {
    let loader = Loader::new(images(), 3).normalize(raw()).shuffle(5);
    for epoch in 0..3 {
        let order: Vec<i64> = permutation(7, 5, epoch).into_iter().map(|i| i as i64).collect();
        assert_eq!(classes(&loader, epoch).concat(), order);
    }
}

#[test]
fn an_epoch_can_be_resumed() {
    let loader = Loader::new(images(), 2).shuffle(1);
    let labels = |skip| loader.epoch(4).skip(skip).map(|(_, y)| y.to_vec::<i64>()).collect::<Vec<_>>();
    assert_eq!(labels(2), labels(0)[2..]);
    assert_eq!(labels(9).len(), 0);
    let mut epoch = loader.epoch(4);
    assert!(epoch.nth(7).is_none() && epoch.next().is_none());
}
