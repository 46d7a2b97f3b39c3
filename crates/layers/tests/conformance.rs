//! The operations of this crate on the CPU: values, layouts, gradients of both orders.

use cotangent_core::check::Conformance;
use cotangent_layers as _;

#[test]
fn conformance() {
    for operation in ["linear", "dropout", "channel_dropout", "alpha_dropout", "gaussian_dropout"] {
        let report = Conformance::new(&cotangent_cpu::device()).only(operation).run();
        assert!(report.counts().checks > 0, "{operation}");
        report.assert_ok();
    }
}
