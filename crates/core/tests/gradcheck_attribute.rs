//! The attribute that makes a test of a function.

use cotangent_core::check::{Gradcheck, gradcheck};
use cotangent_core::*;

const WIDTH: usize = 3;

#[gradcheck(real([2, WIDTH], -2.0..2.0), crate = cotangent_core)]
fn swish(x: &Tensor) -> Tensor {
    x * x.sigmoid()
}

/// Several inputs, options, several outputs, and a name that `check` has as well.
#[gradcheck(real([4, 2], 0.5..2.0), index([3], 4), truth([3, 1]), orders = 1, seed = 3, crate = ::cotangent_core)]
pub(crate) fn index(x: &Tensor, rows: &Tensor, mask: &Tensor) -> [Tensor; 2] {
    let chosen = x.index_select(0, rows);
    [mask.select(&chosen, &chosen.exp()), x.log()]
}

/// A gradient that is wrong by 1 %, which the tolerance allows.
#[gradcheck(distinct([3], -1.0..1.0), rtol = 0.1, orders = 1, crate = cotangent_core)]
fn r#loop(x: &Tensor) -> Tensor {
    x.detach().record("loop").wrt(x, [], |g, []| g * 1.01).done()
}

#[test]
#[allow(unnameable_test_items)] // the harness must not run it, as it fails
fn a_wrong_gradient_fails() {
    #[gradcheck(real([4, 5], 0.5..2.0), crate = cotangent_core)]
    fn scaled(x: &Tensor) -> Tensor {
        x.detach().record("scaled").wrt(x, [], |g, []| g * 1.01).done()
    }
    let text = attempt(gradcheck_scaled).unwrap_err().to_string();
    assert!(text.contains("gradient 1.01e0") && text.contains("f64 of shape [1, 1]"), "{text}");
}

#[test]
fn functions_are_unchanged() {
    let x = Tensor::new([1.0], [1]);
    assert_eq!(swish(&x).to_vec::<f32>(), (&x * x.sigmoid()).to_vec::<f32>());
    assert_eq!(r#loop(&x).item(), 1.0);
    assert_eq!(Gradcheck::new().run(|[x]| swish(x), [&x]).counts().failures, 0);
    let rows = Tensor::from_slice(&[0i64], [1]);
    assert_eq!(index(&x.reshape([1, 1]), &rows, &rows.eq(0.0)).len(), 2);
}
