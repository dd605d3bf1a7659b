//! The ramp filter and its windows.
//!
//! The ramp is built in space (Kak & Slaney, eq. 61) and windowed in frequency on `max(64, 2^⌈log₂ 2n⌉)` points, exactly as
//! scikit-image's `iradon` does. Because the padding is at least twice the row, the result is a plain convolution with a
//! kernel of 2n − 1 taps: [`taps`] gives them, and the GPU convolves with these while the host multiplies spectra.

use super::GROUP;
use std::f64::consts::PI;
use std::sync::Arc;

use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

/// Window over the ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The ramp itself (Ram–Lak): sharpest, noisiest.
    Ramp,
    /// Times sin(f)/f.
    SheppLogan,
    /// Times cos(f).
    Cosine,
    /// Times Hamming's window.
    Hamming,
    /// Times Hann's window: smoothest.
    Hann,
    /// No filter: plain back-projection.
    None,
}

/// Points of the transform for rows of `n` values.
fn padded(n: usize) -> usize {
    (2 * n).next_power_of_two().max(64)
}

/// Response of a filter at the `size` frequencies of a transform, for rows of any length that it holds.
fn response(filter: Filter, size: usize) -> Vec<f64> {
    if filter == Filter::None {
        return vec![1.0; size];
    }
    // Even distances 0 but for ¼ at the origin, odd ones −1/(π d)².
    let ramp = |i: usize| match i.min(size - i) {
        0 => 0.25,
        d if d % 2 == 1 => -1.0 / (PI * d as f64).powi(2),
        _ => 0.0,
    };
    let mut spectrum: Vec<Complex<f64>> = (0..size).map(|i| Complex::new(ramp(i), 0.0)).collect();
    FftPlanner::new().plan_fft_forward(size).process(&mut spectrum);
    // numpy's windows have `size` points of which the first is the last again, so that rolled by half they are not quite
    // even in frequency; scikit-image then takes the real part, which is the even part.
    let rolled = |i: usize| {
        let cos = |i: usize| (2.0 * PI * ((i + size / 2) % size) as f64 / (size as f64 - 1.0)).cos();
        (cos(i) + cos((size - i) % size)) / 2.0
    };
    let window = |i: usize| {
        // Signed frequency in cycles a sample, −½ … ½.
        let f = if i < size / 2 { i as f64 } else { i as f64 - size as f64 } / size as f64;
        match filter {
            Filter::Ramp | Filter::None => 1.0,
            Filter::SheppLogan if i == 0 => 1.0,
            Filter::SheppLogan => (PI * f).sin() / (PI * f),
            Filter::Cosine => (PI * f).cos(),
            Filter::Hamming => 0.54 - 0.46 * rolled(i),
            Filter::Hann => 0.5 - 0.5 * rolled(i),
        }
    };
    spectrum.iter().enumerate().map(|(i, value)| 2.0 * value.re * window(i)).collect()
}

/// The filter as a kernel for rows of `n` values: tap `i` belongs to distance `i − (n − 1)`, 2n − 1 of them.
pub fn taps(filter: Filter, n: usize) -> Vec<f32> {
    let size = padded(n);
    let mut kernel: Vec<Complex<f64>> =
        response(filter, size).into_iter().map(|value| Complex::new(value, 0.0)).collect();
    FftPlanner::new().plan_fft_inverse(size).process(&mut kernel);
    (0..2 * n - 1).map(|i| (kernel[(i + size - (n - 1)) % size].re / size as f64) as f32).collect()
}

/// Filters rows of one length.
pub struct RowFilter {
    n: usize,
    /// Response divided by the length of the transform; none for no filter.
    response: Option<Vec<f32>>,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
}

impl std::fmt::Debug for RowFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowFilter").field("n", &self.n).finish_non_exhaustive()
    }
}

impl RowFilter {
    /// For rows of `n` values.
    pub fn new(filter: Filter, n: usize) -> RowFilter {
        let size = padded(n);
        let mut planner = FftPlanner::new();
        let response = (filter != Filter::None)
            .then(|| response(filter, size).into_iter().map(|v| (v / size as f64) as f32).collect());
        RowFilter {
            n,
            response,
            forward: planner.plan_fft_forward(size),
            inverse: planner.plan_fft_inverse(size),
        }
    }

    /// Filters every row in place. Two rows of a bin go through one complex transform: the kernel is real, so they do not mix
    /// but for rounding, and bins not at all.
    pub fn apply(&self, rows: &mut [[f32; GROUP]]) {
        let Some(response) = &self.response else { return };
        let size = response.len();
        rows.par_chunks_mut(2 * self.n).for_each(|pair| {
            let (first, second) = pair.split_at_mut(self.n);
            let mut line = vec![Complex::new(0.0, 0.0); size];
            let mut scratch = vec![Complex::new(0.0, 0.0); self.scratch()];
            for lane in 0..GROUP {
                line.fill(Complex::new(0.0, 0.0));
                line.iter_mut().zip(&*first).for_each(|(v, lanes)| v.re = lanes[lane]);
                line.iter_mut().zip(&*second).for_each(|(v, lanes)| v.im = lanes[lane]);
                self.forward.process_with_scratch(&mut line, &mut scratch);
                line.iter_mut().zip(response).for_each(|(value, gain)| *value *= gain);
                self.inverse.process_with_scratch(&mut line, &mut scratch);
                first.iter_mut().zip(&line).for_each(|(lanes, v)| lanes[lane] = v.re);
                second.iter_mut().zip(&line).for_each(|(lanes, v)| lanes[lane] = v.im);
            }
        });
    }

    fn scratch(&self) -> usize {
        self.forward.get_inplace_scratch_len().max(self.inverse.get_inplace_scratch_len())
    }
}
