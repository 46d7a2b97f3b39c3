//! Pictures of a training: loss and accuracy over the epochs, as SVG and PNG.

use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Loss and accuracy (a fraction) after so many epochs.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub epoch: f64,
    pub loss: f64,
    pub accuracy: f64,
}

/// What was measured during a training.
#[derive(Default)]
pub struct History {
    /// While training, with dropout: means over a few dozen steps.
    pub training: Vec<Point>,
    /// After every epoch, without dropout.
    pub validation: Vec<Point>,
}

const SIZE: (u32, u32) = (1280, 520);
const TRAINING: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const VALIDATION: RGBColor = RGBColor(0xd9, 0x5f, 0x02);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xe6, 0xe6, 0xe6);

/// Writes `curves.svg` and `curves.png` into `dir`, which is made if it does not exist, and returns their paths.
pub fn save(history: &History, dir: &Path) -> Result<[PathBuf; 2], Box<dyn Error>> {
    // The letters are drawn from this font, so no font needs to be installed.
    let font = include_bytes!("font/NotoSans-latin.ttf");
    register_font("sans-serif", FontStyle::Normal, font).map_err(|_| "the embedded font is damaged")?;
    std::fs::create_dir_all(dir)?;
    let [svg, png] = ["curves.svg", "curves.png"].map(|name| dir.join(name));
    draw(history, SVGBackend::new(&svg, SIZE))?;
    let mut pixels = vec![0; (3 * SIZE.0 * SIZE.1) as usize];
    draw(history, BitMapBackend::with_buffer(&mut pixels, SIZE))?;
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(&png)?), SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok([svg, png])
}

fn draw<B: DrawingBackend>(history: &History, backend: B) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    panel(history, &left, "Loss", |point| point.loss)?;
    panel(history, &right, "Accuracy in %", |point| 100.0 * point.accuracy)?;
    area.present()?;
    Ok(())
}

/// One quantity over the epochs.
fn panel<B: DrawingBackend>(
    history: &History,
    area: &DrawingArea<B, plotters::coord::Shift>,
    title: &str,
    quantity: fn(&Point) -> f64,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let points = |series: &[Point]| series.iter().map(|p| (p.epoch, quantity(p))).collect::<Vec<_>>();
    let (training, validation) = (points(&history.training), points(&history.validation));
    let all = || training.iter().chain(&validation);
    let low = all().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = all().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let margin = 0.05 * (high - low).max(1e-3);
    let last = all().map(|p| p.0).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .caption(title, ("sans-serif", 24, &INK))
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last * 1.02, low - margin..high + margin)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 17, &INK))
        .x_labels(last.clamp(1.0, 10.0) as usize + 1)
        .x_label_formatter(&|epoch| format!("{epoch:.0}"))
        .x_desc("epoch")
        .axis_desc_style(("sans-serif", 18, &INK))
        .draw()?;
    let key = |color: RGBColor| move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(3));
    chart
        .draw_series(LineSeries::new(training.iter().copied(), TRAINING.stroke_width(2)))?
        .label("training, with dropout")
        .legend(key(TRAINING));
    chart
        .draw_series(LineSeries::new(validation.iter().copied(), VALIDATION.stroke_width(3)))?
        .label("validation")
        .legend(key(VALIDATION));
    chart.draw_series(validation.iter().map(|&point| Circle::new(point, 4, VALIDATION.filled())))?;
    let falls = training.first().zip(training.last()).is_some_and(|(first, last)| first.1 > last.1);
    chart
        .configure_series_labels()
        .position(if falls { SeriesLabelPosition::UpperRight } else { SeriesLabelPosition::LowerRight })
        .margin(16)
        .background_style(WHITE)
        .border_style(GRID)
        .label_font(("sans-serif", 16, &INK))
        .draw()?;
    Ok(())
}
