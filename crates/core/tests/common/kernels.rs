//! A hand-written kernel, for the tests of custom operations and of CUDA text.

use cotangent_core::{Element, HostOutput, HostView, Kernel, Tensor, with_element};

/// The heat equation's step along rows: xᵢ + r·(xᵢ₋₁ − 2xᵢ + xᵢ₊₁), with zeros beyond the ends.
pub static DIFFUSE: Kernel = Kernel {
    name: "diffuse",
    host: diffuse_on_host,
    cuda: r#"
extern "C" __global__ void diffuse(const T* x, T* y, const double* params, unsigned long long n) {
  unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x;
  unsigned long long columns = (unsigned long long)params[0], column = i % columns;
  if (i >= n) return;
  T left = column > 0 ? x[i - 1] : T(0), right = column + 1 < columns ? x[i + 1] : T(0);
  y[i] = x[i] + T(params[1]) * (left - T(2) * x[i] + right);
}
"#,
};

fn diffuse_on_host(inputs: &[HostView], outputs: &mut [HostOutput], params: &[f64]) {
    let (columns, rate) = (params[0] as usize, params[1]);
    with_element!(inputs[0].dtype, T => {
        let x = inputs[0].as_slice::<T>();
        for (i, y) in outputs[0].as_mut_slice::<T>().iter_mut().enumerate() {
            let at = |there: bool, k: usize| if there { x[k].to_f64() } else { 0.0 };
            let (left, right) = (at(i % columns > 0, i.wrapping_sub(1)), at(i % columns + 1 < columns, i + 1));
            *y = T::from_f64(x[i].to_f64() + rate * (left - 2.0 * x[i].to_f64() + right));
        }
    })
}

/// The operation: the kernel and its gradient. The step is linear and symmetric, so it is its own adjoint; written
/// with the operation itself, the gradient has every order.
#[track_caller]
pub fn diffuse(x: &Tensor, rate: f64) -> Tensor {
    let Some(&columns) = x.shape().last().filter(|_| x.dtype().is_float()) else {
        panic!("diffuse: needs rows of floating-point numbers, got {} of shape {}", x.dtype(), x.shape());
    };
    let y = DIFFUSE.call(&[x], &[(x.shape().clone(), x.dtype())], &[columns as f64, rate]).remove(0);
    y.record("diffuse").wrt(x, [], move |g, []| diffuse(g, rate)).done()
}
