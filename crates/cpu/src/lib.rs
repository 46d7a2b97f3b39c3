//! The CPU backend of the Cotangent framework, and its default device.
//!
//! Programs become machine code on x86-64, or run block by block in the first-level cache, vectorized for the processor at
//! hand; matrix products have kernels of their own; large work is shared among threads. Results are the same bits for any
//! number of threads: how work is cut depends on shapes alone.
//!
//! ```
//! use cotangent_core::{Device, Tensor};
//! cotangent_cpu::set_threads(1);
//! assert_eq!(Device::default(), cotangent_cpu::device());
//! assert_eq!((Tensor::ones([3]) + 1.0).to_vec::<f32>(), [2.0; 3]);
//! ```

mod along;
mod axes;
mod float;
mod index;
mod int;
mod lanes;
pub mod math;
mod matmul;
mod native;
mod number;
mod pool;
mod random;
mod rows;
mod stream;
mod strided;
mod threads;
mod vm;

use cotangent_core::backend::{
    Arg, Backend, Call, Fold, Memory, OutOfRange, Outputs, RowSteps, Scan, Scatter, Storage, View,
};
use cotangent_core::host::{self, HostBuffer, Pool};
use cotangent_core::{DType, DefaultDevice, Device, Error, Kernel, Layout, Shape, inventory};
use smallvec::SmallVec;
use std::fmt;
use std::sync::{Arc, OnceLock};
use strided::{pack, with_bits};
use threads::Threads;

/// Work, in additions, from which threads gain more than it costs to wake them.
const THREADED: usize = 128 * 1024;

/// Elements from which on a pass costs more than the bookkeeping of putting an operation off.
const DEFERS_FROM: usize = 16 * 1024;

/// The processor as a [`Backend`]. Programs use the one behind [`device`]; tests make others.
pub struct Cpu {
    threads: Arc<Threads>,
    pool: Arc<dyn Pool>,
    defers_from: usize,
}

/// The device of this process, which is its default one.
pub fn device() -> Device {
    the().0.clone()
}

/// Sets how many threads work on large tensors of [`device`], the caller's included; 0 stands for all cores, the
/// default. Results do not depend on it.
pub fn set_threads(count: usize) {
    the().1.set(count);
}

/// How many threads work on large tensors of [`device`].
pub fn threads() -> usize {
    the().1.count()
}

fn the() -> &'static (Device, Arc<Threads>) {
    static DEVICE: OnceLock<(Device, Arc<Threads>)> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let cpu = Cpu::with_threads(0);
        let threads = cpu.threads.clone();
        (Device::new(cpu), threads)
    })
}

inventory::submit! { DefaultDevice { priority: 10, make: device } }

impl Cpu {
    /// A backend of its own with a number of threads, the caller's included; 0 stands for all cores.
    pub fn with_threads(count: usize) -> Cpu {
        let threads = Arc::new(Threads::default());
        threads.set(count);
        Cpu { threads, pool: Arc::new(pool::Reuse::default()), defers_from: DEFERS_FROM }
    }

    /// The same, but elementwise operations on this many elements and more are put off until they are read, where by
    /// default that takes 16,384. The results are the same.
    pub fn deferring_from(self, elements: usize) -> Cpu {
        Cpu { defers_from: elements, ..self }
    }

    /// Memory for `count` elements of any value.
    fn buffer(&self, dtype: DType, count: usize) -> HostBuffer {
        HostBuffer::new(&self.pool, dtype, count)
    }

    /// Whether work, in additions, is enough for more than one thread.
    fn worth_threads(&self, cost: usize) -> bool {
        cost >= THREADED && self.threads.count() > 1
    }
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Cpu({} threads)", self.threads.count())
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        "cpu".into()
    }

    fn defers_from(&self) -> usize {
        self.defers_from
    }

    fn upload(&self, dtype: DType, bytes: &[u8]) -> Result<Storage, Error> {
        let mut buffer = self.buffer(dtype, bytes.len() / dtype.size());
        buffer.bytes_mut().copy_from_slice(bytes);
        Ok(Storage::new(buffer))
    }

    fn download(&self, view: View, bytes: &mut [u8]) -> Result<(), Error> {
        let all = view.storage.get::<HostBuffer>();
        let size = view.dtype.size();
        if view.layout.is_contiguous() {
            bytes.copy_from_slice(&all.bytes()[view.layout.offset * size..][..bytes.len()]);
            return Ok(());
        }
        // `bytes` need not be aligned to the elements.
        with_bits!(size, B => {
            let mut packed = vec![0 as B; view.layout.shape.count()];
            pack(self, &mut packed, all.slice(), view.layout);
            bytes.copy_from_slice(bytemuck::cast_slice(&packed));
        });
        Ok(())
    }

    fn map(&self, call: Call) -> Outputs {
        vm::map(self, call)
    }

    fn map_all(&self, calls: Vec<Call>) -> Vec<Outputs> {
        vm::map_all(self, calls)
    }

    fn fold(&self, call: Call, fold: Fold, reduced: &[bool]) -> Outputs {
        vm::fold(self, call, fold, reduced)
    }

    fn rows(&self, steps: RowSteps) -> Option<SmallVec<[Storage; 4]>> {
        rows::rows(self, steps)
    }

    fn arg_fold(&self, x: View, axis: usize, largest: bool) -> Storage {
        self.positions_of_extremes(x, axis, largest)
    }

    fn scan(&self, scan: Scan, args: &[View], axis: usize, reverse: bool) -> Storage {
        self.scanned(scan, args, axis, reverse)
    }

    fn argsort(&self, x: View, axis: usize, descending: bool) -> Storage {
        self.sorting_positions(x, axis, descending)
    }

    fn matmul(&self, a: View, b: View) -> Storage {
        matmul::matmul(self, a, b)
    }

    fn gather(&self, x: View, index: View, axis: usize) -> Result<Storage, OutOfRange> {
        self.gathered(x, index, axis)
    }

    fn scatter(&self, base: Arg, index: View, source: View, axis: usize, mode: Scatter) -> Result<Storage, OutOfRange> {
        self.scattered(base, index, source, axis, mode)
    }

    fn assign(&self, base: Arg, region: &Layout, source: View) -> Storage {
        self.assigned(base, region, source)
    }

    fn launch(&self, kernel: &Kernel, inputs: &[View], outputs: &[(Shape, DType)], params: &[f64]) -> Outputs {
        host::launch(&self.pool, kernel, inputs, outputs, params)
    }

    fn memory(&self) -> Memory {
        self.pool.meter().read()
    }
}
