//! Reading elements that lie apart, and writing them.

use crate::Cpu;
use crate::axes::merged;
use bytemuck::{AnyBitPattern, NoUninit, Pod};
use cotangent_core::Layout;

/// Elements that one thread takes at a time.
const ITEM: usize = 32 * 1024;

/// Reads the elements at `at` of the given extents and strides in row-major order.
pub fn read<E: Copy, T: Copy>(
    to: &mut [T],
    from: &[E],
    at: isize,
    extents: &[usize],
    strides: &[isize],
    convert: impl Fn(E) -> T + Copy,
) {
    match (extents, strides) {
        ([], _) => to[0] = convert(from[at as usize]),
        ([_], &[1]) => to.iter_mut().zip(&from[at as usize..]).for_each(|(to, &x)| *to = convert(x)),
        ([_], &[0]) => {
            let x = convert(from[at as usize]);
            to.fill(x);
        }
        ([_], &[stride]) => {
            let mut at = at;
            for to in to {
                *to = convert(from[at as usize]);
                at += stride;
            }
        }
        (&[m, n], &[down, across]) if across.abs() > down.abs() && m >= TILE => {
            read_tiles(to, from, at, [m, n], [down, across], convert);
        }
        ([n, inner @ ..], [stride, rest @ ..]) => {
            let size = to.len() / n;
            let mut at = at;
            for part in to.chunks_exact_mut(size) {
                read(part, from, at, inner, rest, convert);
                at += stride;
            }
        }
        _ => unreachable!("as many strides as extents"),
    }
}

/// Side of the squares in which a transposed matrix is read: their lines of memory stay in the cache.
const TILE: usize = 32;

fn read_tiles<E: Copy, T: Copy>(
    to: &mut [T],
    from: &[E],
    at: isize,
    [m, n]: [usize; 2],
    [down, across]: [isize; 2],
    convert: impl Fn(E) -> T + Copy,
) {
    for (i, j) in (0..m).step_by(TILE).flat_map(|i| (0..n).step_by(TILE).map(move |j| (i, j))) {
        for row in i..m.min(i + TILE) {
            let at = at + row as isize * down + j as isize * across;
            let to = &mut to[row * n..][..n][j..n.min(j + TILE)];
            read(to, from, at, &[to.len()], &[across], convert);
        }
    }
}

/// Writes elements in row-major order to the places at `at` of the given extents and strides, each at most once.
fn write<E: Copy>(from: &[E], to: &mut [E], at: isize, extents: &[usize], strides: &[isize]) {
    match (extents, strides) {
        ([], _) => to[at as usize] = from[0],
        ([n], &[1]) => to[at as usize..][..*n].copy_from_slice(from),
        ([_], &[stride]) => {
            let mut at = at;
            for &x in from {
                to[at as usize] = x;
                at += stride;
            }
        }
        ([n, inner @ ..], [stride, rest @ ..]) => {
            let size = from.len() / n;
            let mut at = at;
            for part in from.chunks_exact(size) {
                write(part, to, at, inner, rest);
                at += stride;
            }
        }
        _ => unreachable!("as many strides as extents"),
    }
}

/// Runs `$body` with an unsigned integer of `$size` bytes as `$T`: for code that only moves elements.
macro_rules! with_bits {
    ($size:expr, $T:ident => $body:expr) => {
        match $size {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            8 => {
                type $T = u64;
                $body
            }
            other => unreachable!("elements have 1, 2, 4 or 8 bytes, not {other}"),
        }
    };
}
pub(crate) use with_bits;

/// Copies a view into row-major elements, with all threads if there are many.
pub fn pack<E: Pod + Send + Sync>(cpu: &Cpu, to: &mut [E], from: &[E], layout: &Layout) {
    if to.is_empty() {
        return;
    }
    let (extents, strides, _) = merged(&layout.shape, &[&layout.strides], |_, _| true);
    let (at, strides) = (layout.offset as isize, &strides[0][..]);
    if !cpu.worth_threads(to.len()) {
        return read(to, from, at, &extents, strides, |x| x);
    }
    let size = to.len() / extents[0];
    let places = ITEM.div_ceil(size);
    let items = to.chunks_mut(places * size).enumerate();
    cpu.threads.each(items.len(), items, |(k, to)| {
        let mut extents = extents.clone();
        extents[0] = to.len() / size;
        read(to, from, at + (k * places) as isize * strides[0], &extents, strides, |x| x);
    });
}

/// Copies row-major elements into the places of a layout.
pub fn unpack<E: Copy>(from: &[E], to: &mut [E], layout: &Layout) {
    if from.is_empty() {
        return;
    }
    let (extents, strides, _) = merged(&layout.shape, &[&layout.strides], |_, _| true);
    write(from, to, layout.offset as isize, &extents, &strides[0]);
}

/// Bytes as elements, which they are aligned for.
pub fn cast<T: AnyBitPattern>(bytes: &[u8]) -> &[T] {
    bytemuck::cast_slice(bytes)
}

/// Bytes as elements, which they are aligned for, for writing.
pub fn cast_mut<T: NoUninit + AnyBitPattern>(bytes: &mut [u8]) -> &mut [T] {
    bytemuck::cast_slice_mut(bytes)
}

/// Takes the first elements off a slice.
pub fn take_front<'a, T>(rest: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    rest.split_off_mut(..len).expect("there is room for all parts")
}
