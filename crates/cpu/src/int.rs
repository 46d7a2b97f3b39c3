//! Primitives and folds of integers and truth values, in wrapping `i64`.

use crate::lanes::fold_into;
use crate::number::{Number, Wide};
use cotangent_core::Element;
use cotangent_core::backend::Fold;
use cotangent_core::expr::{Binary, Draw, Unary};

/// The common primitives, as loops that the compiler vectorizes; `false` for the others.
fn common(op: Binary, to: &mut [i64], a: &[i64], b: &[i64]) -> bool {
    macro_rules! pairs {
        (|$x:ident, $y:ident| $e:expr) => {{
            for ((to, &$x), &$y) in to.iter_mut().zip(a).zip(b) {
                *to = $e;
            }
        }};
    }
    match op {
        Binary::Add => pairs!(|x, y| x.wrapping_add(y)),
        Binary::Sub => pairs!(|x, y| x.wrapping_sub(y)),
        Binary::Mul => pairs!(|x, y| x.wrapping_mul(y)),
        Binary::Eq => pairs!(|x, y| (x == y) as i64),
        Binary::Ne => pairs!(|x, y| (x != y) as i64),
        Binary::Lt => pairs!(|x, y| (x < y) as i64),
        Binary::Le => pairs!(|x, y| (x <= y) as i64),
        Binary::Gt => pairs!(|x, y| (x > y) as i64),
        Binary::Ge => pairs!(|x, y| (x >= y) as i64),
        Binary::And => pairs!(|x, y| ((x != 0) & (y != 0)) as i64),
        Binary::Or => pairs!(|x, y| ((x != 0) | (y != 0)) as i64),
        Binary::Xor => pairs!(|x, y| ((x != 0) != (y != 0)) as i64),
        _ => return false,
    }
    true
}

impl Number for i64 {
    type Wide = i64;
    fn of(x: f64) -> i64 {
        x as i64
    }
    #[inline(always)]
    fn read<E: Element>(x: E) -> i64 {
        x.to_i64()
    }
    #[inline(always)]
    fn write<E: Element>(self) -> E {
        E::from_i64(self)
    }
    #[inline(always)]
    fn widen(self) -> i64 {
        self
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }
    fn unary(op: Unary, to: &mut [i64], a: &[i64]) {
        let f = op.int().expect("checked: the primitive has an integer form");
        to.iter_mut().zip(a).for_each(|(to, &x)| *to = f(x));
    }
    fn binary(op: Binary, to: &mut [i64], a: &[i64], b: &[i64]) {
        if !common(op, to, a, b) {
            let f = op.int().expect("checked: the primitive has an integer form");
            to.iter_mut().zip(a).zip(b).for_each(|((to, &x), &y)| *to = f(x, y));
        }
    }
    fn select(to: &mut [i64], condition: &[i64], a: &[i64], b: &[i64]) {
        for (((to, &c), &x), &y) in to.iter_mut().zip(condition).zip(a).zip(b) {
            *to = if c != 0 { x } else { y };
        }
    }
    fn random(_: Draw, _: [u32; 4], _: u64, _: &mut [i64]) {
        unreachable!("checked: random numbers are floating-point")
    }
    fn fold_rows(fold: Fold, rows: &[i64], len: usize, to: &mut [i64]) {
        for (row, to) in rows.chunks(len).zip(to) {
            *to = row.iter().fold(i64::start(fold), |a, &b| a.join(b, fold));
        }
    }
    fn fold_into(fold: Fold, acc: &mut [i64], row: &[i64]) {
        match fold {
            Fold::Sum => fold_into!(acc, row, |x, y| x.wrapping_add(y)),
            Fold::Prod => fold_into!(acc, row, |x, y| x.wrapping_mul(y)),
            Fold::Max => fold_into!(acc, row, |x, y| x.max(y)),
            Fold::Min => fold_into!(acc, row, |x, y| x.min(y)),
        }
    }
    fn flush(fold: Fold, to: &mut [i64], row: &[i64]) {
        i64::fold_into(fold, to, row);
    }
    #[inline(always)]
    fn plus(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }
    fn start(fold: Fold) -> i64 {
        match fold {
            Fold::Sum => 0,
            Fold::Prod => 1,
            Fold::Max => i64::MIN,
            Fold::Min => i64::MAX,
        }
    }
}
