//! The conformance suite on the reference device.

use cotangent_core::Device;
use cotangent_core::check::conformance;

#[test]
fn reference() {
    let report = conformance(&Device::reference());
    println!("{report}");
    report.assert_ok();
}
