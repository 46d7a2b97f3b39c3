//! Operations along one axis: positions of extremes, scans, sorting.

use crate::Cpu;
use crate::number::{Number, Wide, with_number};
use crate::strided::pack;
use cotangent_core::backend::{Fold, Scan, Storage, View};
use cotangent_core::host::elements;
use cotangent_core::{DType, Element, with_element};
use std::borrow::Cow;
use std::cmp::Ordering;

/// The elements of a view, row by row.
pub fn rows<'a, E: Element>(cpu: &Cpu, view: View<'a>) -> Cow<'a, [E]> {
    let all = elements::<E>(view);
    let count = view.layout.shape.count();
    if view.layout.is_contiguous() {
        return Cow::Borrowed(&all[view.layout.offset..][..count]);
    }
    let mut packed = vec![E::zeroed(); count];
    pack(cpu, &mut packed, all, view.layout);
    Cow::Owned(packed)
}

/// Work per element of a scan, in additions.
const SCAN_COST: usize = 4;
/// Elements that one thread takes at a time.
const ITEM: usize = 16 * 1024;

impl Cpu {
    /// Calls `work` with each slice of `inputs` and `outputs` that belongs to one place of the axes before `axis`.
    fn slabs<E: Element, O: Send>(
        &self,
        inputs: &[&[E]],
        output: &mut [O],
        size: usize,
        cost: usize,
        work: impl Fn(&[&[E]], &mut [O]) + Sync,
    ) {
        let count = output.len();
        if count == 0 {
            return;
        }
        // The extents are not 0, so a slab of the output is as large a part of it as one of the inputs.
        let slabs = inputs[0].len() / size;
        let out_size = count / slabs;
        let part = |from: usize, output: &mut [O]| {
            for (k, output) in output.chunks_exact_mut(out_size).enumerate() {
                let at = (from + k) * size;
                let slab: smallvec::SmallVec<[&[E]; 2]> = inputs.iter().map(|x| &x[at..at + size]).collect();
                work(&slab, output);
            }
        };
        if !self.worth_threads(inputs[0].len() * cost) {
            return part(0, output);
        }
        let per_item = ITEM.div_ceil(size);
        let items = output.chunks_mut(per_item * out_size).enumerate();
        self.threads.each(items.len(), items, |(k, output)| part(k * per_item, output));
    }

    pub(crate) fn positions_of_extremes(&self, x: View, axis: usize, largest: bool) -> Storage {
        let (outer, n, inner) = x.layout.shape.around(axis);
        let mut out = self.buffer(DType::I64, outer * inner);
        with_element!(x.dtype, E => with_number!(x.dtype, T => {
            let data = rows::<E>(self, x);
            self.slabs(&[&data], out.slice_mut::<i64>(), n * inner, 4, |slab, out| {
                first_extremes::<E, T>(slab[0], out, largest);
            });
        }));
        Storage::new(out)
    }

    pub(crate) fn scanned(&self, scan: Scan, args: &[View], axis: usize, reverse: bool) -> Storage {
        let dtype = args[0].dtype;
        let (_, n, inner) = args[0].layout.shape.around(axis);
        let mut out = self.buffer(dtype, args[0].layout.shape.count());
        with_element!(dtype, E => with_number!(dtype, T => {
            let data: Vec<Cow<[E]>> = args.iter().map(|&x| rows::<E>(self, x)).collect();
            let data: Vec<&[E]> = data.iter().map(|x| &x[..]).collect();
            self.slabs(&data, out.slice_mut::<E>(), n * inner, SCAN_COST, |slab, out| {
                scan_slab::<E, <T as Number>::Wide>(scan, slab, out, inner, reverse);
            });
        }));
        Storage::new(out)
    }

    pub(crate) fn sorting_positions(&self, x: View, axis: usize, descending: bool) -> Storage {
        let (_, n, inner) = x.layout.shape.around(axis);
        let mut out = self.buffer(DType::I64, x.layout.shape.count());
        with_element!(x.dtype, E => with_number!(x.dtype, T => {
            let data = rows::<E>(self, x);
            self.slabs(&[&data], out.slice_mut::<i64>(), n * inner, 32, |slab, out| {
                let mut lane: Vec<(T, i64)> = Vec::with_capacity(n);
                for i in 0..inner {
                    lane.clear();
                    lane.extend((0..n).map(|k| (T::read(slab[0][k * inner + i]), k as i64)));
                    lane.sort_unstable_by(|a, b| before(a.0, b.0, descending).then(a.1.cmp(&b.1)));
                    lane.iter().enumerate().for_each(|(k, &(_, from))| out[k * inner + i] = from);
                }
            });
        }));
        Storage::new(out)
    }
}

/// The order of two elements; NaN comes last.
fn before<T: Number>(a: T, b: T, descending: bool) -> Ordering {
    let (less, greater) = if descending { (b, a) } else { (a, b) };
    let nan = || a.is_nan().cmp(&b.is_nan());
    less.partial_cmp(&greater).unwrap_or_else(nan)
}

/// Positions along the first axis of the first largest (or smallest) of each column; the first NaN wins.
fn first_extremes<E: Element, T: Number>(slab: &[E], out: &mut [i64], largest: bool) {
    let width = out.len();
    if width == 1 {
        out[0] = first_extreme::<E, T>(slab, largest);
        return;
    }
    let mut best: Vec<T> = slab[..width].iter().map(|&x| T::read(x)).collect();
    out.fill(0);
    for (k, row) in slab.chunks_exact(width).enumerate().skip(1) {
        for ((best, out), &x) in best.iter_mut().zip(&mut *out).zip(row) {
            let x = T::read(x);
            let beats = if largest { x > *best } else { x < *best };
            let better = (beats | x.is_nan()) & !best.is_nan();
            *best = if better { x } else { *best };
            *out = if better { k as i64 } else { *out };
        }
    }
}

/// The same for one row: finds what the extreme is, then where.
fn first_extreme<E: Element, T: Number>(row: &[E], largest: bool) -> i64 {
    let fold = if largest { Fold::Max } else { Fold::Min };
    let mut numbers = [T::default(); 256];
    let mut best = T::start(fold).widen();
    for part in row.chunks(numbers.len()) {
        numbers.iter_mut().zip(part).for_each(|(to, &x)| *to = T::read(x));
        let mut extreme = [best];
        T::fold_rows(fold, &numbers[..part.len()], part.len(), &mut extreme);
        best = best.join(extreme[0], fold);
    }
    let found = row.iter().position(|&x| {
        let x = T::read(x);
        x.widen() == best || x.is_nan()
    });
    found.expect("the extreme of a row is in it") as i64
}

/// Running combinations along the first axis of a slab of rows of `width`.
fn scan_slab<E: Element, W: Wide>(scan: Scan, slab: &[&[E]], out: &mut [E], width: usize, reverse: bool) {
    let rows = out.len() / width;
    let mut state: Vec<W> = vec![W::default(); width];
    for step in 0..rows {
        let row = if reverse { rows - 1 - step } else { step };
        let range = row * width..(row + 1) * width;
        let first = step == 0;
        for (i, state) in range.clone().zip(&mut state) {
            let x = W::load(slab[0][i]);
            *state = match scan {
                Scan::Linear if first => W::load(slab[1][i]),
                Scan::Linear => x.times(*state).plus(W::load(slab[1][i])),
                _ if first => x,
                Scan::Sum => state.plus(x),
                Scan::Max => {
                    if state.is_nan() {
                        *state
                    } else {
                        state.larger(x)
                    }
                }
                Scan::Min => {
                    if state.is_nan() {
                        *state
                    } else {
                        state.smaller(x)
                    }
                }
                Scan::LogSumExp => state.logaddexp(x),
            };
        }
        out[range].iter_mut().zip(&state).for_each(|(to, x)| *to = x.store());
    }
}
