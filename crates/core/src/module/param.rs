//! What a model holds: parameters and buffers.

use crate::tensor::Tensor;
use std::fmt;
use std::ops::Deref;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A tensor that is learned: an optimizer replaces it by a better one.
///
/// It is used like a [`Tensor`]. A clone is the same variable under another path of the model (tied weights): both
/// get one gradient, one update and one entry in the optimizer's state. A frozen parameter is untracked: nothing is
/// saved or computed for it.
///
/// ```
/// # use cotangent_core::*;
/// let w = Param::new(Tensor::ones([2]));
/// assert_eq!((w.square().sum(..)).backward()[&w].to_vec::<f32>(), [2.0, 2.0]);
/// ```
#[derive(Clone)]
pub struct Param {
    pub(super) id: u64,
    /// Absent only while an update that failed had taken it.
    value: Option<Tensor>,
    trainable: bool,
    decays: bool,
}

impl Param {
    /// A trainable parameter that starts at `value`.
    ///
    /// # Panics
    /// If the element type is not floating-point.
    #[track_caller]
    pub fn new(value: Tensor) -> Param {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Param { id, value: Some(value.tracked()), trainable: true, decays: true }
    }

    /// Exempt from weight decay and penalties, as biases, scales of normalizations and slopes of activations are.
    pub fn without_decay(self) -> Param {
        Param { decays: false, ..self }
    }

    /// Identity: the same for tied parameters, and kept by updates.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether gradients by it are computed.
    pub fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// Whether weight decay and penalties apply.
    pub fn decays(&self) -> bool {
        self.decays
    }

    /// Freezes or unfreezes it.
    #[track_caller]
    pub fn set_trainable(&mut self, trainable: bool) {
        self.trainable = trainable;
        self.update(|value| value);
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// If the shape differs.
    #[track_caller]
    pub fn set(&mut self, value: Tensor) {
        assert!(
            value.shape() == self.shape(),
            "Param::set: a value of shape {} for a parameter of shape {}",
            value.shape(),
            self.shape()
        );
        self.update(|_| value);
    }

    /// Replaces the value by a function of itself. `f` gets it untracked and by value, so that an operation can write
    /// over its memory if nothing else shares it.
    #[track_caller]
    pub fn update(&mut self, f: impl FnOnce(Tensor) -> Tensor) {
        let old = self.take();
        self.put(f(old));
    }

    /// The first half of an [`update`](Param::update) of many parameters at one time: takes the value, untracked. Until
    /// [`put`](Param::put) brings a new one, the parameter cannot be read.
    #[track_caller]
    pub fn take(&mut self) -> Tensor {
        let old = self.value.take().expect(LOST);
        Tensor { node: None, ..old }
    }

    /// The second half of an [`update`](Param::update): the new value.
    pub fn put(&mut self, new: Tensor) {
        self.value = Some(if self.trainable { new.tracked() } else { new.detach() });
    }
}

const LOST: &str = "Param: the value was taken by an update that did not end; load the parameter again";

impl Deref for Param {
    type Target = Tensor;
    #[track_caller]
    fn deref(&self) -> &Tensor {
        self.value.as_ref().expect(LOST)
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Param({} {}{})", self.dtype(), self.shape(), if self.trainable { "" } else { ", frozen" })
    }
}

/// A tensor that is remembered but not learned by gradients, such as running statistics. It can be replaced through a
/// shared reference, so that a forward pass can do it. A clone is a copy.
pub struct Buffer {
    value: Mutex<Tensor>,
    frozen: AtomicBool,
}

impl Buffer {
    /// A buffer that starts at `value`.
    pub fn new(value: Tensor) -> Buffer {
        Buffer { value: Mutex::new(value.detach()), frozen: AtomicBool::new(false) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tensor> {
        self.value.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The value, untracked.
    pub fn get(&self) -> Tensor {
        self.lock().clone()
    }

    /// Replaces the value.
    pub fn set(&self, value: Tensor) {
        *self.lock() = value.detach();
    }

    /// Replaces the value by a function of itself, as a training step does: not while frozen, and not while
    /// [`checkpoint`](crate::checkpoint) computes the step again.
    pub fn update(&self, f: impl FnOnce(&Tensor) -> Tensor) {
        if !self.is_frozen() && !crate::rng::recomputing() {
            let mut value = self.lock();
            *value = crate::no_grad(|| f(&value)).detach();
        }
    }

    /// Whether updates are ignored.
    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Relaxed)
    }

    /// Freezes or unfreezes it.
    pub fn set_frozen(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Relaxed);
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        Buffer { value: Mutex::new(self.get()), frozen: AtomicBool::new(self.is_frozen()) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.lock();
        write!(f, "Buffer({} {})", value.dtype(), value.shape())
    }
}
