//! From a study to slices: blocks of bins are gathered, mended alike, reconstructed and put into the file. Blocks of any size give
//! the same bits.

use std::iter::once;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::hollow::Hollow;
use super::sectors;
use super::study::Study;
use crate::cuda::driver::Context;
use crate::cuda::tomo::SliceSizes;
use crate::cuda::{CudaError, CudaReconstructor, DevicePatterns};
use crate::output::tomogram::TomogramFile;
use crate::pipeline::Stop;
use crate::session::error::{Concern, OrAbout, SessionError};
use crate::session::{Device, on_threads};
use crate::tomo::assembly::Assembled;
use crate::tomo::{HostReconstructor, ReconstructError, Reconstructor};
use crate::trace;

/// Whoever makes slices.
pub struct Maker(Side);

enum Side {
    Cores(HostReconstructor),
    Gpu(CudaReconstructor),
}

impl Maker {
    fn reconstructor(&mut self) -> &mut dyn Reconstructor {
        match &mut self.0 {
            Side::Cores(cores) => cores,
            Side::Gpu(gpu) => gpu,
        }
    }

    /// Whether it makes sinograms too, of patterns that are where it is.
    pub fn has_patterns(&self) -> bool {
        matches!(&self.0, Side::Gpu(gpu) if gpu.has_patterns())
    }
}

impl Study {
    /// Whoever makes the slices on a device. A GPU that nobody asked for by name and that cannot be used is no error: the cores
    /// take its place, and `device` then says so.
    ///
    /// # Errors
    /// When a GPU that was asked for cannot be used.
    pub fn maker(&self, device: &mut Device) -> Result<Maker, SessionError> {
        on_threads(self.threads, || {
            if let Device::Cuda { gpus, asked, .. } = &*device {
                match gpus.first().map_err(Into::into).and_then(|context| self.on_gpu(&context)) {
                    Ok(gpu) => return Ok(Maker(Side::Gpu(gpu))),
                    Err(reason) if *asked => return Err(SessionError::because(Concern::Device, reason)),
                    Err(reason) => {
                        *device = Device::Cpu { why: format!("the GPU cannot be used: {reason}") };
                    }
                }
            }
            let cores = HostReconstructor::new(&self.reconstruction).or_about(Concern::Usage)?;
            Ok(Maker(Side::Cores(cores)))
        })?
    }

    /// Makes every slice that the file does not have yet, until `stop` is raised, and says what is hollow. `progress` hears how
    /// many slices are done. The file is of this study's [`layout`](Study::layout); whoever made it finishes it.
    ///
    /// # Errors
    /// When the patterns cannot be read, the device fails or the file cannot be written; and when the tomogram is whole and no
    /// slice of it holds numbers.
    pub fn make(
        &self,
        file: &mut TomogramFile,
        maker: &mut Maker,
        stop: &Stop,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Hollow, SessionError> {
        let hollow = on_threads(self.threads, || self.make_all(file, maker, stop, progress))??;
        if file.done().iter().all(|done| *done) {
            hollow.check(file.layout())?;
        }
        Ok(hollow)
    }

    fn make_all(
        &self,
        file: &mut TomogramFile,
        maker: &mut Maker,
        stop: &Stop,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Hollow, SessionError> {
        let pixels = self.reconstruction.grid.pixels();
        let points = self.reconstruction.rays.len();
        let (npt, sectors) = (self.patterns.npt(), self.sectors.len().max(1));
        let all_bins = if self.all_bins { sectors * self.bins.len() } else { 0 };
        let weights: Vec<Vec<f32>> = self
            .regions
            .iter()
            .map(|region| region.weights(&self.patterns.radial().centres).or_about(Concern::Usage))
            .collect::<Result<_, _>>()?;
        // Areas are sums over bins, kept in f64 so that blocks of any size give the same bits.
        // Of each region in each sector.
        let mut areas = vec![vec![0.0_f64; points]; self.regions.len() * sectors];
        let mut hollow = Hollow::new(self.bins.len(), &self.regions, &self.sectors, &weights);
        let mut needed: Vec<Range<usize>> = vec![self.bins.clone()];
        needed.extend(outside(&weights, &self.bins));
        let of_all = (0..sectors).flat_map(|sector| needed.iter().map(move |range| (sector, range.clone())));
        for (sector, range) in of_all {
            for first in range.clone().step_by(self.block) {
                if stop.is_raised() {
                    return Ok(hollow);
                }
                let block = first..(first + self.block).min(range.end);
                let inside = self.all_bins && self.bins.contains(&first);
                let place = sector * self.bins.len() + first.wrapping_sub(self.bins.start);
                let wanted = inside && !file.done()[place..place + block.len()].iter().all(|done| *done);
                let mut slices = vec![0.0; if wanted { block.len() * pixels } else { 0 }];
                let _range = trace::slices(block.len());
                let columns = sector * npt + block.start..sector * npt + block.end;
                let Assembled { mut values, empty } = self.one_block(maker, columns, &mut slices)?;
                let areas = areas.iter_mut().skip(sector).step_by(sectors);
                for (area, weights) in areas.zip(&weights) {
                    for (weight, bin) in weights[block.clone()].iter().zip(values.chunks(points)) {
                        if *weight != 0.0 {
                            area.iter_mut()
                                .zip(bin)
                                .for_each(|(a, v)| *a += f64::from(*weight) * f64::from(*v));
                        }
                    }
                }
                for bin in &empty {
                    hollow.add_bin(sector, block.start + bin, inside, &weights);
                }
                if wanted {
                    for bin in empty {
                        values[bin * points..(bin + 1) * points].fill(f32::NAN);
                        slices[bin * pixels..(bin + 1) * pixels].fill(f32::NAN);
                    }
                    hollow.look_at(slices.chunks(pixels));
                    file.put_bins(place, &values, &slices).or_about(Concern::Output)?;
                }
                progress(file.done().iter().filter(|done| **done).count());
            }
        }
        for (i, area) in areas.iter().enumerate() {
            if stop.is_raised() {
                return Ok(hollow);
            }
            if !file.done()[all_bins + i] {
                let mut sinogram: Vec<f32> = area.iter().map(|v| *v as f32).collect();
                let mut slice = vec![0.0; pixels];
                if hollow.is_nothing(i) {
                    sinogram.fill(f32::NAN);
                    slice.fill(f32::NAN);
                } else {
                    failed(maker.reconstructor().reconstruct(&sinogram, &mut slice))?;
                    self.per_length(&mut slice);
                }
                hollow.look_at(once(&slice[..]));
                file.put_region(i, &sinogram, &slice).or_about(Concern::Output)?;
            }
            progress(file.done().iter().filter(|done| **done).count());
        }
        Ok(hollow)
    }

    /// On a GPU, sinograms are made there too: of the patterns that the integration left there, else of those in the host's
    /// memory. Where neither is, or the GPU has too little memory for them, the host makes the sinograms.
    fn on_gpu(&self, context: &Arc<Context>) -> Result<CudaReconstructor, ReconstructError> {
        let (wanted, assembly, options) = (&self.reconstruction, &self.assembly, SliceSizes::default());
        let is_here = |there: &&Arc<DevicePatterns>| there.context().is_on_the_device_of(context);
        if let Some(patterns) = self.on_device.as_ref().filter(is_here) {
            let patterns = Arc::clone(patterns);
            let frame_of = |row: usize| self.patterns.frames[row];
            return CudaReconstructor::with_patterns(wanted, options, patterns, assembly, frame_of);
        }
        let Some(whole) = &self.whole else { return CudaReconstructor::new(context, wanted, options) };
        match DevicePatterns::holding(context, whole, sectors::width(&self.patterns, &self.sectors)) {
            Ok(there) => CudaReconstructor::with_patterns(wanted, options, Arc::new(there), assembly, Some),
            Err(CudaError::OutOfMemory { .. }) => CudaReconstructor::new(context, wanted, options),
            Err(reason) => Err(reason.into()),
        }
    }

    /// Mended sinograms of some bins of a sector, and their slices in the unit of lengths; none are made when `slices` is empty.
    fn one_block(
        &self,
        maker: &mut Maker,
        bins: Range<usize>,
        slices: &mut [f32],
    ) -> Result<Assembled, SessionError> {
        let made = match &mut maker.0 {
            Side::Gpu(gpu) if gpu.has_patterns() => failed(gpu.assemble(bins, slices))?,
            _ => {
                let made = self.sinograms(bins)?;
                if !slices.is_empty() {
                    failed(maker.reconstructor().reconstruct(&made.values, slices))?;
                }
                made
            }
        };
        self.per_length(slices);
        Ok(made)
    }

    /// Slices per translation step to slices per unit of lengths.
    fn per_length(&self, slices: &mut [f32]) {
        let factor = (1.0 / self.step()) as f32;
        slices.par_iter_mut().for_each(|v| *v *= factor);
    }

    /// Mended sinograms of some bins.
    fn sinograms(&self, bins: Range<usize>) -> Result<Assembled, SessionError> {
        let read = match &self.whole {
            Some(whole) => {
                let width = sectors::width(&self.patterns, &self.sectors);
                return Ok(self.assembly.sinograms(whole, width, bins));
            }
            None => sectors::read(&self.patterns, &self.sectors, bins.clone()).or_about(Concern::Input)?,
        };
        Ok(self.assembly.sinograms(&read, bins.len(), 0..bins.len()))
    }
}

fn failed<T>(made: Result<T, ReconstructError>) -> Result<T, SessionError> {
    made.map_err(|cause| SessionError::because(Concern::Device, cause))
}

/// Bins outside the range that some region counts.
fn outside(weights: &[Vec<f32>], bins: &Range<usize>) -> Vec<Range<usize>> {
    let counted = |bin: &usize| !bins.contains(bin) && weights.iter().any(|w| w[*bin] != 0.0);
    let all: Vec<usize> = (0..weights.first().map_or(0, Vec::len)).filter(counted).collect();
    all.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[run.len() - 1] + 1).collect()
}
