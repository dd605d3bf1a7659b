//! What there is to compute on: kernels in this binary, the driver, the GPUs; or the reason why there is none.
//!
//! Nothing here panics or prints on a machine without a driver: the driver's library is looked for before the first call.

use std::iter::once;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock};
use std::thread;

use cudarc::driver::{result, sys};

use super::driver::{self, Context};
use super::error::CudaError;
use super::image;
use super::numa::{self, NumaNode};
use crate::trace;

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its number, counted from 0.
    pub ordinal: usize,
    /// What NVIDIA calls it.
    pub name: String,
    /// Compute capability: major, minor.
    pub capability: (usize, usize),
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes free at the moment; none when its context could not be opened.
    pub free: Option<usize>,
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
}

/// All that `xrdct info` tells about GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Architectures that this binary holds machine code for (90 is sm_90); empty when it was built without nvcc.
    pub architectures: Vec<u32>,
    /// CUDA version of the driver: major, minor.
    pub driver: Option<(usize, usize)>,
    /// The GPUs, or why there is none to use.
    pub devices: Result<Vec<Gpu>, CudaError>,
}

/// Looks around. Never panics; takes some 0.1 s where there is a GPU, because its context is opened.
pub fn survey() -> Survey {
    let architectures = image::ARCHITECTURES.to_vec();
    match start() {
        Ok(driver) => Survey {
            architectures,
            driver: Some(driver),
            devices: runs_kernels(driver).and_then(|()| list()),
        },
        Err(error) => Survey { architectures, driver: None, devices: Err(error) },
    }
}

/// How many queues the driver makes to a device. Each costs 5 to 10 ms when a context is made and some more when it ends; lanes overlap as
/// well with two as with eight, the driver's own choice. With one, lanes of a reconstruction wait for each other.
const QUEUES: (&str, &str) = ("CUDA_DEVICE_MAX_CONNECTIONS", "2");

/// Has the driver make no more queues to a device than are needed, unless the environment says how many.
///
/// # Safety
/// No other thread may be there yet: this changes the environment.
pub unsafe fn ask_for_few_queues() {
    if std::env::var_os(QUEUES.0).is_none() {
        // SAFETY: the caller's promise.
        unsafe { std::env::set_var(QUEUES.0, QUEUES.1) };
    }
}

/// Initialises the driver; its CUDA version.
///
/// # Errors
/// [`CudaError::NoDriver`], [`CudaError::NoDevice`] or [`CudaError::DriverFails`].
pub fn start() -> Result<(usize, usize), CudaError> {
    driver_is_there()?;
    result::init().map_err(|e| match e.0 {
        sys::CUresult::CUDA_ERROR_NO_DEVICE => CudaError::NoDevice,
        // A stub library, as build machines have.
        sys::CUresult::CUDA_ERROR_STUB_LIBRARY => CudaError::NoDriver,
        _ => match CudaError::driver("starting", e) {
            CudaError::Driver { cause, .. } => CudaError::DriverFails { cause },
            other => other,
        },
    })?;
    driver::version()
}

fn driver_is_there() -> Result<(), CudaError> {
    static THERE: OnceLock<bool> = OnceLock::new();
    // SAFETY: opens a shared library by its well-known name, nothing else.
    let there = *THERE.get_or_init(|| unsafe { sys::is_culib_present() });
    if there { Ok(()) } else { Err(CudaError::NoDriver) }
}

/// What can be said without starting the driver, which takes a tenth of a second.
fn present() -> Result<(), CudaError> {
    if image::UNITS.is_empty() { Err(CudaError::NoKernels) } else { driver_is_there() }
}

/// Whether a driver runs what is in this binary: machine code of its own major version of CUDA, or of an older one (CUDA's minor
/// version compatibility). PTX takes more, but then only on a GPU that is younger than the binary ([`driver::Module::load`]).
fn runs_kernels(driver: (usize, usize)) -> Result<(), CudaError> {
    let needed = (image::TOOLKIT.0, 0);
    if driver < needed { Err(CudaError::DriverTooOld { found: driver, needed }) } else { Ok(()) }
}

fn list() -> Result<Vec<Gpu>, CudaError> {
    let count = count()?;
    (0..count).map(describe).collect()
}

fn count() -> Result<usize, CudaError> {
    let count = result::device::get_count().map_err(|e| CudaError::driver("counting GPUs", e))?;
    match count.max(0) as usize {
        0 => Err(CudaError::NoDevice),
        count => Ok(count),
    }
}

fn describe(ordinal: usize) -> Result<Gpu, CudaError> {
    use sys::CUdevice_attribute as Attribute;
    let failed = |e| CudaError::driver("asking for a GPU's properties", e);
    let device = result::device::get(ordinal as i32).map_err(failed)?;
    let attribute = |which| {
        // SAFETY: the device was just returned by the driver.
        let value = unsafe { result::device::get_attribute(device, which) };
        value.map(|v| v.max(0) as usize).map_err(failed)
    };
    let free = Context::open(ordinal).and_then(|context| context.memory()).ok().map(|memory| memory.0);
    Ok(Gpu {
        ordinal,
        name: result::device::get_name(device).map_err(failed)?,
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }.map_err(failed)?,
        free,
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
    })
}

/// Which GPUs are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuChoice {
    /// The one with most free memory.
    Roomiest,
    /// Those with these numbers, counted from 0; at least one, and none of them twice.
    Numbered(Vec<usize>),
    /// Every one that there is.
    All,
}

/// GPUs that are being opened by threads of their own: starting the driver and making a context take a fifth of a second, in which other
/// things are done.
#[derive(Debug, Clone)]
pub struct OpeningGpus(Arc<Opening>);

#[derive(Debug)]
struct Opening {
    choice: GpuChoice,
    found: OnceLock<Result<Found, CudaError>>,
    opened: OnceLock<Result<Vec<Arc<Context>>, CudaError>>,
}

#[derive(Debug)]
struct Found {
    ordinals: Vec<usize>,
    /// Where it had to be opened to be found.
    _context: Option<Arc<Context>>,
}

impl OpeningGpus {
    /// Begins to look for GPUs and to open them, side by side.
    ///
    /// # Errors
    /// What is known without starting the driver: [`CudaError::NoKernels`] and [`CudaError::NoDriver`].
    pub fn begin(choice: GpuChoice) -> Result<OpeningGpus, CudaError> {
        present()?;
        let gpus = OpeningGpus(Arc::new(Opening { choice, found: OnceLock::new(), opened: OnceLock::new() }));
        let (others, timeline) = (gpus.clone(), trace::followed());
        // Without a thread whoever waits first opens them.
        let _ = thread::Builder::new().name("context".into()).spawn(move || {
            let _follows = trace::follow(timeline.as_ref(), "context");
            let _ = others.wait();
        });
        Ok(gpus)
    }

    /// How many they are; waits only where all are wanted.
    ///
    /// # Errors
    /// As [`OpeningGpus::ordinals`].
    pub fn count(&self) -> Result<usize, CudaError> {
        match &self.0.choice {
            GpuChoice::Roomiest => Ok(1),
            GpuChoice::Numbered(numbers) => Ok(numbers.len()),
            GpuChoice::All => self.ordinals().map(<[usize]>::len),
        }
    }

    /// Waits until it is known which they are: their numbers, counted from 0.
    ///
    /// # Errors
    /// As [`open`], but for what only the context tells.
    pub fn ordinals(&self) -> Result<&[usize], CudaError> {
        let found = self.0.found.get_or_init(|| self.0.find()).as_ref();
        found.map(|found| found.ordinals.as_slice()).map_err(CudaError::clone)
    }

    /// Their nodes ([`numa::nodes`]); waits only where they are several.
    pub fn nodes(&self) -> Vec<Option<NumaNode>> {
        match self.count() {
            Ok(1) => vec![None],
            _ => numa::nodes(self.ordinals().unwrap_or_default()),
        }
    }

    /// Waits until they are open.
    ///
    /// # Errors
    /// As [`open`], of the first that does not open.
    pub fn wait(&self) -> Result<&[Arc<Context>], CudaError> {
        let open = || {
            let timeline = trace::followed();
            side_by_side(self.ordinals()?, |ordinal| {
                let _follows = trace::follow(timeline.as_ref(), "context");
                let _range = trace::context();
                Context::open(*ordinal)
            })
        };
        self.0.opened.get_or_init(open).as_deref().map_err(CudaError::clone)
    }

    /// Waits until the first of them is open, the only one mostly.
    ///
    /// # Errors
    /// As [`open`].
    pub fn first(&self) -> Result<Arc<Context>, CudaError> {
        match self.ordinals()? {
            [_] => self.wait()?.first().cloned().ok_or(CudaError::NoDevice),
            [ordinal, ..] => Context::open(*ordinal),
            [] => Err(CudaError::NoDevice),
        }
    }
}

impl Opening {
    /// Where there is one GPU it need not be open to be the roomiest.
    fn find(&self) -> Result<Found, CudaError> {
        let _range = trace::driver();
        let present = usable()?;
        let found = |ordinals| Ok(Found { ordinals, _context: None });
        match &self.choice {
            GpuChoice::Numbered(numbers) => match numbers.iter().find(|number| **number >= present) {
                Some(&asked) => Err(CudaError::NoSuchDevice { asked, present }),
                None => found(numbers.clone()),
            },
            GpuChoice::All => found((0..present).collect()),
            GpuChoice::Roomiest if present == 1 => found(vec![0]),
            GpuChoice::Roomiest => {
                let (ordinal, context) = open_roomiest()?;
                Ok(Found { ordinals: vec![ordinal], _context: Some(context) })
            }
        }
    }
}

/// Does something for each of some GPUs: for the first on this thread, for the others on threads beside it.
fn side_by_side<T: Sync, R: Send>(
    gpus: &[T],
    work: impl Fn(&T) -> Result<R, CudaError> + Sync,
) -> Result<Vec<R>, CudaError> {
    let Some((first, others)) = gpus.split_first() else { return Ok(vec![]) };
    let work = &work;
    thread::scope(|scope| {
        let beside = |gpu| (gpu, thread::Builder::new().spawn_scoped(scope, move || work(gpu)));
        let others: Vec<_> = others.iter().map(beside).collect();
        let done = |(gpu, thread): (_, Result<thread::ScopedJoinHandle<_>, _>)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // No thread could be started.
            Err(_) => work(gpu),
        };
        once(work(first)).chain(others.into_iter().map(done)).collect()
    })
}

/// What NVIDIA calls a GPU. The driver must have been started.
///
/// # Errors
/// When there is no such GPU, or the driver refuses.
pub fn name(ordinal: usize) -> Result<String, CudaError> {
    let device = result::device::get(ordinal as i32);
    device.and_then(result::device::get_name).map_err(|e| CudaError::driver("asking for a GPU's name", e))
}

/// How many GPUs there are to work on: kernels must be built in, the driver there and young enough.
fn usable() -> Result<usize, CudaError> {
    present()?;
    runs_kernels(start()?)?;
    count()
}

/// Sees that GPU `ordinal` is there to work on; the driver is started by then.
///
/// # Errors
/// As [`open`], but for what only the context tells.
pub(super) fn look(ordinal: usize) -> Result<(), CudaError> {
    let present = usable()?;
    match ordinal < present {
        true => Ok(()),
        false => Err(CudaError::NoSuchDevice { asked: ordinal, present }),
    }
}

/// Opens GPU `ordinal` for work: kernels must be built in, the driver there, the GPU present.
///
/// # Errors
/// Which of these is missing.
pub fn open(ordinal: usize) -> Result<Arc<Context>, CudaError> {
    look(ordinal)?;
    Context::open(ordinal)
}

/// Opens the GPU with most free memory, of several the first; those that do not open are passed over.
///
/// # Errors
/// Why there is none; where there is one, why it does not open.
fn open_roomiest() -> Result<(usize, Arc<Context>), CudaError> {
    let mut failed = CudaError::NoDevice;
    let mut best: Option<(usize, usize, Arc<Context>)> = None;
    // The first one's reason is told, so it comes last.
    for ordinal in (0..usable()?).rev() {
        match Context::open(ordinal).and_then(|context| Ok((context.memory()?.0, context))) {
            Ok((free, context)) if best.as_ref().is_none_or(|(_, most, _)| free >= *most) => {
                best = Some((ordinal, free, context));
            }
            Ok(_) => {}
            Err(error) => failed = error,
        }
    }
    best.map(|(ordinal, _, context)| (ordinal, context)).ok_or(failed)
}
