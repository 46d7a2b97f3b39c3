//! The processor as a device that counts its passes.

use cotangent_core::backend::*;
use cotangent_core::{DType, Error, Kernel, Layout, Shape};
use cotangent_cpu::Cpu;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Passes so far.
#[derive(Debug, Default)]
pub struct Passes {
    maps: AtomicUsize,
    folds: AtomicUsize,
    longest: AtomicUsize,
}

impl Passes {
    pub fn reset(&self) {
        [&self.maps, &self.folds, &self.longest].iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }

    /// Maps and folds.
    pub fn read(&self) -> (usize, usize) {
        (self.maps.load(Ordering::Relaxed), self.folds.load(Ordering::Relaxed))
    }

    /// Instructions of the longest program.
    pub fn longest(&self) -> usize {
        self.longest.load(Ordering::Relaxed)
    }

    fn note(&self, count: &AtomicUsize, call: &Call) {
        count.fetch_add(1, Ordering::Relaxed);
        self.longest.fetch_max(call.program.insts().len(), Ordering::Relaxed);
    }
}

/// Puts off every elementwise operation, whatever its size.
#[derive(Debug)]
pub struct Counted {
    cpu: Cpu,
    pub passes: Arc<Passes>,
}

impl Default for Counted {
    fn default() -> Counted {
        Counted { cpu: Cpu::with_threads(2), passes: Arc::default() }
    }
}

impl Backend for Counted {
    fn name(&self) -> String {
        self.cpu.name()
    }
    fn defers_from(&self) -> usize {
        0
    }
    fn upload(&self, dtype: DType, bytes: &[u8]) -> Result<Storage, Error> {
        self.cpu.upload(dtype, bytes)
    }
    fn download(&self, view: View, bytes: &mut [u8]) -> Result<(), Error> {
        self.cpu.download(view, bytes)
    }
    fn map(&self, call: Call) -> Outputs {
        // Copies and conversions are not put off, and not counted.
        if call.program.insts().len() > 1 {
            self.passes.note(&self.passes.maps, &call);
        }
        self.cpu.map(call)
    }
    fn fold(&self, call: Call, fold: Fold, reduced: &[bool]) -> Outputs {
        self.passes.note(&self.passes.folds, &call);
        self.cpu.fold(call, fold, reduced)
    }
    fn arg_fold(&self, x: View, axis: usize, largest: bool) -> Storage {
        self.cpu.arg_fold(x, axis, largest)
    }
    fn scan(&self, scan: Scan, args: &[View], axis: usize, reverse: bool) -> Storage {
        self.cpu.scan(scan, args, axis, reverse)
    }
    fn argsort(&self, x: View, axis: usize, descending: bool) -> Storage {
        self.cpu.argsort(x, axis, descending)
    }
    fn matmul(&self, a: View, b: View) -> Storage {
        self.cpu.matmul(a, b)
    }
    fn gather(&self, x: View, index: View, axis: usize) -> Result<Storage, OutOfRange> {
        self.cpu.gather(x, index, axis)
    }
    fn scatter(&self, base: Arg, index: View, source: View, axis: usize, mode: Scatter) -> Result<Storage, OutOfRange> {
        self.cpu.scatter(base, index, source, axis, mode)
    }
    fn assign(&self, base: Arg, region: &Layout, source: View) -> Storage {
        self.cpu.assign(base, region, source)
    }
    fn launch(&self, kernel: &Kernel, inputs: &[View], outputs: &[(Shape, DType)], params: &[f64]) -> Outputs {
        self.cpu.launch(kernel, inputs, outputs, params)
    }
    fn memory(&self) -> Memory {
        self.cpu.memory()
    }
}
