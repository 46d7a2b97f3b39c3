//! Sine, cosine and tangent.
//!
//! Beyond [`Real::NEAR`] the argument reduction needs many words of π. That is left to the standard
//! library, whose call keeps a loop from being vectorized; hence the functions of slices, which look
//! for such arguments afterwards.

use super::fma::Fma;
use super::real::Real;

macro_rules! trigonometric {
    ($($what:literal $name:ident $slice:ident $near:ident $far:ident)*) => {$(
        #[doc = concat!("The ", $what, "; in a loop prefer [`", stringify!($slice), "`].")]
        #[inline(always)]
        pub fn $name<F: Fma, T: Real>(x: T) -> T {
            if x.abs() > T::NEAR { x.$far() } else { x.$near::<F>() }
        }

        #[doc = concat!("`y[i] = ", stringify!($name), " x[i]`, vectorized.")]
        ///
        /// # Panics
        ///
        /// Panics if the lengths differ.
        #[inline(always)]
        pub fn $slice<F: Fma, T: Real>(x: &[T], y: &mut [T]) {
            assert_eq!(x.len(), y.len());
            for (y, &x) in y.iter_mut().zip(x) {
                *y = x.$near::<F>();
            }
            if x.iter().fold(false, |far, x| far | (x.abs() > T::NEAR)) {
                replace_far(x, y, T::$far);
            }
        }
    )*};
}

trigonometric! {
    "sine" sin sin_slice sin_near sin_far
    "cosine" cos cos_slice cos_near cos_far
    "tangent" tan tan_slice tan_near tan_far
}

#[cold]
#[inline(never)]
fn replace_far<T: Real>(x: &[T], y: &mut [T], f: impl Fn(T) -> T) {
    for (y, &x) in y.iter_mut().zip(x) {
        if x.abs() > T::NEAR {
            *y = f(x);
        }
    }
}
