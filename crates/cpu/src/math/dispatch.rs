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
    match fused_bytes() {
        0 => {}
        // SAFETY: the processor has the instructions, which `fused_bytes` asked it.
        #[allow(unsafe_code)]
        bytes => return unsafe { if bytes == 64 { avx512(kernel) } else { avx2(kernel) } },
    }
    // Every 64-bit ARM processor has a fused multiply-add.
    if cfg!(target_arch = "aarch64") { kernel.run::<Fused>() } else { kernel.run::<Separate>() }
}

/// Bytes of the widest vectors of this processor that have a fused multiply-add: 64 if it has what [`avx512`] needs, 32 if it
/// has what [`avx2`] needs, else 0.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn fused_bytes() -> usize {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma")) {
        return 0;
    }
    if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") { 64 } else { 32 }
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
