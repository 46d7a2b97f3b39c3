//! How the time of a training step grows: over the batch, the width, the depth and the threads, beside what the arithmetic
//! alone would take at the speed of a large matrix product on the same threads.
//!
//! `cargo bench --bench growth -- [--out FILE.svg]` prints one JSON line for each point and draws `docs/growth.svg`.

#[path = "steps/workloads.rs"]
#[allow(dead_code)]
mod workloads;

use cotangent::prelude::*;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use workloads::{measure, peak, step};

/// A network: blocks of dense layer, batch normalization, ReLU and dropout, then a dense layer for 10 classes.
#[derive(Clone, Copy)]
struct Shape {
    batch: usize,
    width: usize,
    depth: usize,
    threads: usize,
}

const USUAL: Shape = Shape { batch: 128, width: 200, depth: 2, threads: 2 };
const LEAST: Duration = Duration::from_millis(300);

impl Shape {
    /// Seconds of a training step.
    fn time(self) -> f64 {
        cotangent::cpu::set_threads(self.threads);
        let rng = Rng::new(0);
        let block = |k| {
            let inputs = if k == 0 { 784 } else { self.width };
            (Dense::new(inputs, self.width, &rng), BatchNorm::new(self.width), Relu, Dropout(0.5))
        };
        let model = ((0..self.depth).map(block).collect::<Vec<_>>(), Dense::new(self.width, 10, &rng));
        measure(&mut step(model, self.batch), LEAST).0.as_secs_f64()
    }

    /// Multiplications and additions in its matrix products: forward, by the weights, and by all inputs but the images.
    fn operations(self) -> f64 {
        let (first, inner) = (784 * self.width, (self.depth - 1) * self.width.pow(2) + self.width * 10);
        2.0 * self.batch as f64 * (2 * first + 3 * inner) as f64
    }
}

/// What varies, on which axis, and the networks.
type Family = (&'static str, Vec<(usize, Shape)>);

fn families() -> Vec<Family> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let powers = |from: u32, to: u32| (from..=to).map(|k| 1usize << k);
    vec![
        // Batch normalization needs two.
        ("batch", powers(1, 12).map(|batch| (batch, Shape { batch, ..USUAL })).collect()),
        ("width", powers(4, 11).map(|width| (width, Shape { width, ..USUAL })).collect()),
        ("depth", powers(0, 5).map(|depth| (depth, Shape { depth, ..USUAL })).collect()),
        ("threads", (1..=cores).map(|threads| (threads, Shape { batch: 1024, threads, ..USUAL })).collect()),
    ]
}

/// Size, milliseconds of a step, and of its arithmetic.
type Point = (f64, f64, f64);

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/growth.svg"));
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("out") => out = parser.value()?.into(),
            lexopt::Arg::Long("bench") => {} // cargo bench adds it
            other => return Err(other.unexpected().into()),
        }
    }
    let mut curves = vec![];
    for (name, shapes) in families() {
        let mut points: Vec<Point> = vec![];
        for (size, shape) in shapes {
            let (ms, floor) = (1e3 * shape.time(), 1e3 * shape.operations() / peak(LEAST));
            println!("{{\"over\": \"{name}\", \"size\": {size}, \"ms\": {ms:.4}, \"arithmetic_ms\": {floor:.4}}}");
            points.push((size as f64, ms, floor));
        }
        curves.push((name, points));
    }
    let font = include_bytes!("../examples/lecture/font/NotoSans-latin.ttf");
    register_font("sans-serif", FontStyle::Normal, font).map_err(|_| "the embedded font is damaged")?;
    draw(&curves, SVGBackend::new(&out, (1200, 800)).into_drawing_area())?;
    println!("{}", out.display());
    Ok(())
}

fn draw(
    curves: &[(&str, Vec<Point>)],
    area: DrawingArea<SVGBackend, plotters::coord::Shift>,
) -> Result<(), Box<dyn Error>> {
    area.fill(&WHITE)?;
    for (panel, (name, points)) in area.split_evenly((2, 2)).iter().zip(curves) {
        let times = points.iter().flat_map(|&(_, ms, floor)| [ms, floor]);
        let (low, high) = times.fold((f64::MAX, 0f64), |(low, high), t| (low.min(t), high.max(t)));
        let sizes = points[0].0 * 0.9..points[points.len() - 1].0 * 1.1;
        let mut chart = ChartBuilder::on(panel)
            .margin(16)
            .caption(format!("a training step over {name}"), ("sans-serif", 20))
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(sizes.log_scale(), (low * 0.7..high * 1.5).log_scale())?;
        chart.configure_mesh().x_desc(*name).y_desc("ms").light_line_style(TRANSPARENT).draw()?;
        let series = [
            ("measured", BLUE, points.iter().map(|p| (p.0, p.1)).collect::<Vec<_>>()),
            ("arithmetic alone", RED, points.iter().map(|p| (p.0, p.2)).collect()),
        ];
        for (label, color, line) in series {
            chart
                .draw_series(LineSeries::new(line, color.stroke_width(2)).point_size(3))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        }
        let place = SeriesLabelPosition::UpperLeft;
        chart.configure_series_labels().position(place).background_style(WHITE).border_style(BLACK).draw()?;
    }
    area.present()?;
    Ok(())
}
