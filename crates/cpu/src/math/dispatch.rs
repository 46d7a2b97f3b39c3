//! Selection of the instruction set at run time.

use super::fma::{Fma, Fused, Separate};

/// A computation that [`dispatch`] compiles for several instruction sets.
pub trait Kernel {
    /// What it returns.
    type Output;

    /// Computes it, handing `F` on to the functions of this module.
    ///
    /// This method, and whatever it calls in its loops, must be `#[inline(always)]`: a function that
    /// is not inlined is compiled for the baseline instruction set.
    fn run<F: Fma>(self) -> Self::Output;
}

/// Runs the kernel with the widest vectors of this processor.
///
/// The processor is asked once per process; a call costs a jump that cannot be inlined, so dispatch
/// around loops, not inside of them.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    struct Adapter<K>(K);

    impl<K: Kernel> pulp::WithSimd for Adapter<K> {
        type Output = K::Output;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> K::Output {
            // Of pulp's vector instruction sets all but WebAssembly's have a fused multiply-add.
            if S::IS_SCALAR || cfg!(target_arch = "wasm32") { self.0.run::<Separate>() } else { self.0.run::<Fused>() }
        }
    }

    pulp::Arch::new().dispatch(Adapter(kernel))
}
