//! Hand-written kernels: the level below programs, for what is neither elementwise nor a composite.

use crate::backend::View;
use crate::dtype::DType;
use crate::shape::Shape;

/// A kernel as data: what the CPU runs and what NVRTC compiles, side by side.
///
/// ```
/// use cotangent_core::*;
/// /// Reverses each row.
/// static REVERSE: Kernel = Kernel {
///     name: "reverse",
///     host: |inputs, outputs, _params| {
///         let x = inputs[0].as_slice::<f32>();
///         let columns = *inputs[0].shape.last().unwrap();
///         let out = outputs[0].as_mut_slice::<f32>();
///         for (row, out) in x.chunks(columns).zip(out.chunks_mut(columns)) {
///             out.iter_mut().zip(row.iter().rev()).for_each(|(o, &x)| *o = x);
///         }
///     },
///     cuda: r#"extern "C" __global__ void reverse(const float* x, float* y, int rows, int columns) {
///         int i = blockIdx.x * blockDim.x + threadIdx.x;
///         if (i < rows * columns) y[i] = x[i / columns * columns + columns - 1 - i % columns];
///     }"#,
/// };
/// let x = Tensor::new(vec![1f32, 2.0, 3.0], [1, 3]);
/// let y = REVERSE.call(&[&x], &[(x.shape().clone(), x.dtype())], &[]);
/// assert_eq!(y[0].to_vec::<f32>(), [3.0, 2.0, 1.0]);
/// ```
pub struct Kernel {
    /// Name in messages, and of the CUDA function.
    pub name: &'static str,
    /// The kernel for devices with host memory: row-major inputs, outputs of the requested shapes (zeroed), parameters.
    pub host: fn(&[HostView], &mut [HostOutput], &[f64]),
    /// The kernel in CUDA C.
    pub cuda: &'static str,
}

/// A row-major input of a [`Kernel`] in host memory.
pub struct HostView<'a> {
    /// Extents.
    pub shape: Shape,
    /// Type of the elements.
    pub dtype: DType,
    /// The elements.
    pub bytes: &'a [u8],
}

/// An output of a [`Kernel`] in host memory.
pub struct HostOutput<'a> {
    /// Extents.
    pub shape: Shape,
    /// Type of the elements.
    pub dtype: DType,
    /// The elements, all zero at first.
    pub bytes: &'a mut [u8],
}

impl HostView<'_> {
    /// The elements. Panics if `T` is not their type.
    #[track_caller]
    pub fn as_slice<T: crate::Element>(&self) -> &[T] {
        assert!(T::DTYPE == self.dtype, "kernel: the input holds {}, not {}", self.dtype, T::DTYPE);
        bytemuck::cast_slice(self.bytes)
    }
}

impl HostOutput<'_> {
    /// The elements. Panics if `T` is not their type.
    #[track_caller]
    pub fn as_mut_slice<T: crate::Element>(&mut self) -> &mut [T] {
        assert!(T::DTYPE == self.dtype, "kernel: the output holds {}, not {}", self.dtype, T::DTYPE);
        bytemuck::cast_slice_mut(self.bytes)
    }
}

impl Kernel {
    /// Runs the kernel on the device of the inputs. The outputs are untracked: record a gradient with
    /// [`Tensor::record`](crate::Tensor::record).
    #[track_caller]
    pub fn call(
        &'static self, inputs: &[&crate::Tensor], outputs: &[(Shape, DType)], params: &[f64],
    ) -> smallvec::SmallVec<[crate::Tensor; 2]> {
        let first = inputs.first().unwrap_or_else(|| panic!("{}: a kernel needs an input, for its device", self.name));
        let device = first.device();
        inputs.iter().for_each(|x| crate::tensor::same_device(self.name, first, x));
        let copies: Vec<_> = inputs.iter().map(|x| x.contiguous()).collect();
        let views: Vec<View> = copies.iter().map(|x| x.view()).collect();
        let results = device.backend().launch(self, &views, outputs, params);
        let wrap = |(storage, (shape, dtype)): (_, &(Shape, DType))| {
            crate::Tensor::from_storage(storage, crate::Layout::contiguous(shape), *dtype, device.clone())
        };
        results.into_iter().zip(outputs).map(wrap).collect()
    }
}
