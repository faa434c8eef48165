//! Medians, exact percentiles, and the bootstrap interval of paired ratios.
//!
//! Invariants:
//! - The same numbers give the same interval: the resampling generator has a fixed seed.
//! - Nothing here panics on empty input; the answer is NaN, which prints as "–".

/// Resamples for the interval.
const RESAMPLES: usize = 2_000;

/// The middle value; NaN for none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

/// The value below which `share` (0 to 1) of `sorted` lies, by the nearest-rank method, as a number.
pub(crate) fn percentile(sorted: &[u32], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sample counts are far below 2^52, and the share is in 0..=1"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |value| f64::from(*value))
}

/// How ours compares with theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Better,
    Equal,
    Worse,
    /// The interval spans 1 and is wider than ±5 %.
    Undetermined,
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Equal => "equal",
            Self::Worse => "worse",
            Self::Undetermined => "undetermined",
        }
    }
}

/// The median of paired ratios with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) verdict: Verdict,
}

/// `ours[i] / theirs[i]`, pair by pair. `more_is_better` decides what the verdict says of a ratio above 1.
pub(crate) fn paired(ours: &[f64], theirs: &[f64], more_is_better: bool) -> Ratio {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    let mut medians: Vec<f64> = Vec::with_capacity(RESAMPLES);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut sample = Vec::with_capacity(ratios.len());
    for _ in 0..RESAMPLES {
        sample.clear();
        for _ in 0..ratios.len() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let index = usize::try_from(state >> 33).unwrap_or(0) % ratios.len().max(1);
            sample.push(ratios[index]);
        }
        medians.push(median(&sample));
    }
    medians.sort_by(f64::total_cmp);
    let at = |index: usize| medians.get(index).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(RESAMPLES / 40), at(RESAMPLES - 1 - RESAMPLES / 40));
    Ratio {
        median: median(&ratios),
        low,
        high,
        verdict: verdict(ratios.len(), low, high, more_is_better),
    }
}

fn verdict(pairs: usize, low: f64, high: f64, more_is_better: bool) -> Verdict {
    // An interval of fewer pairs says nothing, however narrow it looks.
    if pairs < 3 || !low.is_finite() || !high.is_finite() {
        return Verdict::Undetermined;
    }
    if low > 0.95 && high < 1.05 {
        return Verdict::Equal;
    }
    match (low > 1.0, high < 1.0) {
        (true, _) if more_is_better => Verdict::Better,
        (true, _) => Verdict::Worse,
        (_, true) if more_is_better => Verdict::Worse,
        (_, true) => Verdict::Better,
        _ => Verdict::Undetermined,
    }
}

#[cfg(test)]
mod tests;
