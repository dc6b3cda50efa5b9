//! Results of the rounds of a comparison, and ratios between subjects.

use std::fmt;

use serde_json::{Value, json};

/// One measured subject, a value per round.
#[derive(Debug)]
struct Series {
    name: String,
    unit: &'static str,
    values: Vec<u64>,
}

/// The ratio of two subjects, per round, in thousandths.
#[derive(Debug)]
struct Ratio {
    what: String,
    goal: &'static str,
    thousandths: Vec<u64>,
}

/// All series and ratios, in the order of their first measurement.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    series: Vec<Series>,
    ratios: Vec<Ratio>,
}

impl Comparison {
    /// Adds the value of one round.
    pub(crate) fn note(&mut self, name: &str, unit: &'static str, value: u64) {
        eprintln!("  {name}: {value} {unit}");
        match self.series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.values.push(value),
            None => self.series.push(Series {
                name: name.to_owned(),
                unit,
                values: vec![value],
            }),
        }
    }

    /// Adds a series that is the sum of two others, per round.
    pub(crate) fn sum(&mut self, name: &str, unit: &'static str, [one, other]: [&str; 2]) {
        let pairs = self.values(one).iter().zip(self.values(other));
        let values = pairs
            .map(|(one, other)| one.saturating_add(*other))
            .collect();
        self.series.push(Series {
            name: name.to_owned(),
            unit,
            values,
        });
    }

    /// Adds the ratio of two series; `goal` is shown beside it.
    pub(crate) fn compare(&mut self, what: &str, goal: &'static str, one: &str, other: &str) {
        let pairs = self.values(one).iter().zip(self.values(other));
        let thousandths = pairs
            .map(|(one, other)| one.saturating_mul(1000) / (*other).max(1))
            .collect();
        self.ratios.push(Ratio {
            what: what.to_owned(),
            goal,
            thousandths,
        });
    }

    fn values(&self, name: &str) -> &[u64] {
        self.series
            .iter()
            .find(|series| series.name == name)
            .map_or(&[], |series| &series.values)
    }

    pub(crate) fn json(&self) -> Value {
        let series = self
            .series
            .iter()
            .map(|it| json!({"name": it.name, "unit": it.unit, "values": it.values}));
        let ratios = self
            .ratios
            .iter()
            .map(|it| json!({"what": it.what, "goal": it.goal, "thousandths": it.thousandths}));
        json!({"measured": series.collect::<Vec<_>>(), "ratios": ratios.collect::<Vec<_>>()})
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| what | median | from | to | unit |\n|---|---:|---:|---:|---|"
        )?;
        for Series { name, unit, values } in &self.series {
            let (least, most) = ends(values);
            writeln!(
                f,
                "| {name} | {} | {least} | {most} | {unit} |",
                median(values)
            )?;
        }
        writeln!(
            f,
            "\n| ratio | median | from | to | goal |\n|---|---:|---:|---:|---|"
        )?;
        for Ratio {
            what,
            goal,
            thousandths,
        } in &self.ratios
        {
            let (least, most) = ends(thousandths);
            let [middle, least, most] = [median(thousandths), least, most].map(decimal);
            writeln!(f, "| {what} | {middle} | {least} | {most} | {goal} |")?;
        }
        Ok(())
    }
}

pub(crate) fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

fn ends(values: &[u64]) -> (u64, u64) {
    let (least, most) = (values.iter().min(), values.iter().max());
    (least.copied().unwrap_or(0), most.copied().unwrap_or(0))
}

fn decimal(thousandths: u64) -> String {
    format!("{}.{:02}", thousandths / 1000, thousandths % 1000 / 10)
}
