//! Random equations against the definition: a loop over all values of all indices.

use cotangent_core::{DType, Device, Tensor};
use proptest::prelude::*;
use std::collections::BTreeMap;

const LETTERS: [char; 5] = ['a', 'b', 'c', 'B', 'z'];

#[derive(Clone, Debug)]
struct Case {
    /// Letters of each operand, as positions in `LETTERS`; which axes have extent 1.
    operands: Vec<Vec<(usize, bool)>>,
    extents: [usize; 5],
    /// Which letters the result keeps, and a rotation of their order; none for the implicit result.
    output: Option<(u8, usize)>,
}

fn cases() -> impl Strategy<Value = Case> {
    let axis = (0..LETTERS.len(), prop::bool::weighted(0.15));
    let operand = prop::collection::vec(axis, 0..4);
    let extents = prop::array::uniform5(prop_oneof![1 => Just(0usize), 20 => 1..4usize]);
    let output = prop::option::of((any::<u8>(), 0..5usize));
    (prop::collection::vec(operand, 1..5), extents, output).prop_map(|(operands, extents, output)| Case {
        operands,
        extents,
        output,
    })
}

impl Case {
    /// A repeated letter of one operand must have one extent.
    fn shape(&self, operand: &[(usize, bool)]) -> Vec<usize> {
        let single = |letter: usize| operand.iter().any(|&(l, one)| l == letter && one);
        operand.iter().map(|&(letter, _)| if single(letter) { 1 } else { self.extents[letter] }).collect()
    }

    fn output(&self) -> Vec<usize> {
        let mut count = BTreeMap::new();
        self.operands.iter().flatten().for_each(|&(letter, _)| *count.entry(LETTERS[letter]).or_insert(0) += 1);
        let position = |c: char| LETTERS.iter().position(|&l| l == c).expect("a letter");
        match self.output {
            // A `BTreeMap` of characters is in NumPy's order.
            None => count.iter().filter(|(_, n)| **n == 1).map(|(&c, _)| position(c)).collect(),
            Some((mask, turn)) => {
                let mut all: Vec<usize> = count.keys().map(|&c| position(c)).filter(|k| mask >> k & 1 == 1).collect();
                let turn = turn % all.len().max(1);
                all.rotate_left(turn);
                all
            }
        }
    }

    fn equation(&self) -> String {
        let text = |letters: Vec<usize>| letters.into_iter().map(|k| LETTERS[k]).collect::<String>();
        let operands: Vec<String> =
            self.operands.iter().map(|o| text(o.iter().map(|&(letter, _)| letter).collect())).collect();
        let output = self.output.map_or(String::new(), |_| format!("->{}", text(self.output())));
        operands.join(",") + &output
    }

    /// By definition, and the gradient of Σ cotangent · result by the first operand.
    fn loops(&self, data: &[Vec<f64>], cotangent: impl Fn(usize) -> f64) -> (Vec<usize>, Vec<f64>, Vec<f64>) {
        let shapes: Vec<Vec<usize>> = self.operands.iter().map(|o| self.shape(o)).collect();
        // A letter has the extent that is not 1, if any operand has it.
        let mut extents = [1; 5];
        for (operand, shape) in self.operands.iter().zip(&shapes) {
            operand.iter().zip(shape).filter(|(_, n)| **n != 1).for_each(|(&(letter, _), &n)| extents[letter] = n);
        }
        let letters = self.output();
        let shape: Vec<usize> = letters.iter().map(|&l| extents[l]).collect();
        let (mut out, mut grad) = (vec![0.0; shape.iter().product()], vec![0.0; data[0].len()]);
        let place = |letters: &[usize], shape: &[usize], at: &[usize; 5]| {
            letters.iter().zip(shape).fold(0, |flat, (&l, &n)| flat * n + if n == 1 { 0 } else { at[l] })
        };
        for flat in 0..extents.iter().product::<usize>() {
            let mut rest = flat;
            let at = extents.map(|n| (rest % n, rest /= n).0);
            let factors: Vec<(usize, f64)> = (self.operands.iter().zip(&shapes).zip(data))
                .map(|((operand, shape), data)| {
                    let letters: Vec<usize> = operand.iter().map(|&(letter, _)| letter).collect();
                    let at = place(&letters, shape, &at);
                    (at, data[at])
                })
                .collect();
            let to = place(&letters, &shape, &at);
            out[to] += factors.iter().map(|f| f.1).product::<f64>();
            grad[factors[0].0] += cotangent(to) * factors[1..].iter().map(|f| f.1).product::<f64>();
        }
        (shape, out, grad)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_equation_is_its_loop(case in cases()) {
        let device = Device::reference();
        let number = |k: usize, seed: usize| ((k * 7 + seed * 3) as f64 * 0.61).sin() + 0.3;
        let shapes: Vec<Vec<usize>> = case.operands.iter().map(|o| case.shape(o)).collect();
        let data: Vec<Vec<f64>> = shapes.iter().enumerate()
            .map(|(seed, shape)| (0..shape.iter().product()).map(|k| number(k, seed)).collect()).collect();
        let tensors: Vec<Tensor> = data.iter().zip(&shapes).map(|(d, s)| device.tensor(d, s).tracked()).collect();
        let operands: Vec<&Tensor> = tensors.iter().collect();
        let (shape, expected, grad) = case.loops(&data, |k| number(k, 9));
        let y = Tensor::einsum(&case.equation(), &operands);
        prop_assert_eq!(&y.shape()[..], &shape[..], "{}", case.equation());
        let close = |found: Vec<f64>, wanted: &[f64]| {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-10 * (1.0 + b.abs()))
        };
        prop_assert!(close(y.detach().to_vec(), &expected), "{}", case.equation());
        let c: Vec<f64> = (0..y.count()).map(|k| number(k, 9)).collect();
        let found = (&y * device.tensor(&c, y.shape())).sum(..).backward().get_or_zeros(operands[0]);
        prop_assert!(close(found.to_vec(), &grad), "gradient of {}", case.equation());

        // The same with spaces, and with integers.
        let spaced: String = case.equation().chars().flat_map(|c| [c, ' ']).collect::<String>().replace("- >", "->");
        prop_assert_eq!(Tensor::einsum(&spaced, &operands).to_vec::<f64>(), y.to_vec::<f64>());
        let whole: Vec<Tensor> = tensors.iter().map(|x| (x.detach() * 3.0).to(DType::I32)).collect();
        let as_floats: Vec<Tensor> = whole.iter().map(|x| x.to(DType::F64)).collect();
        let z = Tensor::einsum(&case.equation(), &whole.iter().collect::<Vec<_>>());
        prop_assert_eq!(z.dtype(), DType::I32);
        let w = Tensor::einsum(&case.equation(), &as_floats.iter().collect::<Vec<_>>());
        prop_assert_eq!(z.to(DType::F64).to_vec::<f64>(), w.to_vec::<f64>());
    }
}

/// A chain of products is contracted from the small end: no intermediate result is larger than an operand.
#[test]
fn the_path_is_greedy() {
    let device = Device::new(cotangent_core::reference::Reference::default());
    let thin = device.full([400, 2], 0.5, DType::F64).contiguous();
    let vector = device.full([400], 0.5, DType::F64).contiguous();
    let before = device.memory().live;
    // ij,kj,k->i: the last two first, 2 elements, instead of 400 × 400.
    let y = Tensor::einsum("ij,kj,k->i", &[&thin, &thin, &vector]);
    assert_eq!(y.sum(..).item(), 400.0 * 2.0 * 0.5 * 100.0);
    assert!(device.memory().peak - before < 100_000, "{:?}", device.memory());
}
