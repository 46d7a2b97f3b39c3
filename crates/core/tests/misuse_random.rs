//! Random calls with random shapes, axes, element types, layouts and numbers. Each ends in a result (whose gradient can
//! be taken), or in a message that starts with the operation's name and points to the line of the call: never in an
//! index out of bounds, an overflow, an `unwrap` on `None`, or an abort.

#![allow(clippy::needless_borrows_for_generic_args)] // calls as users write them

mod common;

use common::panic_in;
use cotangent_core::check::SampleOutput;
use cotangent_core::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::cell::RefCell;

/// Draws arguments, and remembers them for the report.
struct Gen {
    state: u64,
    log: RefCell<Vec<String>>,
}

impl Gen {
    fn new(seed: u64) -> Gen {
        Gen { state: seed, log: RefCell::default() }
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ self.state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    fn noted<T: std::fmt::Debug>(&self, x: T) -> T {
        self.log.borrow_mut().push(format!("{x:?}"));
        x
    }

    fn extents(&mut self, most: u64) -> Vec<usize> {
        (0..self.below(most)).map(|_| self.pick(&[0, 1, 1, 2, 2, 3, 4])).collect()
    }

    /// A shape, sometimes absurd.
    fn shape(&mut self) -> Vec<usize> {
        let mut shape = self.extents(5);
        if self.below(8) == 0 {
            shape.push(self.pick(&[usize::MAX, usize::MAX / 2, 1 << 62]));
        }
        self.noted(shape)
    }

    /// A shape that the elements of `x` may fill.
    fn shape_of(&mut self, x: &Tensor) -> Vec<usize> {
        match self.below(3) {
            0 => self.shape(),
            1 => self.noted(vec![x.count()]),
            _ => self.noted(x.shape().iter().rev().copied().collect()),
        }
    }

    fn axis(&mut self) -> isize {
        let axis = self.pick(&[0, 0, 0, 1, 1, -1, -1, -2, 2, 3, -4, isize::MAX, isize::MIN]);
        self.noted(axis)
    }

    fn axes(&mut self) -> Axes {
        let axes = match self.below(4) {
            0 => Axes::from(..),
            1 => Axes::from(self.axis()),
            _ => Axes::from([self.axis(), self.axis()]),
        };
        if self.below(2) == 0 { keep(axes) } else { axes }
    }

    fn size(&mut self) -> usize {
        let size = self.pick(&[0, 1, 1, 2, 2, 3, 4, 7, usize::MAX, usize::MAX / 2 + 1]);
        self.noted(size)
    }

    /// A number of elements, where any would be made.
    fn count(&mut self) -> usize {
        let count = self.below(6) as usize;
        self.noted(count)
    }

    fn int(&mut self) -> isize {
        let int = self.pick(&[0, 0, 1, 1, -1, 2, -2, 5, isize::MAX, isize::MIN]);
        self.noted(int)
    }

    fn number(&mut self) -> f64 {
        let number = self.pick(&[0.0, 1.0, 1.0, -1.0, 0.5, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300]);
        self.noted(number)
    }

    fn yes(&mut self) -> bool {
        let yes = self.below(2) == 0;
        self.noted(yes)
    }

    fn dtype(&mut self) -> DType {
        let dtype = if self.below(3) > 0 { DType::F32 } else { self.pick(&DType::ALL) };
        self.noted(dtype)
    }

    /// A tensor of any shape, element type and layout, tracked or not.
    fn x(&mut self) -> Tensor {
        let shape = self.extents(4);
        let dtype = if self.below(3) > 0 { DType::F32 } else { self.pick(&DType::ALL) };
        self.made(&shape, dtype)
    }

    /// A tensor that often fits to `x`.
    fn like(&mut self, x: &Tensor) -> Tensor {
        let dtype = if self.below(6) > 0 { x.dtype() } else { self.pick(&DType::ALL) };
        let mut shape = x.shape().to_vec();
        match self.below(5) {
            0 => shape = self.extents(4),
            1 => shape.reverse(),
            2 if !shape.is_empty() => {
                let at = self.below(shape.len() as u64) as usize;
                shape[at] = self.pick(&[0, 1, 2, 3]);
            }
            _ => {}
        }
        self.made(&shape, dtype)
    }

    fn vector(&mut self, x: &Tensor, axis: usize) -> Tensor {
        let n = x.shape().get(axis).copied().unwrap_or(2);
        let n = if self.below(6) == 0 { 3 } else { n };
        self.made(&[n], x.dtype())
    }

    fn made(&mut self, shape: &[usize], dtype: DType) -> Tensor {
        let data: Vec<f64> =
            (0..shape.iter().product()).map(|_| self.pick(&[0.0, 0.25, 0.5, 1.0, 2.0, -1.5])).collect();
        let x = Tensor::from_slice(&data, shape).to(dtype);
        let x = match self.below(4) {
            0 if x.rank() > 1 => x.transpose(0, -1).contiguous().transpose(0, -1),
            1 if x.rank() > 0 => x.flip(0).contiguous().flip(0),
            2 => Tensor::stack(&[&x, &x], 0).narrow(0, 1, 1).reshape(shape),
            _ => x,
        };
        let x = if dtype.is_float() && self.below(2) == 0 { x.tracked() } else { x };
        self.log.borrow_mut().push(format!("{dtype}{shape:?}"));
        x
    }

    fn mask(&mut self, x: &Tensor) -> Tensor {
        let like = self.like(x);
        if self.below(8) == 0 { like } else { like.detach().to(DType::Bool) }
    }

    /// Positions, of which some may not exist.
    fn index(&mut self) -> Tensor {
        let shape = self.extents(4);
        self.index_of(&shape)
    }

    fn index_of(&mut self, shape: &[usize]) -> Tensor {
        let good = self.below(3) > 0;
        let some = if good { vec![0, 0, 1] } else { vec![0, 1, -1, 2, 5, -7, i64::MAX, i64::MIN] };
        let data: Vec<i64> = (0..shape.iter().product::<usize>()).map(|_| self.pick(&some)).collect();
        let x = Tensor::from_slice(&data, shape);
        self.log.borrow_mut().push(format!("index {data:?}{shape:?}"));
        if self.below(8) == 0 { x.to(self.dtype()) } else { x }
    }

    fn index_like(&mut self, x: &Tensor) -> Tensor {
        if self.below(3) == 0 { self.index() } else { self.index_of(&x.shape().to_vec()) }
    }

    fn reduction(&mut self) -> Reduction {
        self.pick(&[Reduction::Mean, Reduction::Sum, Reduction::None, Reduction::BatchMean])
    }

    fn maybe(&mut self, x: &Tensor, axis: usize) -> Option<Tensor> {
        if self.below(2) == 0 { None } else { Some(self.vector(x, axis)) }
    }
}

type Call = (&'static str, fn(&mut Gen) -> Vec<Tensor>);

macro_rules! calls {
    ($($name:literal: |$g:ident $(, $x:ident)?| $call:expr;)*) => {
        &[$(($name, |$g| {
            $(let $x = &$g.x();)?
            SampleOutput::tensors($call)
        })),*]
    };
}

const CALLS: &[Call] = calls! {
    "add": |g, x| x + g.like(x);
    "sub": |g, x| x - g.like(x);
    "mul": |g, x| x * g.number();
    "div": |g, x| x / g.like(x);
    "pow": |g, x| x.pow(&g.like(x));
    "maximum": |g, x| x.maximum(&g.like(x));
    "remainder": |g, x| x.remainder(&g.like(x));
    "floor_div": |g, x| x.floor_div(&g.like(x));
    "fmod": |g, x| x.fmod(g.number());
    "atan2": |g, x| x.atan2(&g.like(x));
    "eq": |g, x| x.eq(&g.like(x));
    "logical_and": |g, x| x.logical_and(&g.like(x));
    "neg": |_g, x| -x;
    "exp": |_g, x| x.exp();
    "sqrt": |_g, x| x.sqrt();
    "sign": |_g, x| x.sign();
    "is_nan": |_g, x| x.is_nan();
    "cube": |_g, x| x.cube();
    "true_div": |g, x| x.true_div(&g.like(x));
    "frac": |_g, x| x.frac();
    "nan_to_num": |g, x| x.nan_to_num(g.number(), g.number(), g.number());
    "lerp": |g, x| x.lerp(&g.like(x), g.number());
    "addcmul": |g, x| x.addcmul(&g.like(x), &g.like(x), g.number());
    "addcdiv": |g, x| x.addcdiv(&g.like(x), &g.like(x), g.number());
    "to": |g, x| x.to(g.dtype());
    "select": |g, x| g.mask(x).select(x, &g.like(x));
    "select_safe": |g, x| g.mask(x).select_safe(x, g.number(), |x| x.sqrt());
    "clamp": |g, x| x.clamp(g.number(), g.number());
    "clamp_min": |g, x| x.clamp_min(&g.like(x));
    "masked_fill": |g, x| x.masked_fill(&g.mask(x), g.number());
    "masked_select": |g, x| x.masked_select(&g.mask(x));
    "masked_scatter": |g, x| x.masked_scatter(&g.mask(x), &g.like(x));
    "sum": |g, x| x.sum(g.axes());
    "prod": |g, x| x.prod(g.axes());
    "max": |g, x| x.max(g.axes());
    "min": |g, x| x.min(g.axes());
    "aminmax": |g, x| x.aminmax(g.axes());
    "mean": |g, x| x.mean(g.axes());
    "var": |g, x| x.var(g.axes(), g.number());
    "std": |g, x| x.std(g.axes(), g.number());
    "norm": |g, x| x.norm(g.number(), g.axes());
    "nansum": |g, x| x.nansum(g.axes());
    "nanmean": |g, x| x.nanmean(g.axes());
    "argmax": |g, x| x.argmax(g.axes());
    "argmin": |g, x| x.argmin(g.axes());
    "max_with_index": |g, x| x.max_with_index(g.axes());
    "min_with_index": |g, x| x.min_with_index(g.axes());
    "any": |g, x| x.any(g.axes());
    "all": |g, x| x.all(g.axes());
    "count_nonzero": |g, x| x.count_nonzero(g.axes());
    "isclose": |g, x| x.isclose(&g.like(x), g.number(), g.number(), g.yes());
    "logsumexp": |g, x| x.logsumexp(g.axes());
    "softmax": |g, x| x.softmax(g.axis());
    "safe_softmax": |g, x| x.safe_softmax(g.axis());
    "softmin": |g, x| x.softmin(g.axis());
    "log_softmax": |g, x| x.log_softmax(g.axis());
    "cat": |g, x| Tensor::cat(&[x, &g.like(x)], g.axis());
    "cat_nothing": |g| Tensor::cat(&[], g.axis());
    "stack": |g, x| Tensor::stack(&[x, &g.like(x)], g.axis());
    "hstack": |g, x| Tensor::hstack(&[x, &g.like(x)]);
    "vstack": |g, x| Tensor::vstack(&[x, &g.like(x)]);
    "meshgrid": |g, x| Tensor::meshgrid(&[x, &g.like(x)], Indexing::Xy);
    "block_diag": |g, x| Tensor::block_diag(&[x, &g.like(x)]);
    "split": |g, x| x.split([g.size(), g.size()], g.axis());
    "chunk": |g, x| x.chunk(g.size(), g.axis());
    "unbind": |g, x| x.unbind(g.axis());
    "narrow": |g, x| x.narrow(g.axis(), g.size(), g.size());
    "slice_assign": |g, x| x.slice_assign(g.axis(), g.size(), &g.like(x));
    "slice": |g, x| x.slice(g.axis(), g.int()..g.int());
    "slice_scatter": |g, x| x.slice_scatter(g.axis(), g.int()..g.int(), &g.like(x));
    "i": |g, x| x.i((g.int().., g.int()));
    "i_step": |g, x| x.i(step(g.int()..g.int(), g.int()));
    "i_tensor": |g, x| x.i(&g.index());
    "set": |g, x| x.set((g.int().., g.int()), &g.like(x));
    "add_at": |g, x| x.add_at(&g.index(), &g.like(x));
    "index_put": |g, x| x.index_put(&[&g.index()], g.number(), g.yes());
    "reshape": |g, x| x.reshape(g.shape_of(x));
    "reshape_infer": |g, x| x.reshape([INFER, g.size()]);
    "view_as": |g, x| x.view_as(g.shape_of(x));
    "flatten": |g, x| x.flatten(g.axis()..g.axis());
    "unflatten": |g, x| x.unflatten(g.axis(), [g.size(), g.size()]);
    "squeeze": |g, x| x.squeeze(g.axes());
    "unsqueeze": |g, x| x.unsqueeze(g.axis());
    "permute": |g, x| x.permute([g.axis(), g.axis()]);
    "transpose": |g, x| x.transpose(g.axis(), g.axis());
    "movedim": |g, x| x.movedim(g.axis(), g.axis());
    "t": |_g, x| x.t();
    "expand": |g, x| x.expand(g.like(x).shape());
    "sum_to": |g, x| x.sum_to(g.like(x).shape());
    "repeat": |g, x| x.repeat([g.size(), g.count()]);
    "tile": |g, x| x.tile([g.size(), g.count()]);
    "repeat_interleave": |g, x| x.repeat_interleave(g.size(), g.axis());
    "roll": |g, x| x.roll(g.int(), g.axis());
    "flip": |g, x| x.flip(g.axes());
    "rot90": |g, x| x.rot90(g.int(), [g.axis(), g.axis()]);
    "diagonal": |g, x| x.diagonal(g.int(), g.axis(), g.axis());
    "diag": |g, x| x.diag(g.pick(&[0, 1, -1, 3, isize::MAX, isize::MIN]));
    "tril": |g, x| x.tril(g.int());
    "triu": |g, x| x.triu(g.int());
    "unfold": |g, x| x.unfold(g.axis(), g.size(), g.size());
    "pad": |g, x| x.pad([(g.int(), g.pick(&[0, 1, 2]))], g.pick(&[Pad::Constant(0.0), Pad::Reflect, Pad::Replicate, Pad::Circular]));
    "gather": |g, x| x.gather(g.axis(), &g.index_like(x));
    "scatter": |g, x| x.scatter(g.axis(), &g.index_like(x), &g.like(x));
    "scatter_add": |g, x| x.scatter_add(g.axis(), &g.index_like(x), &g.like(x));
    "take": |g, x| x.take(&g.index());
    "take_along": |g, x| x.take_along(g.axis(), &g.index_like(x));
    "index_select": |g, x| x.index_select(g.axis(), &g.index());
    "index_add": |g, x| x.index_add(g.axis(), &g.index(), &g.like(x));
    "embedding": |g, x| x.embedding(&g.index(), g.pick(&[None, Some(0), Some(usize::MAX)]));
    "one_hot": |g| g.index().one_hot(g.pick(&[0, 1, 2, 3, usize::MAX]), g.dtype());
    "argsort": |g, x| x.argsort(g.axis(), g.yes());
    "sort": |g, x| x.sort(g.axis(), g.yes());
    "topk": |g, x| x.topk(g.size(), g.axis(), g.yes());
    "kthvalue": |g, x| x.kthvalue(g.size(), g.axes());
    "median": |g, x| x.median(g.axes());
    "quantile": |g, x| x.quantile(&[g.number(), 0.5], g.axes());
    "searchsorted": |g, x| x.searchsorted(&g.like(x), g.yes());
    "bucketize": |g, x| x.bucketize(&g.like(x), g.yes());
    "histogram": |g, x| x.histogram(g.count(), g.number(), g.number());
    "matmul": |g, x| x.matmul(&g.like(x));
    "dot": |g, x| x.dot(&g.like(x));
    "mv": |g, x| x.mv(&g.like(x));
    "mm": |g, x| x.mm(&g.like(x));
    "bmm": |g, x| x.bmm(&g.like(x));
    "outer": |g, x| x.outer(&g.like(x));
    "addmm": |g, x| x.addmm(&g.like(x), &g.like(x), g.number(), g.number());
    "einsum": |g, x| Tensor::einsum(g.pick(&["ij,jk->ik", "ij->ji", "ii", "...i,i", "i,j->", "a-b", "ij,,->", ""]), &[x, &g.like(x)]);
    "einsum_one": |g, x| Tensor::einsum(g.pick(&["ij->ji", "ii->i", "...->...", "ij->ik", "->", "i->ii"]), &[x]);
    "tensordot": |g, x| x.tensordot(&g.like(x), [g.axis()], [g.axis()]);
    "cumsum": |g, x| x.cumsum(g.axis());
    "cumprod": |g, x| x.cumprod(g.axis());
    "cummax": |g, x| x.cummax(g.axis());
    "cummin": |g, x| x.cummin(g.axis());
    "logcumsumexp": |g, x| x.logcumsumexp(g.axis());
    "linear_scan": |g, x| x.linear_scan(&g.like(x), g.axis(), g.yes());
    "prelu": |g, x| x.prelu(&g.vector(x, 1));
    "gelu": |_g, x| x.gelu();
    "elu": |g, x| x.elu(g.number());
    "hardtanh": |g, x| x.hardtanh(g.number(), g.number());
    "layer_norm": |g, x| x.layer_norm(g.shape_of(x), None, None, g.number());
    "rms_norm": |g, x| x.rms_norm([g.size()], g.maybe(x, 1).as_ref(), 1e-5);
    "normalize": |g, x| x.normalize(g.axis(), &g.vector(x, 1), &g.vector(x, 1), g.maybe(x, 1).as_ref(), None, 1e-5);
    "group_norm": |g, x| x.group_norm(g.size(), g.maybe(x, 1).as_ref(), g.maybe(x, 1).as_ref(), 1e-5);
    "instance_norm": |g, x| x.instance_norm(g.maybe(x, 1).as_ref(), None, 1e-5);
    "local_response_norm": |g, x| x.local_response_norm(g.pick(&[0, 1, 2, usize::MAX]), g.number(), g.number(), g.number());
    "cross_entropy": |g, x| x.cross_entropy(&g.index(), g.axis());
    "nll_loss": |g, x| x.nll_loss(&g.index_like(x), g.axis());
    "mse_loss": |g, x| x.mse_loss(&g.like(x), g.reduction());
    "l1_loss": |g, x| x.l1_loss(&g.like(x), g.reduction());
    "huber_loss": |g, x| x.huber_loss(&g.like(x), g.number(), g.reduction());
    "smooth_l1_loss": |g, x| x.smooth_l1_loss(&g.like(x), g.number(), g.reduction());
    "bce_with_logits": |g, x| x.bce_with_logits(&g.like(x), None, g.reduction());
    "bce_loss": |g, x| x.bce_loss(&g.like(x), g.reduction());
    "kl_div": |g, x| x.kl_div(&g.like(x), g.reduction());
    "pointwise": |g, x| pointwise(|[x, y]| x.exp() + y).call([x, &g.like(x)]);
    "pointwise_fold": |g, x| pointwise(|[x, y]| x * y).fold(Fold::Max, g.axes(), [x, &g.like(x)]);
    "full": |g| Device::default().full(g.shape(), g.number(), g.dtype());
    "tensor": |g| Device::default().tensor(&[1i64, 2], g.shape());
    "from_vec": |g| Tensor::from_vec(vec![1.0f32], g.shape());
    "arange": |g| Device::default().arange(g.number(), g.pick(&[0.0, 3.0, -2.0, f64::NAN, f64::INFINITY]), g.pick(&[1.0, -0.5, 0.0, f64::NAN]), g.dtype());
    "linspace": |g| Device::default().linspace(g.number(), g.number(), g.pick(&[0, 1, 2, 5, usize::MAX]), g.dtype());
    "eye": |g| Device::default().eye(g.pick(&[0, 1, 3, usize::MAX]), g.size().min(4), g.dtype());
    "uniform": |g| Rng::new(1).uniform(g.extents(4));
    "uniform_in": |g, x| Rng::new(1).uniform_in(x, g.number(), g.extents(4));
    "normal_with": |g, x| Rng::new(1).normal_with(x, &g.like(x), g.extents(4));
    "exponential": |g, x| Rng::new(1).exponential(x, g.extents(4));
    "bernoulli": |g, x| Rng::new(1).bernoulli(x, g.extents(4));
    "randint": |g| Rng::new(1).randint(g.int() as i64..g.int() as i64, g.extents(4));
    "permutation": |g| Rng::new(1).permutation(g.count());
    "multinomial": |g, x| Rng::new(1).multinomial(x, g.count(), g.yes());
    "truncated_normal": |g| Rng::new(1).truncated_normal(g.number()..g.number(), g.extents(4));
    "backward_with": |g, x| { x.backward_with(&g.like(x)); vec![] };
    "backward": |_g, x| { x.backward(); vec![] };
    "grad": |g, x| x.grad([&g.like(x)]);
    "item": |_g, x| { x.item(); vec![] };
    "to_vec": |_g, x| { x.to_vec::<f32>(); vec![] };
    "dims": |_g, x| { let [_, _] = x.dims(); vec![] };
    "tracked": |_g, x| x.tracked();
    "retain_grad": |_g, x| { x.retain_grad(); vec![] };
};

/// Runs a call, then the gradients of its results. What is wrong with how it ends, if anything.
fn fault(call: &Call, seed: u64) -> Option<String> {
    let mut g = Gen::new(seed);
    let mut results = vec![];
    let panic = panic_in(|| results = call.1(&mut g));
    let step = if panic.is_some() { "call" } else { "gradient" };
    let panic = panic.or_else(|| {
        panic_in(|| {
            for y in results.iter().filter(|y| y.is_tracked()) {
                y.backward_with(&y.ones_like());
            }
        })
    })?;
    let (head, tail) = panic.message.split_once(": ").unwrap_or(("", ""));
    let named = !head.is_empty() && head.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let bad = ["out of bounds", "overflow", "unwrap", "called `", "unreachable", "divide by zero", "slice index"];
    let explained = tail.len() > 15 && !bad.iter().any(|part| panic.message.contains(part));
    let placed = panic.file == file!();
    let ok = named && explained && placed && step == "call";
    let what = format!("{} ({step}) with {}: {panic:?}", call.0, g.log.borrow().join(", "));
    (!ok).then_some(what)
}

#[test]
fn random_calls_end_in_a_result_or_a_message() {
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let mut faults: Vec<String> = vec![];
    let found = RefCell::new(&mut faults);
    let run = runner.run(&(0..CALLS.len(), proptest::num::u64::ANY), |(at, seed)| {
        if let Some(what) = fault(&CALLS[at], seed) {
            found.borrow_mut().push(what);
        }
        Ok::<(), TestCaseError>(())
    });
    assert!(run.is_ok());
    faults.sort();
    // One of each: the same call with the same message, whatever its arguments.
    faults.dedup_by_key(|what| what[..what.find(')').unwrap_or(0)].to_owned());
    assert!(faults.is_empty(), "{} kinds of faults:\n{}", faults.len(), faults.join("\n"));
}
