//! A real GPU fails in the middle of a run, with kernels of this test's own in the context that the run works in: one that traps, which
//! breaks the context for good, and one that keeps every multiprocessor until it is told to end. `../going_over.rs` has the same with a
//! fake, in every arrangement.

use std::ffi::{CString, c_void};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cudarc::driver::{result, sys};
use xrdct::cuda::driver::{Context, LIMIT};
use xrdct::frame::Outcome;
use xrdct::h5;
use xrdct::output::result::{Patterns, Progress, ResultInfo};
use xrdct::pipeline::Watch;
use xrdct::session::options::StrategyName;
use xrdct::session::{Device, Options, Plan, Run, Session};

use crate::support::{one_test_passed, side_by_side, write_small_scan};

const FRAMES: usize = 2000;
const NPT: usize = 60;
/// A device that hangs is waited for once, and everything else takes seconds: a child that takes longer does not end.
const LONGEST: Duration = Duration::from_secs(LIMIT.as_secs() + 60);
/// Says to a child of this program what it is to do.
const PART: &str = "XRDCT_TEST_PART";

/// `boom` ends its context; `spin` ends when the number at `until` is not 0.
const KERNELS: &str = "
.version 6.3
.target sm_75
.address_size 64

.visible .entry boom()
{
    trap;
    ret;
}

.visible .entry spin(.param .u64 until)
{
    .reg .u64 %place;
    .reg .u32 %value;
    .reg .pred %waits;
    ld.param.u64 %place, [until];
again:
    ld.volatile.global.u32 %value, [%place];
    setp.eq.u32 %waits, %value, 0;
    @%waits bra again;
    ret;
}
";

/// What is to happen to the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mishap {
    Trap,
    Hang,
}

/// Brings it about, in the context of a run, when the first frame is done.
pub(super) struct Saboteur {
    mishap: Mishap,
    context: Arc<Context>,
    kernel: sys::CUfunction,
    stream: sys::CUstream,
    /// The number that `spin` looks at, in pinned memory that the device sees under the same address.
    until: *mut u32,
    seen: usize,
    pub(super) news: Vec<String>,
}

impl Saboteur {
    pub(super) fn new(context: Arc<Context>, mishap: Mishap) -> Saboteur {
        context.bind().unwrap();
        let text = CString::new(KERNELS).unwrap();
        let name = CString::new(if mishap == Mishap::Trap { "boom" } else { "spin" }).unwrap();
        // SAFETY: the context is current; the text is PTX and ends with a NUL; memory and module live as long as this process.
        unsafe {
            let module = result::module::load_data(text.as_ptr().cast::<c_void>()).unwrap();
            let until = result::malloc_host(size_of::<u32>(), 0).unwrap().cast::<u32>();
            until.write(0);
            Saboteur {
                mishap,
                context,
                kernel: result::module::get_function(module, name).unwrap(),
                stream: result::stream::create(result::stream::StreamKind::NonBlocking).unwrap(),
                until,
                seen: 0,
                news: vec![],
            }
        }
    }

    fn strike(&self) {
        self.context.bind().unwrap();
        // Twice as many threads as a GPU holds at once, so that nobody else's find a place.
        let (blocks, threads) = match self.mishap {
            Mishap::Trap => (1, 1),
            Mishap::Hang => {
                let which = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
                (4 * self.context.attribute(which).unwrap() as u32, 1024)
            }
        };
        let mut until = self.until;
        let mut arguments = [(&raw mut until).cast::<c_void>()];
        let count = if self.mishap == Mishap::Trap { 0 } else { 1 };
        // SAFETY: the kernels take no argument, or one pointer to memory that stays.
        unsafe {
            let arguments = &mut arguments[..count];
            result::launch_kernel(self.kernel, (blocks, 1, 1), (threads, 1, 1), 0, self.stream, arguments)
        }
        .unwrap();
        // The sink holds the run back meanwhile: it cannot be over before the device fails.
        sleep(Duration::from_millis(100));
    }

    /// Lets a device go that hangs, so that this process can end.
    pub(super) fn let_go(&self) {
        // SAFETY: the memory is there; the device only reads it.
        unsafe { self.until.write_volatile(1) };
    }
}

impl Watch for Saboteur {
    fn see(&mut self, done: usize, _: &Outcome) {
        self.seen += 1;
        assert_eq!(done, self.seen, "every frame is counted on");
        if done == 1 {
            self.strike();
        }
    }

    fn hear(&mut self, news: &str) {
        eprintln!("warning: {news}");
        self.news.push(news.to_owned());
    }

    fn note(&mut self, note: &str) {
        eprintln!("{note}");
    }
}

impl Drop for Saboteur {
    /// A test that fails ends, too.
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Runs a test of a module again in a process of its own, in which a context may break; there it does its work.
pub(super) fn alone((module, test): (&str, &str), part: &str, work: impl FnOnce()) {
    match std::env::var(PART) {
        Ok(asked) if asked == part => work(),
        Ok(_) => {}
        Err(_) => {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("{}::{test}", module.split_once("::").unwrap().1)])
                .args(["--ignored", "--nocapture"])
                .env(PART, part)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let begun = Instant::now();
            while child.try_wait().unwrap().is_none() {
                if begun.elapsed() > LONGEST {
                    child.kill().unwrap();
                }
                sleep(Duration::from_millis(50));
            }
            one_test_passed(&child.wait_with_output().unwrap());
        }
    }
}

/// A run on whichever GPU `auto` takes, in which that fails.
fn goes_over(strategy: StrategyName, mishap: Mishap, why: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let options = |device: &str| Options {
        inputs: vec![folder.path().join("scan").display().to_string()],
        poni: Some(folder.path().join("small.poni")),
        npt: Some(NPT),
        strategy: Some(strategy),
        device: Some(device.into()),
        // Few frames are in flight.
        lanes: Some(2),
        batch: Some(4),
        ..Options::default()
    };
    let session = Session::open(Plan::new(options("auto")).unwrap()).unwrap();
    let Device::Cuda { gpus, asked: false, .. } = &session.plan().device else {
        panic!("no GPU: {}", session.plan().device.name())
    };
    let mut saboteur = Saboteur::new(gpus.first().unwrap(), mishap);
    let path = folder.path().join("result.h5");
    let mut file = session.result(&path, false).unwrap();
    let begun = Instant::now();
    let run = Run { watchers: vec![&mut saboteur], ..Run::default() };
    let (report, ended) = session.run(&mut file, run).unwrap();
    ended.unwrap();
    let took = begun.elapsed();
    let written = file.finish(&report.ending()).unwrap();
    assert_eq!((written.good, written.bad, written.pending), (FRAMES, 0, 0));
    assert_eq!((report.done, report.verified, report.interrupted), (FRAMES, FRAMES, false));
    let over = report.gone_over.unwrap();
    assert!((1..FRAMES).contains(&over.frames), "{} of {FRAMES} frames went over", over.frames);
    assert!(over.why.contains(why) && over.why.contains("; frames in flight: "), "{}", over.why);
    assert_eq!(saboteur.news.len(), 1, "{:?}", saboteur.news);
    let info = ResultInfo::open(&path).unwrap();
    assert_eq!((info.progress, info.gone_over), (Progress::Complete, Some((over.frames, over.why))));

    // The session stays with the cores, and a run on them is what the marked rows are held against.
    let host = folder.path().join("host.h5");
    let mut file = session.result(&host, false).unwrap();
    let (report, ended) = session.run(&mut file, Run::default()).unwrap();
    ended.unwrap();
    file.finish(&report.ending()).unwrap();
    let process = h5::File::open(&path).unwrap().group("entry_0000/xrdct").unwrap();
    let marks: Vec<u8> = process.dataset("frame_device").unwrap().read_raw().unwrap();
    let rows = |path| Patterns::open(path).unwrap().read(0..NPT).unwrap();
    let (found, expected) = (rows(&path), rows(&host));
    for (bin, (found, expected)) in side_by_side(&found, &expected).enumerate() {
        let close = f64::from((found - expected).abs()) <= 1e-6 * f64::from(expected.abs());
        let same = found.to_bits() == expected.to_bits();
        let is_marked = marks[bin / NPT] == 1;
        assert!(close && (same || !is_marked), "frame {}: {found}, on the CPU {expected}", bin / NPT);
    }
    saboteur.let_go();
    if mishap == Mishap::Hang {
        assert!(took >= LIMIT && took < 3 * LIMIT, "{took:?}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_context_that_breaks_is_not_the_end_of_a_run() {
    for (part, strategy) in
        [("auto", StrategyName::Auto), ("pool", StrategyName::Pool), ("sequential", StrategyName::Sequential)]
    {
        alone((module_path!(), "a_context_that_breaks_is_not_the_end_of_a_run"), part, || {
            goes_over(strategy, Mishap::Trap, "the GPU failed while ");
        });
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_device_that_hangs_is_not_the_end_of_a_run() {
    alone((module_path!(), "a_device_that_hangs_is_not_the_end_of_a_run"), "hang", || {
        goes_over(StrategyName::Auto, Mishap::Hang, "the GPU did not answer within 60 s");
    });
}
