//! Where the time goes (the paper's §2.3): one run of a plan, its timeline added up.
//!
//! Everything here is computed from the bars of the run's own [`Timeline`], which can be written and looked at: a stage's time
//! is the sum of its bars less the bars inside them, per track. What is *busy* is judged by whoever must do the work:
//!
//! | who | busy while |
//! |---|---|
//! | readers, workers, the GPU's thread, the writer | a bar is open on one of their threads, waiting for the GPU left out |
//! | the link, either way | a copy is under way (bars of all lanes, overlaps counted once; of several GPUs their mean) |
//! | the GPU | a kernel is (likewise) |
//! | the cores | the run's threads had one, as the kernel counts it |
//!
//! The host's engine decodes and integrates a tile at a time; the two are told apart by a clock around the decoder, which costs
//! some percent. On a GPU the index (where every code begins) is the first half of decoding; the second is one kernel with
//! integration and cannot be told apart from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BenchError;
use super::subject::Subject;
use super::walk::{Pass, walk};
use crate::session::{Crew, Doors, Reducers, Stage, Strategy};
use crate::trace::{Span, Timeline};

/// Who is called the bottleneck must be busy at least this part of the time.
const BUSY: f64 = 0.6;
/// Cores this busy are the bottleneck, whoever uses them.
const CORES_BUSY: f64 = 0.9;

/// A part of a frame's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The file's bytes to memory.
    Read,
    /// What the file says of its image.
    Header,
    /// Packed bytes compared with their digest.
    Verify,
    /// Packed bytes to pixels; on a GPU where every code begins.
    Decode,
    /// Memory to the GPU.
    Upload,
    /// Pixels to sums; on a GPU with the second half of decoding.
    Integrate,
    /// Sums to memory.
    Download,
    /// What the GPU's thread does besides waiting: enqueue, sums to patterns.
    Drive,
    /// Patterns to the file.
    Write,
}

impl Part {
    /// Every part, in the order of the way.
    pub const ALL: [Part; 9] = [
        Part::Read,
        Part::Header,
        Part::Verify,
        Part::Decode,
        Part::Upload,
        Part::Integrate,
        Part::Download,
        Part::Drive,
        Part::Write,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Read => "read",
            Part::Header => "header",
            Part::Verify => "verify",
            Part::Decode => "decode",
            Part::Upload => "upload",
            Part::Integrate => "integrate",
            Part::Download => "download",
            Part::Drive => "drive the GPU",
            Part::Write => "write",
        }
    }

    /// The part that a bar is of, on a thread or on a lane; none for waiting.
    fn of(bar: &str, on_lane: bool, on_gpu: bool) -> Option<Part> {
        Some(match bar {
            "read" => Part::Read,
            "header" => Part::Header,
            "verify" => Part::Verify,
            "decode" | "index" => Part::Decode,
            "integrate" => Part::Integrate,
            "decode + integrate" if on_lane => Part::Integrate,
            "upload" if on_lane => Part::Upload,
            "download" if on_lane => Part::Download,
            "write" => Part::Write,
            // What the reducer's stage leaves to itself.
            name if name == Stage::Reduce.name() => {
                if on_gpu {
                    Part::Drive
                } else {
                    Part::Integrate
                }
            }
            _ => return None,
        })
    }
}

/// Time of one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartTime {
    /// Which.
    pub part: Part,
    /// Seconds, summed over threads and lanes.
    pub seconds: f64,
    /// Part of all parts' time.
    pub share: f64,
    /// Milliseconds a frame.
    pub ms_per_frame: f64,
    /// Tracks of the timeline that it was on: threads, lanes.
    pub tracks: usize,
}

/// Somebody who does work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The one thread of a sequential run.
    OnlyThread,
    /// Threads that read.
    Readers,
    /// Threads that integrate.
    Workers,
    /// The thread that drives the GPU.
    GpuThread,
    /// Copies to the GPU.
    Link,
    /// Kernels.
    Gpu,
    /// Copies back.
    LinkBack,
    /// The thread that writes.
    Writer,
    /// The processor.
    Cores,
}

impl Who {
    /// How they are called.
    pub const fn name(self) -> &'static str {
        match self {
            Who::OnlyThread => "the only thread",
            Who::Readers => "the readers",
            Who::Workers => "the workers",
            Who::GpuThread => "the thread that drives the GPU",
            Who::Link => "the link",
            Who::Gpu => "the GPU",
            Who::LinkBack => "the link back",
            Who::Writer => "the writer",
            Who::Cores => "the cores",
        }
    }
}

/// How busy somebody is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Who.
    pub who: Who,
    /// How many of them.
    pub count: usize,
    /// Part of the wall time, 1 when all of them are busy all the time.
    pub busy: f64,
    /// What takes most of their time, and what part of it.
    pub mostly: Option<(Part, f64)>,
}

/// Where the time of a run went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Name of the plan.
    pub name: String,
    /// The plan in words.
    pub words: String,
    /// Frames done.
    pub frames: usize,
    /// Seconds from the first ticket to the last row.
    pub wall: f64,
    /// Time by part; parts that took none are left out.
    pub parts: Vec<PartTime>,
    /// Who is how busy.
    pub loads: Vec<Load>,
    /// The bottleneck, in a sentence.
    pub bottleneck: String,
    /// Who the sentence is about; none when nobody is busy enough.
    pub who: Option<Who>,
}

/// Runs a plan's crew and says where its time went; the bars are in the pass's timeline, or in one of its own.
///
/// # Errors
/// As [`walk`].
pub fn run(
    subject: &Subject,
    plan: &Crew,
    name: &str,
    crew: Doors,
    pass: &Pass,
) -> Result<Profile, BenchError> {
    let pass = Pass { timeline: Some(pass.timeline.clone().unwrap_or_default()), ..pass.clone() };
    let walked = walk(subject, crew, &pass)?;
    let spans = pass.timeline.as_ref().map(Timeline::spans).unwrap_or_default();
    let report = &walked.report;
    let wall = report.wall.as_secs_f64().max(1e-9);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let on_cores = report.times.on_cores().as_secs_f64() / (cores as f64 * wall);
    let bars = Bars::of(&spans, plan.needs_gpu());
    let parts = bars.parts(report.done);
    let loads = bars.loads(plan, wall, (cores, on_cores));
    let (bottleneck, who) = bottleneck(&loads);
    Ok(Profile {
        name: name.to_owned(),
        words: plan.words(),
        frames: report.done,
        wall,
        parts,
        loads,
        bottleneck,
        who,
    })
}

/// What one bar leaves to itself.
struct Own<'a> {
    track: &'a str,
    part: Part,
    seconds: f64,
    /// Begin and end, microseconds.
    open: (f64, f64),
}

impl Own<'_> {
    fn on_lane(&self) -> bool {
        is_lane(self.track)
    }
}

fn is_lane(track: &str) -> bool {
    gpu_of(track).is_some()
}

/// The GPU that a lane is of.
fn gpu_of(track: &str) -> Option<&str> {
    track.split_once(" lane ").map(|(gpu, _)| gpu).filter(|gpu| gpu.starts_with("GPU"))
}

/// The bars of a run, each with its own time.
struct Bars<'a>(Vec<Own<'a>>);

impl<'a> Bars<'a> {
    fn of(spans: &'a [Span], on_gpu: bool) -> Bars<'a> {
        let mut sorted: Vec<&Span> = spans.iter().collect();
        // By track; where two begin together, the longer one is around the other.
        sorted.sort_by(|a, b| {
            a.track.cmp(&b.track).then(a.start.total_cmp(&b.start)).then(b.end.total_cmp(&a.end))
        });
        let mut own: Vec<f64> = sorted.iter().map(|span| span.end - span.start).collect();
        let mut around: Vec<usize> = Vec::new();
        for (at, span) in sorted.iter().enumerate() {
            let is_around = |outer: &usize| {
                // Lanes do several things at once: their bars do not nest.
                sorted[*outer].track == span.track && sorted[*outer].end > span.start && !is_lane(&span.track)
            };
            while around.last().is_some_and(|outer| !is_around(outer)) {
                around.pop();
            }
            if let Some(outer) = around.last() {
                own[*outer] -= span.end.min(sorted[*outer].end) - span.start;
            }
            around.push(at);
        }
        let bars = sorted.into_iter().zip(own).filter_map(|(span, own)| {
            let part = Part::of(span.name, is_lane(&span.track), on_gpu)?;
            let seconds = own.max(0.0) / 1e6;
            Some(Own { track: &span.track, part, seconds, open: (span.start, span.end) })
        });
        Bars(bars.collect())
    }

    fn parts(&self, frames: usize) -> Vec<PartTime> {
        let all: f64 = self.0.iter().map(|bar| bar.seconds).sum();
        let time = |part: Part| {
            let bars: Vec<&Own> = self.0.iter().filter(|bar| bar.part == part).collect();
            let seconds: f64 = bars.iter().map(|bar| bar.seconds).sum();
            let mut tracks: Vec<&str> = bars.iter().map(|bar| bar.track).collect();
            tracks.sort_unstable();
            tracks.dedup();
            PartTime {
                part,
                seconds,
                share: seconds / all.max(1e-12),
                ms_per_frame: 1e3 * seconds / frames.max(1) as f64,
                tracks: tracks.len(),
            }
        };
        Part::ALL.into_iter().map(time).filter(|time| time.tracks > 0).collect()
    }

    fn loads(&self, plan: &Crew, wall: f64, (cores, on_cores): (usize, f64)) -> Vec<Load> {
        let threads = |who, count: usize, parts: &[Part], on_track: &dyn Fn(&str) -> bool| {
            let bars = self.0.iter().filter(|bar| parts.contains(&bar.part) && on_track(bar.track));
            let bars: Vec<&Own> = bars.collect();
            let seconds: f64 = bars.iter().map(|bar| bar.seconds).sum();
            Load { who, count, busy: seconds / (count as f64 * wall), mostly: mostly(&bars) }
        };
        let device = |who, parts: &[Part]| {
            let bars = self.0.iter().filter(|bar| parts.contains(&bar.part) && bar.on_lane());
            let bars: Vec<&Own> = bars.collect();
            let mut gpus: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for bar in &bars {
                gpus.entry(gpu_of(bar.track)).or_default().push(bar.open);
            }
            let count = gpus.len().max(1);
            let open: f64 = gpus.into_values().map(union).sum();
            Load { who, count, busy: open / 1e6 / wall / count as f64, mostly: mostly(&bars) }
        };
        let on_thread = |track: &str| !is_lane(track);
        let mut loads = Vec::new();
        match (plan.strategy(), plan.reducers) {
            (Strategy::Sequential, _) => loads.push(threads(Who::OnlyThread, 1, &Part::ALL, &on_thread)),
            (Strategy::Pool, reducers) => {
                let readers = plan.readers.unwrap_or(1);
                let reading = [Part::Read, Part::Header, Part::Decode];
                loads.push(threads(Who::Readers, readers, &reading, &|track| track.starts_with("reader")));
                let on_reducer = |track: &str| track.starts_with("reducer");
                let reducing = [Part::Decode, Part::Integrate, Part::Drive];
                loads.push(match reducers {
                    Reducers::Host(workers) => threads(Who::Workers, workers, &reducing, &on_reducer),
                    Reducers::Gpus(gpus, _) => threads(Who::GpuThread, gpus, &reducing, &on_reducer),
                });
                loads.push(threads(Who::Writer, 1, &[Part::Write], &on_thread));
            }
        }
        if plan.needs_gpu() {
            loads.push(device(Who::Link, &[Part::Upload]));
            loads.push(device(Who::Gpu, &[Part::Decode, Part::Integrate]));
            loads.push(device(Who::LinkBack, &[Part::Download]));
        }
        let all: Vec<&Own> = self.0.iter().filter(|bar| !bar.on_lane()).collect();
        loads.push(Load { who: Who::Cores, count: cores, busy: on_cores, mostly: mostly(&all) });
        loads
    }
}

/// The part with most of the bars' time, and its share of it.
fn mostly(bars: &[&Own]) -> Option<(Part, f64)> {
    let of = |part: Part| bars.iter().filter(|bar| bar.part == part).map(|bar| bar.seconds).sum::<f64>();
    let all: f64 = bars.iter().map(|bar| bar.seconds).sum();
    let most = Part::ALL.into_iter().max_by(|a, b| of(*a).total_cmp(&of(*b)))?;
    (all > 0.0).then(|| (most, of(most) / all))
}

/// Length of what some intervals cover.
fn union(mut intervals: Vec<(f64, f64)>) -> f64 {
    intervals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut covered, mut until) = (0.0, f64::NEG_INFINITY);
    for (start, end) in intervals {
        covered += (end - start.max(until)).max(0.0);
        until = until.max(end);
    }
    covered
}

fn bottleneck(loads: &[Load]) -> (String, Option<Who>) {
    let mostly = |load: &Load| match load.mostly {
        Some((part, share)) => format!(", most of it with {} ({:.0} %)", part.name(), 100.0 * share),
        None => String::new(),
    };
    let percent = |load: &Load| (100.0 * load.busy).round().min(100.0);
    if let Some(only) = loads.iter().find(|load| load.who == Who::OnlyThread) {
        let sentence = match only.mostly {
            Some((part, share)) => format!(
                "{}: it takes {:.0} % of the time of the only thread, which is busy {:.0} %",
                part.name(),
                100.0 * share,
                percent(only)
            ),
            None => "nothing was measured".to_owned(),
        };
        let is_gpu_run = loads.iter().any(|load| load.who == Who::Gpu);
        let waits = if is_gpu_run { " (the rest is waiting for the GPU)" } else { "" };
        return (sentence + waits, Some(Who::OnlyThread));
    }
    let cores = loads.iter().find(|load| load.who == Who::Cores && load.busy >= CORES_BUSY);
    let others = loads.iter().filter(|load| load.who != Who::Cores);
    let busiest = others.max_by(|a, b| a.busy.total_cmp(&b.busy));
    let Some(load) = cores.or(busiest) else { return ("nothing was measured".to_owned(), None) };
    let threads =
        |count: usize| if count == 1 { "1 thread is".to_owned() } else { format!("{count} threads are") };
    let sentence = match load.who {
        Who::Link => format!("uploads fill {:.0} % of the wall time", percent(load)),
        Who::LinkBack => format!("downloads fill {:.0} % of the wall time", percent(load)),
        Who::Gpu => format!("its kernels fill {:.0} % of the wall time{}", percent(load), mostly(load)),
        Who::Cores => {
            format!("{0} of {0} are busy {1:.0} % of the time{2}", load.count, percent(load), mostly(load))
        }
        _ => format!("{} busy {:.0} % of the time{}", threads(load.count), percent(load), mostly(load)),
    };
    if load.busy < BUSY {
        let what = load.who.name();
        return (
            format!("nobody alone: even {what}: {sentence}; a longer run, or more slots, would say more"),
            None,
        );
    }
    (format!("{}: {sentence}", load.who.name()), Some(load.who))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(track: &str, name: &'static str, start: f64, end: f64) -> Span {
        Span { track: track.into(), name, start, end, payload: 0 }
    }

    #[test]
    fn a_bar_owns_what_the_bars_inside_it_leave() {
        let spans = [
            span("reader 0", "header", 80.0, 90.0),
            span("reader 0", "read", 0.0, 100.0),
            span("reader 0", "read", 100.0, 150.0),
            span("reader 1", "read", 50.0, 60.0),
            span("reducer 0", "wait", 20.0, 70.0),
            span("reducer 0", Stage::Reduce.name(), 10.0, 80.0),
            span("GPU lane 0", "upload", 0.0, 10.0),
            span("GPU lane 1", "upload", 5.0, 20.0),
        ];
        let bars = Bars::of(&spans, true);
        let of = |part: Part| {
            bars.0.iter().filter(|bar| bar.part == part).map(|b| b.seconds * 1e6).sum::<f64>().round()
        };
        assert_eq!([Part::Read, Part::Header, Part::Drive, Part::Upload].map(of), [150.0, 10.0, 20.0, 25.0]);
        assert_eq!(union(vec![(0.0, 10.0), (5.0, 20.0), (30.0, 31.0)]), 21.0);
    }
}
