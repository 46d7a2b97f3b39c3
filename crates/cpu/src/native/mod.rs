//! Programs of simple instructions as machine code, for x86-64 with AVX2 or AVX-512: one loop in which values stay in registers.
//!
//! The results are the same bits as those of the loops for single instructions, which do everything else: what is not
//! made of simple instructions, a few elements, other processors, and systems that forbid memory to become code.

mod assembler;
mod emit;
mod lower;
mod symbol;
mod value;

pub use lower::{Formula, Outside, Sink, joined, ordered};

use crate::number::Number;
use crate::vm::code::Step;
use crate::vm::machine::Place;
use bytemuck::{Pod, Zeroable};
use emit::{HEADER, emit};
use lower::Slot;
use memmap2::{Mmap, MmapMut};
use smallvec::SmallVec;
use std::sync::OnceLock;

/// Lanes that are left of a combined row.
pub const LEFT: usize = 4;
/// Elements that a combined row takes; those after the first [`LEFT`] have no meaning.
pub const STORED: usize = 16;

/// A function made of machine code.
#[derive(Debug)]
pub struct Native {
    code: Mmap,
    /// Bytes of an element.
    size: usize,
    /// Bytes of a vector.
    width: usize,
    /// The places whose memory it reads, and whether it writes there.
    pointers: SmallVec<[(u16, bool); 8]>,
    /// The places of which it reads one element in each row.
    flats: SmallVec<[u16; 8]>,
    /// The places where it writes combined lanes, one vector of them for each row.
    combined: SmallVec<[u16; 2]>,
    slots: Vec<Slot>,
}

/// What the code reads besides the elements: see [`emit`]. Made once for each thread that runs it.
#[derive(Debug)]
pub struct Table(SmallVec<[Lanes; 16]>);

#[derive(Clone, Copy, Zeroable, Pod, Debug)]
#[repr(C, align(32))]
struct Lanes([u64; 4]);

impl Lanes {
    /// An element of the given bits, again and again.
    fn filled(size: usize, bits: u64) -> Lanes {
        Lanes([if size == 4 { bits << 32 | bits } else { bits }; 4])
    }
}

/// Bytes of the processor's vectors if programs may become code: 32 (AVX2) or 64 (AVX-512), unless the environment variable
/// `COTANGENT_VECTOR_BYTES` asks for fewer. The results do not depend on it.
fn vector_bytes() -> Option<usize> {
    static BYTES: OnceLock<Option<usize>> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let most =
            std::env::var("COTANGENT_VECTOR_BYTES").ok().and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
        available().find(|&bytes| bytes <= most)
    })
}

fn available() -> impl Iterator<Item = usize> {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    let most = crate::math::fused_bytes();
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let most = 0;
    [64, 32].into_iter().filter(move |&bytes| bytes <= most)
}

impl Native {
    /// Steps on elements of `size` bytes, most of which come from memory if `far`. `None` if they are not simple, need too
    /// many registers, or cannot become code here.
    pub fn new(size: usize, steps: &[Step], outside: impl Fn(u16) -> Outside, sink: Sink, far: bool) -> Option<Native> {
        // In double precision the lanes would need more registers than there are.
        if size != 4 && matches!(sink, Sink::Combine(..)) {
            return None;
        }
        let width = vector_bytes()?;
        let mut formula = Formula::new(size, steps, outside, sink)?;
        formula.far = far;
        let bytes = emit(&mut formula, width).ok()?;
        let mut memory = MmapMut::map_anon(bytes.len()).ok()?;
        memory.copy_from_slice(&bytes);
        let code = memory.make_exec().ok()?;
        let written = |pointer| formula.stores.iter().any(|&(to, _)| to == pointer);
        let pointers = formula.pointers.iter().enumerate().map(|(k, &place)| (place, written(k))).collect();
        let flats = formula.flats.iter().map(|&(place, _)| place).collect();
        let combined = formula.combined.iter().map(|combined| combined.place).collect();
        Some(Native { code, size, width, pointers, flats, combined, slots: formula.slots })
    }

    /// A table for [`run`](Native::run).
    pub fn table(&self) -> Table {
        let each = self.width / size_of::<Lanes>();
        let mut table = SmallVec::from_elem(Lanes::zeroed(), HEADER * each);
        for slot in &self.slots {
            let lanes = match slot {
                Slot::Bits(bits) => Lanes::filled(self.size, *bits),
                Slot::Flat | Slot::Computed => Lanes::zeroed(),
            };
            table.extend(std::iter::repeat_n(lanes, each));
        }
        Table(table)
    }

    /// Runs the steps on rows of `len` elements of the places. From one row to the next, a place goes on by as many elements
    /// as `strides` says. Of a place that is the same all over a row, one element is read.
    #[inline]
    pub fn run<T: Number>(
        &self,
        table: &mut Table,
        places: &mut [Place<T>],
        [rows, len]: [usize; 2],
        strides: &[usize],
    ) {
        let each = self.width / size_of::<Lanes>();
        assert_eq!((size_of::<T>(), table.0.len()), (self.size, (HEADER + self.slots.len()) * each));
        if rows == 0 {
            return;
        }
        let stride = |place: u16| strides.get(place as usize).copied().unwrap_or(0);
        // All pointers, then the bytes by which each goes on from one row to the next.
        let count = self.pointers.len() + self.flats.len() + self.combined.len();
        let mut pointers: SmallVec<[usize; 24]> = SmallVec::from_elem(0, 2 * count);
        let (firsts, steps) = pointers.split_at_mut(count);
        let mut slots = firsts.iter_mut().zip(steps);
        let mut push = |pointer, step: usize| {
            let slot = slots.next().expect("there is one for each");
            (*slot.0, *slot.1) = (pointer, step * self.size);
        };
        for &(place, written) in &self.pointers {
            let reach = (rows - 1) * stride(place) + len;
            let memory = match places[place as usize] {
                Place::Overwritten(by) => by,
                _ => place,
            };
            let pointer = match &mut places[memory as usize] {
                Place::Write(values) => values[..reach].as_mut_ptr().expose_provenance(),
                Place::Read(values) if !written => values[..reach].as_ptr().expose_provenance(),
                _ => unreachable!("results go to places that can be written"),
            };
            push(pointer, stride(place));
        }
        for &place in &self.flats {
            let reach = (rows - 1) * stride(place) + 1;
            push(places[place as usize].get()[..reach].as_ptr().expose_provenance(), stride(place));
        }
        for &place in &self.combined {
            let Place::Write(to) = &mut places[place as usize] else { unreachable!("lanes go to places of their own") };
            push(to[..rows * STORED].as_mut_ptr().expose_provenance(), STORED);
        }
        let rest = len * self.size % self.width;
        if rest > 0 {
            table.0[0] = self.mask(rest);
        }
        let numbers = [len * self.size - rest, rest, rows, pointers.as_mut_ptr().expose_provenance()];
        table.0[each] = Lanes(numbers.map(|number| number as u64));
        self.call(&mut pointers, &mut table.0);
    }

    /// Chooses the first bytes of a vector.
    fn mask(&self, bytes: usize) -> Lanes {
        match self.width {
            64 => Lanes([(1 << (bytes / self.size)) - 1, 0, 0, 0]),
            _ => Lanes(std::array::from_fn(|k| {
                let set = |byte: usize| if byte < bytes { !0u32 as u64 } else { 0 };
                set(8 * k) | set(8 * k + 4) << 32
            })),
        }
    }

    /// Calls the code with pointers and a table as [`emit`] describes them.
    #[allow(unsafe_code)]
    fn call(&self, pointers: &mut [usize], table: &mut [Lanes]) {
        #[cfg(target_arch = "x86_64")]
        {
            type Code = unsafe extern "sysv64" fn(*mut usize, *mut Lanes);
            // SAFETY: the memory holds a function of this signature: `emit` made it, nothing can write to it, and it lives as
            // long as `self`.
            let code = unsafe { std::mem::transmute::<*const u8, Code>(self.code.as_ptr()) };
            // SAFETY: `new` saw that the processor has the instructions. `run`, the only caller, took each pointer from a
            // slice that holds as many rows as the table says, a writable one if the code writes there. Two pointers are
            // equal only if the formula has them as one place or overwrites one by the other; the code loads all arguments
            // of the vectors of a turn before it stores their results. It reads and writes the table at the slots that it
            // was made with; `run` checked their number. It keeps the registers that a callee has to keep.
            unsafe { code(pointers.as_mut_ptr(), table.as_mut_ptr()) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("no code is made for this processor: {:?} {pointers:?} {table:?}", self.code)
    }
}
