//! Memory of devices that compute on the host: bytes aligned for SIMD, counted, without `unsafe`.

use crate::backend::{Memory, Outputs, Storage, View};
use crate::dtype::{DType, Element};
use crate::error::Error;
use crate::kernel::{HostOutput, HostView, Kernel};
use crate::shape::Shape;
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Line([u64; 8]);

/// Bytes that live and most that lived, over all buffers of a device.
#[derive(Debug, Default)]
pub struct Meter {
    live: AtomicUsize,
    peak: AtomicUsize,
}

impl Meter {
    /// The two figures.
    pub fn read(&self) -> Memory {
        Memory { live: self.live.load(Ordering::Relaxed), peak: self.peak.load(Ordering::Relaxed) }
    }

    fn add(&self, bytes: usize) {
        let live = self.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Most of the time a look is enough, which costs less than a write.
        if live > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(live, Ordering::Relaxed);
        }
    }
}

/// Where a buffer's memory comes from and goes back to.
pub trait Pool: Send + Sync {
    /// At least `lines` initialized cache lines (of any content).
    fn take(&self, lines: usize) -> Vec<Line>;
    /// Takes memory back.
    fn give(&self, lines: Vec<Line>);
    /// The figures.
    fn meter(&self) -> &Meter;
}

/// No reuse: memory comes from the allocator, zeroed.
#[derive(Debug, Default)]
pub struct Plain(Meter);
impl Pool for Plain {
    fn take(&self, lines: usize) -> Vec<Line> {
        allocate("reference", lines).unwrap_or_else(|error| error.throw())
    }
    fn give(&self, _: Vec<Line>) {}
    fn meter(&self) -> &Meter {
        &self.0
    }
}

/// New memory for `device`, zeroed.
///
/// # Errors
/// [`Error::OutOfMemory`] if the system has none. (Linux by default promises more than it has and refuses only what
/// could never fit.)
pub fn allocate<T: Zeroable>(device: &str, count: usize) -> Result<Vec<T>, Error> {
    let refused = |()| Error::OutOfMemory { device: device.into(), bytes: count.saturating_mul(size_of::<T>()) };
    bytemuck::allocation::try_zeroed_vec(count).map_err(refused)
}

/// A buffer in host memory, aligned to 64 bytes.
pub struct HostBuffer {
    lines: Vec<Line>,
    bytes: usize,
    pool: Arc<dyn Pool>,
}

impl HostBuffer {
    /// `count` elements of arbitrary value.
    pub fn new(pool: &Arc<dyn Pool>, dtype: DType, count: usize) -> HostBuffer {
        let bytes = count * dtype.size();
        let lines = pool.take(bytes.div_ceil(size_of::<Line>()));
        pool.meter().add(lines.len() * size_of::<Line>());
        HostBuffer { lines, bytes, pool: pool.clone() }
    }

    /// `count` zeros.
    pub fn zeroed(pool: &Arc<dyn Pool>, dtype: DType, count: usize) -> HostBuffer {
        let mut buffer = HostBuffer::new(pool, dtype, count);
        buffer.bytes_mut().fill(0);
        buffer
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes]
    }

    /// The bytes, for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes]
    }

    /// The elements.
    pub fn slice<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(self.bytes())
    }

    /// The elements, for writing.
    pub fn slice_mut<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes_mut())
    }
}

impl Drop for HostBuffer {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        self.pool.meter().live.fetch_sub(lines.len() * size_of::<Line>(), Ordering::Relaxed);
        self.pool.give(lines);
    }
}

/// The whole storage behind a view on a host device, as elements.
pub fn elements<T: Element>(view: View<'_>) -> &[T] {
    debug_assert!(T::DTYPE == view.dtype);
    storage_elements(view.storage)
}

/// The whole storage, as elements.
pub fn storage_elements<T: Pod>(storage: &Storage) -> &[T] {
    storage.get::<HostBuffer>().slice()
}

/// Runs a hand-written kernel on host memory: the whole of [`Backend::launch`](crate::backend::Backend::launch) for a
/// device that computes there.
pub fn launch(
    pool: &Arc<dyn Pool>,
    kernel: &Kernel,
    inputs: &[View],
    outputs: &[(Shape, DType)],
    params: &[f64],
) -> Outputs {
    fn input<'a>(view: &View<'a>) -> HostView<'a> {
        let bytes = view.storage.get::<HostBuffer>().bytes();
        let size = view.dtype.size();
        let start = view.layout.offset * size;
        let bytes =
            bytes[start..].get(..view.layout.shape.count() * size).expect("a row-major view lies in its storage");
        HostView { shape: view.layout.shape.clone(), dtype: view.dtype, bytes }
    }
    let inputs: Vec<HostView> = inputs.iter().map(input).collect();
    let mut buffers: Vec<HostBuffer> =
        outputs.iter().map(|(shape, dtype)| HostBuffer::zeroed(pool, *dtype, shape.count())).collect();
    let mut views: Vec<HostOutput> = (buffers.iter_mut().zip(outputs))
        .map(|(buffer, (shape, dtype))| HostOutput { shape: shape.clone(), dtype: *dtype, bytes: buffer.bytes_mut() })
        .collect();
    (kernel.host)(&inputs, &mut views, params);
    buffers.into_iter().map(Storage::new).collect()
}
