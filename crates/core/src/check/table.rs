//! Samples of the scalar primitives, made from their table.

use super::registry::{Samples, given, real, truth};
use crate::expr::{Binary, Domain, Unary};
use crate::pointwise::{Primitive, pointwise, with_number};
use std::borrow::Cow;

/// Every primitive's name and samples.
pub(super) fn primitives() -> Vec<(&'static str, Samples)> {
    let unary = Unary::ALL.iter().map(|&u| (u.row().name, unary_samples(u)));
    unary.chain(Binary::ALL.iter().map(|&b| (b.row().name, binary_samples(b)))).collect()
}

/// Numbers at which formulas break.
const SPECIAL: [f64; 14] =
    [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 88.0, -88.0, 1e4, -1e4, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

fn unary_samples(u: Unary) -> Samples {
    let mut s = Samples::default();
    let row = u.row();
    let x = |shape: &[usize]| real(shape, row.domains[0].clone());
    let orders = if row.truth { 0 } else { 2 };
    let integers = u.int().is_some();
    s.case("matrix", [x(&[2, 3])], move |[x]| x.unary(u)).orders(orders).any_shape().integers = integers;
    s.case("in a formula", [x(&[5])], move |[x]| pointwise(move |[x]| x.unary(u) * 2.0 + x).call([x])).integers =
        integers;
    s.case("large", [x(&[4099])], move |[x]| x.unary(u)).orders(orders);
    s.case("special values", [given([14], &SPECIAL)], move |[x]| x.unary(u)).orders(0).own_precision();
    if matches!(u, Unary::Not) {
        s.case("truth values", [truth([6])], move |[x]| x.unary(u)).orders(0);
    }
    s
}

fn binary_samples(b: Binary) -> Samples {
    let mut s = Samples::default();
    let row = b.row();
    let (da, db) = (&row.domains[0], &row.domains[1]);
    let a = |shape: &[usize]| real(shape, da.clone());
    let b_of = |shape: &[usize]| real(shape, db.clone());
    let orders = if row.truth { 0 } else { 2 };
    let integers = b.int().is_some();
    s.case("matrices", [a(&[2, 3]), b_of(&[2, 3])], move |[x, y]| x.binary(b, y)).orders(orders).any_shape().integers =
        integers;
    s.case("broadcast on the right", [a(&[2, 3]), b_of(&[3])], move |[x, y]| x.binary(b, y)).orders(orders);
    s.case("broadcast on both sides", [a(&[2, 1]), b_of(&[1, 3])], move |[x, y]| x.binary(b, y)).orders(orders);
    s.case("in a formula", [a(&[4]), b_of(&[4])], move |[x, y]| {
        pointwise(move |[x, y]| x.binary(b, y) * 2.0 + x * y).call([x, y])
    })
    .integers = integers;
    s.case("large", [a(&[67, 61]), b_of(&[67, 61])], move |[x, y]| x.binary(b, y)).orders(orders);
    let (na, nb) = (inner(da), inner(db));
    s.case("number on the right", [a(&[4])], move |[x]| x.binary(b, nb)).orders(orders);
    s.case("number on the left", [b_of(&[4])], move |[y]| with_number(Primitive::Left(b), na, Cow::Borrowed(y)))
        .orders(orders);
    let pairs = |pick: fn(usize) -> usize| (0..14 * 14).map(|k| SPECIAL[pick(k)]).collect::<Vec<f64>>();
    let (left, right) = (pairs(|k| k / 14), pairs(|k| k % 14));
    let special = [given([14 * 14], &left), given([14 * 14], &right)];
    s.case("special values", special, move |[x, y]| x.binary(b, y)).orders(0).own_precision();
    if matches!(b, Binary::And | Binary::Or | Binary::Xor | Binary::Eq | Binary::Ne) {
        s.case("truth values", [truth([6]), truth([6])], move |[x, y]| x.binary(b, y)).orders(0);
    }
    s
}

/// A number inside of a domain, no multiple of a simple fraction of it.
fn inner(domain: &Domain) -> f64 {
    domain.start + 0.618 * (domain.end - domain.start)
}
