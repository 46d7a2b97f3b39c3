//! Every operation of the core, on this device.

#[test]
fn conformance() {
    cotangent_core::check::conformance(&cotangent_cpu::device()).assert_ok();
}
