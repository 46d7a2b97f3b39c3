//! Dropout and its relatives. Masks are functions of the random source's state and of the position: the gradient draws
//! them again, nothing is stored.

use crate::layer::{Layer, Mode};
use cotangent_core::expr::{Draw, draw};
use cotangent_core::{Expr, Rng, Tensor, module, pointwise};

/// Sets each element to 0 with probability p while training, and divides the others by 1 − p, so that the mean stays
/// (Srivastava et al. 2014, "Dropout", with the scale on the training side). Else the identity.
///
/// ```
/// use cotangent_core::*;
/// use cotangent_layers::*;
/// let y = Dropout(0.5).forward(&Tensor::ones([100]), &Mode::Train(&Rng::new(1)));
/// assert!(y.to_vec::<f32>().iter().all(|&y| y == 0.0 || y == 2.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout(pub f64);
module!(Dropout { ; 0 });

/// [`Dropout`] of whole channels: all elements with the same places on axes 0 and 1 together (Tompson et al. 2015), for
/// images, whose neighbouring pixels say the same.
#[doc(alias = "Dropout1d")]
#[doc(alias = "Dropout2d")]
#[doc(alias = "Dropout3d")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelDropout(pub f64);
module!(ChannelDropout { ; 0 });

/// Sets each element to the lower limit of [`Selu`](crate::Selu) with probability p while training, and scales and shifts
/// so that mean 0 and variance 1 stay (Klambauer et al. 2017).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlphaDropout(pub f64);
module!(AlphaDropout { ; 0 });

/// Multiplies each element by a normal number of mean 1 and variance p/(1 − p) while training (Srivastava et al. 2014,
/// section 10), which has the moments of [`Dropout`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianDropout(pub f64);
module!(GaussianDropout { ; 0 });

macro_rules! layers {
    ($($T:ident $f:ident;)*) => {$(
        impl Default for $T {
            /// p = ½.
            fn default() -> $T {
                $T(0.5)
            }
        }
        impl Layer for $T {
            /// # Panics
            /// If p is not from 0 to 1.
            #[track_caller]
            fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor {
                match mode.noise() {
                    Some(rng) => $f(x, self.0, rng),
                    None => x.clone(),
                }
            }
        }
    )*};
}
layers! {
    Dropout dropout;
    ChannelDropout channel_dropout;
    AlphaDropout alpha_dropout;
    GaussianDropout gaussian_dropout;
}

/// Each element set to 0 with probability `p`, the others divided by 1 − p; see [`Dropout`]. For p = 0 nothing is
/// changed, for p = 1 everything is 0.
///
/// # Panics
/// If `p` is not from 0 to 1.
#[track_caller]
pub fn dropout(x: &Tensor, p: f64, rng: &Rng) -> Tensor {
    check("dropout", x, p);
    let ticket = rng.ticket();
    if p == 0.0 {
        return x.clone();
    }
    let scale = scale(p);
    pointwise(move |[x]| draw(Draw::Uniform, ticket).ge(p).select(x * scale, 0.0)).named("dropout").call([x])
}

/// All elements with the same places on axes 0 and 1 set to 0 together; see [`ChannelDropout`].
///
/// # Panics
/// If `p` is not from 0 to 1, or there are fewer than two axes.
#[track_caller]
pub fn channel_dropout(x: &Tensor, p: f64, rng: &Rng) -> Tensor {
    check("channel_dropout", x, p);
    let mut shape = x.shape().clone();
    assert!(shape.len() >= 2, "channel_dropout: shape {shape} has no axis of channels; use dropout");
    let ticket = rng.ticket();
    if p == 0.0 {
        return x.clone();
    }
    shape[2..].fill(1);
    let scale = scale(p);
    let keep = pointwise(move |[_x]| draw(Draw::Uniform, ticket).ge(p)).call([x.device().full(shape, 0.0, x.dtype())]);
    pointwise(move |[x, keep]| keep.select(x * scale, 0.0)).named("channel_dropout").call([x, &keep])
}

/// Each element set to the lower limit of `selu` with probability `p`, then scaled and shifted; see [`AlphaDropout`].
///
/// # Panics
/// If `p` is not from 0 to below 1.
#[track_caller]
pub fn alpha_dropout(x: &Tensor, p: f64, rng: &Rng) -> Tensor {
    check("alpha_dropout", x, p);
    assert!(p < 1.0, "alpha_dropout: p = 1 leaves nothing whose variance could be kept");
    let ticket = rng.ticket();
    if p == 0.0 {
        return x.clone();
    }
    // −λα of selu.
    const LIMIT: f64 = -1.758_099_340_847_376_6;
    let scale = 1.0 / ((1.0 - p) * (1.0 + p * LIMIT * LIMIT)).sqrt();
    let shift = -scale * p * LIMIT;
    let formula = move |[x]: [Expr; 1]| draw(Draw::Uniform, ticket).ge(p).select(x, LIMIT) * scale + shift;
    pointwise(formula).named("alpha_dropout").call([x])
}

/// Each element times a normal number of mean 1 and variance p/(1 − p); see [`GaussianDropout`].
///
/// # Panics
/// If `p` is not from 0 to below 1.
#[track_caller]
pub fn gaussian_dropout(x: &Tensor, p: f64, rng: &Rng) -> Tensor {
    check("gaussian_dropout", x, p);
    assert!(p < 1.0, "gaussian_dropout: p = 1 asks for an infinite variance");
    let ticket = rng.ticket();
    if p == 0.0 {
        return x.clone();
    }
    let deviation = (p / (1.0 - p)).sqrt();
    let formula = move |[x]: [Expr; 1]| x * (draw(Draw::Normal, ticket) * deviation + 1.0);
    pointwise(formula).named("gaussian_dropout").call([x])
}

#[track_caller]
fn check(op: &str, x: &Tensor, p: f64) {
    assert!((0.0..=1.0).contains(&p), "{op}: p = {p} for shape {}; a probability lies from 0 to 1", x.shape());
}

/// What keeps the mean: 1/(1 − p). Nothing is left to be scaled for p = 1.
fn scale(p: f64) -> f64 {
    if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 }
}

cotangent_core::samples!("dropout", |s| {
    use cotangent_core::check::real;
    let x = || real([5, 7], -2.0..2.0);
    s.case("half", [x()], |[x]| dropout(x, 0.5, &Rng::new(3)));
    s.case("a tenth", [x()], |[x]| dropout(x, 0.1, &Rng::new(3)));
    s.case("all", [x()], |[x]| dropout(x, 1.0, &Rng::new(3)));
});
cotangent_core::samples!("channel_dropout", |s| {
    use cotangent_core::check::real;
    s.case("images", [real([3, 4, 2, 2], -2.0..2.0)], |[x]| channel_dropout(x, 0.5, &Rng::new(3)));
    s.case("matrix", [real([3, 4], -2.0..2.0)], |[x]| channel_dropout(x, 0.3, &Rng::new(3)));
});
cotangent_core::samples!("alpha_dropout", |s| {
    use cotangent_core::check::real;
    s.case("half", [real([5, 7], -2.0..2.0)], |[x]| alpha_dropout(x, 0.5, &Rng::new(3)));
});
cotangent_core::samples!("gaussian_dropout", |s| {
    use cotangent_core::check::real;
    s.case("half", [real([5, 7], -2.0..2.0)], |[x]| gaussian_dropout(x, 0.5, &Rng::new(3)));
});
