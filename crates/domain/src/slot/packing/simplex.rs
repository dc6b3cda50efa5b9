//! Linear programs in whole numbers: maximize a sum of unknowns, none below zero, under upper bounds of
//! sums of them.
//!
//! The simplex method with one common denominator for the whole table: every division is exact, and nothing
//! is rounded (Edmonds, Bareiss). The entries are minors of a matrix of zeros and ones, or such minors
//! times spots. The matrix has at most [`MAX_POOLS`](super::MAX_POOLS) rows beside bounds of single
//! unknowns. A minor of 8 rows is at most 56, so no product comes near 63 bits.

/// A linear program that maximizes the sum of all unknowns.
pub(super) struct Program {
    unknowns: usize,
    /// For each bound the coefficients of the unknowns and, last, the bound itself.
    rows: Vec<Vec<i64>>,
}

/// The optimum of a linear program.
pub(super) struct Optimum {
    /// The common denominator of `sum` and `values`; above zero.
    denominator: i64,
    sum: i64,
    values: Vec<i64>,
}

impl Program {
    /// A program of `unknowns` unknowns, without bounds.
    pub(super) fn of(unknowns: usize) -> Self {
        Self {
            unknowns,
            rows: Vec::new(),
        }
    }

    /// Adds an upper bound to the sum of these unknowns; `None` if the bound is below zero, which nothing
    /// satisfies.
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

    /// The index of an unknown that is no whole number; `None` if all are whole.
    pub(super) fn fractional(&self) -> Option<usize> {
        self.values
            .iter()
            .position(|value| value % self.denominator != 0)
    }
}

/// The simplex table: each row expresses a slack or an unknown by the variables of the columns.
struct Table {
    denominator: i64,
    /// The last row is the sum, with the signs of its coefficients reversed.
    rows: Vec<Vec<i64>>,
    /// The variables of rows and columns: unknowns by their numbers, then the slack of each bound.
    basic: Vec<usize>,
    free: Vec<usize>,
}

/// The maximum. Every unknown must have a bound. Counts `steps` down; `None` if they run out.
pub(super) fn maximum(program: Program, steps: &mut usize) -> Option<Optimum> {
    let Program { unknowns, mut rows } = program;
    let basic = (unknowns..unknowns + rows.len()).collect();
    // Every ticket counts one, so all coefficients are 1, with reversed signs.
    let mut sum = vec![-1; unknowns + 1];
    sum[unknowns] = 0;
    rows.push(sum);
    let mut table = Table {
        // All coefficients are zeros and ones at first, so the denominator is 1.
        denominator: 1,
        rows,
        basic,
        free: (0..unknowns).collect(),
    };
    while let Some(column) = table.entering() {
        *steps = steps.checked_sub(1)?;
        // Never `None`, because every unknown is bounded; an unbounded program would have no maximum.
        let row = table.leaving(column)?;
        table.pivot(row, column);
    }
    Some(table.optimum(unknowns))
}

impl Table {
    /// The column of the first variable with which the sum grows. The choice of the first one, here and in
    /// [`Table::leaving`], excludes cycles (Bland's rule).
    fn entering(&self) -> Option<usize> {
        let sum = self.rows.last()?;
        (0..self.free.len())
            .filter(|&column| sum[column] < 0)
            .min_by_key(|&column| self.free[column])
    }

    /// The row whose variable reaches zero first when the variable of the column grows.
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
                    // Compared as products, because a quotient would have to be rounded. Both divisors are
                    // above zero.
                    let (this, that) = (row[bound] * before[column], before[bound] * row[column]);
                    let is_tighter =
                        this < that || this == that && self.basic[at] < self.basic[known];
                    Some(if is_tighter { at } else { known })
                }
            };
        }
        tightest
    }

    /// Exchanges the variables of a row and a column.
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
                // Exact: each entry is a minor, and the old denominator divides the product (Bareiss).
                *entry = (*entry * pivot - factor * of_pivot) / self.denominator;
            }
            entries[column] = -factor;
        }
        self.rows[row][column] = self.denominator;
        // The pivot is above zero, since `leaving` takes only such rows, so the denominator stays positive.
        self.denominator = pivot;
        std::mem::swap(&mut self.basic[row], &mut self.free[column]);
    }

    fn optimum(&self, unknowns: usize) -> Optimum {
        let bound = self.free.len();
        let mut values = vec![0; unknowns];
        for (&variable, row) in self.basic.iter().zip(&self.rows) {
            // Slacks have numbers beyond the unknowns, and unknowns in columns are zero.
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
