//! The elementary functions against correctly rounded values and, over all of `f32`, against `f64`.

use std::collections::HashMap;

use cotangent_cpu::math::{self, Fma, Fused, Kernel, Real, Separate, dispatch};

/// A function of one argument, the error bounds the documentation states, and a precise reference.
struct Unary {
    name: &'static str,
    single: fn(f32) -> f32,
    double: fn(f64) -> f64,
    /// In units in the last place of `f32` and `f64`.
    bounds: (f64, f64),
    /// 1 for an increasing function, -1 for a decreasing one, otherwise 0.
    direction: i8,
    reference: fn(f64) -> f64,
}

/// Calls `$with!` with the table of all functions of one argument.
macro_rules! with_unary {
    ($with:ident) => {
        $with! {
            exp 0.95 0.95 1 libm::exp;
            exp2 1.1 1.1 1 libm::exp2;
            expm1 1.5 1.5 1 libm::expm1;
            log 0.8 0.8 1 libm::log;
            log1p 1.4 0.9 1 libm::log1p;
            log2 1.7 1.7 1 libm::log2;
            log10 1.9 1.8 1 libm::log10;
            sin 0.6 0.8 0 libm::sin;
            cos 0.6 0.8 0 libm::cos;
            tan 1.4 2.0 0 libm::tan;
            asin 0.7 0.7 1 libm::asin;
            acos 1.1 0.6 -1 libm::acos;
            atan 1.9 1.7 1 libm::atan;
            sinh 2.1 1.9 1 libm::sinh;
            cosh 1.3 1.3 0 libm::cosh;
            tanh 1.3 1.4 1 libm::tanh;
            asinh 1.8 1.7 1 libm::asinh;
            acosh 2.0 2.1 1 |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) };
            atanh 2.1 1.9 1 libm::atanh;
            erf 1.3 1.2 1 libm::erf;
            erfc 0.6 2.3 -1 libm::erfc;
            sigmoid 1.9 1.9 1 |x| if x < -40.0 { libm::exp(x) } else { 1.0 / (1.0 + libm::exp(-x)) };
            softplus 1.7 1.6 1 |x| x.max(0.0) + libm::log1p(libm::exp(-x.abs()));
        }
    };
}

macro_rules! define_unary {
    ($($name:ident $f32:literal $f64:literal $direction:literal $reference:expr;)*) => {
        fn unary<F: Fma>() -> Vec<Unary> {
            vec![$(Unary {
                name: stringify!($name),
                single: math::$name::<F, f32>,
                double: math::$name::<F, f64>,
                bounds: ($f32, $f64),
                direction: $direction,
                reference: $reference,
            }),*]
        }

        /// Every function over the same arguments, each in a loop of its own.
        struct Loops<'a, T>(&'a [T]);

        impl<T: Real> Kernel for Loops<'_, T> {
            type Output = (bool, Vec<Vec<T>>);

            #[inline(always)]
            fn run<F: Fma>(self) -> Self::Output {
                let mut outputs = Vec::new();
                $({
                    let mut y = vec![T::default(); self.0.len()];
                    for (y, &x) in y.iter_mut().zip(self.0) {
                        *y = math::$name::<F, T>(x);
                    }
                    outputs.push(y);
                })*
                (F::FUSED, outputs)
            }
        }
    };
}

with_unary!(define_unary);

/// A function of two arguments.
struct Binary {
    name: &'static str,
    single: fn(f32, f32) -> f32,
    double: fn(f64, f64) -> f64,
    bounds: (f64, f64),
    reference: fn(f64, f64) -> f64,
}

fn binary<F: Fma>() -> Vec<Binary> {
    macro_rules! rows {
        ($($name:ident $f32:literal $f64:literal $reference:expr;)*) => {
            vec![$(Binary {
                name: stringify!($name),
                single: math::$name::<F, f32>,
                double: math::$name::<F, f64>,
                bounds: ($f32, $f64),
                reference: $reference,
            }),*]
        };
    }
    rows! {
        pow 0.6 0.9 libm::pow;
        atan2 1.9 1.7 libm::atan2;
        hypot 1.2 1.2 libm::hypot;
        logaddexp 2.1 1.9 logaddexp;
    }
}

fn logaddexp(a: f64, b: f64) -> f64 {
    let (larger, smaller) = (a.max(b), a.min(b));
    let exponent = smaller - larger;
    let part = exponent + larger;
    let low = (smaller - part) + ((part - exponent) - larger);
    let low = if low.is_finite() { low } else { 0.0 };
    larger + libm::log1p(libm::exp(exponent) * (1.0 + low))
}

/// The error of `y` in units in the last place that `exact` has in a format of `digits` bits
/// whose least exponent is `least`; infinite if just one of them is NaN or they differ in sign of zero.
fn error(y: f64, exact: f64, digits: i32, (least, overflow): (i32, f64)) -> f64 {
    if y.is_nan() || exact.is_nan() {
        return if y.is_nan() && exact.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if y == exact || y.abs() >= overflow && exact.abs() >= overflow && y.signum() == exact.signum() {
        return if y.is_sign_negative() == exact.is_sign_negative() { 0.0 } else { f64::INFINITY };
    }
    // Half of everything, as the first number out of range may not be in the range of f64 either.
    let half = |x: f64| if x.is_infinite() { (overflow / 2.0).copysign(x) } else { x / 2.0 };
    let exponent = libm::ilogb(exact.clamp(-f64::MAX, f64::MAX)).max(least);
    libm::scalbn((half(y) - half(exact)).abs(), digits - exponent)
}

fn error32(y: f32, exact: f64) -> f64 {
    // What f32 rounds to infinity counts as such.
    error(f64::from(y), exact, 24, (-126, 3.402_823_567_797_336_6e38))
}

fn error64(y: f64, exact: f64) -> f64 {
    error(y, exact, 53, (-1022, f64::INFINITY))
}

/// Every so-manieth of all bit patterns, a prime number apart.
fn sweep() -> impl Iterator<Item = f32> {
    let step = if cfg!(debug_assertions) { 40_009 } else { 4_001 };
    (0..=u32::MAX).step_by(step).map(f32::from_bits)
}

/// Arguments where something special may happen.
fn specials() -> Vec<f64> {
    let mut xs = vec![0.0, f64::INFINITY, f64::NAN];
    for k in
        [-1074, -1060, -1023, -1022, -149, -140, -127, -126, -55, -30, -25, -13, -1, 0, 1, 2, 10, 19, 20, 21, 127, 1023]
    {
        let x = libm::scalbn(1.0, k);
        xs.extend([x, x.next_up(), x.next_down(), 1.5 * x]);
    }
    for x in [3.0, 88.5, 89.0, 100.0, 104.0, 128.0, 150.0, 708.5, 709.5, 710.0, 710.3, 710.6, 745.0, 746.0, 1075.0] {
        xs.push(x);
    }
    let negative: Vec<f64> = xs.iter().map(|x| -x).collect();
    [xs, negative].concat()
}

/// A number or the name of one that JSON lacks.
fn numbers(case: &serde_json::Value, key: &str) -> Vec<f64> {
    let number =
        |v: &serde_json::Value| v.as_f64().unwrap_or_else(|| v.as_str().expect("a number").parse().expect("a number"));
    case[key].as_array().expect("a list").iter().map(number).collect()
}

fn golden() -> HashMap<String, serde_json::Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/scalar.json");
    let text = std::fs::read_to_string(path).expect("golden file");
    let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let cases = file["cases"].as_array().expect("cases");
    cases.iter().map(|case| (case["name"].as_str().expect("a name").to_owned(), case.clone())).collect()
}

/// The greatest error seen and the arguments that had it.
#[derive(Default)]
struct Worst(f64, String);

impl Worst {
    fn add(&mut self, error: f64, at: impl std::fmt::Debug) {
        if error > self.0 {
            *self = Worst(error, format!("{at:?}"));
        }
    }

    fn check(&self, name: &str, format: &str, bound: f64) {
        println!("{name} {format}: {:.3} ulp at {}", self.0, self.1);
        assert!(self.0 <= bound, "{name} {format}: {} ulp > {bound} at {}", self.0, self.1);
    }
}

fn check_golden<F: Fma>() {
    let golden = golden();
    for f in unary::<F>() {
        let (xs, ys) = (numbers(&golden[f.name], "xs"), numbers(&golden[f.name], "y"));
        let mut worst = Worst::default();
        for (&x, &y) in xs.iter().zip(&ys) {
            worst.add(error64((f.double)(x), y), (x, (f.double)(x), y));
        }
        worst.check(f.name, "f64", f.bounds.1 + 0.5);
    }
    for f in binary::<F>() {
        let case = &golden[f.name];
        let mut worst = Worst::default();
        for ((&a, &b), &y) in numbers(case, "a").iter().zip(&numbers(case, "b")).zip(&numbers(case, "y")) {
            let scale = cancelled(f.name, a, b, y);
            worst.add(error64((f.double)(a, b), y) * scale, (a, b, (f.double)(a, b), y));
        }
        worst.check(f.name, "f64", f.bounds.1 + 0.5);
    }
}

/// The size of the result relative to that of its terms, to which `logaddexp` is precise.
fn cancelled(name: &str, a: f64, b: f64, y: f64) -> f64 {
    let larger = a.max(b);
    let scale = (y / larger.abs().max((y - larger).abs())).abs();
    if name == "logaddexp" && scale < 1.0 { scale } else { 1.0 }
}

fn check_sweep<F: Fma>() {
    for f in unary::<F>() {
        let mut worst = Worst::default();
        for x in sweep().chain(specials().iter().map(|&x| x as f32)) {
            let exact = (f.reference)(f64::from(x));
            worst.add(error32((f.single)(x), exact), (x, (f.single)(x), exact));
        }
        worst.check(f.name, "f32", f.bounds.0);
    }
    let mut random = 1_u64;
    let mut next = |exponents: u32| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = (random >> 32) as u32;
        // Keeps the sign and the fraction; the exponent lies around that of 1.
        f32::from_bits((bits & 0x807f_ffff) | ((127 - exponents / 2 + (bits >> 23) % exponents) << 23))
    };
    for f in binary::<F>() {
        let mut worst = Worst::default();
        for i in 0..if cfg!(debug_assertions) { 30_000 } else { 1_000_000 } {
            let exponents = [4, 16, 64, 252][i % 4];
            let (a, b) = (next(exponents), next(exponents));
            let exact = (f.reference)(f64::from(a), f64::from(b));
            let scale = cancelled(f.name, f64::from(a), f64::from(b), exact);
            worst.add(error32((f.single)(a, b), exact) * scale, (a, b, (f.single)(a, b), exact));
        }
        worst.check(f.name, "f32", f.bounds.0);
    }
}

#[test]
fn golden_values_fused() {
    check_golden::<Fused>();
}

#[test]
fn golden_values_separate() {
    check_golden::<Separate>();
}

#[test]
fn all_of_f32_fused() {
    check_sweep::<Fused>();
}

#[test]
fn all_of_f32_separate() {
    check_sweep::<Separate>();
}

/// libm's results are within one unit themselves, except near the ends of the exponent range.
#[test]
fn special_arguments_of_f64() {
    for f in unary::<Fused>().into_iter().chain(unary::<Separate>()) {
        let mut worst = Worst::default();
        for x in specials() {
            let exact = (f.reference)(x);
            worst.add(error64((f.double)(x), exact), (x, (f.double)(x), exact));
        }
        worst.check(f.name, "f64", f.bounds.1 + 1.0);
    }
}

#[test]
fn special_pairs() {
    let xs: Vec<f64> = [specials(), (-9..=9).map(f64::from).collect(), vec![0.3, -0.3, 9e15, -9e15]].concat();
    for f in binary::<Fused>().into_iter().chain(binary::<Separate>()) {
        let (mut worst32, mut worst64) = (Worst::default(), Worst::default());
        for &a in &xs {
            for &b in &xs {
                if f.name == "logaddexp" && (a == b || a.is_nan() || b.is_nan()) {
                    continue; // The formula of the reference fails.
                }
                let exact = (f.reference)(a, b);
                worst64.add(
                    error64((f.double)(a, b), exact) * cancelled(f.name, a, b, exact),
                    (a, b, (f.double)(a, b), exact),
                );
                let (a, b) = (a as f32, b as f32);
                if f.name == "logaddexp" && a == b {
                    continue;
                }
                let exact = (f.reference)(f64::from(a), f64::from(b));
                let scale = cancelled(f.name, f64::from(a), f64::from(b), exact);
                worst32.add(error32((f.single)(a, b), exact) * scale, (a, b, (f.single)(a, b), exact));
            }
        }
        worst32.check(f.name, "f32", f.bounds.0);
        worst64.check(f.name, "f64", f.bounds.1 + 1.0);
    }
    for (a, b, y) in [
        (f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY),
        (f64::INFINITY, f64::INFINITY, f64::INFINITY),
        (f64::NAN, 0.0, f64::NAN),
        (0.0, f64::NAN, f64::NAN),
        (f64::INFINITY, f64::NAN, f64::NAN),
        (f64::NAN, f64::NEG_INFINITY, f64::NAN),
    ] {
        assert_eq!(error64(math::logaddexp::<Separate, f64>(a, b), y), 0.0, "{a} {b}");
    }
}

/// The powers that IEEE 754 and C fix, `(x, y, x^y)`.
#[test]
#[rustfmt::skip]
fn powers() {
    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;
    for (x, y, power) in [
        (0.0, -3.0, INF), (-0.0, -3.0, -INF), (-0.0, -2.0, INF), (-0.0, -0.5, INF), (0.0, -INF, INF),
        (-0.0, -INF, INF), (0.0, 3.0, 0.0), (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (-0.0, 0.5, 0.0),
        (-0.0, INF, 0.0), (-1.0, INF, 1.0), (-1.0, -INF, 1.0), (1.0, INF, 1.0), (1.0, NAN, 1.0),
        (NAN, 0.0, 1.0), (NAN, -0.0, 1.0), (INF, 0.0, 1.0), (-INF, 0.0, 1.0), (0.0, 0.0, 1.0), (-2.0, 0.5, NAN),
        (-2.0, 1e-300, NAN), (NAN, 2.0, NAN), (2.0, NAN, NAN), (-1.0, NAN, NAN), (0.5, -INF, INF),
        (-0.5, -INF, INF), (2.0, -INF, 0.0), (-2.0, -INF, 0.0), (0.5, INF, 0.0), (2.0, INF, INF),
        (-INF, -3.0, -0.0), (-INF, -2.0, 0.0), (-INF, -0.5, 0.0), (-INF, 3.0, -INF), (-INF, 2.0, INF),
        (-INF, 0.5, INF), (INF, -1.0, 0.0), (INF, 0.5, INF), (-2.0, 3.0, -8.0), (-2.0, -2.0, 0.25),
        (-1.0, 9_007_199_254_740_991.0, -1.0), (-1.0, 4_503_599_627_370_497.0, -1.0),
        (-1.0, 9_007_199_254_740_992.0, 1.0),
    ] {
        assert_eq!(error64(math::pow::<Fused, f64>(x, y), power), 0.0, "{x}^{y}");
        assert_eq!(error64(math::pow::<Separate, f64>(x, y), power), 0.0, "{x}^{y}");
        // The same in f32, where the exponent is in its range.
        let single = y as f32;
        if f64::from(single) == y || y.is_nan() {
            assert_eq!(error32(math::pow::<Separate, f32>(x as f32, single), power), 0.0, "{x}^{y}");
        }
    }
    assert_eq!(math::pow::<Separate, f32>(-1.0, 16_777_215.0), -1.0);
    assert_eq!(math::pow::<Separate, f32>(-1.0, 8_388_609.0), -1.0);
    assert_eq!(math::pow::<Separate, f32>(-1.0, 16_777_216.0), 1.0);
}

/// Where a function is flatter than the rounding error it may still fall by one unit.
#[test]
fn monotone() {
    // The order of the numbers: the negative bit patterns backwards, then the positive ones.
    let mut xs: Vec<f32> = sweep().filter(|x| !x.is_nan()).collect();
    xs.sort_by(f32::total_cmp);
    for f in unary::<Fused>().into_iter().chain(unary::<Separate>()).filter(|f| f.direction != 0) {
        let ys = xs.iter().map(|&x| (x, (f.single)(x) * f32::from(f.direction))).filter(|(_, y)| !y.is_nan());
        let ys: Vec<(f32, f32)> = ys.collect();
        for pair in ys.windows(2) {
            assert!(pair[0].1 <= pair[1].1.next_up(), "{} at {pair:?}", f.name);
        }
    }
}

/// A loop in the widest instruction set gives the same bits as single calls.
#[test]
fn loops_equal_calls() {
    type Named<T> = (&'static str, fn(T) -> T);
    fn check<T: Real>(xs: &[T], fused: Vec<Named<T>>, separate: Vec<Named<T>>) {
        let (is_fused, outputs) = dispatch(Loops(xs));
        for ((name, f), ys) in if is_fused { fused } else { separate }.into_iter().zip(outputs) {
            for (&x, &y) in xs.iter().zip(&ys) {
                let expected = f(x);
                assert!(y == expected || y.is_nan() && expected.is_nan(), "{name} {x:?}: {y:?} {expected:?}");
            }
        }
    }
    let xs: Vec<f32> = sweep().step_by(20).collect();
    let table = |fs: Vec<Unary>| fs.into_iter().map(|f| (f.name, f.single)).collect();
    check(&xs, table(unary::<Fused>()), table(unary::<Separate>()));
    let xs: Vec<f64> = xs.iter().map(|&x| f64::from(x).powi(5)).chain(specials()).collect();
    let table = |fs: Vec<Unary>| fs.into_iter().map(|f| (f.name, f.double)).collect();
    check(&xs, table(unary::<Fused>()), table(unary::<Separate>()));
}

#[test]
fn slices_of_trigonometric_functions() {
    type Row<T> = (fn(&[T], &mut [T]), fn(T) -> T);
    fn check<F: Fma, T: Real>(xs: &[T]) {
        let mut y = vec![T::default(); xs.len()];
        let rows: [Row<T>; 3] = [
            (math::sin_slice::<F, T>, math::sin::<F, T>),
            (math::cos_slice::<F, T>, math::cos::<F, T>),
            (math::tan_slice::<F, T>, math::tan::<F, T>),
        ];
        for (slice, call) in rows {
            slice(xs, &mut y);
            for (&x, &y) in xs.iter().zip(&y) {
                assert!(y == call(x) || y.is_nan() && call(x).is_nan(), "{x:?}");
            }
        }
    }
    let far = [1e6, 1e7, -1e22, 0.5, f64::MAX, f64::INFINITY, f64::NAN, -0.0];
    check::<Fused, f64>(&far);
    check::<Separate, f64>(&far[..4]);
    check::<Separate, f32>(&far.map(|x| x as f32));
    check::<Separate, f32>(&[0.25, -7.0, 1e5]);
    check::<Fused, f32>(&[]);
}
