//! Every operation of the core, on this device.

use cotangent_core::{Device, check::conformance};
use cotangent_cpu::{Cpu, device};

#[test]
fn conforms() {
    conformance(&device()).assert_ok();
}

#[test]
fn conforms_where_all_is_put_off() {
    conformance(&Device::new(Cpu::with_threads(2).deferring_from(0))).assert_ok();
}
