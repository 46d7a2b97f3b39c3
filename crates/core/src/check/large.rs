//! Samples that are larger than a backend's blocks, tiles and threads, and no multiple of any of them. On the reference
//! device, which has none, only one type is run.

use super::registry::{distinct, index, real};
use crate::samples;
use crate::shape::keep;

samples!("sum", |s| {
    s.case("many rows", [real([1031, 37], 0.0..2.0)], |[x]| x.sum(0)).slack(4.0);
    s.case("long rows", [real([37, 1031], 0.0..2.0)], |[x]| x.sum(-1)).slack(4.0);
    s.case("inner axis", [real([5, 300, 7], 0.0..2.0)], |[x]| x.sum(keep(1))).slack(4.0);
    s.case("outer axes", [real([65, 3, 67], 0.0..2.0)], |[x]| x.sum([0, 2])).slack(4.0);
    s.case("everything", [real([70_001], 0.0..1.0)], |[x]| x.sum(..)).slack(16.0);
});
samples!("max", |s| {
    s.case("many rows", [distinct([1031, 7], -2.0..2.0)], |[x]| x.max(0));
    s.case("long rows", [distinct([7, 1031], -2.0..2.0)], |[x]| x.max(-1));
    s.case("everything", [distinct([4099], -2.0..2.0)], |[x]| x.max(..));
});
samples!("prod", |s| {
    s.case("long rows", [real([7, 1031], 0.99..1.01)], |[x]| x.prod(-1)).slack(64.0);
});
samples!("var", |s| {
    s.case("long rows", [real([37, 1031], -2.0..2.0)], |[x]| x.var(-1, 1.0)).slack(4.0);
    s.case("many rows", [real([1031, 37], -2.0..2.0)], |[x]| x.var(0, 0.0)).slack(4.0);
});
samples!("argmax", |s| {
    s.case("long rows", [distinct([7, 1031], -2.0..2.0)], |[x]| x.argmax(-1)).orders(0);
    s.case("many rows", [distinct([1031, 7], -2.0..2.0)], |[x]| x.argmax(0)).orders(0);
});
samples!("logsumexp", |s| {
    s.case("long rows", [real([7, 1031], -4.0..4.0)], |[x]| x.logsumexp(-1)).slack(4.0);
});
samples!("softmax", |s| {
    s.case("long rows", [real([7, 1031], -4.0..4.0)], |[x]| x.softmax(-1)).slack(4.0);
    s.case("many rows", [real([1031, 10], -4.0..4.0)], |[x]| x.softmax(-1)).slack(4.0);
});
samples!("cumsum", |s| {
    s.case("long rows", [real([7, 1031], 0.0..2.0)], |[x]| x.cumsum(-1)).slack(16.0);
    s.case("many rows", [real([1031, 7], 0.0..2.0)], |[x]| x.cumsum(0)).slack(16.0);
});
samples!("linear_scan", |s| {
    let [a, b] = [real([7, 1031], 0.1..0.9), real([7, 1031], -2.0..2.0)];
    s.case("long rows", [a, b], |[a, b]| a.linear_scan(b, -1, false)).slack(8.0);
    let [a, b] = [real([1031, 7], 0.1..0.9), real([1031, 7], -2.0..2.0)];
    s.case("many rows, backwards", [a, b], |[a, b]| a.linear_scan(b, 0, true)).slack(8.0);
});
samples!("sort", |s| {
    s.case("long rows", [distinct([3, 1031], -2.0..2.0)], |[x]| x.sort(-1, false).0);
    s.case("many rows", [distinct([1031, 3], -2.0..2.0)], |[x]| x.sort(0, true).0);
});
samples!("matmul", |s| {
    s.case("large", [real([67, 129], -2.0..2.0), real([129, 35], -2.0..2.0)], |[a, b]| a.matmul(b)).slack(16.0);
    s.case("tall", [real([259, 5], -2.0..2.0), real([5, 3], -2.0..2.0)], |[a, b]| a.matmul(b)).slack(4.0);
    s.case("transposed", [real([65, 33], -2.0..2.0), real([66, 33], -2.0..2.0)], |[a, b]| a.matmul(&b.t())).slack(8.0);
    let [a, b] = [real([3, 33, 18], -2.0..2.0), real([18, 66], -2.0..2.0)];
    s.case("batch and one matrix", [a, b], |[a, b]| a.matmul(b)).slack(8.0);
});
samples!("gather", |s| {
    s.case("large", [real([1031, 5], -2.0..2.0), index([700, 5], 1031)], |[x, i]| x.gather(0, i));
});
samples!("scatter_add", |s| {
    let [base, at, source] = [real([65, 5], 0.0..2.0), index([1031, 5], 65), real([1031, 5], 0.0..2.0)];
    s.case("many hits", [base, at, source], |[x, i, y]| x.scatter_add(0, i, y)).slack(16.0);
});
samples!("permute", |s| {
    s.case("large", [real([17, 33, 9], -2.0..2.0)], |[x]| x.permute([2, 0, 1]).contiguous());
    s.case("large matrix", [real([129, 67], -2.0..2.0)], |[x]| x.t().contiguous());
});
samples!("cat", |s| {
    s.case("large", [real([65, 17], -2.0..2.0), real([65, 33], -2.0..2.0)], |[a, b]| crate::Tensor::cat(&[a, b], 1));
});
samples!("add", |s| {
    s.case("rows and a vector", [real([67, 131], -2.0..2.0), real([131], -2.0..2.0)], |[a, b]| a + b);
    s.case("columns and a matrix", [real([67, 1], -2.0..2.0), real([67, 131], -2.0..2.0)], |[a, b]| a + b);
    s.case("three axes", [real([9, 1, 135], -2.0..2.0), real([17, 1], -2.0..2.0)], |[a, b]| a + b);
});
