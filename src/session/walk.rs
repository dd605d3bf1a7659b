//! A run through open doors, to its end, whatever fails on the way. Where a GPU of several does, the others go on and do its frames again;
//! where none is left and nobody asked for it by name, the cores do what is left.
//!
//! The others are the very reducers that they were, with their lanes and their slots: nothing is asked of the driver while a GPU may hang,
//! for it would wait for that.
//!
//! Frames that were in flight have no row then, nor have those that nobody began; both are walked through another corridor, of the same
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
use crate::frame::{Outcome, SlotPool};
use crate::output::sink::{Sink, SinkError};
use crate::pipeline::{self, Corridor, GoneOver, LostReducer, Passage, PipelineError, Report, Stop, Watch};
use crate::reduce::{ReduceError, Reducer};
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
        plan.check_crew(&crew).or_about(Concern::Device)?;
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

impl Company<'_> {
    /// Says which reducers were lost while others went on.
    fn tell(&mut self, lost: &[LostReducer]) -> Result<(), SinkError> {
        for LostReducer { why, frames, .. } in lost {
            let news = format!("{why}; the others go on, and do its {frames} frames again");
            self.watchers.iter_mut().for_each(|watcher| watcher.hear(&news));
            self.sink.lose(why)?;
        }
        Ok(())
    }
}

impl Session {
    /// Walks frames through doors that are open already. Where their source can be read [again](Source::again), a reducer that fails is
    /// not the end: others do its frames again, and when there are none left and the doors [may](Doors::may_go_on), the cores do what is
    /// left. Sink and watchers hear of it, and the report says so.
    pub fn walk<'a>(&self, mut doors: Doors, sink: &'a mut dyn Sink, run: Run<'a>) -> Ended {
        let Run { stop, timeline, watchers, kept } = run;
        let mut company = Company { sink, watchers, kept, landed: Landed::default(), stop, timeline };
        let mut report = Report::default();
        loop {
            let (before, may_go_on) = (report.lost.len(), doors.may_go_on);
            let has_others =
                doors.reducers.len() > 1 && doors.reducers.iter().any(|reducer| reducer.device().is_some());
            let again = if may_go_on || has_others { doors.source.again() } else { None };
            let slots = doors.slots.clone();
            let Passage { report: done, ended, left } =
                self.pass(doors, &mut company, report, again.is_some());
            report = done;
            let lost = report.lost[before..].iter();
            lost.filter_map(|lost| lost.device.as_deref()).for_each(|device| self.engines.lose(device));
            let (Err(PipelineError::Reduce(ReduceError::Device(why))), Some(source)) = (&ended, again) else {
                return (report, ended);
            };
            if left.is_empty() {
                let why: Vec<String> = report.lost[before..].iter().map(|lost| lost.why.clone()).collect();
                let why = why.join("; ");
                return match may_go_on {
                    true => {
                        report.lost.truncate(before);
                        self.go_over(source, &mut company, report, why)
                    }
                    false => (report, Err(ReduceError::Device(why).into())),
                };
            }
            let begun = Instant::now();
            if let Err(error) = company.tell(&report.lost[before..]) {
                return (report, Err(PipelineError::Sink(error)));
            }
            report.interrupted = company.stop.is_raised();
            if report.interrupted || report.given_up.is_empty() {
                return (report, Ok(()));
            }
            doors = match self.doors_of_others(source, &mut company, (left, slots), why) {
                Ok(others) => Doors { may_go_on, ..others },
                Err(error) => return (report, Err(error)),
            };
            report.given_up.clear();
            report.wall += begun.elapsed();
        }
    }

    /// One corridor. When it fails only it ends, and what it leaves may be walked again; who asks the run to stop ends every one.
    fn pass(&self, doors: Doors, company: &mut Company<'_>, report: Report, may_come_again: bool) -> Passage {
        let Doors { source, readers, reducers, packed, slots, strategy, .. } = doors;
        let Company { sink, watchers, kept, landed, stop, timeline } = company;
        let mut watchers: Vec<&mut dyn Watch> = watchers.iter_mut().map(|w| &mut **w as _).collect();
        watchers.extend(kept.as_deref_mut().map(|kept| kept as &mut dyn Watch));
        if may_come_again {
            watchers.push(landed);
        }
        let corridor = Corridor {
            source,
            readers,
            reducers,
            sink: &mut **sink,
            packed,
            slots,
            waiting: budget::waiting_outcomes(self.plan.bins()),
            bad_frames: self.plan.bad_frames,
            stop: stop.of_a_part(),
            timeline: timeline.clone(),
            watchers,
        };
        pipeline::go_on(corridor, strategy, report)
    }

    /// Doors to the reducers that are left, for the frames of a source that have no row yet; in the slots that they had.
    fn doors_of_others(
        &self,
        source: Box<dyn Source>,
        company: &mut Company<'_>,
        (left, slots): (Vec<Box<dyn Reducer>>, SlotPool),
        why: &str,
    ) -> Result<Doors, PipelineError> {
        if let Some(kept) = &mut company.kept {
            // The host's copy has every row.
            kept.on_device = None;
        }
        let wanted = WantedIds::all_but(company.landed.0.clone());
        let mut source: Box<dyn Source> = Box::new(Select::new(source, wanted));
        let doors = source.about().or_about(Concern::Input).and_then(|about| {
            let planned = self.plan.traffic();
            let frames = about.and_then(|about| about.count).unwrap_or(planned.frames);
            let traffic = Traffic { frames, ..planned };
            Doors::to_those_left(&self.plan.crew, &self.engines, source, traffic, left, slots)
        });
        let neither = |error| format!("{why}; nor can the others go on: {error}");
        doors.map_err(|error| ReduceError::Device(neither(error)).into())
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
        let Passage { mut report, ended, .. } = self.pass(doors, company, report, false);
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
