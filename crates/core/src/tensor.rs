//! The tensor: a shared value, a layout, and a place on the tape.

use crate::backend::{Arg, Storage, View};
use crate::deferred::Value;
use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::host::allocate;
use crate::shape::{Layout, Shape};
use crate::tape::{HookHandle, Node};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An n-dimensional array of numbers that remembers how it was computed.
///
/// Shape, element type and device are values, not type parameters. A clone shares everything and is cheap. Tensors
/// are immutable: an optimizer replaces a parameter's tensor. Results of operations on [tracked](Tensor::tracked)
/// tensors are recorded, so that [`backward`](Tensor::backward) finds their gradients.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0, 3.0], [3]).tracked();
/// let loss = (&x * &x + 1.0).sum(..);
/// assert_eq!(loss.backward()[&x].to_vec::<f32>(), [2.0, 4.0, 6.0]);
/// ```
#[derive(Clone)]
pub struct Tensor {
    pub(crate) value: Arc<Value>,
    pub(crate) layout: Layout,
    pub(crate) node: Option<Arc<Node>>,
}

impl Tensor {
    /// A tensor of single precision on the default device, row by row.
    ///
    /// # Panics
    /// If the count of `data` is not that of `shape`.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// assert_eq!(x.dtype(), DType::F32);
    /// ```
    #[track_caller]
    pub fn new(data: impl AsRef<[f32]>, shape: impl Into<Shape>) -> Tensor {
        Device::default().tensor(data.as_ref(), shape)
    }

    /// A tensor of the element type of `data` on the default device, row by row: `Tensor::from_slice(&[1i64, 2], [2])`.
    ///
    /// # Panics
    /// If the count of `data` is not that of `shape`.
    #[track_caller]
    pub fn from_slice<T: Element>(data: &[T], shape: impl Into<Shape>) -> Tensor {
        Device::default().tensor(data, shape)
    }

    /// A tensor around storage that a backend made.
    pub(crate) fn from_storage(storage: Storage, layout: Layout, dtype: DType, device: Device) -> Tensor {
        Tensor { value: Arc::new(Value::new(storage, dtype, device)), layout, node: None }
    }

    /// Extents.
    pub fn shape(&self) -> &Shape {
        &self.layout.shape
    }

    /// Extents as an array: `let [batch, features] = x.dims();`
    ///
    /// # Panics
    /// If the tensor has another rank than the pattern.
    #[track_caller]
    pub fn dims<const N: usize>(&self) -> [usize; N] {
        let shape = self.shape();
        match shape[..].try_into() {
            Ok(extents) => extents,
            Err(_) => panic!("dims: expected {N} axes, but the shape is {shape}; write a name for each axis"),
        }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape().len()
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape().count()
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.value.dtype
    }

    /// Where the tensor lives.
    pub fn device(&self) -> &Device {
        &self.value.device
    }

    /// Where the elements lie in the storage.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The elements as a backend sees them. This is the only way to the storage, so a value may be computed late.
    #[track_caller]
    pub fn view(&self) -> View<'_> {
        View { storage: self.value.storage(), layout: &self.layout, dtype: self.value.dtype }
    }

    /// A tensor around a value.
    pub(crate) fn from_value(value: Arc<Value>, shape: &Shape) -> Tensor {
        Tensor { value, layout: Layout::contiguous(shape), node: None }
    }

    /// The tensor as an argument that may be overwritten if nothing else shares its memory. It is not to be used afterwards.
    pub(crate) fn give_up<'a>(&'a mut self, stretched: Option<&'a Layout>) -> Arg<'a> {
        self.node = None;
        self.value.storage();
        let own = Arc::get_mut(&mut self.value).and_then(Value::take);
        let storage = own.unwrap_or_else(|| self.value.storage().clone());
        Arg::Owned(storage, stretched.unwrap_or(&self.layout), self.value.dtype)
    }

    /// The same memory under another layout, untracked.
    pub(crate) fn with_layout(&self, layout: Layout) -> Tensor {
        Tensor { value: self.value.clone(), layout, node: None }
    }

    /// The elements in row-major order.
    ///
    /// # Panics
    /// If `T` is not the element type, or the device fails.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        assert!(
            T::DTYPE == self.dtype(),
            "to_vec: the tensor holds {}, not {}; convert it with .to(DType::{:?})",
            self.dtype(),
            T::DTYPE,
            T::DTYPE
        );
        let mut data: Vec<T> = allocate("host", self.count()).unwrap_or_else(|error| error.throw());
        let done = self.device().backend().download(self.view(), bytemuck::cast_slice_mut(&mut data));
        done.unwrap_or_else(|error| error.throw());
        data
    }

    /// The only element, as a number.
    ///
    /// # Panics
    /// If there is not exactly one element.
    #[track_caller]
    pub fn item(&self) -> f64 {
        assert!(
            self.count() == 1,
            "item: expected one element, but the shape is {}; reduce it first, or use .to_vec()",
            self.shape()
        );
        self.detach().to(DType::F64).to_vec::<f64>()[0]
    }

    /// This tensor as a leaf of the tape: gradients by it are computed from now on. History is cut.
    ///
    /// # Panics
    /// If the element type is not floating-point.
    #[track_caller]
    pub fn tracked(&self) -> Tensor {
        assert!(
            self.dtype().is_float(),
            "tracked: elements of type {} cannot carry a gradient; convert with .to(DType::F32)",
            self.dtype()
        );
        Tensor { node: Some(Node::leaf(self.shape().clone(), self.dtype())), ..self.clone() }
    }

    /// Whether gradients by this tensor are computed.
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }

    /// The same value without history.
    pub fn detach(&self) -> Tensor {
        self.with_layout(self.layout.clone())
    }

    /// Makes [`backward`](Tensor::backward) report the gradient by this intermediate result, too.
    ///
    /// # Panics
    /// If the tensor is untracked.
    #[track_caller]
    pub fn retain_grad(&self) -> &Tensor {
        let node = self
            .node
            .as_ref()
            .expect("retain_grad: the tensor is untracked, so it has no gradient; call .tracked() first");
        node.retain.store(true, Ordering::Relaxed);
        self
    }

    /// Calls `hook` with the complete gradient by this tensor in every backward sweep; what it returns replaces the
    /// gradient. Hooks run in order of registration; dropping the handle removes the hook.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::ones([2]).tracked();
    /// let clip = x.hook(|g| Some(g.minimum(1.0)));
    /// assert_eq!((&x * 5.0).sum(..).backward()[&x].to_vec::<f32>(), [1.0, 1.0]);
    /// drop(clip);
    /// assert_eq!((&x * 5.0).sum(..).backward()[&x].to_vec::<f32>(), [5.0, 5.0]);
    /// ```
    ///
    /// # Panics
    /// If the tensor is untracked.
    #[track_caller]
    pub fn hook(&self, hook: impl Fn(&Tensor) -> Option<Tensor> + Send + Sync + 'static) -> HookHandle {
        static KEY: AtomicU64 = AtomicU64::new(0);
        let node =
            self.node.as_ref().expect("hook: the tensor is untracked, so it has no gradient; call .tracked() first");
        let key = KEY.fetch_add(1, Ordering::Relaxed);
        node.hooks.lock().unwrap().push((key, Arc::new(hook)));
        HookHandle { node: Arc::downgrade(node), key }
    }

    /// The same elements on another device. The gradient goes back to this one.
    #[track_caller]
    pub fn to_device(&self, device: &Device) -> Tensor {
        if device == self.device() {
            return self.clone();
        }
        let moved = allocate("host", self.count() * self.dtype().size()).and_then(|mut bytes| {
            self.device().backend().download(self.view(), &mut bytes)?;
            device.backend().upload(self.dtype(), &bytes)
        });
        let storage = moved.unwrap_or_else(|error| error.throw());
        let home = self.device().clone();
        Tensor::from_storage(storage, Layout::contiguous(self.shape()), self.dtype(), device.clone())
            .record("to_device")
            .wrt(self, [], move |g, []| g.to_device(&home))
            .done()
    }
}

impl Device {
    /// A tensor on this device, row by row.
    ///
    /// # Panics
    /// If the count of `data` is not that of `shape`, or memory runs out.
    #[track_caller]
    pub fn tensor<T: Element>(&self, data: &[T], shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        checked_count("tensor", &shape);
        assert!(
            data.len() == shape.count(),
            "tensor: {} elements do not fill shape {shape}, which has {}",
            data.len(),
            shape.count()
        );
        let storage = self.backend().upload(T::DTYPE, bytemuck::cast_slice(data));
        let storage = storage.unwrap_or_else(|error| error.throw());
        Tensor::from_storage(storage, Layout::contiguous(shape), T::DTYPE, self.clone())
    }
}

/// The number of elements of a new shape; panics where it would overflow.
#[track_caller]
pub(crate) fn checked_count(op: &str, shape: &Shape) -> usize {
    let count = shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent.max(1)));
    match count.filter(|&n| n <= isize::MAX as usize / 8) {
        Some(_) => shape.count(),
        None => panic!("{op}: shape {shape} has more elements than memory can address"),
    }
}

/// Panics unless both tensors live on one device.
#[track_caller]
pub(crate) fn same_device(op: &str, a: &Tensor, b: &Tensor) {
    if a.device() != b.device() {
        panic!(
            "{op}: tensors of shapes {} and {} live on devices {} and {}; move one with .to_device(..)",
            a.shape(),
            b.shape(),
            a.device(),
            b.device()
        );
    }
}

/// Panics unless both tensors have one element type.
#[track_caller]
pub(crate) fn same_dtype(op: &str, a: &Tensor, b: &Tensor) {
    if a.dtype() != b.dtype() {
        panic!(
            "{op}: tensors of shapes {} and {} hold {} and {}; convert one with .to(DType::{:?})",
            a.shape(),
            b.shape(),
            a.dtype(),
            b.dtype(),
            a.dtype().max(b.dtype())
        );
    }
}
