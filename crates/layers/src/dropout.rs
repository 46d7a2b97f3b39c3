//! Dropout.

use crate::layer::{Layer, Mode};
use cotangent_core::expr::{Draw, draw};
use cotangent_core::{Rng, Tensor, module, pointwise};

/// Sets each element to 0 with probability p while training, and divides the others by 1 − p, so that the mean stays
/// (Srivastava et al. 2014, "Dropout", with the scale on the training side). Else the identity.
///
/// The mask is a function of the random source's state and of the position. It is drawn again for the gradient and
/// never stored.
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

impl Default for Dropout {
    /// p = ½.
    fn default() -> Dropout {
        Dropout(0.5)
    }
}

impl Layer for Dropout {
    /// # Panics
    /// If p is not from 0 to 1.
    #[track_caller]
    fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor {
        match mode.noise() {
            Some(rng) => dropout(x, self.0, rng),
            None => x.clone(),
        }
    }
}

/// Each element set to 0 with probability `p`, the others divided by 1 − p; see [`Dropout`]. For p = 0 nothing is
/// changed, for p = 1 everything is 0.
///
/// # Panics
/// If `p` is not from 0 to 1.
#[track_caller]
pub fn dropout(x: &Tensor, p: f64, rng: &Rng) -> Tensor {
    assert!((0.0..=1.0).contains(&p), "dropout: p = {p} for shape {}; a probability lies from 0 to 1", x.shape());
    let ticket = rng.ticket();
    if p == 0.0 {
        return x.clone();
    }
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    pointwise(move |[x]| draw(Draw::Uniform, ticket).ge(p).select(x * scale, 0.0)).named("dropout").call([x])
}

cotangent_core::samples!("dropout", |s| {
    use cotangent_core::check::real;
    let x = || real([5, 7], -2.0..2.0);
    s.case("half", [x()], |[x]| dropout(x, 0.5, &Rng::new(3)));
    s.case("a tenth", [x()], |[x]| dropout(x, 0.1, &Rng::new(3)));
    s.case("all", [x()], |[x]| dropout(x, 1.0, &Rng::new(3)));
});
