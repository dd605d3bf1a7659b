//! A session: what was asked for, opened once, warm for any number of runs.
//!
//! ```text
//!   Options ──Plan::new──▶ Plan ──Session::open──▶ Session ──doors──▶ corridor ──▶ result
//!   (values)               (definite,              (matrix, engines,
//!                           nothing started)        threads)
//! ```
//!
//! Every door (command line, benches, and whoever comes) asks here: nothing else makes recipes, engines, readers, reducers or
//! slots. Nothing here prints, exits, or listens to signals.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("xrdct-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let (_, poni, _) = xrdct::bench::subject::Subject::simulate(&folder, 2, &|| ())?;
//! # let (scan, file) = (folder.display().to_string(), folder.join("scan.h5"));
//! use xrdct::session::{Options, Plan, Run, Session};
//!
//! let mut options = Options { inputs: vec![scan], poni: Some(poni), npt: Some(100), ..Options::default() };
//! options.device = Some("cpu".into());
//! let session = Session::open(Plan::new(options)?)?;
//! let mut result = session.result(&file, false)?;
//! let (report, ended) = session.run(&mut result, Run::default())?;
//! ended?;
//! let written = result.finish(&report.ending())?;
//! assert_eq!((report.done, written.good), (2, 2));
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```

mod budget;
mod calibration;
pub mod configuration;
pub mod crew;
pub mod decode;
mod definition;
pub mod device;
pub mod doors;
pub mod engines;
mod error;
mod identity;
pub mod kind;
pub mod merge;
mod monitor;
mod near;
pub mod options;
mod own_geometry;
pub mod plan;
pub mod plausible;
mod prepare;
mod result;
pub mod resume;
mod route;
pub mod stack;
mod statistic;
mod store;
pub mod tomo;
mod walk;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;

pub use crew::{Crew, Decode, Reducers, Traffic};
pub use device::Device;
pub use doors::{Doors, Pinned};
pub use engines::Engines;
pub use error::{Concern, SessionError};
pub use merge::Merge;
pub use options::Options;
pub use plan::Plan;
pub use prepare::Preparation;
pub use result::{RunDraft, RunResult};
pub use resume::Resume;
pub use route::{DecodedBy, FrameRoute};
pub use statistic::beside;
pub use store::PatternStore;

// The words that plans, recipes and reports are told in: a door needs no other module for them.
pub use crate::geometry::detector::Detector;
pub use crate::geometry::mask::Mask;
pub use crate::geometry::placement::Placement;
pub use crate::geometry::poni::{Poni, PoniError};
pub use crate::geometry::units::Unit;
pub use crate::integrate::corrections::Lost;
pub use crate::integrate::engine::{Recipe, Saturation};
pub use crate::integrate::reduction::{ErrorModel, Reduction, Statistic};
pub use crate::pipeline::{LostReducer, PipelineError, Saturated, Stage, Strategy};
pub use crate::source::facts::{DetectorFacts, MASK_BITS};

use crate::output::OutputError;
use crate::output::lock::Lock;
use crate::output::result::{BinAxis, Layout, ResultFile, SegmentedResult};
use crate::output::sink::Sink;
use crate::pipeline::{Report, Stop, Watch};
use crate::source::Source;
use crate::trace::{self, Timeline};
use error::OrAbout;
use options::StrategyName;
use walk::Cores;

/// What a run is told beside its frames; by default nothing.
#[derive(Default)]
pub struct Run<'a> {
    /// Asks it to end early.
    pub stop: Stop,
    /// Where each stage's bars go.
    pub timeline: Option<Timeline>,
    /// Who looks on.
    pub watchers: Vec<&'a mut dyn Watch>,
    /// What keeps the patterns for a tomogram, on the device too if they fit.
    pub kept: Option<&'a mut PatternStore>,
}

/// A plan with its engines, warm.
pub struct Session {
    plan: Plan,
    lost: Lost,
    axes: Vec<BinAxis>,
    engines: Engines,
    /// Pinned while the matrix was made; any number of runs travel in them.
    slots: Option<Pinned>,
    /// What does the GPU's work since it failed.
    cores: OnceLock<Cores>,
}

impl Session {
    /// Makes corrections, matrix and engine, on the plan's threads. A GPU that nobody asked for by name and that cannot be used is
    /// no error: the cores take its place, and a note of the plan says why.
    ///
    /// # Errors
    /// What the corrections, the ranges or the device do not allow.
    pub fn open(mut plan: Plan) -> Result<Session, SessionError> {
        let timeline = trace::followed();
        thread::scope(|scope| {
            let slots = Pinned::of(&plan).map(|pin| scope.spawn(pin));
            let (plan, lost, axes, engines) = on_threads(plan.threads, || -> Result<_, SessionError> {
                let _follows = trace::follow(timeline.as_ref(), "session");
                let range = trace::matrix(plan.bins());
                let Preparation { lost, axes, recipe } = plan.prepare()?;
                drop(range);
                let _range = trace::engine(plan.bins());
                let radial = axes.last().map_or(&[][..], |axis| &axis.centres);
                plan.notes.extend(plausible::mostly_empty(&plan, radial, &recipe.csr));
                let engines = engines(&mut plan, recipe)?;
                Ok((plan, lost, axes, engines))
            })??;
            // Without them a run takes its own, and then says why it cannot.
            let slots = slots.and_then(|slots| slots.join().ok()).flatten().filter(|_| plan.crew.needs_gpu());
            Ok(Session { plan, lost, axes, engines, slots, cores: OnceLock::new() })
        })
    }

    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Pixels that the corrections leave out.
    pub fn lost(&self) -> &Lost {
        &self.lost
    }

    /// The axes of every pattern, slowest first: the radial one is the last.
    pub fn axes(&self) -> &[BinAxis] {
        &self.axes
    }

    /// The doors of a run over the frames of a source, open; those of the plan are [`Plan::source`].
    ///
    /// # Errors
    /// When the source is broken, or the device refuses.
    pub fn doors(
        &self,
        mut source: Box<dyn Source>,
        timeline: Option<&Timeline>,
        kept: Option<&mut PatternStore>,
    ) -> Result<Doors, SessionError> {
        let planned = self.plan.traffic();
        let count = source.about().or_about(Concern::Input)?.and_then(|about| about.count);
        let traffic = Traffic { frames: count.unwrap_or(planned.frames), ..planned };
        if let Some(cores) = self.cores.get() {
            return cores.doors(source, traffic, timeline);
        }
        // What was pinned is for as many frames as the plan has; a GPU that failed may have kept some of it.
        let lost = self.engines.lost();
        let pinned = self.slots.clone().filter(|_| traffic.frames <= planned.frames);
        let pinned = match lost.is_empty() {
            true => pinned,
            false => Some(Pinned::after_a_loss(pinned, &self.plan.crew, traffic)),
        };
        let mut doors = Doors::open(&self.plan.crew, &self.engines, source, traffic, pinned, timeline, kept)?;
        doors.notes.extend(lost.iter().map(|gpu| format!("{gpu} failed before; computing without it")));
        let may_go_on = matches!(&self.plan.device, Device::Cuda { .. }) && !wants_gpu(&self.plan);
        Ok(Doors { may_go_on, ..doors })
    }

    /// The result of the plan's frames, whole before the first one.
    ///
    /// # Errors
    /// [`OutputError`]: it exists, or cannot be written.
    pub fn result(&self, path: &Path, overwrite: bool) -> Result<RunResult, SessionError> {
        let lock = Lock::take(path).map_err(about_output)?;
        self.result_draft(lock, overwrite, None)?.publish().map_err(about_output)
    }

    /// Likewise, but it has no name yet: it can be made while doors are opened, and an earlier run's rows can be [taken over](Resume::carry).
    /// With `goes_on` it is that run's.
    ///
    /// # Errors
    /// As [`Session::result`].
    pub fn result_draft(
        &self,
        lock: Lock,
        overwrite: bool,
        goes_on: Option<&Resume>,
    ) -> Result<RunDraft, SessionError> {
        let plan = &self.plan;
        let mut layout = Layout { goes_on: goes_on.map(Resume::run), ..layout(plan, self.axes.clone()) };
        if let Some(resume) = goes_on {
            resume.keep_device(plan, &mut layout.recipe);
        }
        let division = match goes_on {
            None => plan.division()?,
            Some(resume) => plan.division_of(resume.earlier())?,
        };
        let earlier = goes_on.and_then(|resume| resume.earlier().info.segments.as_ref());
        match division {
            None => ResultFile::draft(lock, &layout, overwrite).map(|draft| RunDraft::One(Box::new(draft))),
            Some(division) => {
                SegmentedResult::draft(lock, &layout, division, overwrite, earlier, result::aside)
                    .map(|draft| RunDraft::Segments(Box::new(draft)))
            }
        }
        .map_err(about_output)
    }

    /// Walks the plan's frames through the corridor.
    ///
    /// # Errors
    /// When the doors do not open. What ended the run early comes beside the report of what was done until then.
    pub fn run<'a>(
        &self,
        sink: &'a mut dyn Sink,
        run: Run<'a>,
    ) -> Result<(Report, Result<(), PipelineError>), SessionError> {
        let Run { stop, timeline, watchers, mut kept } = run;
        let doors = self.doors(self.plan.source(), timeline.as_ref(), kept.as_deref_mut())?;
        Ok(self.walk(doors, sink, Run { stop, timeline, watchers, kept }))
    }
}

/// Runs `work` with so many threads under rayon.
///
/// # Errors
/// When they cannot be started.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, SessionError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    Ok(pool.or_about_in(Concern::Device, format!("{threads} threads"))?.install(work))
}

/// Whether nothing but a GPU will do.
fn wants_gpu(plan: &Plan) -> bool {
    let named = matches!(&plan.device, Device::Cuda { asked: true, .. });
    named || plan.options.strategy == Some(StrategyName::Gpu)
}

/// The engine of the plan's device.
fn engines(plan: &mut Plan, recipe: Recipe) -> Result<Engines, SessionError> {
    let Device::Cuda { gpus, .. } = &plan.device else {
        return Engines::on_host(recipe, "the cores were asked for");
    };
    let reason = match Engines::on_gpus(gpus, &recipe) {
        Ok(engines) => {
            // Giving so much memory back takes milliseconds.
            rayon::spawn(move || drop(recipe));
            return Ok(engines);
        }
        Err(reason) if wants_gpu(plan) => return Err(reason).or_about(Concern::Device),
        Err(reason) => format!("the GPU cannot be used: {reason}"),
    };
    plan.settle_device()?;
    if let Device::Cpu { why } = &plan.device {
        return Engines::on_host(recipe, why.clone());
    }
    plan.notes.push(format!("{reason}; computing on the CPU"));
    plan.device = Device::Cpu { why: reason.clone() };
    plan.crew = Crew::asked(&plan.options, &plan.device, plan.encoding().codec, plan.frames.count())?;
    Engines::on_host(recipe, reason)
}

fn about_output(error: OutputError) -> SessionError {
    SessionError::because(Concern::Output, Box::new(error))
}

fn layout(plan: &Plan, axes: Vec<BinAxis>) -> Layout {
    let options = &plan.options;
    let digests = identity::has_digests(plan.frames.as_ref());
    let configuration = configuration::to_worker(plan);
    Layout {
        scan: plan.scan.clone(),
        offset: options.offset.unwrap_or(0) + plan.part.as_ref().map_or(0, |part| part.first),
        part: plan.part.clone(),
        numbers: plan.numbers,
        beside: statistic::beside(&plan.reduction),
        sums: options.sums == Some(true),
        saturated: plan.saturation.cutoff.is_finite(),
        columns: Arc::clone(&plan.frames.about().columns),
        header: plan.frames.about().header.clone(),
        stamps: identity::stamps(plan.frames.files(), !digests),
        digests,
        recipe: identity::recipe(plan),
        inputs: plan.frames.files().iter().map(|f| f.display().to_string()).collect(),
        definition: definition::of(&configuration),
        configuration,
        title: options.experiment_title.clone().unwrap_or_else(|| "xrdct integrate".to_owned()),
        poni_file: options.poni.as_ref().map(|p| p.display().to_string()),
        route: Some(plan.route().to_string()),
        mask_file: options.mask.clone(),
        dark_files: options.dark.clone(),
        flat_files: options.flat.clone(),
        ..Layout::new(plan.frames.count(), axes)
    }
}
