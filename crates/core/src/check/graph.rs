//! A function evaluated on leaves, and its gradients.

use super::inputs::{Stream, elements, plain};
use crate::autograd::{Options, grads};
use crate::dtype::DType;
use crate::tensor::Tensor;

/// A function of tensors.
pub(super) type Function<'a> = dyn Fn(&[Tensor]) -> Vec<Tensor> + 'a;

/// A floating-point tensor in double precision, anything else as it is.
pub(super) fn double(x: &Tensor) -> Tensor {
    if x.dtype().is_float() { x.detach().to(DType::F64) } else { x.clone() }
}

/// The elements of all tensors, one after the other.
pub(super) fn flat(tensors: &[Tensor]) -> Vec<f64> {
    tensors.iter().flat_map(elements).collect()
}

/// A function evaluated on leaves, ready to be differentiated.
pub(super) struct Graph {
    pub(super) leaves: Vec<Tensor>,
    /// The floating-point outputs.
    pub(super) outputs: Vec<Tensor>,
}

impl Graph {
    pub(super) fn new(f: &Function, inputs: &[Tensor]) -> Graph {
        let leaf = |x: &Tensor| if x.dtype().is_float() && !x.is_tracked() { x.tracked() } else { x.clone() };
        let leaves: Vec<Tensor> = inputs.iter().map(leaf).collect();
        let outputs = differentiable(f(&leaves));
        Graph { leaves, outputs }
    }

    /// Cotangents for the outputs from their elements in order.
    pub(super) fn split(&self, weights: &[f64]) -> Vec<Tensor> {
        let mut rest = weights;
        let mut next = |y: &Tensor| {
            let (own, others) = rest.split_at(y.count());
            rest = others;
            plain(y.device(), own, y.shape(), y.dtype())
        };
        self.outputs.iter().map(&mut next).collect()
    }

    /// The gradient by each leaf; `None` where nothing depends on it.
    pub(super) fn pull(&self, cotangents: &[Tensor], record: bool) -> Vec<Option<Tensor>> {
        let roots: Vec<_> = self.outputs.iter().zip(cotangents).filter(|(y, _)| y.is_tracked()).collect();
        let wrt: Vec<&Tensor> = self.leaves.iter().collect();
        grads(&roots, &wrt, Options { retain: true, record })
    }

    /// The terms of ⟨u, Jv⟩, and ⟨Jᵀu, v⟩, for the cotangent u and a random v. Jv is the derivative of the latter by u.
    pub(super) fn transposed(&self, weights: &[f64], stream: &mut Stream) -> (Vec<f64>, f64) {
        let u: Vec<Tensor> = self.split(weights).iter().map(Tensor::tracked).collect();
        let along = |(g, x): (Option<Tensor>, &Tensor)| {
            let v = plain(x.device(), &stream.weights(x.count()), x.shape(), x.dtype());
            Some((g? * v).sum(..))
        };
        let duals: Vec<Option<Tensor>> = self.pull(&u, true).into_iter().zip(&self.leaves).map(along).collect();
        let zeros = vec![0.0; weights.len()];
        let Some(dual) = duals.into_iter().flatten().reduce(|a, b| a + b) else { return (zeros, 0.0) };
        let value = dual.item();
        if !dual.is_tracked() {
            return (zeros, value);
        }
        let tangents = grads(&[(&dual, &dual.ones_like())], &u.iter().collect::<Vec<_>>(), Options::default());
        let products = |(u, t): (&Tensor, &Option<Tensor>)| -> Vec<f64> {
            let t = t.as_ref().map_or_else(|| vec![0.0; u.count()], elements);
            t.into_iter().zip(elements(u)).map(|(t, u)| t * u).collect()
        };
        (u.iter().zip(&tangents).flat_map(products).collect(), value)
    }

    /// The elements of the gradient by each leaf, zeros where nothing depends on it.
    pub(super) fn gradients(&self, weights: &[f64]) -> Vec<Vec<f64>> {
        let found = self.pull(&self.split(weights), false);
        let values = |(g, x): (Option<Tensor>, &Tensor)| g.map_or_else(|| vec![0.0; x.count()], |g| elements(&g));
        found.into_iter().zip(&self.leaves).map(values).collect()
    }
}

/// The tensors that can carry a gradient.
pub(super) fn differentiable(outputs: Vec<Tensor>) -> Vec<Tensor> {
    outputs.into_iter().filter(|y| y.dtype().is_float()).collect()
}
