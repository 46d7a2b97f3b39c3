//! What a scope has seen, as numbers and as a table.

use std::fmt;
use std::time::Duration;

/// What the calls of backends took; made by [`scope`](super::scope()). It prints as a table: times in milliseconds, sizes in
/// 10⁶ bytes.
#[derive(Clone, Debug)]
pub struct Report {
    /// A row for each operation, the one that took the longest first.
    pub rows: Vec<Row>,
    /// What the function took, all in all.
    pub wall: Duration,
}

/// The calls that one operation made.
#[derive(Clone, Debug)]
pub struct Row {
    /// The operation.
    pub name: &'static str,
    /// Calls of a backend.
    pub calls: u64,
    /// What they took.
    pub time: Duration,
    /// Bytes read and written: of each argument the elements, those of a stretched axis once, and the results. Of what
    /// is gathered from, no more elements than are taken.
    pub bytes: u64,
    /// Arithmetic operations: 2·m·n·k for each matrix product; in programs, one for each instruction that computes
    /// something, an addition or an exponential, and one for each value that is folded, at every element. Other calls
    /// count 0.
    pub flops: u64,
}

impl Row {
    pub(super) fn empty(name: &'static str) -> Row {
        Row { name, calls: 0, time: Duration::ZERO, bytes: 0, flops: 0 }
    }

    pub(super) fn add(&mut self, other: &Row) {
        self.calls += other.calls;
        self.time += other.time;
        self.bytes += other.bytes;
        self.flops += other.flops;
    }

    /// Memory traffic in 10⁹ bytes per second; 0 if there was none.
    pub fn gb_per_s(&self) -> f64 {
        ratio(self.bytes as f64 / 1e9, self.time.as_secs_f64())
    }

    /// Arithmetic in 10⁹ operations per second; 0 if there was none.
    pub fn gflop_per_s(&self) -> f64 {
        ratio(self.flops as f64 / 1e9, self.time.as_secs_f64())
    }
}

impl Report {
    /// The row of an operation, if it made any calls.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([0.5; 8], [8]);
    /// let (_, report) = profile::scope(|| eager(|| x.exp() + 1.0));
    /// let row = report.row("exp").unwrap();
    /// assert_eq!((row.calls, row.bytes, row.flops), (1, 2 * 8 * 4, 8));
    /// assert!(report.row("matmul").is_none());
    /// ```
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The sum of all rows.
    pub fn total(&self) -> Row {
        let mut total = Row::empty("total");
        self.rows.iter().for_each(|row| total.add(row));
        total
    }

    /// The part of the rows' total time that a row took, from 0 to 1.
    pub fn share(&self, row: &Row) -> f64 {
        ratio(row.time.as_secs_f64(), self.total().time.as_secs_f64())
    }

    /// The part of [`wall`](Report::wall) that was spent outside of backends: shapes, recording, the program itself.
    pub fn outside(&self) -> Duration {
        self.wall.saturating_sub(self.total().time)
    }
}

/// A quotient; 0 over 0 is 0.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let total = self.total();
        let rows = || self.rows.iter().chain([&total]);
        let title = "operation";
        let width = rows().map(|row| row.name.chars().count()).fold(title.len(), usize::max);
        writeln!(f, "{title:width$}    calls   time ms  share %        MB     GB/s  GFLOP/s")?;
        for row in rows() {
            writeln!(
                f,
                "{:width$} {:8} {:9.3} {:8.1} {:9.2} {:8.2} {:8.2}",
                row.name,
                row.calls,
                milliseconds(row.time),
                100.0 * self.share(row),
                row.bytes as f64 / 1e6,
                row.gb_per_s(),
                row.gflop_per_s()
            )?;
        }
        let (wall, outside) = (milliseconds(self.wall), milliseconds(self.outside()));
        let percent = 100.0 * ratio(outside, wall);
        write!(f, "wall time {wall:.3} ms, of which {outside:.3} ms ({percent:.1} %) outside of the backend")
    }
}

fn milliseconds(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}
