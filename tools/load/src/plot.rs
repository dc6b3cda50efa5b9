//! Charts as SVG: latency and rate of a run; memory, descriptors and latency of a soak.

use std::path::Path;

use plotters::prelude::*;

use crate::{
    Error,
    outcomes::Run,
    soak::{SoakReport, SoakSample},
};

const SIZE: (u32, u32) = (900, 760);

/// Labels on the axis of quantiles: one of so many calls took longer.
const ONE_IN: [(u32, &str); 6] = [
    (1, "0"),
    (10, "90 %"),
    (100, "99 %"),
    (1_000, "99.9 %"),
    (10_000, "99.99 %"),
    (100_000, "99.999 %"),
];

/// Draws a run.
pub(crate) fn draw(path: &Path, run: &Run) -> Result<(), Error> {
    let picture = SVGBackend::new(path, SIZE).into_drawing_area();
    picture.fill(&WHITE)?;
    let (above, below) = picture
        .titled(&run.title(), ("sans-serif", 18))?
        .split_vertically(380);
    draw_latency(&above, run)?;
    draw_rate(&below, run)?;
    Ok(picture.present()?)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_latency(area: &Area<'_>, run: &Run) -> Result<(), Error> {
    let points: Vec<(u32, u64)> = quantiles()
        .map(|(one_in, quantile)| (one_in, run.quantile(quantile).max(1)))
        .collect();
    let slowest = points.last().map_or(1, |&(_, nanos)| nanos);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Left, 80)
        .set_label_area_size(LabelAreaPosition::Bottom, 45)
        .build_cartesian_2d(
            (1_u32..100_000).log_scale(),
            (10_000_u64..slowest.saturating_mul(2)).log_scale(),
        )?;
    let label = |one_in: &u32| {
        ONE_IN
            .iter()
            .find(|(known, _)| known == one_in)
            .map_or_else(String::new, |(_, label)| (*label).to_owned())
    };
    chart
        .configure_mesh()
        .x_label_formatter(&label)
        .y_label_formatter(&|nanos| format!("{:?}", std::time::Duration::from_nanos(*nanos)))
        .x_desc("calls answered within")
        .y_desc("time")
        .draw()?;
    chart.draw_series(LineSeries::new(points, BLUE.stroke_width(2)))?;
    Ok(())
}

/// Quantiles that are evenly spread on their axis: of how many calls one took longer, and the part
/// of the calls that did not.
#[expect(clippy::float_arithmetic, reason = "a picture need not be exact")]
fn quantiles() -> impl Iterator<Item = (u32, f64)> {
    let decades = [1, 10, 100, 1_000, 10_000].into_iter();
    let steps =
        decades.flat_map(|decade| (10..100).step_by(5).map(move |tenths| decade * tenths / 10));
    steps.map(|one_in| (one_in, 1.0 - 1.0 / f64::from(one_in)))
}

fn draw_rate(area: &Area<'_>, run: &Run) -> Result<(), Error> {
    draw_lines(
        area,
        ["milliseconds since the start", "answers a second"],
        &[run.rates().collect()],
    )
}

/// Draws a soak.
pub(crate) fn draw_course(path: &Path, report: &SoakReport) -> Result<(), Error> {
    let picture = SVGBackend::new(path, SIZE).into_drawing_area();
    picture.fill(&WHITE)?;
    let line = |of: fn(&SoakSample) -> u64| {
        report
            .samples
            .iter()
            .map(|sample| (sample.at, of(sample)))
            .collect()
    };
    let panels = [
        (
            "memory, MiB",
            vec![line(|sample| sample.resident_kib / 1024)],
        ),
        ("files and sockets", vec![line(|sample| sample.descriptors)]),
        (
            "median and p99, µs",
            vec![
                line(|sample| sample.median_us),
                line(|sample| sample.p99_us),
            ],
        ),
        ("slowest call, µs", vec![line(|sample| sample.slowest_us)]),
    ];
    for (area, (what, lines)) in picture.split_evenly((panels.len(), 1)).iter().zip(panels) {
        draw_lines(area, ["seconds since the start", what], &lines)?;
    }
    Ok(picture.present()?)
}

/// Draws lines from zero.
fn draw_lines(area: &Area<'_>, [x, y]: [&str; 2], lines: &[Vec<(u64, u64)>]) -> Result<(), Error> {
    let ends = |(end, most): (u64, u64), &(at, value): &(u64, u64)| (end.max(at), most.max(value));
    let (end, most) = lines.iter().flatten().fold((1, 1), ends);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Left, 80)
        .set_label_area_size(LabelAreaPosition::Bottom, 45)
        .build_cartesian_2d(0..end, 0..most.saturating_add(most / 10))?;
    chart.configure_mesh().x_desc(x).y_desc(y).draw()?;
    for line in lines {
        chart.draw_series(LineSeries::new(line.iter().copied(), BLUE.stroke_width(2)))?;
    }
    Ok(())
}
