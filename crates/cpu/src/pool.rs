//! Memory that is used again: buffers of dropped tensors serve the next ones of about their size.

use cotangent_core::host::{Line, Meter, Pool};
use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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
/// many of, are shared. What is kept never exceeds what tensors once needed at one time.
pub struct Reuse {
    meter: Meter,
    shared: Mutex<[Vec<Vec<Line>>; CLASSES]>,
    /// Bytes in `shared`.
    kept: AtomicUsize,
}

impl Default for Reuse {
    fn default() -> Reuse {
        Reuse {
            meter: Meter::default(),
            shared: Mutex::new([const { Vec::new() }; CLASSES]),
            kept: AtomicUsize::new(0),
        }
    }
}

fn bytes(lines: usize) -> usize {
    lines * size_of::<Line>()
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
        if let Some(buffer) = self.shared.lock().unwrap_or_else(|e| e.into_inner())[class].pop() {
            self.kept.fetch_sub(bytes(buffer.len()), Ordering::Relaxed);
            return buffer;
        }
        bytemuck::zeroed_vec(size(class))
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
        let memory = self.meter.read();
        let size = bytes(lines.len());
        if memory.live + self.kept.load(Ordering::Relaxed) + size <= memory.peak {
            self.kept.fetch_add(size, Ordering::Relaxed);
            self.shared.lock().unwrap_or_else(|e| e.into_inner())[class].push(lines);
        }
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
