//! Hand-written kernels: the level below programs, for what is neither elementwise nor a composite.

use crate::backend::View;
use crate::dtype::DType;
use crate::shape::{Layout, Shape};
use crate::tensor::{Tensor, checked_count, same_device};
use smallvec::SmallVec;

/// A kernel as data: what the CPU runs and what NVRTC compiles, side by side.
///
/// The CUDA function gets pointers to the row-major inputs, to the outputs, and to the parameters (`double`), then the
/// number of elements of the first output (`unsigned long long`): one thread is started for each of them, a few more to
/// fill the last block. In the text, `T` is the type of the first input's elements (`float`, `double`, `int`, ...; half
/// precision is its bits, `unsigned short`); [`Kernel::source`] is what is compiled. Outputs are zero at first on every
/// device.
///
/// ```
/// use cotangent_core::*;
/// /// Reverses each row.
/// static REVERSE: Kernel = Kernel {
///     name: "reverse",
///     host: |inputs, outputs, _params| {
///         let columns = *inputs[0].shape.last().unwrap();
///         with_element!(inputs[0].dtype, T => {
///             let rows = inputs[0].as_slice::<T>().chunks(columns);
///             for (row, out) in rows.zip(outputs[0].as_mut_slice::<T>().chunks_mut(columns)) {
///                 out.iter_mut().zip(row.iter().rev()).for_each(|(o, &x)| *o = x);
///             }
///         })
///     },
///     cuda: r#"extern "C" __global__ void reverse(const T* x, T* y, const double* params, unsigned long long n) {
///         unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x, columns = params[0];
///         if (i < n) y[i] = x[i / columns * columns + columns - 1 - i % columns];
///     }"#,
/// };
///
/// fn reverse(x: &Tensor) -> Tensor {
///     let columns = *x.shape().last().unwrap() as f64;
///     let y = REVERSE.call(&[x], &[(x.shape().clone(), x.dtype())], &[columns]).remove(0);
///     y.record("reverse").wrt(x, [], |g, []| reverse(g)).done()
/// }
/// let x = Tensor::new([1.0, 2.0, 3.0], [1, 3]).tracked();
/// let y = reverse(&x);
/// assert_eq!(y.to_vec::<f32>(), [3.0, 2.0, 1.0]);
/// let weights = Tensor::new([1.0, 10.0, 100.0], [1, 3]);
/// assert_eq!((y * weights).sum(..).backward()[&x].to_vec::<f32>(), [100.0, 10.0, 1.0]);
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
    /// [`Tensor::record`].
    ///
    /// # Panics
    /// If there is no input, inputs live on different devices, or memory runs out.
    #[track_caller]
    pub fn call(
        &'static self,
        inputs: &[&Tensor],
        outputs: &[(Shape, DType)],
        params: &[f64],
    ) -> SmallVec<[Tensor; 2]> {
        let Some(first) = inputs.first() else {
            panic!("{}: a kernel needs an input, for its device; pass one", self.name)
        };
        let device = first.device();
        let mut copies = vec![];
        for x in inputs {
            same_device(self.name, first, x);
            copies.push(x.detach().contiguous());
        }
        for (shape, _) in outputs {
            checked_count(self.name, shape);
        }
        let views: Vec<View> = copies.iter().map(|x| x.view()).collect();
        let results = device.backend().launch(self, &views, outputs, params);
        let wrap = |(storage, (shape, dtype)): (_, &(Shape, DType))| {
            Tensor::from_storage(storage, Layout::contiguous(shape), *dtype, device.clone())
        };
        results.into_iter().zip(outputs).map(wrap).collect()
    }

    /// The CUDA source for inputs of an element type: [`PRELUDE`](crate::expr::PRELUDE), the type `T` and the kernel.
    pub fn source(&self, input: DType) -> String {
        let ty = match input {
            DType::Bool | DType::U8 => "unsigned char",
            DType::I32 => "int",
            DType::I64 => "long long",
            DType::F16 | DType::BF16 => "unsigned short",
            DType::F32 => "float",
            DType::F64 => "double",
        };
        format!("{}typedef {ty} T;\n{}\n", crate::expr::PRELUDE, self.cuda)
    }
}
