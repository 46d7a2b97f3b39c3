//! Calls that are one block and whose arguments lie row by row, without what those need not: most of the time of a small
//! operation is what surrounds it.

use super::code::Code;
use super::machine::{Machine, Place, load, with_scratch};
use crate::axes::BLOCK;
use crate::number::Number;
use cotangent_core::Layout;
use cotangent_core::backend::{Arg, Call, View};
use cotangent_core::host::HostBuffer;
use smallvec::SmallVec;

/// Whether [`evaluate_small`] takes the call.
pub fn is_small(call: &Call) -> bool {
    let count = call.shape.count();
    let single = |layout: &Layout| layout.strides.iter().zip(call.shape.iter()).all(|(&s, &n)| s == 0 || n == 1);
    let simple = |arg: &Arg| arg.view().layout.is_contiguous() || single(arg.view().layout);
    (1..=BLOCK).contains(&count) && call.args.iter().all(simple)
}

/// Runs the program of a small call. Results go to the memory given for each output, if any; `done` gets the machine.
pub fn evaluate_small<T: Number>(
    call: &Call,
    outputs: SmallVec<[Option<&mut [T]>; 2]>,
    done: impl FnOnce(&Machine<T>),
) {
    let count = call.shape.count();
    let code = call.program.compiled(Code::new);
    with_scratch(
        (call.args.len() + code.splats.len() + code.outputs + code.temporaries) * BLOCK,
        |scratch: &mut [T]| {
            let mut blocks = scratch.chunks_exact_mut(BLOCK);
            let mut fresh = || blocks.next().expect("enough scratch memory");
            let mut machine = Machine::new(code, call.uniforms);
            for arg in &call.args {
                let View { storage, layout, dtype } = arg.view();
                let buffer = storage.get::<HostBuffer>();
                let contiguous = layout.is_contiguous();
                if dtype == T::DTYPE && contiguous {
                    machine.places.push(Place::Read(&buffer.slice()[layout.offset..][..count]));
                } else {
                    let to = fresh();
                    load(
                        dtype,
                        buffer.bytes(),
                        layout.offset as isize,
                        &[count],
                        &[contiguous as isize],
                        &mut to[..count],
                    );
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
        },
    );
}
