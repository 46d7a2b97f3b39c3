//! Moving elements by index.

use crate::Cpu;
use crate::along::rows;
use crate::number::{Number, with_number};
use crate::strided::{pack, unpack, with_bits};
use cotangent_core::backend::{Arg, OutOfRange, Scatter, Storage, View};
use cotangent_core::host::{HostBuffer, storage_elements};
use cotangent_core::{Element, Layout, Shape, with_element};
use std::borrow::Cow;

/// A checked index: `along[o·rows·width + k·width + i]` is where row `k` of outer place `o` lies along the axis. Where
/// the index does not vary over the axes after the indexed one, `width` is 1 and whole rows move.
struct Places<'a> {
    along: Cow<'a, [i64]>,
    /// Places of the index along the axis.
    rows: usize,
    /// Elements that share one entry of the index.
    run: usize,
    /// Entries of the index for each row.
    width: usize,
    /// Extent of the indexed axis.
    extent: usize,
}

impl<'a> Places<'a> {
    fn new(cpu: &Cpu, shape: &Shape, index: View<'a>, axis: usize) -> Result<Places<'a>, OutOfRange> {
        let (_, extent, inner) = shape.around(axis);
        let layout = index.layout;
        let rows_along = layout.shape[axis];
        let after = axis + 1..shape.len();
        let shared = inner > 1 && after.clone().all(|k| layout.strides[k] == 0 || layout.shape[k] == 1);
        let along = if shared {
            let mut narrow = layout.clone();
            narrow.shape.truncate(axis + 1);
            narrow.strides.truncate(axis + 1);
            let mut packed = vec![0; narrow.shape.count()];
            pack(cpu, &mut packed, storage_elements::<i64>(index.storage), &narrow);
            Cow::Owned(packed)
        } else {
            rows::<i64>(cpu, index)
        };
        let run = if shared { inner } else { 1 };
        // An index over no elements addresses nothing.
        let used = if layout.shape.count() == 0 { &along[..0] } else { &along[..] };
        if let Some(position) = used.iter().position(|&k| k < 0 || k as usize >= extent) {
            return Err(OutOfRange { index: used[position], position: position * run });
        }
        Ok(Places { along, rows: rows_along, run, width: inner / run.max(1), extent })
    }

    /// Calls `visit` with the position of each run in the addressed tensor, in order.
    #[inline]
    fn each(&self, mut visit: impl FnMut(usize)) {
        let per_outer = self.rows * self.width;
        let mut base = 0;
        for outer in self.along.chunks_exact(per_outer) {
            for row in outer.chunks_exact(self.width) {
                for (i, &k) in row.iter().enumerate() {
                    visit(((base + k as usize) * self.width + i) * self.run);
                }
            }
            base += self.extent;
        }
    }

    /// Calls `visit` with each addressed run and the run of the source that goes there, in order.
    fn pairs<A, B>(&self, source: &[B], to: &mut [A], visit: impl Fn(&mut [A], &[B])) {
        let mut source = source.chunks_exact(self.run);
        self.each(|at| visit(&mut to[at..at + self.run], source.next().expect("one run for each entry")));
    }
}

/// Adds elements to sums.
fn add<S: Element, E: Element, T: Number>(to: &mut [S], from: &[E]) {
    to.iter_mut().zip(from).for_each(|(to, &x)| *to = T::read(*to).plus(T::read(x)).write());
}

impl Cpu {
    pub(crate) fn gathered(&self, x: View, index: View, axis: usize) -> Result<Storage, OutOfRange> {
        let places = Places::new(self, &x.layout.shape, index, axis)?;
        let mut out = self.buffer(x.dtype, index.layout.shape.count());
        with_bits!(x.dtype.size(), B => {
            let all = storage_elements::<B>(x.storage);
            let packed;
            let data = if x.layout.is_contiguous() {
                &all[x.layout.offset..]
            } else {
                let mut copy = vec![0 as B; x.layout.shape.count()];
                pack(self, &mut copy, all, x.layout);
                packed = copy;
                &packed[..]
            };
            let to = out.slice_mut::<B>();
            if to.is_empty() {
                return Ok(Storage::new(out));
            }
            if places.run == 1 {
                let mut to = to.iter_mut();
                places.each(|at| *to.next().expect("one element for each entry") = data[at]);
            } else {
                let mut to = to.chunks_exact_mut(places.run);
                places.each(|at| to.next().expect("one run for each entry").copy_from_slice(&data[at..][..places.run]));
            }
        });
        Ok(Storage::new(out))
    }

    pub(crate) fn scattered(
        &self,
        base: Arg,
        index: View,
        source: View,
        axis: usize,
        mode: Scatter,
    ) -> Result<Storage, OutOfRange> {
        let shape = base.view().layout.shape.clone();
        let dtype = source.dtype;
        let places = Places::new(self, &shape, index, axis)?;
        let mut storage = self.fresh_copy(base);
        if index.layout.shape.count() == 0 {
            return Ok(storage);
        }
        let out = storage.get_mut::<HostBuffer>().expect("a fresh copy is not shared");
        with_element!(dtype, E => with_number!(dtype, T => {
            let data = rows::<E>(self, source);
            let to = out.slice_mut::<E>();
            match mode {
                Scatter::Set => places.pairs(&data, to, |to, from| to.copy_from_slice(from)),
                Scatter::Add if E::DTYPE == T::DTYPE => places.pairs(&data, to, add::<E, E, T>),
                // Other element types are rounded once, after all additions.
                Scatter::Add => {
                    let mut sums: Vec<T> = to.iter().map(|&x| T::read(x)).collect();
                    places.pairs(&data, &mut sums, add::<T, E, T>);
                    to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum.write());
                }
            }
        }));
        Ok(storage)
    }

    pub(crate) fn assigned(&self, base: Arg, region: &Layout, source: View) -> Storage {
        let dtype = source.dtype;
        let mut storage = self.fresh_copy(base);
        let out = storage.get_mut::<HostBuffer>().expect("a fresh copy is not shared");
        with_bits!(dtype.size(), B => {
            let all = storage_elements::<B>(source.storage);
            let to = out.slice_mut::<B>();
            if source.layout.is_contiguous() {
                unpack(&all[source.layout.offset..][..region.shape.count()], to, region);
            } else {
                let mut packed = vec![0 as B; source.layout.shape.count()];
                pack(self, &mut packed, all, source.layout);
                unpack(&packed, to, region);
            }
        });
        storage
    }

    /// A row-major copy that is not shared: the argument's own memory if it was given up.
    fn fresh_copy(&self, arg: Arg) -> Storage {
        let arg = match arg {
            Arg::Owned(mut storage, layout, dtype) => {
                let bytes = layout.shape.count() * dtype.size();
                let whole = layout.offset == 0 && layout.is_contiguous();
                if whole && storage.get_mut::<HostBuffer>().is_some_and(|b| b.bytes().len() == bytes) {
                    return storage;
                }
                Arg::Owned(storage, layout, dtype)
            }
            shared => shared,
        };
        let view = arg.view();
        let mut out = self.buffer(view.dtype, view.layout.shape.count());
        with_bits!(view.dtype.size(), B => pack(self, out.slice_mut::<B>(), storage_elements(view.storage), view.layout));
        Storage::new(out)
    }
}
