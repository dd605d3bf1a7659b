//! Which of the fused kernels: how many frames a block takes, what it sums, and what that takes of shared memory.

use crate::cuda::driver;
use crate::cuda::error::CudaError;
use crate::cuda::params;

/// Fewest slots for which a form is worth its shared memory.
const FEWEST_SLOTS: usize = 256;
/// Shared memory that the driver keeps for itself in each block.
const RESERVED_SHARED: usize = 1024;

/// How many frames a block takes, and what it sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Frames of a group.
    pub group: usize,
    /// With variance.
    pub variance: bool,
    /// With dark.
    pub dark: bool,
}

impl Form {
    /// Dynamic shared memory of a block whose items have up to `slots` slots.
    pub fn shared_bytes(self, slots: usize) -> usize {
        let ring = params::XRDCT_RING_PIXELS as usize * size_of::<f32>();
        let sums = slots * size_of::<f64>() * if self.variance { 2 } else { 1 };
        let dark = if self.dark { params::XRDCT_SUBTILE_PIXELS as usize * size_of::<f32>() } else { 0 };
        self.group * (ring + sums) + dark
    }

    /// The widest form of which two blocks fit on a multiprocessor of each of some devices, else the narrow one; and how many slots it
    /// has room for. Sums of the same form and slots have the same bits.
    pub(in crate::cuda) fn choose(
        ordinals: &[usize],
        variance: bool,
        dark: bool,
        only_narrow: bool,
    ) -> Result<(Form, usize), CudaError> {
        use cudarc::driver::sys::CUdevice_attribute as Attribute;
        let attribute = |which| {
            let of = |ordinal: &usize| driver::attribute(*ordinal, which);
            ordinals.iter().map(of).try_fold(usize::MAX, |least, found| Ok::<_, CudaError>(least.min(found?)))
        };
        let block = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let multiprocessor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)?;
        let wide = Form { group: params::XRDCT_GROUP_WIDE as usize, variance, dark };
        let narrow = Form { group: params::XRDCT_GROUP_NARROW as usize, ..wide };
        let room = |form: Form, bytes: usize| {
            let fixed = form.shared_bytes(0);
            bytes.saturating_sub(fixed) / (form.shared_bytes(1) - fixed)
        };
        let half = block.min(multiprocessor / 2 - RESERVED_SHARED.min(multiprocessor / 2));
        let forms = if variance || dark || only_narrow { vec![narrow] } else { vec![wide, narrow] };
        let two_fit = forms.iter().find(|form| room(**form, half) >= FEWEST_SLOTS);
        match two_fit {
            Some(form) => Ok((*form, room(*form, half))),
            None if room(narrow, block) >= 1 => Ok((narrow, room(narrow, block))),
            None => Err(CudaError::TooSmall { available: block, needed: narrow.shared_bytes(1) }),
        }
    }
}
