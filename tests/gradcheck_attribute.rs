//! The attribute finds the framework by its usual name, and a test on the default device passes.

use cotangent::{check::gradcheck, prelude::*};

#[gradcheck(real([2, 3], -2.0..2.0))]
fn swish(x: &Tensor) -> Tensor {
    pointwise(|[x]| x * x.sigmoid()).call([x])
}

#[test]
fn the_test_is_there() {
    gradcheck_swish();
}
