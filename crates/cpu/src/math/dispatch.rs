//! Selection of the instruction set at run time.

#[cfg(target_arch = "x86_64")]
use super::fma::Wide;
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
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx2") && has!("fma") {
            // SAFETY: the processor has the instructions, which was just asked.
            #[allow(unsafe_code)]
            return unsafe {
                let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
                if wide { avx512(kernel) } else { avx2(kernel) }
            };
        }
    }
    // Every 64-bit ARM processor has a fused multiply-add.
    if cfg!(target_arch = "aarch64") { kernel.run::<Fused>() } else { kernel.run::<Separate>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Fused>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Wide>()
}
