//! The report of a profile: what is counted, to whom it is attributed, and when.

mod common;

use common::{panic_of, x};
use cotangent_core::*;

/// Elements that each have memory of their own; `Tensor::ones` stretches one.
fn data<const N: usize>(shape: [usize; N]) -> Tensor {
    Tensor::new(vec![1.0; shape.iter().product()], shape)
}

fn matrix(rows: usize, columns: usize) -> Tensor {
    data([rows, columns])
}

/// Calls, bytes and arithmetic operations of a row.
#[track_caller]
fn counts(report: &profile::Report, name: &str) -> (u64, u64, u64) {
    let row = report.row(name).unwrap_or_else(|| panic!("no row `{name}` in\n{report}"));
    (row.calls, row.bytes, row.flops)
}

fn names(report: &profile::Report) -> Vec<&'static str> {
    let mut names: Vec<_> = report.rows.iter().map(|row| row.name).collect();
    names.sort();
    names
}

// ---- what is counted

#[test]
fn products() {
    let (a, b) = (matrix(2, 3), matrix(3, 4));
    let (_, report) = profile::scope(|| (a.matmul(&b), a.matmul(&b)));
    assert_eq!(names(&report), ["matmul"]);
    assert_eq!(counts(&report, "matmul"), (2, 2 * (6 + 12 + 8) * 4, 2 * 2 * 2 * 3 * 4));
    // Five products with one matrix, which is read once.
    let batch = data([5, 2, 3]);
    let (_, report) = profile::scope(|| batch.matmul(&b));
    assert_eq!(counts(&report, "matmul"), (1, (30 + 12 + 40) * 4, 5 * 2 * 2 * 3 * 4));
}

#[test]
fn elementwise_operations() {
    let (column, row) = (matrix(4, 1), matrix(1, 3));
    let (wide, one) = (data([10]).to(DType::F64), Tensor::ones([10]));
    let (_, report) = profile::scope(|| (&column + &row, wide.exp(), &one * 2.0, column.gt(0.5)));
    assert_eq!(names(&report), ["add", "exp", "gt", "mul"]);
    assert_eq!(counts(&report, "add"), (1, (4 + 3 + 12) * 4, 12));
    assert_eq!(counts(&report, "exp"), (1, 2 * 10 * 8, 10));
    assert_eq!(counts(&report, "mul"), (1, (1 + 10) * 4, 10), "`ones` has the memory of one element");
    assert_eq!(counts(&report, "gt"), (1, 4 * 4 + 4, 4));
    let formula = pointwise(|[x, y]: [Expr; 2]| x * y + x.tanh()).named("formula");
    let (_, report) = profile::scope(|| formula.call([&row, &row]));
    assert_eq!(counts(&report, "formula"), (1, (3 + 3 + 3) * 4, 3 * 3));
}

#[test]
fn folds() {
    let x = matrix(3, 4);
    let squares = pointwise(|[x]: [Expr; 1]| x * x).named("squares");
    let (_, report) = profile::scope(|| (x.sum(0), squares.fold(Fold::Sum, -1, [&x])));
    assert_eq!(counts(&report, "sum"), (1, (12 + 4) * 4, 12));
    assert_eq!(counts(&report, "squares"), (1, (12 + 3) * 4, 12 * 2));
}

#[test]
fn what_only_moves() {
    let table = data([100]);
    let index = Tensor::from_slice(&[3i64, 5], [2]);
    let (_, report) = profile::scope(|| (table.gather(0, &index), table.reshape([10, 10]).t().contiguous()));
    assert_eq!(counts(&report, "gather"), (1, 2 * 4 + 2 * 8 + 2 * 4, 0));
    assert_eq!(counts(&report, "contiguous"), (1, 2 * 100 * 4, 0));
    let (_, report) = profile::scope(|| Tensor::new([1.0, 2.0], [2]).to_vec::<f32>());
    assert_eq!(counts(&report, "upload"), (1, 2 * 8, 0));
    assert_eq!(counts(&report, "download"), (1, 2 * 8, 0));
}

#[test]
fn several_functions_in_one_call() {
    let double = pointwise(|[x]: [Expr; 1]| x + x);
    let (x, y) = (data([2]), data([3]));
    let all = vec![double.clone().named("first").prepare([x]), double.named("second").prepare([y])];
    let (_, report) = profile::scope(|| evaluate_all(all));
    assert_eq!(counts(&report, "first + second"), (1, 2 * (2 + 3) * 4, 2 + 3));
}

// ---- to whom it is attributed

#[test]
fn gradients_are_attributed_to_their_operations() {
    let (a, b) = (matrix(2, 3).tracked(), matrix(3, 4).tracked());
    let (_, report) = profile::scope(|| a.matmul(&b).tanh().sum(..).backward());
    assert_eq!(counts(&report, "matmul").0, 1);
    // Two products of as many operations as the forward one.
    let (calls, _, flops) = counts(&report, "matmul (backward)");
    assert_eq!((calls, flops), (2, 2 * 2 * 2 * 3 * 4));
    assert_eq!(counts(&report, "tanh (backward)").0, 1);
    assert!(report.row("gradient").is_none(), "{report}");
}

#[test]
fn sums_of_gradients_are_attributed_to_where_they_meet() {
    let w = x(&[1.0, 2.0]);
    let (_, report) = profile::scope(|| (w.exp() + w.sin()).sum(..).backward());
    assert_eq!(counts(&report, "leaf (backward)"), (1, 3 * 2 * 4, 2));
}

#[test]
fn what_a_checkpoint_computes_again_is_no_gradient() {
    let w = x(&[1.0, 2.0]);
    let (_, report) = profile::scope(|| checkpoint(|[w]| w.exp(), [&w]).sum(..).backward());
    assert_eq!(counts(&report, "exp").0, 2);
    assert_eq!(counts(&report, "exp (backward)").0, 1);
}

#[test]
fn composites_are_attributed_to_their_parts() {
    let x = matrix(2, 3);
    let (_, report) = profile::scope(|| (x.softmax(-1), x.cumsum(0)));
    assert_eq!(names(&report), ["cumsum", "softmax"]);
}

// ---- when

#[test]
fn scopes_within_scopes() {
    let w = data([2]);
    let (inner, outer) = profile::scope(|| {
        w.exp();
        let ((), inner) = profile::scope(|| drop((w.exp(), w.sin())));
        w.cos();
        inner
    });
    assert_eq!(names(&inner), ["exp", "sin"]);
    assert_eq!(names(&outer), ["cos", "exp", "sin"]);
    assert_eq!((inner.row("exp").unwrap().calls, outer.row("exp").unwrap().calls), (1, 2));
    assert!(inner.wall <= outer.wall);
}

#[test]
fn nothing_is_collected_outside() {
    let w = data([2]);
    w.exp();
    let ((), report) = profile::scope(|| {
        std::thread::scope(|threads| _ = threads.spawn(|| w.exp()).join());
    });
    w.exp();
    assert!(report.rows.is_empty(), "{report}");
    let (_, report) = profile::scope(|| w.sin());
    assert_eq!(names(&report), ["sin"]);
}

#[test]
fn a_panic_ends_the_scope() {
    let (w, longer) = (data([2]), data([3]));
    let fails = || {
        w.exp();
        &w + &longer
    };
    panic_of(|| drop(profile::scope(fails)));
    w.exp();
    let (_, report) = profile::scope(|| w.sin());
    assert_eq!(names(&report), ["sin"]);
    // Within a scope that goes on, what ran before the panic is seen.
    let (_, report) = profile::scope(|| {
        panic_of(|| drop(profile::scope(fails)));
        w.sin()
    });
    assert_eq!(names(&report), ["exp", "sin"]);
}

#[test]
fn results_are_the_same() {
    let (a, b) = (matrix(2, 3).tracked(), matrix(3, 4).tracked());
    let step = || a.matmul(&b).softmax(-1).log().sum(..).backward()[&a].to_vec::<f32>();
    assert_eq!(profile::scope(step).0, step());
}

// ---- what is printed

#[test]
fn the_table_is_aligned_and_adds_up() {
    let (a, b) = (matrix(2, 3).tracked(), matrix(3, 4));
    let (_, report) = profile::scope(|| a.matmul(&b).tanh().sum(..).backward());
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), report.rows.len() + 3, "{text}");
    let (table, last) = lines.split_at(lines.len() - 1);
    assert!(table.iter().all(|line| line.len() == table[0].len()), "{text}");
    assert!(table[0].starts_with("operation ") && table[table.len() - 1].starts_with("total "), "{text}");
    assert!(last[0].starts_with("wall time "), "{text}");
    assert!(report.rows.is_sorted_by(|one, next| one.time >= next.time));
    let total = report.total();
    assert_eq!(total.calls, report.rows.iter().map(|row| row.calls).sum::<u64>());
    assert_eq!(total.time + report.outside(), report.wall);
    assert_eq!(report.share(&total), 1.0);
}
