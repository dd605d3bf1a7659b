//! What can go wrong between the program and a GPU, one variant a cause, each with what to do about it.

use cudarc::driver::DriverError;

use crate::frame::FrameId;

/// Why there is no GPU to work with, or why it stopped working.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// No libcuda on this machine.
    #[error("no NVIDIA driver: libcuda.so was not found; install the driver, or compute on the CPU")]
    NoDriver,
    /// The driver is there but does not work.
    #[error("the NVIDIA driver does not start: {cause}; see nvidia-smi, or use --device cpu")]
    DriverFails {
        /// What the driver said.
        cause: String,
    },
    /// The driver is older than what made the kernels.
    #[error(
        "the NVIDIA driver is one of CUDA {}.{}; the kernels of this xrdct need one of CUDA {}.{} or later{}: install a newer driver, build xrdct with an older nvcc, or use --device cpu",
        .found.0, .found.1, .needed.0, .needed.1, branch(*.needed)
    )]
    DriverTooOld {
        /// CUDA version of the driver.
        found: (usize, usize),
        /// The least that would do.
        needed: (usize, usize),
    },
    /// A driver, but no GPU.
    #[error("the NVIDIA driver sees no GPU (CUDA_VISIBLE_DEVICES may hide it); use --device cpu")]
    NoDevice,
    /// Not that many GPUs.
    #[error("there is no GPU number {asked}: {present} here, counted from 0")]
    NoSuchDevice {
        /// The number asked for.
        asked: usize,
        /// How many there are.
        present: usize,
    },
    /// Built where there was no nvcc.
    #[error(
        "this xrdct was built without CUDA kernels: nvcc was not found then; build again with XRDCT_CUDA_HOME set, or use --device cpu"
    )]
    NoKernels,
    /// No machine code and no PTX for this GPU.
    #[error(
        "the kernels were built for architectures {built_for:?}, which do not cover this GPU; build again with XRDCT_CUDA_ARCHS for it"
    )]
    NotCovered {
        /// What the binary holds.
        built_for: Vec<u32>,
    },
    /// A defect of this program.
    #[error("there is no place for another batch's digests; this is a defect of xrdct, please report it")]
    NoEntry,
    /// Device memory is used up.
    #[error("GPU memory: {purpose} needs {} MB, {} MB are free; use fewer --lanes or a smaller --batch, or end other programs on this GPU", .asked / 1_000_000, .free / 1_000_000)]
    OutOfMemory {
        /// What it was for.
        purpose: &'static str,
        /// Bytes asked for.
        asked: usize,
        /// Bytes free.
        free: usize,
    },
    /// The host cannot lock so much memory.
    #[error("pinned host memory: {} MB cannot be had; use fewer --lanes or a smaller --batch, or raise the limit on locked memory", .asked / 1_000_000)]
    OutOfPinnedMemory {
        /// Bytes asked for.
        asked: usize,
    },
    /// The GPU's blocks have too little shared memory for the kernels.
    #[error("this GPU gives a block {available} bytes of shared memory; the kernels need {needed}")]
    TooSmall {
        /// Bytes a block can have.
        available: usize,
        /// Bytes the kernels need.
        needed: usize,
    },
    /// Frames too large for one batch to be addressed.
    #[error("frames of {pixels} pixels are too large for the GPU engine; use --device cpu")]
    FrameTooLarge {
        /// Pixels of a frame.
        pixels: usize,
    },
    /// What only the host makes of a bin's pixels.
    #[error("there are no kernels for this statistic or error model yet; use --device cpu")]
    NoKernelsForReduction,
    /// Frames that only the host knows.
    #[error("there are no kernels for frames of {what}; use --device cpu")]
    NoKernelsFor {
        /// What they are of.
        what: &'static str,
    },
    /// A kernel's name cannot be one.
    #[error("there is no kernel {name:?}")]
    Kernel {
        /// The name.
        name: String,
    },
    /// A kernel that takes something else than its twin in Rust gives.
    #[error(
        "kernel {name} takes parameters of {found:?} bytes and would be given one of {given}; this is a defect of xrdct, please report it"
    )]
    Arguments {
        /// The kernel.
        name: String,
        /// Sizes of its first and second parameter.
        found: [Option<usize>; 2],
        /// The size of what it would be given.
        given: usize,
    },
    /// Nothing to launch, or more than a GPU takes in one launch.
    #[error(
        "a launch of {x} x {y} blocks of {threads} threads: a GPU takes 1 to 65535 rows of blocks, of 1 to 1024 threads; this is a defect of xrdct, please report it"
    )]
    Launch {
        /// Blocks along x.
        x: usize,
        /// Blocks along y.
        y: usize,
        /// Threads of a block.
        threads: usize,
    },
    /// Frames that are only decoded were to be integrated.
    #[error(
        "there is no matrix for frames that are only decoded; this is a defect of xrdct, please report it"
    )]
    NoMatrix,
    /// A copy that would leave its buffer.
    #[error("a copy of {len} bytes at {offset} does not fit a device buffer of {size} bytes")]
    OutsideBuffer {
        /// Where it would begin.
        offset: usize,
        /// How long it is.
        len: usize,
        /// The buffer's size.
        size: usize,
    },
    /// It did not answer.
    #[error(
        "the GPU did not answer within {seconds} s while {doing}: it hangs, or another program keeps it; see nvidia-smi and dmesg"
    )]
    Hung {
        /// What was waited for.
        doing: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// It did not answer before.
    #[error("the GPU did not answer before, and nothing more is asked of it")]
    GivenUp,
    /// Any of these, with frames on their way.
    #[error("{error}; frames in flight: {}", ranges(.frames))]
    InFlight {
        /// What happened.
        error: Box<CudaError>,
        /// The frames that nothing came of.
        frames: Vec<FrameId>,
    },
    /// Anything else that the driver reports.
    #[error("the GPU failed while {doing}: {cause}")]
    Driver {
        /// What was asked of it.
        doing: &'static str,
        /// The driver's own words.
        cause: String,
    },
}

impl CudaError {
    /// The driver's error in words.
    pub fn driver(doing: &'static str, error: DriverError) -> CudaError {
        let name =
            error.error_name().map_or_else(|_| format!("{:?}", error.0), |n| n.to_string_lossy().into());
        let text =
            error.error_string().map_or_else(|_| String::new(), |t| format!(", {}", t.to_string_lossy()));
        CudaError::Driver { doing, cause: format!("{name}{text}") }
    }
}

/// The first driver of a CUDA version, where nvidia-smi's number is known: those of major versions, which all of the major version needs.
fn branch(cuda: (usize, usize)) -> &'static str {
    match cuda {
        (12, 0) => " (525 in nvidia-smi)",
        (13, 0) => " (580 in nvidia-smi)",
        _ => "",
    }
}

/// Ranges of numbers that are named; more are counted.
const NAMED: usize = 8;

/// Frames by number: `3-17, 20`.
fn ranges(frames: &[FrameId]) -> String {
    let mut sorted: Vec<usize> = frames.iter().map(|frame| frame.0).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let runs: Vec<&[usize]> = sorted.chunk_by(|a, b| a + 1 == *b).collect();
    let name = |run: &&[usize]| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(usize::to_string).collect(),
    };
    let named: Vec<String> = runs.iter().take(NAMED).map(name).collect();
    let rest: usize = runs.iter().skip(NAMED).map(|run| run.len()).sum();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_frames_in_flight() {
        let said = |frames: &[usize]| {
            let frames = frames.iter().map(|id| FrameId(*id)).collect();
            CudaError::InFlight { error: Box::new(CudaError::GivenUp), frames }.to_string()
        };
        assert!(said(&[20, 4, 3, 5, 9, 10]).ends_with("; frames in flight: 3-5, 9-10, 20"));
        let scattered: Vec<usize> = (0..20).map(|n| 2 * n).collect();
        assert!(said(&scattered).ends_with("10, 12, 14 and 12 more"));
    }
}
