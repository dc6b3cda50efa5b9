//! A run as a picture: how long calls took, and how many were answered from moment to moment.

use std::path::Path;

use plotters::prelude::*;

use super::{Failure, tally::Run};

const SIZE: (u32, u32) = (900, 760);

/// The places on the axis of quantiles: of how many calls one took longer.
const ONE_IN: [(u32, &str); 6] =
    [(1, "0"), (10, "90 %"), (100, "99 %"), (1_000, "99.9 %"), (10_000, "99.99 %"), (100_000, "99.999 %")];

/// Draws it as SVG.
pub(super) fn draw(path: &Path, run: &Run) -> Result<(), Failure> {
    let picture = SVGBackend::new(path, SIZE).into_drawing_area();
    picture.fill(&WHITE)?;
    let (above, below) = picture.titled(&run.title(), ("sans-serif", 18))?.split_vertically(380);
    draw_latency(&above, run)?;
    draw_rate(&below, run)?;
    Ok(picture.present()?)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_latency(area: &Area<'_>, run: &Run) -> Result<(), Failure> {
    let points: Vec<(u32, u64)> =
        quantiles().map(|(one_in, quantile)| (one_in, run.quantile(quantile).max(1))).collect();
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
    let steps = decades.flat_map(|decade| (10..100).step_by(5).map(move |tenths| decade * tenths / 10));
    steps.map(|one_in| (one_in, 1.0 - 1.0 / f64::from(one_in)))
}

fn draw_rate(area: &Area<'_>, run: &Run) -> Result<(), Failure> {
    let points: Vec<(u64, u64)> = run.rates().collect();
    let (end, most) = points.iter().fold((1, 1), |(end, most), &(at, rate)| (end.max(at), most.max(rate)));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Left, 80)
        .set_label_area_size(LabelAreaPosition::Bottom, 45)
        .build_cartesian_2d(0..end, 0..most.saturating_add(most / 10))?;
    chart.configure_mesh().x_desc("milliseconds since the start").y_desc("answers a second").draw()?;
    chart.draw_series(LineSeries::new(points, BLUE.stroke_width(2)))?;
    Ok(())
}
