//! Functions that are evaluated together.

use crate::backend::Call;
use crate::expr::Traced;
use crate::pointwise::{Given, Plan, Stretched};
use crate::profile::together;
use crate::shape::Layout;
use crate::tape::at_caller;
use crate::tensor::Tensor;
use smallvec::SmallVec;

/// A function with its arguments that has not been evaluated yet; see [`evaluate_all`].
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) name: &'static str,
    pub(crate) traced: Traced,
    pub(crate) args: Vec<Tensor>,
}

/// Evaluates functions that do not depend on each other, in one pass if they are on one device: what many small ones cost
/// besides their arithmetic, they cost once. Nothing is recorded for gradients, and the arguments may be overwritten.
///
/// ```
/// # use cotangent_core::*;
/// let [x, y] = [Tensor::ones([2]), Tensor::ones([3])];
/// let double = pointwise(|[x]: [Expr; 1]| x + x);
/// let results = evaluate_all(vec![double.clone().prepare([x]), double.prepare([y])]);
/// assert_eq!(results[1][0].to_vec::<f32>(), [2.0; 3]);
/// ```
///
/// # Panics
/// As [`Pointwise::call`](crate::Pointwise::call) does.
#[track_caller]
pub fn evaluate_all(mut prepared: Vec<Prepared>) -> Vec<Vec<Tensor>> {
    let Some(device) = prepared.first().map(|first| first.args[0].device().clone()) else { return vec![] };
    if prepared.iter().any(|other| other.args[0].device() != &device) {
        return at_caller(|| prepared.into_iter().flat_map(|one| evaluate_all(vec![one])).collect());
    }
    let _names = together(prepared.iter().map(|one| Some(one.name)));
    let mut plans: Vec<(Plan, Stretched)> = vec![];
    for Prepared { name, traced, args } in &prepared {
        let given: SmallVec<[Given; 4]> = args.iter().map(Given::Shared).collect();
        let plan = Plan::new(name, traced, &given);
        let stretched = Stretched::new(args.iter(), &plan.shape);
        plans.push((plan, stretched));
    }
    let mut calls = vec![];
    for (Prepared { traced, args, .. }, (plan, stretched)) in prepared.iter_mut().zip(&plans) {
        let args = args.iter_mut().enumerate().map(|(k, x)| x.give_up(stretched.get(k))).collect();
        let (program, uniforms) = (&*traced.program, &*traced.uniforms);
        calls.push(Call { program, uniforms, args, shape: &plan.shape, outputs: &plan.outputs });
    }
    let results = device.backend().map_all(calls).into_iter().zip(&plans);
    let tensors = results.map(|(storages, (plan, _))| {
        let layout = Layout::contiguous(&plan.shape);
        let made = storages.into_iter().zip(&plan.outputs);
        made.map(|(storage, &dtype)| Tensor::from_storage(storage, layout.clone(), dtype, device.clone())).collect()
    });
    tensors.collect()
}
