//! A run through open doors, to its end: where a GPU that nobody asked for by name fails on the way, the cores do what is left.
//!
//! Frames that were in flight have no row then, nor have those that nobody began; both are walked through a second corridor, of the same
//! recipe. The host's matrix is made when it is needed and not before: a run on a GPU does not pay for it.

use std::time::Instant;

use super::budget;
use super::crew::{self, Crew, Traffic};
use super::device::Device;
use super::doors::Doors;
use super::engines::Engines;
use super::error::{Concern, OrAbout, SessionError};
use super::plan::Plan;
use super::store::PatternStore;
use super::{Run, Session, on_threads};
use crate::frame::Outcome;
use crate::output::result::Raster;
use crate::output::sink::Sink;
use crate::pipeline::{self, Corridor, GoneOver, PipelineError, Report, Stop, Watch};
use crate::reduce::ReduceError;
use crate::source::Source;
use crate::source::select::{Select, WantedIds};
use crate::trace::Timeline;

/// What a run did, and what ended it early.
type Ended = (Report, Result<(), PipelineError>);

/// The cores in the GPU's place.
pub(super) struct Cores {
    crew: Crew,
    engines: Engines,
    /// Why they are.
    why: String,
}

impl Cores {
    fn make(plan: &Plan, why: &str) -> Result<Cores, SessionError> {
        let device = Device::Cpu { why: why.to_owned() };
        let crew = Crew::asked(&plan.options, &device, plan.encoding().codec, plan.frames.count())?;
        let rows = plan.scan.as_ref().map_or(plan.frames.count(), Raster::points);
        budget::check(&crew, &plan.traffic(), plan.npt, rows).or_about(Concern::Device)?;
        let threads = crew::threads(&plan.options, &device);
        let engines = on_threads(threads, || Engines::on_host(plan.prepare()?.recipe, why))??;
        Ok(Cores { crew, engines, why: why.to_owned() })
    }

    /// The doors of a run, open.
    pub(super) fn doors(
        &self,
        source: Box<dyn Source>,
        traffic: Traffic,
        timeline: Option<&Timeline>,
    ) -> Result<Doors, SessionError> {
        let mut doors = Doors::open(&self.crew, &self.engines, source, traffic, None, timeline, None)?;
        doors.notes.push(format!("{}; computing on the CPU since then", self.why));
        Ok(doors)
    }
}

/// Which frames have a row.
#[derive(Default)]
struct Landed(Vec<bool>);

impl Watch for Landed {
    fn see(&mut self, _: usize, outcome: &Outcome) {
        let id = outcome.as_ref().map_or_else(|bad| bad.id.0, |pattern| pattern.id.0);
        if self.0.len() <= id {
            self.0.resize(id + 1, false);
        }
        self.0[id] = true;
    }
}

/// Everybody who has to do with a run from its first frame to its last.
struct Company<'a> {
    sink: &'a mut dyn Sink,
    watchers: Vec<&'a mut dyn Watch>,
    kept: Option<&'a mut PatternStore>,
    landed: Landed,
    stop: Stop,
    timeline: Option<Timeline>,
}

impl Session {
    /// Walks frames through doors that are open already. Where they [may](Doors::may_go_on) and their source can be read
    /// [again](Source::again), a reducer that fails is not the end: the sink hears where it happened, the cores do what is left, and the
    /// report says so.
    pub fn walk<'a>(&self, doors: Doors, sink: &'a mut dyn Sink, run: Run<'a>) -> Ended {
        let Run { stop, timeline, watchers, kept } = run;
        let mut company = Company { sink, watchers, kept, landed: Landed::default(), stop, timeline };
        let again = if doors.may_go_on { doors.source.again() } else { None };
        let (report, ended) = self.pass(doors, &mut company, Report::default());
        match (ended, again) {
            (Err(PipelineError::Reduce(ReduceError::Device(why))), Some(source)) => {
                self.go_over(source, &mut company, report, why)
            }
            (ended, _) => (report, ended),
        }
    }

    /// One corridor. When it fails only it ends; who asks the run to stop ends every one.
    fn pass(&self, doors: Doors, company: &mut Company<'_>, report: Report) -> Ended {
        let Doors { source, readers, reducers, packed, slots, strategy, may_go_on, .. } = doors;
        let Company { sink, watchers, kept, landed, stop, timeline } = company;
        let mut watchers: Vec<&mut dyn Watch> = watchers.iter_mut().map(|w| &mut **w as _).collect();
        watchers.extend(kept.as_deref_mut().map(|kept| kept as &mut dyn Watch));
        if may_go_on {
            watchers.push(landed);
        }
        let corridor = Corridor {
            source,
            readers,
            reducers,
            sink: &mut **sink,
            packed,
            slots,
            waiting: budget::waiting_outcomes(self.plan.npt),
            bad_frames: self.plan.bad_frames,
            stop: stop.of_a_part(),
            timeline: timeline.clone(),
            watchers,
        };
        pipeline::go_on(corridor, strategy, report)
    }

    /// Has the cores do the frames of a source that have no row yet.
    fn go_over(
        &self,
        source: Box<dyn Source>,
        company: &mut Company<'_>,
        mut report: Report,
        why: String,
    ) -> Ended {
        let (before, begun) = (report.done, Instant::now());
        report.gone_over = Some(GoneOver { why: why.clone(), frames: 0 });
        if company.stop.is_raised() {
            report.interrupted = true;
            return (report, Ok(()));
        }
        if let Some(kept) = &mut company.kept {
            // The host's copy has every row.
            kept.on_device = None;
        }
        let wanted = WantedIds::all_but(std::mem::take(&mut company.landed.0));
        let doors = match self.doors_of_cores(Box::new(Select::new(source, wanted)), company, &why) {
            Ok(doors) => doors,
            Err(error) => {
                let both = format!("{why}; nor can the CPU go on: {error}");
                return (report, Err(ReduceError::Device(both).into()));
            }
        };
        if let Err(error) = company.sink.go_over(&why) {
            return (report, Err(PipelineError::Sink(error)));
        }
        report.given_up.clear();
        report.wall += begun.elapsed();
        let (mut report, ended) = self.pass(doors, company, report);
        report.gone_over = Some(GoneOver { why, frames: report.done - before });
        (report, ended)
    }

    fn doors_of_cores(
        &self,
        mut source: Box<dyn Source>,
        company: &mut Company<'_>,
        why: &str,
    ) -> Result<Doors, SessionError> {
        let count = source.about().or_about(Concern::Input)?.and_then(|about| about.count);
        let left = count
            .map_or_else(|| "what is left".to_owned(), |count| format!("the {count} frames that are left"));
        let news = format!("{why}; the CPU goes on with {left}");
        company.watchers.iter_mut().for_each(|watcher| watcher.hear(&news));
        let made = match self.cores.get() {
            Some(cores) => cores,
            None => {
                let cores = Cores::make(&self.plan, why)?;
                self.cores.get_or_init(|| cores)
            }
        };
        let planned = self.plan.traffic();
        let traffic = Traffic { frames: count.unwrap_or(planned.frames), ..planned };
        made.doors(source, traffic, company.timeline.as_ref())
    }
}
