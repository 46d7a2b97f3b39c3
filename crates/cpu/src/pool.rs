//! Memory that is used again: buffers of dropped tensors serve the next ones of about their size.

use cotangent_core::host::{Line, Meter, Pool, allocate};
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard};

/// Sizes up to this one (in cache lines) are kept by the thread that freed them.
const SMALL: usize = 512;
/// Buffers of one size that a thread keeps.
const KEPT: usize = 32;
/// Size classes of small buffers, and of all.
const SMALL_CLASSES: usize = class(SMALL) + 1;
const CLASSES: usize = class(1 << 50) + 1;

/// The class of a size: four to each power of two, so that at most a fifth of a buffer is unused.
const fn class(lines: usize) -> usize {
    if lines <= 4 {
        return lines.saturating_sub(1);
    }
    let power = (lines - 1).ilog2() as usize; // 2^power < lines <= 2^(power + 1)
    4 * (power - 2) + ((lines - 1) >> (power - 2))
}

/// The largest size of a class.
const fn size(class: usize) -> usize {
    if class < 4 {
        return class + 1;
    }
    (class % 4 + 5) << (class / 4 - 1)
}

thread_local! {
    /// Small buffers that this thread freed, by class.
    static MINE: RefCell<[Vec<Vec<Line>>; SMALL_CLASSES]> = const { RefCell::new([const { Vec::new() }; SMALL_CLASSES]) };
}

/// Buffers by size class. Small ones are kept by each thread, without locks; large ones, and what a thread has too
/// many of, are shared. Those do not exceed what tensors once needed at one time; where they would, others that were
/// not used again make room.
#[derive(Default)]
pub struct Reuse {
    meter: Meter,
    shared: Mutex<Shared>,
}

/// Buffers that any thread may take.
struct Shared {
    free: [Vec<Vec<Line>>; CLASSES],
    /// Their bytes.
    bytes: usize,
    /// The class that makes room next.
    hand: usize,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared { free: [const { Vec::new() }; CLASSES], bytes: 0, hand: 0 }
    }
}

impl Shared {
    fn take(&mut self, class: usize) -> Option<Vec<Line>> {
        let buffer = self.free[class].pop()?;
        self.bytes -= size_of_val(&buffer[..]);
        Some(buffer)
    }

    /// Keeps a buffer, and drops others until at most `limit` bytes are kept.
    fn give(&mut self, class: usize, lines: Vec<Line>, limit: usize) {
        self.bytes += size_of_val(&lines[..]);
        self.free[class].push(lines);
        while self.bytes > limit {
            self.hand = (self.hand + 1) % CLASSES;
            if self.hand != class || self.bytes == size_of_val(&self.free[class][0][..]) * self.free[class].len() {
                drop(self.take(self.hand));
            }
        }
    }
}

impl Reuse {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Pool for Reuse {
    fn take(&self, lines: usize) -> Vec<Line> {
        if lines == 0 {
            return Vec::new();
        }
        let class = class(lines);
        if class < SMALL_CLASSES
            && let Ok(Some(buffer)) = MINE.try_with(|mine| mine.borrow_mut()[class].pop())
        {
            return buffer;
        }
        if let Some(buffer) = self.shared().take(class) {
            return buffer;
        }
        let new = || allocate("cpu", size(class));
        // Buffers of other sizes make room.
        let room = |_| {
            *self.shared() = Shared::default();
            new()
        };
        new().or_else(room).unwrap_or_else(|error| error.throw())
    }

    fn give(&self, lines: Vec<Line>) {
        if lines.is_empty() {
            return;
        }
        let class = class(lines.len());
        let mut left = Some(lines);
        if class < SMALL_CLASSES {
            // A thread that is ending keeps nothing.
            let _ = MINE.try_with(|mine| {
                let list = &mut mine.borrow_mut()[class];
                if list.len() < KEPT {
                    list.extend(left.take());
                }
            });
        }
        let Some(lines) = left else { return };
        self.shared().give(class, lines, self.meter.read().peak);
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cotangent_core::{Error, attempt};

    #[test]
    fn classes_are_monotonic_and_tight() {
        for lines in 1..5000 {
            let c = class(lines);
            assert!(size(c) >= lines, "{lines} lines do not fit into class {c}");
            assert!(c == 0 || size(c - 1) < lines, "{lines} lines fit into a smaller class than {c}");
        }
    }

    #[test]
    fn buffers_come_back() {
        let pool = Reuse::default();
        for lines in [1, 7, SMALL, SMALL + 1, 100_000] {
            let buffer = pool.take(lines);
            assert!(buffer.len() >= lines);
        }
        let small = pool.take(3);
        let address = small.as_ptr();
        pool.give(small);
        let again = pool.take(3);
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn what_cannot_be_had_is_a_typed_error() {
        let pool = Reuse::default();
        pool.give(pool.take(SMALL + 1));
        let error = attempt(|| drop(pool.take(1 << 50))).err();
        assert!(matches!(error, Some(Error::OutOfMemory { bytes, .. }) if bytes >= 1 << 56), "{error:?}");
        assert_eq!(pool.shared().bytes, 0, "what was kept made room first");
        assert!(pool.take(SMALL + 1).len() > SMALL, "the pool goes on");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut shared = Shared::default();
        let line = |n: usize| bytemuck::zeroed_vec::<Line>(n);
        for class in 40..50 {
            shared.give(class, line(size(class)), 1 << 20);
            let kept: usize = shared.free.iter().flatten().map(|b| size_of_val(&b[..])).sum();
            assert_eq!(kept, shared.bytes);
            assert!(kept <= 1 << 20);
        }
        assert!(shared.take(49).is_some(), "what was freed last is kept");
    }
}
