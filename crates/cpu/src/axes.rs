//! Iteration space of a kernel: merged axes, cut into blocks.

use cotangent_core::{Shape, Strides};
use smallvec::SmallVec;

/// Extents of axes.
pub type Extents = SmallVec<[usize; 6]>;

/// The fewest axes that describe `shape` and the strides of each input. Neighbouring axes are merged where every
/// input walks through both in one stride and `mergeable` allows. There is always one axis.
pub fn merged(
    shape: &Shape,
    inputs: &[&[isize]],
    mergeable: impl Fn(usize, usize) -> bool,
) -> (Extents, SmallVec<[Strides; 4]>, Extents) {
    let mut extents = Extents::new();
    let mut strides: SmallVec<[Strides; 4]> = inputs.iter().map(|_| Strides::new()).collect();
    // Which of the old axes is the innermost of each new one.
    let mut from = Extents::new();
    for (axis, &n) in shape.iter().enumerate() {
        if n == 1 {
            continue;
        }
        let joins = from.last().is_some_and(|&last| {
            mergeable(last, axis) && inputs.iter().all(|input| input[last] == input[axis] * n as isize)
        });
        if joins {
            *extents.last_mut().expect("there is a last axis") *= n;
            *from.last_mut().expect("there is a last axis") = axis;
            strides.iter_mut().zip(inputs).for_each(|(own, input)| *own.last_mut().expect("as many") = input[axis]);
        } else {
            extents.push(n);
            from.push(axis);
            strides.iter_mut().zip(inputs).for_each(|(own, input)| own.push(input[axis]));
        }
    }
    if extents.is_empty() {
        extents.push(1);
        from.push(0);
        strides.iter_mut().for_each(|own| own.push(1));
    }
    (extents, strides, from)
}

/// Elements that a program works on at a time: a few slices of so many stay in the first-level cache.
pub const BLOCK: usize = 512;

/// An iteration space cut into blocks, each a box of a limited size and a contiguous range in row-major
/// order.
#[derive(Debug)]
pub struct Grid {
    /// Extents of the axes.
    pub extents: Extents,
    /// The axis of which a block has a part; of later axes it has all, of earlier ones one place.
    pub cut: usize,
    /// Elements in one place of the cut axis.
    inner: usize,
    /// Places of the cut axis in a block, except perhaps the last one.
    places: usize,
    /// Blocks along the cut axis.
    parts: usize,
    /// Number of blocks.
    pub blocks: usize,
}

/// One block of a [`Grid`].
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Row-major position of the first element.
    pub start: usize,
    /// Number of elements.
    pub len: usize,
    /// Places of the cut axis.
    pub places: usize,
    /// The first of them.
    first: usize,
    /// Row-major position over the axes before the cut one.
    outer: usize,
}

impl Block {
    /// Whether it is on the same line along the cut axis as an earlier one.
    pub fn follows(&self, other: &Block) -> bool {
        self.outer == other.outer
    }
}

impl Grid {
    /// Cuts a non-empty space into blocks of up to `block` elements that do not reach over places of axes before `limit`.
    pub fn new(extents: Extents, limit: usize, block: usize) -> Grid {
        let mut cut = extents.len() - 1;
        let mut inner = 1;
        while cut > limit && inner * extents[cut] <= block {
            inner *= extents[cut];
            cut -= 1;
        }
        let n = extents[cut];
        let most = block / inner;
        // Even parts, but of whole vectors.
        let even = n.div_ceil(n.div_ceil(most));
        let places = if inner == 1 { even.next_multiple_of(64).min(most) } else { even };
        let parts = n.div_ceil(places);
        let blocks = extents[..cut].iter().product::<usize>() * parts;
        Grid { extents, cut, inner, places, parts, blocks }
    }

    /// Elements of a full block.
    pub fn block_len(&self) -> usize {
        self.places * self.inner
    }

    /// Places of the cut axis in a full block.
    pub fn block_places(&self) -> usize {
        self.places
    }

    /// Elements of a row, if the last axis is whole in each block and the one before is cut.
    pub fn row(&self) -> Option<usize> {
        (self.cut + 2 == self.extents.len()).then_some(self.inner)
    }

    /// Blocks along the cut axis.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Whether each block has all places of the cut axis.
    pub fn whole(&self) -> bool {
        self.parts == 1
    }

    /// The block with a number.
    pub fn block(&self, number: usize) -> Block {
        let (outer, part) =
            if self.blocks == self.parts { (0, number) } else { (number / self.parts, number % self.parts) };
        let first = part * self.places;
        let n = self.extents[self.cut];
        let places = self.places.min(n - first);
        Block { start: (outer * n + first) * self.inner, len: places * self.inner, places, first, outer }
    }

    /// Where a block begins; where the space ends for the number after the last.
    pub fn start(&self, number: usize) -> usize {
        let (outer, part) = (number / self.parts, number % self.parts);
        (outer * self.extents[self.cut] + part * self.places) * self.inner
    }

    /// Position of a block's first element in memory of the given strides.
    pub fn offset(&self, block: &Block, strides: &[isize]) -> isize {
        let mut at = block.first as isize * strides[self.cut];
        let mut outer = block.outer;
        for axis in (0..self.cut).rev() {
            let n = self.extents[axis];
            at += (outer % n) as isize * strides[axis];
            outer /= n;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_partition_the_space() {
        for extents in [&[1usize][..], &[7], &[5000], &[10, 10], &[3, 700], &[4, 300, 3], &[2, 3, 513], &[9, 512, 2]] {
            for limit in 0..extents.len() {
                let grid = Grid::new(extents.iter().copied().collect(), limit, BLOCK);
                let mut at = 0;
                for number in 0..grid.blocks {
                    let block = grid.block(number);
                    assert_eq!((block.start, grid.start(number)), (at, at));
                    assert!(block.len <= BLOCK && block.len > 0);
                    at += block.len;
                }
                assert_eq!(at, extents.iter().product::<usize>());
                assert_eq!(grid.start(grid.blocks), at);
            }
        }
    }

    #[test]
    fn axes_merge_where_all_inputs_agree() {
        let shape = Shape::from([2, 1, 3, 4]);
        let (extents, strides, _) = merged(&shape, &[&[12, 5, 4, 1], &[0, 0, 4, 1]], |_, _| true);
        assert_eq!(extents[..], [2, 12]);
        assert_eq!((&strides[0][..], &strides[1][..]), (&[12, 1][..], &[0, 1][..]));
        let (extents, strides, _) = merged(&Shape::from([1, 1]), &[&[3, 9]], |_, _| true);
        assert_eq!((&extents[..], &strides[0][..]), (&[1][..], &[1][..]));
    }
}
