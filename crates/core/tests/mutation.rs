//! The gradient checks notice wrong gradients.

use cotangent_core::Device;
use cotangent_core::check::mutation;

#[test]
fn wrong_gradients_are_noticed() {
    let score = mutation(&Device::reference());
    println!("{score}");
    assert!(score.killed() > 500 && score.share() >= 0.98, "{score}");
}
