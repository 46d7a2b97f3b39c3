//! Random numbers by counter: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as
//! 1, 2, 3"). A number is a pure function of a key, a counter and a position, so it is the same on every device and
//! for every number of threads, and can be recomputed instead of stored.

use crate::expr::Draw;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Four random words for a key and a counter.
///
/// ```
/// use cotangent_core::rng::philox;
/// assert_eq!(philox([0; 2], [0; 4]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
#[inline(always)]
pub fn philox(mut key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    // Words are kept in 64 bits, where they need no conversions between the multiplications of vectors.
    const LOW: u64 = 0xFFFF_FFFF;
    let mut w = counter.map(u64::from);
    for _ in 0..10 {
        let a = 0xD2511F53 * w[0];
        let b = 0xCD9E8D57 * w[2];
        w = [(b >> 32) ^ w[1] ^ key[0] as u64, b & LOW, (a >> 32) ^ w[3] ^ key[1] as u64, a & LOW];
        key = [key[0].wrapping_add(0x9E3779B9), key[1].wrapping_add(0xBB67AE85)];
    }
    w.map(|word| word as u32)
}

/// The words behind positions `4·group` to `4·group + 3` (or 2 for normal and 53-bit draws) of a ticket.
#[inline(always)]
pub fn words(ticket: [u32; 4], group: u64) -> [u32; 4] {
    philox([ticket[0], ticket[1]], [group as u32, (group >> 32) as u32 ^ ticket[2], ticket[3], 0])
}

/// [`words`] of consecutive groups: `to[word][k]` becomes that of `group + k`. Compilers vectorize it.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // four arrays are written at one index
pub fn words_lanes<const N: usize>(ticket: [u32; 4], group: u64, to: &mut [[u32; N]; 4]) {
    for k in 0..N {
        let [a, b, c, d] = words(ticket, group + k as u64);
        (to[0][k], to[1][k], to[2][k], to[3][k]) = (a, b, c, d);
    }
}

/// 24 random bits as a number in [0, 1).
#[inline(always)]
pub fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// 53 random bits as a number in [0, 1).
#[inline(always)]
pub fn uniform53(hi: u32, lo: u32) -> f64 {
    (((hi as u64) << 21) | (lo >> 11) as u64) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// A pair of independent standard normal numbers (Box and Muller 1958).
#[inline(always)]
pub fn normal_pair(w: [u32; 4]) -> [f64; 2] {
    let radius = (-2.0 * (1.0 - uniform53(w[0], w[1])).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * uniform53(w[2], w[3])).sin_cos();
    [radius * cos, radius * sin]
}

/// The draw at one position; the plain meaning of a random instruction.
pub(crate) fn draw(kind: Draw, ticket: &[f64], position: u64) -> f64 {
    let ticket = [ticket[0] as u32, ticket[1] as u32, ticket[2] as u32, ticket[3] as u32];
    match kind {
        Draw::Uniform => uniform(words(ticket, position / 4)[(position % 4) as usize]) as f64,
        Draw::Normal => normal_pair(words(ticket, position / 2))[(position % 2) as usize],
        Draw::Uniform53 => {
            let w = words(ticket, position / 2);
            if position.is_multiple_of(2) { uniform53(w[0], w[1]) } else { uniform53(w[2], w[3]) }
        }
    }
}

/// A seeded source of random numbers. Drawing takes `&self`: each draw takes the next ticket.
///
/// ```
/// # use cotangent_core::*;
/// let rng = Rng::new(7);
/// let x = rng.uniform([2, 3]);
/// assert_eq!(x.to_vec::<f32>(), Rng::new(7).uniform([2, 3]).to_vec::<f32>());
/// assert_ne!(x.to_vec::<f32>(), rng.uniform([2, 3]).to_vec::<f32>());
/// ```
#[derive(Debug)]
pub struct Rng {
    key: u64,
    next: AtomicU64,
}

/// Names one draw of a whole tensor: the key and the number of the draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    key: u64,
    number: u64,
}

impl Ticket {
    /// The ticket as four 32-bit words: key (low, high), number (low, high).
    pub fn words(self) -> [u32; 4] {
        [self.key as u32, (self.key >> 32) as u32, self.number as u32, (self.number >> 32) as u32]
    }
}

impl Rng {
    /// A source with a seed of its own.
    pub fn new(seed: u64) -> Rng {
        Rng { key: seed, next: AtomicU64::new(0) }
    }

    /// An independent source, a pure function of this seed and `i`: for workers, layers, epochs.
    pub fn split(&self, i: u64) -> Rng {
        let words = philox([self.key as u32, (self.key >> 32) as u32], [i as u32, (i >> 32) as u32, 0, 0x5EED]);
        Rng::new(words[0] as u64 | (words[1] as u64) << 32)
    }

    /// The state, 16 bytes: seed and number of draws so far. See [`Rng::from_state`].
    pub fn state(&self) -> [u64; 2] {
        [self.key, self.next.load(Ordering::Relaxed)]
    }

    /// A source that goes on where another's [`state`](Rng::state) was taken.
    pub fn from_state([key, next]: [u64; 2]) -> Rng {
        Rng { key, next: AtomicU64::new(next) }
    }

    /// The next draw. Inside of [`checkpoint`](crate::checkpoint) the recomputation gets the same tickets again.
    pub fn ticket(&self) -> Ticket {
        LOG.with_borrow_mut(|log| {
            let ticket = match &mut log.replay {
                None => self.fresh(),
                Some(drawn) => drawn.next().expect("checkpoint: the recomputation drew more random tensors"),
            };
            log.records.iter_mut().for_each(|record| record.push(ticket));
            ticket
        })
    }

    fn fresh(&self) -> Ticket {
        Ticket { key: self.key, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

/// The draws of checkpointed functions, so that a recomputation sees the same numbers.
#[derive(Default)]
struct Log {
    /// Where tickets come from during a recomputation.
    replay: Option<std::vec::IntoIter<Ticket>>,
    /// What the checkpointed functions now running have drawn, outermost first.
    records: Vec<Vec<Ticket>>,
}

thread_local! {
    static LOG: RefCell<Log> = RefCell::default();
}

/// Undoes a change of the log, also when the function it was made for panics.
struct Undo<F: FnMut()>(F);
impl<F: FnMut()> Drop for Undo<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs `f` and returns the tickets that it drew.
pub(crate) fn recording<R>(f: impl FnOnce() -> R) -> (R, Vec<Ticket>) {
    LOG.with_borrow_mut(|log| log.records.push(vec![]));
    let mut drawn = vec![];
    let result = {
        let _undo = Undo(|| drawn = LOG.with_borrow_mut(|log| log.records.pop()).expect("pushed above"));
        f()
    };
    (result, drawn)
}

/// Runs `f` with the tickets of an earlier run.
pub(crate) fn replaying<R>(tickets: Vec<Ticket>, f: impl FnOnce() -> R) -> R {
    let mut outer = LOG.replace(Log { replay: Some(tickets.into_iter()), records: vec![] });
    let _undo = Undo(|| LOG.set(std::mem::take(&mut outer)));
    f()
}

/// Whether a checkpointed function is being recomputed: running statistics must not be updated twice.
pub fn recomputing() -> bool {
    LOG.with_borrow(|log| log.replay.is_some())
}
