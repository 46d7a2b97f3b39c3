//! Memory of a step. One test alone in its process, since it reads what the whole process holds.

use cotangent_core::*;
use cotangent_cpu as _;
use cotangent_optim::*;

/// A step writes over the parameter and its moments: the most that is held are these and the gradient.
#[test]
fn a_step_needs_no_memory_of_its_own() {
    const MIB: usize = 1 << 20;
    let mut w = Param::new(Tensor::ones([1 << 18]).contiguous()); // 1 MiB
    let mut opt = Adam::new(0.1).decoupled_decay(0.1);
    let mut step = || {
        let loss = (&*w * 2.0).sum(..);
        opt.step(&mut w, &loss.backward());
    };
    step();
    let moments = Device::default().memory();
    assert!((3 * MIB..3 * MIB + MIB / 8).contains(&moments.live), "{moments:?}: parameter and moments");
    (0..3).for_each(|_| step());
    let after = Device::default().memory();
    assert_eq!(after.live, moments.live);
    // Parameter, gradient, moments; the first step has made the moments beside what they start from, a single zero.
    assert!(after.peak < 4 * MIB + MIB / 2, "{after:?}");
}
