//! Calls that are one block and whose arguments lie row by row, without what those need not: most of the time of a small
//! operation is what surrounds it.

use super::code::Code;
use super::machine::{Machine, Place, load, with_scratch};
use crate::axes::BLOCK;
use crate::number::Number;
use cotangent_core::DType;
use cotangent_core::backend::{Call, View};
use cotangent_core::host::HostBuffer;
use smallvec::SmallVec;

/// A small call.
pub struct Small<'a, 'c> {
    call: &'a Call<'c>,
    code: &'a Code,
    /// Number of elements.
    pub count: usize,
    /// The arguments that lie row by row, as bits; the others are one number.
    in_rows: u64,
}

impl<'a, 'c> Small<'a, 'c> {
    /// `None` if the call is not small.
    pub fn of(call: &'a Call<'c>, code: &'a Code) -> Option<Small<'a, 'c>> {
        let count = call.shape.count();
        if !(1..=BLOCK).contains(&count) {
            return None;
        }
        let mut in_rows = 0;
        for (k, arg) in call.args.iter().enumerate() {
            let layout = arg.view().layout;
            if layout.is_contiguous() {
                in_rows |= 1 << k;
            } else if layout.strides.iter().zip(call.shape.iter()).any(|(&stride, &n)| stride != 0 && n != 1) {
                return None;
            }
        }
        Some(Small { call, code, count, in_rows })
    }

    /// Runs the program. Results go to the memory given for each output, if any; `done` gets the machine.
    pub fn run<T: Number>(self, outputs: SmallVec<[Option<&mut [T]>; 2]>, done: impl FnOnce(&Machine<T>)) {
        let Small { call, code, count, in_rows } = self;
        let reads_directly = |k: usize, dtype: DType| in_rows >> k & 1 == 1 && dtype == T::DTYPE;
        let copies = (0..).zip(&call.args).filter(|&(k, arg)| !reads_directly(k, arg.view().dtype)).count();
        let converted = outputs.iter().filter(|output| output.is_none()).count();
        let places = copies + code.splats.len() + converted + code.temporaries;
        with_scratch(places * count, |scratch: &mut [T]| {
            let mut blocks = scratch.chunks_exact_mut(count);
            let mut fresh = || blocks.next().expect("enough scratch memory");
            let mut machine = Machine::new(code, call.uniforms);
            for (k, arg) in call.args.iter().enumerate() {
                let View { storage, layout, dtype } = arg.view();
                let buffer = storage.get::<HostBuffer>();
                if reads_directly(k, dtype) {
                    machine.places.push(Place::Read(&buffer.slice()[layout.offset..][..count]));
                } else {
                    let (to, step) = (fresh(), (in_rows >> k & 1) as isize);
                    load(dtype, buffer.bytes(), layout.offset as isize, &[count], &[step], to);
                    machine.places.push(Place::Write(to));
                }
            }
            machine.push_splats(count, &mut fresh);
            for output in outputs {
                machine.places.push(Place::Write(output.unwrap_or_else(&mut fresh)));
            }
            (0..code.temporaries).for_each(|_| machine.places.push(Place::Write(fresh())));
            machine.run(0, count);
            done(&machine);
        });
    }
}
