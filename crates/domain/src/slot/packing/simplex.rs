//! Linear programs in whole numbers: as many as possible of some unknowns, none below zero, where
//! sums of them have bounds.
//!
//! The simplex method with one common denominator for the whole table, so that every division comes
//! out even and nothing is ever rounded (Edmonds, Bareiss). The entries are minors of a matrix of zeros
//! and ones with at most [`MAX_POOLS`](super::MAX_POOLS) rows beside bounds of single unknowns, or such
//! minors times spots. A minor of 8 rows is at most 56, so that no product comes near 63 bits.

/// A linear program: the sum of all unknowns is to be as large as possible.
pub(super) struct Program {
    unknowns: usize,
    /// For each bound what it takes each unknown for, and, last, the bound.
    rows: Vec<Vec<i64>>,
}

/// Where a linear program is at its largest.
pub(super) struct Optimum {
    /// What all values below are to be divided by; above zero.
    denominator: i64,
    sum: i64,
    values: Vec<i64>,
}

impl Program {
    /// One of so many unknowns, without bounds.
    pub(super) fn of(unknowns: usize) -> Self {
        Self {
            unknowns,
            rows: Vec::new(),
        }
    }

    /// The sum of these unknowns is at most this; `None` if that is below zero, which cannot be kept.
    pub(super) fn at_most(&mut self, unknowns: &[usize], bound: i64) -> Option<()> {
        let mut row = vec![0; self.unknowns + 1];
        for &at in unknowns {
            row[at] = 1;
        }
        row[self.unknowns] = bound;
        self.rows.push(row);
        (bound >= 0).then_some(())
    }
}

impl Optimum {
    /// The largest sum, rounded down.
    pub(super) fn whole_sum(&self) -> i64 {
        self.sum / self.denominator
    }

    /// The unknowns, rounded down.
    pub(super) fn floors(&self) -> impl Iterator<Item = i64> {
        self.values.iter().map(|value| value / self.denominator)
    }

    /// An unknown that is no whole number, if there is one.
    pub(super) fn fractional(&self) -> Option<usize> {
        self.values
            .iter()
            .position(|value| value % self.denominator != 0)
    }
}

/// A program on its way: each row says what a bound's slack or an unknown is, in terms of the columns.
struct Table {
    denominator: i64,
    /// The last row is the sum, with the signs of its coefficients turned.
    rows: Vec<Vec<i64>>,
    /// What stands in rows and in columns: an unknown by its number, then the slack of each bound.
    basic: Vec<usize>,
    free: Vec<usize>,
}

/// The largest sum, of which every unknown must have a bound; `None` if that takes more steps than there
/// are. Steps are counted down.
pub(super) fn maximum(program: Program, steps: &mut usize) -> Option<Optimum> {
    let Program { unknowns, mut rows } = program;
    let basic = (unknowns..unknowns + rows.len()).collect();
    let mut sum = vec![-1; unknowns + 1];
    sum[unknowns] = 0;
    rows.push(sum);
    let mut table = Table {
        denominator: 1,
        rows,
        basic,
        free: (0..unknowns).collect(),
    };
    while let Some(column) = table.entering() {
        *steps = steps.checked_sub(1)?;
        let row = table.leaving(column)?;
        table.pivot(row, column);
    }
    Some(table.optimum(unknowns))
}

impl Table {
    /// The column of the first variable that the sum grows with. Taking the first one each time, here and
    /// in [`Table::leaving`], never goes in circles (Bland).
    fn entering(&self) -> Option<usize> {
        let sum = self.rows.last()?;
        (0..self.free.len())
            .filter(|&column| sum[column] < 0)
            .min_by_key(|&column| self.free[column])
    }

    /// The row whose variable is the first at zero when that of the column grows.
    fn leaving(&self, column: usize) -> Option<usize> {
        let bound = self.free.len();
        let mut tightest: Option<usize> = None;
        for (at, row) in self.rows[..self.basic.len()]
            .iter()
            .enumerate()
            .filter(|(_, row)| row[column] > 0)
        {
            tightest = match tightest {
                None => Some(at),
                Some(known) => {
                    let before = &self.rows[known];
                    // row[bound] / row[column] against before[bound] / before[column]
                    let (this, that) = (row[bound] * before[column], before[bound] * row[column]);
                    let is_tighter =
                        this < that || this == that && self.basic[at] < self.basic[known];
                    Some(if is_tighter { at } else { known })
                }
            };
        }
        tightest
    }

    /// Lets the variables of a row and a column change places.
    fn pivot(&mut self, row: usize, column: usize) {
        let pivot_row = self.rows[row].clone();
        let pivot = pivot_row[column];
        for (_, entries) in self
            .rows
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| *at != row)
        {
            let factor = entries[column];
            for (entry, &of_pivot) in entries.iter_mut().zip(&pivot_row) {
                *entry = (*entry * pivot - factor * of_pivot) / self.denominator;
            }
            entries[column] = -factor;
        }
        self.rows[row][column] = self.denominator;
        self.denominator = pivot;
        std::mem::swap(&mut self.basic[row], &mut self.free[column]);
    }

    fn optimum(&self, unknowns: usize) -> Optimum {
        let bound = self.free.len();
        let mut values = vec![0; unknowns];
        for (&variable, row) in self.basic.iter().zip(&self.rows) {
            if let Some(value) = values.get_mut(variable) {
                *value = row[bound];
            }
        }
        let sum = self.rows.last().map_or(0, |row| row[bound]);
        Optimum {
            denominator: self.denominator,
            sum,
            values,
        }
    }
}
