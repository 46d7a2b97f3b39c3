//! Work shared among threads.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long a thread that has nothing to do looks out for more before it sleeps: waking it takes the system about as
/// long as a small operation takes altogether, and the next one usually follows at once.
const PATIENCE: Duration = Duration::from_micros(100);

/// Some threads, started when they are first needed. The caller is one of them.
#[derive(Default)]
pub struct Threads {
    /// 0 stands for all cores.
    count: AtomicUsize,
    /// Pieces of work so far. Threads that look out for the next one see it change.
    works: Arc<AtomicUsize>,
    helpers: Mutex<Option<Arc<ThreadPool>>>,
}

impl Threads {
    /// How many work together.
    pub fn count(&self) -> usize {
        match self.count.load(Ordering::Relaxed) {
            0 => {
                let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
                self.count.store(cores, Ordering::Relaxed);
                cores
            }
            n => n,
        }
    }

    /// Changes how many work together. Work in progress goes on with the old ones.
    pub fn set(&self, count: usize) {
        let mut helpers = self.helpers();
        self.count.store(count, Ordering::Relaxed);
        *helpers = None;
    }

    fn helpers(&self) -> MutexGuard<'_, Option<Arc<ThreadPool>>> {
        self.helpers.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn pool(&self) -> Arc<ThreadPool> {
        let mut helpers = self.helpers();
        let start = || {
            let builder = ThreadPoolBuilder::new().num_threads(self.count() - 1);
            let named = builder.thread_name(|k| format!("cotangent-cpu-{}", k + 1));
            Arc::new(named.build().expect("the system can start another thread"))
        };
        helpers.get_or_insert_with(start).clone()
    }

    /// Calls `work` for each of the `count` items. Which thread takes which item is open, so an item must not depend
    /// on the number of threads.
    pub fn each<I: Send>(&self, count: usize, items: impl Iterator<Item = I> + Send, work: impl Fn(I) + Sync) {
        let threads = self.count().min(count);
        if threads <= 1 {
            return items.for_each(work);
        }
        let items = Mutex::new(items);
        let next = || items.lock().unwrap_or_else(|e| e.into_inner()).next();
        let drain = || {
            while let Some(item) = next() {
                work(item);
            }
        };
        let pool = self.pool();
        let busy = AtomicUsize::new(threads - 1);
        let work = self.works.fetch_add(1, Ordering::Release) + 1;
        pool.in_place_scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|_| {
                    drain();
                    busy.fetch_sub(1, Ordering::Release);
                });
            }
            drain();
            // The end of the scope would put this thread to sleep.
            look_out(|| busy.load(Ordering::Acquire) == 0);
            (0..LAST_STEPS).for_each(|_| std::hint::spin_loop());
        });
        for _ in 1..threads {
            let works = self.works.clone();
            pool.spawn(move || look_out(|| works.load(Ordering::Acquire) != work));
        }
    }
}

/// What a thread needs, in turns of a loop, from telling that it is done to being done.
const LAST_STEPS: usize = 32;

/// Waits for something without sleeping, but not for long.
fn look_out(happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() && start.elapsed() < PATIENCE {
        std::hint::spin_loop();
    }
}
