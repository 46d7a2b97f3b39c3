//! Work shared among threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a thread that has nothing to do looks out for more before it sleeps: waking it takes the system about as
/// long as a training step takes for a layer, and the next work usually follows at once.
const PATIENCE: Duration = Duration::from_millis(1);
/// How long it does not even leave the processor to others.
const HASTE: Duration = Duration::from_micros(100);

/// Some threads, started when they are first needed. The caller is one of them.
#[derive(Default)]
pub struct Threads {
    /// 0 stands for all cores.
    count: AtomicUsize,
    team: Mutex<Option<Arc<Team>>>,
}

impl Threads {
    /// How many work together.
    pub fn count(&self) -> usize {
        match self.count.load(Ordering::Relaxed) {
            0 => {
                let cores = thread::available_parallelism().map_or(1, |n| n.get());
                self.count.store(cores, Ordering::Relaxed);
                cores
            }
            n => n,
        }
    }

    /// Changes how many work together. Work in progress goes on with the old ones.
    pub fn set(&self, count: usize) {
        let mut team = lock(&self.team);
        self.count.store(count, Ordering::Relaxed);
        *team = None;
    }

    fn team(&self) -> Arc<Team> {
        lock(&self.team).get_or_insert_with(|| Arc::new(Team::new(self.count() - 1))).clone()
    }

    /// Calls `work` for each of the `count` items. Which thread takes which item is open, so an item must not depend
    /// on the number of threads.
    pub fn each<I: Send>(&self, count: usize, items: impl Iterator<Item = I> + Send, work: impl Fn(I) + Sync) {
        let threads = self.count().min(count);
        if threads <= 1 {
            return items.for_each(work);
        }
        let items = Mutex::new(items);
        let next = || lock(&items).next();
        self.team().run(threads - 1, &|| {
            while let Some(item) = next() {
                work(item);
            }
        });
    }
}

/// A lock. Where a panic poisoned it, what it guards is whole: it is only ever set as a whole.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// What helpers do: take items until there are no more.
type Task<'a> = &'a (dyn Fn() + Sync);

/// Threads that help one that leads: those that look out or wake in time join the leader's task, which ends when there
/// is nothing left to take and all that joined are done. So a helper that the system wakes late delays nothing.
struct Team {
    board: Arc<Board>,
    helpers: Vec<JoinHandle<()>>,
    /// Held by the thread that leads.
    lead: Mutex<()>,
}

/// What leader and helpers tell each other.
#[derive(Default)]
struct Board {
    /// The number of the current task (from bit 32 on), whether it may be joined, and how many have joined it.
    state: AtomicU64,
    /// A `Task` on the leader's stack. It lives until all that joined have left.
    task: AtomicPtr<()>,
    /// The first panic among the helpers.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A step of the task's number in a board's state.
const NUMBER: u64 = 1 << 32;
/// Whether the task may be joined.
const OPEN: u64 = 1 << 31;
/// How many have joined.
const JOINED: u64 = OPEN - 1;
/// The state that ends the helpers.
const END: u64 = u64::MAX;

impl Team {
    fn new(helpers: usize) -> Team {
        let board = Arc::new(Board::default());
        let start = |k| {
            let board = board.clone();
            let named = thread::Builder::new().name(format!("cotangent-cpu-{}", k + 1));
            named.spawn(move || board.help()).expect("the system can start another thread")
        };
        let helpers = (0..helpers).map(start).collect();
        Team { board, helpers, lead: Mutex::new(()) }
    }

    /// Runs the task here and, at the same time, on up to so many helpers. It runs here alone if the team works
    /// already, for another thread or in a task around this one.
    fn run(&self, helpers: usize, task: Task) {
        let Ok(lead) = self.lead.try_lock() else { return task() };
        let board = &*self.board;
        board.task.store((&raw const task).cast_mut().cast(), Ordering::Relaxed);
        let number = board.state.load(Ordering::Relaxed) & !(OPEN | JOINED);
        board.state.store(number.wrapping_add(NUMBER) | OPEN, Ordering::Release);
        self.helpers.iter().take(helpers).for_each(|helper| helper.thread().unpark());
        let mine = catch_unwind(AssertUnwindSafe(task));
        board.state.fetch_and(!OPEN, Ordering::Relaxed);
        while !look_out(|| board.state.load(Ordering::Acquire) & JOINED == 0) {}
        let theirs = lock(&board.panic).take();
        drop(lead);
        if let Some(panic) = mine.err().or(theirs) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.board.state.store(END, Ordering::Relaxed);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            helper.join().expect("a helper catches panics");
        }
    }
}

impl Board {
    /// A helper's life.
    fn help(&self) {
        let mut seen = 0;
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if state == END {
                return;
            }
            if state & OPEN != 0 && state / NUMBER != seen {
                let joined = self.state.compare_exchange(state, state + 1, Ordering::Acquire, Ordering::Relaxed);
                if joined.is_ok() {
                    seen = state / NUMBER;
                    self.take_part();
                }
                continue;
            }
            let news = || self.state.load(Ordering::Relaxed) != state;
            if !look_out(news) {
                // Whoever changes the state wakes this thread afterwards, also if it is not asleep yet.
                thread::park();
            }
        }
    }

    /// Runs the task that this thread has joined, and leaves it.
    fn take_part(&self) {
        let task = self.task.load(Ordering::Relaxed).cast::<Task>();
        // SAFETY: joining succeeded while the task was open, and its leader, whose stack holds it, waits until this
        // thread has left. Joining acquired what the leader released when it opened the task, so the pointer is the
        // one to this task, and its referent is initialized. It is `Sync`.
        #[allow(unsafe_code)]
        let task = unsafe { *task };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(task)) {
            lock(&self.panic).get_or_insert(panic);
        }
        self.state.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for something without sleeping, but not for long. Whether it happened.
fn look_out(happened: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if happened() {
            return true;
        }
        match start.elapsed() {
            waited if waited < HASTE => std::hint::spin_loop(),
            waited if waited < PATIENCE => thread::yield_now(),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn threads(count: usize) -> Threads {
        Threads { count: AtomicUsize::new(count), team: Mutex::default() }
    }

    /// Every item once, and what the threads wrote is seen here.
    #[test]
    fn items_are_taken_once() {
        let threads = threads(3);
        for round in 0..if cfg!(miri) { 5 } else { 2000 } {
            let mut counts = [0usize; 7];
            threads.each(7, counts.iter_mut().enumerate(), |(k, count)| *count += k + round);
            assert!(counts.iter().enumerate().all(|(k, &count)| count == k + round));
        }
    }

    /// As many items as threads, each of which waits until all have begun.
    fn all_meet(threads: &Threads) {
        let count = threads.count();
        let barrier = Barrier::new(count);
        let meet = |_| {
            barrier.wait();
        };
        threads.each(count, 0..count, meet);
    }

    #[test]
    fn helpers_take_part() {
        all_meet(&threads(3));
    }

    /// A team that works already does not wait for itself.
    #[test]
    fn work_within_work_and_beside_it() {
        let threads = threads(2);
        let sum = AtomicUsize::new(0);
        let add = |k| {
            sum.fetch_add(k, Ordering::Relaxed);
        };
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| threads.each(4, 0..4, |_| threads.each(4, 0..4, add)));
            }
        });
        assert_eq!(sum.into_inner(), 2 * 4 * 6);
    }

    #[test]
    fn panics_reach_the_caller_and_leave_the_team_whole() {
        let threads = threads(3);
        let barrier = Barrier::new(3);
        let fail = |k| {
            barrier.wait();
            assert!(k == 1, "item {k}");
        };
        let failed = catch_unwind(AssertUnwindSafe(|| threads.each(3, 0..3, fail)));
        assert!(failed.unwrap_err().downcast_ref::<String>().is_some_and(|text| text.starts_with("item")));
        all_meet(&threads);
    }

    #[test]
    fn helpers_that_sleep_wake_up() {
        let threads = threads(2);
        for _ in 0..3 {
            all_meet(&threads);
            thread::sleep(3 * PATIENCE);
        }
    }

    #[test]
    fn another_number_of_threads() {
        let threads = threads(2);
        threads.each(2, 0..2, |_| ());
        threads.set(3);
        all_meet(&threads);
    }
}
