//! Devices, and which one is used by default.

use crate::backend::{Backend, Memory};
use crate::profile::{Timed, is_on};
use crate::reference::Reference;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Where tensors live and are computed. Cheap to clone.
#[derive(Clone)]
pub struct Device(Arc<Timed>);

/// A crate that offers a default device submits one of these with `inventory::submit!`; the highest priority wins.
/// Without any, the default is the [`reference`](Device::reference) device.
pub struct DefaultDevice {
    /// CPUs use 10.
    pub priority: u32,
    /// Makes the device, once.
    pub make: fn() -> Device,
}
inventory::collect!(DefaultDevice);

impl Device {
    /// A device that runs on `backend`.
    pub fn new(backend: impl Backend) -> Device {
        Device(Arc::new(Timed(Box::new(backend))))
    }

    /// The naive device in plain loops and `f64`: slow, and the specification of all others.
    pub fn reference() -> Device {
        static REFERENCE: OnceLock<Device> = OnceLock::new();
        REFERENCE.get_or_init(|| Device::new(Reference::default())).clone()
    }

    /// The backend behind the device; in a [`profile::scope`](crate::profile::scope), with its calls timed.
    pub fn backend(&self) -> &dyn Backend {
        if is_on() { &*self.0 } else { &*self.0.0 }
    }

    /// Name, such as `cpu`.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// Memory that tensors on this device hold.
    pub fn memory(&self) -> Memory {
        self.0.memory()
    }
}

impl Default for Device {
    /// The best device that is linked into the program: the CPU with the crate `cotangent`.
    fn default() -> Device {
        static DEFAULT: OnceLock<Device> = OnceLock::new();
        let best = || inventory::iter::<DefaultDevice>().max_by_key(|d| d.priority);
        DEFAULT.get_or_init(|| best().map_or_else(Device::reference, |d| (d.make)())).clone()
    }
}

impl PartialEq for Device {
    /// Whether both are the same device, not only the same kind.
    fn eq(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name())
    }
}
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name())
    }
}
